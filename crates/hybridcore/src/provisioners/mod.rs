//! `hybridcore.provisioners`: Ansible unless it is turned off, Puppet when it is turned on.
//!
//! A stack that is on is held against the compatibility matrix (operating system × provisioner × version, in
//! `provisioners.yaml`), its assets must be there, and its packer variables are emitted. A stack that is off emits nothing
//! of its own.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub mod lint;
pub mod version;

use version::{Range, Version};

use super::config::{Merged, Value};
use super::definitions::{Definitions, DefinitionsError};

/// Path of the provisioners' data in the definitions.
pub const PROVISIONERS_FILE: &str = "provisioners.yaml";
/// Variables of the configuration that turn stacks on and off.
pub const TOGGLES: [&str; 4] = ["ansible_enabled", "ansible_version", "puppet_enabled", "puppet_version"];

/// A provisioner and its assets. The order is that in which they are composed and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stack {
    /// On unless it is turned off.
    Ansible,
    /// Off unless it is turned on.
    Puppet,
}

impl Stack {
    /// All of them, in their order.
    pub const ALL: [Stack; 2] = [Stack::Ansible, Stack::Puppet];

    /// The folder of its assets in the definitions.
    pub fn folder(self) -> String {
        format!("templates/{self}")
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stack::Ansible => "ansible",
            Stack::Puppet => "puppet",
        })
    }
}

/// A row of the compatibility matrix.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Supported {
    os: String,
    versions: Range,
}

/// The file's entry for a stack. Paths are relative to the definitions, assets to the stack's folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StackData {
    default_version: Version,
    entry: String,
    required: Vec<String>,
    variables: String,
    block: String,
    matrix: Vec<Supported>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    stacks: BTreeMap<Stack, StackData>,
}

/// Which stacks are on, at which version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toggles {
    on: BTreeMap<Stack, bool>,
    versions: BTreeMap<Stack, String>,
}

impl Default for Toggles {
    fn default() -> Toggles {
        Toggles { on: [(Stack::Ansible, true), (Stack::Puppet, false)].into(), versions: BTreeMap::new() }
    }
}

impl Toggles {
    /// Reads the toggles of the configuration: `ansible_enabled`, `ansible_version`, `puppet_enabled`,
    /// `puppet_version`.
    pub fn from_config(merged: &Merged) -> Toggles {
        let mut toggles = Toggles::default();
        for stack in Stack::ALL {
            if let Some(Value::Bool(on)) = merged.value(&format!("{stack}_enabled")) {
                toggles.on.insert(stack, *on);
            }
            if let Some(Value::Text(version)) = merged.value(&format!("{stack}_version")) {
                toggles.versions.insert(stack, version.clone());
            }
        }
        toggles
    }

    /// Turns Ansible on or off.
    pub fn enable_ansible(&mut self, on: bool) {
        self.on.insert(Stack::Ansible, on);
    }

    /// Turns Puppet on or off.
    pub fn enable_puppet(&mut self, on: bool) {
        self.on.insert(Stack::Puppet, on);
    }

    /// Whether a stack is on.
    pub fn is_on(&self, stack: Stack) -> bool {
        self.on.get(&stack).copied().unwrap_or(false)
    }
}

/// A stack that is on, with everything that it brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedStack {
    pub stack: Stack,
    pub version: String,
    /// The playbook or manifest that is run first, relative to the stack's folder.
    pub entry: String,
    /// Its assets, as paths in the definitions.
    pub assets: Vec<String>,
    /// The file that declares its packer variables.
    pub variables: String,
    /// The file of its provisioner block.
    pub block: String,
}

/// Which stacks provision a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The operating system that is provisioned.
    pub os: String,
    /// The stacks that are on, in the order in which they run.
    pub stacks: Vec<PlannedStack>,
}

/// Why there is no plan.
#[derive(Debug, Error)]
pub enum PlanError {
    /// A file is missing or no text.
    #[error(transparent)]
    Definitions(#[from] DefinitionsError),
    /// The data of provisioners does not say what it should.
    #[error("{PROVISIONERS_FILE}: {detail}; docs/hybridcore.md shows every key")]
    Malformed { detail: String },
    /// An asset is not there.
    #[error("{stack} is on, and {label} has no {path}; add it, or turn the stack off (--set {stack}_enabled=false)")]
    MissingAsset {
        stack: Stack,
        /// Which definitions.
        label: String,
        /// The asset.
        path: String,
    },
    /// The given version is invalid.
    #[error("{stack}_version: {detail}")]
    Version { stack: Stack, detail: String },
    /// The matrix does not allow it.
    #[error(
        "{stack} {version} does not provision {os}: {PROVISIONERS_FILE} allows {allowed}; give {stack}_version another \
         value, or turn the stack off (--set {stack}_enabled=false)"
    )]
    Unsupported {
        stack: Stack,
        version: String,
        /// The operating system.
        os: String,
        allowed: String,
    },
}

/// Holds the stacks that are on against matrix and assets. Fails at the first that cannot be.
pub fn plan(definitions: &Definitions, os: &str, toggles: &Toggles) -> Result<Plan, PlanError> {
    let malformed = |detail: String| PlanError::Malformed { detail };
    let file: File = super::config::exact::from_yaml(&definitions.text(PROVISIONERS_FILE)?)
        .map_err(|error| malformed(error.to_string().lines().next().unwrap_or_default().to_owned()))?;
    let mut stacks = Vec::new();
    for stack in Stack::ALL.into_iter().filter(|stack| toggles.is_on(*stack)) {
        let data = file.stacks.get(&stack).ok_or_else(|| malformed(format!("it has no {stack}; add it")))?;
        stacks.push(planned(definitions, os, stack, data, toggles.versions.get(&stack))?);
    }
    Ok(Plan { os: os.to_owned(), stacks })
}

fn planned(
    definitions: &Definitions,
    os: &str,
    stack: Stack,
    data: &StackData,
    version: Option<&String>,
) -> Result<PlannedStack, PlanError> {
    let version: Version = match version {
        Some(text) => text.parse().map_err(|detail| PlanError::Version { stack, detail })?,
        None => data.default_version.clone(),
    };
    let rows: Vec<&Supported> = data.matrix.iter().filter(|row| row.os == os).collect();
    if !rows.iter().any(|row| row.versions.holds(&version)) {
        let ranges: Vec<String> = rows.iter().map(|row| row.versions.to_string()).collect();
        let allowed = if ranges.is_empty() { "no version for it".to_owned() } else { ranges.join(" or ") };
        return Err(PlanError::Unsupported { stack, version: version.to_string(), os: os.to_owned(), allowed });
    }
    let folder = stack.folder();
    for asset in data.required.iter().chain([&data.entry]) {
        let path = format!("{folder}/{asset}");
        if definitions.bytes(&path).is_none() {
            return Err(PlanError::MissingAsset { stack, label: definitions.label().to_owned(), path });
        }
    }
    for path in [&data.variables, &data.block] {
        definitions.need(path)?;
    }
    Ok(PlannedStack {
        stack,
        version: version.to_string(),
        entry: data.entry.clone(),
        assets: definitions.below(&folder).map(|(path, _)| path.to_owned()).collect(),
        variables: data.variables.clone(),
        block: data.block.clone(),
    })
}

impl Plan {
    /// Packer variables of the enabled stacks. Ansible is the default, so its variable is set when it is off; Puppet's
    /// is set only when it is on.
    pub fn emit_vars(&self) -> BTreeMap<String, Value> {
        let mut variables = BTreeMap::new();
        variables.insert("ansible_enabled".to_owned(), Value::Bool(false));
        for PlannedStack { stack, version, entry, .. } in &self.stacks {
            let text = |text: String| Value::Text(text);
            variables.insert(format!("{stack}_enabled"), Value::Bool(true));
            variables.insert(format!("{stack}_version"), text(version.clone()));
            variables.insert(format!("{stack}_folder"), text(stack.to_string()));
            variables.insert(format!("{stack}_entry"), text(format!("{stack}/{entry}")));
        }
        variables
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::layers::{Layer, from_hcl};

    fn toggles(text: &str) -> Toggles {
        Toggles::from_config(&Merged::of(&[from_hcl(Layer::Default, "default.hcl", text).unwrap()]))
    }

    fn names(plan: &Plan) -> Vec<String> {
        plan.emit_vars().into_keys().collect()
    }

    fn without(path: &str) -> Definitions {
        let built_in = Definitions::built_in();
        let kept = built_in.files().filter(|(own, _)| *own != path);
        Definitions::from_files("here", kept.map(|(path, bytes)| (path.to_owned(), bytes.to_vec())).collect())
    }

    const ANSIBLE: [&str; 4] = ["ansible_enabled", "ansible_entry", "ansible_folder", "ansible_version"];
    const PUPPET: [&str; 4] = ["puppet_enabled", "puppet_entry", "puppet_folder", "puppet_version"];

    #[test]
    fn toggle_enforcement_emits_ansible_alone_until_puppet_is_on() {
        let built_in = Definitions::built_in();
        let plan_of = |toggles: &Toggles| plan(&built_in, "linux", toggles).unwrap();
        assert_eq!(names(&plan_of(&Toggles::default())), ANSIBLE);
        assert_eq!(names(&plan_of(&toggles("puppet_enabled = true"))), [ANSIBLE, PUPPET].concat());
        let mut off = toggles("puppet_enabled = true");
        off.enable_puppet(false);
        off.enable_ansible(false);
        assert_eq!(names(&plan_of(&off)), ["ansible_enabled"]);
        assert_eq!(plan_of(&off).emit_vars()["ansible_enabled"], Value::Bool(false));
    }

    #[test]
    fn toggle_enforcement_fails_fast_naming_the_asset_that_is_missing() {
        let error = plan(&without("templates/ansible/site.yml"), "linux", &Toggles::default()).unwrap_err().to_string();
        assert!(error.contains("ansible is on, and here has no templates/ansible/site.yml"), "{error}");
        let no_puppet = without("templates/puppet/manifests/site.pp");
        assert!(plan(&no_puppet, "linux", &Toggles::default()).is_ok(), "what is off needs no assets");
        let error = plan(&no_puppet, "linux", &toggles("puppet_enabled = true")).unwrap_err().to_string();
        assert!(error.contains("has no templates/puppet/manifests/site.pp"), "{error}");
    }

    #[test]
    fn versions_are_held_against_the_matrix() {
        let built_in = Definitions::built_in();
        let refused = |os: &str, text: &str| plan(&built_in, os, &toggles(text)).unwrap_err().to_string();
        let error = refused("linux", "ansible_version = \"1.9\"");
        assert!(error.contains("ansible 1.9 does not provision linux") && error.contains("allows >="), "{error}");
        assert!(refused("beos", "").contains("allows no version for it"));
        assert!(refused("linux", "ansible_version = \"new\"").contains("is no version"));
        assert_eq!(plan(&built_in, "linux", &toggles("ansible_version = \"2.15\"")).unwrap().stacks[0].version, "2.15");
    }
}
