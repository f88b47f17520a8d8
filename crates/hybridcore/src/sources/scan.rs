//! Scans of working trees: built-in checks, and an external scanner when one is configured.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use thiserror::Error;

use super::config::{RulesError, ScanConfig};
use super::documents::{self, SOURCES_FILE, ScanOutcome, ScanStatus, SourceEntry, SourcesDocument};
use super::failure::GitError;
use super::fetch;
use super::git::{Reply, Request, Survey};
use super::session::{Event, Session};
use super::tree::{self, Found, TreeError};
use crate::logs::Redactor;
use crate::process::{self, Bounds, End, Program};
use crate::state::LockError;
use crate::state::catalogue::UpdateError;
use crate::state::document::DocumentError;
use swoosh_types::content_flag::ContentFlag;
use swoosh_types::text::Name;

/// How many lines of findings are kept, of how many characters each.
const FINDINGS: usize = 20;
const FINDING_CHARACTERS: usize = 300;
/// The name of the built-in checks.
const BUILT_IN: &str = "built-in";

/// One source and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Scanned {
    /// The source.
    pub name: Name,
    pub status: ScanStatus,
}

/// Why nothing was scanned.
#[derive(Debug, Error)]
pub enum ScanError {
    /// The source was never synced.
    #[error("{0} is not there yet; run `swoosh sources sync` first")]
    Missing(Name),
    /// The working tree cannot be used as it is.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Git failed.
    #[error("{name}: {source}")]
    Git {
        /// The source.
        name: Name,
        #[source]
        source: GitError,
    },
    /// The file of credential rules cannot be used.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// Another command is at work.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A state document cannot be read.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A state document cannot be written.
    #[error(transparent)]
    Update(#[from] UpdateError),
}

/// Scans sources and records what was found; all that are recorded when `names` is empty.
pub fn scan(session: &Session<'_>, names: &[Name], config: &ScanConfig) -> Result<Vec<Scanned>, ScanError> {
    let _lock = fetch::take_trees_lock(session, "sources scan")?;
    let known: SourcesDocument = documents::read(&session.workspace.state(), SOURCES_FILE)?;
    let all: Vec<Name> = if names.is_empty() { known.sources.keys().cloned().collect() } else { names.to_vec() };
    let mut scanned = Vec::new();
    for name in all {
        let entry = known.sources.get(&name).ok_or_else(|| ScanError::Missing(name.clone()))?;
        (session.events)(&Event::Begun { name: name.clone() });
        let status = scan_one(session, entry, config)?;
        documents::update(
            &session.workspace.state(),
            SOURCES_FILE,
            session.leave,
            |document: &mut SourcesDocument| {
                if let Some(entry) = document.sources.get_mut(&name) {
                    entry.scan_status = Some(status.clone());
                }
            },
        )?;
        let count = status.findings.len() as u64 + status.findings_left_out;
        let text = format!("scan: {:?}, {count} finding(s)", status.outcome).to_lowercase();
        session.log.clone().with("source", &name).info(&text);
        (session.events)(&Event::Ended { name: name.clone(), ok: status.outcome == ScanOutcome::Clean, text });
        scanned.push(Scanned { name, status });
    }
    Ok(scanned)
}

fn scan_one(session: &Session<'_>, entry: &SourceEntry, config: &ScanConfig) -> Result<ScanStatus, ScanError> {
    let folder = session.workspace.tree(&entry.name);
    match tree::look(session, &entry.name, &folder)? {
        // The scanned commit must be the recorded one.
        Found::Whole(inspection) => refuse_other(entry, &folder, &inspection)?,
        Found::Nothing | Found::Partial | Found::Interrupted => return Err(ScanError::Missing(entry.name.clone())),
    }
    let rules = config.credential_rules()?;
    let request = Request::Survey { folder: folder.clone(), commit: entry.commit_sha.clone(), rules };
    let fail = |source| ScanError::Git { name: entry.name.clone(), source };
    let survey = match session.ask_once(&entry.name, &request).map_err(fail)? {
        Reply::Surveyed(survey) => survey,
        other => return Err(fail(GitError::unexpected(request.what(), &other))),
    };
    let mut flags = built_in_flags(&survey);
    let (mut findings, mut findings_left_out) = (Vec::new(), survey.findings_left_out);
    let mut outcome = if flags.is_empty() { ScanOutcome::Clean } else { ScanOutcome::Findings };
    let mut scanner = BUILT_IN.to_owned();
    if let Some((program, arguments)) = config.command.split_first() {
        scanner = format!("{BUILT_IN}, {program}");
        let external = external(session, program, arguments, &folder, config);
        findings.extend(external.lines);
        findings_left_out += external.left_out;
        flags.extend(external.flags);
        outcome = if external.outcome == ScanOutcome::Clean { outcome } else { external.outcome };
    }
    findings.extend(built_in_findings(&survey));
    findings_left_out += findings.len().saturating_sub(FINDINGS) as u64;
    findings.truncate(FINDINGS);
    let (scanned_at, commit_sha) = (session.now(), entry.commit_sha.clone());
    Ok(ScanStatus { outcome, scanned_at, commit_sha, scanner, findings, findings_left_out, flags, survey })
}

fn refuse_other(
    entry: &SourceEntry,
    folder: &std::path::Path,
    inspection: &super::git::Inspection,
) -> Result<(), TreeError> {
    if inspection.changed > 0 {
        let (changed, examples) = (inspection.changed, inspection.examples.join(", "));
        return Err(TreeError::Dirty { folder: folder.to_owned(), changed, examples });
    }
    match inspection.head.as_ref().filter(|head| **head != entry.commit_sha) {
        Some(head) => {
            let (found, left_at) = (head.to_string(), entry.commit_sha.clone());
            Err(TreeError::Diverged { folder: folder.to_owned(), found, left_at })
        }
        None => Ok(()),
    }
}

fn built_in_findings(survey: &Survey) -> Vec<String> {
    let links = survey.escaping_links.iter().map(|path| format!("{path}: a symbolic link that leads out of the tree"));
    let submodules = survey.submodules.iter().map(|path| format!("{path}: a submodule, which is not fetched"));
    let keys = survey.private_keys.iter().map(|path| format!("{path}: holds a private key"));
    let climbing = survey.climbing_paths.iter().map(|path| format!("{path}: names a path out of the tree"));
    let rules = survey.credentials.iter().map(|found| format!("{}: credential rule {}", found.path, found.rule));
    let pointers =
        survey.lfs_pointers.iter().map(|path| format!("{path}: a pointer of Git LFS, whose content is not fetched"));
    keys.chain(rules).chain(links).chain(climbing).chain(submodules).chain(pointers).collect()
}

/// Every flag that the survey of a tree raises. None depends on another.
fn built_in_flags(survey: &Survey) -> BTreeSet<ContentFlag> {
    let lists = [
        (ContentFlag::LfsPointer, &survey.lfs_pointers),
        (ContentFlag::LinkEscape, &survey.escaping_links),
        (ContentFlag::PathEscape, &survey.climbing_paths),
        (ContentFlag::PrivateKey, &survey.private_keys),
        (ContentFlag::Submodule, &survey.submodules),
    ];
    let listed = lists.into_iter().filter(|(_, list)| !list.is_empty()).map(|(flag, _)| flag);
    listed.chain(survey.credentials.iter().map(|found| found.flag)).collect()
}

/// Findings of the external scanner.
#[derive(Default)]
struct External {
    outcome: ScanOutcome,
    lines: Vec<String>,
    /// How many more lines there were.
    left_out: u64,
    flags: BTreeSet<ContentFlag>,
}

/// The flag that a line of the scanner names: `malware: path` and the like.
fn flag_of(line: &str) -> Option<ContentFlag> {
    line.split_once(':').and_then(|(flag, _)| flag.trim().parse().ok())
}

/// Runs the external scanner in the working tree.
fn external(
    session: &Session<'_>,
    program: &str,
    arguments: &[String],
    folder: &std::path::Path,
    config: &ScanConfig,
) -> External {
    let mut scanner = Program::new(program).inherit(&["HOME", "LANG", "TMPDIR"]);
    scanner.arguments.extend(arguments.iter().map(Into::into));
    scanner.folder = Some(folder.to_owned());
    let bounds = Bounds { time_limit: Duration::from_secs(config.time_limit_s), ..Bounds::default() };
    let redactor = Redactor::new(session.wallet.secrets());
    let (mut lines, mut left_out, mut flags) = (Vec::new(), 0, BTreeSet::new());
    let mut on_line = |_, line: &str| {
        flags.extend(flag_of(line));
        match lines.len() {
            _ if line.trim().is_empty() => {}
            FINDINGS.. => left_out += 1,
            _ => lines.push(redactor.clean(&line.chars().take(FINDING_CHARACTERS).collect::<String>())),
        }
    };
    let outcome = match process::run(&scanner, &bounds, session.leave, &mut on_line) {
        Ok(End::Code(0)) => return External::default(),
        Ok(End::Code(1)) => ScanOutcome::Findings,
        Ok(end) => {
            lines.insert(0, format!("{program} ended with {end:?}"));
            ScanOutcome::Failed
        }
        Err(error) => {
            lines.insert(0, error.to_string());
            ScanOutcome::Failed
        }
    };
    if outcome == ScanOutcome::Findings {
        flags.insert(ContentFlag::Scanner);
    }
    External { outcome, lines, left_out, flags }
}
