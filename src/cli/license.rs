//! `swoosh license`: shows a node's license, asks the license server, checks a token.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::connect::{NodeArgs, exit};
use super::names;
use super::output::{Output, Table, fields};
use super::reads::text;
use super::source;
use super::time::{now, spell};
use crate::client::{FactsView, NetworkView};
use crate::facts::kaching::cache::{self, Cached};
use crate::facts::kaching::fetch::Fetched;
use crate::facts::kaching::token::Token;
use crate::platform::keyfile;
use crate::platform::secrets::Secrets;
use crate::settings::{Overrides, Settings};
use crate::types::civil::{MAX_MS, rfc3339};
use crate::types::fact::FactKind;
use swoosh_node::outside;

/// Arguments of `swoosh license`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Show a node's license, fetch one, check a token",
    long_about = "Show a node's license, fetch one, check a token.\n\n\
        A node fetches its license from the server that kaching.url of its settings names, keeps it in license.json \
        of its data directory, and refreshes it. Without a license it connects only to that server; when the \
        license runs out, or is denied, the grace of license.grace_ms begins. docs/license.md has the whole story."
)]
pub struct LicenseCommand {
    #[command(subcommand)]
    action: LicenseAction,
}

#[derive(Debug, clap::Subcommand)]
enum LicenseAction {
    /// Show the license that a node believes, and whether it may talk to the world outside
    #[command(after_help = "Example:\n  swoosh license show")]
    Show {
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Ask the license server once, as the node would, and keep what it grants for the next start
    ///
    /// A running node is not notified; SIGHUP makes it ask by itself. Exits with 1 when no license is granted.
    #[command(after_help = "Examples:\n  swoosh license fetch --config swoosh.yaml\n  \
        swoosh license fetch --config swoosh.yaml --dry-run")]
    Fetch {
        #[command(flatten)]
        site: SiteArgs,
        /// Tell what the server answers; keep nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Check a token: signature, claims, scope, times
    #[command(after_help = "Examples:\n  swoosh license check license.jwt --config swoosh.yaml\n  \
        curl -s https://kaching.example/license | swoosh license check - --config swoosh.yaml")]
    Check {
        /// File with the token, or - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        site: SiteArgs,
    },
}

/// The settings of the node.
#[derive(Debug, clap::Args)]
struct SiteArgs {
    /// The node's settings file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Data directory, in place of the settings' one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl SiteArgs {
    fn settings(&self) -> anyhow::Result<Settings> {
        let overrides = Overrides { data: self.data.clone(), listen: None };
        Ok(Settings::load(Some(&self.config), overrides)?)
    }
}

impl LicenseCommand {
    /// Does what was asked.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        match self.action {
            LicenseAction::Show { node } => show(output, &node),
            LicenseAction::Fetch { site, dry_run } => fetch(output, &site.settings()?, dry_run),
            LicenseAction::Check { file, site } => check(output, &file, &site.settings()?),
        }
    }
}

fn show(output: Output, node: &NodeArgs) -> anyhow::Result<ExitCode> {
    let node = node.reader()?;
    let view = node.ask(node.client().beliefs(Some(FactKind::License), None))?;
    names::of_projects(output, &node);
    output.say(&json!({"licenses": view.facts, "network": view.network}), || show_text(&view))?;
    Ok(exit(view.network.open))
}

fn show_text(view: &FactsView) -> String {
    let mut table = Table::with(&["project", "counts", "valid until", "since", "source"]);
    for fact in &view.facts {
        let project = if fact["project"].is_string() { text(fact, "project") } else { "(all)".to_owned() };
        let counts = if fact["believed"] == true { "yes" } else { "no: it ran out; grace may run" };
        let [until, since, by] = ["valid_until", "held_since", "source"].map(|member| text(fact, member));
        table.row([project, counts.to_owned(), until, since, by]);
    }
    let licenses = if view.facts.is_empty() { "the node holds no license".to_owned() } else { table.text(0) };
    format!("{licenses}\n{}", network_text(&view.network))
}

/// Whether a node may talk to the world outside, in a line.
pub(super) fn network_text(network: &NetworkView) -> String {
    match &network.reason {
        None if network.open => "the network gate is open".to_owned(),
        None => "the network gate is closed".to_owned(),
        Some(reason) => format!("the network gate is closed: {reason}"),
    }
}

fn fetch(output: Output, settings: &Settings, dry_run: bool) -> anyhow::Result<ExitCode> {
    let secrets = Secrets::open(settings.secrets.file.as_deref(), settings.secrets.identity.as_deref())?;
    let key = keyfile::load_or_create(&settings.node_key_path())?.key;
    let server = outside::license_server(settings, key.public(), &secrets)?;
    let server = server.ok_or_else(|| anyhow::anyhow!("the settings name no license server; set kaching.url"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match runtime.block_on(server.fetch(&outside::pins(settings))) {
        Fetched::Granted { text, token } => {
            let path = settings.license_path();
            if !dry_run {
                let cached = Cached { token: text, fetched_at: now(), denied_at: None };
                cache::store(&path, &cached)?;
            }
            let kept = if dry_run { Value::Null } else { json!(path) };
            output.say(&json!({"granted": true, "license": document(&token), "kept": kept}), || describe(&token))?;
            Ok(exit(true))
        }
        Fetched::Denied { reason } => {
            anyhow::bail!("the license is denied: {reason}; ask the operator of the license server")
        }
        Fetched::Failed { reason, .. } => anyhow::bail!("{reason}; a node keeps the license it has and asks again"),
    }
}

fn check(output: Output, file: &std::path::Path, settings: &Settings) -> anyhow::Result<ExitCode> {
    let pins = outside::pins(settings);
    anyhow::ensure!(!pins.keys.is_empty(), "kaching.keys names no key, so no token can count; list KACHING's key");
    let bytes = source::read(file)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| anyhow::anyhow!("{} holds no text", file.display()))?;
    let token =
        Token::read(text.trim(), &pins).map_err(|error| anyhow::anyhow!("the token does not count: {error}"))?;
    let now_ms = now().physical_ms();
    let mut problems = Vec::new();
    if !token.covers(&pins) {
        problems.push(format!("it does not cover the scope {} (license.scope)", pins.scope));
    }
    if now_ms < token.not_before_s.saturating_mul(1_000) {
        problems.push(format!("it counts from {} on", rfc3339_s(token.not_before_s)));
    }
    if now_ms > token.until_ms() {
        problems.push(format!("it ran out at {}", rfc3339_s(token.expires_s)));
    }
    let good = problems.is_empty();
    output.say(&json!({"ok": good, "license": document(&token), "problems": problems}), || {
        let listed: Vec<String> = problems.iter().map(|problem| format!("\n✗ {problem}")).collect();
        format!("{}{}", describe(&token), listed.concat())
    })?;
    Ok(exit(good))
}

fn rfc3339_s(seconds: u64) -> String {
    rfc3339(seconds.saturating_mul(1_000).min(MAX_MS))
}

fn document(token: &Token) -> Value {
    json!({
        "id": token.id,
        "scopes": token.scopes,
        "issued_at": rfc3339_s(token.issued_s),
        "expires_at": rfc3339_s(token.expires_s),
        "signed_by": token.key,
        "hash": token.hash,
    })
}

fn describe(token: &Token) -> String {
    let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
    let left_ms = token.until_ms().saturating_sub(now().physical_ms());
    let left = if left_ms == 0 { "it ran out".to_owned() } else { format!("{} left", spell(left_ms)) };
    let pairs = [
        ("scopes", scopes.join(" ")),
        ("issued", rfc3339_s(token.issued_s)),
        ("expires", format!("{} ({left})", rfc3339_s(token.expires_s))),
        ("signed by", token.key.to_string()),
        ("hash", token.hash.to_string()),
    ];
    format!("license {}\n{}", token.id, fields(&pairs))
}
