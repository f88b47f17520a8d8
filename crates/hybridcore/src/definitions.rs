//! The definitions of builds: overlays, schema, inventory, templates and assets, read into memory whole.
//!
//! Everything that configuration, templates and provisioners compute is a function of these files and of what was
//! asked, so that the same input gives the same bytes whatever order a file system lists them in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

use swoosh_types::hash::Hash;

mod built_in;

/// Where the definitions stand in a workspace.
pub const DEFINITIONS_FOLDER: &str = "config/hybridcore";
/// Where files that tools read stand, hidden ones among them.
const ASSETS: &str = "templates/";
/// Names left by version control, file managers and editors, in any folder.
const NEVER: &[&str] = &[".git", ".hg", ".svn", ".DS_Store"];
/// The most files.
const MOST_FILES: usize = 5_000;
/// The most bytes of one file.
const FILE_BYTES: u64 = 4 << 20;
/// The most bytes of all files.
const ALL_BYTES: u64 = 64 << 20;
/// How deep folders may be nested.
const DEEPEST: usize = 16;

/// Why definitions cannot be read.
#[derive(Debug, Error)]
pub enum DefinitionsError {
    /// There is no such folder.
    #[error(
        "{} is no folder; name the definitions with --definitions, or write the built-in ones there with \
         `swoosh templates init`",
        path.display()
    )]
    NoFolder { path: PathBuf },
    /// The system would not let us.
    #[error("{} cannot be read ({source}); give this user read access to it", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It is neither a file nor a folder, or its name is no good.
    #[error("{} is {what}; replace it by a plain file, or take it away", path.display())]
    NotPlain { path: PathBuf, what: &'static str },
    /// There is too much.
    #[error("{} is too large: {what}; keep only definitions there", path.display())]
    TooLarge {
        path: PathBuf,
        /// Which bound it exceeds.
        what: String,
    },
    /// A file that is needed is not there.
    #[error("{label} has no {path}; write it, or take it from the built-in ones (`swoosh templates init`)")]
    Missing {
        /// Which definitions.
        label: String,
        /// The file, relative to them.
        path: String,
    },
    /// A file that should be text is none.
    #[error("{label}/{path} is no UTF-8 text; save it as UTF-8")]
    NotText {
        /// Which definitions.
        label: String,
        /// The file, relative to them.
        path: String,
    },
}

/// Files by their path, which is relative and separated by `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definitions {
    label: String,
    files: BTreeMap<String, Vec<u8>>,
    executables: BTreeSet<String>,
}

impl Definitions {
    /// Definitions that were read before; `label` is what errors call them.
    pub fn from_files(label: impl Into<String>, files: BTreeMap<String, Vec<u8>>) -> Definitions {
        Definitions { label: label.into(), files, executables: BTreeSet::new() }
    }

    /// Those that come with this program.
    pub fn built_in() -> Definitions {
        let files = built_in::FILES.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()));
        Definitions::from_files("built-in", files.collect())
    }

    /// Reads a folder. Left-overs of version control and editors (`.git`, `name~`, `.name.swp`) are skipped, and outside of `templates/` all
    /// that is hidden; links are refused.
    pub fn load(folder: &Path) -> Result<Definitions, DefinitionsError> {
        if !folder.is_dir() {
            return Err(DefinitionsError::NoFolder { path: folder.to_owned() });
        }
        let mut reader = Reader::default();
        reader.folder(folder, "", 0)?;
        let (files, executables) = (reader.files, reader.executables);
        Ok(Definitions { label: folder.display().to_string(), files, executables })
    }

    /// Its name in errors: the folder, or `built-in`.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// A file's bytes.
    pub fn bytes(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// Whether its owner may run a file.
    pub fn is_executable(&self, path: &str) -> bool {
        self.executables.contains(path)
    }

    /// A file's bytes, which must be there.
    pub fn need(&self, path: &str) -> Result<&[u8], DefinitionsError> {
        self.bytes(path).ok_or_else(|| DefinitionsError::Missing { label: self.label.clone(), path: path.to_owned() })
    }

    /// A file's text, which must be there. Line ends of other systems become ours.
    pub fn text(&self, path: &str) -> Result<String, DefinitionsError> {
        let text = std::str::from_utf8(self.need(path)?);
        let text = text.map_err(|_| DefinitionsError::NotText { label: self.label.clone(), path: path.to_owned() })?;
        Ok(text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n"))
    }

    /// All files below a folder (`templates/ansible`), by path.
    pub fn below<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let inside = move |path: &&String| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        let from = self.files.iter().filter(move |(path, _)| inside(path));
        from.map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
    }

    /// All files, by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
    }

    /// Hash of all paths and contents, and of which files may be run.
    pub fn digest(&self) -> Hash {
        let mut text = String::new();
        for (path, bytes) in &self.files {
            let mark = if self.is_executable(path) { " executable" } else { "" };
            text.push_str(&format!("{} {path}{mark}\n", Hash::of(bytes)));
        }
        Hash::of(text.as_bytes())
    }

    /// Names of the files `folder/NAME<suffix>`, sorted.
    pub fn names(&self, folder: &str, suffix: &str) -> Vec<String> {
        let names = self.below(folder).filter_map(|(path, _)| {
            let name = path.strip_prefix(folder)?.strip_prefix('/')?.strip_suffix(suffix)?;
            (!name.contains('/')).then(|| name.to_owned())
        });
        names.collect()
    }
}

/// Whether version control, a file manager or an editor left a file of this name.
pub fn is_left_over(name: &str) -> bool {
    let is_swap = name.starts_with('.') && [".swp", ".swo"].iter().any(|end| name.ends_with(end));
    NEVER.contains(&name) || is_swap || name.starts_with(".#") || name.ends_with('~')
}

#[derive(Default)]
struct Reader {
    files: BTreeMap<String, Vec<u8>>,
    executables: BTreeSet<String>,
    bytes: u64,
}

impl Reader {
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), DefinitionsError> {
        let unreadable = |source| DefinitionsError::Unreadable { path: folder.to_owned(), source };
        if depth > DEEPEST {
            let what = format!("folders are nested deeper than {DEEPEST}");
            return Err(DefinitionsError::TooLarge { path: folder.to_owned(), what });
        }
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let path = entry.path();
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                return Err(DefinitionsError::NotPlain { path, what: "named in no UTF-8" });
            };
            if is_left_over(&name) || (name.starts_with('.') && !prefix.starts_with(ASSETS)) {
                continue;
            }
            let kind = entry.file_type().map_err(unreadable)?;
            if kind.is_dir() {
                self.folder(&path, &format!("{prefix}{name}/"), depth + 1)?;
            } else if kind.is_file() {
                self.file(&path, format!("{prefix}{name}"))?;
            } else {
                let what = if kind.is_symlink() { "a symbolic link" } else { "no plain file" };
                return Err(DefinitionsError::NotPlain { path, what });
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: String) -> Result<(), DefinitionsError> {
        let unreadable = |source| DefinitionsError::Unreadable { path: path.to_owned(), source };
        let too_large = |what: String| DefinitionsError::TooLarge { path: path.to_owned(), what };
        let about = fs::metadata(path).map_err(unreadable)?;
        if about.len() > FILE_BYTES {
            return Err(too_large(format!("the file has more than {FILE_BYTES} bytes")));
        }
        let bytes = crate::state::files::read(path).map_err(unreadable)?;
        self.bytes += bytes.len() as u64;
        if about.permissions().mode() & 0o100 != 0 {
            self.executables.insert(name.clone());
        }
        self.files.insert(name, bytes);
        if self.bytes > ALL_BYTES || self.files.len() > MOST_FILES {
            return Err(too_large(format!("there are more than {MOST_FILES} files or {ALL_BYTES} bytes in all")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_definitions_are_those_of_the_repository() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(DEFINITIONS_FOLDER);
        let loaded = Definitions::load(&folder).unwrap();
        let built_in = Definitions::built_in();
        let paths = |definitions: &Definitions| definitions.files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(
            paths(&loaded),
            paths(&built_in),
            "enter new files in crates/hybridcore/src/definitions/built_in.rs"
        );
        assert_eq!(loaded.digest(), built_in.digest());
    }

    #[test]
    fn what_is_no_definition_is_passed_over_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("overlays/environment")).unwrap();
        fs::write(root.join("overlays/environment/dev.pkrvars.hcl"), "\u{feff}a = 1\r\n").unwrap();
        fs::write(root.join("schema.yaml~"), "old").unwrap();
        fs::write(root.join(".hidden"), "old").unwrap();
        fs::create_dir_all(root.join("templates/ansible/.git")).unwrap();
        for left in [".git/config", ".site.yml.swp", ".#site.yml", "site.yml~"] {
            fs::write(root.join("templates/ansible").join(left), "old").unwrap();
        }
        let definitions = Definitions::load(root).unwrap();
        assert_eq!(definitions.names("overlays/environment", ".pkrvars.hcl"), ["dev"]);
        assert_eq!(definitions.files().count(), 1);
        assert_eq!(definitions.text("overlays/environment/dev.pkrvars.hcl").unwrap(), "a = 1\n");
        // Tools read hidden files, such as .ansible-lint; one was called missing while it stood there.
        fs::write(root.join("templates/ansible/.ansible-lint"), "x").unwrap();
        assert_eq!(Definitions::load(root).unwrap().bytes("templates/ansible/.ansible-lint"), Some(&b"x"[..]));
        std::os::unix::fs::symlink("/etc/hostname", root.join("link")).unwrap();
        let error = Definitions::load(root).unwrap_err().to_string();
        assert!(error.contains("link is a symbolic link"), "{error}");
        let error = Definitions::load(&root.join("absent")).unwrap_err().to_string();
        assert!(error.contains("swoosh templates init"), "{error}");
        assert!(definitions.text("schema.yaml").unwrap_err().to_string().contains("has no schema.yaml"));
    }
}
