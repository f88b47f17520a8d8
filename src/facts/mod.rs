//! What the node believes of the world outside: signed facts in one table, and the providers that fill it.
//!
//! ```text
//! settings, schedule, policies ── built_in ──┐
//! a JSON file ─────────────────── file ──────┼─► FactTable::insert ─► FactsNow, exchanged whole
//! what the node's providers learn ─ speaker ─┤     source, signature, time, order, form
//!   backbeat, mcp, polled                     │
//! ```
//!
//! **Architecture invariant.** A provider only inserts; it knows nothing of projects' states, of the
//! sequencer, or of who reads. Readers load one [`FactsNow`] and judge by it; it never changes under them.

pub mod backbeat;
pub mod built_in;
pub mod describe;
mod events;
pub mod file;
pub mod licensed;
pub mod mcp;
pub mod polled;
pub mod speaker;
pub mod table;

pub use built_in::{BuiltIn, BuiltInError};
pub use describe::FactDescription;
pub use file::FactFile;
pub use licensed::{Standing, standing, watch_license};
pub use speaker::{SayError, Speaker};
pub use table::{FactRefusal, FactTable, FactsNow, Inserted, Trust};

#[cfg(test)]
mod default_policies;
#[cfg(test)]
mod fixture;
