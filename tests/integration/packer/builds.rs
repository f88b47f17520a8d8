//! Successful builds, and their reports.

use super::*;

#[test]
fn structured_results_of_a_real_build_stand_in_report_run_folder_and_catalogue() {
    let desk = Desk::new("echo one, two; echo three >&2");
    let built = desk.run(&["build", "web.pkr.hcl"]).good().said;
    assert_eq!(
        (&built["schema_version"], &built["status"], &built["exit_code"]),
        (&1.into(), &"succeeded".into(), &0.into())
    );
    assert_eq!((&built["operator"], &built["name"]), (&"olga".into(), &"web".into()));
    let file = &built["artifacts"][0]["files"][0];
    let path = desk.root().join(file["path"].as_str().unwrap());
    assert_eq!(fs::read_to_string(&path).unwrap(), "hello");
    assert_eq!(file["hash"], "sha256-2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    assert_eq!((built["artifacts"].as_array().unwrap().len(), &built["artifact_ids"][0]), (1, &"File".into()));
    let manifest = fs::read_to_string(desk.root().join(built["manifest_path"].as_str().unwrap())).unwrap();
    assert!(manifest.contains(built["run_id"].as_str().unwrap()));
    assert!(built["warnings"].as_array().unwrap().is_empty() && built["errors"].as_array().unwrap().is_empty());
    let log = fs::read_to_string(desk.root().join(built["log"].as_str().unwrap())).unwrap();
    assert!(log.contains("one, two") && log.contains("three"), "{log}");
    let catalogue = desk.catalogue().unwrap();
    assert_eq!(catalogue["manifests"]["web"]["manifest_hash"], built["manifest_hash"]);
    assert_eq!(catalogue["last_runs"]["packer build web"]["ok"], true);
    assert!(catalogue["plugins"]["packer"].as_str().unwrap().starts_with("1."));
}

#[test]
fn an_unchanged_build_is_skipped_until_an_input_or_an_artifact_changes() {
    let desk = Desk::new("true");
    let first = desk.run(&["build", "web.pkr.hcl"]).good().said;
    let again = desk.run(&["build", "web.pkr.hcl"]).good().said;
    assert_eq!((&again["status"], &again["run_id"]), (&"skipped".into(), &first["run_id"]));
    assert_eq!(desk.run(&["status"]).good().said["builds"][0]["condition"], "fresh");
    desk.write("web.pkr.hcl", &template("echo changed"));
    let status = desk.run(&["status", "web"]);
    assert_eq!((status.code, &status.said["builds"][0]["condition"]), (Some(1), &"drifted".into()));
    assert_eq!(status.said["builds"][0]["changes"][0]["input"], "file web.pkr.hcl");
    let second = desk.run(&["build", "web.pkr.hcl"]).good().said;
    assert_eq!(second["status"], "succeeded");
    desk.run(&["verify", "web"]).good();
    fs::remove_file(desk.root().join(second["artifacts"][0]["files"][0]["path"].as_str().unwrap())).unwrap();
    let verified = desk.run(&["verify", "web"]);
    assert_eq!((verified.code, &verified.said["findings"][0]["condition"]), (Some(1), &"missing".into()));
    assert_eq!(desk.run(&["build", "web.pkr.hcl"]).good().said["status"], "succeeded");
    desk.run(&["remove", "web", "--superseded"]).good();
    desk.run(&["remove", "web"]).good();
    assert!(!String::from_utf8_lossy(&everything(&desk.root().join("state/runs"))).contains("hello"));
}

#[test]
fn json_templates_get_the_same_through_their_environment() {
    let desk = Desk::new("true");
    let text = r#"{"variables": {"out": "{{env `SWOOSH_OUTPUT`}}", "manifest": "{{env `SWOOSH_MANIFEST`}}",
      "run": "{{env `SWOOSH_RUN`}}", "password": ""},
     "builders": [{"type": "file", "target": "{{user `out`}}/json.txt", "content": "json"}],
     "provisioners": [{"type": "shell-local", "inline": ["test '{{user `password`}}' = hunter2-hunter2"]}],
     "post-processors": [{"type": "manifest", "output": "{{user `manifest`}}", "custom_data": {"run": "{{user `run`}}"}}]}"#;
    desk.write("web.json", text);
    let mut command = desk.command(&["build", "web.json", "--secret", "password=LAB_PASSWORD"]);
    let built = Ran::of(command.env("LAB_PASSWORD", "hunter2-hunter2").output().unwrap()).good().said;
    assert!(built["artifacts"][0]["files"][0]["path"].as_str().unwrap().ends_with("/output/json.txt"));
    assert!(built["manifest_path"].is_string());
}

#[test]
fn a_build_that_fails_in_part_records_what_was_made_and_remove_takes_it_away() {
    let desk = Desk::new("true");
    let text = format!(
        "{HEAD}source \"file\" \"a\" {{\n  target = \"${{var.swoosh_output}}/a\"\n  content = \"a\"\n}}\n\
         source \"file\" \"b\" {{\n  target = \"${{var.swoosh_output}}/b\"\n  content = \"b\"\n}}\n\
         build {{\n  sources = [\"source.file.a\", \"source.file.b\"]\n  provisioner \"shell-local\" {{\n    only = [\"file.b\"]\n    \
         inline = [\"exit 3\"]\n  }}\n{TAIL}"
    );
    desk.write("two.pkr.hcl", &text);
    let failed = desk.run(&["build", "two.pkr.hcl"]).failed("builder").said;
    assert!(failed["errors"][0].as_str().unwrap().contains("exit status: 3"), "{failed}");
    let made: Vec<&str> =
        failed["artifacts"].as_array().unwrap().iter().map(|a| a["build"].as_str().unwrap()).collect();
    assert_eq!(made, ["file.a"]);
    let run_id = failed["run_id"].as_str().unwrap();
    assert!(desk.root().join("state/runs").join(run_id).join("output/a").exists());
    let removed = desk.run(&["remove", "two"]).good().said;
    assert_eq!(removed["run_id"], run_id);
    assert!(!desk.root().join("state/runs").join(run_id).join("output").exists());
}

#[test]
fn two_builds_of_one_name_take_turns_and_the_second_finds_nothing_to_do() {
    let desk = Desk::new("true");
    let ledger = desk.beside("ledger");
    desk.write("web.pkr.hcl", &template(&format!("echo built >> {}", ledger.display())));
    let children = [desk.start(&["build", "web.pkr.hcl"]), desk.start(&["build", "web.pkr.hcl"])];
    let ran = children.map(|child| Ran::of(child.wait_with_output().unwrap()).good().said);
    let mut statuses = ran.map(|said| said["status"].as_str().unwrap().to_owned());
    statuses.sort();
    assert_eq!(statuses, ["skipped", "succeeded"]);
    assert_eq!(fs::read_to_string(ledger).unwrap(), "built\n");
}

#[test]
fn builds_of_different_names_run_at_once_each_in_a_folder_of_its_own() {
    let desk = Desk::new("true");
    // Each goes on only when the other has begun.
    let meet = |own: &str, other: &str| {
        let (own, other) = (desk.beside(own), desk.beside(other));
        format!("touch {}; until [ -e {} ]; do sleep 0.05; done", own.display(), other.display())
    };
    desk.write("a.pkr.hcl", &template(&meet("a", "b")));
    desk.write("b.pkr.hcl", &template(&meet("b", "a")));
    let children = ["a.pkr.hcl", "b.pkr.hcl"].map(|template| desk.start(&["build", template, "--time-limit", "150s"]));
    let outputs = children.map(|child| Ran::of(child.wait_with_output().unwrap()).good().said["output"].clone());
    assert_ne!(outputs[0], outputs[1]);
    let catalogue = desk.catalogue().unwrap();
    assert_eq!(catalogue["manifests"].as_object().unwrap().len(), 2);
}

#[test]
fn templates_are_formatted_and_checked() {
    let desk = Desk::new("true");
    desk.write("ugly.pkr.hcl", "variable  \"x\" {\ndefault=\"1\"\n}\n");
    let looked = desk.run(&["fmt", "--check", "ugly.pkr.hcl"]);
    assert_eq!((looked.code, &looked.said[0]["status"]), (Some(1), &"unformatted".into()), "{looked:?}");
    assert!(looked.said[0]["changed"][0].as_str().unwrap().ends_with("ugly.pkr.hcl"));
    let formatted = desk.run(&["fmt", "ugly.pkr.hcl"]).good();
    assert_eq!(formatted.said[0]["changed"].as_array().unwrap().len(), 1);
    assert!(fs::read_to_string(desk.root().join("ugly.pkr.hcl")).unwrap().contains("  default = \"1\""));
    desk.run(&["fmt", "--check", "ugly.pkr.hcl"]).good();
    assert_eq!(desk.run(&["validate", "web.pkr.hcl"]).good().said["status"], "succeeded");
    desk.write("broken.pkr.hcl", "source \"file\" \"a\" { target = ");
    for command in ["fmt", "validate"] {
        let refused = desk.run(&[command, "broken.pkr.hcl"]).refusal();
        assert!(refused.contains("bad_template") && refused.contains("mend the template"), "{refused}");
    }
    assert!(!desk.root().join("state").exists(), "looking leaves nothing behind");
}

#[test]
fn an_environment_is_configured_composed_and_built_in_one() {
    let desk = Desk::new("true");
    let arguments = ["provision", "dev", "--builder", "file.linux-image"];
    let built = desk.run(&arguments).good().said;
    assert_eq!((&built["name"], &built["status"]), (&"dev.file.linux-image".into(), &"succeeded".into()));
    assert!(built["manifest_path"].is_string() && built["warnings"].as_array().unwrap().is_empty(), "{built}");
    assert_eq!(desk.run(&arguments).good().said["status"], "skipped");
    assert_eq!(desk.run(&["status"]).good().said["builds"][0]["condition"], "fresh");
}

/// The script was named through a variable and did not count: it changed, and the build was called unchanged.
#[test]
fn a_script_that_is_named_through_a_variable_is_an_input() {
    for script in ["${abspath(path.root)}/scripts/make.sh", "${path.cwd}/${var.folder}/make.sh"] {
        let desk = Desk::new("true");
        let head = "variable \"folder\" {\n  default = \"scripts\"\n}\n";
        let text = template("true").replace("inline = [\"true\"]", &format!("script = \"{script}\""));
        desk.write("web.pkr.hcl", &format!("{head}{text}"));
        fs::create_dir(desk.root().join("scripts")).unwrap();
        crate::support::write_program(&desk.root().join("scripts/make.sh"), "#!/bin/sh\ntrue\n");
        desk.run(&["build", "web.pkr.hcl"]).good();
        assert_eq!(desk.run(&["build", "web.pkr.hcl"]).good().said["status"], "skipped", "{script}");
        crate::support::write_program(&desk.root().join("scripts/make.sh"), "#!/bin/sh\ntrue again\n");
        let status = desk.run(&["status", "web"]).said;
        assert_eq!(status["builds"][0]["changes"][0]["input"], "file scripts/make.sh", "{script}: {status}");
        assert_eq!(desk.run(&["build", "web.pkr.hcl"]).good().said["status"], "succeeded", "{script}");
    }
}

#[test]
fn a_build_whose_inputs_cannot_be_determined_runs_again_and_says_so_until_they_are_named() {
    let desk = Desk::new("true");
    fs::create_dir(desk.root().join("scripts")).unwrap();
    crate::support::write_program(&desk.root().join("scripts/make.sh"), "#!/bin/sh\ntrue\n");
    let text = template("true")
        .replace("inline = [\"true\"]", "script = \"${path.cwd}/scripts/${lower(trimspace(var.name))}.sh\"");
    let text = text.replace("lower(trimspace(var.name))", "substr(var.name, 0, 4)");
    desk.write("web.pkr.hcl", &format!("variable \"name\" {{\n  default = \"maker\"\n}}\n{text}"));
    for _ in 0..2 {
        let built = desk.run(&["build", "web.pkr.hcl"]).good().said;
        let warnings = built["warnings"].to_string();
        assert_eq!(built["status"], "succeeded");
        assert!(warnings.contains("script") && warnings.contains("--asset"), "{built}");
    }
    assert_eq!(desk.run(&["status", "web"]).said["builds"][0]["condition"], "drifted");
    desk.run(&["build", "web.pkr.hcl", "--asset", "scripts"]).good();
    assert_eq!(desk.run(&["build", "web.pkr.hcl", "--asset", "scripts"]).good().said["status"], "skipped");
}
