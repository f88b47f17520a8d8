//! Facts about the outside world: signed facts in one table, and the providers that fill it.
//!
//! ```text
//! settings, schedule, policies ──── built_in ─┐
//! a JSON file ───────────────────── file ─────┤
//! what others push, and its files ─ store ────┼─► FactTable::insert ─► FactsNow, exchanged whole
//! the license server ────────────── kaching ──┤     source, signature, time, order, form
//! what other providers learn ────── speaker ──┘
//!   backbeat, mcp, polled
//! ```
//!
//! **Architecture invariant.** A provider only inserts; it knows nothing of projects' states, of the
//! sequencer, or of who reads. Readers load one [`FactsNow`] and judge by it; it never changes under them.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

mod asked;
pub mod backbeat;
pub mod built_in;
pub mod describe;
pub mod file;
pub mod kaching;
pub mod licensed;
pub mod mcp;
pub mod polled;
pub mod speaker;
pub mod store;
pub mod table;

pub use asked::{Asked, Provider, Uncounted};
pub use built_in::{BuiltIn, BuiltInError};
pub use describe::FactDescription;
pub use file::FactFile;
pub use licensed::{Standing, standing, watch_license};
pub use speaker::{SayError, Speaker};
pub use store::{FactStore, LastStamp, PushError, Restored};
pub use table::{Bundles, FactRefusal, FactTable, FactsNow, Inserted, KeepTakeBack, Trust};

#[cfg(test)]
mod default_policies;
#[cfg(test)]
mod fixture;
