//! `swoosh backup` and `swoosh restore`.

mod command;
mod restore_command;

pub use command::BackupCommand;
pub use restore_command::RestoreCommand;
pub(super) use restore_command::said;
