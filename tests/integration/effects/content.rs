//! From what is in a repository to what becomes of its project: one case for each rule that ships.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value, json};
use swoosh::hybridcore::sources::credentials::BUILT_IN;
use swoosh::machine::state::State;
use swoosh::types::names::{IngestionState, PolicyState, Transition};

use super::{INGESTION, Yard};
use crate::support::daemon::Daemon;
use crate::support::driver::Project;
use crate::support::world::Ask;

impl Yard {
    /// Tags a commit that holds these files and nothing else.
    fn holds(&self, tag: &str, files: &[(&str, &[u8])]) {
        let repository = &self.repository;
        repository.git(&["checkout", "-q", "--orphan", tag]);
        repository.git(&["rm", "-rfq", "--ignore-unmatch", "."]);
        for (path, content) in files {
            repository.commit(path, content);
        }
        self.tag(tag);
    }

    fn tag(&self, tag: &str) {
        self.repository.git(&["tag", &format!("v{tag}.7")]);
    }

    /// Begins a project of that name at the tag of the same name.
    fn project(&self, daemon: &Daemon, name: &str) {
        let mut project = Project::new(&self.site, name);
        let document = json!({"document": self.document(&format!("v{name}.7"))});
        project.propose(daemon, &Ask::new(Transition::BootConfigOk).with(document)).receipt();
        project.accept(daemon, Transition::BootLicensed);
    }

    /// Findings of scans in the project's source.
    fn scanned(&self, project: &str) -> Value {
        let file = self.site.data().join("workspaces").join(project).join("state/sources.json");
        let document: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        document["sources"]["app"]["scan_status"].clone()
    }
}

/// The project's state once VALIDATE came to an end, whichever.
#[track_caller]
fn judged(daemon: &Daemon, project: &str) -> State {
    let mut found = None;
    daemon.wait_for(&format!("/state?project={project}"), |answer| {
        let state: State = serde_json::from_value(answer.json()["projection"].clone()).unwrap();
        let ended = state.policy.phase == PolicyState::Quarantined
            || state.ingestion.phase == IngestionState::Ready
            || state.ingestion.last_failure.is_some();
        found = Some(state);
        ended
    });
    found.unwrap()
}

#[track_caller]
fn is_quarantined(daemon: &Daemon, project: &str, reason: &str) {
    let state = judged(daemon, project);
    assert_eq!(state.policy.phase, PolicyState::Quarantined, "{project}: {:?}", state.ingestion);
    assert_eq!(state.ingestion.phase, IngestionState::Validate, "{project}");
    let rationale = state.policy.rationale.clone().unwrap().to_string();
    assert!(rationale.contains(reason), "{project}: {rationale}");
}

#[track_caller]
fn is_ready(daemon: &Daemon, project: &str) {
    let state = judged(daemon, project);
    assert_eq!(state.ingestion.phase, IngestionState::Ready, "{project}: {:?}", state.ingestion.last_failure);
    assert_eq!(state.policy.phase, PolicyState::Clear, "{project}");
}

#[track_caller]
fn is_denied(daemon: &Daemon, project: &str, policy: &str) {
    let state = judged(daemon, project);
    assert_eq!(state.policy.phase, PolicyState::Clear, "{project}");
    let detail = state.ingestion.last_failure.clone().unwrap().detail.to_string();
    assert!(detail.contains(policy), "{project}: {detail}");
}

/// Characters as a service would draw them.
fn drawn(alphabet: &str, count: usize) -> String {
    let alphabet: Vec<char> = alphabet.chars().collect();
    (0..count).map(|n| alphabet[(n * 7 + n / 3) % alphabet.len()]).collect()
}

/// A file for each credential rule. Secrets are put together here, so that no scanner of this repository finds them.
fn credentials() -> BTreeMap<&'static str, (&'static str, String)> {
    const WORD: &str = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xYz0";
    const UPPER: &str = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";
    const HEX: &str = "0a1b2c3d4e5f6789";
    let (word, hex) = (|count| drawn(WORD, count), |count| drawn(HEX, count));
    let armour = |kind: &str| format!("-----{} {kind}PRIVATE {}-----", "BEGIN", "KEY");
    [
        ("private-key", "deploy/tls.txt", format!("# mine\n  {}\n  MIIEpAIBAAKCAQEA\n", armour("RSA "))),
        ("putty-private-key", "key.ppk", format!("PuTTY-User-Key-File{}: ssh-ed25519\n", "-3")),
        ("age-secret-key", "age.txt", format!("AGE-SECRET-KEY{}{}\n", "-1", drawn(UPPER, 58))),
        ("swoosh-secret-key", "node.key", format!("hmmm:{}:{}\n", "secret", word(43))),
        ("aws-access-key-id", "README.md", format!("id {}{}\n", "AKIA", drawn("QPZRY7X2GF3TVDW4S5JN", 16))),
        ("aws-secret-access-key", ".aws/config", format!("aws_secret_access_key = {}\n", word(40))),
        ("azure-storage-key", "app.config", format!("AccountName=a;AccountKey={}==;\n", word(86))),
        ("git-credentials", ".git-credentials", format!("https://bob:{}@h.example\n", word(12))),
        ("netrc-password", "home/.netrc", format!("machine h login bob password {}\n", word(12))),
        ("google-api-key", "map.js", format!("const key = '{}{}';\n", "AIza", word(35))),
        (
            "slack-webhook",
            "ci.yml",
            format!("url: https://hooks.{}/services/T0AB1CD2E/B0AB1CD2E/{}\n", "slack.com", word(24)),
        ),
        ("stripe-secret-key", "pay.rb", format!("'{}_{}'\n", "sk_live", word(24))),
        ("sendgrid-api-key", "mail.py", format!("'SG.{}.{}'\n", word(22), word(43))),
        ("github-token", ".env", format!("TOKEN=gh{}_{}\n", "p", word(36))),
        ("github-fine-grained-token", ".env", format!("TOKEN=github_{}_{}_{}\n", "pat", word(22), word(59))),
        ("gitlab-token", ".env", format!("TOKEN=gl{}-{}\n", "pat", word(20))),
        ("slack-token", ".env", format!("TOKEN=xox{}-{}\n", "b", word(24))),
        ("npm-token", ".env", format!("TOKEN=npm{}{}\n", "_", word(36))),
        ("npmrc-auth-token", ".npmrc", format!("//registry.example/:_authToken={}\n", word(36))),
        ("pypi-token", ".pypirc", format!("password = pypi-{}{}\n", "AgEIcHlwaS5vcmc", word(60))),
        ("docker-token", ".env", format!("TOKEN=dckr_{}_{}\n", "pat", word(27))),
        ("digitalocean-token", ".env", format!("TOKEN=do{}_v1_{}\n", "p", hex(64))),
        ("vault-token", ".env", format!("TOKEN=hv{}.{}\n", "s", word(95))),
        ("terraform-token", ".env", format!("TOKEN={}.{}.{}\n", word(14), "atlasv1", word(64))),
        ("huggingface-token", ".env", format!("TOKEN=hf{}{}\n", "_", drawn("aBdEgHjKmNpQrStUvWxYz", 34))),
        ("openai-key", ".env", format!("TOKEN=sk-{}-{}\n", "proj", word(48))),
        ("anthropic-key", ".env", format!("TOKEN=sk-{}-api03-{}\n", "ant", word(93))),
        ("shopify-token", ".env", format!("TOKEN=shp{}_{}\n", "at", hex(32))),
    ]
    .into_iter()
    .map(|(rule, path, content)| (rule, (path, content)))
    .collect()
}

/// Repositories with AWS and GitHub credentials became READY: only the first line of a private key was looked for.
#[test]
fn every_credential_rule_that_ships_leads_from_a_repository_to_a_quarantine() {
    let cases = credentials();
    let shipped = BUILT_IN.lines().filter_map(|line| line.strip_prefix("id = \"")?.strip_suffix('"'));
    assert_eq!(cases.keys().copied().collect::<BTreeSet<_>>(), shipped.collect(), "a case for each rule");
    let yard = Yard::new(&INGESTION, |_| {});
    let names: BTreeMap<_, _> = cases.keys().enumerate().map(|(n, rule)| (*rule, format!("{}", n + 10))).collect();
    for (rule, (path, content)) in &cases {
        yard.holds(&names[rule], &[(path, content.as_bytes())]);
    }
    let daemon = yard.site.start();
    daemon.wait_for("/facts", |answer| answer.json()["network"]["open"] == true);
    names.values().for_each(|name| yard.project(&daemon, name));
    for (rule, name) in &names {
        is_quarantined(&daemon, name, "holds a secret");
        let scanned = yard.scanned(name);
        let found = format!("{}: credential rule {rule}", cases[rule].0);
        let findings = scanned["findings"].as_array().unwrap();
        assert!(findings.iter().any(|finding| *finding == found), "{rule}: {scanned}");
        let secret = cases[rule].1.split([' ', '=', '\'', '\n']).max_by_key(|word| word.len()).unwrap();
        assert!(!scanned.to_string().contains(secret), "the report leaks the secret: {scanned}");
    }
}

/// A repository whose external scan said malware became READY once a symbolic link out of the tree was added to it.
#[test]
fn every_content_rule_of_the_default_policies_leads_from_a_repository_to_its_verdict() {
    let yard = Yard::new(&INGESTION, |_| {});
    let scan = yard.program("scan", "[ -e evil ] && { echo malware: evil; exit 1; }; [ ! -e odd ]");
    yard.site.change_settings(|settings| settings["effects"]["scan_command"] = json!([scan]));
    let escape = || std::os::unix::fs::symlink("/etc/passwd", yard.repository.folder.join("escape")).unwrap();
    yard.holds("1", &[("a.txt", b"all is well\n")]);
    yard.repository.git(&["checkout", "-q", "--orphan", "2"]);
    escape();
    yard.repository.commit("a.txt", b"a link\n");
    yard.tag("2");
    yard.holds("3", &[(".gitmodules", b"[submodule \"x\"]\n\tpath = ../x\n\turl = https://h.example/x\n")]);
    yard.holds("4", &[("odd", b"odd\n")]);
    yard.holds("5", &[("evil", b"evil\n")]);
    yard.repository.git(&["checkout", "-q", "--orphan", "6"]);
    escape();
    yard.repository.commit("evil", b"evil\n");
    yard.tag("6");
    let huge = yard.repository.folder.join("huge");
    yard.repository.git(&["checkout", "-q", "--orphan", "7"]);
    yard.repository.git(&["rm", "-rfq", "."]);
    fs::File::create(&huge).unwrap().set_len(257 << 20).unwrap();
    yard.repository.commit("a.txt", b"huge\n");
    yard.tag("7");
    let daemon = yard.site.start();
    daemon.wait_for("/facts", |answer| answer.json()["network"]["open"] == true);
    (1..=7).for_each(|n| yard.project(&daemon, &n.to_string()));
    is_ready(&daemon, "1");
    is_quarantined(&daemon, "2", "reaches outside its own tree");
    is_quarantined(&daemon, "3", "reaches outside its own tree");
    is_quarantined(&daemon, "4", "the scanner of the settings found something");
    is_quarantined(&daemon, "5", "holds the content of a source for malware");
    for reason in ["reaches outside its own tree", "the scanner of the settings", "for malware"] {
        is_quarantined(&daemon, "6", reason);
    }
    is_denied(&daemon, "7", "content-with-huge-files");
}

/// `licences` was never filled, so that the rules of licences.cedar were dead.
#[test]
fn every_licence_rule_that_ships_leads_from_a_repository_to_its_verdict() {
    let yard = Yard::new(&INGESTION, |settings| settings["policies"] = json!({"path": "policies"}));
    fs::create_dir(yard.site.file("policies")).unwrap();
    for file in ["default.cedar", "optional/licences.cedar"] {
        let name = file.rsplit('/').next().unwrap();
        fs::copy(format!("config/policies/{file}"), yard.site.file("policies").join(name)).unwrap();
    }
    let agpl =
        b"                    GNU AFFERO GENERAL PUBLIC LICENSE\n                       Version 3, 19 November 2007\n";
    yard.holds("1", &[("LICENSE", agpl), ("a.txt", b"x")]);
    yard.holds("2", &[("a.txt", b"x")]);
    yard.holds("3", &[("LICENSE", b"All rights reserved.\n"), ("a.txt", b"x")]);
    yard.holds("4", &[("src/a.c", b"// SPDX-License-Identifier: Apache-2.0\n")]);
    yard.holds(
        "5",
        &[("src/a.c", b"// SPDX-License-Identifier: MIT\n"), ("src/b.c", b"// SPDX-License-Identifier: BUSL-1.1\n")],
    );
    let daemon = yard.site.start();
    daemon.wait_for("/facts", |answer| answer.json()["network"]["open"] == true);
    (1..=5).for_each(|n| yard.project(&daemon, &n.to_string()));
    is_denied(&daemon, "1", "licences-that-reach-over-the-network");
    is_denied(&daemon, "2", "licences-that-are-missing");
    is_denied(&daemon, "3", "licences-that-are-missing");
    is_ready(&daemon, "4");
    is_denied(&daemon, "5", "licences-that-reach-over-the-network");
    assert_eq!(yard.scanned("1")["survey"]["licences"], json!(["AGPL-3.0-only"]));
    assert_eq!(yard.scanned("4")["survey"]["largest_file_bytes"], json!(39));
}

/// The survey listed five findings of each kind and dropped the others, so a rule on the path of a sixth never struck.
#[test]
fn rules_on_paths_see_every_path_or_that_some_are_left_out() {
    let yard = Yard::new(&INGESTION, |settings| settings["policies"] = json!({"path": "policies"}));
    fs::create_dir(yard.site.file("policies")).unwrap();
    fs::copy("config/policies/default.cedar", yard.site.file("policies/default.cedar")).unwrap();
    let rule = |id: &str, condition: &str| {
        format!(
            "@id(\"{id}\")\nforbid (principal, action == Action::\"Ingestion_SchemaOk\", resource)\nwhen {{ context has content && {condition} }};\n"
        )
    };
    let rules = rule("named-pointer", "context.content.paths.contains(\"src/big.bin\")")
        + &rule("paths-left-out", "context.content.paths_left_out > 0");
    fs::write(yard.site.file("policies/paths.cedar"), rules).unwrap();
    let oid = "a".repeat(64);
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 12345\n");
    let pointers = |count: usize, last: &str| {
        let names: Vec<String> = (1..=count).map(|n| format!("docs/{n:02}.bin")).chain([last.to_owned()]).collect();
        names
    };
    let holds = |tag: &str, names: &[String]| {
        let files: Vec<_> = names.iter().map(|name| (name.as_str(), pointer.as_bytes())).collect();
        yard.holds(tag, &files);
    };
    holds("1", &pointers(5, "src/big.bin"));
    holds("2", &pointers(31, "src/small.bin"));
    holds("3", &pointers(32, "src/big.bin"));
    holds("4", &[format!("{}.bin", "long/".repeat(40))]);
    let daemon = yard.site.start();
    daemon.wait_for("/facts", |answer| answer.json()["network"]["open"] == true);
    (1..=4).for_each(|n| yard.project(&daemon, &n.to_string()));
    is_denied(&daemon, "1", "named-pointer");
    is_ready(&daemon, "2");
    is_denied(&daemon, "3", "paths-left-out");
    is_denied(&daemon, "4", "paths-left-out");
    let shown = yard.scanned("3");
    assert_eq!((shown["findings"].as_array().unwrap().len(), &shown["findings_left_out"]), (20, &json!(13)));
}
