//! `swoosh fact`: sign facts, keep them in a fact file, check that file, list a node's facts.

mod file;
mod help;

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::connect::{NodeArgs, exit};
use super::names;
use super::output::{self, Output, Table, count};
use super::reads::text;
use super::time::{Span, after, now, parse_time};
use super::{keys, source};
use crate::client::FactsView;
use crate::machine::facts::KnownFact;
use crate::types::fact::{Fact, FactClaim, FactKind, FactKindError};
use crate::types::hlc::Hlc;
use crate::types::text::{ClusterId, ProjectName};
use swoosh_terminal::failure::Usage;

/// Arguments of `swoosh fact`.
#[derive(Debug, clap::Args)]
#[command(about = "Sign facts, keep them in a file, list a node's facts", long_about = help::FACT)]
pub struct FactCommand {
    #[command(subcommand)]
    action: FactAction,
}

#[derive(Debug, clap::Subcommand)]
enum FactAction {
    /// Print a signed fact
    #[command(after_help = help::SIGN)]
    Sign(SignArgs),
    /// Add facts to a fact file, or replace those of the same kind, project and source
    ///
    /// The file is exchanged whole, so that a node that reads it meanwhile sees the old one or the new one.
    #[command(after_help = help::PUT)]
    Put {
        /// Fact file: the one that facts.file of the settings names; made when it is missing
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Files with one signed fact or an array of them; left out, standard input
        #[arg(value_name = "FACT", default_value = "-")]
        facts: Vec<PathBuf>,
    },
    /// Check signatures and bodies of a fact file
    #[command(after_help = "Example:\n  swoosh fact check facts.json --cluster swoosh")]
    Check {
        /// Fact file, or - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Cluster that the facts must be signed for
        #[arg(long, value_name = "CLUSTER", env = "SWOOSH_CLUSTER", default_value = "swoosh")]
        cluster: ClusterId,
    },
    /// Push signed facts to a node, which keeps them until they run out
    #[command(long_about = help::POST, after_help = help::POST_EXAMPLES)]
    Post {
        /// Files with one signed fact or an array of them; left out, standard input
        #[arg(value_name = "FACT", default_value = "-")]
        facts: Vec<PathBuf>,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Show a node's facts, their sources and validity, and missing facts
    #[command(
        visible_alias = "list",
        after_help = "Examples:\n  swoosh facts show\n  swoosh fact show --kind capacity --project alpha\n\n\
        With --kind, exits with 1 if the node holds no such fact."
    )]
    Show {
        /// Facts of this kind only
        #[arg(long)]
        kind: Option<FactKind>,
        /// Facts that hold for this project only
        #[arg(long, value_name = "PROJECT")]
        project: Option<ProjectName>,
        #[command(flatten)]
        node: NodeArgs,
    },
}

/// Arguments of `swoosh fact sign`.
#[derive(Debug, clap::Args)]
struct SignArgs {
    /// Its kind: license, windows, tooling, capacity, health, liveness or policy
    #[arg(long, value_parser = kind)]
    kind: FactKind,
    /// Secret key of the source (see `swoosh keygen`); the settings must list it under facts.sources
    #[arg(long, value_name = "FILE|env:NAME|fd:N", env = "SWOOSH_KEY")]
    key: PathBuf,
    /// Cluster to sign for, as `swoosh health` tells it
    #[arg(long, value_name = "CLUSTER", env = "SWOOSH_CLUSTER")]
    cluster: ClusterId,
    /// Project it is about; left out, all projects of the cluster
    #[arg(long, value_name = "PROJECT")]
    project: Option<ProjectName>,
    /// How long it may be believed, such as 30d; left out, as long as its kind allows
    #[arg(long, value_name = "SPAN", conflicts_with = "valid_until")]
    valid_for: Option<Span>,
    /// Until when it may be believed
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    valid_until: Option<Hlc>,
    /// When it was seen; left out, now
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    observed_at: Option<Hlc>,
    /// The observation: JSON, @FILE, or - for standard input
    #[arg(value_name = "BODY")]
    body: String,
}

fn kind(text: &str) -> Result<FactKind, String> {
    match text.parse() {
        Ok(FactKind::Settings) => {
            Err("a settings fact is the node's alone; change its settings file instead".to_owned())
        }
        parsed => parsed.map_err(|error: FactKindError| error.to_string()),
    }
}

impl FactCommand {
    /// Does what was asked.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        match self.action {
            FactAction::Sign(args) => output.document(&sign(&args)?).map(|()| ExitCode::SUCCESS),
            FactAction::Put { file, facts } => put(output, &file, &facts),
            FactAction::Check { file, cluster } => file::check(output, &file, &cluster),
            FactAction::Post { facts, node } => post(output, &facts, &node),
            FactAction::Show { kind, project, node } => show(output, kind, project.as_ref(), &node),
        }
    }
}

fn sign(args: &SignArgs) -> anyhow::Result<Fact> {
    let key = keys::load(&args.key)?;
    let observed_at = args.observed_at.unwrap_or_else(now);
    let most_ms = args.kind.max_lifetime_ms();
    let valid_for = after(observed_at, args.valid_for.map_or(most_ms, |span| span.0));
    let claim = FactClaim {
        kind: args.kind,
        project: args.project.clone(),
        source: key.public(),
        observed_at,
        valid_until: args.valid_until.unwrap_or(valid_for),
        body: source::json_of(&args.body, "body")?,
    };
    if claim.valid_until <= observed_at {
        let until = claim.valid_until;
        let message =
            format!("the fact would be valid until {until}, which is not after {observed_at}, when it was seen");
        return Err(Usage(message).into());
    }
    let fact = claim.sign(&args.cluster, &key);
    let read = KnownFact::admit(fact.clone());
    read.map_err(|error| Usage(format!("{error}; `swoosh fact sign --help` shows a body of every kind")))?;
    if fact.believed_until_ms() < fact.claim.valid_until.physical_ms() {
        let days = most_ms / 86_400_000;
        output::note(&json!({"kind": args.kind, "longest_ms": most_ms}), || {
            format!("note: a {} fact is valid for at most {}, even if it claims more", args.kind, count(days, "day"))
        });
    }
    Ok(fact)
}

fn put(output: Output, path: &std::path::Path, documents: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let mut news = Vec::new();
    for document in documents {
        news.extend(source::documents::<Fact>(document, "signed fact")?);
    }
    let done = file::put(path, news)?;
    let document = json!({"file": path, "added": done.added, "replaced": done.replaced, "facts": done.total});
    output.say(&document, || {
        format!("{}: {} added, {} replaced, {} in all", path.display(), done.added, done.replaced, done.total)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn post(output: Output, documents: &[PathBuf], node: &NodeArgs) -> anyhow::Result<ExitCode> {
    let mut facts = Vec::new();
    for document in documents {
        facts.extend(source::documents::<Fact>(document, "signed fact")?);
    }
    if facts.is_empty() {
        return Err(Usage("there is no fact to push; `swoosh fact sign` makes one".to_owned()).into());
    }
    let node = node.reader()?;
    let mut table = Table::with(&["kind", "project", "held", "valid until", "why not"]);
    let mut done = Vec::new();
    for fact in &facts {
        let pushed = node.ask(node.client().push_fact(fact))?;
        let claim = &fact.claim;
        let project = claim.project.as_ref().map_or("(all)".to_owned(), ToString::to_string);
        let held = if pushed.held { "yes" } else { "no" }.to_owned();
        let why = pushed.reason.clone().unwrap_or_default();
        table.row([claim.kind.to_string(), project, held, pushed.valid_until.to_string(), why]);
        done.push(pushed);
    }
    output.say(&json!({"pushed": done}), || table.text(0))?;
    Ok(exit(done.iter().all(|pushed| pushed.held)))
}

fn show(
    output: Output,
    kind: Option<FactKind>,
    project: Option<&ProjectName>,
    node: &NodeArgs,
) -> anyhow::Result<ExitCode> {
    let node = node.reader()?;
    let view = node.ask(node.client().beliefs(kind, project))?;
    names::of_projects(output, &node);
    output.say(&view, || show_text(&view))?;
    // A kind that was asked for and is not there.
    Ok(exit(kind.is_none_or(|_| !view.facts.is_empty())))
}

fn show_text(view: &FactsView) -> String {
    let mut table = Table::with(&["kind", "project", "counts", "seen", "valid until", "source", "hash"]);
    for fact in &view.facts {
        let project = if fact["project"].is_string() { text(fact, "project") } else { "(all)".to_owned() };
        let believed = if fact["believed"] == true { "yes" } else { "no: it ran out" };
        let [kind, seen, until, by, hash] =
            ["kind", "observed_at", "valid_until", "source", "hash"].map(|member| text(fact, member));
        table.row([kind, project, believed.to_owned(), seen, until, by, hash]);
    }
    let mut lines = vec![table.text(0)];
    if !view.missing.is_empty() {
        lines.push(format!("nothing is believed of: {}", view.missing.join(", ")));
    }
    lines.push(super::license::network_text(&view.network));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::keyfile;

    fn args(directory: &std::path::Path, body: &str) -> SignArgs {
        let key = directory.join("kaching.key");
        if !key.exists() {
            keyfile::create(&key).unwrap();
        }
        SignArgs {
            kind: FactKind::License,
            key,
            cluster: "swoosh".parse().unwrap(),
            project: None,
            valid_for: Some(Span(60_000)),
            valid_until: None,
            observed_at: Some(parse_time("2026-01-31T12:00:00Z").unwrap()),
            body: body.to_owned(),
        }
    }

    #[test]
    fn a_signed_fact_verifies_for_its_cluster_and_lasts_as_requested() {
        let directory = tempfile::tempdir().unwrap();
        let fact = sign(&args(directory.path(), r#"{"id": "l-1", "scopes": ["swoosh"]}"#)).unwrap();
        assert!(fact.verify(&"swoosh".parse().unwrap()) && !fact.verify(&"other".parse().unwrap()));
        assert_eq!(fact.claim.valid_until.to_string(), "2026-01-31T12:01:00.000+00:00#0");
    }

    #[test]
    fn a_body_of_another_kind_and_a_fact_that_never_holds_are_not_signed() {
        let directory = tempfile::tempdir().unwrap();
        let error = sign(&args(directory.path(), r#"{"resources": {}}"#)).unwrap_err().to_string();
        assert!(error.contains("the body of the license fact"), "{error}");
        let never = SignArgs { valid_for: Some(Span(0)), ..args(directory.path(), r#"{"id": "l", "scopes": []}"#) };
        assert!(sign(&never).unwrap_err().to_string().contains("not after"));
    }

    #[test]
    fn the_bodies_that_the_help_shows_are_of_their_kinds() {
        let directory = tempfile::tempdir().unwrap();
        let bodies: Vec<(FactKind, &str)> = help::bodies().collect();
        for (kind, body) in &bodies {
            let made = sign(&SignArgs { kind: *kind, valid_for: None, ..args(directory.path(), body) });
            assert!(made.is_ok(), "{kind}: {made:?}");
        }
        assert_eq!(bodies.len(), FactKind::ALL.len() - 1, "every kind but settings has an example");
    }

    #[test]
    fn settings_facts_are_the_nodes_alone() {
        assert!(kind("settings").unwrap_err().contains("the node's alone"));
        assert!(kind("weather").unwrap_err().contains("license, windows"));
        assert_eq!(kind("license"), Ok(FactKind::License));
    }
}
