//! Where the published keys of `deploy/settings/development.yaml` count: on a loopback address of the cluster `development` alone.

use super::model::Settings;
use swoosh_types::development;
use swoosh_types::keys::PublicKey;

/// The one cluster of these keys.
const CLUSTER: &str = "development";

/// Whether these are settings to try things, which published keys may be used with.
pub(super) fn allows(settings: &Settings) -> bool {
    place_fault(settings).is_none()
}

/// Why these settings may not name a key: it is published, and others than the users of this machine could reach the node.
pub(super) fn fault(settings: &Settings, key: &PublicKey) -> Option<String> {
    let name = development::owner(key)?;
    let away = place_fault(settings)?;
    Some(format!("{key} is the published development key of {name}, and {away}; make a key with `swoosh keygen`"))
}

fn place_fault(settings: &Settings) -> Option<String> {
    if settings.cluster.as_str() != CLUSTER {
        Some(format!("cluster is {}, not {CLUSTER}", settings.cluster))
    } else if !settings.listen.ip().is_loopback() {
        Some(format!("listen is {}, which is no loopback address", settings.listen))
    } else {
        None
    }
}
