//! The actions of `swoosh packer`.

use std::process::ExitCode;

use serde_json::json;

use super::arguments::Action;
use super::text;
use crate::cli::builds::Place;
use crate::cli::output::Output;
use crate::hybridcore::packer::status::BuildCondition;
use crate::hybridcore::packer::{self, BuildRequest, CheckStatus, FormatMode, RunReport, Session, Status};
use crate::hybridcore::prepare;
use crate::hybridcore::state::document;

/// Does an action.
pub(super) fn run(session: &Session<'_>, action: Action, output: Output) -> anyhow::Result<ExitCode> {
    match action {
        Action::Fmt { paths, check } => {
            let mode = if check { FormatMode::Check } else { FormatMode::Write };
            let reports = packer::fmt(session, &paths, mode)?;
            output.say(&reports, || text::checks(&reports))?;
            Ok(code(reports.iter().all(|report| report.status == CheckStatus::Succeeded)))
        }
        Action::Validate { recipe } => {
            let report = packer::validate(session, &recipe.request()?)?;
            output.say(&report, || text::checks(std::slice::from_ref(&report)))?;
            Ok(code(report.status == CheckStatus::Succeeded))
        }
        Action::Build { recipe, assets, force, .. } => {
            let request = BuildRequest { assets, force, ..recipe.request()? };
            build(session, &request, output)
        }
        Action::Provision { build: arguments, definitions, overwrite, assets, force, .. } => {
            let place = Place::at(session.workspace.root().to_owned(), definitions);
            let definitions = place.definitions(output)?;
            let desk = prepare::Desk {
                root: session.workspace.root(),
                definitions: &definitions,
                overwrite,
                leave: session.leave,
                log: &session.log,
            };
            let prepared = prepare::prepare(&desk, &arguments.request()?)?;
            let secrets = prepared.secrets.from_environment()?;
            let name = format!("{}.{}", arguments.environment(), prepared.name).parse()?;
            let request = BuildRequest::of_prepared(name, prepared, &secrets);
            build(session, &BuildRequest { assets, force, ..request }, output)
        }
        Action::Status { name } => {
            let overview = packer::overview(session, name.as_ref())?;
            output.say(&overview, || text::overview(&overview))?;
            Ok(code(overview.builds.iter().all(|build| build.condition == BuildCondition::Fresh)))
        }
        Action::Verify { name, run } => {
            let (report, verification) = packer::verify(session, &name, run.as_deref())?;
            let document = json!({
                "schema_version": 1,
                "name": report.name,
                "run_id": report.run_id,
                "good": verification.is_good(),
                "findings": verification.findings,
            });
            output.say(&document, || text::verified(&report, &verification))?;
            Ok(code(verification.is_good()))
        }
        Action::Remove { name, superseded: true, .. } => {
            let removal = packer::remove_superseded(session, &name)?;
            let document = json!({"schema_version": 1, "name": name, "removed": removal.removed, "kept": removal.kept});
            output.say(&document, || text::removed("superseded runs", &removal))?;
            Ok(code(removal.kept.is_empty()))
        }
        Action::Remove { name, run, .. } => {
            let (report, removal) = packer::remove(session, &name, run.as_deref())?;
            let document = json!({
                "schema_version": 1,
                "name": report.name,
                "run_id": report.run_id,
                "removed": removal.removed,
                "kept": removal.kept,
            });
            output.say(&document, || text::removed(&report.run_id, &removal))?;
            Ok(code(removal.kept.is_empty()))
        }
    }
}

fn build(session: &Session<'_>, request: &BuildRequest, output: Output) -> anyhow::Result<ExitCode> {
    let report = packer::build(session, request)?;
    output.say(&document_of(&report)?, || text::run(&report))?;
    Ok(code(matches!(report.status, Status::Succeeded | Status::Skipped)))
}

/// The report with its version, as it is stored.
fn document_of(report: &RunReport) -> anyhow::Result<serde_json::Value> {
    Ok(serde_json::from_slice(&document::render(report)?)?)
}

fn code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
