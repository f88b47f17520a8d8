//! The kinds of faults, what each does, and how often each must happen at the least.

use std::fmt;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Fault {
    Kill,
    Stop,
    Duplicate,
    Reorder,
    Drop,
    Delay,
    Descriptors,
    FullDisk,
    SlowDisk,
    FailingDisk,
    ReadOnlyDisk,
    ClockShift,
    ClockJump,
    TornLog,
    FlippedTable,
    FlippedWatermark,
    DirectoryRollback,
    SlowLicense,
    DeniedLicense,
    McpFlap,
    CapacityChurn,
}

impl Fault {
    /// All of them, in the order of the report.
    pub const ALL: [Fault; 21] = [
        Fault::Kill,
        Fault::Stop,
        Fault::Duplicate,
        Fault::Reorder,
        Fault::Drop,
        Fault::Delay,
        Fault::Descriptors,
        Fault::FullDisk,
        Fault::SlowDisk,
        Fault::FailingDisk,
        Fault::ReadOnlyDisk,
        Fault::ClockShift,
        Fault::ClockJump,
        Fault::TornLog,
        Fault::FlippedTable,
        Fault::FlippedWatermark,
        Fault::DirectoryRollback,
        Fault::SlowLicense,
        Fault::DeniedLicense,
        Fault::McpFlap,
        Fault::CapacityChurn,
    ];

    /// The name in options and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Fault::Kill => "kill",
            Fault::Stop => "stop",
            Fault::Duplicate => "duplicate",
            Fault::Reorder => "reorder",
            Fault::Drop => "drop",
            Fault::Delay => "delay",
            Fault::Descriptors => "descriptors",
            Fault::FullDisk => "full-disk",
            Fault::SlowDisk => "slow-disk",
            Fault::FailingDisk => "failing-disk",
            Fault::ReadOnlyDisk => "read-only-disk",
            Fault::ClockShift => "clock-shift",
            Fault::ClockJump => "clock-jump",
            Fault::TornLog => "torn-log",
            Fault::FlippedTable => "flipped-table",
            Fault::FlippedWatermark => "flipped-watermark",
            Fault::DirectoryRollback => "directory-rollback",
            Fault::SlowLicense => "slow-license",
            Fault::DeniedLicense => "denied-license",
            Fault::McpFlap => "mcp-flap",
            Fault::CapacityChurn => "capacity-churn",
        }
    }

    /// What happens.
    pub const fn what(self) -> &'static str {
        match self {
            Fault::Kill => "SIGKILL at any moment, sometimes again during the start that follows",
            Fault::Stop => "SIGSTOP, and SIGCONT up to four seconds later",
            Fault::Duplicate => "the proxy sends a request twice: at once, or again up to three seconds later",
            Fault::Reorder => "the proxy holds a request back until another one has passed it",
            Fault::Drop => "the proxy loses a request, or the answer to one",
            Fault::Delay => "the proxy holds a request or its answer back for a while",
            Fault::Descriptors => "no file descriptor is left (prlimit)",
            Fault::FullDisk => "no room is left on the disk of the data directory",
            Fault::SlowDisk => "every sync takes up to a quarter of a second longer (strace)",
            Fault::FailingDisk => "a write or sync of the log or watermark fails with EIO (strace); then a restart",
            Fault::ReadOnlyDisk => "the disk is read-only at the start (remount), or a write fails with EROFS (strace)",
            Fault::ClockShift => "the node starts with a clock that is ahead or behind (a library laid under it)",
            Fault::ClockJump => "the running node's clock jumps ahead and back again (a library laid under it)",
            Fault::TornLog => "the end of the log's newest file is cut off or zeroed between a kill and the start",
            Fault::FlippedTable => "a bit of a table flips between a kill and the start",
            Fault::FlippedWatermark => "a bit of one of the watermark's slots, or of both, flips likewise",
            Fault::DirectoryRollback => "the node starts on an older copy of the journal",
            Fault::SlowLicense => "the license server takes requests and does not answer",
            Fault::DeniedLicense => "the license server denies, past the grace",
            Fault::McpFlap => "the MCP server goes away, fails or changes its version, and comes back",
            Fault::CapacityChurn => "the environment's capacity falls below what is allocated, and comes back",
        }
    }

    /// How often it must have happened before a run counts.
    pub const fn least(self) -> u64 {
        match self {
            Fault::Kill => 10,
            Fault::Stop => 5,
            Fault::Duplicate | Fault::Reorder | Fault::Drop | Fault::Delay => 100,
            Fault::FailingDisk | Fault::TornLog => 3,
            _ => 2,
        }
    }

    /// Whether the proxy makes it, all the time.
    pub const fn is_network(self) -> bool {
        matches!(self, Fault::Duplicate | Fault::Reorder | Fault::Drop | Fault::Delay)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_kind_is_listed_once_and_is_called_what_the_option_calls_it() {
        assert_eq!(Fault::value_variants(), Fault::ALL);
        for fault in Fault::ALL {
            assert_eq!(fault.to_possible_value().unwrap().get_name(), fault.name());
            assert!(fault.least() > 0);
        }
    }
}
