//! KACHING: fetches the license, keeps it on disk, refreshes it, and says it as a fact.
//!
//! ```text
//!  license server ── fetch ──▶ Fetched ──▶ Keeper ── say_at ──▶ license fact ──▶ guard, network gate
//!                                            │ ▲
//!                                            ▼ │ restart
//!                                        license.json
//! ```
//! * **Granted**: the fact is valid until the token's `exp`.
//! * **Denied**: the fact ends now, so that every project's grace begins at once; asked again all the same.
//! * **Failed** (slow, down, garbage): nothing changes. The license counts until `exp`, then its grace.

pub mod cache;
pub mod fetch;
pub mod token;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::asked::Provider;
use super::speaker::Speaker;
use cache::Cached;
use fetch::{Fetched, Server};
use swoosh_platform::entropy;
use swoosh_types::back_off::{BackOff, jittered_ms};
use swoosh_types::civil::{MAX_MS, rfc3339};
use swoosh_types::fact::{FactKind, License};
use swoosh_types::hlc::Hlc;
use token::{Pins, Token};

/// Waits are from 80 to 100 per cent, so that nodes that began together do not ask together.
const JITTER_PERMILLE: u64 = 200;

/// When the server is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// After this much of the license's remaining life, in per cent.
    pub refresh_percent: u64,
    /// But at the latest after this.
    pub refresh_max: Duration,
    /// After a first failure.
    pub retry_min: Duration,
    /// After many.
    pub retry_max: Duration,
}

/// A license that is held.
#[derive(Clone, Debug)]
struct Held {
    text: String,
    token: Token,
    fetched_at: Hlc,
    denied_at: Option<Hlc>,
}

/// Keeps the node's license.
#[derive(Debug)]
pub struct Keeper {
    server: Server,
    pins: Pins,
    pace: Pace,
    cache: PathBuf,
    speaker: Speaker,
    held: Option<Held>,
    failures: u32,
}

impl Keeper {
    /// Reports the license on disk, if it is still valid. Sends no request yet.
    pub fn new(server: Server, pins: Pins, pace: Pace, cache: PathBuf, speaker: Speaker) -> Keeper {
        let mut keeper = Keeper { server, pins, pace, cache, speaker, held: None, failures: 0 };
        keeper.recall();
        keeper
    }

    /// Fetches for ever, and whenever it is hurried; run it in a task and abort that to stop.
    pub async fn run(mut self, hurry: Arc<Notify>) {
        loop {
            let wait = self.step().await;
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = hurry.notified() => {}
            }
        }
    }

    /// Asks once and does what follows; says how long to wait until the next time.
    async fn step(&mut self) -> Duration {
        let began = Instant::now();
        let fetched = self.server.fetch(&self.pins).await;
        self.speaker.asked(Provider::License, matches!(fetched, Fetched::Granted { .. }), began);
        match fetched {
            Fetched::Granted { text, token } => self.granted(text, *token),
            Fetched::Denied { reason } => {
                self.denied(&reason);
                self.back_off(None)
            }
            Fetched::Failed { reason, retry_after } => {
                tracing::warn!(%reason, held_until = self.held_until(), "the license could not be fetched");
                self.back_off(retry_after)
            }
        }
    }

    fn now_ms(&self) -> u64 {
        self.speaker.table().clock().now().wall_ms
    }

    fn recall(&mut self) {
        let cached = match cache::load(&self.cache) {
            Ok(Some(cached)) => cached,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(path = %self.cache.display(), %error, "the kept license cannot be read; it is fetched again");
                return;
            }
        };
        match Token::read(&cached.token, &self.pins) {
            Ok(token) if token.covers(&self.pins) => {
                let Cached { token: text, fetched_at, denied_at } = cached;
                self.held = Some(Held { text, token, fetched_at, denied_at });
                self.say();
            }
            Ok(_) => tracing::warn!("the kept license does not cover license.scope; it is fetched again"),
            Err(reason) => tracing::warn!(%reason, "the kept license does not count any more; it is fetched again"),
        }
    }

    fn granted(&mut self, text: String, token: Token) -> Duration {
        let now_ms = self.now_ms();
        // An old token brought back must not outlive the one that took its place.
        let replaced = self.held.as_ref().filter(|held| token.issued_s < held.token.issued_s);
        if let Some(newer) = replaced.map(|held| held.token.id.clone()) {
            tracing::warn!(license = %token.id, %newer, "the license server sends an older license than it did before");
            return self.back_off(None);
        }
        let early_ms = token.not_before_s.saturating_mul(1_000).saturating_sub(now_ms);
        if early_ms > self.speaker.table().max_ahead_ms() {
            tracing::warn!(license = %token.id, early_ms, "the license server sends a license that does not count yet");
            return self.back_off(None);
        }
        let life = Duration::from_millis(token.until_ms().saturating_sub(now_ms));
        if self.held.as_ref().is_none_or(|held| held.denied_at.is_some() || held.token.hash != token.hash) {
            tracing::info!(license = %token.id, until = %rfc3339_within(token.until_ms()), "the license is granted");
            let fetched_at = Hlc::new(now_ms.min(MAX_MS), 0).unwrap_or_default();
            self.held = Some(Held { text, token, fetched_at, denied_at: None });
            self.keep();
            self.say();
        }
        if life.is_zero() {
            return self.back_off(None);
        }
        self.failures = 0;
        let share = life.saturating_mul(u32::try_from(self.pace.refresh_percent).unwrap_or(100)) / 100;
        // Never sooner than a retry: a license of a second must not become a flood.
        let wait_ms = jittered_ms(ms(share.min(self.pace.refresh_max)), JITTER_PERMILLE, random());
        Duration::from_millis(wait_ms).max(self.pace.retry_min)
    }

    /// The first denial counts: a repeated one must not restart the grace.
    fn denied(&mut self, reason: &str) {
        let now_ms = self.now_ms();
        let Some(held) = &mut self.held else {
            tracing::warn!(%reason, "the license is denied");
            return;
        };
        if held.denied_at.is_none() && now_ms <= held.token.until_ms() {
            tracing::warn!(%reason, license = %held.token.id, "the license is denied; its grace begins now");
            held.denied_at = Hlc::new(now_ms.min(MAX_MS), 0);
            self.keep();
            self.say();
        }
    }

    fn keep(&self) {
        let Some(Held { text, fetched_at, denied_at, .. }) = self.held.clone() else { return };
        let cached = Cached { token: text, fetched_at, denied_at };
        if let Err(error) = cache::store(&self.cache, &cached) {
            let path = self.cache.display();
            tracing::warn!(%path, %error, "the license cannot be kept on disk; a restart will have to fetch it");
        }
    }

    /// Says the license, ending with the denial where there is one.
    fn say(&self) {
        let Some(held) = &self.held else { return };
        let seen = held.denied_at.unwrap_or(held.fetched_at);
        let table = self.speaker.table();
        // After whatever the node said before, so that it is not taken for old news.
        let last = table.newest(FactKind::License, None, self.speaker.key()).unwrap_or_default();
        let observed_at = last.tick(seen.physical_ms()).unwrap_or(seen);
        let until_ms = held.denied_at.map_or(held.token.until_ms(), |denied| denied.physical_ms()).min(MAX_MS);
        let valid_until = Hlc::new(until_ms, 0).unwrap_or_default();
        let Token { id, scopes, hash, .. } = &held.token;
        let license = License { id: id.clone(), scopes: scopes.clone(), token: Some(*hash) };
        if let Err(error) = self.speaker.say_at(FactKind::License, None, observed_at, valid_until, &license) {
            tracing::warn!(%error, "the license is not believed");
        }
    }

    /// Twice as long after each failure, within bounds, with jitter; as long as the server asks.
    fn back_off(&mut self, asked: Option<Duration>) -> Duration {
        let Pace { retry_min, retry_max, .. } = self.pace;
        self.failures = self.failures.saturating_add(1);
        let policy = BackOff { first_ms: ms(retry_min), longest_ms: ms(retry_max), jitter_permille: JITTER_PERMILLE };
        let wait = Duration::from_millis(policy.wait_ms(self.failures, random()));
        wait.max(asked.unwrap_or_default().min(retry_max))
    }

    fn held_until(&self) -> Option<String> {
        self.held.as_ref().map(|held| rfc3339_within(held.token.until_ms()))
    }
}

fn rfc3339_within(ms: u64) -> String {
    rfc3339(ms.min(MAX_MS))
}

/// Without randomness all nodes ask at once, which is a burden and no danger.
fn random() -> u64 {
    entropy::random_bytes().map_or(0, u64::from_be_bytes)
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
