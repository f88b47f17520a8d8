//! Puts the packer files of a build together, in one order that never changes.
//!
//! Settings, variables, locals, sources, builds, assets; within each by path. Files keep their text, with one exception: the
//! line `# swoosh: provisioners` of a build becomes the blocks of the stacks that are on.

use std::collections::BTreeMap;
use std::fmt;

use hcl::expr::Expression;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::inventory::{Builder, Inventory, Provisioning};
use super::manifest::{Manifest, ManifestFile, Part};
use crate::config::syntax::{self, Place, SyntaxError};
use crate::definitions::{Definitions, DefinitionsError};
use crate::provisioners::Plan;
use swoosh_types::hash::Hash;

/// The end of the name of a packer template.
const SUFFIX: &str = ".pkr.hcl";
/// The line of a build that provisioner blocks take the place of.
const MARKER: &str = "# swoosh: provisioners";

/// The role of a file in a composition. The order is the order of composition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The beginning of every composition.
    Settings,
    /// Declarations of variables.
    Variables,
    Locals,
    /// A source block.
    Source,
    /// A build block.
    Build,
    /// A file that provisioners use.
    Asset,
}

impl Role {
    /// All of them, in their order.
    pub const ALL: [Role; 6] = [Role::Settings, Role::Variables, Role::Locals, Role::Source, Role::Build, Role::Asset];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Settings => "settings",
            Role::Variables => "variables",
            Role::Locals => "locals",
            Role::Source => "source",
            Role::Build => "build",
            Role::Asset => "asset",
        })
    }
}

/// One file of a composition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComposedFile {
    /// Its path in the composition's folder.
    pub path: String,
    pub role: Role,
    pub bytes: Vec<u8>,
    /// Whether it may be run.
    pub executable: bool,
    /// Its parts, as paths in the definitions with their hashes.
    pub from: Vec<Part>,
}

/// A variable that the composed files declare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    pub place: Place,
    /// Whether packer has a value when none is given.
    pub has_default: bool,
    /// Whether packer keeps it out of its output.
    pub sensitive: bool,
}

/// The files of a build, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composition {
    /// Canonical identifiers of the builders.
    pub builders: Vec<String>,
    pub files: Vec<ComposedFile>,
    /// Variables by name.
    pub declared: BTreeMap<String, Declared>,
}

/// Why there is no composition.
#[derive(Debug, Error)]
pub enum ComposeError {
    /// A file is missing or no text.
    #[error(transparent)]
    Definitions(#[from] DefinitionsError),
    /// A file is no HCL.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// A build with its provisioners is invalid HCL.
    #[error("{build} with the blocks of {blocks} is no HCL: {source}; mend the blocks")]
    Blocks {
        build: String,
        /// The provisioners.
        blocks: String,
        #[source]
        source: SyntaxError,
    },
    /// A build has no place for provisioners.
    #[error(
        "{build} has no line `{MARKER}`, and {stack} is on; add the line where its block belongs, or turn {stack} off"
    )]
    NoMarker {
        build: String,
        /// The first stack.
        stack: String,
    },
    /// Two files would have one name.
    #[error("{first} and {second} would both become {path}; give one of them another name")]
    Clash {
        first: String,
        second: String,
        /// Their common name.
        path: String,
    },
    /// A variable is declared twice.
    #[error("the variable {name} is declared twice, at {first} and at {second}; take one of them out")]
    Twice {
        /// The variable.
        name: String,
        first: Place,
        second: Place,
    },
    /// There is nothing to compose.
    #[error("no builder was named; `swoosh templates list` shows all")]
    Nothing,
}

/// Composes the files of some builders with the stacks that are on.
pub fn compose_files(
    definitions: &Definitions,
    inventory: &Inventory,
    builders: &[&Builder],
    plan: &Plan,
) -> Result<Composition, ComposeError> {
    if builders.is_empty() {
        return Err(ComposeError::Nothing);
    }
    let mut sheet = Sheet { definitions, files: BTreeMap::new() };
    for path in &inventory.settings {
        sheet.template(Role::Settings, path)?;
    }
    for builder in builders {
        let of = |role: Role, paths: &[String]| paths.iter().map(|path| (role, path.clone())).collect::<Vec<_>>();
        let own = [of(Role::Variables, &builder.variables), of(Role::Locals, &builder.locals)].concat();
        for (role, path) in own {
            sheet.template(role, &path)?;
        }
        sheet.template(Role::Source, &builder.source)?;
        sheet.build(builder, plan)?;
    }
    for stack in &plan.stacks {
        sheet.template(Role::Variables, &stack.variables)?;
        for asset in &stack.assets {
            sheet.asset(asset)?;
        }
    }
    let mut names: Vec<String> = builders.iter().map(|builder| builder.id.to_string()).collect();
    names.sort();
    names.dedup();
    let files: Vec<ComposedFile> = sheet.files.into_values().collect();
    let declared = declared(&files)?;
    Ok(Composition { builders: names, files, declared })
}

/// Files by role and path, which is the order.
struct Sheet<'a> {
    definitions: &'a Definitions,
    files: BTreeMap<(Role, String), ComposedFile>,
}

impl Sheet<'_> {
    fn part(&self, path: &str) -> Result<Part, DefinitionsError> {
        Ok(Part { path: path.to_owned(), sha256: Hash::of(self.definitions.need(path)?) })
    }

    fn template(&mut self, role: Role, path: &str) -> Result<(), ComposeError> {
        let text = self.definitions.text(path)?;
        syntax::parse(path, &text)?;
        let from = vec![self.part(path)?];
        self.add(ComposedFile { path: name_of(role, path), role, bytes: text.into_bytes(), executable: false, from })
    }

    /// Assets keep their bytes, their path below `templates/`, and whether they may be run.
    fn asset(&mut self, path: &str) -> Result<(), ComposeError> {
        let bytes = self.definitions.need(path)?.to_vec();
        let own = path.strip_prefix("templates/").unwrap_or(path).to_owned();
        let from = vec![self.part(path)?];
        let executable = self.definitions.is_executable(path);
        self.add(ComposedFile { path: own, role: Role::Asset, bytes, executable, from })
    }

    fn build(&mut self, builder: &Builder, plan: &Plan) -> Result<(), ComposeError> {
        let text = self.definitions.text(&builder.build)?;
        syntax::parse(&builder.build, &text)?;
        let stacks = if builder.provisioning == Provisioning::Remote { plan.stacks.as_slice() } else { &[] };
        let (mut blocks, mut from) = (Vec::new(), vec![self.part(&builder.build)?]);
        for stack in stacks {
            let block = self.definitions.text(&stack.block)?;
            syntax::parse(&stack.block, &block)?;
            blocks.push(block);
            from.push(self.part(&stack.block)?);
        }
        let composed = with_blocks(&text, &blocks);
        if let (Some(stack), None) = (stacks.first(), &composed) {
            return Err(ComposeError::NoMarker { build: builder.build.clone(), stack: stack.stack.to_string() });
        }
        let composed = composed.unwrap_or(text);
        syntax::parse(&builder.build, &composed).map_err(|source| ComposeError::Blocks {
            build: builder.build.clone(),
            blocks: stacks.iter().map(|stack| stack.block.clone()).collect::<Vec<_>>().join(", "),
            source,
        })?;
        let path = name_of(Role::Build, &builder.build);
        self.add(ComposedFile { path, role: Role::Build, bytes: composed.into_bytes(), executable: false, from })
    }

    /// A file that several builders share is there once; two that would have one name are refused.
    fn add(&mut self, file: ComposedFile) -> Result<(), ComposeError> {
        let first_of = |file: &ComposedFile| file.from.first().map(|part| part.path.clone()).unwrap_or_default();
        match self.files.get(&(file.role, file.path.clone())) {
            Some(there) if *there != file => {
                let (first, second) = (first_of(there), first_of(&file));
                Err(ComposeError::Clash { first, second, path: file.path })
            }
            _ => {
                self.files.insert((file.role, file.path.clone()), file);
                Ok(())
            }
        }
    }
}

/// `40-source-file.linux-image.pkr.hcl`: the role's place in the order, its name, and the file's own.
fn name_of(role: Role, path: &str) -> String {
    let place = Role::ALL.iter().position(|own| *own == role).unwrap_or_default();
    let own = path.rsplit('/').next().unwrap_or(path).strip_suffix(SUFFIX).unwrap_or(path);
    format!("{}0-{role}-{own}{SUFFIX}", place + 1)
}

/// The build with its marker's line replaced by blocks, each indented like the marker; `None` when it has no marker.
fn with_blocks(text: &str, blocks: &[String]) -> Option<String> {
    let marker = text.lines().find(|line| line.trim() == MARKER)?;
    let indent = &marker[..marker.len() - marker.trim_start().len()];
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        if line.trim() != MARKER {
            out.push_str(line);
            out.push('\n');
            continue;
        }
        for (at, block) in blocks.iter().enumerate() {
            if at > 0 {
                out.push('\n');
            }
            for line in block.trim_end().lines() {
                out.push_str(if line.is_empty() { "" } else { indent });
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    Some(out)
}

/// Every variable that the files declare, once.
fn declared(files: &[ComposedFile]) -> Result<BTreeMap<String, Declared>, ComposeError> {
    let mut declared: BTreeMap<String, Declared> = BTreeMap::new();
    for file in files.iter().filter(|file| file.path.ends_with(SUFFIX) && file.role != Role::Asset) {
        let own = file.from.first().map_or(file.path.as_str(), |part| part.path.as_str());
        let text = String::from_utf8_lossy(&file.bytes);
        for block in syntax::parse(own, &text)?.blocks.into_iter().filter(|block| block.identifier == "variable") {
            let Some(name) = block.labels.first().cloned() else { continue };
            let attribute = |name: &str| block.body.attributes().find(|attribute| attribute.key.as_str() == name);
            let sensitive = attribute("sensitive").is_some_and(|found| found.expr == Expression::Bool(true));
            let entry = Declared { place: block.place.clone(), has_default: attribute("default").is_some(), sensitive };
            if let Some(first) = declared.get(&name) {
                return Err(ComposeError::Twice { name, first: first.place.clone(), second: block.place });
            }
            declared.insert(name, entry);
        }
    }
    Ok(declared)
}

impl Composition {
    /// The files of a composition, their parts, and the hash of it all.
    pub fn manifest(&self) -> Manifest {
        let file = |file: &ComposedFile| ManifestFile {
            path: file.path.clone(),
            role: file.role,
            sha256: Hash::of(&file.bytes),
            executable: file.executable,
            from: file.from.clone(),
        };
        Manifest::of(self.builders.clone(), self.files.iter().map(file).collect())
    }
}

#[cfg(test)]
mod tests;
