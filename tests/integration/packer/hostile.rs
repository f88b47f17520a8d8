//! Templates and input of every wrong kind.

use super::*;

#[test]
fn bad_templates_are_reported_in_packers_words_and_build_nothing() {
    let desk = Desk::new("true");
    for (text, expected) in [
        ("source \"file\" \"a\" { target = ", "Invalid expression"),
        ("source \"nosuch\" \"a\" {}\nbuild {\n  sources = [\"source.nosuch.a\"]\n}\n", "nosuch"),
        (
            "source \"file\" \"a\" {\n  target = var.missing\n}\nbuild {\n  sources = [\"source.file.a\"]\n}\n",
            "missing",
        ),
    ] {
        desk.write("bad.pkr.hcl", text);
        let failed = desk.run(&["build", "bad.pkr.hcl"]).failed("bad_template").said;
        assert!(failed["errors"].to_string().contains(expected), "{failed}");
        assert_eq!((failed["attempts"].as_u64(), failed["artifacts"].as_array().unwrap().len()), (Some(0), 0));
    }
    desk.write("bad.json", "{\"builders\": [");
    desk.run(&["build", "bad.json"]).failed("bad_template");
    assert!(desk.catalogue().unwrap()["manifests"].as_object().unwrap().is_empty());
}

#[test]
fn packer_that_ends_with_0_and_makes_nothing_has_failed() {
    let desk = Desk::new("true");
    let text = format!(
        "{HEAD}source \"null\" \"n\" {{\n  communicator = \"none\"\n}}\nbuild {{\n  sources = [\"source.null.n\"]\n  provisioner \
         \"shell-local\" {{\n    inline = [\"true\"]\n  }}\n{TAIL}"
    );
    desk.write("null.pkr.hcl", &text);
    let failed = desk.run(&["build", "null.pkr.hcl"]).failed("no_artifacts").said;
    assert_eq!(failed["exit_code"], 0);
}

#[test]
fn a_build_that_hangs_is_interrupted_after_its_time_and_cleans_up() {
    let desk = Desk::new("sleep 600");
    let failed = desk.run(&["build", "web.pkr.hcl", "--time-limit", "4s", "--grace", "60s"]).failed("timed_out").said;
    assert!(failed["failure"]["detail"].as_str().unwrap().contains("4 s, its time limit"), "{failed}");
    wait_until("the end of what it started", || !desk.has_processes());
}

#[test]
fn a_build_that_hangs_and_ignores_the_interrupt_is_killed_with_all_that_it_started() {
    let desk = Desk::new("trap '' INT TERM; while :; do sleep 1; done");
    desk.run(&["build", "web.pkr.hcl", "--time-limit", "4s", "--grace", "1s"]).failed("timed_out");
    wait_until("the end of what it started", || !desk.has_processes());
}

#[test]
fn a_build_that_floods_is_ended_at_the_limit() {
    let desk = Desk::new(
        "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done",
    );
    desk.run(&["build", "web.pkr.hcl", "--output-limit", "1", "--grace", "1s"]).failed("flooded");
    wait_until("the end of what it started", || !desk.has_processes());
}

#[test]
fn secrets_that_a_template_prints_are_reported_and_stored_nowhere() {
    let desk = Desk::new("true");
    let shell = "echo it is ${var.password}; echo ${var.password} >&2; exit 1";
    desk.write("web.pkr.hcl", &format!("variable \"password\" {{\n  default = \"\"\n}}\n{}", template(shell)));
    let mut command = desk.command(&["build", "web.pkr.hcl", "--secret", "password=LAB_PASSWORD"]);
    let output = command.env("LAB_PASSWORD", "hunter2,hunter2").output().unwrap();
    let everything_written = [output.stdout.clone(), output.stderr.clone(), everything(&desk.root())].concat();
    let failed = Ran::of(output).failed("builder").said;
    let log = fs::read_to_string(desk.root().join(failed["log"].as_str().unwrap())).unwrap();
    assert!(log.contains("it is [redacted]"), "{log}");
    assert!(!String::from_utf8_lossy(&everything_written).contains("hunter2"));
}

#[test]
fn values_a_template_marks_sensitive_are_printed_and_logged_nowhere() {
    let desk = Desk::new("true");
    let declared = "variable \"pass\" {\n  default   = \"hunter2-in-the-file\"\n  sensitive = true\n}\n";
    let shell = "echo it is ${var.pass}; echo ${var.pass} >&2; exit 1";
    desk.write("web.pkr.hcl", &format!("{declared}{}", template(shell)));
    let output = desk.command(&["build", "web.pkr.hcl"]).output().unwrap();
    let everything_written =
        [output.stdout.clone(), output.stderr.clone(), everything(&desk.root().join("state"))].concat();
    let failed = Ran::of(output).failed("builder").said;
    let log = fs::read_to_string(desk.root().join(failed["log"].as_str().unwrap())).unwrap();
    assert!(log.contains("it is [redacted]") && !log.contains("hunter2"), "{log}");
    assert!(!String::from_utf8_lossy(&everything_written).contains("hunter2"));
}

#[test]
fn a_missing_packer_is_reported_with_how_to_install_it_and_nothing_changes() {
    let desk = Desk::new("true");
    for command in [["build", "web.pkr.hcl"], ["validate", "web.pkr.hcl"], ["fmt", "web.pkr.hcl"]] {
        let ran = Ran::of(desk.command(&command).env("SWOOSH_PACKER", "no-such-packer").output().unwrap());
        assert!(ran.refusal().contains("apt-get install packer"), "{ran:?}");
    }
    assert!(!desk.root().join("state").exists());
    let status = Ran::of(desk.command(&["status"]).env("SWOOSH_PACKER", "no-such-packer").output().unwrap());
    assert_eq!(status.said["packer_failure"]["class"], "missing");
}

#[test]
fn wrong_input_of_every_kind_is_reported_with_its_remedy_and_changes_nothing() {
    let desk = Desk::new("true");
    for (arguments, code, expected) in [
        (vec!["build", "none.pkr.hcl"], 1, "there is no template"),
        (vec!["build", "web.pkr.hcl", "--var", "db_password=x"], 2, "--secret"),
        (vec!["build", "web.pkr.hcl", "--secret", "x=NO_SUCH_VARIABLE_AT_ALL"], 2, "is not set"),
        (vec!["build", "web.pkr.hcl", "--secret-file", "x=/no/such/file"], 2, "cannot be read"),
        (vec!["build", "web.pkr.hcl", "--var-file", "none.pkrvars.hcl"], 1, "is not there"),
        (vec!["build", "web.pkr.hcl", "--asset", "none"], 1, "is not there"),
        (vec!["verify", "nothing"], 1, "swoosh packer status"),
        (vec!["remove", "web", "--run", "../../etc"], 1, "there is no run"),
    ] {
        let ran = desk.run(&arguments);
        assert_eq!((ran.code, &ran.said), (Some(code), &Value::Null), "{arguments:?}: {ran:?}");
        assert!(ran.errors.contains(expected), "{arguments:?}: {ran:?}");
        assert!(desk.catalogue().is_none(), "{arguments:?}");
    }
    for arguments in [
        vec!["build"],
        vec!["build", "web.pkr.hcl", "--var", "x"],
        vec!["build", "web.pkr.hcl", "--time-limit", "soon"],
    ] {
        assert_eq!(desk.run(&arguments).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn an_unwritable_folder_is_reported_before_packer_builds() {
    let desk = Desk::new("true");
    let ledger = desk.beside("ledger");
    desk.write("web.pkr.hcl", &template(&format!("touch {}", ledger.display())));
    desk.write("state", "a file where a folder should be");
    let refused = desk.run(&["build", "web.pkr.hcl"]).refusal();
    assert!(refused.contains("cannot be used"), "{refused}");
    assert!(!ledger.exists());
}

#[test]
fn a_build_that_fills_the_disk_is_reported_with_its_remedy() {
    let desk = Desk::new("true");
    let big = desk.beside("big");
    fs::File::create(&big).unwrap().set_len(8 << 20).unwrap();
    let text = template("true").replace("content = \"hello\"", &format!("source = {:?}", big.to_str().unwrap()));
    desk.write("web.pkr.hcl", &text);
    // No file may grow beyond a mebibyte: what the system then says is what a full disk says, by another name.
    let (program, root) = (env!("CARGO_BIN_EXE_swoosh"), desk.root());
    let script = format!(
        "trap '' XFSZ; ulimit -f 2048; exec {program} --json packer build web.pkr.hcl --root {}",
        root.display()
    );
    let mut command = Command::new("sh");
    let ran = Ran::of(command.args(["-c", &script]).env("SWOOSH_PACKER", packer()).output().unwrap());
    let failed = ran.failed("storage").said;
    assert!(failed["failure"]["remedy"].as_str().unwrap().contains("make room"), "{failed}");
}
