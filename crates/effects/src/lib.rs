//! Work outside the machine: open effects are found, worked at, and answered with one signed proposal each.
//!
//! ```text
//!  journal: open effects ──▶ Engine (pure) ──▶ note ──▶ worker ──▶ note ──▶ outcome ──▶ the node's proposal
//!            notes of work      ▲   waits, blocks,       executor     outcome      │ refused: kept, asked again
//!                               └── retries, cancels ◀─────────────────────────────┘
//! ```
//! An effect's id is `<project>/<index>/<effect>`. The engine writes to the journal before it acts: the beginning of
//! an attempt, and its outcome. After a crash the next start therefore knows which attempts had begun. It works at
//! them again under the next attempt's number, or reports the failure `unknown` where a repeat could do something
//! twice.
//!
//! **Architecture invariant.** Nothing here knows HTTP, metrics or settings: [`Host`] lists open effects and takes
//! outcomes. Only an [`Executor`] reads the state, for its own task. [`Engine`] has no clock, no thread and no disk; [`Runner`] has.

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
pub use executors::{Done, Index, IndexedSource, Outside, ProjectFolder, Workshop, indexed, settle_index};
pub use host::{Answer, Doer, Host, Open, Point, Reply};
pub use note::Note;
pub use outcome::{Outcome, Report, detail, failed_transition};
pub use runner::{Runner, StartError};
pub use task::{Build, Executor, Place, Task, Wanted, is_idempotent};
pub use worker::{Ended, Execute, Failed, Job, Step, Work};

#[cfg(test)]
mod tests;
