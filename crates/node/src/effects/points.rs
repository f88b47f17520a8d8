//! Crashes on demand: a test names a point, and the daemon dies there as if it had been killed.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::bail;

use swoosh_effects::Point;
use swoosh_types::ids::EffectId;
use swoosh_types::names::EffectName;

/// The variable that names a point: `start:fetch` or `panic:committer`, say.
const VARIABLE: &str = "SWOOSH_CRASH_AT";

/// Whether the variable counts: the variable alone must not crash a node.
static ALLOWED: AtomicBool = AtomicBool::new(false);

/// Lets the variable count, as `swoosh serve --allow-crash-points` asks.
pub fn allow() {
    ALLOWED.store(true, Ordering::Relaxed);
}

/// Where to die.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Points {
    /// Nowhere.
    #[default]
    None,
    /// At a point of an effect.
    Effect(Point, EffectName),
    /// In a commit by the thread of this name.
    Panic(&'static str),
}

/// Threads that commit.
const THREADS: [&str; 2] = ["sequencer", "committer"];

impl Points {
    pub fn from_environment() -> anyhow::Result<Points> {
        let Ok(text) = std::env::var(VARIABLE) else { return Ok(Points::None) };
        if !ALLOWED.load(Ordering::Relaxed) {
            tracing::warn!("{VARIABLE} is set and does not count; it is for tests of this program alone");
            return Ok(Points::None);
        }
        let parsed = text.split_once(':').and_then(|(point, effect)| {
            if point == "panic" {
                return THREADS.into_iter().find(|thread| *thread == effect).map(Points::Panic);
            }
            let point = Point::ALL.into_iter().find(|known| known.as_str() == point)?;
            Some(Points::Effect(point, effect.parse().ok()?))
        });
        let Some(parsed) = parsed else {
            let points = Point::ALL.map(Point::as_str).join(", ");
            let threads = THREADS.join(" or ");
            bail!(
                "{VARIABLE} is {text:?}; write <point>:<effect>, with one of {points}, or panic: and {threads}, or unset it"
            );
        };
        tracing::warn!(at = text, "this node will crash at a point of an effect, for a test");
        Ok(parsed)
    }

    pub fn reached(self, point: Point, id: &EffectId) {
        if self == Points::Effect(point, id.effect) {
            // Nothing is flushed or reported, as after SIGKILL.
            std::process::abort();
        }
    }

    /// A commit is under way in this thread.
    pub fn commits(self) {
        if let Points::Panic(thread) = self {
            assert!(std::thread::current().name() != Some(thread), "this test panics in the {thread} thread");
        }
    }
}
