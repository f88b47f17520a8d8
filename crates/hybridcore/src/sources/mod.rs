//! `hybridcore.sources`: plugin and example repositories under `sources/`, at commits that are pinned.
//!
//! ```text
//! reference ── resolve ──► commit ── fetch ──► .NAME.partial ── checkout ── rename ──► sources/NAME
//!    config, mirrors         lock, overrides        limits            state/sources.json, sources.lock
//! ```
//!
//! All of git is behind [`git::Git`]: the real one runs libgit2 in a child process ([`child`]), because a
//! hostile repository must not share the caller's memory, and because time limits and search paths of
//! libgit2 cannot be set otherwise without `unsafe`.
//!
//! Architecture invariant: a failure leaves the working trees and the documents unchanged.

pub mod address;
pub mod audit;
pub mod binding;
pub mod child;
pub mod config;
pub mod content;
pub mod credentials;
pub mod doctor;
pub mod documents;
mod doubled;
pub mod failure;
pub mod fence;
pub mod fetch;
pub mod git;
pub mod inventory;
pub mod licences;
pub mod made;
pub mod mirrors;
pub mod pin;
pub mod resolve;
pub mod scan;
pub mod session;
pub mod status;
pub mod sync;
pub mod tree;
pub mod worker;

pub use super::retry;
pub use binding::Wallet;
pub use documents::MIRRORS_FILE;
pub use failure::{FailureKind, GitError};
pub use fence::Fence;
pub use fetch::{FetchError, fetch};
pub use git::Git;
pub use resolve::{ResolveError, resolve};
pub use session::{Event, Rules, Session, Workspace};

#[cfg(test)]
mod tests;
