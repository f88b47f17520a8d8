//! The faults, their rates and their counts.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::healing::Times;
use swoosh_types::names::Transition;
use swoosh_types::rejection::Code;

macro_rules! faults {
    ($($name:ident $text:literal $rate:literal $what:literal,)*) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $(#[doc = $what] $name,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &'static [Fault] = &[$(Fault::$name,)*];

            /// The name on the command line.
            pub const fn as_str(self) -> &'static str {
                match self { $(Fault::$name => $text,)* }
            }

            /// Default rate, in ten thousandths.
            pub const fn usual(self) -> u64 {
                match self { $(Fault::$name => $rate,)* }
            }

            pub const fn what(self) -> &'static str {
                match self { $(Fault::$name => $what,)* }
            }
        }
    };
}

faults! {
    DuplicateProposal "duplicate-proposal" 400 "a proposal arrives twice",
    DropProposal "drop-proposal" 300 "a proposal is lost",
    DelayProposal "delay-proposal" 400 "a proposal comes late",
    Reorder "reorder" 300 "a proposal overtakes those sent before it",
    DuplicateAnswer "duplicate-answer" 200 "an answer arrives twice",
    DropAnswer "drop-answer" 300 "an answer is lost, and the client repeats",
    DelayAnswer "delay-answer" 300 "an answer comes late",
    Misplaced "misplaced" 500 "a proposal with another head, clock, key, window, signer or inputs",
    EffectRepeat "effect-repeat" 200 "the outcome of an effect comes again under another key",
    Kill "kill" 25 "the process is killed at some operation of the disk",
    PowerLoss "power-loss" 25 "the power fails at some operation of the disk; a suffix of what was not synced is gone, the watermark may be torn",
    Restart "restart" 8 "the process ends between two steps and starts again",
    WriteFails "write-fails" 6 "a write fails",
    SyncFails "sync-fails" 8 "a sync fails, and what it was to bring to disk is dropped",
    ReadFails "read-fails" 8 "a read fails",
    DiskFull "disk-full" 8 "the disk is full, for a while",
    FlipNoticed "flip-noticed" 6 "a bit of a row flips, and the store notices when it is read",
    FlipSilent "flip-silent" 6 "a bit of a row of wal, snapshots or objects flips, and the store does not notice",
    FlipLast "flip-last" 20 "the last record of a project that is asked nothing becomes unreadable, and its head leaves memory",
    FlipWatermark "flip-watermark" 6 "a bit of one slot of the watermark flips",
    DirectoryRollback "directory-rollback" 5 "an older copy of the directory is put in its place",
    SideWritesLost "side-writes-lost" 10 "the log's tail behind the last record is gone: held outcomes, and notes of attempts",
    WorkerBarred "worker-barred" 60 "the worker of a paused project loses its role",
    OldWorker "old-worker" 150 "a worker brings the outcome of an effect that it took up some time ago",
    SnapshotRollback "snapshot-rollback" 8 "the newest snapshots are gone: older ones and replay take their place",
    ClockAhead "clock-ahead" 10 "the wall clock jumps ahead, for a while",
    ClockBack "clock-back" 10 "the wall clock jumps back, for a while",
    ClockStep "clock-step" 30 "the wall clock steps between two readings of one judgement, as the license changes",
    LossAccepted "loss-accepted" 30 "an older copy of the directory is put in its place, and an operator accepts the loss",
    Promoted "promoted" 30 "an operator promotes the directory, or an older copy of it, as that of a follower",
    ClockHours "clock-hours" 3 "the machine and its callers start with a clock hours ahead, which is put right after a while",
    LicenseDenied "license-denied" 10 "the license server denies, for a while",
    McpFlap "mcp-flap" 60 "the MCP server goes, comes, or has another version",
    CapacityChurn "capacity-churn" 60 "capacity and health of the environment change",
    VotersSilent "voters-silent" 15 "members of the council fall silent, for a while",
    ProvidersSilent "providers-silent" 4 "no provider is reached, so that facts run out",
    PolicyUpdate "policy-update" 40 "a new policy bundle comes into force",
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A rate is a number of times in so many turns, messages or answers.
pub const RATE_SCALE: u64 = 10_000;

/// How often each fault happens, in `RATE_SCALE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rates(BTreeMap<Fault, u64>);

/// A text names no faults.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RatesError {
    /// There is no fault of that name.
    #[error("there is no fault {0:?}; there are all, none, and {list}", list = names())]
    Unknown(String),
    /// Not a rate.
    #[error("{0:?} is no rate; write a whole number from 0 to 10000: how often in ten thousand")]
    Rate(String),
}

fn names() -> String {
    Fault::ALL.iter().map(|fault| fault.as_str()).collect::<Vec<_>>().join(", ")
}

impl Rates {
    /// As often as usual.
    pub fn usual() -> Rates {
        Rates(Fault::ALL.iter().map(|fault| (*fault, fault.usual())).collect())
    }

    /// Never.
    pub fn none() -> Rates {
        Rates(BTreeMap::new())
    }

    /// How often a fault happens, in ten thousand.
    pub fn of(&self, fault: Fault) -> u64 {
        self.0.get(&fault).copied().unwrap_or(0)
    }

    /// Those that happen at all.
    pub fn stated(&self) -> impl Iterator<Item = Fault> {
        self.0.iter().filter(|(_, rate)| **rate > 0).map(|(fault, _)| *fault)
    }
}

impl FromStr for Rates {
    type Err = RatesError;
    fn from_str(text: &str) -> Result<Rates, RatesError> {
        let mut rates = Rates::none();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, rate) = part.split_once('=').map_or((part, None), |(name, rate)| (name, Some(rate)));
            let rate = rate.map(|rate| {
                rate.parse().ok().filter(|rate| *rate <= RATE_SCALE).ok_or(RatesError::Rate(rate.to_owned()))
            });
            let rate = rate.transpose()?;
            let named: Vec<Fault> = match name {
                "none" => Vec::new(),
                "all" => Fault::ALL.to_vec(),
                name => vec![
                    *Fault::ALL
                        .iter()
                        .find(|fault| fault.as_str() == name)
                        .ok_or(RatesError::Unknown(name.to_owned()))?,
                ],
            };
            rates.0.extend(named.into_iter().map(|fault| (fault, rate.unwrap_or(fault.usual()))));
        }
        Ok(rates)
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stated: Vec<String> = self.stated().map(|fault| format!("{fault}={}", self.of(fault))).collect();
        f.write_str(if stated.is_empty() { "none" } else { "" })?;
        f.write_str(&stated.join(","))
    }
}

impl Serialize for Rates {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rates {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Rates, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How often what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Faults that fired, by kind.
    pub fired: BTreeMap<Fault, u64>,
    /// Everything else that is counted, by name.
    pub counted: BTreeMap<&'static str, u64>,
    /// Transitions that were accepted, by name.
    pub accepted: BTreeMap<&'static str, u64>,
    /// Proposals that were refused, by code.
    pub refused: BTreeMap<Code, u64>,
    /// How long what a fault struck took to go on (see `healing.rs`).
    pub healed: BTreeMap<Fault, Times>,
}

impl Tally {
    /// A fault fired.
    pub fn fired(&mut self, fault: Fault) {
        *self.fired.entry(fault).or_default() += 1;
    }

    /// Something happened.
    pub fn count(&mut self, what: &'static str) {
        *self.counted.entry(what).or_default() += 1;
    }

    /// How often something happened.
    pub fn of(&self, what: &str) -> u64 {
        self.counted.get(what).copied().unwrap_or(0)
    }

    /// A proposal was refused.
    pub fn refused(&mut self, code: Code) {
        *self.refused.entry(code).or_default() += 1;
    }

    /// A transition was accepted.
    pub fn accepted(&mut self, transition: Transition) {
        self.count("transitions");
        *self.accepted.entry(transition.as_str()).or_default() += 1;
    }

    /// Adds what another one counted.
    pub fn add(&mut self, other: &Tally) {
        other.fired.iter().for_each(|(fault, times)| *self.fired.entry(*fault).or_default() += times);
        other.counted.iter().for_each(|(what, times)| *self.counted.entry(what).or_default() += times);
        other.accepted.iter().for_each(|(what, times)| *self.accepted.entry(what).or_default() += times);
        other.refused.iter().for_each(|(code, times)| *self.refused.entry(*code).or_default() += times);
        other.healed.iter().for_each(|(fault, times)| self.healed.entry(*fault).or_default().add(times));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_they_are_written() {
        for text in ["none", "kill=7,reorder=1"] {
            assert_eq!(
                text.parse::<Rates>().unwrap().to_string(),
                text.replace("kill=7,reorder=1", "reorder=1,kill=7")
            );
        }
        assert_eq!("all".parse::<Rates>().unwrap(), Rates::usual());
        assert_eq!("all,kill=0".parse::<Rates>().unwrap().of(Fault::Kill), 0);
        assert!(matches!("all,frogs".parse::<Rates>(), Err(RatesError::Unknown(name)) if name == "frogs"));
        assert!(matches!("kill=often".parse::<Rates>(), Err(RatesError::Rate(_))));
    }
}
