//! Shared arguments of commands on builds: workspace, definitions, build.

use std::path::PathBuf;

use anyhow::Context as _;

use super::output::Output;
use super::{interrupt, source, sources, worklog};
use crate::hybridcore::config::{Finding, Overlay, Severity, layers};
use crate::hybridcore::definitions::{DEFINITIONS_FOLDER, Definitions};
use crate::hybridcore::leave::Cancellable;
use crate::hybridcore::logs::{Logger, Redactor};
use crate::hybridcore::prepare::BuildRequest;
use crate::types::text::Name;
use swoosh_terminal::failure::Usage;

/// Where everything is.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Place {
    /// Folder that holds configs/, state/, logs/ and config/
    #[arg(long, global = true, value_name = "FOLDER", default_value = ".", env = "SWOOSH_BUILDS_ROOT")]
    root: PathBuf,
    /// Folder of overlays, schema, inventory and templates; left out, config/hybridcore in the root, or the built-in ones
    #[arg(long, global = true, value_name = "FOLDER", env = "SWOOSH_DEFINITIONS")]
    definitions: Option<PathBuf>,
}

impl Place {
    /// A place that another command's arguments name.
    pub fn at(root: PathBuf, definitions: Option<PathBuf>) -> Place {
        Place { root, definitions }
    }

    /// The workspace's folder, as an absolute path.
    pub fn root(&self) -> anyhow::Result<PathBuf> {
        let root = std::path::absolute(&self.root)?;
        if !root.is_dir() {
            return Err(Usage(format!("{} is no folder; make it, or name another with --root", root.display())).into());
        }
        Ok(root)
    }

    /// The definitions. Built-in ones are said aloud.
    pub fn definitions(&self, output: Output) -> anyhow::Result<Definitions> {
        if let Some(folder) = &self.definitions {
            return Ok(Definitions::load(folder)?);
        }
        let own = self.root()?.join(DEFINITIONS_FOLDER);
        if own.is_dir() {
            return Ok(Definitions::load(&own)?);
        }
        if !output.is_json() {
            eprintln!(
                "note: {} is not there, so the built-in definitions count (`swoosh templates init`)",
                own.display()
            );
        }
        Ok(Definitions::built_in())
    }
}

/// Which build, and with which answers.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct BuildArgs {
    /// The environment: overlays/environment/ENV.pkrvars.hcl
    #[arg(value_name = "ENV")]
    environment: Name,
    /// The builder's identifier, as `swoosh templates list` shows it; `source.` may be left out
    #[arg(long, value_name = "BUILDER")]
    builder: String,
    /// A variant: overlays/variant/VARIANT.pkrvars.hcl
    #[arg(long, value_name = "VARIANT")]
    variant: Option<Name>,
    /// File of answers: .hcl, .yaml or .json; once for each, a later one wins; - is YAML on standard input
    #[arg(long = "answers", value_name = "FILE")]
    answers: Vec<PathBuf>,
    /// One answer, which wins over all files: a value in HCL, or plain text; NAME.MEMBER for one member of an object
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// Resources of the build, once for each; they override all answers, as a project's allocation does
    #[arg(long = "allocate", value_name = "RESOURCE=AMOUNT", value_parser = amount)]
    allocate: Vec<(Name, u64)>,
}

fn amount(text: &str) -> Result<(Name, u64), String> {
    let wrong = || format!("{text:?} allocates nothing; write RESOURCE=AMOUNT, as in --allocate memory_mib=4096");
    let (name, amount) = text.split_once('=').ok_or_else(wrong)?;
    Ok((name.parse().map_err(|_| wrong())?, amount.parse().map_err(|_| wrong())?))
}

fn setting(text: &str) -> Result<(String, String), String> {
    let wrong = || format!("{text:?} sets nothing; write NAME=VALUE, as in --set disk_gib=40");
    let (name, value) = text.split_once('=').ok_or_else(wrong)?;
    if name.is_empty() { Err(wrong()) } else { Ok((name.to_owned(), value.to_owned())) }
}

impl BuildArgs {
    /// The environment.
    pub fn environment(&self) -> &Name {
        &self.environment
    }

    /// The request, with all answers read.
    pub fn request(&self) -> anyhow::Result<BuildRequest> {
        let mut answers: Vec<Overlay> = Vec::new();
        for path in &self.answers {
            let bytes = source::read(path)?;
            let name = path.display().to_string();
            let text =
                String::from_utf8(bytes).with_context(|| format!("{name} is no UTF-8 text; save it as UTF-8"))?;
            answers.push(layers::answers(&name, &text)?);
        }
        answers.extend(layers::settings(&self.set)?);
        let (environment, variant) = (self.environment.clone(), self.variant.clone());
        let allocation = self.allocate.iter().cloned().collect();
        Ok(BuildRequest { environment, builder: self.builder.clone(), variant, answers, allocation })
    }
}

/// Context of a command that writes.
pub(super) struct Desk {
    /// The workspace's folder.
    pub root: PathBuf,
    /// The definitions.
    pub definitions: Definitions,
    /// The operator's interrupt.
    pub leave: Cancellable,
    /// The log.
    pub log: Logger,
}

impl Desk {
    /// Opens everything. `component` names the log.
    pub fn open(place: &Place, component: &str, output: Output) -> anyhow::Result<Desk> {
        let root = place.root()?;
        let definitions = place.definitions(output)?;
        let log = worklog::open(&root.join("logs"), component, &Redactor::default());
        let log = log.with("command", sources::command_id()).with("operator", sources::operator(None));
        Ok(Desk { root, definitions, leave: interrupt::leave(), log })
    }
}

/// Findings of at least a severity, one a line.
pub(super) fn findings(findings: &[Finding], least: Severity) -> Vec<String> {
    findings.iter().filter(|finding| finding.severity >= least).map(ToString::to_string).collect()
}
