//! Builds that run to their end, well or not.

use super::*;

#[test]
fn structured_results_hold_exit_code_manifest_artifacts_times_and_errors() {
    let desk = Desk::new(GOOD);
    let report = desk.build();
    assert_eq!((report.status, report.exit_code, report.attempts), (Status::Succeeded, Some(0), 1));
    let manifest = report.manifest_path.as_ref().unwrap();
    assert_eq!(manifest, &format!("state/runs/{}/manifest.json", report.run_id));
    let bytes = fs::read(desk.root().join(manifest)).unwrap();
    assert_eq!(report.manifest_hash, Some(swoosh_types::hash::Hash::of(&bytes)));
    assert_eq!(report.artifact_ids, ["File"]);
    assert_eq!(report.artifacts.len(), 1, "reported twice, it is one artifact");
    assert_eq!(report.artifacts[0].files[0].hash, swoosh_types::hash::Hash::of(b"hello"));
    assert!(report.started_at.as_str() <= report.finished_at.as_deref().unwrap());
    assert_eq!((report.errors.len(), &report.failure), (0, &None));
    assert_eq!((report.operator.as_str(), report.command_id.as_str()), ("olga", "cmd-1"));
    let names: Vec<String> = report.assets().keys().map(ToString::to_string).collect();
    assert_eq!(names, ["web/web.txt"]);
    let stored = desk.with(|session| runs::load(session, &report.run_id)).unwrap();
    assert_eq!(stored, report);
}

#[test]
fn a_failed_build_tells_its_errors_and_what_was_made_all_the_same() {
    let script = format!(
        "{GOOD}\nprintf half > \"$PKR_VAR_swoosh_output/db.qcow2\"\necho '1,file.db,error,the disk image broke'\nexit 1"
    );
    let desk = Desk::new(&script);
    let report = desk.build();
    assert_eq!(
        (report.status, report.exit_code, class(&report)),
        (Status::Failed, Some(1), Some(FailureClass::Builder))
    );
    assert_eq!(report.errors, ["file.db: the disk image broke"]);
    assert!(report.is_partial());
    let names: Vec<String> = report.assets().keys().map(ToString::to_string).collect();
    assert_eq!(names, ["web/db.qcow2", "web/web.txt"]);
    let (removed, removal) = desk.with(|session| remove(session, &name(), None)).unwrap();
    assert_eq!((removed.status, removal.kept.len(), removal.removed.len()), (Status::Removed, 0, 2));
    assert!(!desk.root().join(&report.output).exists());
}

#[test]
fn the_catalogue_keeps_versions_manifest_hashes_and_the_last_run() {
    let desk = Desk::new(GOOD);
    let report = desk.build();
    let catalogue = catalogue::read(&desk.root().join("state")).unwrap();
    assert_eq!(catalogue.plugins["packer"], "1.6.6");
    let entry = &catalogue.manifests["web"];
    assert_eq!((Some(entry.manifest_hash), entry.inputs_hash), (report.manifest_hash, report.inputs.hash));
    assert!(catalogue.last_runs["packer build web"].ok);
    desk.packer("1.6.6", "exit 1");
    desk.build_as(&BuildRequest { force: true, ..request() });
    let catalogue = catalogue::read(&desk.root().join("state")).unwrap();
    assert!(!catalogue.last_runs["packer build web"].ok && catalogue.manifests.contains_key("web"));
}

#[test]
fn exit_code_0_without_artifacts_is_a_failure() {
    let null =
        "echo '1,n,artifact,0,builder-id,fnoeding.null'\necho '1,n,artifact,0,id,Null'\necho '1,n,artifact,0,end'";
    for script in ["true", null, "echo '1,n,artifact,0,nil'"] {
        let report = Desk::new(script).build();
        assert_eq!((report.exit_code, class(&report)), (Some(0), Some(FailureClass::NoArtifacts)), "{script}");
    }
}

#[test]
fn an_image_without_files_is_an_artifact_by_its_id() {
    let desk =
        Desk::new("echo '1,a,artifact,0,builder-id,mitchellh.amazonebs'; echo '1,a,artifact,0,id,eu-west-1:ami-1'");
    let report = desk.build();
    assert_eq!(
        (report.status, report.artifact_ids.as_slice()),
        (Status::Succeeded, ["eu-west-1:ami-1".to_owned()].as_slice())
    );
    assert_eq!(report.assets().len(), 1);
    let verification = desk.with(|session| verify_artifacts(&desk.root(), &report, session.leave));
    assert_eq!(verification.findings[0].condition, Condition::Elsewhere);
    let (_, removal) = desk.with(|session| remove(session, &name(), None)).unwrap();
    assert!(removal.kept[0].contains("eu-west-1:ami-1"), "{removal:?}");
}

#[test]
fn what_the_manifest_says_of_another_run_is_not_believed() {
    let desk = Desk::new(
        &GOOD.replace("\"run\": \"$PKR_VAR_swoosh_run\"", "\"run\": \"other\"").replace("echo \"1,", ": \"1,"),
    );
    let report = desk.build();
    assert_eq!(class(&report), Some(FailureClass::NoArtifacts));
    assert!(report.warnings.iter().any(|warning| warning.contains("another run")), "{:?}", report.warnings);
}

#[test]
fn artifacts_outside_of_the_workspace_or_nowhere_fail_the_build() {
    for (path, expected) in [("/etc/hostname", "leads out of"), ("$PKR_VAR_swoosh_output/none", "is not there")] {
        let report = Desk::new(&format!("echo \"1,a,artifact,0,file,0,{path}\"")).build();
        assert_eq!(class(&report), Some(FailureClass::BadArtifacts), "{path}");
        assert!(report.errors[0].contains(expected), "{:?}", report.errors);
    }
    let report = Desk::new("echo '{' > $PKR_VAR_swoosh_manifest").build();
    assert_eq!(class(&report), Some(FailureClass::BadArtifacts));
}

#[test]
fn junk_half_lines_and_endless_ones_do_not_hide_what_was_made() {
    let junk = r"printf '\377\376\000junk\n1,,ui\n,,,,\n1,x,artifact,zero,id,x\n'; head -c 3000000 /dev/zero | tr '\0' x; echo; printf '1,,ui,say,half' >&2";
    let report = Desk::new(&format!("{junk}\n{GOOD}\nprintf '1,file.web,artifa'")).build();
    assert_eq!((report.status, report.artifacts.len()), (Status::Succeeded, 1));
}

#[test]
fn retry_policy_tries_what_may_pass_again_and_counts() {
    let marker = "n=$(cat ../n 2>/dev/null || echo 0); echo $((n + 1)) > ../n";
    let desk = Desk::new(&format!(
        "{marker}\n[ $n -ge 2 ] || {{ echo '1,a,error,dial tcp: connection refused'; exit 1; }}\n{GOOD}"
    ));
    let report = desk.build();
    assert_eq!((report.status, report.attempts), (Status::Succeeded, 3));
    assert_eq!(*desk.waits.lock().unwrap(), [100, 200].map(Duration::from_millis));
    let retries = desk.events.lock().unwrap().iter().filter(|event| matches!(event, Event::Retrying { .. })).count();
    assert_eq!(retries, 2);
}

#[test]
fn nothing_is_tried_again_when_something_was_made_or_it_will_not_pass() {
    for (script, expected) in [
        (format!("{GOOD}\necho '1,b,error,connection refused'; exit 1"), FailureClass::BuilderTransient),
        ("echo '1,b,error,no such file'; exit 1".to_owned(), FailureClass::Builder),
    ] {
        let desk = Desk::new(&script);
        let report = desk.build();
        assert_eq!((report.attempts, class(&report)), (1, Some(expected)));
    }
}

#[test]
fn packers_that_know_init_install_what_the_template_asks_for_and_older_ones_are_not_asked() {
    for (version, asks, calls) in [("1.14.0", true, 1), ("1.14.0", false, 0), ("1.6.6", true, 0)] {
        let desk = Desk::new(GOOD);
        desk.packer(version, GOOD);
        if asks {
            desk.write("templates/web.pkr.hcl", "packer { required_plugins {} }");
        }
        assert_eq!(desk.build().status, Status::Succeeded);
        assert_eq!(desk.calls("init"), calls, "{version} {asks}");
    }
}

#[test]
fn a_missing_old_or_false_packer_is_reported_and_nothing_is_written() {
    let desk = Desk::new(GOOD);
    for (version, expected) in [("1.4.0", "is too old"), ("of something", "does not tell a version")] {
        desk.packer(version, GOOD);
        let error = desk.with(|session| build(session, &request())).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    fs::remove_file(desk.folder.path().join("fake-packer")).unwrap();
    let error = desk.with(|session| build(session, &request())).unwrap_err();
    assert!(error.to_string().contains("apt-get install packer"), "{error}");
    assert!(!desk.root().join("state").exists());
}

#[test]
fn packer_gets_a_clean_environment_and_arguments_without_a_shell() {
    let desk = Desk::new(&format!("env > ../environment\n{GOOD}"));
    let mut request = BuildRequest { only: vec!["a".to_owned(), "b".to_owned()], parallel: 2, ..request() };
    request.variables.insert("greeting".to_owned(), "$(touch ../pwned) `x` 'y'".to_owned());
    request.environment.insert("AWS_REGION".to_owned(), "eu-west-1".to_owned());
    assert_eq!(desk.build_as(&request).status, Status::Succeeded);
    let environment = fs::read_to_string(desk.folder.path().join("environment")).unwrap();
    let variables: BTreeMap<&str, &str> = environment.lines().filter_map(|line| line.split_once('=')).collect();
    assert_eq!(variables.get("CARGO_MANIFEST_DIR"), None);
    assert_eq!((variables["CHECKPOINT_DISABLE"], variables["AWS_REGION"]), ("1", "eu-west-1"));
    assert!(variables["HOME"].starts_with(variables["TMPDIR"]) && !Path::new(variables["TMPDIR"]).exists());
    assert!(variables["PACKER_CACHE_DIR"].contains("/state/runs/web-"), "{environment}");
    let calls = fs::read_to_string(desk.calls_file()).unwrap();
    let build = calls.lines().find(|line| line.starts_with("build ")).unwrap();
    assert!(build.contains("-parallel-builds=2 -only=a,b -var greeting=$(touch ../pwned) `x` 'y' /"), "{build}");
    assert!(!desk.folder.path().join("pwned").exists());
}

#[test]
fn secrets_are_in_no_argument_line_report_log_or_file() {
    let secret = "hunter2,with\nsecond-line-of-it";
    let leak = r#"echo "1,,ui,say,it is $PKR_VAR_password" | tr '\n' ' '; echo
echo "1,,ui,error,second-line-of-it"; echo "1,a,error,hunter2%!(PACKER_COMMA)with"; echo "plain second-line-of-it" >&2
echo "{\"builds\": [{\"name\": \"hunter2,with\", \"artifact_id\": \"second-line-of-it\",
  \"custom_data\": {\"run\": \"$PKR_VAR_swoosh_run\"}}]}" > "$PKR_VAR_swoosh_manifest"
env > ../environment; cat ${JSON:-/dev/null} > ../file; ls -l ${JSON:-/dev/null} > ../mode; exit 1"#;
    for template in ["templates/web.pkr.hcl", "templates/web.json"] {
        let script = format!("for a; do case $a in -var-file=*) JSON=${{a#-var-file=}};; esac; done\n{leak}");
        let desk = Desk::new(&script);
        desk.write("templates/web.json", "{}");
        let mut request = BuildRequest::new(name(), template);
        request.secrets.insert("password".to_owned(), Secret::new(secret.to_owned()));
        let report = desk.build_as(&request);
        assert_eq!((report.status, report.artifacts[0].id.as_str()), (Status::Failed, "[redacted]"));
        let environment = fs::read_to_string(desk.folder.path().join("environment")).unwrap();
        assert!(environment.contains("PKR_VAR_password=hunter2"), "it is there for packer");
        let output = format!("{:?}{}", desk.events.lock().unwrap(), everything(&desk.root()));
        let calls = fs::read_to_string(desk.calls_file()).unwrap();
        for text in [&output, &calls, &format!("{report:?}")] {
            assert!(!text.contains("hunter2") && !text.contains("second-line"), "{template}: {text}");
        }
        if template.ends_with(".json") {
            let read = |file: &str| fs::read_to_string(desk.folder.path().join(file)).unwrap();
            assert!(read("file").contains("hunter2") && read("mode").starts_with("-rw-------"), "{}", read("mode"));
        }
    }
}

#[test]
fn a_secret_across_the_end_of_a_cut_line_is_fully_redacted() {
    let desk = Desk::new("head -c 1048570 /dev/zero | tr '\\0' x; echo hunter2-hunter2; exit 1");
    let mut request = request();
    request.secrets.insert("password".to_owned(), Secret::new("hunter2-hunter2".to_owned()));
    let report = desk.build_as(&request);
    assert!(!format!("{report:?}{}", everything(&desk.root())).contains("hunter"));
}

#[test]
fn a_killed_packer_is_reported_with_its_signal_and_retried() {
    let report = Desk::new("kill -9 $$").build();
    assert_eq!((class(&report), report.signal, report.exit_code), (Some(FailureClass::Killed), Some(9), None));
    assert_eq!(report.attempts, 3);
}

#[test]
fn a_build_that_is_cancelled_before_it_begins_leaves_no_run_that_goes_on() {
    let desk = Desk::new(GOOD);
    desk.leave.cancel();
    assert!(desk.with(|session| build(session, &request())).is_err());
    assert_eq!(desk.calls("build"), 0);
    assert!(desk.with(|session| runs::all(session, None)).unwrap().is_empty());
}
