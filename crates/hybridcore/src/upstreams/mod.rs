//! The HyperSwarm scale-up wrapper: upstream tool chains, pinned in `tools/upstreams.env`, fetched into
//! `third_party/`, and the checks that keep pins, documents and capability file honest.
//!
//! ```text
//! tools/upstreams.env ── pins ──┬── fetch ──► third_party/NAME   (side by side, through hybridcore::sources)
//!                               ├── status
//!                               └── validate ◄── docs, .gitignore, capd
//! ```
//!
//! Architecture invariant: nothing is stored but the fetched source itself.

pub mod capability;
pub mod fetch;
pub mod pins;
pub mod validate;

/// The folder that upstreams are fetched into, in the repository's root.
pub const FOLDER: &str = "third_party";
