//! The keys of `deploy/settings/development.yaml`. They are published, so that the file can be tried without a change: everyone can sign with
//! them. They count on a loopback address of the cluster `development` alone.

use super::model::Settings;
use swoosh_types::hash::Hash;
use swoosh_types::keys::{PublicKey, SecretKey};

/// The one cluster of these keys.
const CLUSTER: &str = "development";
/// Whose keys are published; deploy/settings/development-keys.sh writes them.
const NAMES: [&str; 5] = ["operator", "agent", "ada", "ben", "cleo"];

/// The public half of a published key.
fn published(name: &str) -> PublicKey {
    let text = format!("swoosh development key {name}\n");
    SecretKey::from_bytes(Hash::of(text.as_bytes()).as_bytes()).public()
}

/// Why these settings may not name a key: it is published, and others than the users of this machine could reach the node.
pub(super) fn fault(settings: &Settings, key: &PublicKey) -> Option<String> {
    let name = NAMES.into_iter().find(|name| published(name) == *key)?;
    let away = if settings.cluster.as_str() != CLUSTER {
        format!("cluster is {}, not {CLUSTER}", settings.cluster)
    } else if !settings.listen.ip().is_loopback() {
        format!("listen is {}, which is no loopback address", settings.listen)
    } else {
        return None;
    };
    Some(format!("{key} is the published development key of {name}, and {away}; make a key with `swoosh keygen`"))
}
