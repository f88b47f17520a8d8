//! `tools/upstreams.env`: the single source of truth for upstreams.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::sources::address::{Address, AddressError, Role};
use swoosh_types::inputs::{SourceSet, SourceSpec};
use swoosh_types::text::{GitRef, Name, TextError};

/// Where the pins stand in the repository.
pub const PINS_FILE: &str = "tools/upstreams.env";
/// The key that holds the allow-list.
const ALLOW_LIST: &str = "FLOATING_ALLOWLIST";
const URL: &str = "_URL";
const REFERENCE: &str = "_REF";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins {
    /// Upstreams by the name that the file gives them, `KUBESPRAY`.
    pub upstreams: BTreeMap<String, SourceSpec>,
    /// Upstreams that may follow a branch, and which.
    pub floating: BTreeMap<String, GitRef>,
}

/// Why the pins cannot be used.
#[derive(Debug, Error)]
pub enum PinsError {
    /// The file cannot be read.
    #[error("{} cannot be read ({source}); run this in the repository's root, or name that with --root", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A line is no good.
    #[error("{PINS_FILE}:{line}: {detail}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// The error, and the form to write.
        detail: String,
    },
    /// An upstream lacks one half.
    #[error("{PINS_FILE}: {name} has no {missing}; write {name}{missing}=…")]
    Half {
        /// The upstream.
        name: String,
        /// `_URL` or `_REF`.
        missing: &'static str,
    },
    /// An address is no good.
    #[error("{PINS_FILE}: {name}{URL}: {source}")]
    Address {
        /// The upstream.
        name: String,
        #[source]
        source: AddressError,
    },
    /// The allow-list names what there is not.
    #[error("{PINS_FILE}: {ALLOW_LIST} allows {name}={reference}, and no upstream is pinned so; take it out")]
    Idle {
        /// The upstream.
        name: String,
        /// The branch.
        reference: GitRef,
    },
}

impl Pins {
    /// Reads the pins of a repository.
    pub fn load(root: &Path) -> Result<Pins, PinsError> {
        let path = root.join(PINS_FILE);
        let text =
            crate::state::files::read_to_string(&path).map_err(|source| PinsError::Unreadable { path, source })?;
        Pins::parse(&text)
    }

    /// Reads the text of a pins file.
    pub fn parse(text: &str) -> Result<Pins, PinsError> {
        let (mut urls, mut references, mut floating) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut seen = std::collections::BTreeSet::new();
        for (at, line) in text.lines().enumerate() {
            let line_number = at + 1;
            let fail = |detail: String| PinsError::Line { line: line_number, detail };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = key_and_value(line).map_err(fail)?;
            if !seen.insert(key.to_owned()) {
                return Err(fail(format!("{key} appears twice; keep one")));
            }
            if key == ALLOW_LIST {
                floating = allow_list(value).map_err(fail)?;
            } else if let Some(name) = key.strip_suffix(URL) {
                let url = value.parse().map_err(|error: TextError| fail(format!("{key}: {}", unfit(value, &error))))?;
                urls.insert(name.to_owned(), url);
            } else if let Some(name) = key.strip_suffix(REFERENCE) {
                references.insert(name.to_owned(), value.parse().map_err(|error| fail(format!("{key}: {error}")))?);
            } else {
                return Err(fail(format!("{key} is no key; write NAME{URL}, NAME{REFERENCE} or {ALLOW_LIST}")));
            }
        }
        join(urls, references, floating)
    }

    /// The upstreams as sources, under the names of their folders.
    pub fn set(&self) -> SourceSet {
        self.upstreams.iter().filter_map(|(name, spec)| Some((folder_name(name)?, spec.clone()))).collect()
    }

    /// The allow-list under the names of the folders.
    pub fn floating(&self) -> BTreeMap<Name, GitRef> {
        self.floating.iter().filter_map(|(name, branch)| Some((folder_name(name)?, branch.clone()))).collect()
    }

    /// References that look like branches and are not allowed to be, as `NAME_REF=reference`. A commit id or
    /// something with a digit in it is taken for pinned here; a fetch asks upstream.
    pub fn suspicious(&self) -> Vec<String> {
        let pinned = |reference: &GitRef| {
            let text = reference.as_str().strip_prefix("refs/tags/").unwrap_or(reference.as_str());
            let is_branch = text.starts_with("refs/heads/") || text.contains('/');
            !is_branch && text.bytes().any(|byte| byte.is_ascii_digit())
        };
        let floats = |(name, spec): &(&String, &SourceSpec)| {
            !pinned(&spec.reference) && self.floating.get(*name) != Some(&spec.reference)
        };
        let floating = self.upstreams.iter().filter(floats);
        floating.map(|(name, spec)| format!("{name}{REFERENCE}={}", spec.reference)).collect()
    }
}

/// Why a text is no address, with the address to write where that is clear.
fn unfit(text: &str, error: &TextError) -> String {
    Address::parse(text, Role::Source).err().map_or_else(|| error.to_string(), |advice| advice.to_string())
}

/// `HEROKU_BUILDPACK_APT` is fetched into `heroku-buildpack-apt`.
pub fn folder_name(name: &str) -> Option<Name> {
    name.to_ascii_lowercase().replace('_', "-").parse().ok()
}

fn key_and_value(line: &str) -> Result<(&str, &str), String> {
    let (key, value) = line.split_once('=').ok_or_else(|| format!("{line:?} has no `=`; write NAME{URL}=…"))?;
    let first = key.bytes().next().is_some_and(|byte| byte.is_ascii_uppercase());
    let rest = key.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    if !first || !rest {
        return Err(format!("{key:?} is no key; write A to Z, 0 to 9 and _, the first a letter"));
    }
    let quoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    let value = quoted.unwrap_or(value);
    if value.is_empty() && key != ALLOW_LIST {
        return Err(format!("{key} has no value"));
    }
    match value.chars().find(|c| "$`\"'\\;".contains(*c)) {
        Some(bad) => Err(format!("{key} holds {bad:?}, which no shell is there to read; write the plain value")),
        None => Ok((key, value)),
    }
}

fn allow_list(value: &str) -> Result<BTreeMap<String, GitRef>, String> {
    let one = |entry: &str| {
        let (name, branch) = entry
            .split_once('=')
            .ok_or_else(|| format!("{ALLOW_LIST}: {entry:?} names no branch; write NAME=branch"))?;
        Ok((name.to_owned(), branch.parse().map_err(|error| format!("{ALLOW_LIST}: {error}"))?))
    };
    value.split_whitespace().map(one).collect()
}

fn join(
    mut urls: BTreeMap<String, swoosh_types::text::Url>,
    references: BTreeMap<String, GitRef>,
    floating: BTreeMap<String, GitRef>,
) -> Result<Pins, PinsError> {
    let mut upstreams = BTreeMap::new();
    for (name, reference) in references {
        let url = urls.remove(&name).ok_or_else(|| PinsError::Half { name: name.clone(), missing: URL })?;
        Address::parse(url.as_str(), Role::Source)
            .map_err(|source| PinsError::Address { name: name.clone(), source })?;
        upstreams.insert(name, SourceSpec { url, reference });
    }
    if let Some((name, _)) = urls.pop_first() {
        return Err(PinsError::Half { name, missing: REFERENCE });
    }
    let idle = floating
        .iter()
        .find(|(name, branch)| upstreams.get(*name).is_none_or(|spec: &SourceSpec| spec.reference != **branch));
    match idle {
        Some((name, reference)) => Err(PinsError::Idle { name: name.clone(), reference: reference.clone() }),
        None => Ok(Pins { upstreams, floating }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_upstreams_are_pinned_and_none_floats() {
        let pins = Pins::load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))).unwrap();
        let pinned: Vec<(&str, &str)> =
            pins.upstreams.iter().map(|(name, spec)| (name.as_str(), spec.reference.as_str())).collect();
        let expected = [
            ("HEROKU_BUILDPACK_APT", "v11"),
            ("KREW", "v0.4.5"),
            ("KUBESPRAY", "v2.29.1"),
            ("MESH_FOR_DATA", "v1.3.3"),
        ];
        assert_eq!(pinned, expected);
        assert_eq!(pins.suspicious(), Vec::<String>::new());
        assert!(pins.set().keys().any(|name| name.as_str() == "heroku-buildpack-apt"));
    }

    #[test]
    fn floating_ref_detected_unless_it_is_on_the_allow_list() {
        let text = "KREW_URL=https://h/krew\nKREW_REF=main\n";
        assert_eq!(Pins::parse(text).unwrap().suspicious(), ["KREW_REF=main"]);
        let allowed = format!("{text}FLOATING_ALLOWLIST=KREW=main\n");
        assert!(Pins::parse(&allowed).unwrap().suspicious().is_empty());
        let other = text.replace("main", "refs/heads/release-1.2");
        assert_eq!(Pins::parse(&other).unwrap().suspicious().len(), 1);
    }

    #[test]
    fn pin_errors_are_reported_with_line_or_name() {
        for (text, expected) in [
            ("KREW_URL=https://h/krew", "KREW has no _REF"),
            ("KREW_REF=v1", "KREW has no _URL"),
            ("KREW_URL=git://h/krew\nKREW_REF=v1", "git:// is not allowed"),
            ("KREW_URL=https://h/krew\nKREW_REF=-v1", "upstreams.env:2"),
            ("KREW_URL=https://h/krew\nKREW_URL=https://h/other", "twice"),
            ("KREW_URL=$(curl evil)", "no shell"),
            ("KREW_URL=/srv/krew.git", "KREW_URL: \"/srv/krew.git\" is a path; write file:///srv/krew.git"),
            ("KREW_URL=git@h.example:krew", "write ssh://git@h.example/krew"),
            ("krew_url=x", "is no key"),
            ("KREW", "has no `=`"),
            ("FLOATING_ALLOWLIST=KREW=main", "take it out"),
            ("FLOATING_ALLOWLIST=KREW", "names no branch"),
        ] {
            let error = Pins::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
