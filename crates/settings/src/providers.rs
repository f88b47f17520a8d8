//! Settings of the providers: the window schedule with its live source, MCP probes, polled facts.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use swoosh_types::backbeat::LiveBounds;
use swoosh_types::keys::PublicKey;
use swoosh_types::text::Url;

/// The window schedule, and the live source that may lead it. `config/swoosh.yaml` describes the keys, as for every
/// section here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backbeat {
    /// The schedule's file; see [`super::Settings::schedule`].
    pub file: Option<PathBuf>,
    /// Where live beats come from.
    pub source: Option<Url>,
    /// Trusted signer of live beats.
    pub source_key: Option<PublicKey>,
    /// How often the source is asked, in milliseconds.
    pub poll_ms: u64,
    /// How long an answer may take, in milliseconds.
    pub timeout_ms: u64,
    /// How long a stream of beats may be silent, in milliseconds.
    pub silence_ms: u64,
    /// How far a beat may be shifted, in milliseconds.
    pub max_shift_ms: u64,
    /// How much longer or shorter a beat may be, in thousandths.
    pub max_tempo_permille: u64,
    /// The highest pressure that the source may call for.
    pub max_pressure: u64,
}

impl Default for Backbeat {
    fn default() -> Backbeat {
        Backbeat {
            file: None,
            source: None,
            source_key: None,
            poll_ms: 10_000,
            timeout_ms: 5_000,
            silence_ms: 120_000,
            max_shift_ms: 60_000,
            max_tempo_permille: 100,
            max_pressure: 1_000,
        }
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

/// Probes of the MCP servers that projects pin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mcp {
    /// When the node probes.
    pub probe: ProbeMode,
    /// How often a settled server is probed, in milliseconds.
    pub interval_ms: u64,
    /// How often one is probed whose last answers differ, in milliseconds.
    pub settle_ms: u64,
    /// How long a whole probe may take, in milliseconds.
    pub timeout_ms: u64,
    /// Most bytes that one probe reads.
    pub answer_bytes: usize,
    /// Most servers that are probed.
    pub max_servers: usize,
    /// How many of the last probes of a server count.
    pub window: usize,
    /// How many of them must agree before a server counts as up.
    pub up: usize,
    /// How many of them must fail or differ before it counts as down.
    pub down: usize,
    /// How long the result may be believed, in milliseconds.
    pub valid_for_ms: u64,
}

impl Default for Mcp {
    fn default() -> Mcp {
        Mcp {
            probe: ProbeMode::Auto,
            interval_ms: 15_000,
            settle_ms: 1_000,
            timeout_ms: 5_000,
            answer_bytes: 262_144,
            max_servers: 256,
            window: 5,
            up: 4,
            down: 3,
            valid_for_ms: 60_000,
        }
    }
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

/// When members count as gone, and who is polled for their pulses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LivenessRules {
    /// How long a member must be silent to be lost, in milliseconds.
    pub lost_after_ms: u64,
    /// How long it must answer again to be back, in milliseconds.
    pub back_after_ms: u64,
    /// The address of the server that is polled.
    pub url: Option<Url>,
    /// How it tells pulses.
    pub format: PollFormat,
    /// How often it is asked, in milliseconds.
    pub interval_ms: u64,
    /// How long an answer may take, in milliseconds.
    pub timeout_ms: u64,
    /// How long a plain answer may be believed, in milliseconds.
    pub valid_for_ms: u64,
}

impl LivenessRules {
    /// The part of them that [`Polled`] servers have in common.
    pub fn polled(&self) -> Polled {
        let LivenessRules { format, interval_ms, timeout_ms, valid_for_ms, .. } = *self;
        Polled { url: self.url.clone(), format, interval_ms, timeout_ms, valid_for_ms }
    }
}

impl Default for LivenessRules {
    fn default() -> LivenessRules {
        LivenessRules {
            lost_after_ms: 30_000,
            back_after_ms: 10_000,
            url: None,
            format: PollFormat::Signed,
            interval_ms: 5_000,
            timeout_ms: 5_000,
            valid_for_ms: 60_000,
        }
    }
}
