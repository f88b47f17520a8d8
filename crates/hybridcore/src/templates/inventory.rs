//! `inventory.yaml`: which builders there are, by operating system and platform, and what each is made of.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::names::{BuilderId, NameError, Plugin};
use crate::config::syntax::{self, SyntaxError};
use crate::definitions::{Definitions, DefinitionsError};

/// Path of the inventory in the definitions.
pub const INVENTORY_FILE: &str = "inventory.yaml";

/// Whether provisioners can reach what a builder makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provisioning {
    /// There is a machine, which packer reaches over ssh or WinRM: provisioner blocks are composed.
    Remote,
    /// There is none (`file`, `null`): assets are checked and carried along, and no block is composed.
    None,
}

/// A builder as the file has it. Paths are relative to the definitions.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    os: String,
    platform: String,
    plugin: String,
    #[serde(default)]
    kind: Option<String>,
    name: String,
    description: String,
    provisioning: Provisioning,
    #[serde(default)]
    variables: Vec<String>,
    #[serde(default)]
    locals: Vec<String>,
    source: String,
    build: String,
    pkrvars: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    plugins: BTreeMap<String, Plugin>,
    settings: Vec<String>,
    builders: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Builder {
    /// Its canonical identifier.
    pub id: BuilderId,
    /// The operating system of what it makes.
    pub os: String,
    /// Where it makes it.
    pub platform: String,
    /// Its product, in a sentence.
    pub description: String,
    /// Whether provisioners can reach it.
    pub provisioning: Provisioning,
    /// Files of variable declarations.
    pub variables: Vec<String>,
    /// Files of locals.
    pub locals: Vec<String>,
    /// The file of its source block.
    pub source: String,
    /// The file of its build block.
    pub build: String,
    /// Variable templates, in the order in which they are rendered.
    pub pkrvars: Vec<String>,
}

/// All builders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// Files that every composition begins with.
    pub settings: Vec<String>,
    builders: BTreeMap<String, Builder>,
}

/// Why an inventory cannot be used, or has no such builder.
#[derive(Debug, Error)]
pub enum InventoryError {
    /// A file is missing or no text.
    #[error(transparent)]
    Definitions(#[from] DefinitionsError),
    /// It does not say what it should.
    #[error("{INVENTORY_FILE}: {detail}; docs/hybridcore.md shows every key")]
    Malformed { detail: String },
    /// A name breaks the rules.
    #[error("{INVENTORY_FILE}: {0}")]
    Name(#[from] NameError),
    /// A template is no HCL.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// A template does not hold what the inventory says.
    #[error("{file} declares no {expected}, which {INVENTORY_FILE} promises; {remedy}")]
    Promise {
        /// The template.
        file: String,
        expected: String,
        remedy: String,
    },
    /// No such builder.
    #[error("there is no builder {wanted:?}; {remedy}")]
    Unknown {
        wanted: String,
        /// Which there are.
        remedy: String,
    },
    /// No builder for that system and platform.
    #[error("there is no builder for {os:?} on {platform:?}; there are: {known}")]
    NoneFor {
        /// The operating system.
        os: String,
        platform: String,
        /// Which pairs there are.
        known: String,
    },
}

impl Inventory {
    /// Reads and checks the inventory: names follow the convention, and every file is there and is HCL.
    pub fn load(definitions: &Definitions) -> Result<Inventory, InventoryError> {
        let text = definitions.text(INVENTORY_FILE)?;
        let malformed = |detail: String| InventoryError::Malformed { detail };
        let file: File = crate::config::exact::from_yaml(&text)
            .map_err(|error| malformed(error.to_string().lines().next().unwrap_or_default().to_owned()))?;
        for settings in &file.settings {
            syntax::parse(settings, &definitions.text(settings)?)?;
        }
        let mut builders = BTreeMap::new();
        for entry in file.builders {
            let builder = builder(entry, &file.plugins)?;
            promises(definitions, &builder)?;
            let id = builder.id.to_string();
            if builders.insert(id.clone(), builder).is_some() {
                return Err(malformed(format!("{id} appears twice; give one of them another name")));
            }
        }
        Ok(Inventory { settings: file.settings, builders })
    }

    /// All builders, by identifier.
    pub fn builders(&self) -> impl Iterator<Item = &Builder> {
        self.builders.values()
    }

    /// Canonical identifiers of the builders for an operating system and a platform, sorted.
    pub fn list_builders(&self, os: &str, platform: &str) -> Result<Vec<BuilderId>, InventoryError> {
        let fits = self.builders().filter(|builder| builder.os == os && builder.platform == platform);
        let found: Vec<BuilderId> = fits.map(|builder| builder.id.clone()).collect();
        if found.is_empty() {
            let pairs: BTreeSet<String> = self.builders().map(|b| format!("{},{}", b.os, b.platform)).collect();
            let known = pairs.into_iter().collect::<Vec<_>>().join("; ");
            return Err(InventoryError::NoneFor { os: os.to_owned(), platform: platform.to_owned(), known });
        }
        Ok(found)
    }

    /// A builder by its canonical identifier; `source.` may be left out.
    pub fn builder(&self, wanted: &str) -> Result<&Builder, InventoryError> {
        let full = if wanted.starts_with("source.") { wanted.to_owned() } else { format!("source.{wanted}") };
        self.builders.get(&full).ok_or_else(|| {
            let near = self.builders.keys().map(|known| (strsim::jaro_winkler(known, &full), known));
            let near = near.filter(|(score, _)| *score > 0.9).max_by(|a, b| a.0.total_cmp(&b.0));
            let remedy = match near {
                Some((_, known)) => format!("did you mean {known}? `swoosh templates list` shows all"),
                None => format!("there are: {}", self.builders.keys().cloned().collect::<Vec<_>>().join(", ")),
            };
            InventoryError::Unknown { wanted: wanted.to_owned(), remedy }
        })
    }
}

fn builder(entry: Entry, plugins: &BTreeMap<String, Plugin>) -> Result<Builder, InventoryError> {
    let Entry {
        os,
        platform,
        plugin,
        kind,
        name,
        description,
        provisioning,
        variables,
        locals,
        source,
        build,
        pkrvars,
    } = entry;
    let Some(known) = plugins.get(&plugin) else {
        let known = plugins.keys().cloned().collect::<Vec<_>>().join(", ");
        let detail =
            format!("{name} is made by the plugin {plugin:?}, which `plugins` does not list; it lists {known}");
        return Err(InventoryError::Malformed { detail });
    };
    if pkrvars.is_empty() {
        let detail = format!("{name} has no pkrvars; name at least one variable template");
        return Err(InventoryError::Malformed { detail });
    }
    let id = BuilderId::new(&plugin, known, kind.as_deref(), &os, &name)?;
    Ok(Builder { id, os, platform, description, provisioning, variables, locals, source, build, pkrvars })
}

/// Every file is there and is HCL, the source file declares the source, and the build file builds it.
fn promises(definitions: &Definitions, builder: &Builder) -> Result<(), InventoryError> {
    for file in builder.variables.iter().chain(&builder.locals).chain(&builder.pkrvars) {
        syntax::parse(file, &definitions.text(file)?)?;
    }
    let (kind, name) = (builder.id.kind(), builder.id.name());
    let source = syntax::parse(&builder.source, &definitions.text(&builder.source)?)?;
    let declares = |block: &syntax::Block| block.identifier == "source" && block.labels == [kind, name];
    if !source.blocks.iter().any(declares) {
        return Err(InventoryError::Promise {
            file: builder.source.clone(),
            expected: format!("source \"{kind}\" \"{name}\""),
            remedy: "name the source block so, or the builder as the block".to_owned(),
        });
    }
    let text = definitions.text(&builder.build)?;
    let build = syntax::parse(&builder.build, &text)?;
    let names = format!("{:?}", builder.id.to_string());
    let builds = build.blocks.iter().any(|block| block.identifier == "build");
    if !builds || !text.contains(&names) {
        return Err(InventoryError::Promise {
            file: builder.build.clone(),
            expected: format!("build with the source {names}"),
            remedy: "write it into `sources`".to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory() -> Inventory {
        Inventory::load(&Definitions::built_in()).unwrap()
    }

    #[test]
    fn builder_catalog_gives_canonical_identifiers_for_linux_and_proxmox() {
        let found = inventory().list_builders("linux", "proxmox").unwrap();
        assert!(!found.is_empty());
        for id in found.iter().map(ToString::to_string) {
            assert!(
                id.starts_with("source.proxmox-iso.linux-") || id.starts_with("source.proxmox-clone.linux-"),
                "{id}"
            );
        }
        assert_eq!(inventory().list_builders("linux", "file").unwrap()[0].to_string(), "source.file.linux-image");
    }

    #[test]
    fn unknown_entries_are_reported_with_the_known_ones() {
        let inventory = inventory();
        let error = inventory.list_builders("beos", "proxmox").unwrap_err().to_string();
        assert!(error.contains("linux,file") && error.contains("linux,proxmox"), "{error}");
        let error = inventory.builder("source.file.linux-imag").unwrap_err().to_string();
        assert!(error.contains("did you mean source.file.linux-image?"), "{error}");
        assert!(inventory.builder("zzz").unwrap_err().to_string().contains("there are: source."));
        assert_eq!(inventory.builder("file.linux-image").unwrap().id.to_string(), "source.file.linux-image");
    }

    #[test]
    fn an_inventory_that_promises_too_much_is_refused_with_the_file() {
        let built_in = Definitions::built_in();
        let changed = |path: &str, from: &str, to: &str| {
            let mut files: BTreeMap<String, Vec<u8>> =
                built_in.files().map(|(path, bytes)| (path.to_owned(), bytes.to_vec())).collect();
            let text = built_in.text(path).unwrap();
            assert!(text.contains(from), "{path} has no {from}");
            files.insert(path.to_owned(), text.replacen(from, to, 1).into_bytes());
            Inventory::load(&Definitions::from_files("here", files)).unwrap_err().to_string()
        };
        let source = "templates/packer/sources/file.linux-image.pkr.hcl";
        let error = changed(source, "\"linux-image\"", "\"linux-other\"");
        assert!(error.contains("declares no source \"file\" \"linux-image\""), "{error}");
        let error = changed(INVENTORY_FILE, "name: linux-image", "name: image");
        assert!(error.contains("the right name is source.file.linux-image"), "{error}");
        let error = changed(INVENTORY_FILE, source, "templates/packer/sources/absent.pkr.hcl");
        assert!(error.contains("has no templates/packer/sources/absent.pkr.hcl"), "{error}");
        let error = changed(INVENTORY_FILE, "plugin: file", "plugin: files");
        assert!(error.contains("`plugins` does not list"), "{error}");
    }
}
