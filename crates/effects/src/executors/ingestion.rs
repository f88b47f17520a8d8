//! DISCOVER, FETCH and VALIDATE.

use std::collections::BTreeSet;

use super::content::Bench;
use super::{Done, Workshop};
use crate::outcome::{Outcomes, Report, detail};
use crate::task::{Executor, Place, Wanted};
use crate::worker::{Failed, Job, Work};
use swoosh_hybridcore::sources::documents::{ScanOutcome, ScanStatus};
use swoosh_hybridcore::sources::scan::{self, ScanError};
use swoosh_hybridcore::sources::status::{self, Condition};
use swoosh_hybridcore::sources::{Session, fetch, resolve};
use swoosh_machine::state::State;
use swoosh_types::content_flag::ContentFlag;
use swoosh_types::inputs::{CheckOutcome, CheckOutcomes, ContentSeen, FetchedSources, ResolvedSources, SourceSet};
use swoosh_types::json::MAX_INTEGER;
use swoosh_types::names::{EffectName, Transition};
use swoosh_types::text::{Detail, Name};

/// The most paths that an outcome may name.
const MOST_PATHS: usize = 32;

/// Turns references into commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolve {
    pub wanted: Wanted,
}

impl Executor for Resolve {
    const EFFECT: EffectName = EffectName::Resolve;
    const PLACE: Place = Place::Content;
    const IDEMPOTENT: bool = true;

    fn task(state: &State) -> Resolve {
        Resolve { wanted: Wanted::of(state) }
    }

    fn run(&self, workshop: &Workshop, job: &Job, work: &Work<'_>) -> Done {
        let bench = Bench::new(workshop, job, Some(&self.wanted), work)?;
        let resolved: ResolvedSources = bench.each(&self.wanted, |session, set| {
            resolve(session, set).map_err(|error| failed(error.is_transient(), &error))
        })?;
        Ok((Transition::IngestionSourcesResolved, Report { resolved: Some(resolved), ..Report::default() }))
    }
}

/// Brings commits here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    pub wanted: Wanted,
    /// The commits of the sources.
    pub resolved: ResolvedSources,
}

impl Executor for Fetch {
    const EFFECT: EffectName = EffectName::Fetch;
    const PLACE: Place = Place::Content;
    const IDEMPOTENT: bool = true;

    fn task(state: &State) -> Fetch {
        Fetch { wanted: Wanted::of(state), resolved: state.ingestion.resolved.clone() }
    }

    fn run(&self, workshop: &Workshop, job: &Job, work: &Work<'_>) -> Done {
        let bench = Bench::new(workshop, job, Some(&self.wanted), work)?;
        let fetched: FetchedSources = bench.each(&self.wanted, |session, set| {
            fetch(session, set, &self.resolved).map_err(|error| failed(error.is_transient(), &error))
        })?;
        Ok((Transition::IngestionBytesOk, Report { fetched: Some(fetched), ..Report::default() }))
    }
}

/// Checks pins and scans content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validate {
    pub wanted: Wanted,
    /// Commits and trees.
    pub fetched: FetchedSources,
}

impl Executor for Validate {
    const EFFECT: EffectName = EffectName::Validate;
    const PLACE: Place = Place::Content;
    const IDEMPOTENT: bool = true;

    fn task(state: &State) -> Validate {
        Validate { wanted: Wanted::of(state), fetched: state.ingestion.fetched.clone() }
    }

    /// Checks that every tree is the one that was fetched, and scans it. The findings go to the policies with the
    /// outcomes; the failure names each check that did not pass.
    fn run(&self, workshop: &Workshop, job: &Job, work: &Work<'_>) -> Done {
        let bench = Bench::new(workshop, job, Some(&self.wanted), work)?;
        let outcomes: CheckOutcomes = bench.each(&self.wanted, |session, set| {
            let mut outcomes = pins(session, set, &self.fetched)?;
            if outcomes.iter().all(|outcome| outcome.ok) {
                outcomes.extend(workshop.scans(session, set)?);
            }
            Ok(outcomes)
        })?;
        let wrong: Vec<_> = outcomes.iter().filter(|outcome| !outcome.ok).map(fault_text).collect();
        let report = Report { outcomes: Some(Outcomes::Checks(outcomes)), ..Report::default() };
        if wrong.is_empty() {
            return Ok((Transition::IngestionSchemaOk, report));
        }
        Err(Failed { reason: wrong.join("; "), again: false, report: report.into() })
    }
}

impl Workshop {
    fn scans(&self, session: &Session<'_>, set: &SourceSet) -> Result<CheckOutcomes, Failed> {
        let names: Vec<Name> = set.keys().cloned().collect();
        let scanned = scan::scan(session, &names, &self.scan).map_err(|error| {
            let again = matches!(&error, ScanError::Git { source, .. } if source.is_transient());
            failed(again || matches!(error, ScanError::Lock(_)), &error)
        })?;
        Ok(scanned.into_iter().map(|scanned| scan_outcome(scanned.name, &scanned.status)).collect())
    }
}

fn failed(again: bool, error: &dyn std::fmt::Display) -> Failed {
    Failed { reason: error.to_string(), again, report: Box::default() }
}

fn fault_text(outcome: &CheckOutcome) -> String {
    let detail = outcome.detail.as_ref().map_or("did not pass", |detail| detail.as_str());
    format!("{} of {}: {detail}", outcome.check, outcome.source)
}

#[expect(clippy::expect_used, reason = "each is a literal name")]
fn check(name: &str) -> Name {
    name.parse().expect("a literal name")
}

/// Checks that every tree is at its commit and unmodified.
fn pins(session: &Session<'_>, set: &SourceSet, fetched: &FetchedSources) -> Result<CheckOutcomes, Failed> {
    let overview = status::overview(session, set, u64::MAX).map_err(|error| failed(false, &error))?;
    let one = |source: &status::SourceStatus| {
        let wanted = fetched.get(&source.name).map(|fetched| &fetched.commit);
        let wrong = match (&source.condition, &source.head) {
            (Condition::Clean, head) if head.as_ref() == wanted => None,
            (Condition::Clean, _) => Some("it is at another commit than the one that was fetched".to_owned()),
            (condition, _) => {
                let detail = source.detail.as_deref().unwrap_or("fetch it again");
                Some(format!("its working tree is {}: {detail}", format!("{condition:?}").to_lowercase()))
            }
        };
        let (check, source, ok) = (check("pins"), source.name.clone(), wrong.is_none());
        CheckOutcome { check, source, ok, detail: wrong.map(|wrong| detail(&wrong)), seen: None }
    };
    Ok(overview.sources.iter().filter(|source| source.configured).map(one).collect())
}

/// Findings are for the policies to judge; a scan that could not be made did not pass.
fn scan_outcome(source: Name, status: &ScanStatus) -> CheckOutcome {
    let survey = &status.survey;
    let (paths, paths_left_out) = paths(status);
    let seen = ContentSeen {
        files: survey.files,
        bytes: survey.bytes,
        largest_file_bytes: survey.largest_file_bytes,
        licences: survey.licences.clone(),
        flags: status.flags.iter().map(|flag| check(flag.as_str())).collect(),
        paths,
        paths_left_out,
    };
    let findings = (!status.findings.is_empty()).then(|| detail(&status.lines().join("; ")));
    let ok = status.outcome != ScanOutcome::Failed;
    CheckOutcome { check: check("scan"), source, ok, detail: findings, seen: Some(Box::new(seen)) }
}

/// The paths of findings, those of secrets first, and how many findings name none of them in full. An external scanner
/// reports lines, not paths.
fn paths(status: &ScanStatus) -> (BTreeSet<Detail>, u64) {
    let survey = &status.survey;
    let credentials = survey.credentials.iter().map(|found| &found.path);
    let secrets = survey.private_keys.iter().chain(credentials);
    let rest = [&survey.escaping_links, &survey.climbing_paths, &survey.submodules, &survey.lfs_pointers];
    let is_external = [ContentFlag::Scanner, ContentFlag::Malware].iter().any(|flag| status.flags.contains(flag));
    let mut left_out = survey.paths_left_out + u64::from(is_external);
    let mut paths = BTreeSet::new();
    for place in secrets.chain(rest.into_iter().flatten()) {
        let path = detail(place);
        left_out += u64::from(path.as_str() != place);
        if paths.len() < MOST_PATHS || paths.contains(&path) {
            paths.insert(path);
        } else {
            left_out += 1;
        }
    }
    (paths, left_out.min(MAX_INTEGER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use swoosh_hybridcore::sources::git::Survey;

    /// Paths of pointers took the places of those of secrets, without a sign.
    #[test]
    fn paths_of_secrets_come_first_and_those_that_do_not_fit_are_counted() {
        let names = |count: usize| (0..count).map(|n| format!("a/{n:02}")).collect::<Vec<_>>();
        let found = |survey: Survey, flags: &[&str]| {
            let document = json!({
                "outcome": "findings", "scanned_at": "", "commit_sha": "a".repeat(40), "scanner": "", "flags": flags, "survey": survey,
            });
            let (paths, left_out) = paths(&serde_json::from_value(document).unwrap());
            (paths.len(), paths.iter().any(|path| path.as_str() == "z"), left_out)
        };
        let survey = |count| Survey { private_keys: vec!["z".into()], lfs_pointers: names(count), ..Survey::default() };
        assert_eq!(found(survey(31), &[]), (32, true, 0));
        assert_eq!(found(survey(32), &[]), (32, true, 1));
        assert_eq!(found(Survey { submodules: names(31), ..survey(31) }, &[]), (32, true, 0), "a path counts once");
        assert_eq!(found(Survey { paths_left_out: 2, ..survey(1) }, &["scanner"]), (2, true, 3));
        assert_eq!(found(Survey { submodules: vec!["e\u{301}".into()], ..survey(1) }, &[]).2, 1, "not as git has it");
    }
}
