//! Names of builders: `source.<plugin>-<kind>.<name>`, as packer writes them.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The most characters of a builder's own name.
const LONGEST: usize = 48;

/// A plugin and the kinds of builders that it has; none for a plugin whose builder is named after it (`qemu`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    /// `iso`, `clone` and so on: the part after the plugin's name and a hyphen.
    #[serde(default)]
    pub kinds: Vec<String>,
}

/// A canonical identifier: `source.proxmox-iso.linux-debian-12`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuilderId {
    kind: String,
    name: String,
}

/// A name that breaks the rules, and the right one if it can be derived.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{found:?} is no builder's name: {rule}; {remedy}")]
pub struct NameError {
    pub found: String,
    /// Which rule it breaks.
    pub rule: String,
    pub remedy: String,
}

impl BuilderId {
    /// Puts an identifier together, and holds it against the rules: the plugin is known, the kind is one of its kinds, and
    /// the name begins with the operating system.
    pub fn new(plugin: &str, known: &Plugin, kind: Option<&str>, os: &str, name: &str) -> Result<BuilderId, NameError> {
        let right_name = right_name(os, name);
        let written = |kind: Option<&str>, name: &str| match kind {
            Some(kind) => format!("source.{plugin}-{kind}.{name}"),
            None => format!("source.{plugin}.{name}"),
        };
        let right_kind = match kind {
            Some(kind) if known.kinds.iter().any(|own| own == kind) => Some(kind),
            _ => known.kinds.first().map(String::as_str),
        };
        let right = written(right_kind, &right_name);
        let refuse = |rule: String| {
            Err(NameError { found: written(kind, name), rule, remedy: format!("the right name is {right}") })
        };
        if right_kind != kind {
            let kinds: Vec<String> = known.kinds.iter().map(|kind| format!("{plugin}-{kind}")).collect();
            return refuse(match kinds.is_empty() {
                true => format!("the plugin {plugin} has one builder, which is named after it"),
                false => format!("the plugin {plugin} has the builders {}", kinds.join(", ")),
            });
        }
        if right_name != name {
            return refuse(format!(
                "a name has at most {LONGEST} lowercase letters and digits in words with hyphens between, and begins with its \
                 operating system ({os}-)"
            ));
        }
        let kind = kind.map_or_else(|| plugin.to_owned(), |kind| format!("{plugin}-{kind}"));
        Ok(BuilderId { kind, name: name.to_owned() })
    }

    /// Packer's name of the source's type: `proxmox-iso`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The name: `linux-debian-12`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Packer's `-only` name, which also names builds and files: `proxmox-iso.linux-debian-12`.
    pub fn build_name(&self) -> String {
        format!("{}.{}", self.kind, self.name)
    }
}

impl fmt::Display for BuilderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "source.{}.{}", self.kind, self.name)
    }
}

impl Serialize for BuilderId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The name as it should be: lowercase words with hyphens, the operating system first.
fn right_name(os: &str, name: &str) -> String {
    let lower = name.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let joined = words.collect::<Vec<_>>().join("-");
    let own = joined.strip_prefix(os).is_some_and(|rest| rest.starts_with('-') && rest.len() > 1);
    let full = match joined.is_empty() || joined == os {
        true => format!("{os}-image"),
        false if own => joined,
        false => format!("{os}-{joined}"),
    };
    full.chars().take(LONGEST).collect::<String>().trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kinds(kinds: &[&str]) -> Plugin {
        Plugin { kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect() }
    }

    #[test]
    fn canonical_identifiers_follow_the_convention() {
        let proxmox = kinds(&["iso", "clone"]);
        let id = BuilderId::new("proxmox", &proxmox, Some("iso"), "linux", "linux-debian-12").unwrap();
        assert_eq!(id.to_string(), "source.proxmox-iso.linux-debian-12");
        assert_eq!((id.kind(), id.name()), ("proxmox-iso", "linux-debian-12"));
        let file = BuilderId::new("file", &kinds(&[]), None, "linux", "linux-image").unwrap();
        assert_eq!(
            (file.to_string().as_str(), file.build_name().as_str()),
            ("source.file.linux-image", "file.linux-image")
        );
    }

    #[test]
    fn a_wrong_name_is_reported_with_the_right_one() {
        let proxmox = kinds(&["iso", "clone"]);
        let message = |plugin: &str, known: &Plugin, kind, name: &str| {
            BuilderId::new(plugin, known, kind, "linux", name).unwrap_err().to_string()
        };
        for (kind, name, right) in [
            (None, "linux-debian-12", "source.proxmox-iso.linux-debian-12"),
            (Some("vm"), "linux-debian-12", "source.proxmox-iso.linux-debian-12"),
            (Some("clone"), "Linux_Debian 12", "source.proxmox-clone.linux-debian-12"),
            (Some("iso"), "debian-12", "source.proxmox-iso.linux-debian-12"),
            (Some("iso"), "", "source.proxmox-iso.linux-image"),
            (Some("iso"), "linux", "source.proxmox-iso.linux-image"),
        ] {
            let error = message("proxmox", &proxmox, kind, name);
            assert!(error.ends_with(&format!("the right name is {right}")), "{error}");
        }
        assert!(message("proxmox", &proxmox, None, "linux-a").contains("has the builders proxmox-iso, proxmox-clone"));
        assert!(message("file", &kinds(&[]), Some("iso"), "linux-a").contains("has one builder"));
    }

    proptest! {
        #[test]
        fn the_proposed_name_is_valid(name in "\\PC{0,80}") {
            let right = right_name("linux", &name);
            prop_assert!(BuilderId::new("file", &kinds(&[]), None, "linux", &right).is_ok(), "{}", right);
        }
    }
}
