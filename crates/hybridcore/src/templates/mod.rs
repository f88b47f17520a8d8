//! `hybridcore.templates`: which builders there are, and the packer files that a build is composed of.

pub mod compose;
pub mod inventory;
pub mod manifest;
pub mod names;

pub use compose::{ComposeError, ComposedFile, Composition, Role, compose_files};
pub use inventory::{Builder, Inventory, InventoryError, Provisioning};
pub use manifest::{Deviation, MANIFEST_FILE, Manifest, is_foreign};
pub use names::{BuilderId, NameError};

use super::definitions::Definitions;

/// Canonical identifiers of the builders for an operating system and a platform, sorted.
pub fn list_builders(definitions: &Definitions, os: &str, platform: &str) -> Result<Vec<BuilderId>, InventoryError> {
    Inventory::load(definitions)?.list_builders(os, platform)
}
