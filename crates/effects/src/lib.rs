//! Work outside the machine: open effects are found, worked at, and answered with one signed proposal each.
//!
//! ```text
//!  journal: open effects ──▶ Engine (pure) ──▶ note ──▶ worker ──▶ note ──▶ outcome ──▶ the node's proposal
//!            notes of work      ▲   waits, blocks,       executor     outcome      │ refused: kept, asked again
//!                               └── retries, cancels ◀─────────────────────────────┘
//! ```
//! An effect's id is `<project>/<index>/<effect>`. What the engine is about to do stands in the journal before it
//! does it: that an attempt begins, and which outcome came of it. So a node that dies at any moment knows at its
//! next start what was begun, and either works at it again under the next attempt's number, or, where that could
//! do something twice, reports the failure that says `unknown`.
//!
//! **Architecture invariant.** Nothing here knows states, HTTP, metrics or settings: [`Host`] says what is open and
//! takes outcomes. [`Engine`] has no clock, no thread and no disk; [`Runner`] has.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

mod board;
mod engine;
mod executors;
mod host;
mod note;
mod outcome;
mod runner;
mod task;
mod worker;

pub use board::{Board, Phase, Progress};
pub use engine::{Command, Engine, Rules};
pub use executors::{Index, IndexedSource, Outside, ProjectFolder, Workshop, indexed, settle_index};
pub use host::{Answer, Doer, Host, Open, Point, Reply};
pub use note::Note;
pub use outcome::{Outcome, Report, detail, failed_transition};
pub use runner::{Runner, StartError};
pub use task::{Build, Task, Wanted, is_idempotent};
pub use worker::{Ended, Execute, Failed, Job, Step, Work};

#[cfg(test)]
mod tests;
