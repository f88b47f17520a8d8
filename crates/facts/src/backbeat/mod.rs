//! The live beat source: signed beats over HTTP lead the window schedule within bounds.
//!
//! ```text
//! source ── one beat, or a stream of events ──▶ Listener ──▶ Conductor ──▶ windows fact, signed by the node
//!                                              time, size     who, when, order, bounds
//! ```
//! A beat that is taken becomes a whole schedule ([`Schedule::led_by`]), and that the fact which guards read: they
//! know of no source. When the source goes away the fact stays, and the beats of its schedule go on by themselves.
//! The last beat taken is kept in a file, so that a restart does not take beats back. docs/backbeat.md has it all.
//!
//! [`Schedule::led_by`]: swoosh_types::backbeat::Schedule::led_by

mod conductor;
mod listener;

use std::path::PathBuf;

use swoosh_types::backbeat::LiveBounds;
use swoosh_types::keys::PublicKey;

pub use conductor::{BeatRefusal, Conductor};
pub use listener::{ListenOptions, Listener};

/// The trusted source of beats, and how far its beats may lead.
#[derive(Clone, Debug)]
pub struct BeatRules {
    /// The source's key.
    pub source: PublicKey,
    /// How far it may move the schedule.
    pub bounds: LiveBounds,
    /// How far ahead of the node's clock it may speak, in milliseconds.
    pub max_ahead_ms: u64,
    /// The file that keeps the last beat taken.
    pub kept: PathBuf,
}
