//! Records (metadata, overrides, mirrors, scans), and the doctor's findings when a record is missing.

use std::collections::BTreeSet;

use super::*;
use crate::sources::audit::{self, OverrideStatus};
use crate::sources::config::ScanConfig;
use crate::sources::doctor::{self, Severity};
use crate::sources::documents::{OVERRIDES_FILE, SOURCES_FILE, ScanOutcome, SourcesDocument, read};
use crate::sources::git::FoundCredential;
use crate::sources::mirrors::BASE_VARIABLE;
use crate::sources::pin::{self, PinRequest};
use crate::sources::scan;
use crate::sources::status::{self, ScanState};
use crate::sources::sync::{self, SyncOptions};
use crate::sources::{fetch, resolve};
use swoosh_types::content_flag::ContentFlag;

fn world() -> (World, SourceSet) {
    let world = World::new(FakeGit::with_refs(&[("refs/tags/v1", 'a'), ("refs/tags/v2", 'b')]));
    let set = set(&[("alpha", "v1")]);
    sync::sync(&world.session(), &set, &SyncOptions::default()).unwrap();
    (world, set)
}

fn request() -> PinRequest {
    PinRequest {
        name: name("alpha"),
        commit: id('f'),
        request_id: "GOV-118".to_owned(),
        approver: "dana".to_owned(),
        expires_at: "2025-11-01T00:00:00Z".to_owned(),
        reason: "hotfix".to_owned(),
        incidents: vec!["INC-77".to_owned()],
    }
}

#[test]
fn metadata_update_records_sha_time_and_operator_with_sorted_keys() {
    let (world, _) = world();
    let report = sync::sync(&world.session(), &set(&[("alpha", "v2")]), &SyncOptions::default()).unwrap();
    assert!(report.synced[0].changed);
    let entry = read::<SourcesDocument>(&world.folder.path().join("state"), SOURCES_FILE).unwrap().sources
        [&name("alpha")]
        .clone();
    assert_eq!((entry.commit_sha, entry.reference.as_str()), (id('b'), "v2"));
    assert_eq!((entry.updated_at.as_str(), entry.updated_by.as_str()), ("2025-10-19T01:23:45.678+00:00", "olga"));
    let text = world.state(SOURCES_FILE);
    let keys: Vec<&str> = text.lines().filter(|line| line.starts_with("      \"")).collect();
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    assert_eq!(keys, sorted);
    assert!(text.contains("\"schema_version\": 2"), "{text}");
}

#[test]
fn pinned_versions_stand_in_the_catalogue_and_in_the_lock_file() {
    let (world, _) = world();
    for file in ["packer-hybrid.json", "sources.lock"] {
        let text = world.state(file);
        assert!(text.contains(id('a').as_str()) && text.contains("https://h.example/alpha.git"), "{file}: {text}");
    }
}

#[test]
fn the_first_version_of_the_metadata_is_migrated() {
    let (world, set) = world();
    let old = format!(
        r#"{{"schema_version": 1, "sources": [{{"name": "alpha", "repo_url": "https://h.example/alpha.git", "tag": "v1",
            "commit_sha": "{}", "updated_at": "2025-01-01T00:00:00Z", "updated_by": "old"}}]}}"#,
        id('a')
    );
    fs::write(world.folder.path().join("state/sources.json"), old).unwrap();
    sync::sync(&world.session(), &set, &SyncOptions::default()).unwrap();
    let text = world.state(SOURCES_FILE);
    assert!(text.contains("\"schema_version\": 2") && text.contains("\"updated_by\": \"old\""), "{text}");
}

#[test]
fn manual_override_request_needs_its_approval_and_links_to_the_audit_entry() {
    let (world, set) = world();
    let mut refused: Vec<PinRequest> = vec![request(); 4];
    refused[0].request_id.clear();
    refused[1].approver = " ".to_owned();
    refused[2].reason = "two\nlines".to_owned();
    refused[3].expires_at = "2025-10-19T01:23:45.678Z".to_owned();
    let before = world.all_state();
    for request in refused {
        pin::pin(&world.session(), &set, &request).unwrap_err();
        assert_eq!(world.all_state(), before);
    }
    let synced = pin::pin(&world.session(), &set, &request()).unwrap();
    let audit_id = synced.override_id.unwrap();
    let text = world.state(OVERRIDES_FILE);
    for part in [audit_id.as_str(), "GOV-118", "dana", "INC-77", "olga", "cmd-1"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(world.state(SOURCES_FILE).contains(&audit_id));
    assert!(world.state("sources.lock").contains(id('a').as_str()), "the lock is not touched");
    let report = sync::sync(&world.session(), &set, &SyncOptions::default()).unwrap();
    assert_eq!(report.synced[0].commit_sha, id('f'), "sync obeys it");
}

#[test]
fn a_forced_commit_counts_for_every_way_to_resolve_and_fetch_until_it_is_released() {
    let (world, set) = world();
    let resolved = resolve(&world.session(), &set).unwrap();
    pin::pin(&world.session(), &set, &request()).unwrap();
    let alpha = name("alpha");
    let forced = resolve(&world.session(), &set).unwrap();
    assert_eq!((&resolved[&alpha].commit, &forced[&alpha].commit), (&id('a'), &id('f')));
    let error = fetch(&world.session(), &set, &resolved).unwrap_err().to_string();
    assert!(error.contains("ovr-000001 forces") && error.contains("resolve the set again"), "{error}");
    let fetched = fetch(&world.session(), &set, &forced).unwrap();
    assert_eq!(fetched[&alpha].commit, id('f'));
    assert!(world.state(SOURCES_FILE).contains("ovr-000001"), "the record names the override");
    assert!(world.state("sources.lock").contains(id('a').as_str()), "the lock is not touched");
    assert!(!doctor::diagnose(&world.session(), &set, 7).is_bad());
    pin::release(&world.session(), &alpha, "over").unwrap();
    assert_eq!(resolve(&world.session(), &set).unwrap()[&alpha].commit, id('a'));
}

#[test]
fn a_commit_that_cannot_be_had_forces_nothing() {
    let (world, set) = world();
    let before = world.all_state();
    world.git.fail_next("fetching", failed(FailureKind::NoCommit));
    let error = pin::pin(&world.session(), &set, &request()).unwrap_err().to_string();
    assert!(error.contains(FailureKind::NoCommit.remedy()), "{error}");
    assert_eq!(world.all_state(), before);
}

#[test]
fn missing_override_metadata_fails_diagnostics_with_what_to_capture() {
    let (world, set) = world();
    pin::pin(&world.session(), &set, &request()).unwrap();
    assert!(!doctor::diagnose(&world.session(), &set, 7).is_bad());
    fs::remove_file(world.folder.path().join("state").join(OVERRIDES_FILE)).unwrap();
    let diagnosis = doctor::diagnose(&world.session(), &set, 7);
    let finding = &diagnosis.findings[0];
    assert!(diagnosis.is_bad() && finding.severity == Severity::Critical);
    assert!(finding.found.contains("has no record") && finding.remedy.contains("capture its metadata"), "{finding:?}");
}

#[test]
fn audit_trail_keeps_every_override_and_what_became_of_it() {
    let (world, set) = world();
    pin::pin(&world.session(), &set, &request()).unwrap();
    pin::pin(&world.session(), &set, &PinRequest { commit: id('9'), ..request() }).unwrap();
    pin::release(&world.session(), &name("alpha"), "fixed").unwrap();
    let third = PinRequest { expires_at: "2025-10-20T00:00:00Z".to_owned(), ..request() };
    pin::pin(&world.session(), &set, &third).unwrap();
    let mut session = world.session();
    session.now_ms = || NOW_MS + 10 * 86_400_000;
    let export = audit::export(&session, None, 0).unwrap();
    let statuses: Vec<OverrideStatus> = export.overrides.iter().map(|entry| entry.status).collect();
    assert_eq!(statuses, [OverrideStatus::Ended, OverrideStatus::Ended, OverrideStatus::Expired]);
    assert_eq!(export.overrides[0].entry.ended_why.as_deref(), Some("replaced by ovr-000002"));
    assert_eq!(export.overrides[1].entry.ended_why.as_deref(), Some("fixed"));
    let report = sync::sync(&session, &set, &SyncOptions::default()).unwrap();
    assert_eq!(report.synced[0].commit_sha, id('a'), "after its expiry the locked commit is wanted again");
    assert!(pin::release(&session, &name("alpha"), "again").is_err());
}

#[test]
fn air_gap_mirrors_are_recorded_when_used_and_missing_records_fail_diagnostics() {
    let mut world = World::new(FakeGit::with_refs(&[("refs/tags/v1", 'a')]));
    world.mirrors.environment.insert(BASE_VARIABLE.to_owned(), "file:///media".to_owned());
    world.mirrors.offline = true;
    let set = set(&[("alpha", "v1")]);
    sync::sync(&world.session(), &set, &SyncOptions::default()).unwrap();
    let text = world.state("sources-mirrors.json");
    assert!(text.contains("file:///media/h.example/alpha.git") && text.contains("olga"), "{text}");
    let diagnose = |world: &World| {
        let mut session = world.session();
        session.mirrors.inventory = read(&world.folder.path().join("state"), "sources-mirrors.json").unwrap();
        doctor::diagnose(&session, &set, 7)
    };
    assert!(!diagnose(&world).is_bad());
    fs::remove_file(world.folder.path().join("state/sources-mirrors.json")).unwrap();
    let diagnosis = diagnose(&world);
    assert!(diagnosis.findings.iter().any(|f| f.remedy.contains("capture its metadata")), "{:?}", diagnosis.findings);
}

#[test]
fn schema_reference_status_has_the_scan_and_tells_stale_and_missing_ones() {
    let (world, set) = world();
    let state = |session: &Session<'_>| status::overview(session, &set, 7).unwrap().sources[0].scan_state;
    assert_eq!(state(&world.session()), ScanState::Missing);
    scan::scan(&world.session(), &[], &ScanConfig::default()).unwrap();
    assert_eq!(state(&world.session()), ScanState::Clean);
    let mut later = world.session();
    later.now_ms = || NOW_MS + 8 * 86_400_000;
    assert_eq!(state(&later), ScanState::Stale);
    pin::pin(&world.session(), &set, &request()).unwrap();
    assert_eq!(state(&world.session()), ScanState::Stale, "another commit was never scanned");
}

/// The doctor wrote file names in lower case, and named no limit that a scan had passed.
#[test]
fn the_doctor_names_files_in_their_case_and_the_limit_of_a_stale_scan() {
    let (world, set) = world();
    scan::scan(&world.session(), &[], &ScanConfig::default()).unwrap();
    let mut later = world.session();
    later.now_ms = || NOW_MS + 8 * 86_400_000;
    let stale = doctor::diagnose(&later, &set, 7);
    let found = |part: &str| stale.findings.iter().any(|finding| finding.found.contains(part));
    assert!(found("its scan is stale") && found("scan.max_age_days (7)"), "{:?}", stale.findings);
    world.git.changes.lock().unwrap().insert(world.tree("alpha"), 2);
    let dirty = doctor::diagnose(&world.session(), &set, 7);
    assert!(dirty.findings.iter().any(|finding| finding.found.contains("File-1")), "{:?}", dirty.findings);
}

#[test]
fn an_external_scanner_says_clean_findings_or_that_it_failed() {
    let (world, _) = world();
    let outcome = |script: &str| {
        let command = ["sh", "-c", script].map(str::to_owned).into();
        let config = ScanConfig { command, ..ScanConfig::default() };
        scan::scan(&world.session(), &[], &config).unwrap().remove(0).status
    };
    assert_eq!(outcome("exit 0").outcome, ScanOutcome::Clean);
    let found = outcome("echo CVE-1 token=abcdef; exit 1");
    assert_eq!((found.outcome, found.findings), (ScanOutcome::Findings, vec!["CVE-1 token=[redacted]".to_owned()]));
    assert_eq!(outcome("exit 7").outcome, ScanOutcome::Failed);
    let missing = ScanConfig { command: vec!["no-such-scanner".to_owned()], ..ScanConfig::default() };
    let status = scan::scan(&world.session(), &[], &missing).unwrap().remove(0).status;
    assert!(status.outcome == ScanOutcome::Failed && status.findings[0].contains("not installed"), "{status:?}");
}

/// Eight files with credentials gave five lines, and nothing showed that there were more.
#[test]
fn scans_list_the_first_findings_and_count_the_others() {
    let (world, _) = world();
    let scanned = |script: &str| {
        let config = ScanConfig { command: ["sh", "-c", script].map(str::to_owned).into(), ..ScanConfig::default() };
        scan::scan(&world.session(), &[], &config).unwrap().remove(0).status
    };
    let few = scanned("seq 20; exit 1");
    assert_eq!((few.findings_left_out, few.lines().len()), (0, 20));
    *world.git.survey.lock().unwrap() =
        Survey { submodules: vec!["s".into(); 3], findings_left_out: 7, ..Survey::default() };
    assert_eq!(scanned("seq 22; exit 1").lines().pop().as_deref(), Some("and 12 more"));
}

/// Every kind of finding that a survey can have, with the flag that it must raise.
type Finding = (ContentFlag, fn(&mut Survey));

fn rule(survey: &mut Survey, flag: ContentFlag) {
    survey.credentials.push(FoundCredential { rule: "r".into(), flag, path: "p".into() });
}

const FINDINGS: [Finding; 9] = [
    (ContentFlag::LfsPointer, |survey| survey.lfs_pointers.push("f".into())),
    (ContentFlag::LinkEscape, |survey| survey.escaping_links.push("l".into())),
    (ContentFlag::PathEscape, |survey| survey.climbing_paths.push(".gitmodules".into())),
    (ContentFlag::PrivateKey, |survey| survey.private_keys.push("k".into())),
    (ContentFlag::Submodule, |survey| survey.submodules.push("s".into())),
    (ContentFlag::Credentials, |survey| rule(survey, ContentFlag::Credentials)),
    (ContentFlag::PrivateKey, |survey| rule(survey, ContentFlag::PrivateKey)),
    (ContentFlag::Secret, |survey| rule(survey, ContentFlag::Secret)),
    (ContentFlag::Token, |survey| rule(survey, ContentFlag::Token)),
];

/// Regression: the scanner's verdict was reported only without other flags, so one symbolic link in the repository hid
/// it.
#[test]
fn every_combination_of_findings_raises_exactly_its_own_flags() {
    let (world, _) = world();
    let scanners: [(&str, &[ContentFlag]); 4] = [
        ("", &[]),
        ("exit 0", &[]),
        ("echo something; exit 1", &[ContentFlag::Scanner]),
        ("seq 50; echo malware: a.exe; exit 1", &[ContentFlag::Scanner, ContentFlag::Malware]),
    ];
    let mut raised = BTreeSet::new();
    for set in 0u32..1 << FINDINGS.len() {
        let chosen = || (0..).zip(FINDINGS).filter(move |(n, _)| set >> n & 1 == 1).map(|(_, finding)| finding);
        let mut survey = Survey::default();
        chosen().for_each(|(_, add)| add(&mut survey));
        *world.git.survey.lock().unwrap() = survey;
        // A process for each of the combinations would take long; every set meets one of the scanners, and small ones all.
        let few = if set.count_ones() <= 1 { &scanners[..] } else { std::slice::from_ref(&scanners[set as usize % 4]) };
        for (script, own) in few {
            let command = if script.is_empty() { Vec::new() } else { ["sh", "-c", script].map(str::to_owned).into() };
            let config = ScanConfig { command, ..ScanConfig::default() };
            let status = scan::scan(&world.session(), &[], &config).unwrap().remove(0).status;
            let wanted: BTreeSet<_> = chosen().map(|(flag, _)| flag).chain(own.iter().copied()).collect();
            assert_eq!(status.flags, wanted, "{set:b} {script}");
            let outcome = if wanted.is_empty() { ScanOutcome::Clean } else { ScanOutcome::Findings };
            assert_eq!(status.outcome, outcome, "{set:b} {script}");
            raised.extend(status.flags);
        }
    }
    assert_eq!(raised, ContentFlag::ALL.iter().copied().collect(), "every flag of the vocabulary is raised");
}

#[test]
fn a_scanner_that_fails_takes_no_finding_away() {
    let (world, _) = world();
    FINDINGS.iter().for_each(|(_, add)| add(&mut world.git.survey.lock().unwrap()));
    let command = ["sh", "-c", "exit 9"].map(str::to_owned).into();
    let config = ScanConfig { command, ..ScanConfig::default() };
    let status = scan::scan(&world.session(), &[], &config).unwrap().remove(0).status;
    assert_eq!((status.outcome, status.flags), (ScanOutcome::Failed, FINDINGS.iter().map(|(flag, _)| *flag).collect()));
}

#[test]
fn a_rule_file_that_cannot_be_used_fails_the_scan() {
    let (world, _) = world();
    let file = world.folder.path().join("rules.toml");
    let config = ScanConfig { credential_rules: Some(file.clone()), ..ScanConfig::default() };
    let error = scan::scan(&world.session(), &[], &config).unwrap_err().to_string();
    assert!(error.contains("cannot be read"), "{error}");
    fs::write(&file, "[[rules]]\nid = 'a'\nregex = '('").unwrap();
    let error = scan::scan(&world.session(), &[], &config).unwrap_err().to_string();
    assert!(error.contains("rules.toml: rule a:"), "{error}");
}

#[test]
fn a_diagnostics_bundle_holds_no_secret() {
    let (world, set) = world();
    let mut session = world.session();
    let ours = super::super::git::Credentials { user: "u".into(), password: "hunter2-hunter2".into() };
    session.wallet.bound = vec![("https://h.example".parse().unwrap(), ours)];
    session.log.info("a tool logged hunter2-hunter2");
    let bundle = serde_json::to_string(&doctor::diagnose(&session, &set, 7)).unwrap();
    assert!(!bundle.contains("hunter2") && bundle.contains("a tool logged [redacted]"), "{bundle}");
}
