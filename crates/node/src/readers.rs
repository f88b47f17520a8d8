//! Readers, their projects and their client certificates: from the settings, and again on SIGHUP.

use std::sync::Arc;

use arc_swap::ArcSwap;

use swoosh_http::{Readers, SharedReaders};
use swoosh_settings::Settings;

/// The readers of the settings, for the server.
pub fn shared(settings: &Settings) -> SharedReaders {
    Arc::new(ArcSwap::from_pointee(of(settings)))
}

fn of(settings: &Settings) -> Readers {
    Readers {
        client_names: settings.tls.client_names.clone(),
        identities: settings.readers.identities.clone(),
        certificates: settings.readers.certificates.clone(),
    }
}

/// Takes over the readers of settings that were read again. `identities` brings the identities into force, and says whether it did. No
/// reader is without its limit meanwhile: the limits of both settings hold until the identities are those of the new ones.
pub fn reload(shared: &SharedReaders, settings: &Settings, identities: impl FnOnce() -> bool) {
    let (before, after) = (shared.load_full(), of(settings));
    shared.store(Arc::new(after.and(&before)));
    if identities() {
        if *before != after {
            tracing::info!("the readers and the names of client certificates were read again");
        }
        shared.store(Arc::new(after));
    }
}
