//! `hybridcore.config`: `.pkrvars.hcl` files out of layers of values, a schema and variable templates.
//!
//! ```text
//! default < platform < variant < environment < answers ──► Merged ── schema ──► Resolved ── template ──► EnvConfig
//! ```
//!
//! Everything up to [`EnvConfig`] is a pure function of the definitions and of what was asked; [`store`] writes it.
//!
//! Architecture invariant: no secret is ever part of an [`EnvConfig`]; it knows the names of environment variables alone.

use std::collections::BTreeMap;

use serde::Serialize;
use thiserror::Error;

pub mod check;
pub mod exact;
pub mod layers;
pub mod merge;
pub mod schema;
pub mod secrets;
pub mod store;
pub mod syntax;
pub mod template;
pub mod value;
pub mod write;

pub use check::{Finding, validate_schema};
pub use layers::{Layer, LayerError, Overlay, Selection};
pub use merge::{Merged, Step};
pub use schema::{Schema, SchemaError, Severity};
pub use secrets::{ResolvedSecrets, SecretError, SecretVariables};
pub use syntax::Place;
pub use template::{BuildFacts, TemplateError};
pub use value::{Given, Value};

use super::definitions::{Definitions, DefinitionsError};

/// The first line of every rendered file.
const HEADER: &str = "# Rendered by `swoosh config render`. Change overlays or answers instead of this file.\n";

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A layer cannot be used.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The schema cannot be used.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A file is missing.
    #[error(transparent)]
    Definitions(#[from] DefinitionsError),
    /// A variable template gives no value.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The values are not what the schema asks for.
    #[error("the configuration cannot be used:\n{}", lines(.findings))]
    Refused {
        /// Errors only.
        findings: Vec<Finding>,
    },
    /// Two templates assign one packer variable.
    #[error("{name} is assigned twice, at {first} and at {second}; take one of them out")]
    Twice {
        /// The packer variable.
        name: String,
        first: Place,
        second: Place,
    },
    /// The written text does not parse back to the same value. A fault of this program.
    #[error(
        "{name} cannot be written so that packer reads the same value again; give it another value, and report this"
    )]
    Unfaithful {
        /// The packer variable.
        name: String,
    },
}

fn lines(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("  {finding}")).collect::<Vec<_>>().join("\n")
}

/// Values of all layers, held against the schema.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Which overlays were laid over each other.
    pub selection: Selection,
    pub schema: Schema,
    /// The values and who gave them.
    pub merged: Merged,
    /// Findings, errors first.
    pub findings: Vec<Finding>,
}

/// Lays all layers over each other and checks the result. Findings of every severity come back; [`Resolved::accepted`]
/// stops at errors.
pub fn resolve(definitions: &Definitions, selection: &Selection, answers: &[Overlay]) -> Result<Resolved, ConfigError> {
    let schema = Schema::load(definitions)?;
    let mut overlays = layers::overlays(definitions, selection)?;
    overlays.extend_from_slice(answers);
    overlays.iter_mut().for_each(|overlay| overlay.read_as(&schema));
    let mut merged = Merged::of(&overlays);
    let secrets = schema.variables.iter().filter(|(_, declaration)| declaration.secret);
    secrets.for_each(|(name, _)| merged.mask(name));
    let findings = validate_schema(&schema, &merged, selection);
    Ok(Resolved { selection: selection.clone(), schema, merged, findings })
}

impl Resolved {
    /// The same when nothing of it is an error.
    pub fn accepted(self) -> Result<Resolved, ConfigError> {
        let findings: Vec<Finding> = check::errors(&self.findings).into_iter().cloned().collect();
        if findings.is_empty() { Ok(self) } else { Err(ConfigError::Refused { findings }) }
    }
}

/// A rendered configuration.
#[derive(Clone, Debug)]
pub struct EnvConfig {
    /// The `.pkrvars.hcl` file's text.
    pub text: String,
    /// Every packer variable that is set, where its template assigns it, and from what.
    pub variables: BTreeMap<String, template::Rendered>,
    /// Those that are looked up when a build runs, and stand in no file.
    pub secrets: SecretVariables,
    /// Findings without errors.
    pub findings: Vec<Finding>,
}

/// Renders a configuration: the templates in their order, with what the layers gave. Stops at the first finding that is an
/// error.
pub fn generate_env_config(
    definitions: &Definitions,
    resolved: Resolved,
    templates: &[String],
    facts: &BuildFacts,
) -> Result<EnvConfig, ConfigError> {
    let Resolved { selection, schema, merged, mut findings } = resolved.accepted()?;
    let remedy = |variable: &str| remedy(&schema, &selection, variable);
    let mut variables: BTreeMap<String, template::Rendered> = BTreeMap::new();
    for file in templates {
        let text = definitions.text(file)?;
        for (name, rendered) in template::evaluate(file, &text, &merged, facts, &remedy)? {
            if let Some(first) = variables.get(&name) {
                let (first, second) = (first.place.clone(), rendered.place);
                return Err(ConfigError::Twice { name, first, second });
            }
            variables.insert(name, rendered);
        }
    }
    findings.extend(unused(&merged, &schema, &selection, &variables));
    check::sort(&mut findings);
    let (text, secrets) = written(&variables)?;
    Ok(EnvConfig { text, variables, secrets, findings })
}

fn remedy(schema: &Schema, selection: &Selection, variable: &str) -> String {
    let overlays: Vec<String> = Layer::ALL.iter().filter_map(|layer| selection.file(*layer)).collect();
    let declared = match schema.variables.get(variable) {
        Some(declaration) => format!("it is declared at {}: ", declaration.place),
        None => "declare it in schema.yaml, and ".to_owned(),
    };
    format!("{declared}give it in one of {}, in the answers, or with --set {variable}=VALUE", overlays.join(", "))
}

/// Variables that were given and that no template uses. Those that the schema keeps for provisioners are used by them.
fn unused(
    merged: &Merged,
    schema: &Schema,
    selection: &Selection,
    variables: &BTreeMap<String, template::Rendered>,
) -> Vec<Finding> {
    let used = |name: &str| variables.values().any(|rendered| rendered.from.contains(name));
    let kept = |name: &str| super::provisioners::TOGGLES.contains(&name);
    let applies = |name: &str| {
        schema.variables.get(name).is_some_and(|declaration| declaration.applies_to(selection.platform.as_str()))
    };
    let idle = merged.values().filter(|(name, _)| !used(name) && !kept(name) && applies(name));
    let find = |(name, _): (&str, &Given)| Finding {
        severity: Severity::Info,
        variable: name.to_owned(),
        place: merged.origin(name).map_or(Place { file: String::new(), line: 0 }, |step| step.place.clone()),
        found: "no template of this builder uses it".to_owned(),
        remedy: "give it in an overlay that only builders with that variable have, or leave it".to_owned(),
    };
    idle.map(find).collect()
}

/// The file's text and what does not stand in it.
fn written(variables: &BTreeMap<String, template::Rendered>) -> Result<(String, SecretVariables), ConfigError> {
    let (mut values, mut secrets) = (BTreeMap::new(), SecretVariables::default());
    for (name, rendered) in variables {
        match &rendered.given {
            Given::Value(value) => drop(values.insert(name.clone(), value.clone())),
            Given::Environment(environment) => secrets.insert(name, environment),
        }
    }
    Ok((file_text(&values)?, secrets))
}

/// A `.pkrvars.hcl` file of these values, which was read back and compared.
pub fn file_text(values: &BTreeMap<String, Value>) -> Result<String, ConfigError> {
    let text = format!("{HEADER}{}", write::attributes(values));
    let read = layers::from_hcl(Layer::Default, "rendered", &text)?;
    for (name, value) in values {
        let same = matches!(read.values.get(name), Some((Given::Value(found), _)) if found == value);
        if !same {
            return Err(ConfigError::Unfaithful { name: name.clone() });
        }
    }
    Ok(text)
}

/// One value and who gave it, for `swoosh config explain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// The value's path.
    pub path: String,
    /// The value in force, in HCL.
    pub value: String,
    /// Everyone who gave it, the one that holds last.
    pub steps: Vec<Step>,
}

/// Every value with everyone who gave it; of one variable where a name is given.
pub fn explain(merged: &Merged, name: Option<&str>) -> Vec<Explained> {
    let wanted = name.map(|name| write::path("", name));
    let is_wanted = |path: &str| {
        let Some(wanted) = &wanted else { return true };
        path.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let explain = |(path, steps): (&String, &Vec<Step>)| Explained {
        path: path.clone(),
        value: steps.last().map(|step| step.given.clone()).unwrap_or_default(),
        steps: steps.clone(),
    };
    merged.history().iter().filter(|(path, _)| is_wanted(path)).map(explain).collect()
}

#[cfg(test)]
mod tests;
