//! Builds as the built-in definitions describe them.

use super::*;
use crate::leave::Always;
use crate::logs::Redactor;
use crate::templates::Deviation;
use crate::templates::Manifest;
use proptest::prelude::*;
use std::fs;

fn request(environment: &str, builder: &str, variant: Option<&str>, set: &[(&str, &str)]) -> BuildRequest {
    let set: Vec<(String, String)> = set.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    BuildRequest {
        environment: environment.parse().unwrap(),
        builder: builder.to_owned(),
        variant: variant.map(|variant| variant.parse().unwrap()),
        answers: config::layers::settings(&set).unwrap(),
        allocation: Allocation::new(),
    }
}

#[test]
fn an_allocation_wins_over_every_layer_and_reaches_packer_whole() {
    let set = [("vcpus", "64"), ("ssh_username", "packer")];
    let set: Vec<_> = PROXMOX.into_iter().chain(set).collect();
    let mut request = request("dev", "proxmox-iso.linux-debian-12", None, &set);
    let amounts = [("vcpu", 3), ("memory_mib", 8_192), ("gpu", 1)];
    request.allocation = amounts.iter().map(|(name, amount)| (name.parse().unwrap(), *amount)).collect();
    let design = design(&Definitions::built_in(), &request).unwrap();
    let lines: Vec<String> = design.config.text.lines().map(|line| line.replace(' ', "")).collect();
    for line in ["vcpus=3", "memory_mib=8192", "gpu=1", "disk_gib=20"] {
        assert!(lines.iter().any(|found| found == line), "{line}: {lines:?}");
    }
    let explained = config::explain(&design.merged, Some("vcpus"));
    assert_eq!(explained[0].steps.last().unwrap().place.file, "the allocation");
    let without = super::design(&Definitions::built_in(), &BuildRequest { allocation: Allocation::new(), ..request });
    assert_ne!(without.unwrap().inputs_hash, design.inputs_hash, "another allocation is another build");
}

#[test]
fn an_allocation_that_the_schema_does_not_allow_is_refused_with_its_place() {
    let mut request = request("dev", "file.linux-image", None, &[]);
    request.allocation = [("vcpu".parse().unwrap(), 100_000)].into_iter().collect();
    let error = design(&Definitions::built_in(), &request).unwrap_err().to_string();
    assert!(error.contains("vcpus") && error.contains("the allocation"), "{error}");
}

/// Proxmox's variables beside its overlay.
const PROXMOX: [(&str, &str); 4] = [
    ("proxmox_url", "https://pve.example:8006/api2/json"),
    ("iso_url", "https://mirror.example/installer.iso"),
    ("iso_checksum", "sha256:0000000000000000000000000000000000000000000000000000000000000000"),
    ("proxmox_node", "pve1"),
];

fn changed(path: &str, from: &str, to: &str) -> Definitions {
    let built_in = Definitions::built_in();
    let mut files: BTreeMap<String, Vec<u8>> =
        built_in.files().map(|(path, bytes)| (path.to_owned(), bytes.to_vec())).collect();
    let text = built_in.text(path).unwrap();
    assert!(text.contains(from), "{path} has no {from}");
    files.insert(path.to_owned(), text.replacen(from, to, 1).into_bytes());
    Definitions::from_files("here", files)
}

fn in_folder<T>(root: &Path, overwrite: bool, act: impl FnOnce(&Desk<'_>) -> T) -> T {
    let (definitions, log) = (Definitions::built_in(), Logger::silent("config", Redactor::default()));
    act(&Desk { root, definitions: &definitions, overwrite, leave: &Always, log: &log })
}

#[test]
fn deterministic_configs_are_byte_identical_to_the_golden_files() {
    let built_in = Definitions::built_in();
    let design = design(&built_in, &request("prod", "source.file.linux-image", Some("hardened"), &[])).unwrap();
    assert_eq!(design.name, "file.linux-image.hardened");
    assert_eq!(
        design.config.text,
        "# Rendered by `swoosh config render`. Change overlays or answers instead of this file.\n\
         image_allocation  = {}\n\
         image_description = \"swoosh-base 1.0.0 (linux, prod)\"\n\
         image_labels = {\n  environment = \"prod\"\n  managed_by  = \"swoosh\"\n  medium      = \"file\"\n  \
         profile     = \"hardened\"\n}\n\
         image_name     = \"swoosh-base-hardened\"\n\
         image_packages = [\"auditd\", \"ca-certificates\", \"openssh-server\"]\n\
         image_version  = \"1.0.0\"\n"
    );
    assert_eq!(
        design.provisioners_text,
        "# Rendered by `swoosh config render`. Change overlays or answers instead of this file.\n\
         ansible_enabled = true\nansible_entry   = \"ansible/site.yml\"\nansible_folder  = \"ansible\"\n\
         ansible_version = \"2.14\"\npuppet_enabled  = true\npuppet_entry    = \"puppet/manifests/site.pp\"\n\
         puppet_folder   = \"puppet\"\npuppet_version  = \"7.23\"\n"
    );
}

#[test]
fn every_builder_of_the_inventory_can_be_designed() {
    let built_in = Definitions::built_in();
    let azure = ["azure_client_id", "azure_subscription_id", "azure_resource_group"].map(|name| (name, "x"));
    let schema = config::Schema::load(&built_in).unwrap();
    let set: Vec<(&str, &str)> = PROXMOX.iter().chain(&azure).copied().collect();
    for builder in Inventory::load(&built_in).unwrap().builders() {
        let applies = |name: &str| schema.variables[name].applies_to(&builder.platform);
        let own: Vec<(&str, &str)> = set.iter().filter(|(name, _)| applies(name)).copied().collect();
        for variant in [None, Some("minimal"), Some("hardened")] {
            let request = request("dev", &builder.id.to_string(), variant, &own);
            let design = design(&built_in, &request).unwrap_or_else(|error| panic!("{}: {error}", builder.id));
            assert!(design.config.findings.iter().all(|finding| finding.severity == config::Severity::Info));
        }
    }
}

#[test]
fn a_variable_without_value_is_reported_with_its_declaration_and_the_overlays() {
    let error = design(&Definitions::built_in(), &request("dev", "proxmox-iso.linux-debian-12", None, &PROXMOX[..3]));
    let error = error.unwrap_err().to_string();
    for expected in
        ["proxmox_node (schema.yaml:", "required", "overlays/platform/proxmox.pkrvars.hcl", "--set proxmox_node="]
    {
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn secrets_stand_in_no_file_and_are_looked_up_by_name() {
    let root = tempfile::tempdir().unwrap();
    let request = request("dev", "proxmox-iso.linux-debian-12", None, &PROXMOX);
    let prepared = in_folder(root.path(), false, |desk| prepare(desk, &request)).unwrap();
    let secrets: Vec<_> = prepared.secrets.iter().collect();
    assert_eq!(
        secrets,
        [("proxmox_password", "SWOOSH_PROXMOX_PASSWORD"), ("ssh_password", "SWOOSH_BUILD_SSH_PASSWORD")]
    );
    let text = fs::read_to_string(&prepared.var_files[0]).unwrap();
    assert!(!text.contains("proxmox_password") && !text.contains("ssh_password"), "{text}");
    assert!(text.contains("proxmox_node     = \"pve1\""), "{text}");
}

#[test]
fn provisioner_blocks_are_composed_where_there_is_a_machine_in_a_fixed_order() {
    let built_in = Definitions::built_in();
    let build = |builder: &str, set: &[(&str, &str)]| {
        let design = design(&built_in, &request("dev", builder, None, set)).unwrap();
        let build = design.composition.files.iter().find(|file| file.role == templates::Role::Build).unwrap();
        String::from_utf8(build.bytes.clone()).unwrap()
    };
    let both = [&PROXMOX[..], &[("puppet_enabled", "true")]].concat();
    let text = build("proxmox-iso.linux-debian-12", &both);
    let at = |needle: &str| text.find(needle).unwrap_or_else(|| panic!("{needle}: {text}"));
    assert!(at("  provisioner \"ansible\" {") < at("  provisioner \"puppet-masterless\" {"));
    assert!(!text.contains("# swoosh:"), "{text}");
    assert!(!build("proxmox-iso.linux-debian-12", &PROXMOX).contains("puppet"));
    assert!(!build("file.linux-image", &[]).contains("provisioner"));
}

#[test]
fn configuration_and_templates_that_disagree_are_refused_before_packer_sees_them() {
    let disagreement = |definitions: &Definitions, builder: &str, set: &[(&str, &str)]| {
        design(definitions, &request("dev", builder, None, set)).unwrap_err().to_string()
    };
    let template = "templates/pkrvars/image.pkrvars.hcl";
    let unset = changed(template, "image_version     = var.image_version\n", "");
    let error = disagreement(&unset, "file.linux-image", &[]);
    assert!(
        error.contains("image_version has no value and no default; it is declared at templates/packer/variables"),
        "{error}"
    );
    let extra = changed(template, "image_version     =", "image_edition = \"x\"\nimage_version =");
    assert!(
        disagreement(&extra, "file.linux-image", &[]).contains("sets image_edition, which no composed file declares")
    );
    let shown = changed("templates/packer/variables/proxmox.pkr.hcl", "  sensitive = true\n", "");
    let error = disagreement(&shown, "proxmox-iso.linux-debian-12", &PROXMOX);
    assert!(error.contains("proxmox_password is a secret") && error.contains("sensitive = true"), "{error}");
    let twice = changed("templates/pkrvars/machine.pkrvars.hcl", "vcpus ", "image_name = \"x\"\nvcpus ");
    assert!(disagreement(&twice, "proxmox-iso.linux-debian-12", &PROXMOX).contains("image_name is assigned twice"));
}

#[test]
fn what_is_prepared_twice_is_unchanged_and_verifies() {
    let root = tempfile::tempdir().unwrap();
    let asked = request("dev", "file.linux-image", None, &[]);
    let first = in_folder(root.path(), false, |desk| prepare(desk, &asked)).unwrap();
    assert!(first.changes.values().all(|change| *change == Change::Written));
    let second = in_folder(root.path(), false, |desk| prepare(desk, &asked)).unwrap();
    assert!(second.changes.values().all(|change| *change == Change::Unchanged), "{:?}", second.changes);
    assert_eq!((first.inputs_hash, first.checksum), (second.inputs_hash, second.checksum));
    let manifest = Manifest::load(&first.folder).unwrap();
    assert_eq!(manifest.verify(&first.folder, Some(&Definitions::built_in())).unwrap(), []);
    let other = in_folder(root.path(), false, |desk| {
        prepare(desk, &request("dev", "file.linux-image", None, &[("image_version", "\"2.0\"")]))
    });
    assert_ne!(other.unwrap().inputs_hash, first.inputs_hash);
}

#[test]
fn files_that_were_edited_by_hand_stop_everything_and_are_kept_when_they_are_replaced() {
    let root = tempfile::tempdir().unwrap();
    let asked = request("dev", "file.linux-image", None, &[]);
    let prepared = in_folder(root.path(), false, |desk| prepare(desk, &asked)).unwrap();
    let edited = prepared.var_files[0].clone();
    fs::write(&edited, "image_name = \"mine\"\n").unwrap();
    let other = request("dev", "file.linux-image", None, &[("image_version", "\"2.0\"")]);
    let error = in_folder(root.path(), false, |desk| prepare(desk, &other)).unwrap_err().to_string();
    assert!(
        error.contains("file.linux-image.pkrvars.hcl was changed by hand") && error.contains("--overwrite"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&edited).unwrap(), "image_name = \"mine\"\n");
    let manifest = Manifest::load(&prepared.folder).unwrap();
    assert_eq!(manifest.verify(&prepared.folder, None).unwrap(), [], "nothing else was written either");
    in_folder(root.path(), true, |desk| prepare(desk, &other)).unwrap();
    assert!(fs::read_to_string(&edited).unwrap().contains("2.0"));
    let kept = fs::read_to_string(edited.with_file_name("file.linux-image.pkrvars.hcl.edited")).unwrap();
    assert_eq!(kept, "image_name = \"mine\"\n");
    fs::write(&edited, "image_name = \"again\"\n").unwrap();
    in_folder(root.path(), true, |desk| prepare(desk, &asked)).unwrap();
    let again = fs::read_to_string(edited.with_file_name("file.linux-image.pkrvars.hcl.2.edited")).unwrap();
    assert_eq!(again, "image_name = \"again\"\n", "what was kept before is kept still");
}

/// A file that no composition wrote was once built silently. Packer reads hidden files and links too.
#[test]
fn a_foreign_file_in_a_composed_folder_stops_everything_and_is_kept_when_it_is_replaced() {
    let root = tempfile::tempdir().unwrap();
    let asked = request("dev", "file.linux-image", None, &[]);
    let folder = in_folder(root.path(), false, |desk| prepare(desk, &asked)).unwrap().folder;
    for name in [
        "99-mine.pkr.hcl",
        ".hidden.pkr.hcl",
        "mine.pkr.json",
        "mine.auto.pkrvars.hcl",
        "mine.auto.pkrvars.json",
        "ansible/roles/mine/tasks/main.yml",
        "ansible/roles/base/files/.evil",
        "ansible/.x.yml",
        "ansible/.hidden/x.yml",
    ] {
        let foreign = folder.join(name);
        fs::create_dir_all(foreign.parent().unwrap()).unwrap();
        fs::write(&foreign, "mine").unwrap();
        let error = in_folder(root.path(), false, |desk| prepare(desk, &asked)).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("is not part of") && error.contains("--overwrite"), "{error}");
        let found = Manifest::load(&folder).unwrap().verify(&folder, None).unwrap();
        assert_eq!(found, [Deviation::Added(name.to_owned())], "verify says the same");
        in_folder(root.path(), true, |desk| prepare(desk, &asked)).unwrap();
        let kept = foreign.with_file_name(format!("{}.edited", foreign.file_name().unwrap().to_string_lossy()));
        assert!(!foreign.exists() && fs::read_to_string(kept).unwrap() == "mine");
    }
    std::os::unix::fs::symlink("/nowhere", folder.join("link.pkr.hcl")).unwrap();
    assert!(in_folder(root.path(), false, |desk| prepare(desk, &asked)).is_err());
    fs::remove_file(folder.join("link.pkr.hcl")).unwrap();
    for left in [
        "10-settings-packer.pkr.hcl~",
        "x.pkr.hcl.tmp",
        "ansible/__pycache__/a.pyc",
        "ansible/site.retry",
        "ansible/.site.yml.swp",
        ".git/config",
    ] {
        fs::create_dir_all(folder.join(left).parent().unwrap()).unwrap();
        fs::write(folder.join(left), "old").unwrap();
    }
    in_folder(root.path(), false, |desk| prepare(desk, &asked)).unwrap();
}

/// Assets lost their x bit, and hidden ones were called missing although they stood there.
#[test]
fn assets_keep_their_x_bit_and_may_be_hidden() {
    use std::os::unix::fs::PermissionsExt as _;
    let (root, given) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let own = given.path();
    for (path, bytes) in Definitions::built_in().files() {
        fs::create_dir_all(own.join(path).parent().unwrap()).unwrap();
        fs::write(own.join(path), bytes).unwrap();
    }
    let (script, hidden) = ("templates/ansible/make.sh", "templates/ansible/.config/lint");
    fs::create_dir_all(own.join(hidden).parent().unwrap()).unwrap();
    fs::write(own.join(script), "true").unwrap();
    fs::write(own.join(hidden), "x").unwrap();
    let plain = Definitions::load(own).unwrap().digest();
    fs::set_permissions(own.join(script), fs::Permissions::from_mode(0o755)).unwrap();
    let (definitions, log) = (Definitions::load(own).unwrap(), Logger::silent("config", Redactor::default()));
    assert_ne!(definitions.digest(), plain);
    let desk = Desk { root: root.path(), definitions: &definitions, overwrite: false, leave: &Always, log: &log };
    let asked = request("dev", "file.linux-image", None, &[]);
    let folder = prepare(&desk, &asked).unwrap().folder;
    let may_run = |path: &str| fs::metadata(folder.join(path)).unwrap().permissions().mode() & 0o100 != 0;
    assert!(may_run("ansible/make.sh") && !may_run("ansible/site.yml"));
    assert_eq!(fs::read_to_string(folder.join("ansible/.config/lint")).unwrap(), "x");
    assert_eq!(Manifest::load(&folder).unwrap().verify(&folder, Some(&definitions)).unwrap(), []);
    fs::set_permissions(folder.join("ansible/make.sh"), fs::Permissions::from_mode(0o644)).unwrap();
    let found = Manifest::load(&folder).unwrap().verify(&folder, None).unwrap();
    assert_eq!(found, [Deviation::Changed("ansible/make.sh".to_owned())]);
    prepare(&desk, &asked).unwrap();
    assert!(may_run("ansible/make.sh"));
}

#[test]
fn files_that_a_composition_no_longer_has_are_taken_away() {
    let root = tempfile::tempdir().unwrap();
    let with = request("dev", "file.linux-image", None, &[("puppet_enabled", "true")]);
    let folder = in_folder(root.path(), false, |desk| prepare(desk, &with)).unwrap().folder;
    assert!(folder.join("puppet/manifests/site.pp").exists());
    let without = request("dev", "file.linux-image", None, &[]);
    let prepared = in_folder(root.path(), false, |desk| prepare(desk, &without)).unwrap();
    assert_eq!(prepared.changes["dev/file.linux-image/puppet/manifests/site.pp"], Change::Removed);
    assert!(!folder.join("puppet/manifests/site.pp").exists());
    assert_eq!(Manifest::load(&folder).unwrap().verify(&folder, None).unwrap(), []);
}

#[test]
fn verify_names_what_changed_in_the_folder_and_in_the_definitions() {
    let root = tempfile::tempdir().unwrap();
    let asked = request("dev", "file.linux-image", None, &[]);
    let folder = in_folder(root.path(), false, |desk| prepare(desk, &asked)).unwrap().folder;
    fs::write(folder.join("extra.pkr.hcl"), "").unwrap();
    fs::write(folder.join("ansible/site.yml"), "---\n").unwrap();
    fs::remove_file(folder.join("ansible/ansible.cfg")).unwrap();
    let source = "templates/packer/locals/labels.pkr.hcl";
    let definitions = changed(source, "labels", "labels_");
    let found = Manifest::load(&folder).unwrap().verify(&folder, Some(&definitions)).unwrap();
    let expected = [
        Deviation::Changed("ansible/site.yml".to_owned()),
        Deviation::Missing("ansible/ansible.cfg".to_owned()),
        Deviation::Added("extra.pkr.hcl".to_owned()),
        Deviation::SourceChanged(source.to_owned()),
    ];
    assert_eq!(found, expected);
    let manifest = fs::read_to_string(folder.join(MANIFEST_FILE)).unwrap();
    let forged = manifest.replacen("source.file.linux-image", "source.file.linux-imago", 1);
    fs::write(folder.join(MANIFEST_FILE), forged).unwrap();
    let found = Manifest::load(&folder).unwrap().verify(&folder, None).unwrap();
    assert!(found.contains(&Deviation::Manifest(MANIFEST_FILE.to_owned())), "{found:?}");
}

#[test]
fn a_crash_between_record_and_files_is_not_taken_for_an_edit() {
    let root = tempfile::tempdir().unwrap();
    let design_of = |version: &str| {
        let asked = request("dev", "file.linux-image", None, &[("image_version", version)]);
        design(&Definitions::built_in(), &asked).unwrap()
    };
    let (old, new) = (design_of("\"1.0\"").config_batch(), design_of("\"2.0\"").config_batch());
    store::write(root.path(), &old, false, &Always).unwrap();
    // A folder where the first file's temporary would stand fails the write after the record was made.
    let first = old.files.keys().next().unwrap();
    let blocked = root.path().join(CONFIGS_FOLDER).join(format!("{first}.tmp"));
    fs::create_dir(&blocked).unwrap();
    assert!(store::write(root.path(), &new, false, &Always).is_err());
    fs::remove_dir(&blocked).unwrap();
    store::write(root.path(), &new, false, &Always).unwrap();
    store::write(root.path(), &old, false, &Always).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_same_files_read_in_any_order_give_the_same_bytes(order in Just((0..Definitions::built_in().files().count()).collect::<Vec<_>>()).prop_shuffle()) {
        let built_in = Definitions::built_in();
        let listed: Vec<(&str, &[u8])> = built_in.files().collect();
        // Written to a folder in that order, so that the file system lists them so as well, as far as it ever does.
        let folder = tempfile::tempdir().unwrap();
        for at in order {
            let (path, bytes) = listed[at];
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let read = Definitions::load(folder.path()).unwrap();
        let asked = request("prod", "file.linux-image", Some("hardened"), &[]);
        let (one, other) = (design(&built_in, &asked).unwrap(), design(&read, &asked).unwrap());
        prop_assert_eq!(one.inputs_hash, other.inputs_hash);
        prop_assert_eq!(one.config_batch().files, other.config_batch().files);
        prop_assert_eq!(one.composition_batch().unwrap().files, other.composition_batch().unwrap().files);
    }
}
