//! BACKBEAT: a live source that says a signed beat about every second, in a tempo of its own.

use std::sync::Arc;
use std::time::Duration;

use super::cast::now_ms;
use swoosh_client::Identity;
use swoosh_standins::teller::Teller;
use swoosh_types::backbeat::{BeatClaim, Schedule};
use swoosh_types::hlc::Hlc;
use swoosh_types::keys::PublicKey;
use swoosh_types::text::ClusterId;

/// How long its beats last, in milliseconds; the schedule says 100.
pub(super) const BEAT_MS: u64 = 95;
/// How much earlier than by the schedule its first beat began, in milliseconds.
pub(super) const EARLIER_MS: u64 = 300;
/// The tidal pressure that it calls for.
pub(super) const PRESSURE: u64 = 200;
/// How often it says a beat.
const SAYS_EVERY: Duration = Duration::from_millis(10 * BEAT_MS);
/// How long its word is good, in milliseconds: an hour.
const LASTS_MS: u64 = 3_600_000;

/// A running source. It stops when this is dropped.
#[derive(Debug)]
pub(super) struct Beats {
    teller: Arc<Teller>,
    key: PublicKey,
    saying: tokio::task::JoinHandle<()>,
}

impl Beats {
    /// Starts the source of a cluster; its first beat is the one that runs by the schedule.
    pub fn start(cluster: ClusterId, schedule: &Schedule, source: Identity) -> std::io::Result<Beats> {
        let key = source.public();
        let first = schedule.beat_at(at(now_ms()));
        let line = Line { first, began_ms: schedule.beat_begins_ms(first) - EARLIER_MS };
        let teller = Arc::new(Teller::start(&line.say(&cluster, &source, now_ms()))?);
        let saying = tokio::spawn(say_on(teller.clone(), line, cluster, source));
        Ok(Beats { teller, key, saying })
    }

    /// URL of the beats, as server-sent events.
    pub fn stream(&self) -> String {
        self.teller.stream()
    }

    /// Who signs them.
    pub fn key(&self) -> PublicKey {
        self.key
    }
}

impl Drop for Beats {
    fn drop(&mut self) {
        self.saying.abort();
    }
}

async fn say_on(teller: Arc<Teller>, line: Line, cluster: ClusterId, source: Identity) {
    loop {
        tokio::time::sleep(SAYS_EVERY).await;
        teller.say(&line.say(&cluster, &source, now_ms()));
    }
}

/// When which beat begins: all that the source says lies on one line.
#[derive(Clone, Copy, Debug)]
struct Line {
    first: u64,
    began_ms: u64,
}

impl Line {
    /// The signed beat that runs at a time.
    fn say(self, cluster: &ClusterId, source: &Identity, now_ms: u64) -> String {
        let passed = now_ms.saturating_sub(self.began_ms) / BEAT_MS;
        let claim = BeatClaim {
            source: source.public(),
            observed_at: at(now_ms),
            valid_until: at(now_ms + LASTS_MS),
            beat: self.first + passed,
            began_at: at(self.began_ms + passed * BEAT_MS),
            beat_ms: BEAT_MS,
            pressure: Some(PRESSURE),
        };
        serde_json::to_string(&claim.sign(cluster, source.key())).unwrap_or_default()
    }
}

fn at(ms: u64) -> Hlc {
    Hlc::new(ms, 0).unwrap_or_default()
}
