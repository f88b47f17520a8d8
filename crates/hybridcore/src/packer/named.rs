//! The files that a template names, however it spells them: `path.root`, `abspath(…)`, variables, locals, functions.
//!
//! Expressions are not evaluated but bounded: [`Texts`] holds every text that one may give, both branches of a conditional and all
//! values that a variable is given anywhere. A text too many costs one build; a text too few would call a stale build unchanged.
//! Where the texts cannot be bounded and a file may be named, the place is listed as unknown.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use hcl::expr::Expression;

use super::inputs::Recipe;
use crate::config::syntax;
use crate::paths::plain;
use crate::prepare::RUN_VARIABLES;
use crate::state::files;

mod attributes;
mod expressions;
mod json;

/// Most texts of one expression; it is open beyond.
const MOST_TEXTS: usize = 256;
/// The most bytes of a template or a file of variables that are searched for names of files.
const MOST_BYTES: u64 = 4 << 20;
/// Suffixes of variable files that packer loads automatically.
const AUTOMATIC: [&str; 2] = [".auto.pkrvars.hcl", ".auto.pkrvars.json"];

/// Texts that an expression may give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Texts {
    all: BTreeSet<String>,
    /// Whether it may give others too.
    is_open: bool,
}

impl Texts {
    fn open() -> Texts {
        Texts { all: BTreeSet::new(), is_open: true }
    }

    fn one(text: impl Into<String>) -> Texts {
        Texts { all: [text.into()].into(), is_open: false }
    }

    fn add(&mut self, other: Texts) {
        self.is_open |= other.is_open;
        self.all.extend(other.all);
        self.bounded();
    }

    /// Every text of these followed by every text of the others.
    fn followed_by(&self, other: &Texts) -> Texts {
        let pairs = self.all.iter().flat_map(|first| other.all.iter().map(move |second| format!("{first}{second}")));
        let mut texts = Texts { all: pairs.take(MOST_TEXTS + 1).collect(), is_open: self.is_open || other.is_open };
        texts.bounded();
        texts
    }

    fn map(self, change: impl Fn(&str) -> String) -> Texts {
        Texts { all: self.all.iter().map(|text| change(text)).collect(), is_open: self.is_open }
    }

    fn bounded(&mut self) {
        while self.all.len() > MOST_TEXTS {
            self.is_open = true;
            self.all.pop_last();
        }
    }
}

/// The files and variables that a template names.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// Texts that may be paths, of any attribute.
    pub maybe: BTreeSet<String>,
    /// Texts that are paths of this machine, with where they are named.
    pub paths: BTreeMap<String, String>,
    /// Places that may name a file that cannot be determined.
    pub unknown: BTreeSet<String>,
}

/// Where a template is, and what it is built with. Paths are absolute.
#[derive(Clone, Debug)]
pub(super) struct Ground<'a> {
    /// The workspace.
    pub root: &'a Path,
    /// The template's own folder.
    pub own: &'a Path,
    /// Where packer runs.
    pub folder: &'a Path,
    /// The template's files.
    pub files: &'a [PathBuf],
    pub recipe: &'a Recipe,
}

/// All that a template's files name.
pub(super) fn names(ground: &Ground<'_>) -> Names {
    let mut reader = Reader::new(ground);
    let mut sheets = Vec::new();
    for path in ground.files {
        match Sheet::read(path, &reader.shown(path)) {
            Ok(sheet) => sheets.push(sheet),
            Err(unknown) => drop(reader.names.unknown.insert(unknown)),
        }
    }
    sheets.iter().for_each(|sheet| reader.declare(sheet));
    reader.give_values(ground);
    sheets.iter().for_each(|sheet| reader.search(sheet));
    reader.names
}

/// A template's file.
enum Sheet {
    Hcl {
        shown: String,
        parsed: syntax::Parsed,
    },
    /// HCL in JSON (`.pkr.json`).
    HclJson {
        shown: String,
        value: serde_json::Value,
    },
    /// JSON, packer's older language.
    Json {
        shown: String,
        value: serde_json::Value,
    },
}

impl Sheet {
    fn read(path: &Path, shown: &str) -> Result<Sheet, String> {
        let shown = shown.to_owned();
        if fs::metadata(path).is_ok_and(|about| about.len() > MOST_BYTES) {
            return Err(format!("{shown} has more than {MOST_BYTES} bytes"));
        }
        let text = files::read_to_string(path).map_err(|error| format!("{shown} cannot be read ({error})"))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        if !shown.ends_with(".json") {
            let parsed = syntax::parse(&shown, text).map_err(|error| error.to_string())?;
            return Ok(Sheet::Hcl { shown, parsed });
        }
        let value = serde_json::from_str(text).map_err(|error| format!("{shown} is no JSON ({error})"))?;
        let is_hcl = shown.ends_with(".pkr.json");
        Ok(if is_hcl { Sheet::HclJson { shown, value } } else { Sheet::Json { shown, value } })
    }
}

/// Reads the sheets of one template.
struct Reader<'a> {
    ground: &'a Ground<'a>,
    variables: BTreeMap<String, Texts>,
    locals: BTreeMap<String, Expression>,
    /// Variables of `for` expressions around the present one.
    bound: Vec<(String, Texts)>,
    depth: usize,
    /// The file being read.
    place: String,
    names: Names,
}

impl<'a> Reader<'a> {
    fn new(ground: &'a Ground<'a>) -> Reader<'a> {
        let run = RUN_VARIABLES.iter().map(|name| ((*name).to_owned(), Texts::default()));
        Reader {
            ground,
            variables: run.collect(),
            locals: BTreeMap::new(),
            bound: Vec::new(),
            depth: 0,
            place: String::new(),
            names: Names::default(),
        }
    }

    /// A path as errors name it.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(self.ground.root).unwrap_or(path).display().to_string()
    }

    /// Adds values of a variable. Those that each run sets are no inputs.
    fn give(&mut self, name: &str, texts: Texts) {
        if !RUN_VARIABLES.contains(&name) {
            self.variables.entry(name.to_owned()).or_default().add(texts);
        }
    }

    /// Values of the files of variables and of the recipe.
    fn give_values(&mut self, ground: &Ground<'_>) {
        let listed = fs::read_dir(ground.own).into_iter().flatten().flatten().map(|entry| entry.path());
        let is_automatic =
            |path: &PathBuf| path.to_str().is_some_and(|name| AUTOMATIC.iter().any(|end| name.ends_with(end)));
        let mut files: Vec<PathBuf> = listed.filter(is_automatic).collect();
        files.extend(ground.recipe.var_files.iter().map(|path| ground.root.join(path)));
        for file in files {
            self.give_file(&file);
        }
        for (name, text) in &ground.recipe.variables {
            self.place = format!("the variable {name}");
            let mut texts = Texts::one(text.as_str());
            // A value of a list or an object is written as HCL.
            if let Ok(expression) = text.parse::<Expression>() {
                texts.all.extend(self.texts(&expression).all);
            }
            self.give(name, texts);
        }
        ground.recipe.secrets.iter().for_each(|name| self.give(name, Texts::open()));
        for name in &ground.recipe.environment {
            if let Some(name) = name.strip_prefix("PKR_VAR_") {
                self.give(name, Texts::open());
            }
        }
    }

    fn give_file(&mut self, file: &Path) {
        self.place = self.shown(file);
        if fs::metadata(file).is_ok_and(|about| about.len() > MOST_BYTES) {
            self.names.unknown.insert(format!("{} has more than {MOST_BYTES} bytes", self.place));
            return;
        }
        let text = files::read_to_string(file).unwrap_or_default();
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        if let Ok(serde_json::Value::Object(members)) = serde_json::from_str(text) {
            for (name, value) in members {
                self.give(&name, json::texts_within(&value));
            }
            return;
        }
        // A file that packer cannot read either fails the build.
        for assignment in syntax::parse(&self.place, text).unwrap_or_default().assignments {
            let texts = self.texts(&assignment.expression);
            self.give(&assignment.name, texts);
        }
    }

    /// Takes in the variables and locals of a sheet.
    fn declare(&mut self, sheet: &Sheet) {
        match sheet {
            Sheet::Hcl { shown, parsed } => self.declare_hcl(shown, parsed),
            Sheet::HclJson { shown, value } => self.declare_hcl_json(shown, value),
            Sheet::Json { shown, value } => self.declare_json(shown, value),
        }
    }

    fn declare_hcl(&mut self, shown: &str, parsed: &syntax::Parsed) {
        shown.clone_into(&mut self.place);
        for block in &parsed.blocks {
            let attribute = |name: &str| block.body.attributes().find(|own| own.key.as_str() == name);
            let label = block.labels.first().cloned().unwrap_or_default();
            match block.identifier.as_str() {
                "variable" => {
                    // Without a default it is unknown until a file or the recipe gives it a value.
                    if let Some(default) = attribute("default") {
                        let texts = self.texts(&default.expr);
                        self.give(&label, texts);
                    }
                }
                "locals" => {
                    let own = block.body.attributes();
                    self.locals.extend(own.map(|local| (local.key.as_str().to_owned(), local.expr.clone())));
                }
                "local" => {
                    let expression = attribute("expression").map(|found| found.expr.clone());
                    self.locals.extend(expression.map(|expression| (label, expression)));
                }
                _ => {}
            }
        }
    }

    fn search(&mut self, sheet: &Sheet) {
        match sheet {
            Sheet::Hcl { shown, parsed } => self.search_hcl(shown, parsed),
            Sheet::HclJson { shown, value } => self.search_hcl_json(shown, value),
            Sheet::Json { shown, value } => self.search_json(shown, value),
        }
    }

    /// A path without `.` and `..`, below the folder where packer runs where it is relative.
    fn absolute(&self, text: &str) -> String {
        plain(&self.ground.folder.join(text)).to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests;
