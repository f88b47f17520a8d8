//! `swoosh config render|validate|explain`: the configuration of a build.

use std::process::ExitCode;

use serde_json::json;

use crate::cli::builds::{BuildArgs, Desk, Place, findings};
use crate::cli::connect::exit;
use crate::cli::output::{Output, Table, count, print};
use crate::hybridcore::config::check::errors;
use crate::hybridcore::config::store::Change;
use crate::hybridcore::config::{self, Explained, Finding, Severity};
use crate::hybridcore::prepare::{self, PrepareError, Prepared};

/// `swoosh config render`.
#[derive(Debug, clap::Args)]
pub(super) struct RenderArgs {
    #[command(flatten)]
    build: BuildArgs,
    #[command(flatten)]
    place: Place,
    /// Print the variable file instead of writing anything
    #[arg(long)]
    print: bool,
    /// Replace files that were edited by hand; they are kept beside as NAME.edited
    #[arg(long)]
    overwrite: bool,
}

/// `swoosh config validate`.
#[derive(Debug, clap::Args)]
pub(super) struct ValidateArgs {
    #[command(flatten)]
    build: BuildArgs,
    #[command(flatten)]
    place: Place,
}

/// `swoosh config explain`.
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    build: BuildArgs,
    #[command(flatten)]
    place: Place,
    /// Only this variable and what is in it
    #[arg(long, value_name = "NAME")]
    variable: Option<String>,
}

/// Renders variable files under `configs/<env>/`.
pub(super) fn render(args: &RenderArgs, output: Output) -> anyhow::Result<ExitCode> {
    let request = args.build.request()?;
    if args.print {
        let design = prepare::design(&args.place.definitions(output)?, &request)?;
        if output.is_json() {
            output.document(
                &json!({"name": design.name, "text": design.config.text, "secrets": design.config.secrets}),
            )?;
        } else {
            print(&design.config.text)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let desk = Desk::open(&args.place, "config", output)?;
    let Desk { root, definitions, leave, log } = &desk;
    let desk = prepare::Desk { root, definitions, overwrite: args.overwrite, leave, log };
    let design = prepare::design(definitions, &request).inspect_err(|error| log.error(&error.to_string()))?;
    let prepared = prepare::written(&desk, &design, &design.config_batch())?;
    output.say(&prepared, || rendered(&prepared))?;
    Ok(ExitCode::SUCCESS)
}

fn rendered(prepared: &Prepared) -> String {
    let mut lines = changes(prepared);
    for (variable, name) in prepared.secrets.iter() {
        lines.push(format!("  secret: {variable} is looked up in {name} when the build runs"));
    }
    lines.extend(findings(&prepared.findings, Severity::Warning));
    lines.push(format!("inputs {}", prepared.inputs_hash));
    lines.join("\n")
}

/// The changes of files, one a line; unchanged files are counted.
pub(in crate::cli) fn changes(prepared: &Prepared) -> Vec<String> {
    let same = prepared.changes.values().filter(|change| **change == Change::Unchanged).count() as u64;
    let others = prepared.changes.iter().filter(|(_, change)| **change != Change::Unchanged);
    let mut lines: Vec<String> = others.map(|(path, change)| format!("  {} configs/{path}", word(*change))).collect();
    if same > 0 {
        lines.push(format!("  unchanged: {}", count(same, "file")));
    }
    lines
}

fn word(change: Change) -> &'static str {
    match change {
        Change::Written => "written",
        Change::Updated => "updated",
        Change::Unchanged => "unchanged",
        Change::Removed => "removed",
    }
}

/// Checks everything that rendering would, and tells findings of every severity. Writes nothing.
pub(super) fn validate(args: &ValidateArgs, output: Output) -> anyhow::Result<ExitCode> {
    let (request, definitions) = (args.build.request()?, args.place.definitions(output)?);
    let (builder, resolved) = prepare::resolve(&definitions, &request)?;
    let mut found: Vec<Finding> = resolved.findings.clone();
    let mut problems: Vec<String> = Vec::new();
    if errors(&found).is_empty() {
        match prepare::design(&definitions, &request) {
            Ok(design) => found = design.config.findings,
            Err(PrepareError::Disagree { problems: disagreements }) => problems = disagreements,
            Err(error) => problems.push(error.to_string()),
        }
    }
    let good = errors(&found).is_empty() && problems.is_empty();
    output.say(&json!({"ok": good, "builder": builder.id, "findings": found, "problems": problems}), || {
        let mut lines = findings(&found, Severity::Info);
        lines.extend(problems.iter().map(|problem| format!("error: {problem}")));
        lines.push(if good { "good".to_owned() } else { "not good; nothing can be rendered".to_owned() });
        lines.join("\n")
    })?;
    Ok(exit(good))
}

/// Shows who gave what.
pub(super) fn explain(args: &ExplainArgs, output: Output) -> anyhow::Result<ExitCode> {
    let (request, definitions) = (args.build.request()?, args.place.definitions(output)?);
    let (_, resolved) = prepare::resolve(&definitions, &request)?;
    let name = args.variable.as_deref();
    let explained = config::explain(&resolved.merged, name);
    if let (true, Some(name)) = (explained.is_empty(), name) {
        let declared = resolved.schema.variables.get(name);
        anyhow::bail!(
            "no layer gives {name}; {}",
            declared.map_or_else(
                || "the schema knows no such variable either".to_owned(),
                |declared| format!("it is declared at {}: {}", declared.place, declared.description)
            )
        );
    }
    output.say(&explained, || text_of(&explained))?;
    Ok(ExitCode::SUCCESS)
}

fn text_of(explained: &[Explained]) -> String {
    let mut table = Table::with(&["variable", "value", "layer", "from"]);
    for Explained { path, value, steps } in explained {
        let Some((last, earlier)) = steps.split_last() else { continue };
        table.row([path.clone(), value.clone(), last.layer.to_string(), last.place.to_string()]);
        for step in earlier.iter().rev() {
            table.row([String::new(), format!("over {}", step.given), step.layer.to_string(), step.place.to_string()]);
        }
    }
    table.text(0)
}
