//! Rounds: SWOOSH and its peers under the same load, in alternation. Figures of one machine in one run are compared round by
//! round, because the speed of a machine differs from minute to minute.

use serde::{Deserialize, Serialize};

use super::hot::HotRow;
use super::load::LoadRow;
use super::peers::PeerRow;

/// One round: first SWOOSH, then the peers. The rows of another kind of caller go here, and their summary to the report.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Round {
    #[serde(default)]
    pub accepted: Vec<LoadRow>,
    #[serde(default)]
    pub duplicates: Option<LoadRow>,
    #[serde(default)]
    pub hot: Option<HotRow>,
    #[serde(default)]
    pub peers: Vec<PeerRow>,
}

/// A figure over the rounds of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
    /// Its value in each round.
    pub rounds: Vec<f64>,
}

impl Spread {
    /// `None` without values.
    pub fn of(rounds: Vec<f64>) -> Option<Spread> {
        let mut sorted = rounds.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let (below, above) = (sorted.get((sorted.len() - 1) / 2)?, sorted.get(sorted.len() / 2)?);
        Some(Spread { median: f64::midpoint(*below, *above), min, max, rounds })
    }
}

/// A figure that SWOOSH and its peers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Figure {
    /// Answers in a second; more is better.
    Rate,
    /// Median time to an answer; less is better.
    P50,
    /// The same of the slowest hundredth.
    P99,
}

impl Figure {
    pub const ALL: [Figure; 3] = [Figure::Rate, Figure::P50, Figure::P99];

    pub fn of_load(self, row: &LoadRow) -> u64 {
        match self {
            Figure::Rate => row.per_second,
            Figure::P50 => row.p50_us,
            Figure::P99 => row.p99_us,
        }
    }

    pub fn of_peer(self, row: &PeerRow) -> u64 {
        match self {
            Figure::Rate => row.per_second,
            Figure::P50 => row.p50_us,
            Figure::P99 => row.p99_us,
        }
    }

    fn is_better(self, one: f64, other: f64) -> bool {
        match self {
            Figure::Rate => one > other,
            Figure::P50 | Figure::P99 => one < other,
        }
    }
}

/// SWOOSH's figure divided by a peer's better one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RatioRow {
    pub peer: String,
    pub clients: usize,
    pub figure: Figure,
    /// The way of the peer that is quoted: connections that its clients share; absent where each has its own.
    pub connections: Option<usize>,
    pub ratio: Spread,
}

/// Client counts of SWOOSH's rows, in the order of the run.
pub(super) fn client_counts(rounds: &[Round]) -> Vec<usize> {
    distinct(rounds.iter().flat_map(|round| &round.accepted).map(|row| row.clients))
}

/// The peers that answered, without the floor under all of them.
pub(super) fn peer_names(rounds: &[Round]) -> Vec<String> {
    let named = rounds.iter().flat_map(|round| &round.peers).map(|row| row.peer.clone());
    distinct(named.filter(|name| name != "verify"))
}

fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut kept = Vec::new();
    for value in values {
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    kept
}

/// SWOOSH's figure with so many clients, in each round that has it.
pub(super) fn ours(rounds: &[Round], clients: usize, figure: Figure) -> Option<Spread> {
    Spread::of(rounds.iter().filter_map(|round| our_figure(round, clients, figure)).collect())
}

/// A peer's figure with so many clients, its better way alone, in each round that has it.
pub(super) fn theirs(rounds: &[Round], peer: &str, clients: usize, figure: Figure) -> Option<Spread> {
    let way = better_way(rounds, peer, clients, figure)?;
    in_one_way(rounds, peer, clients, way, figure)
}

fn in_one_way(rounds: &[Round], peer: &str, clients: usize, way: Option<usize>, figure: Figure) -> Option<Spread> {
    let each = rounds.iter().filter_map(|round| their_figure(round, peer, clients, way, figure));
    Spread::of(each.collect())
}

/// The way in which a peer's median figure is the better one: its clients' shared connections, or one for each client.
fn better_way(rounds: &[Round], peer: &str, clients: usize, figure: Figure) -> Option<Option<usize>> {
    let rows = rounds.iter().flat_map(|round| &round.peers);
    let ways = distinct(rows.filter(|row| row.peer == peer && row.clients == clients).map(|row| row.connections));
    let mut best: Option<(Option<usize>, f64)> = None;
    for way in ways {
        let Some(spread) = in_one_way(rounds, peer, clients, way, figure) else { continue };
        if best.is_none_or(|(_, known)| figure.is_better(spread.median, known)) {
            best = Some((way, spread.median));
        }
    }
    best.map(|(way, _)| way)
}

fn our_figure(round: &Round, clients: usize, figure: Figure) -> Option<f64> {
    let row = round.accepted.iter().find(|row| row.clients == clients)?;
    Some(figure.of_load(row) as f64)
}

/// The mean, where a round has several rows of one way.
fn their_figure(round: &Round, peer: &str, clients: usize, way: Option<usize>, figure: Figure) -> Option<f64> {
    let is_wanted = |row: &&PeerRow| row.peer == peer && row.clients == clients && row.connections == way;
    let found: Vec<f64> = round.peers.iter().filter(is_wanted).map(|row| figure.of_peer(row) as f64).collect();
    (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
}

/// Every ratio that the rounds give: of each peer, client count and figure.
pub(super) fn ratios(rounds: &[Round]) -> Vec<RatioRow> {
    let mut rows = Vec::new();
    for peer in peer_names(rounds) {
        for clients in client_counts(rounds) {
            rows.extend(Figure::ALL.into_iter().filter_map(|figure| ratio(rounds, &peer, clients, figure)));
        }
    }
    rows
}

fn ratio(rounds: &[Round], peer: &str, clients: usize, figure: Figure) -> Option<RatioRow> {
    let connections = better_way(rounds, peer, clients, figure)?;
    let in_round = |round: &Round| {
        let theirs = their_figure(round, peer, clients, connections, figure)?;
        Some(our_figure(round, clients, figure)? / theirs.max(1.0))
    };
    let ratio = Spread::of(rounds.iter().filter_map(in_round).collect())?;
    Some(RatioRow { peer: peer.to_owned(), clients, figure, connections, ratio })
}

/// Of each client count the row in the middle by rate.
pub(super) fn middle_accepted(rounds: &[Round]) -> Vec<LoadRow> {
    let of_count = |clients: usize| {
        let rows = rounds.iter().flat_map(|round| &round.accepted).filter(|row| row.clients == clients);
        middle(rows, |row| row.per_second)
    };
    client_counts(rounds).into_iter().filter_map(of_count).collect()
}

/// Of each peer, way and client count the row in the middle by rate.
pub(super) fn middle_peers(rounds: &[Round]) -> Vec<PeerRow> {
    let rows = || rounds.iter().flat_map(|round| &round.peers);
    let key = |row: &PeerRow| (row.peer.clone(), row.connections, row.clients);
    let keys = distinct(rows().map(key));
    keys.into_iter()
        .filter_map(|wanted| middle(rows().filter(|row| key(row) == wanted), |row| row.per_second))
        .collect()
}

/// The row in the middle by a figure; of an even number the upper one.
pub(super) fn middle<'r, T: Clone + 'r>(rows: impl Iterator<Item = &'r T>, by: impl Fn(&T) -> u64) -> Option<T> {
    let mut sorted: Vec<&T> = rows.collect();
    sorted.sort_by_key(|row| by(row));
    sorted.get(sorted.len() / 2).map(|row| (*row).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(clients: usize, per_second: u64, p50_us: u64) -> LoadRow {
        LoadRow { clients, seconds: 1.0, per_second, p50_us, p99_us: 2 * p50_us, processor_us: 150, batches: None }
    }

    fn peer(peer: &str, connections: Option<usize>, per_second: u64, p50_us: u64) -> PeerRow {
        PeerRow { peer: peer.to_owned(), clients: 64, connections, per_second, p50_us, p99_us: 2 * p50_us }
    }

    fn round(ours: u64, own: u64, shared: u64, restate: u64) -> Round {
        let etcd = [peer("etcd", None, own, 9_000), peer("etcd", Some(8), shared, 12_000)];
        let mut peers = etcd.to_vec();
        peers.push(peer("restate", None, restate, 60_000));
        Round { accepted: vec![row(64, ours, 6_000)], peers, ..Round::default() }
    }

    fn of(rows: &[RatioRow], peer: &str, figure: Figure) -> RatioRow {
        rows.iter().find(|row| row.peer == peer && row.figure == figure).unwrap().clone()
    }

    /// The medians of both sides came from different minutes: their quotient was the ratio of no round.
    #[test]
    fn a_ratio_is_made_of_figures_of_one_round_and_its_median_and_bounds_are_kept() {
        let rounds = [round(1_000, 1_000, 10, 100), round(3_000, 1_500, 10, 100), round(2_000, 500, 10, 100)];
        let ratio = of(&ratios(&rounds), "etcd", Figure::Rate).ratio;
        assert_eq!(ratio.rounds, [1.0, 2.0, 4.0]);
        assert_eq!((ratio.min, ratio.median, ratio.max), (1.0, 2.0, 4.0));
    }

    /// etcd's clients are faster with shared connections on some machines. Only the better way is quoted.
    #[test]
    fn the_better_way_of_a_peer_is_quoted_for_each_figure() {
        let rounds =
            [round(9_000, 4_000, 6_000, 900), round(9_000, 7_000, 6_500, 900), round(9_000, 5_000, 6_400, 900)];
        let rows = ratios(&rounds);
        let rate = of(&rows, "etcd", Figure::Rate);
        assert_eq!((rate.connections, rate.ratio.rounds[0]), (Some(8), 1.5));
        assert_eq!(of(&rows, "etcd", Figure::P50).connections, None);
        assert_eq!(of(&rows, "restate", Figure::Rate).ratio.median, 10.0);
        assert_eq!(theirs(&rounds, "etcd", 64, Figure::Rate).unwrap().max, 6_500.0);
    }

    #[test]
    fn a_round_without_the_peer_counts_for_no_ratio() {
        let mut rounds = [round(2_000, 1_000, 10, 100), round(2_000, 1_000, 10, 100)];
        rounds[1].peers.clear();
        assert_eq!(of(&ratios(&rounds), "etcd", Figure::Rate).ratio.rounds, [2.0]);
        rounds[0].accepted.clear();
        assert!(ratios(&rounds).is_empty());
    }

    #[test]
    fn the_median_of_an_even_number_of_rounds_lies_between_the_two_in_the_middle() {
        let spread = Spread::of(vec![4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!((spread.min, spread.median, spread.max), (1.0, 2.5, 4.0));
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
