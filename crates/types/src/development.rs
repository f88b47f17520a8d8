//! The keys of `deploy/settings/development.yaml`. They are published, so that the file can be tried without a change: everyone
//! can sign with them.

use std::sync::LazyLock;

use crate::hash::Hash;
use crate::keys::{PublicKey, SecretKey};

/// Whose keys are published; deploy/settings/development-keys.sh writes them.
pub const NAMES: [&str; 5] = ["operator", "agent", "ada", "ben", "cleo"];

static KEYS: LazyLock<[(PublicKey, &str); 5]> = LazyLock::new(|| NAMES.map(|name| (secret(name).public(), name)));

/// The published secret key of a name.
pub fn secret(name: &str) -> SecretKey {
    let text = format!("swoosh development key {name}\n");
    SecretKey::from_bytes(Hash::of(text.as_bytes()).as_bytes())
}

/// Whose published key it is; `None` for any other key.
pub fn owner(key: &PublicKey) -> Option<&'static str> {
    KEYS.iter().find(|(published, _)| published == key).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_the_development_settings_are_known_and_no_other_is() {
        let settings = include_str!("../../../deploy/settings/development.yaml");
        for name in NAMES {
            let key = secret(name).public();
            assert_eq!(owner(&key), Some(name));
            assert!(settings.contains(&format!("{key}\": {{name: {name},")), "{name}");
        }
        assert_eq!(owner(&SecretKey::from_bytes(&[7; 32]).public()), None);
    }
}
