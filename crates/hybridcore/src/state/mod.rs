//! `hybridcore.state`: records of plugins, sources and builds, kept crash-safe.
//!
//! All documents stand in one folder, `state/` by default; a writer holds [`Lock`] on `state/.lock`.

pub mod catalogue;
pub mod check;
pub mod document;
pub mod files;
mod lock;

pub use lock::{Lock, LockError};

/// The catalogue's file in the state folder.
pub const CATALOGUE_FILE: &str = "packer-hybrid.json";
/// The lock file of the state folder's writers.
pub const LOCK_FILE: &str = ".lock";
