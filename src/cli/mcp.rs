//! `swoosh mcp`: probe MCP servers by hand, as the node does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::Serialize;
use unicode_normalization::UnicodeNormalization as _;

use super::connect::{NodeArgs, ProjectArg, exit};
use super::output::{Output, Table};
use super::source::read;
use crate::facts::mcp::{MOST_TOOLS, ProbeError, ProbeLimits, Seen, probe};
use crate::platform::gate;
use crate::platform::outbound::{Http, HttpLimits};
use crate::types::canonical::from_json;
use crate::types::inputs::{ProjectDocument, ToolPin};
use crate::types::json::Json;
use crate::types::text::{Name, ServerName, Url, Version};
use swoosh_terminal::failure::Usage;

/// Arguments of `swoosh mcp`.
#[derive(Debug, clap::Args)]
#[command(about = "Probe MCP tool servers, as the node does")]
pub struct McpCommand {
    #[command(subcommand)]
    action: McpAction,
}

#[derive(Debug, clap::Subcommand)]
enum McpAction {
    Check(CheckCommand),
}

/// Arguments of `swoosh mcp check`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Initialise servers, compare name and version with the pins, list their tools",
    long_about = "Initialise servers, compare name and version with the pins, list their tools.\n\nChecks the servers named, \
        the pins of a project document, or the pins of a project on a node; the probing itself is done from here, \
        without flap damping and without a license. Exits with 1 when any server does not answer, or not as pinned. \
        docs/mcp.md explains pins.",
    after_help = "Examples:\n  swoosh mcp check http://127.0.0.1:9000/mcp\n  \
        swoosh mcp check http://127.0.0.1:9000/mcp --server search --version 1.2.0\n  \
        swoosh mcp check --document project.json\n  swoosh mcp check --project alpha"
)]
pub struct CheckCommand {
    /// Servers; left out, those that the project pins
    #[arg(value_name = "URL")]
    urls: Vec<Url>,
    /// The name that the one server named must report
    #[arg(long, value_name = "NAME", requires = "version", requires = "urls")]
    server: Option<ServerName>,
    /// The version that the one server named must report
    #[arg(long, value_name = "VERSION", requires = "server")]
    version: Option<Version>,
    /// Check the pins of this project document, or of the inputs of a Boot_ConfigOk
    #[arg(long, value_name = "FILE", conflicts_with = "urls")]
    document: Option<PathBuf>,
    /// How long each server may take
    #[arg(long, value_name = "MS", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    timeout_ms: u64,
    #[command(flatten)]
    project: ProjectArg,
    #[command(flatten)]
    node: NodeArgs,
}

/// A server to check, and what it must be.
#[derive(Clone, Debug)]
struct Target {
    name: String,
    url: Url,
    pin: Option<ToolPin>,
}

/// The result of a check.
#[derive(Debug, Serialize)]
struct Checked {
    name: String,
    url: Url,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<ServerName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<Version>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<String>,
    tools: Vec<String>,
    has_more_tools: bool,
    took_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl McpCommand {
    /// Does what was asked.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let McpAction::Check(command) = self.action;
        let targets = command.targets()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let timeout = Duration::from_millis(command.timeout_ms);
        let checked = runtime.block_on(futures::future::join_all(targets.iter().map(|target| check(target, timeout))));
        let good = checked.iter().all(|checked| checked.ok);
        output.say(&serde_json::json!({"ok": good, "servers": checked}), || text(&checked))?;
        Ok(exit(good))
    }
}

impl CheckCommand {
    fn targets(&self) -> anyhow::Result<Vec<Target>> {
        if self.server.is_some() && self.urls.len() != 1 {
            let message = "--server and --version are for one server; name one, or pin several in a project document";
            return Err(Usage(message.to_owned()).into());
        }
        if !self.urls.is_empty() {
            let pin = |url: &Url| {
                // The server's report is compared in this form.
                let version: Option<String> = self.version.as_ref().map(|version| version.as_str().nfc().collect());
                let version = version.map(|version| version.parse::<Version>()).transpose()?;
                let pin = self.server.clone().zip(version);
                anyhow::Ok(pin.map(|(server, version)| ToolPin { url: url.clone(), server, version }))
            };
            let target = |url: &Url| Ok(Target { name: url.to_string(), url: url.clone(), pin: pin(url)? });
            return self.urls.iter().map(target).collect();
        }
        let pins = match &self.document {
            Some(source) => of_document(source)?,
            None => self.of_node()?,
        };
        if pins.is_empty() {
            bail!("no server is pinned there; pin some under tool_pins of the project document, or name a URL");
        }
        let target =
            |(name, pin): (Name, ToolPin)| Target { name: name.to_string(), url: pin.url.clone(), pin: Some(pin) };
        Ok(pins.into_iter().map(target).collect())
    }

    fn of_node(&self) -> anyhow::Result<BTreeMap<Name, ToolPin>> {
        let node = self.node.reader()?;
        let view = node.ask(node.client().state(&self.project.project, Some("council")))?;
        let council = view.section("council").context("the node shows no council section")?;
        let pins = council.get("tool_pins").cloned().unwrap_or_default();
        serde_json::from_value(pins).context("the node's tool_pins cannot be read; is it of this version?")
    }
}

/// The pins of a project document, or of inputs that hold one.
fn of_document(path: &Path) -> anyhow::Result<BTreeMap<Name, ToolPin>> {
    let what =
        || format!("{} is no project document; docs/statechart.md shows the inputs of Boot_ConfigOk", path.display());
    let what = |error: &dyn std::fmt::Display| Usage(format!("{}: {error}", what()));
    let json = Json::parse(&read(path)?).map_err(|error| what(&error))?;
    let inputs: Result<ConfigInputs, _> = from_json(&json);
    let document = inputs.map(|inputs| inputs.document).or_else(|_| from_json(&json)).map_err(|error| what(&error))?;
    Ok(document.tool_pins)
}

/// Inputs of Boot_ConfigOk.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigInputs {
    document: ProjectDocument,
}

async fn check(target: &Target, timeout: Duration) -> Checked {
    let began = Instant::now();
    let found = ask(&target.url, timeout).await;
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (name, url) = (target.name.clone(), target.url.clone());
    match found {
        Ok(Seen { identity, protocol, tools, has_more_tools }) => {
            let differs = |pin: &&ToolPin| pin.server != identity.server || pin.version != identity.version;
            let problem =
                target.pin.as_ref().filter(differs).map(|pin| format!("pinned is {} {}", pin.server, pin.version));
            let (server, version) = (Some(identity.server), Some(identity.version));
            let protocol = Some(protocol);
            let ok = problem.is_none();
            Checked { name, url, ok, server, version, protocol, tools, has_more_tools, took_ms, problem }
        }
        Err(problem) => {
            let problem = Some(problem);
            Checked {
                name,
                url,
                ok: false,
                server: None,
                version: None,
                protocol: None,
                tools: vec![],
                has_more_tools: false,
                took_ms,
                problem,
            }
        }
    }
}

async fn ask(url: &Url, timeout: Duration) -> Result<Seen, String> {
    let address = reqwest::Url::parse(url.as_str()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let address = address.ok_or("it is no http:// or https:// address")?;
    // The operator's own hand, not the daemon's: the license gate is not in its way.
    let (keeper, gate) = gate::closed("unused");
    keeper.open();
    let answer_bytes = crate::settings::Mcp::default().answer_bytes;
    let http = Http::new(gate, address, HttpLimits { connect: timeout, exchange: timeout, answer_bytes });
    probe(&http, ProbeLimits { timeout, answer_bytes }).await.map_err(|error: ProbeError| error.to_string())
}

fn text(checked: &[Checked]) -> String {
    let mut table = Table::new();
    for server in checked {
        let found = match (&server.server, &server.version) {
            (Some(name), Some(version)) => format!("{name} {version}"),
            _ => "no answer".to_owned(),
        };
        let mut about = vec![format!("{} ms", server.took_ms)];
        about.extend(server.protocol.as_ref().map(|version| format!("MCP {version}")));
        about.extend((!server.tools.is_empty()).then(|| format!("tools: {}", server.tools.join(", "))));
        about.extend(server.has_more_tools.then(|| format!("more than {MOST_TOOLS} tools; the first are listed")));
        about.extend(server.problem.clone());
        let sign = if server.ok { "✓" } else { "✗" };
        table.row([sign.to_owned(), server.name.clone(), found, about.join("; ")]);
    }
    table.text(0)
}
