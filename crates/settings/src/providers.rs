//! Settings of the providers: the window schedule with its live source, MCP probes, polled facts.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use swoosh_types::backbeat::LiveBounds;
use swoosh_types::keys::PublicKey;
use swoosh_types::text::Url;

section_backbeat! {
    /// The window schedule, and the live source that may lead it. `config/swoosh.yaml` describes the keys, as for every
    /// section here.
    Backbeat {
        file: Option<PathBuf> = None,
        source: Option<Url> = None,
        source_key: Option<PublicKey> = None,
    }
}

impl Backbeat {
    /// How far the live source may move the schedule.
    pub fn bounds(&self) -> LiveBounds {
        LiveBounds {
            max_shift_ms: self.max_shift_ms,
            max_tempo_permille: self.max_tempo_permille,
            max_pressure: self.max_pressure,
        }
    }
}

/// When the node probes MCP servers itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeMode {
    /// Unless another source of tooling facts is listed.
    #[default]
    Auto,
    Always,
    Never,
}

section_mcp! {
    /// Probes of the MCP servers that projects pin.
    Mcp { probe: ProbeMode = ProbeMode::Auto }
}

/// How a polled server tells facts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PollFormat {
    /// Signed facts, believed for their source's signature.
    #[default]
    Signed,
    /// The body of one fact, believed for the address it comes from and signed by the node.
    Plain,
}

/// A server that is polled for facts of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Polled {
    /// The server's address.
    pub url: Option<Url>,
    /// How it tells them.
    pub format: PollFormat,
    /// How often it is asked, in milliseconds.
    pub interval_ms: u64,
    /// How long an answer may take, in milliseconds.
    pub timeout_ms: u64,
    /// How long a plain answer may be believed, in milliseconds.
    pub valid_for_ms: u64,
}

impl Default for Polled {
    fn default() -> Polled {
        Polled { url: None, format: PollFormat::Signed, interval_ms: 15_000, timeout_ms: 5_000, valid_for_ms: 60_000 }
    }
}

section_liveness! {
    /// When members count as gone, and who is polled for their pulses.
    LivenessRules { url: Option<Url> = None, format: PollFormat = PollFormat::Signed }
}

impl LivenessRules {
    /// The part of them that [`Polled`] servers have in common.
    pub fn polled(&self) -> Polled {
        let LivenessRules { format, interval_ms, timeout_ms, valid_for_ms, .. } = *self;
        Polled { url: self.url.clone(), format, interval_ms, timeout_ms, valid_for_ms }
    }
}
