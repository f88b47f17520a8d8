use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::leave::Always;
use crate::packer::inputs::{Gathered, Recipe, gather};
use crate::packer::tool::Seen;
use swoosh_types::inputs::Allocation;

const SCRIPT: &str = "scripts/make.sh";

/// A workspace with a script, whose template is `templates/web.pkr.hcl` and holds this.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new(template: &str) -> Desk {
        let desk = Desk(tempfile::tempdir().unwrap());
        desk.write("templates/web.pkr.hcl", template);
        desk.write(SCRIPT, "true");
        desk
    }

    fn root(&self) -> std::path::PathBuf {
        self.0.path().join("root")
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn gather(&self, change: impl FnOnce(&mut Recipe)) -> Gathered {
        let mut recipe = Recipe {
            template: "templates/web.pkr.hcl".to_owned(),
            folder: String::new(),
            var_files: Vec::new(),
            variables: [].into(),
            secrets: BTreeSet::new(),
            environment: BTreeSet::new(),
            assets: Vec::new(),
            only: Vec::new(),
            except: Vec::new(),
            allocation: Allocation::new(),
            inputs_hash: None,
        };
        change(&mut recipe);
        let seen = Seen { version: "1.6.6".to_owned(), ..Seen::default() };
        gather(&self.root(), &recipe, &seen, &BTreeSet::new(), &Always).unwrap()
    }
}

fn counts(gathered: &Gathered, path: &str) -> bool {
    gathered.inputs.entries.contains_key(&format!("file {path}"))
}

fn provisioner(attributes: &str) -> String {
    format!(
        "build {{\n  sources = [\"source.file.web\"]\n  provisioner \"shell-local\" {{\n    {attributes}\n  }}\n}}\n"
    )
}

/// A script that was named through `abspath(path.root)`, `path.cwd` or a variable did not count: it changed, and the build was called
/// unchanged.
#[test]
fn a_file_counts_however_the_template_spells_it() {
    for spelled in [
        r#"script = "scripts/make.sh""#,
        r#"script = "./scripts/../scripts/make.sh""#,
        r#"script = "${abspath(path.root)}/../scripts/make.sh""#,
        r#"script = "${path.root}/../scripts/make.sh""#,
        r#"script = "${path.cwd}/scripts/make.sh""#,
        r#"script = "${dirname(abspath(path.root))}/scripts/make.sh""#,
        r#"script = abspath("scripts/make.sh")"#,
        r#"script = format("%s/scripts/%s", path.cwd, "make.sh")"#,
        r#"script = join("/", [path.cwd, "scripts", "make.sh"])"#,
        r#"script = var.script"#,
        r#"script = "${var.folder}/make.sh""#,
        r#"script = "${local.folder}/make.sh""#,
        r#"script = var.paths["make"]"#,
        r#"script = var.folder == "" ? "none" : "${var.folder}/make.sh""#,
        r#"scripts = [for name in ["make", "other"] : "${var.folder}/${name}.sh"]"#,
        r#"scripts = fileset(path.cwd, "scripts/*.sh")"#,
        r#"scripts = ["scripts/*.sh"]"#,
        r#"source = "${path.cwd}/scripts/""#,
        r#"inline = ["sh ${path.cwd}/scripts/make.sh --quiet"]"#,
        r#"inline = [file("${path.root}/../scripts/make.sh")]"#,
        r#"inline = [templatefile("${var.folder}/make.sh", {})]"#,
        r#"environment_vars = ["MAKE=${path.cwd}/scripts/make.sh"]"#,
        "inline = [<<EOT\nset -e\n${path.cwd}/scripts/make.sh\nEOT\n]",
    ] {
        let declared = r#"variable "script" { default = "scripts/make.sh" }
variable "folder" { default = "scripts" }
variable "paths" { default = { make = "scripts/make.sh" } }
locals { folder = "${path.cwd}/${var.folder}" }
"#;
        let gathered = Desk::new(&format!("{declared}{}", provisioner(spelled))).gather(|_| ());
        assert!(counts(&gathered, SCRIPT), "{spelled}: {:?}", gathered.inputs.entries.keys());
        assert_eq!(gathered.doubt(), None, "{spelled}");
    }
}

#[test]
fn the_values_of_variables_are_those_of_every_file_and_of_the_command_line() {
    let template = format!("variable \"script\" {{}}\n{}", provisioner("script = var.script"));
    let desk = Desk::new(&template);
    desk.write("lab.pkrvars.hcl", "script = \"scripts/make.sh\"\n");
    desk.write("lab.json", "{\"script\": \"scripts/make.sh\"}");
    let by_file = |file: &str| desk.gather(|recipe| recipe.var_files = vec![file.to_owned()]);
    let by_hand = desk.gather(|recipe| drop(recipe.variables.insert("script".to_owned(), SCRIPT.to_owned())));
    for gathered in [by_file("lab.pkrvars.hcl"), by_file("lab.json"), by_hand] {
        assert!(counts(&gathered, SCRIPT) && gathered.doubt().is_none(), "{gathered:?}");
    }
    desk.write("templates/x.auto.pkrvars.hcl", "script = \"scripts/make.sh\"\n");
    assert!(counts(&desk.gather(|_| ()), SCRIPT));
}

/// Undeterminable inputs are reported with their place; `--asset` names the files.
#[test]
fn a_file_that_cannot_be_determined_is_said_and_may_be_named() {
    for spelled in [
        "script = var.script",
        r#"script = "${data.http.x.body}/make.sh""#,
        r#"script = "${uuidv4()}.sh""#,
        r#"inline = [file(var.script)]"#,
        r#"scripts = fileset(path.cwd, "*.sh")"#,
        r#"playbook_file = "site.yml""#,
    ] {
        let desk = Desk::new(&format!("variable \"script\" {{}}\n{}", provisioner(spelled)));
        desk.write("site.yml", "[]");
        let doubt = desk.gather(|_| ()).doubt().unwrap_or_else(|| panic!("{spelled}"));
        assert!(doubt.contains("templates/web.pkr.hcl:2: ") && doubt.contains("--asset"), "{spelled}: {doubt}");
        let named = desk.gather(|recipe| recipe.assets = vec!["scripts".to_owned()]);
        assert!(named.doubt().is_none() && counts(&named, SCRIPT), "{spelled}");
    }
    let secret = Desk::new(&provisioner("script = var.script"));
    assert!(secret.gather(|recipe| recipe.secrets.extend(["script".to_owned()])).doubt().is_some());
    let given = Desk::new("").gather(|recipe| recipe.environment.extend(["PKR_VAR_size".to_owned()]));
    assert!(given.doubt().unwrap().contains("give the variable with --var"));
}

#[test]
fn a_file_outside_of_the_workspace_is_said() {
    let desk = Desk::new(&provisioner(r#"script = "${path.root}/../../beside.sh""#));
    fs::write(desk.0.path().join("beside.sh"), "true").unwrap();
    let doubt = desk.gather(|_| ()).doubt().unwrap();
    assert!(doubt.contains("beside.sh is not within the workspace"), "{doubt}");
}

/// Else every build would run each time.
#[test]
fn what_names_no_input_leaves_no_doubt() {
    let template = r#"
variable "swoosh_output" {}
variable "password" { sensitive = true }
source "qemu" "web" {
  iso_url              = "https://images.example/${timestamp()}.iso"
  output_directory     = "${var.swoosh_output}/${uuidv4()}"
  ssh_private_key_file = "${env("HOME")}/.ssh/id"
  ssh_password         = var.password
  vm_name              = "web-${formatdate("YYYY", timestamp())}"
}
build {
  sources = ["source.qemu.web"]
  provisioner "file" {
    direction   = "download"
    source      = "/etc/${build.ID}"
    destination = "${var.swoosh_output}/id"
  }
  provisioner "shell" {
    inline           = ["echo ${build.ID} ${var.password}"]
    environment_vars = ["ID=${build.ID}"]
    remote_folder    = "/tmp/${uuidv4()}"
  }
  post-processor "manifest" { custom_data = { run = build.PackerRunUUID } }
}
"#;
    let desk = Desk::new(template);
    assert_eq!(desk.gather(|recipe| recipe.secrets.extend(["password".to_owned()])).doubt(), None);
}

#[test]
fn an_ansible_playbook_counts_with_all_beside_it() {
    let desk = Desk::new(&provisioner(r#"playbook_file = "${path.root}/ansible/site.yml""#));
    desk.write("templates/ansible/site.yml", "[]");
    desk.write("templates/ansible/roles/base/tasks/main.yml", "[]");
    let gathered = desk.gather(|_| ());
    assert!(counts(&gathered, "templates/ansible/roles/base/tasks/main.yml") && gathered.doubt().is_none());
}

#[test]
fn templates_in_json_are_read_too() {
    let hcl = r#"{"variable": {"folder": {"default": "scripts"}}, "locals": {"make": "${path.cwd}/${var.folder}"},
        "build": [{"provisioner": [{"shell-local": {"script": "${local.make}/make.sh"}}]}]}"#;
    let older = |script: &str| {
        format!(
            r#"{{"variables": {{"folder": "scripts"}}, "provisioners": [{{"type": "shell-local", "script": "{script}"}}]}}"#
        )
    };
    for (file, text) in [
        ("templates/web.pkr.json", hcl.to_owned()),
        ("templates/web.json", older("{{template_dir}}/../scripts/make.sh")),
        ("templates/web.json", older("{{ pwd }}/{{user `folder`}}/make.sh")),
    ] {
        let desk = Desk::new("");
        desk.write(file, &text);
        let gathered = desk.gather(|recipe| recipe.template = file.to_owned());
        assert!(counts(&gathered, SCRIPT) && gathered.doubt().is_none(), "{text}: {gathered:?}");
    }
    let desk = Desk::new("");
    desk.write("templates/web.json", &older("{{env `HOME`}}/make.sh"));
    assert!(desk.gather(|recipe| recipe.template = "templates/web.json".to_owned()).doubt().is_some());
}

/// Locals that lead to each other, and templates that packer would refuse, end in doubt and not in a loop.
#[test]
fn what_never_ends_is_doubt() {
    for template in [
        format!("locals {{\n a = \"${{local.b}}x\"\n b = local.a\n}}\n{}", provisioner("script = local.a")),
        provisioner(&format!("script = {}var.x{}", "(".repeat(60), ")".repeat(60))),
        "build { script = ".to_owned(),
        format!(
            "locals {{\n a = [{}]\n}}\n{}",
            "\"x\",".repeat(3),
            provisioner(&format!("script = \"{}\"", "${var.many}".repeat(20)))
        ),
    ] {
        let many: Vec<String> = (0..9).map(|number| format!("\"{number}\"")).collect();
        let desk = Desk::new(&format!("{template}\nvariable \"many\" {{ default = [{}] }}\n", many.join(", ")));
        assert!(desk.gather(|_| ()).doubt().is_some(), "{template}");
    }
}

#[test]
fn paths_are_made_plain() {
    assert_eq!(crate::paths::plain(Path::new("/a/./b/../c")), Path::new("/a/c"));
}
