//! Which packer there is: its version, and the plugins that it would load.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use semver::Version;

use super::call::Desk;
use super::digest;
use super::failure::{Failure, FailureClass, Phase};
use super::session::Session;
use crate::leave::Leave;

/// The oldest packer whose machine-readable output and HCL templates are as they are understood here.
const OLDEST: Version = Version::new(1, 6, 0);
/// The first packer that installs plugins with `packer init`.
const FIRST_WITH_INIT: Version = Version::new(1, 7, 0);
/// How deep plugins stand in their folder: `github.com/hashicorp/amazon/packer-plugin-amazon_v1.2.3_…`.
const PLUGIN_DEPTH: usize = 4;
const PLUGIN_KINDS: &[&str] = &["plugin", "builder", "provisioner", "post-processor", "datasource"];

/// The installed packer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub version: String,
    /// Its plugins with their versions; a piece of the file's hash where the name does not tell one.
    pub plugins: BTreeMap<String, String>,
}

impl Seen {
    /// Whether this packer installs plugins with `packer init`.
    pub fn has_init(&self) -> bool {
        parse_version(&self.version).is_some_and(|version| version >= FIRST_WITH_INIT)
    }
}

/// Asks packer for its version.
pub(super) fn probe(session: &Session<'_>, desk: &Desk) -> Result<Seen, Failure> {
    let called = desk.call(session, Phase::Probe, vec!["version".into(), "-machine-readable".into()]);
    if let Some(failure) = called.failure(Phase::Probe) {
        return Err(failure);
    }
    let version = called.transcript.version.unwrap_or_default();
    match parse_version(&version) {
        Some(known) if known >= OLDEST => {
            let plugins = plugins(&[session.plugins(), session.packer_folder()], session.leave);
            Ok(Seen { version, plugins })
        }
        Some(_) => {
            let detail = format!("packer {version} is too old");
            Err(Failure::new(FailureClass::Usage, detail))
        }
        None => {
            let program = session.tool.program.to_string_lossy();
            let detail = format!("{program} does not tell a version as packer does ({version:?})");
            Err(Failure::new(FailureClass::CouldNotStart, detail))
        }
    }
}

/// A development build (`1.7.0-dev`) counts as the release it becomes, because it has the same commands.
fn parse_version(text: &str) -> Option<Version> {
    let version = Version::parse(text).ok()?;
    Some(Version::new(version.major, version.minor, version.patch))
}

/// The plugins in folders, by name.
pub(super) fn plugins(folders: &[PathBuf], leave: &dyn Leave) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for folder in folders {
        look(folder, PLUGIN_DEPTH, leave, &mut found);
    }
    found
}

fn look(folder: &Path, depth: usize, leave: &dyn Leave, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && depth > 0 {
            look(&path, depth - 1, leave, found);
        } else if let Some((name, version)) = entry.file_name().to_str().and_then(plugin) {
            let version = version.or_else(|| Some(digest::of_file(&path, leave).ok()?.0.short(12)));
            found.entry(name).or_insert(version.unwrap_or_default());
        }
    }
}

/// Name and version of a plugin's file; `None` for other files, such as checksums.
fn plugin(file: &str) -> Option<(String, Option<String>)> {
    let rest = file.strip_prefix("packer-").filter(|_| !file.ends_with("_SHA256SUM"))?;
    let kind = PLUGIN_KINDS.iter().find(|kind| rest.starts_with(&format!("{kind}-")))?;
    let rest = &rest[kind.len() + 1..];
    let mut parts = rest.split('_');
    let name = parts.next()?;
    let version = parts.next().and_then(|part| part.strip_prefix('v')).map(str::to_owned);
    let name = if *kind == "plugin" { name.to_owned() } else { format!("{kind} {name}") };
    Some((name, version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leave::Always;

    #[test]
    fn versions_are_ordered_as_numbers() {
        assert_eq!(parse_version("1.14.0"), Some(Version::new(1, 14, 0)));
        assert_eq!(parse_version("1.7.0-dev+abc"), Some(Version::new(1, 7, 0)));
        assert_eq!(parse_version("one"), None);
        let has_init = |version: &str| Seen { version: version.to_owned(), ..Seen::default() }.has_init();
        assert!(has_init("1.14.0") && has_init("1.7.0") && !has_init("1.6.6"));
    }

    #[test]
    fn plugins_of_both_layouts_are_found_with_their_versions() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("github.com/hashicorp/amazon");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("packer-plugin-amazon_v1.2.3_x5.0_linux_amd64"), "a").unwrap();
        fs::write(deep.join("packer-plugin-amazon_v1.2.3_x5.0_linux_amd64_SHA256SUM"), "a").unwrap();
        fs::write(folder.path().join("packer-provisioner-mine"), "b").unwrap();
        fs::write(folder.path().join("notes.txt"), "c").unwrap();
        let found = plugins(&[folder.path().to_owned(), folder.path().join("nowhere")], &Always);
        let hash = swoosh_types::hash::Hash::of(b"b").short(12);
        let expected = [("amazon".to_owned(), "1.2.3".to_owned()), ("provisioner mine".to_owned(), hash)];
        assert_eq!(found, expected.into());
    }
}
