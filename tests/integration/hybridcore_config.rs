//! `swoosh config`, `swoosh templates`, `swoosh provisioners` and `swoosh documents check`, as a person would run them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The build that needs no hypervisor.
const BUILD: [&str; 3] = ["dev", "--builder", "file.linux-image"];
const RENDERED: &str = "configs/dev/file.linux-image.pkrvars.hcl";
const COMPOSED: &str = "configs/dev/file.linux-image";

/// A workspace.
struct Desk {
    folder: tempfile::TempDir,
}

/// How a command came out.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    output: String,
    errors: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.output).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn good(self) -> Ran {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// All of its output; asserts exit code 1.
    fn failed(self) -> String {
        assert_eq!(self.code, Some(1), "{self:?}");
        format!("{}{}", self.output, self.errors)
    }
}

impl Desk {
    fn new() -> Desk {
        Desk { folder: tempfile::tempdir().unwrap() }
    }

    /// A workspace with definitions of its own, to be changed.
    fn with_definitions() -> Desk {
        let desk = Desk::new();
        desk.run(&["templates", "init"]).good();
        desk
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swoosh"));
        command.args(arguments).current_dir(self.folder.path()).env("SWOOSH_OPERATOR", "olga").stdin(Stdio::null());
        for name in ["SWOOSH_BUILDS_ROOT", "SWOOSH_DEFINITIONS", "SWOOSH_LOGS_MAX_BYTES", "SWOOSH_LOGS_KEEP"] {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let ran = self.command(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Ran { code: ran.status.code(), output: text(&ran.stdout), errors: text(&ran.stderr) }
    }

    /// A command on the build, with more arguments behind.
    fn build(&self, command: [&str; 2], more: &[&str]) -> Ran {
        self.run(&[&command[..], &BUILD[..], more].concat())
    }

    fn change(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(path)).unwrap();
        assert!(text.contains(from), "{path} has no {from}");
        fs::write(self.path(path), text.replacen(from, to, 1)).unwrap();
    }

    /// All files with their bytes, but logs and locks.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        gather(self.folder.path(), self.folder.path(), &mut found);
        found.retain(|path, _| !path.starts_with("logs/") && !path.ends_with(".lock"));
        found
    }
}

fn gather(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(root, &path, found);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            found.insert(name, fs::read(path).unwrap());
        }
    }
}

#[test]
fn deterministic_configs_are_the_same_bytes_in_every_workspace_and_on_every_run() {
    let (one, other) = (Desk::new(), Desk::with_definitions());
    for desk in [&one, &other] {
        desk.build(["config", "render"], &[]).good();
        desk.build(["templates", "compose"], &[]).good();
    }
    let configs = |desk: &Desk| {
        let mut files = desk.files();
        files.retain(|path, _| path.starts_with("configs/"));
        files
    };
    assert!(configs(&one).len() > 10);
    assert_eq!(configs(&one), configs(&other));
    let before = one.files();
    let again = one.build(["config", "render"], &["--json"]).good().json();
    assert!(again["changes"].as_object().unwrap().values().all(|change| change == "unchanged"), "{again}");
    assert_eq!(one.files(), before, "nothing was touched");
}

#[test]
fn a_missing_variable_stops_before_anything_is_written_and_tells_who_may_give_it() {
    let desk = Desk::with_definitions();
    desk.change("config/hybridcore/overlays/default.pkrvars.hcl", "image_version   = \"1.0.0\"\n", "");
    let before = desk.files();
    let failure = desk.build(["config", "render"], &[]).failed();
    for part in ["image_version (schema.yaml:", "overlays/environment/dev.pkrvars.hcl", "--set image_version=VALUE"] {
        assert!(failure.contains(part), "{part}: {failure}");
    }
    assert_eq!(desk.files(), before);
    let found = desk.build(["config", "validate"], &["--json"]);
    assert_eq!(found.code, Some(1));
    assert_eq!(found.json()["findings"][0]["severity"], "error");
    desk.build(["config", "render"], &["--set", "image_version=2.0.0"]).good();
    assert!(fs::read_to_string(desk.path(RENDERED)).unwrap().contains("image_version  = \"2.0.0\""));
}

#[test]
fn explain_names_the_layer_and_the_file_of_each_value() {
    let desk = Desk::with_definitions();
    fs::write(desk.path("answers.json"), r#"{"network": {"bridge": "vmbr9"}}"#).unwrap();
    let more = ["--builder", "file.linux-image", "--variable", "network", "--answers", "answers.json", "--json"];
    let explained = desk.run(&[&["config", "explain", "prod"][..], &more].concat()).good().json();
    let steps = |path: &str| {
        let one = explained.as_array().unwrap().iter().find(|one| one["path"] == path).unwrap();
        let step =
            |step: &Value| format!("{} {}", step["layer"].as_str().unwrap(), step["place"]["file"].as_str().unwrap());
        one["steps"].as_array().unwrap().iter().map(step).collect::<Vec<_>>()
    };
    let default = "default overlays/default.pkrvars.hcl";
    assert_eq!(steps("network.bridge"), [default, "answers answers.json"]);
    assert_eq!(steps("network.mtu"), [default, "environment overlays/environment/prod.pkrvars.hcl"]);
    let failure = desk.build(["config", "explain"], &["--variable", "iso_url"]).failed();
    assert!(failure.contains("no layer gives iso_url; it is declared at schema.yaml:"), "{failure}");
}

#[test]
fn a_file_that_was_edited_by_hand_is_not_overwritten_silently() {
    let desk = Desk::new();
    desk.build(["config", "render"], &[]).good();
    fs::write(desk.path(RENDERED), "image_name = \"mine\"\n").unwrap();
    let before = desk.files();
    let failure = desk.build(["config", "render"], &["--set", "image_name=other"]).failed();
    assert!(failure.contains("was changed by hand") && failure.contains("--overwrite"), "{failure}");
    assert_eq!(desk.files(), before);
    desk.build(["config", "render"], &["--set", "image_name=other", "--overwrite"]).good();
    assert_eq!(fs::read_to_string(desk.path(&format!("{RENDERED}.edited"))).unwrap(), "image_name = \"mine\"\n");
}

#[test]
fn no_secret_is_written_logged_or_printed() {
    let desk = Desk::with_definitions();
    let canary = "canary-5ec2e7";
    let qemu = ["dev", "--builder", "qemu.linux-debian-12", "--set", "iso_url=https://mirror.example/i.iso"];
    let checksum = format!("iso_checksum=sha256:{}", "0".repeat(64));
    let render = |more: &[&str]| {
        let arguments = [&["config", "render"][..], &qemu, &["--set", &checksum], more].concat();
        let ran = desk.command(&arguments).env("SWOOSH_BUILD_SSH_PASSWORD", canary).output().unwrap();
        (ran.status.code(), String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap())
    };
    let (code, printed) = render(&[]);
    assert!(code == Some(0) && printed.contains("ssh_password is looked up in SWOOSH_BUILD_SSH_PASSWORD"), "{printed}");
    assert!(!printed.contains(canary));
    let set = format!("ssh_password={canary}");
    let (code, refused) = render(&["--set", &set]);
    assert!(code == Some(1) && refused.contains("it is a secret") && !refused.contains(canary), "{refused}");
    let mut kept = BTreeMap::new();
    gather(desk.folder.path(), desk.folder.path(), &mut kept);
    assert!(kept.contains_key("logs/config.log"));
    for (path, bytes) in kept {
        assert!(!String::from_utf8_lossy(&bytes).contains(canary), "{path} tells a secret");
    }
}

#[test]
fn builder_catalog_lists_canonical_identifiers() {
    let desk = Desk::new();
    let listed = desk.run(&["--json", "templates", "list", "linux,proxmox"]).good().json();
    assert_eq!(listed[0]["id"], "source.proxmox-iso.linux-debian-12");
    let failure = desk.run(&["templates", "list", "linux,vmware"]).failed();
    assert!(failure.contains("there are: linux,azure; linux,file"), "{failure}");
    assert_eq!(desk.run(&["templates", "list", "linux"]).code, Some(2));
}

#[test]
fn verify_names_what_changed_since_it_was_composed() {
    let desk = Desk::with_definitions();
    assert!(desk.run(&["templates", "verify"]).failed().contains("nothing was composed"));
    desk.build(["templates", "compose"], &[]).good();
    desk.run(&["templates", "verify"]).good();
    fs::write(desk.path(&format!("{COMPOSED}/ansible/site.yml")), "---\n").unwrap();
    desk.change("config/hybridcore/templates/packer/locals/labels.pkr.hcl", "value}", "value} ");
    let found = desk.run(&["--json", "templates", "verify"]);
    assert_eq!(found.code, Some(1));
    let deviations = found.json()["compositions"][0]["deviations"].clone();
    assert_eq!(deviations[0]["deviation"], "changed");
    assert_eq!(deviations[0]["path"], "ansible/site.yml");
    assert_eq!(deviations[1]["deviation"], "source_changed");
    let failure = desk.build(["templates", "compose"], &[]).failed();
    assert!(failure.contains("ansible/site.yml was changed by hand"), "{failure}");
}

#[test]
fn toggle_enforcement_emits_only_the_stacks_that_are_on_and_names_a_missing_asset() {
    let desk = Desk::with_definitions();
    let variables = |more: &[&str]| {
        let plan = desk.build(["provisioners", "plan"], &[&["--json"], more].concat()).good().json();
        plan["variables"].as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(variables(&[]), "ansible_enabled ansible_entry ansible_folder ansible_version");
    assert!(variables(&["--set", "puppet_enabled=true"]).contains("puppet_enabled puppet_entry"));
    fs::remove_file(desk.path("config/hybridcore/templates/ansible/site.yml")).unwrap();
    for command in [["provisioners", "plan"], ["config", "render"], ["templates", "compose"]] {
        let failure = desk.build(command, &[]).failed();
        assert!(
            failure.contains("templates/ansible/site.yml") && failure.contains("ansible_enabled=false"),
            "{failure}"
        );
    }
    assert!(desk.run(&["provisioners", "check"]).failed().contains("templates/ansible/site.yml"));
    let planned = desk.build(
        ["provisioners", "plan"],
        &["--set", "ansible_enabled=false", "--set", "puppet_enabled=true", "--set", "puppet_version=5.5"],
    );
    assert!(planned.failed().contains("puppet 5.5 does not provision linux"));
}

#[test]
fn missing_linters_are_reported_as_skipped_and_installed_ones_run() {
    let desk = Desk::new();
    let tool = desk.path("puppet-lint");
    crate::support::write_program(&tool, "#!/bin/sh\necho manifests/site.pp: bad\nexit 1\n");
    let ran = desk.command(&["--json", "provisioners", "check"]).env("PATH", desk.folder.path()).output().unwrap();
    assert_eq!(ran.status.code(), Some(1));
    let said: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let lints: Vec<_> =
        said["lints"].as_array().unwrap().iter().map(|lint| (&lint["tool"], &lint["outcome"])).collect();
    let expected = [("ansible-lint", "skipped"), ("yamllint", "skipped"), ("puppet-lint", "findings")];
    assert!(
        lints
            .iter()
            .zip(expected)
            .all(|(found, expected)| (found.0, found.1) == (&expected.0.into(), &expected.1.into())),
        "{said}"
    );
}

#[test]
fn wrong_input_of_every_kind_is_reported_with_the_remedy_and_changes_nothing() {
    let desk = Desk::with_definitions();
    fs::write(desk.path("bad.hcl"), "image_name = \n").unwrap();
    fs::write(desk.path("bad.yaml"), "- 1\n").unwrap();
    fs::write(desk.path("bytes.yaml"), b"a: \xff\n").unwrap();
    let before = desk.files();
    let render = |more: &[&str]| desk.build(["config", "render"], more).failed();
    for (more, expected) in [
        (&["--answers", "bad.hcl"][..], "bad.hcl:1"),
        (&["--answers", "bad.yaml"], "no mapping"),
        (&["--answers", "bytes.yaml"], "save it as UTF-8"),
        (&["--variant", "huge"], "there are: hardened, minimal"),
        (&["--set", "disk_gib=many"], "it takes integer"),
        (&["--set", "disk_gb=1"], "did you mean disk_gib?"),
        (&["--set", "image_name=Upper"], "lowercase letters"),
        (&["--definitions", "absent"], "swoosh templates init"),
    ] {
        let found = render(more);
        assert!(found.contains(expected), "{more:?}: {found}");
    }
    // A document or a folder that is not there is wrong usage (docs/command-line.md).
    for (more, expected) in [(["--answers", "absent.yaml"], "absent.yaml"), (["--root", "absent"], "is no folder")] {
        let absent = desk.build(["config", "render"], &more);
        assert_eq!(absent.code, Some(2), "{absent:?}");
        assert!(absent.errors.contains(expected), "{absent:?}");
    }
    let staging = desk.run(&["config", "render", "staging", "--builder", "file.linux-image"]).failed();
    assert!(staging.contains("there are: dev, prod"), "{staging}");
    let builder = desk.run(&["config", "render", "dev", "--builder", "file.linux-imag"]).failed();
    assert!(builder.contains("did you mean source.file.linux-image?"), "{builder}");
    assert_eq!(desk.build(["config", "render"], &["--set", "nothing"]).code, Some(2));
    assert_eq!(desk.files(), before);
}

#[test]
fn two_renders_at_once_take_turns_and_both_succeed() {
    let desk = Desk::new();
    let start = |version: &str| {
        let set = format!("image_version={version}");
        let arguments = [&["config", "render"][..], &BUILD, &["--set", &set]].concat();
        desk.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let children: Vec<_> = (0..6).map(|number| start(&format!("1.{number}"))).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    desk.build(["config", "render"], &[]).good();
    desk.run(&["documents", "check"]).good();
}

#[test]
fn log_files_of_commands_roll_once_they_exceed_the_configured_size() {
    let desk = Desk::new();
    for number in 0..40 {
        let set = format!("image_version=1.{number}");
        let arguments = [&["config", "render"][..], &BUILD, &["--set", &set]].concat();
        let mut command = desk.command(&arguments);
        command.env("SWOOSH_LOGS_MAX_BYTES", "4096").env("SWOOSH_LOGS_KEEP", "1");
        assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
    }
    let mut names: Vec<String> = fs::read_dir(desk.path("logs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["config.log", "config.log.1"]);
    for name in names {
        let text = fs::read_to_string(desk.path("logs").join(&name)).unwrap();
        assert!(text.len() <= 4096, "{name}");
        let line = text.lines().next().unwrap();
        assert!(
            line.starts_with("[20") && line.contains("] INFO config command=cmd-") && line.contains("operator="),
            "{line}"
        );
    }
}

#[test]
fn state_check_tells_what_is_wrong_repairs_what_it_can_and_leaves_the_rest() {
    let desk = Desk::new();
    desk.run(&["documents", "check"]).good();
    fs::create_dir(desk.path("state")).unwrap();
    fs::write(desk.path("state/packer-hybrid.json"), "{").unwrap();
    fs::write(desk.path("state/sources.json.tmp"), "half").unwrap();
    fs::write(desk.path("state/sources-overrides.json"), r#"{"schema_version": 99}"#).unwrap();
    let before = desk.files();
    let failure = desk.run(&["documents", "check"]).failed();
    for part in
        ["packer-hybrid.json is damaged", "sources.json.tmp: a writer was killed", "use the release that wrote it"]
    {
        assert!(failure.contains(part), "{part}: {failure}");
    }
    assert_eq!(desk.files(), before, "a check changes nothing");
    let repaired = desk.run(&["documents", "check", "--repair"]).failed();
    assert!(repaired.contains("repaired") && repaired.contains("some cannot be repaired by a program"), "{repaired}");
    assert!(!desk.path("state/packer-hybrid.json").exists() && !desk.path("state/sources.json.tmp").exists());
    assert_eq!(fs::read_to_string(desk.path("state/sources-overrides.json")).unwrap(), r#"{"schema_version": 99}"#);
    fs::remove_file(desk.path("state/sources-overrides.json")).unwrap();
    desk.run(&["documents", "check"]).good();
}

#[test]
fn composed_templates_are_formatted_as_by_packer_and_packer_accepts_them() {
    let desk = Desk::new();
    if !has_packer() {
        eprintln!("skipped: packer is not installed");
        return;
    }
    for builder in ["file.linux-image", "null.linux-check"] {
        desk.run(&["config", "render", "dev", "--builder", builder]).good();
        desk.run(&["templates", "compose", "dev", "--builder", builder]).good();
        let folder = format!("configs/dev/{builder}");
        let files = [format!("{folder}.pkrvars.hcl"), format!("{folder}.provisioners.pkrvars.hcl")];
        for path in [&files[0], &files[1], &folder] {
            packer(&desk, &["fmt", "-check", path]);
        }
        let files = files.map(|file| format!("-var-file={file}"));
        packer(&desk, &["validate", &files[0], &files[1], &folder]);
        let run = ["-var", "swoosh_output=out", "-var", "swoosh_manifest=out/manifest.json"];
        packer(&desk, &[&["build", &files[0], &files[1]], &run[..], &[&folder]].concat());
    }
    assert!(fs::read_to_string(desk.path("out/swoosh-base-1.0.0.txt")).unwrap().contains("labels: environment=dev"));
}

fn packer(desk: &Desk, arguments: &[&str]) {
    let mut command = Command::new("packer");
    command.args(arguments).current_dir(desk.folder.path()).env("CHECKPOINT_DISABLE", "1").stdin(Stdio::null());
    let ran = command.output().unwrap();
    let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
    assert!(ran.status.success(), "{arguments:?}: {said}");
}

fn has_packer() -> bool {
    Command::new("packer").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}
