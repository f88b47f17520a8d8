//! Compositions of made-up templates.

use super::*;
use crate::provisioners::{PlannedStack, Stack};

const INVENTORY: &str = "plugins: {file: {}}
settings: [settings.pkr.hcl]
builders:
  - {os: linux, platform: file, plugin: file, name: linux-a, description: A., provisioning: remote,
     variables: [v/common.pkr.hcl], source: s/a.pkr.hcl, build: b/a.pkr.hcl, pkrvars: [v.pkrvars.hcl]}
  - {os: linux, platform: file, plugin: file, name: linux-b, description: B., provisioning: none,
     variables: [v/common.pkr.hcl, v/more.pkr.hcl], source: s/b.pkr.hcl, build: b/b.pkr.hcl, pkrvars: [v.pkrvars.hcl]}
";

fn files() -> BTreeMap<String, Vec<u8>> {
    let build =
        |name: &str| format!("build {{\n  sources = [\"source.file.linux-{name}\"]\n  # swoosh: provisioners\n}}\n");
    let source = |name: &str| format!("source \"file\" \"linux-{name}\" {{\n  target = \"x\"\n}}\n");
    [
        ("inventory.yaml", INVENTORY.to_owned()),
        ("settings.pkr.hcl", "packer {}\n".to_owned()),
        ("v/common.pkr.hcl", "variable \"name\" {\n  type = string\n}\n".to_owned()),
        ("v/more.pkr.hcl", "variable \"more\" {\n  default   = 1\n  sensitive = true\n}\n".to_owned()),
        ("v.pkrvars.hcl", "name = \"x\"\n".to_owned()),
        ("s/a.pkr.hcl", source("a")),
        ("s/b.pkr.hcl", source("b")),
        ("b/a.pkr.hcl", build("a")),
        ("b/b.pkr.hcl", build("b")),
        ("p/ansible.pkr.hcl", "provisioner \"ansible\" {\n\n  playbook_file = \"x\"\n}\n".to_owned()),
        ("p/puppet.pkr.hcl", "provisioner \"puppet-masterless\" {\n}\n".to_owned()),
        ("p/variables.pkr.hcl", "variable \"ansible_entry\" {}\n".to_owned()),
        ("templates/ansible/site.yml", "---\r\n".to_owned()),
    ]
    .map(|(path, text)| (path.to_owned(), text.into_bytes()))
    .into()
}

fn stack(stack: Stack) -> PlannedStack {
    PlannedStack {
        stack,
        version: "1".to_owned(),
        entry: "site.yml".to_owned(),
        assets: vec!["templates/ansible/site.yml".to_owned()],
        variables: "p/variables.pkr.hcl".to_owned(),
        block: format!("p/{stack}.pkr.hcl"),
    }
}

fn composed(
    files: BTreeMap<String, Vec<u8>>,
    builders: &[&str],
    stacks: &[Stack],
) -> Result<Composition, ComposeError> {
    let definitions = Definitions::from_files("here", files);
    let inventory = Inventory::load(&definitions).unwrap();
    let builders: Vec<&Builder> = builders.iter().map(|name| inventory.builder(name).unwrap()).collect();
    let plan = Plan { os: "linux".to_owned(), stacks: stacks.iter().map(|own| stack(*own)).collect() };
    compose_files(&definitions, &inventory, &builders, &plan)
}

fn with(path: &str, text: &str) -> BTreeMap<String, Vec<u8>> {
    let mut files = files();
    files.insert(path.to_owned(), text.as_bytes().to_vec());
    files
}

#[test]
fn files_come_in_the_documented_order_and_shared_ones_once() {
    let composition = composed(files(), &["file.linux-b", "file.linux-a"], &Stack::ALL).unwrap();
    let paths: Vec<&str> = composition.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "10-settings-settings.pkr.hcl",
            "20-variables-common.pkr.hcl",
            "20-variables-more.pkr.hcl",
            "20-variables-variables.pkr.hcl",
            "40-source-a.pkr.hcl",
            "40-source-b.pkr.hcl",
            "50-build-a.pkr.hcl",
            "50-build-b.pkr.hcl",
            "ansible/site.yml",
        ]
    );
    assert!(composition.files.is_sorted_by_key(|file| (file.role, file.path.clone())));
    let other_way = composed(files(), &["file.linux-a", "file.linux-b", "file.linux-a"], &Stack::ALL).unwrap();
    assert_eq!(composition.manifest(), other_way.manifest());
    assert_eq!(composition.manifest().bytes().unwrap(), other_way.manifest().bytes().unwrap());
    assert_eq!(composition.files.last().unwrap().bytes, b"---\r\n", "assets keep their bytes");
}

#[test]
fn provisioner_blocks_stand_where_the_marker_stood_in_the_order_of_stacks() {
    let text = |builder: &str, stacks: &[Stack]| {
        let composition = composed(files(), &[builder], stacks).unwrap();
        let build = composition.files.into_iter().find(|file| file.role == Role::Build).unwrap();
        (String::from_utf8(build.bytes).unwrap(), build.from.len())
    };
    let (both, parts) = text("file.linux-a", &Stack::ALL);
    assert_eq!(
        both,
        "build {\n  sources = [\"source.file.linux-a\"]\n  provisioner \"ansible\" {\n\n    playbook_file = \"x\"\n  }\n\n  \
         provisioner \"puppet-masterless\" {\n  }\n}\n"
    );
    assert_eq!(parts, 3, "the build and both blocks");
    let none = "build {\n  sources = [\"source.file.linux-a\"]\n}\n";
    assert_eq!(text("file.linux-a", &[]), (none.to_owned(), 1));
    assert_eq!(text("file.linux-b", &Stack::ALL).0, none.replace("linux-a", "linux-b"), "there is no machine");
}

#[test]
fn variables_are_known_with_their_place_and_declared_once() {
    let declared = composed(files(), &["file.linux-b"], &[]).unwrap().declared;
    let more = &declared["more"];
    assert!(more.has_default && more.sensitive && !declared["name"].has_default);
    assert_eq!(more.place.to_string(), "v/more.pkr.hcl:1");
    let twice = with("v/more.pkr.hcl", "\nvariable \"name\" {}\n");
    let error = composed(twice, &["file.linux-b"], &[]).unwrap_err().to_string();
    assert!(error.contains("v/common.pkr.hcl:1 and at v/more.pkr.hcl:2"), "{error}");
}

#[test]
fn invalid_compositions_are_reported_with_the_file() {
    let message = |files, stacks: &[Stack]| composed(files, &["file.linux-a"], stacks).unwrap_err().to_string();
    let no_marker = with("b/a.pkr.hcl", "build {\n  sources = [\"source.file.linux-a\"]\n}\n");
    assert!(message(no_marker.clone(), &[Stack::Ansible]).contains("b/a.pkr.hcl has no line `# swoosh: provisioners`"));
    assert!(composed(no_marker, &["file.linux-a"], &[]).is_ok());
    assert!(message(with("p/ansible.pkr.hcl", "provisioner {"), &[Stack::Ansible]).contains("p/ansible.pkr.hcl:"));
    let clash =
        with("inventory.yaml", &INVENTORY.replace("[settings.pkr.hcl]", "[settings.pkr.hcl, v/settings.pkr.hcl]"));
    let clash: BTreeMap<String, Vec<u8>> =
        clash.into_iter().chain([("v/settings.pkr.hcl".to_owned(), b"packer {}\n\n".to_vec())]).collect();
    let error = message(clash, &[]);
    assert!(error.contains("settings.pkr.hcl and v/settings.pkr.hcl would both become 10-settings"), "{error}");
    assert!(matches!(composed(files(), &[], &[]), Err(ComposeError::Nothing)));
}
