//! The chapters, in their order.

pub(super) mod boot;
pub(super) mod council;
pub(super) mod crash;
pub(super) mod decisions;
pub(super) mod environment;
pub(super) mod execution;
pub(super) mod ingestion;
pub(super) mod license;
mod load;
pub(super) mod node;
mod quarantine;
pub(super) mod replay;
pub(super) mod rollback;
mod vote;
