//! Artifacts that are left, lost or changed between two builds.

use std::process::{Command, Stdio};

use super::*;
use crate::state::document;

#[test]
fn an_unchanged_build_is_skipped_while_its_artifacts_verify_and_made_again_when_not() {
    let desk = Desk::new(GOOD);
    let first = desk.build();
    let second = desk.build();
    assert_eq!((second.status, second.run_id.as_str()), (Status::Skipped, first.run_id.as_str()));
    assert_eq!((desk.calls("build"), desk.condition()), (1, BuildCondition::Fresh));
    fs::write(desk.root().join(&first.artifacts[0].files[0].path), "other").unwrap();
    assert_eq!(desk.condition(), BuildCondition::Damaged);
    assert_eq!((desk.build().status, desk.calls("build")), (Status::Succeeded, 2));
    let forced = BuildRequest { force: true, ..request() };
    assert_eq!((desk.build_as(&forced).status, desk.calls("build")), (Status::Succeeded, 3));
    assert_eq!(desk.condition(), BuildCondition::Fresh);
}

#[test]
fn drift_is_reported_with_its_changes_and_built() {
    let desk = Desk::new(GOOD);
    desk.build();
    desk.write("templates/web.pkr.hcl", "build { sources = [\"source.file.other\"] }");
    desk.packer("1.7.0", GOOD);
    let overview = desk.with(|session| overview(session, Some(&name()))).unwrap();
    let changed: Vec<&str> = overview.builds[0].changes.iter().map(|change| change.input.as_str()).collect();
    assert_eq!(changed, ["file templates/web.pkr.hcl", "packer"]);
    assert_eq!(overview.builds[0].condition, BuildCondition::Drifted);
    assert_eq!(desk.build().status, Status::Succeeded);
    assert_eq!(desk.condition(), BuildCondition::Fresh);
}

#[test]
fn what_a_build_writes_beside_its_artifacts_does_not_make_it_drift() {
    let desk = Desk::new(&format!("date +%N > templates/written.json\n{GOOD}"));
    desk.write(
        "templates/web.pkr.hcl",
        "build {\n  post-processor \"manifest\" {\n    output = \"templates/written.json\"\n  }\n}\n",
    );
    let report = desk.build();
    assert_eq!(report.products, ["templates/written.json".to_owned()].into());
    assert_eq!((desk.build().status, desk.condition()), (Status::Skipped, BuildCondition::Fresh));
}

#[test]
fn an_input_that_changes_while_it_is_built_is_built_again() {
    let desk = Desk::new(&format!("echo '# more' >> templates/web.pkr.hcl\n{GOOD}"));
    let report = desk.build();
    assert!(report.warnings.iter().any(|warning| warning.contains("changed while it was built")), "{report:?}");
    assert_eq!(desk.condition(), BuildCondition::Drifted);
}

#[test]
fn verification_names_what_is_missing_and_what_changed() {
    let two = GOOD.replace(
        "echo \"1,file.web,artifact,0,end\"",
        "printf b > \"$PKR_VAR_swoosh_output/b\"\necho \"1,file.web,artifact,0,file,1,$PKR_VAR_swoosh_output/b\"",
    );
    let desk = Desk::new(&two);
    let report = desk.build();
    let look = || desk.with(|session| verify(session, &name(), None)).unwrap().1;
    assert!(look().is_good());
    let path = |n: usize| desk.root().join(&report.artifacts[0].files[n].path);
    fs::write(path(0), "other").unwrap();
    fs::remove_file(path(1)).unwrap();
    let found = look();
    let conditions: Vec<Condition> = found.findings.iter().map(|finding| finding.condition.clone()).collect();
    assert!(conditions.contains(&Condition::Changed) && conditions.contains(&Condition::Missing), "{found:?}");
    assert!(found.health().values().all(|health| *health == AssetHealth::Failed) && !found.is_good());
    let faults = found.faults().join("\n");
    assert!(faults.contains("web.txt is sha256-") && faults.contains("/b is not there any more"), "{faults}");
    assert_eq!(desk.condition(), BuildCondition::Damaged);
}

#[test]
fn a_removal_deletes_artifacts_of_the_run_and_keeps_changed_files() {
    let desk = Desk::new(GOOD);
    let report = desk.build();
    let path = desk.root().join(&report.artifacts[0].files[0].path);
    fs::write(&path, "mine now").unwrap();
    let (run, removal) = desk.with(|session| remove(session, &name(), None)).unwrap();
    assert_eq!((run.status, removal.removed.len(), removal.kept.len()), (Status::Succeeded, 0, 1));
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine now");
    fs::write(&path, "hello").unwrap();
    let (run, removal) = desk.with(|session| remove(session, &name(), None)).unwrap();
    assert_eq!((run.status, removal.removed.len()), (Status::Removed, 1));
    assert!(!path.exists() && desk.root().join("templates/web.pkr.hcl").exists());
    assert!(!catalogue::read(&desk.root().join("state")).unwrap().manifests.contains_key("web"));
    assert_eq!(desk.condition(), BuildCondition::Missing);
    assert!(desk.with(|session| remove(session, &name(), None)).is_err(), "there is nothing left to remove");
}

#[test]
fn a_link_that_took_an_artifacts_place_is_not_followed_out() {
    let desk = Desk::new(GOOD);
    let report = desk.build();
    let (path, outside) = (desk.root().join(&report.artifacts[0].files[0].path), desk.folder.path().join("outside"));
    fs::write(&outside, "hello").unwrap();
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&outside, &path).unwrap();
    let (_, removal) = desk.with(|session| remove(session, &name(), None)).unwrap();
    assert_eq!((removal.removed.len(), outside.exists()), (0, true), "{removal:?}");
}

#[test]
fn superseded_runs_go_and_the_last_good_one_stays() {
    let desk = Desk::new(GOOD);
    let forced = BuildRequest { force: true, ..request() };
    let (first, second) = (desk.build(), desk.build_as(&forced));
    let removal = desk.with(|session| remove_superseded(session, &name())).unwrap();
    assert_eq!((removal.removed.len(), removal.kept.len()), (1, 0));
    let left = desk.with(|session| runs::all(session, None)).unwrap();
    assert_eq!(left.iter().map(|run| &run.run_id).collect::<Vec<_>>(), [&second.run_id]);
    assert_ne!(first.run_id, second.run_id);
    assert_eq!(desk.condition(), BuildCondition::Fresh);
}

#[test]
fn a_run_whose_process_died_is_ended_and_recorded_with_what_it_had_made() {
    let desk = Desk::new(GOOD);
    let mut run = desk.build();
    run.status = Status::Running;
    run.artifacts.clear();
    let path = desk.root().join("state/runs").join(&run.run_id);
    fs::write(path.join("output/half"), "half").unwrap();
    document::store(&path.join(runs::REPORT_FILE), &run).unwrap();
    // A left-over of the dead run: a process that knows the run's id.
    let mut orphan =
        Command::new("sleep").arg("600").env(RUN_VARIABLE, &run.run_id).stdin(Stdio::null()).spawn().unwrap();
    let recovered = desk.with(recover_all).unwrap();
    assert!(!orphan.wait().unwrap().success(), "the orphan was ended");
    assert_eq!(recovered.len(), 1);
    assert_eq!((recovered[0].status, class(&recovered[0])), (Status::Failed, Some(FailureClass::Abandoned)));
    let names: Vec<String> = recovered[0].assets().keys().map(ToString::to_string).collect();
    assert_eq!(names, ["web/half", "web/web.txt"]);
    assert!(desk.with(recover_all).unwrap().is_empty(), "once is enough");
}

#[test]
fn a_run_that_goes_on_is_not_recovered_from_under_its_process() {
    let desk = Desk::new(GOOD);
    let mut run = desk.build();
    run.status = Status::Running;
    let path = desk.root().join("state/runs").join(&run.run_id).join(runs::REPORT_FILE);
    document::store(&path, &run).unwrap();
    desk.with(|session| {
        let _held = runs::lock(session, &name(), "build").unwrap();
        assert!(recover_all(session).unwrap().is_empty());
        assert!(!overview(session, None).unwrap().builds[0].abandoned);
    });
    assert!(desk.with(|session| overview(session, None)).unwrap().builds[0].abandoned);
}

#[test]
fn a_report_that_is_damaged_stops_the_build_and_says_so() {
    let desk = Desk::new(GOOD);
    let report = desk.build();
    fs::write(desk.root().join("state/runs").join(&report.run_id).join(runs::REPORT_FILE), "{").unwrap();
    let error = desk.with(|session| build(session, &request())).unwrap_err();
    assert!(error.to_string().contains("is damaged"), "{error}");
}

#[test]
fn ids_that_lead_elsewhere_are_no_runs() {
    let desk = Desk::new(GOOD);
    for id in ["", ".", "..", "../web", "/etc", "a/b", ".web.lock", "none"] {
        assert!(matches!(desk.with(|session| runs::load(session, id)), Err(RunsError::Unknown(_))), "{id}");
    }
}
