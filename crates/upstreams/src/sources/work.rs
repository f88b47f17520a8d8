//! The actions of `swoosh sources`.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::arguments::{Action, AuditAction, MirrorAction};
use super::{Desk, text};
use swoosh_hybridcore::sources::Session;
use swoosh_hybridcore::sources::audit;
use swoosh_hybridcore::sources::doctor::{self, Diagnosis};
use swoosh_hybridcore::sources::documents::ScanOutcome;
use swoosh_hybridcore::sources::inventory::{self, MirrorRequest};
use swoosh_hybridcore::sources::pin::{self, PinRequest};
use swoosh_hybridcore::sources::scan;
use swoosh_hybridcore::sources::status::{self, Condition, ScanState};
use swoosh_hybridcore::sources::sync::{self, SyncOptions, SyncReport};
use swoosh_terminal::output::Output;
use swoosh_types::text::Name;

/// Does an action.
pub fn run(session: &Session<'_>, desk: &Desk, action: Action, output: Output) -> anyhow::Result<ExitCode> {
    match action {
        Action::Sync { names, update, locked } => {
            let options = SyncOptions { names: Desk::names(names), update, locked };
            say_report(&sync::sync(session, &desk.set, &options)?, output)
        }
        Action::Resume => match sync::resume(session, &desk.set)? {
            Some(report) => say_report(&report, output),
            None => {
                output.say(&SyncReport::default(), || "nothing to resume: no sync was interrupted".to_owned())?;
                Ok(ExitCode::SUCCESS)
            }
        },
        Action::Status => show_status(session, desk, output),
        Action::Pin { release: true, name, reason, .. } => release(session, &name, &reason, output),
        Action::Pin { name, commit, request_id, approver, expires, reason, incidents, .. } => {
            let given = "clap asks for it";
            let request = PinRequest {
                name,
                commit: commit.context(given)?,
                request_id: request_id.context(given)?,
                approver: approver.context(given)?,
                expires_at: expires.context(given)?,
                reason,
                incidents,
            };
            let synced = pin::pin(session, &desk.set, &request)?;
            output.say(&synced, || text::pinned(&synced, &request))?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Mirrors { action } => mirrors(session, action, output),
        Action::Audit { action: AuditAction::Export { source, since } } => {
            output.document(&audit::export(session, source.as_ref(), since.unwrap_or(0))?)?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Scan { names } => {
            let scanned = scan::scan(session, &names, &desk.config.scan)?;
            output.say(&scanned, || text::scanned(&scanned))?;
            Ok(code(scanned.iter().all(|scanned| scanned.status.outcome == ScanOutcome::Clean)))
        }
        Action::Doctor { bundle } => diagnose(session, desk, bundle.as_deref(), output),
    }
}

fn code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn say_report(report: &SyncReport, output: Output) -> anyhow::Result<ExitCode> {
    output.say(report, || text::report(report))?;
    Ok(code(report.is_complete()))
}

fn show_status(session: &Session<'_>, desk: &Desk, output: Output) -> anyhow::Result<ExitCode> {
    let overview = status::overview(session, &desk.set, desk.config.scan.max_age_days)?;
    output.say(&overview, || text::overview(&overview))?;
    let good = overview.sources.iter().all(|source| {
        source.condition == Condition::Clean && !matches!(source.scan_state, ScanState::Findings | ScanState::Failed)
    });
    Ok(code(good && overview.unfinished.is_none()))
}

fn release(session: &Session<'_>, name: &Name, reason: &str, output: Output) -> anyhow::Result<ExitCode> {
    let audit_id = pin::release(session, name, reason)?;
    output.say(&json!({"name": name, "released": audit_id}), || {
        format!("{audit_id} was taken back; `swoosh sources sync {name}` goes back to the locked commit")
    })?;
    Ok(ExitCode::SUCCESS)
}

fn mirrors(session: &Session<'_>, action: Option<MirrorAction>, output: Output) -> anyhow::Result<ExitCode> {
    match action {
        None | Some(MirrorAction::List) => {
            let variables: Vec<&String> = session.mirrors.environment.keys().collect();
            let inventory = &session.mirrors.inventory;
            let document = json!({"mirrors": inventory.mirrors, "seen": inventory.seen, "variables": variables});
            output.say(&document, || text::mirrors(&session.mirrors))?;
        }
        Some(MirrorAction::Add { upstream, mirror, request_id, reason }) => {
            let request = MirrorRequest { upstream, mirror, request_id, reason };
            inventory::add(session, &request)?;
            output.say(&json!({"added": request.upstream}), || {
                format!("{} now replaces {}", request.mirror, request.upstream)
            })?;
        }
        Some(MirrorAction::Remove { upstream }) => {
            inventory::remove(session, &upstream)?;
            output.say(&json!({"removed": upstream}), || format!("{upstream} has no mirror any more"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn diagnose(session: &Session<'_>, desk: &Desk, bundle: Option<&Path>, output: Output) -> anyhow::Result<ExitCode> {
    let diagnosis = doctor::diagnose(session, &desk.set, desk.config.scan.max_age_days);
    if let Some(path) = bundle {
        write_bundle(path, &diagnosis)?;
    }
    output.say(&diagnosis, || text::diagnosis(&diagnosis, bundle))?;
    Ok(code(!diagnosis.is_bad()))
}

fn write_bundle(path: &Path, diagnosis: &Diagnosis) -> anyhow::Result<()> {
    let context = || format!("{} cannot be written; name a file that is not there yet", path.display());
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path).with_context(context)?;
    serde_json::to_writer_pretty(&mut file, diagnosis).with_context(context)?;
    file.write_all(b"\n").with_context(context)
}
