//! One episode for each kind of fault: it happens, it is felt, it is lifted.

mod clocks;
mod disks;
mod files;
mod outside;
mod process;

pub(super) use files::copy;

use super::faults::Fault;
use super::stage::{Episode, Stage};

/// Plays an episode. When it returns the node is up, nothing is wrong any more, and the heal counts.
pub(super) fn play(stage: &mut Stage, fault: Fault) -> anyhow::Result<Episode> {
    match fault {
        Fault::Kill => process::kill(stage),
        Fault::Stop => process::stop(stage),
        Fault::Descriptors => process::descriptors(stage),
        Fault::FullDisk => disks::full(stage),
        Fault::SlowDisk => disks::slow(stage),
        Fault::FailingDisk => disks::failing(stage),
        Fault::ReadOnlyDisk => disks::read_only(stage),
        Fault::ClockShift => clocks::shift(stage),
        Fault::ClockJump => clocks::jump(stage),
        Fault::TornLog => files::torn_log(stage),
        Fault::FlippedTable => files::flipped_table(stage),
        Fault::FlippedWatermark => files::flipped_watermark(stage),
        Fault::DirectoryRollback => files::rollback(stage),
        Fault::SlowLicense => outside::slow_license(stage),
        Fault::DeniedLicense => outside::denied_license(stage),
        Fault::McpFlap => outside::mcp_flap(stage),
        Fault::CapacityChurn => outside::capacity_churn(stage),
        Fault::Duplicate | Fault::Reorder | Fault::Drop | Fault::Delay => {
            stage.lift(None);
            Ok(Episode::unfelt("the proxy makes it all the time"))
        }
    }
}
