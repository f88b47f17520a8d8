//! From a request to everything that packer needs: config, provisioners, templates, in this order.
//!
//! ```text
//! request ─► config.resolve ─► provisioners.plan ─► templates.compose ─► config.render ─► agreed? ─► configs/<env>/
//! ```
//!
//! [`design`] computes all of it without touching a file; [`prepare`] writes what was designed. Neither runs a program nor
//! reaches outside, so both may be repeated at will: the same definitions and request give the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

use super::config::schema::Declaration;
use super::config::store::{self, Batch, CONFIGS_FOLDER, Change, StoreError};
use super::config::template::Rendered;
use super::config::{
    self, BuildFacts, ConfigError, EnvConfig, Finding, Given, Layer, LayerError, Overlay, Resolved, Schema,
    SecretVariables, Selection,
};
use super::definitions::Definitions;
use super::leave::Leave;
use super::logs::Logger;
use super::provisioners::{self, Plan, PlanError, Toggles};
use super::state::document::DocumentError;
use super::templates::{self, Builder, ComposeError, Composition, Inventory, InventoryError, MANIFEST_FILE};
use swoosh_types::hash::Hash;
use swoosh_types::inputs::{Allocation, SortedMap};
use swoosh_types::text::Name;

/// Suffix of a rendered variable file.
const VARIABLES_SUFFIX: &str = ".pkrvars.hcl";
/// Suffix of the provisioners' variable file.
const PROVISIONERS_SUFFIX: &str = ".provisioners.pkrvars.hcl";
/// Packer variables that the caller of packer sets for each run.
pub const RUN_VARIABLES: [&str; 3] = ["swoosh_output", "swoosh_manifest", "swoosh_run"];

/// The variable that holds the whole allocation, where the schema declares it.
pub const ALLOCATION_VARIABLE: &str = "allocation";

#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// The environment, which has an overlay.
    pub environment: Name,
    /// The builder's canonical identifier; `source.` may be left out.
    pub builder: String,
    /// The variant, which has an overlay.
    pub variant: Option<Name>,
    /// Answers, the one that wins last.
    pub answers: Vec<Overlay>,
    /// Resources of the build. They override all answers, because capacity was found for them.
    pub allocation: Allocation,
}

/// Why a build cannot be prepared; nothing was written.
#[derive(Debug, Error)]
pub enum PrepareError {
    /// The inventory has no such builder, or is no good.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// The configuration is no good.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The provisioners are no good.
    #[error(transparent)]
    Provisioners(#[from] PlanError),
    /// The templates are no good.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// Configuration and templates do not agree.
    #[error("configuration and templates do not agree:\n  {}", .problems.join("\n  "))]
    Disagree {
        /// The differences, and the remedy.
        problems: Vec<String>,
    },
    /// The manifest cannot be written exactly.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// Files were not written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Everything that packer needs, computed and not yet written.
#[derive(Clone, Debug)]
pub struct Design {
    pub builder: Builder,
    pub environment: Name,
    /// The build's name: `file.linux-image`, with the variant behind it if there is one.
    pub name: String,
    /// The configuration of all layers, with who gave what.
    pub merged: config::Merged,
    /// The rendered variables.
    pub config: EnvConfig,
    /// The stacks that provision.
    pub plan: Plan,
    /// The provisioners' variable file.
    pub provisioners_text: String,
    /// The packer files.
    pub composition: Composition,
    /// Hash of everything that goes into the build but secrets and what the templates fetch.
    pub inputs_hash: Hash,
    pub allocation: Allocation,
}

/// A build whose files are written.
#[derive(Clone, Debug, Serialize)]
pub struct Prepared {
    pub name: String,
    /// The builder's canonical identifier.
    pub builder: String,
    /// The folder to run packer on.
    pub folder: PathBuf,
    /// Variable files for `-var-file`, in this order.
    pub var_files: Vec<PathBuf>,
    /// Secrets that are looked up when packer runs.
    pub secrets: SecretVariables,
    /// Hash of everything that goes into the build.
    pub inputs_hash: Hash,
    #[serde(skip_serializing_if = "SortedMap::is_empty")]
    pub allocation: Allocation,
    /// Hash of the composed files.
    pub checksum: Hash,
    pub findings: Vec<Finding>,
    /// The change of each file, by path below `configs/`.
    pub changes: BTreeMap<String, Change>,
}

/// Which overlays a request means.
pub fn selection(builder: &Builder, request: &BuildRequest) -> Result<Selection, ConfigError> {
    let platform = builder.platform.parse().map_err(|_| {
        let detail = format!("the platform {:?} of {} is no name", builder.platform, builder.id);
        ConfigError::Layer(LayerError::Answers { file: templates::inventory::INVENTORY_FILE.to_owned(), detail })
    })?;
    let (variant, environment) = (request.variant.clone(), request.environment.clone());
    Ok(Selection { platform, variant, environment })
}

/// Name of a request's build.
pub fn build_name(builder: &Builder, variant: Option<&Name>) -> String {
    let own = builder.id.build_name();
    variant.map_or_else(|| own.clone(), |variant| format!("{own}.{variant}"))
}

/// Lays the layers of a request over each other, without stopping at what the schema finds.
pub fn resolve(definitions: &Definitions, request: &BuildRequest) -> Result<(Builder, Resolved), PrepareError> {
    let inventory = Inventory::load(definitions)?;
    let builder = inventory.builder(&request.builder)?.clone();
    let selection = selection(&builder, request)?;
    let mut answers = request.answers.clone();
    answers.extend(allocated(&Schema::load(definitions).map_err(ConfigError::from)?, &request.allocation));
    let resolved = config::resolve(definitions, &selection, &answers)?;
    Ok((builder, resolved))
}

/// The allocation as answers: every amount in the variable that names its resource, and all of them together in
/// [`ALLOCATION_VARIABLE`], as far as the schema has these.
fn allocated(schema: &Schema, allocation: &Allocation) -> Option<Overlay> {
    if allocation.is_empty() {
        return None;
    }
    let number = |amount: &u64| config::Value::Number((*amount).into());
    let amount_of = |declared: &Declaration| declared.resource.as_ref().and_then(|resource| allocation.get(resource));
    let declared = schema.variables.iter();
    let amounts = declared.filter_map(|(name, declared)| Some((name.clone(), number(amount_of(declared)?))));
    let mut values: BTreeMap<String, config::Value> = amounts.collect();
    if schema.variables.contains_key(ALLOCATION_VARIABLE) {
        let all = allocation.iter().map(|(name, amount)| (name.to_string(), number(amount))).collect();
        values.insert(ALLOCATION_VARIABLE.to_owned(), config::Value::Object(all));
    }
    Some(answers_of("the allocation", values))
}

/// Computes everything that a request means, and checks that its parts agree.
pub fn design(definitions: &Definitions, request: &BuildRequest) -> Result<Design, PrepareError> {
    let inventory = Inventory::load(definitions)?;
    let (builder, resolved) = resolve(definitions, request)?;
    let resolved = resolved.accepted()?;
    let merged = resolved.merged.clone();
    let plan = provisioners::plan(definitions, &builder.os, &Toggles::from_config(&merged))?;
    let composition = templates::compose_files(definitions, &inventory, &[&builder], &plan)?;
    let name = build_name(&builder, request.variant.as_ref());
    let facts = facts(&builder, request, &name);
    let config = config::generate_env_config(definitions, resolved, &builder.pkrvars, &facts)?;
    let emitted = plan.emit_vars();
    let problems = disagreements(&config, &emitted.keys().cloned().collect::<Vec<_>>(), &composition);
    if !problems.is_empty() {
        return Err(PrepareError::Disagree { problems });
    }
    let provisioners_text = config::file_text(&emitted)?;
    let inputs_hash = inputs_hash(&config, &provisioners_text, &composition);
    let (environment, allocation) = (request.environment.clone(), request.allocation.clone());
    Ok(Design {
        builder,
        environment,
        name,
        merged,
        config,
        plan,
        provisioners_text,
        composition,
        inputs_hash,
        allocation,
    })
}

fn facts(builder: &Builder, request: &BuildRequest, name: &str) -> BuildFacts {
    let variant = request.variant.as_ref().map(Name::to_string).unwrap_or_default();
    [
        ("builder", builder.id.to_string()),
        ("environment", request.environment.to_string()),
        ("name", name.to_owned()),
        ("os", builder.os.clone()),
        ("platform", builder.platform.clone()),
        ("variant", variant),
    ]
    .into()
}

/// Variables that are set and not declared, or declared and not set: packer would stop there, or ask on a terminal.
fn disagreements(config: &EnvConfig, emitted: &[String], composition: &Composition) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, Rendered { given, place, .. }) in &config.variables {
        match (composition.declared.get(name), given) {
            (None, _) => problems.push(format!(
                "{place} sets {name}, which no composed file declares; declare it in one of the builder's variable files, \
                 or take it out"
            )),
            (Some(declared), Given::Environment(_)) if !declared.sensitive => problems.push(format!(
                "{name} is a secret, and {} does not keep it out of packer's output; write `sensitive = true` there",
                declared.place
            )),
            _ if emitted.contains(name) => {
                problems.push(format!("{place} sets {name}, which the provisioners set; take it out of the template"));
            }
            _ => {}
        }
    }
    for name in emitted.iter().filter(|name| !composition.declared.contains_key(*name)) {
        problems.push(format!("the provisioners set {name}, which no composed file declares; declare it"));
    }
    for (name, declared) in &composition.declared {
        let is_set =
            config.variables.contains_key(name) || emitted.contains(name) || RUN_VARIABLES.contains(&name.as_str());
        if !is_set && !declared.has_default {
            problems.push(format!(
                "{name} has no value and no default; it is declared at {}: set it in one of the builder's variable \
                 templates (templates/pkrvars), or give it a default there",
                declared.place
            ));
        }
    }
    problems
}

fn inputs_hash(config: &EnvConfig, provisioners_text: &str, composition: &Composition) -> Hash {
    let secrets: Vec<String> = config.secrets.iter().map(|(name, from)| format!("{name}={from}\n")).collect();
    let checksum = composition.manifest().checksum.to_string();
    let parts = ["swoosh/build-inputs/v1\n", &config.text, "\n", provisioners_text, "\n", &secrets.concat(), &checksum];
    Hash::of_parts(parts.map(str::as_bytes))
}

impl Design {
    /// The path of the main variable file below `configs/`.
    pub fn variables_file(&self) -> String {
        format!("{}/{}{VARIABLES_SUFFIX}", self.environment, self.name)
    }

    /// The files of the configuration: variables of the layers, and those of the provisioners.
    pub fn config_batch(&self) -> Batch {
        let provisioners = format!("{}/{}{PROVISIONERS_SUFFIX}", self.environment, self.name);
        let files = [
            (self.variables_file(), self.config.text.clone().into_bytes()),
            (provisioners, self.provisioners_text.clone().into_bytes()),
        ];
        Batch { files: files.into(), inputs_hash: Some(self.inputs_hash), ..Batch::default() }
    }

    /// The folder of the composition below `configs/`.
    pub fn folder(&self) -> String {
        format!("{}/{}", self.environment, self.name)
    }

    /// The files of the composition, with its manifest.
    pub fn composition_batch(&self) -> Result<Batch, DocumentError> {
        let folder = self.folder();
        let (mut files, mut executables) = (BTreeMap::<String, Vec<u8>>::new(), BTreeSet::new());
        for file in &self.composition.files {
            let path = format!("{folder}/{}", file.path);
            if file.executable {
                executables.insert(path.clone());
            }
            files.insert(path, file.bytes.clone());
        }
        files.insert(format!("{folder}/{MANIFEST_FILE}"), self.composition.manifest().bytes()?);
        Ok(Batch { files, executables, whole_folders: vec![folder], inputs_hash: Some(self.inputs_hash) })
    }
}

/// Where a build is prepared, and how.
pub struct Desk<'a> {
    /// The workspace's folder, in which `configs/` and `state/` stand.
    pub root: &'a Path,
    pub definitions: &'a Definitions,
    /// Whether files that were edited by hand are replaced; they are kept beside as `NAME.edited`.
    pub overwrite: bool,
    /// May stop the wait for another writer.
    pub leave: &'a dyn Leave,
    pub log: &'a Logger,
}

/// Designs a build and writes its files: variables, composition and manifest, all or none.
pub fn prepare(desk: &Desk<'_>, request: &BuildRequest) -> Result<Prepared, PrepareError> {
    let design = design(desk.definitions, request).inspect_err(|error| desk.log.error(&error.to_string()))?;
    let mut batch = design.config_batch();
    let composed = design.composition_batch()?;
    batch.files.extend(composed.files);
    batch.executables = composed.executables;
    batch.whole_folders = composed.whole_folders;
    written(desk, &design, &batch)
}

/// Writes a part of a design.
pub fn written(desk: &Desk<'_>, design: &Design, batch: &Batch) -> Result<Prepared, PrepareError> {
    let log = desk.log.clone().with("build", &design.name).with("environment", &design.environment);
    let changes = store::write(desk.root, batch, desk.overwrite, desk.leave)
        .inspect_err(|error| log.error(&error.to_string()))?;
    for finding in &design.config.findings {
        if finding.severity == config::Severity::Warning {
            log.warn(&finding.to_string());
        }
    }
    for (path, change) in changes.iter().filter(|(_, change)| **change != Change::Unchanged) {
        log.info(&format!("{path}: {change:?}").to_lowercase());
    }
    let configs = desk.root.join(CONFIGS_FOLDER);
    let var_files = design.config_batch().files.into_keys().map(|path| configs.join(path));
    Ok(Prepared {
        name: design.name.clone(),
        builder: design.builder.id.to_string(),
        folder: configs.join(design.folder()),
        var_files: var_files.collect(),
        secrets: design.config.secrets.clone(),
        inputs_hash: design.inputs_hash,
        allocation: design.allocation.clone(),
        checksum: design.composition.manifest().checksum,
        findings: design.config.findings.clone(),
        changes,
    })
}

/// Answers out of a map of a caller's own, such as an allocation.
fn answers_of(label: &str, values: BTreeMap<String, config::Value>) -> Overlay {
    let place = config::Place { file: label.to_owned(), line: 0 };
    let values = values.into_iter().map(|(name, value)| (name, (Given::Value(value), place.clone())));
    Overlay { layer: Layer::Answers, file: label.to_owned(), values: values.collect(), typed: BTreeMap::new() }
}

#[cfg(test)]
mod tests;
