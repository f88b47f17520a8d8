//! Settings of effects: their workers, folders and retries.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::load::SettingsError;
use super::model::Settings;
use swoosh_types::names::EffectName;
use swoosh_types::secret::SecretRef;
use swoosh_types::text::{Name, Url};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EffectMode {
    /// The node.
    Builtin,
    /// Holders of role `worker`.
    #[default]
    External,
}

impl EffectMode {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            EffectMode::Builtin => "builtin",
            EffectMode::External => "external",
        }
    }
}

/// One environment that provisioning builds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// Which overlay of the environments.
    pub environment: Name,
    /// Which builder of the inventory.
    pub builder: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Name>,
}

/// Makes the section out of the effects of the statechart: each has a key for its mode.
macro_rules! section {
    ($($key:ident $effect:ident,)*) => {
        section_effects! {
            /// Effects: the executor of each, and its limits. `config/swoosh.yaml` describes the keys.
            Effects {
                $($key: EffectMode = EffectMode::External,)*
                workspace: Option<PathBuf> = None,
                scan_command: Vec<String> = Vec::new(),
                credential_rules: Option<PathBuf> = None,
                slurp: Option<Url> = None,
                slurp_token: Option<SecretRef> = None,
                builds: Vec<Build> = Vec::new(),
                definitions: Option<PathBuf> = None,
            }
        }

        impl Effects {
            /// The mode of an effect.
            pub fn mode(&self, effect: EffectName) -> EffectMode {
                match effect {
                    $(EffectName::$effect => self.$key,)*
                }
            }
        }
    };
}

swoosh_types::with_effects!(section);

impl Effects {
    /// Whether the node runs an effect.
    pub fn is_builtin(&self, effect: EffectName) -> bool {
        self.mode(effect) == EffectMode::Builtin
    }

    /// The effects whose outcomes workers bring.
    pub fn external(&self) -> BTreeSet<EffectName> {
        EffectName::ALL.iter().copied().filter(|effect| !self.is_builtin(*effect)).collect()
    }

    /// Whether the node runs any.
    pub fn any_builtin(&self) -> bool {
        EffectName::ALL.iter().any(|effect| self.is_builtin(*effect))
    }
}

impl Settings {
    /// Where the workspaces of projects are: `effects.workspace`, or `workspaces` in the data directory.
    pub fn workspaces_path(&self) -> PathBuf {
        self.effects.workspace.clone().unwrap_or_else(|| self.data.join("workspaces"))
    }
}

/// Effects that pass trees and assets to each other through the workspace must be run by the same side.
const TOGETHER: [&[EffectName]; 2] = [
    &[EffectName::Fetch, EffectName::Validate, EffectName::Index],
    &[EffectName::Provision, EffectName::Healthcheck, EffectName::Release],
];

pub(super) fn check(settings: &Settings) -> Result<(), SettingsError> {
    let effects = &settings.effects;
    let invalid = |key: &str, detail: String| Err(SettingsError::Invalid { key: format!("effects.{key}"), detail });
    for group in TOGETHER {
        let builtin = group.iter().filter(|effect| effects.is_builtin(**effect)).count();
        if builtin != 0 && builtin != group.len() {
            let names: Vec<_> = group.iter().map(|effect| effect.as_str()).collect();
            let detail = format!("{} share the workspace; set all of them to builtin, or none", names.join(", "));
            return invalid(names.first().unwrap_or(&"fetch"), detail);
        }
    }
    if effects.is_builtin(EffectName::Provision) && effects.builds.is_empty() {
        return invalid("builds", "provision is builtin and there is nothing to build; name a build".to_owned());
    }
    if effects.retry_max_ms < effects.retry_min_ms {
        return invalid("retry_max_ms", "it is less than effects.retry_min_ms; raise it".to_owned());
    }
    if effects.scan_command.first().is_some_and(String::is_empty) {
        return invalid("scan_command", "the program has no name; name one, or take the list out".to_owned());
    }
    check_slurp(effects)
}

fn check_slurp(effects: &Effects) -> Result<(), SettingsError> {
    let invalid =
        |key: &str, detail: &str| Err(SettingsError::Invalid { key: key.to_owned(), detail: detail.to_owned() });
    let Some(slurp) = &effects.slurp else {
        return match effects.slurp_token {
            Some(_) => invalid("effects.slurp_token", "there is no server to show it to; set effects.slurp"),
            None => Ok(()),
        };
    };
    let plain = slurp.scheme() == "http";
    if !plain && slurp.scheme() != "https" {
        return invalid("effects.slurp", "it must begin with https:// or http://");
    }
    let loopback = ["http://127.", "http://localhost", "http://[::1]"];
    if plain && effects.slurp_token.is_some() && !loopback.iter().any(|start| slurp.as_str().starts_with(start)) {
        return invalid("effects.slurp", "a token over http:// would be read by others; use https://");
    }
    Ok(())
}
