//! `hybridcore.packer`: the program packer, checked, bounded and written down.
//!
//! ```text
//! recipe ── inputs ── unchanged and verified? ──► skipped
//!              │ no
//!              ▼
//!   state/runs/ID ── init ── validate ── build ──► lines ── transcript ┐
//!    run.json: running                      └─► manifest.json (run id) ┴► artifacts, hashed ──► run.json, catalogue
//! ```
//!
//! Packer runs without a shell, in an environment of its own, in a process group that ends with the run, and holds a
//! [`Leave`](super::leave::Leave). A non-zero exit code is always a failure. Exit code 0 without an artifact is a
//! failure too.
//!
//! Architecture invariant: no line, report or argument holds a secret, and nothing is removed but what a run made.

mod artifacts;
mod build;
mod call;
mod check;
pub mod digest;
pub mod failure;
pub mod inputs;
pub mod machine;
pub mod manifest;
mod named;
pub mod report;
pub mod runs;
mod sensitive;
mod session;
pub mod status;
mod tool;
mod transcript;

pub use artifacts::{Condition, Finding, Removal, Verification, verify_artifacts};
pub use build::{BuildError, build};
pub use call::RUN_VARIABLE;
pub use check::{CheckReport, CheckStatus, FormatMode, fmt, validate};
pub use failure::{Failure, FailureClass, Phase};
pub use report::{Artifact, ArtifactFile, RunReport, Status};
pub use runs::{RunsError, recover_all};
pub use session::{BuildRequest, Event, Session, Tool};
pub use status::{overview, remove, remove_superseded, verify};

#[cfg(test)]
mod tests;
