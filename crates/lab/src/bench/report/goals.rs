//! The goals, and whether a run meets them.

use super::super::rounds::{Figure, Spread};
use super::{Goal, Report};

/// Clients of the goals.
const CLIENTS: usize = 64;

/// A bound of a measured number.
#[derive(Clone, Copy)]
enum Bound {
    Least(f64),
    Most(f64),
}

impl Bound {
    fn is_met(self, measured: f64) -> bool {
        match self {
            Bound::Least(bound) => measured >= bound,
            Bound::Most(bound) => measured <= bound,
        }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Bound::Least(bound) => format!("≥ {bound}{unit}"),
            Bound::Most(bound) => format!("≤ {bound}{unit}"),
        }
    }
}

impl Report {
    /// Compares what was measured with the goals; a goal whose figures are absent is left out.
    pub(super) fn judged(&self) -> Vec<Goal> {
        let mut goals = Vec::new();
        for (peer, least) in [("etcd", 1.6), ("restate", 10.0)] {
            let work = format!("accepted transitions/s, {CLIENTS} clients, against {peer}");
            goals.extend(self.against(peer, CLIENTS, Figure::Rate, work, Bound::Least(least)));
        }
        let work = "p50 of one client, against etcd".to_owned();
        goals.extend(self.against("etcd", 1, Figure::P50, work, Bound::Most(1.1)));
        self.judge_load(&mut goals);
        self.judge_sizes(&mut goals);
        goals
    }

    /// The median over the rounds counts.
    fn against(&self, peer: &str, clients: usize, figure: Figure, work: String, bound: Bound) -> Option<Goal> {
        let Spread { median, min, max, .. } = &self.ratio(peer, clients, figure)?.ratio;
        let measured = format!("{median:.2} × ({min:.2} to {max:.2})");
        Some(Goal { work, goal: bound.text(" ×"), measured, met: bound.is_met(*median) })
    }

    fn judge_load(&self, goals: &mut Vec<Goal>) {
        if let Some(row) = self.at(CLIENTS) {
            let work = format!("processor time of a transition, {CLIENTS} clients");
            goals.push(number(work, row.processor_us, Bound::Most(150.0), " µs"));
        }
        if let Some(duplicates) = &self.duplicates {
            let work = format!("processor time of a duplicate, {} clients", duplicates.clients);
            goals.push(number(work, duplicates.processor_us, Bound::Most(100.0), " µs"));
        }
        if let Some(hot) = &self.hot {
            let work = format!("proposals given up by {} callers of one hot project", hot.clients);
            goals.push(number(work, hot.given_up, Bound::Most(0.0), ""));
            let work = format!("p99 of {} callers of one hot project", hot.clients);
            goals.push(number(work, hot.p99_us / 1_000, Bound::Most(250.0), " ms"));
        }
    }

    fn judge_sizes(&self, goals: &mut Vec<Goal>) {
        if let Some(replay) = &self.replay {
            goals.push(number("replay, every hash checked", replay.per_second, Bound::Least(100_000.0), "/s"));
        }
        if let Some(start) = &self.cold_start {
            let work = format!("start after SIGKILL, {} records, {} projects", start.records, start.projects);
            goals.push(number(work, start.median_ms(), Bound::Most(5_000.0), " ms"));
        }
        if let Some(memory) = &self.memory {
            goals.push(number("idle project in memory", memory.bytes_each, Bound::Most(16_384.0), " B"));
        }
        if let (Some(small), Some(large)) = (self.growth.first(), self.growth.last().filter(|_| self.growth.len() > 1))
        {
            let work = format!(
                "processor time of a transition, {} projects and {} records against {} and {}",
                large.projects, large.records, small.projects, small.records
            );
            goals.push(times(work, large.load.processor_us, small.load.processor_us, Bound::Most(1.3)));
        }
    }
}

fn number(work: impl Into<String>, measured: u64, bound: Bound, unit: &str) -> Goal {
    let met = bound.is_met(measured as f64);
    Goal { work: work.into(), goal: bound.text(unit), measured: format!("{measured}{unit}"), met }
}

fn times(work: impl Into<String>, one: u64, other: u64, bound: Bound) -> Goal {
    let ratio = one as f64 / other.max(1) as f64;
    Goal { work: work.into(), goal: bound.text(" ×"), measured: format!("{ratio:.2} ×"), met: bound.is_met(ratio) }
}

#[cfg(test)]
mod tests {
    use super::super::super::load::LoadRow;
    use super::super::super::peers::PeerRow;
    use super::super::super::rounds::Round;
    use super::*;

    fn round(ours: u64, own: u64, shared: u64) -> Round {
        let (p50_us, p99_us) = (1, 1);
        let load = LoadRow {
            clients: CLIENTS,
            seconds: 1.0,
            per_second: ours,
            p50_us,
            p99_us,
            processor_us: 151,
            batches: None,
        };
        let peer = |connections, per_second| PeerRow {
            peer: "etcd".to_owned(),
            clients: CLIENTS,
            connections,
            per_second,
            p50_us,
            p99_us,
        };
        Round { accepted: vec![load], peers: vec![peer(None, own), peer(Some(8), shared)], ..Round::default() }
    }

    /// The goal was met against etcd's worse figure: with shared connections etcd is faster.
    #[test]
    fn a_goal_is_judged_by_the_median_against_the_better_figure_of_etcd() {
        let rounds = vec![round(8_000, 4_000, 5_200), round(8_000, 4_000, 5_000), round(9_600, 4_000, 5_100)];
        let mut report = Report { rounds, ..Report::default() };
        report.summarise();
        let goal = report.goals.iter().find(|goal| goal.work.contains("etcd")).unwrap();
        assert_eq!((goal.measured.as_str(), goal.met), ("1.60 × (1.54 to 1.88)", true));
        let processor = report.goals.iter().find(|goal| goal.work.contains("processor")).unwrap();
        assert_eq!((processor.goal.as_str(), processor.met), ("≤ 150 µs", false));
    }
}
