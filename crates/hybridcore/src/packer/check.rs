//! `packer fmt` and `packer validate`: nothing is built and nothing recorded.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::build::{BuildError, needs_init};
use super::call::{Called, Desk, assignment, var_file};
use super::failure::{Failure, Phase};
use super::session::{BuildRequest, Event, Session};
use super::tool;
use swoosh_types::text::Name;

/// Exit code of `packer fmt -check` when files are not formatted.
const NOT_FORMATTED: i32 = 3;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// All is well; `fmt` may have rewritten files.
    Succeeded,
    /// `fmt -check` found files to rewrite.
    Unformatted,
    Failed,
}

/// Result of `fmt` or `validate` on one template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Version of this document's form.
    pub schema_version: u64,
    /// `fmt` or `validate`.
    pub command: &'static str,
    /// The template, as given by the caller.
    pub template: PathBuf,
    /// How it came out.
    pub status: CheckStatus,
    /// Packer's exit code, when it ended by itself.
    pub exit_code: Option<i32>,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// When it ended, RFC 3339.
    pub finished_at: String,
    /// Files that `fmt` rewrote, or would.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// Everything that went wrong, in packer's words, without secrets.
    pub errors: Vec<String>,
    pub warnings: Vec<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// The mode of `fmt` for unformatted files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatMode {
    /// Rewrite them.
    Write,
    /// Name them.
    Check,
}

/// Formats templates: `.pkr.hcl` and `.pkrvars.hcl` files, or folders of them.
pub fn fmt(session: &Session<'_>, paths: &[PathBuf], mode: FormatMode) -> Result<Vec<CheckReport>, BuildError> {
    let desk = desk(session, "fmt")?;
    tool::probe(session, &desk).map_err(BuildError::Packer)?;
    let mut reports = Vec::new();
    for path in paths {
        let template = existing(session, path)?;
        let mut arguments: Vec<OsString> = vec!["fmt".into()];
        arguments.extend((mode == FormatMode::Check).then(|| "-check".into()));
        arguments.push(template.clone().into());
        let report = checked(session, &desk, Phase::Format, path, arguments);
        let ended = report.status != CheckStatus::Failed;
        tell_end(session, &desk.name, ended, &report);
        reports.push(report);
    }
    Ok(reports)
}

/// Checks a template, with the variables of a request, after installing the plugins that it asks for.
pub fn validate(session: &Session<'_>, request: &BuildRequest) -> Result<CheckReport, BuildError> {
    let template = existing(session, &request.template)?;
    let folder =
        request.folder.as_ref().map_or_else(|| session.workspace.root().to_owned(), |path| session.absolute(path));
    let log = session.log.clone().with("build", &request.name);
    let mut desk = Desk::of_request(session, request, folder, log).map_err(BuildError::Scratch)?;
    let seen = tool::probe(session, &desk).map_err(BuildError::Packer)?;
    // A build's variables have values here as well, so that a template needs no default for them.
    for name in ["run", "output", "manifest"] {
        let value = desk.scratch.path().join(name);
        desk.environment.insert(format!("PKR_VAR_swoosh_{name}").into(), value.into());
    }
    let secrets = request.secrets.iter();
    desk.environment.extend(secrets.map(|(name, secret)| (format!("PKR_VAR_{name}").into(), secret.expose().into())));
    if needs_init(&seen, &template) {
        let arguments = vec!["init".into(), "-machine-readable".into(), template.clone().into()];
        let report = checked(session, &desk, Phase::Init, &request.template, arguments);
        if report.failure.is_some() {
            tell_end(session, &desk.name, false, &report);
            return Ok(CheckReport { command: Phase::Validate.name(), ..report });
        }
    }
    let arguments = arguments(session, request, &desk, &template).map_err(BuildError::Scratch)?;
    let report = checked(session, &desk, Phase::Validate, &request.template, arguments);
    tell_end(session, &desk.name, report.failure.is_none(), &report);
    Ok(report)
}

fn arguments(session: &Session<'_>, request: &BuildRequest, desk: &Desk, template: &Path) -> io::Result<Vec<OsString>> {
    let mut arguments: Vec<OsString> = vec!["validate".into(), "-machine-readable".into()];
    for (flag, builds) in [("-only", &request.only), ("-except", &request.except)] {
        arguments.extend((!builds.is_empty()).then(|| assignment(flag, builds.join(","))));
    }
    arguments.extend(request.var_files.iter().map(|path| var_file(&session.absolute(path))));
    let is_json = !super::build::is_hcl(&template.to_string_lossy(), template);
    if is_json && !request.secrets.is_empty() {
        let path = desk.scratch.path().join(super::build::SECRETS_FILE);
        super::build::write_secrets(&path, &request.secrets)?;
        arguments.push(var_file(&path));
    }
    for (name, value) in &request.variables {
        arguments.extend(["-var".into(), assignment(name, value)]);
    }
    arguments.push(template.into());
    Ok(arguments)
}

#[expect(clippy::expect_used, reason = "the names of packer's commands are names")]
fn desk(session: &Session<'_>, name: &str) -> Result<Desk, BuildError> {
    let name: Name = name.parse().expect("a name");
    let folder = session.workspace.root().to_owned();
    Desk::plain(name, folder, session.log.clone()).map_err(BuildError::Scratch)
}

fn existing(session: &Session<'_>, path: &Path) -> Result<PathBuf, BuildError> {
    let whole = session.absolute(path);
    if whole.exists() { Ok(whole) } else { Err(BuildError::NoTemplate(whole)) }
}

fn checked(session: &Session<'_>, desk: &Desk, phase: Phase, path: &Path, arguments: Vec<OsString>) -> CheckReport {
    let started_at = session.now();
    let called = desk.call(session, phase, arguments);
    let is_unformatted = phase == Phase::Format && called.exit_code() == Some(NOT_FORMATTED);
    let failure = called.failure(phase).filter(|_| !is_unformatted);
    let status = match failure {
        _ if is_unformatted => CheckStatus::Unformatted,
        None => CheckStatus::Succeeded,
        Some(_) => CheckStatus::Failed,
    };
    CheckReport {
        schema_version: 1,
        command: phase.name(),
        template: path.to_owned(),
        status,
        exit_code: called.exit_code(),
        started_at,
        finished_at: session.now(),
        changed: if phase == Phase::Format && failure.is_none() { changed(&called) } else { Vec::new() },
        errors: if failure.is_some() { called.transcript.all_errors() } else { Vec::new() },
        warnings: called.transcript.warnings.clone(),
        failure,
    }
}

/// Packer prints the path of each file that it rewrites.
fn changed(called: &Called) -> Vec<String> {
    called.transcript.plain.iter().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

fn tell_end(session: &Session<'_>, name: &Name, ok: bool, report: &CheckReport) {
    let text = match (&report.failure, report.status) {
        (Some(failure), _) => failure.to_string(),
        (None, CheckStatus::Unformatted) => format!("{} is not formatted", report.template.display()),
        (None, _) => format!("{} is good", report.template.display()),
    };
    (session.events)(&Event::Ended { name: name.clone(), ok, text });
}
