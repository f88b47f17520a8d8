//! The inventory of mirrors: recorded by an operator, or when a variable first led to one.

use super::MIRRORS_FILE;
use super::address::{Address, AddressError, Role};
use super::documents;
use super::mirrors::{Mirror, MirrorInventory};
use super::session::Session;
use crate::state::catalogue::UpdateError;

/// An operator's entry for a mirror.
#[derive(Clone, Debug, Default)]
pub struct MirrorRequest {
    /// The replaced address, or a prefix of addresses.
    pub upstream: String,
    /// Its address.
    pub mirror: String,
    /// The governance request that approved it.
    pub request_id: Option<String>,
    pub reason: Option<String>,
}

/// Why the inventory was not changed.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// One of the addresses is no good.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// No mirror is recorded for it.
    #[error("no mirror is recorded for {0}; `swoosh sources mirrors` lists those that are")]
    Unknown(String),
    /// The document cannot be changed.
    #[error(transparent)]
    Update(#[from] UpdateError),
}

/// Records a mirror, or replaces the one of the same upstream.
pub fn add(session: &Session<'_>, request: &MirrorRequest) -> Result<(), InventoryError> {
    Address::parse(&request.mirror, Role::Mirror)?;
    // The beginning of an address is one with something behind it.
    Address::parse(&format!("{}/x", request.upstream.trim_end_matches('/')), Role::Source)?;
    let mirror = Mirror {
        mirror_url: request.mirror.clone(),
        added_at: session.now(),
        added_by: session.operator.clone(),
        request_id: request.request_id.clone(),
        reason: request.reason.clone(),
    };
    session.log.info(&format!("mirror of {} is now {}", request.upstream, request.mirror));
    change(session, |inventory| drop(inventory.mirrors.insert(request.upstream.clone(), mirror)))?;
    Ok(())
}

/// Takes a mirror out of the inventory.
pub fn remove(session: &Session<'_>, upstream: &str) -> Result<(), InventoryError> {
    let mut removed = false;
    change(session, |inventory| removed = inventory.mirrors.remove(upstream).is_some())?;
    if !removed {
        return Err(InventoryError::Unknown(upstream.to_owned()));
    }
    session.log.info(&format!("mirror of {upstream} was taken out"));
    Ok(())
}

/// Records a mirror that a variable named, the first time.
pub(super) fn remember(session: &Session<'_>, upstream: &str, mirror: &str) -> Result<(), UpdateError> {
    change(session, |inventory| {
        if inventory.seen.get(upstream).is_some_and(|known| known.mirror_url == mirror) {
            return;
        }
        let mirror = Mirror {
            mirror_url: mirror.to_owned(),
            added_at: session.now(),
            added_by: session.operator.clone(),
            request_id: None,
            reason: None,
        };
        inventory.seen.insert(upstream.to_owned(), mirror);
    })
}

fn change(session: &Session<'_>, change: impl FnOnce(&mut MirrorInventory)) -> Result<(), UpdateError> {
    documents::update(&session.workspace.state(), MIRRORS_FILE, session.leave, change)
}
