//! The inputs of a build, as hashes: template files, files named in them, variables, assets, packer and its plugins. If
//! one differs from the last run's, the build has drifted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::digest::{self, DigestError, EntryKind};
use super::named::{self, Ground};
use super::report::{found_path, kept_path};
use super::session::{BuildRequest, Session};
use super::tool::Seen;
use crate::leave::Leave;
use crate::paths::plain;
use swoosh_types::hash::Hash;
use swoosh_types::inputs::{Allocation, SortedMap};

/// The most files that go into one build.
const MOST_FILES: usize = 50_000;
/// The most bytes of a template that are searched for names of files.
const MOST_TEMPLATE_BYTES: u64 = 4 << 20;
/// The most characters of a path that a template names.
const MOST_NAME: usize = 1000;
/// Folders that are never inputs, wherever they stand.
const NEVER: &[&str] = &[".git", "packer_cache"];
/// Prefixes of a path below the template's own folder.
const OWN_FOLDER: &[&str] = &["${path.root}/", "${path.cwd}/", "{{template_dir}}/", "{{ template_dir }}/"];

/// A build request without secrets. It lets drift be detected without the request. Paths inside the workspace are
/// relative to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    pub template: String,
    /// Where packer runs.
    pub folder: String,
    /// Files of variables.
    #[serde(default)]
    pub var_files: Vec<String>,
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Names of secret variables.
    #[serde(default)]
    pub secrets: BTreeSet<String>,
    /// Names of environment variables that packer gets too.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub environment: BTreeSet<String>,
    /// More files and folders.
    #[serde(default)]
    pub assets: Vec<String>,
    /// Only these builds.
    #[serde(default)]
    pub only: Vec<String>,
    /// All but these builds.
    #[serde(default)]
    pub except: Vec<String>,
    /// The caller's own hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs_hash: Option<Hash>,
    /// Resources of the build.
    #[serde(default, skip_serializing_if = "SortedMap::is_empty")]
    pub allocation: Allocation,
}

impl Recipe {
    /// The recipe of a request; `None` when a path is no UTF-8.
    pub(super) fn of(session: &Session<'_>, request: &BuildRequest) -> Option<Recipe> {
        let root = session.workspace.root();
        let kept = |path: &PathBuf| kept_path(root, &tidy(&session.absolute(path)));
        Some(Recipe {
            template: kept(&request.template)?,
            folder: kept(&request.folder.clone().unwrap_or_else(|| root.to_owned()))?,
            var_files: request.var_files.iter().map(kept).collect::<Option<_>>()?,
            variables: request.variables.clone(),
            secrets: request.secrets.keys().cloned().collect(),
            environment: request.environment.keys().cloned().collect(),
            assets: request.assets.iter().map(kept).collect::<Option<_>>()?,
            only: request.only.clone(),
            except: request.except.clone(),
            inputs_hash: request.inputs_hash,
            allocation: request.allocation.clone(),
        })
    }
}

/// A path without `.` in it.
fn tidy(path: &Path) -> PathBuf {
    path.components().collect()
}

/// The inputs of a build: a hash for each, and one of them all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Of all of it.
    pub hash: Hash,
    /// Of each, by `file PATH`, `variable NAME`, `plugin NAME`, `packer` and `option NAME`.
    pub entries: BTreeMap<String, Hash>,
}

/// How an input differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Difference {
    /// It was not there.
    Added,
    /// It is not there any more.
    Removed,
    /// It is another one.
    Changed,
}

/// An input that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    pub input: String,
    pub difference: Difference,
}

impl Inputs {
    fn of(entries: BTreeMap<String, Hash>) -> Inputs {
        let lines: String =
            entries.iter().map(|(name, hash)| format!("{hash} {}\n", Hash::of(name.as_bytes()))).collect();
        Inputs { hash: Hash::of(lines.as_bytes()), entries }
    }

    /// Differences of newer inputs from these, sorted.
    pub fn changes(&self, newer: &Inputs) -> Vec<Change> {
        let names: BTreeSet<&String> = self.entries.keys().chain(newer.entries.keys()).collect();
        let change = |name: &String| {
            let difference = match (self.entries.get(name), newer.entries.get(name)) {
                (Some(old), Some(new)) if old == new => return None,
                (Some(_), Some(_)) => Difference::Changed,
                (None, _) => Difference::Added,
                (_, None) => Difference::Removed,
            };
            Some(Change { input: name.clone(), difference })
        };
        names.into_iter().filter_map(change).collect()
    }

    /// Files that are in newer inputs and were not in these, by path.
    pub(super) fn new_files<'a>(&'a self, newer: &'a Inputs) -> impl Iterator<Item = &'a str> {
        let new = newer.entries.keys().filter(|name| !self.entries.contains_key(*name));
        new.filter_map(|name| name.strip_prefix(FILE))
    }
}

const FILE: &str = "file ";

/// Everything that goes into a build, as far as it can be determined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gathered {
    pub inputs: Inputs,
    /// Places that may name further files; none when `--asset` names files, which then are the caller's word for them.
    pub unknown: BTreeSet<String>,
}

impl Gathered {
    /// Why it is not known whether inputs changed, with the remedy.
    pub fn doubt(&self) -> Option<String> {
        const SHOWN: usize = 5;
        if self.unknown.is_empty() {
            return None;
        }
        let mut places: Vec<&str> = self.unknown.iter().take(SHOWN).map(String::as_str).collect();
        let more = format!("{} more", self.unknown.len().saturating_sub(SHOWN));
        places.extend((self.unknown.len() > SHOWN).then_some(more.as_str()));
        Some(format!(
            "the inputs cannot all be determined, so each build runs again ({}); name the files with --asset",
            places.join("; ")
        ))
    }
}

/// Hashes everything that goes into a build. `skip` are paths (with all below them) that runs made themselves.
pub(super) fn gather(
    root: &Path,
    recipe: &Recipe,
    seen: &Seen,
    skip: &BTreeSet<String>,
    leave: &dyn Leave,
) -> Result<Gathered, DigestError> {
    let mut gatherer = Gatherer { root, skip, leave, entries: BTreeMap::new(), unknown: BTreeSet::new() };
    let template = found_path(root, &recipe.template);
    gatherer.add(&template)?;
    for path in recipe.var_files.iter().chain(&recipe.assets) {
        gatherer.add(&found_path(root, path))?;
    }
    gatherer.add_named(&template, &found_path(root, &recipe.folder))?;
    gatherer.add_spelled(&template, recipe)?;
    let (mut entries, mut unknown) = (gatherer.entries, gatherer.unknown);
    for name in recipe.environment.iter().filter(|name| name.starts_with("PKR_VAR_")) {
        unknown.insert(format!("the value of {name} is not kept; give the variable with --var"));
    }
    if !recipe.assets.is_empty() {
        unknown.clear();
    }
    let text = |text: &str| Hash::of(text.as_bytes());
    entries.insert("packer".to_owned(), text(&seen.version));
    entries.extend(seen.plugins.iter().map(|(name, version)| (format!("plugin {name}"), text(version))));
    entries.extend(recipe.variables.iter().map(|(name, value)| (format!("variable {name}"), text(value))));
    entries.extend(recipe.secrets.iter().map(|name| (format!("secret {name}"), text(name))));
    entries.extend(recipe.environment.iter().map(|name| (format!("environment {name}"), text(name))));
    for (name, builds) in [("only", &recipe.only), ("except", &recipe.except)] {
        entries.insert(format!("option {name}"), text(&builds.join(",")));
    }
    entries.insert("option folder".to_owned(), text(&recipe.folder));
    entries.extend(recipe.inputs_hash.map(|hash| ("configuration".to_owned(), hash)));
    Ok(Gathered { inputs: Inputs::of(entries), unknown })
}

struct Gatherer<'a> {
    root: &'a Path,
    skip: &'a BTreeSet<String>,
    leave: &'a dyn Leave,
    entries: BTreeMap<String, Hash>,
    unknown: BTreeSet<String>,
}

impl Gatherer<'_> {
    fn add(&mut self, path: &Path) -> Result<(), DigestError> {
        let kind = fs::metadata(path).map_err(|_| DigestError::Missing(path.to_owned()))?.file_type();
        if kind.is_file() {
            return self.add_file(path);
        }
        if !kind.is_dir() {
            return Err(DigestError::Special(path.to_owned()));
        }
        // Links may lead anywhere: their targets are inputs too, and nothing is ever written there.
        for entry in digest::walk(path, Path::new("/"), self.leave)? {
            let whole = path.join(&entry.path);
            match entry.kind {
                EntryKind::Folder => {}
                EntryKind::File => self.add_file(&whole)?,
                EntryKind::Link(target) => {
                    self.insert(&whole, Hash::of(target.as_os_str().as_encoded_bytes()));
                    if whole.is_file() {
                        self.add_file(&whole)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn add_file(&mut self, path: &Path) -> Result<(), DigestError> {
        if self.is_skipped(path) {
            return Ok(());
        }
        if self.entries.len() >= MOST_FILES {
            return Err(DigestError::TooMany(path.to_owned()));
        }
        let (hash, _) = digest::of_file(path, self.leave)?;
        let may_run = fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o100 != 0);
        self.insert(path, if may_run { Hash::of(format!("{hash} executable").as_bytes()) } else { hash });
        Ok(())
    }

    fn insert(&mut self, path: &Path, hash: Hash) {
        if !self.is_skipped(path) {
            self.entries.insert(format!("{FILE}{}", self.name(path)), hash);
        }
    }

    fn name(&self, path: &Path) -> String {
        path.strip_prefix(self.root).unwrap_or(path).to_string_lossy().into_owned()
    }

    fn is_skipped(&self, path: &Path) -> bool {
        let below = path.strip_prefix(self.root).unwrap_or(path);
        let ours = ["state", "logs"].iter().any(|ours| below.starts_with(ours));
        let never = below.components().any(|part| NEVER.iter().any(|never| part.as_os_str() == *never));
        let made = below.ancestors().filter_map(Path::to_str).any(|part| self.skip.contains(part));
        ours || never || made
    }

    /// Files and folders inside of the workspace that the template's texts name.
    fn add_named(&mut self, template: &Path, folder: &Path) -> Result<(), DigestError> {
        let own = if template.is_dir() { template } else { template.parent().unwrap_or(template) };
        for file in template_files(template) {
            let small = fs::metadata(&file).is_ok_and(|about| about.len() <= MOST_TEMPLATE_BYTES);
            let Ok(text) = crate::state::files::read(&file) else { continue };
            for name in literals(&String::from_utf8_lossy(&text)).into_iter().filter(|_| small) {
                for path in [folder.join(&name), own.join(&name)] {
                    if self.may_be_input(&path) {
                        self.add(&path)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Files and folders that the template's expressions name.
    fn add_spelled(&mut self, template: &Path, recipe: &Recipe) -> Result<(), DigestError> {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let root = absolute(self.root);
        let own = if template.is_dir() { template } else { template.parent().unwrap_or(template) };
        let (own, folder) = (absolute(own), absolute(&found_path(self.root, &recipe.folder)));
        let files: Vec<PathBuf> = template_files(template).iter().map(|file| absolute(file)).collect();
        let ground = Ground { root: &root, own: &own, folder: &folder, files: &files, recipe };
        let names = named::names(&ground);
        self.unknown.extend(names.unknown);
        // Named as below the workspace, however the expression spells it.
        let below = |path: &Path| match plain(path).strip_prefix(&root) {
            Ok(below) => self.root.join(below),
            Err(_) => plain(path),
        };
        let found = |text: &String| {
            let places = [below(&folder.join(text)), below(&own.join(text))];
            places.into_iter().find(|path| fs::metadata(path).is_ok())
        };
        let maybe: BTreeSet<PathBuf> = names.maybe.iter().filter_map(found).collect();
        let paths: BTreeMap<PathBuf, &String> =
            names.paths.iter().filter_map(|(text, place)| Some((found(text)?, place))).collect();
        for path in maybe.iter().chain(paths.keys()).filter(|path| self.may_be_input(path)).collect::<BTreeSet<_>>() {
            self.add(path)?;
        }
        let beyond = paths.iter().filter(|(path, _)| !self.may_be_input(path) && !self.is_skipped(path));
        let describe = |(path, place): (&PathBuf, &&String)| {
            format!("{place}: {} is not within the workspace, or is all of it", path.display())
        };
        let beyond: Vec<String> = beyond.map(describe).collect();
        self.unknown.extend(beyond);
        Ok(())
    }

    /// Whether a path that a template names is there, and part of the workspace and not all of it.
    fn may_be_input(&self, path: &Path) -> bool {
        let Ok(whole) = digest::inside(path, self.root) else { return false };
        let is_whole = self.root.canonicalize().is_ok_and(|root| root == whole);
        let kind = fs::metadata(&whole).map(|about| about.file_type());
        !is_whole && kind.is_ok_and(|kind| kind.is_file() || kind.is_dir()) && !self.is_skipped(path)
    }
}

/// The files that make up a template.
pub(super) fn template_files(template: &Path) -> Vec<PathBuf> {
    if !template.is_dir() {
        return vec![template.to_owned()];
    }
    let entries = fs::read_dir(template).into_iter().flatten().flatten();
    let is_part = |path: &PathBuf| path.to_str().is_some_and(|name| name.ends_with(".hcl") || name.ends_with(".json"));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_part).collect();
    files.sort();
    files
}

/// Quoted texts that may be paths, without the placeholder of the template's own folder.
fn literals(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let pieces: Vec<&str> = line.split('"').collect();
        // Whichever quote opens: a quote too many must not hide a name.
        for piece in pieces.iter().take(pieces.len().saturating_sub(1)).skip(1) {
            let own = OWN_FOLDER.iter().find_map(|prefix| piece.strip_prefix(prefix));
            let name = own.unwrap_or(piece).trim_start_matches("./").trim_end_matches('/');
            let is_name = !name.is_empty() && name.len() <= MOST_NAME && !name.contains("${") && !name.contains("{{");
            if is_name && !name.contains(['\\', '\0']) {
                found.insert(name.to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leave::Always;

    const TEMPLATE: &str = r#"
source "file" "a" { target = "${var.swoosh_output}/a" }
build {
  provisioner "shell" { script = "${path.root}/setup.sh" }
  provisioner "file" { source = "files/" destination = "/etc" }
  post-processor "manifest" { output = "made.json" }
}"#;

    struct Desk(tempfile::TempDir);

    impl Desk {
        fn new() -> Desk {
            let desk = Desk(tempfile::tempdir().unwrap());
            for (path, text) in [
                ("templates/web.pkr.hcl", TEMPLATE),
                ("templates/setup.sh", "true"),
                ("files/deep/x", "x"),
                ("vars.pkrvars.hcl", "a = 1"),
                ("state/runs/old", "old"),
                ("unrelated", "u"),
            ] {
                desk.write(path, text);
            }
            desk
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn gather(&self, skip: &[&str]) -> Inputs {
            self.gather_as(&recipe(), &Seen { version: "1.6.6".to_owned(), ..Seen::default() }, skip)
        }

        fn gather_as(&self, recipe: &Recipe, seen: &Seen, skip: &[&str]) -> Inputs {
            let skip = skip.iter().map(|path| (*path).to_owned()).collect();
            self.gathered(recipe, seen, &skip).inputs
        }

        fn gathered(&self, recipe: &Recipe, seen: &Seen, skip: &BTreeSet<String>) -> Gathered {
            gather(self.0.path(), recipe, seen, skip, &Always).unwrap()
        }
    }

    fn recipe() -> Recipe {
        Recipe {
            template: "templates/web.pkr.hcl".to_owned(),
            folder: String::new(),
            var_files: vec!["vars.pkrvars.hcl".to_owned()],
            variables: [("size".to_owned(), "1".to_owned())].into(),
            secrets: BTreeSet::new(),
            environment: BTreeSet::new(),
            assets: Vec::new(),
            only: Vec::new(),
            except: Vec::new(),
            allocation: Allocation::new(),
            inputs_hash: None,
        }
    }

    fn files(inputs: &Inputs) -> Vec<&str> {
        inputs.entries.keys().filter_map(|name| name.strip_prefix(FILE)).collect()
    }

    #[test]
    fn a_template_its_variables_and_all_that_it_names_inside_the_workspace_are_inputs() {
        let inputs = Desk::new().gather(&[]);
        assert_eq!(files(&inputs), ["files/deep/x", "templates/setup.sh", "templates/web.pkr.hcl", "vars.pkrvars.hcl"]);
    }

    #[test]
    fn each_change_of_an_input_is_drift_that_names_it_and_nothing_else_is() {
        let desk = Desk::new();
        let before = desk.gather(&[]);
        desk.write("unrelated", "v");
        desk.write("state/runs/new", "new");
        assert_eq!(before.changes(&desk.gather(&[])), []);
        assert_eq!(before.hash, desk.gather(&[]).hash);
        desk.write("templates/setup.sh", "false");
        desk.write("files/y", "y");
        fs::remove_file(desk.0.path().join("files/deep/x")).unwrap();
        let seen = Seen { version: "1.14.0".to_owned(), plugins: [("amazon".to_owned(), "1.2.3".to_owned())].into() };
        let mut recipe = recipe();
        recipe.variables.insert("size".to_owned(), "2".to_owned());
        let changes = before.changes(&desk.gather_as(&recipe, &seen, &[]));
        let differences: Vec<(&str, Difference)> = changes.iter().map(|c| (c.input.as_str(), c.difference)).collect();
        assert_eq!(
            differences,
            [
                ("file files/deep/x", Difference::Removed),
                ("file files/y", Difference::Added),
                ("file templates/setup.sh", Difference::Changed),
                ("packer", Difference::Changed),
                ("plugin amazon", Difference::Added),
                ("variable size", Difference::Changed),
            ]
        );
    }

    #[test]
    fn what_a_build_made_is_no_input_of_the_next() {
        let desk = Desk::new();
        let before = desk.gather(&[]);
        desk.write("made.json", "{}");
        desk.write("files/out/a", "a");
        let after = desk.gather(&[]);
        assert_eq!(before.new_files(&after).collect::<Vec<_>>(), ["files/out/a", "made.json"]);
        assert_eq!(before.changes(&desk.gather(&["made.json", "files/out"])), []);
    }

    /// A build copies the x bit of an asset into its image, so a change of it is a change of the build.
    #[test]
    fn a_file_that_may_be_run_from_now_on_is_another_input() {
        let desk = Desk::new();
        let before = desk.gather(&[]);
        for path in ["templates/setup.sh", "files/deep/x"] {
            fs::set_permissions(desk.0.path().join(path), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let changes = before.changes(&desk.gather(&[]));
        let changed: Vec<_> = changes.iter().map(|change| change.input.as_str()).collect();
        assert_eq!(changed, ["file files/deep/x", "file templates/setup.sh"]);
    }

    #[test]
    fn names_are_found_however_the_quotes_stand() {
        let names = literals(r#"a = "x/y" b = ["./z", "${path.root}/w/", "${var.v}/no", "{{user `u`}}"] c = ""q""#);
        for name in ["x/y", "z", "w", "q"] {
            assert!(names.contains(name), "{name}: {names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("no") || name.contains("user")), "{names:?}");
    }
}
