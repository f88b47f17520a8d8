use std::path::{Path, PathBuf};

use super::*;
use swoosh_types::hlc::Hlc;
use swoosh_types::keys::SecretKey;
use swoosh_types::names::WindowClass;

fn refusal(yaml: &str) -> String {
    Settings::from_yaml(yaml).unwrap_err().to_string()
}

fn key(seed: u8) -> PublicKey {
    SecretKey::from_bytes(&[seed; 32]).public()
}

#[test]
fn the_built_in_file_is_the_default() {
    assert_eq!(Settings::load(None, Overrides::default()).unwrap(), Settings::default());
    assert_eq!(Settings::from_yaml("").unwrap(), Settings::default());
    assert_eq!(Settings::from_yaml("clock:\n  # max_ahead_ms: 1\nhttp:\n").unwrap(), Settings::default());
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_one() {
    for (yaml, nearest) in [
        ("listn: 1", "there is no key listn; did you mean listen?"),
        ("clock: {max_ahed_ms: 1}", "there is no key clock.max_ahed_ms; did you mean clock.max_ahead_ms?"),
        ("max_behind_ms: 1", "did you mean clock.max_behind_ms?"),
        ("journal: {snapshots_every: 1}", "did you mean journal.snapshot_every?"),
        ("facts: {sources: {licence: []}}", "did you mean facts.sources.license?"),
        ("identities: {a: {name: b, role: []}}", "there is no key identities.a.role; did you mean identities.a.roles?"),
        ("1: 2", "there is no key 1; docs/settings.md lists every key"),
        // A project document in the place of settings.
        ("document: {}", "there is no key document; docs/settings.md lists every key"),
    ] {
        assert!(refusal(yaml).contains(nearest), "{}", refusal(yaml));
    }
}

#[test]
fn numbers_out_of_bounds_are_refused_with_the_bound() {
    for found in ["99", "3600001", "-1", "1.5", "18446744073709551615", ".nan"] {
        let error = refusal(&format!("clock: {{max_ahead_ms: {found}}}"));
        assert!(error.contains("it must be a whole number from 100 to 3600000"), "{found}: {error}");
    }
    for bound in bounds::BOUNDS.iter() {
        let (section, name) = bound.key.split_once('.').unwrap();
        let with = |value: u64| Settings::from_yaml(&format!("{section}: {{{name}: {value}}}"));
        // A value within its bound may still contradict another key.
        let good = |value| matches!(with(value), Ok(_) | Err(SettingsError::Invalid { .. }));
        assert!(good(bound.least) && good(bound.most), "{}", bound.key);
        assert!(matches!(with(bound.most + 1), Err(SettingsError::Bound { .. })), "{}", bound.key);
        assert!(bound.least == 0 || with(bound.least - 1).is_err(), "{}", bound.key);
    }
}

#[test]
fn what_is_not_of_its_type_is_refused_with_its_place() {
    assert!(refusal("clock: {max_ahead_ms: soon}").contains("clock.max_ahead_ms"));
    assert!(refusal("clock: {max_ahead_ms: 18446744073709551616}").contains("clock.max_ahead_ms"));
    assert!(refusal("listen: localhost").contains("listen"));
    assert!(refusal("cluster: Big Cluster").contains("cluster id"));
    assert!(refusal("cluster: a\ncluster: b").contains("duplicate"));
    assert!(refusal("- a").contains("not a mapping"));
    assert!(refusal("a: [").contains("cannot be read"));
    assert!(refusal("journal: {durability: never}").contains("sync"));
    assert!(refusal("log: {level: 'loud=='}").contains("log.level"));
    assert!(refusal("sources: {transports: [http]}").contains("http is no transport; use some of file, https, ssh"));
    assert!(refusal("sources: {transports: [file]}").contains("sources.file_prefixes"));
    assert!(refusal("sources: {file_prefixes: [/srv]}").contains("add it there"));
    for folder in ["data/x", "ws", "ws/a", "/srv/../data"] {
        let yaml =
            format!("{{effects: {{workspace: ws}}, sources: {{transports: [file], file_prefixes: [{folder}]}}}}");
        assert!(refusal(&yaml).contains("sources.file_prefixes"), "{folder}");
    }
    assert!(Settings::from_yaml("sources: {transports: [file, https], file_prefixes: [/srv/git]}").is_ok());
    assert!(refusal("sources: {floating_refs: ['https://a/b']}").contains("<url>#<ref>"));
    assert!(refusal("sources: {floating_refs: ['https://u:p@a/b#main']}").contains("<url>#<ref>"));
    assert!(Settings::from_yaml("sources: {floating_refs: ['https://a/b#main']}").is_ok());
}

#[test]
fn settings_hold_only_the_name_of_a_secret() {
    let error = refusal("decisions: {bubble: 'https://b.example', bubble_token: hunter2-canary}");
    assert!(!error.contains("canary") && error.contains("secret:<name>"), "{error}");
    let settings = Settings::from_yaml("decisions: {bubble: 'https://b.example', bubble_token: 'secret:b'}").unwrap();
    let references = settings.secret_references();
    assert!(references.iter().any(|(key, of)| *key == "decisions.bubble_token" && of.name().as_str() == "b"));
    assert!(refusal("decisions: {bubble_token: 'secret:b'}").contains("decisions.bubble"));
}

#[test]
fn a_token_for_sources_is_bound_to_a_prefix_of_one_host() {
    let with = |members: &str| format!("sources: {{credentials: [{{{members}}}]}}");
    let settings = Settings::from_yaml(&with("url_prefix: 'https://git.example/team', token: 'secret:git'")).unwrap();
    assert_eq!(settings.sources.credentials[0].user, "git");
    let references = settings.secret_references();
    assert!(references.iter().any(|(key, of)| *key == "sources.credentials" && of.name().as_str() == "git"));
    for url in ["https://", "https://*", "https://*.example", "http://git.example/", "git.example/team", "", "*"] {
        let error = refusal(&with(&format!("url_prefix: '{url}', token: 'secret:git'")));
        assert!(error.contains("sources.credentials"), "{url}: {error}");
    }
    let plain = refusal(&with("url_prefix: 'https://git.example', token: hunter2-canary"));
    assert!(!plain.contains("canary") && plain.contains("secret:<name>"), "{plain}");
    assert!(refusal(&with("token: 'secret:git'")).contains("url_prefix"));
    assert!(refusal(&with("source: app, token: 'secret:git'")).contains("source"));
    let twice = "sources: {credentials: [{url_prefix: 'https://h/a', token: 'secret:a'}, {url_prefix: 'https://H:443/a/', \
                 token: 'secret:b'}]}";
    assert!(refusal(twice).contains("two tokens are bound to https://h/a"));
}

#[test]
fn a_token_does_not_travel_in_the_clear() {
    let with = |url: &str| Settings::from_yaml(&format!("decisions: {{bubble: '{url}', bubble_token: 'secret:b'}}"));
    for url in ["https://b.example/v1", "http://127.0.0.1:9/v1", "http://localhost", "http://[::1]:80/x"] {
        assert!(with(url).is_ok(), "{url}");
    }
    for url in ["http://b.example", "http://127.0.0.1.example", "http://localhost.example:80", "http://[::2]/"] {
        assert!(with(url).unwrap_err().to_string().contains("https"), "{url}");
    }
    assert!(Settings::from_yaml("decisions: {bubble: 'http://b.example'}").is_ok());
    for url in ["https://canary@b.example", "https://b.example/dr?token=canary", "https://b.example/#canary"] {
        let error = refusal(&format!("decisions: {{bubble: '{url}'}}"));
        assert!(error.contains("secrets file") && !error.contains("canary"), "{error}");
    }
    assert!(refusal("decisions: {bubble: 'ftp://b.example'}").contains("http"));
}

#[test]
fn only_the_daemon_has_role_node_and_says_the_settings() {
    let identities = |roles: &str| format!("identities: {{\"{}\": {{name: eve, roles: [{roles}]}}}}", key(1));
    assert!(refusal(&identities("operator, node")).contains("role node is the daemon's alone"));
    assert!(refusal(&identities("")).contains("without roles"));
    assert!(Settings::from_yaml(&identities("operator")).is_ok());
    assert!(refusal(&format!("facts: {{sources: {{settings: [\"{}\"]}}}}", key(1))).contains("the node's alone"));
}

#[test]
fn guards_see_the_settings_and_the_node() {
    let mut settings = Settings::default();
    let guard = settings.guard_settings(key(1));
    assert_eq!(guard.identities[&key(1)].roles, [Role::Node].into());
    assert_eq!((guard.max_ahead_ms, guard.max_behind_ms), (5_000, 300_000));
    assert_eq!((guard.key_horizon_ms, guard.license_grace_ms), (604_800_000, 259_200_000));
    let grant = IdentityGrant { name: "alice".parse().unwrap(), roles: [Role::Operator].into(), delegate: None };
    settings.identities = [(key(1), grant.clone()), (key(2), grant)].into();
    let guard = settings.guard_settings(key(1));
    assert_eq!(guard.identities[&key(1)].roles, [Role::Node, Role::Operator].into());
    assert_eq!(guard.identities[&key(2)].roles, [Role::Operator].into());
}

#[test]
fn relative_paths_are_relative_to_the_file_and_overrides_win() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("swoosh.yaml");
    std::fs::write(&file, "data: d\nfacts: {file: f.json}\nbacklog: 1\n").unwrap();
    let error = Settings::load(Some(&file), Overrides::default()).unwrap_err().to_string();
    assert!(error.starts_with(&file.display().to_string()), "{error}");
    std::fs::write(&file, "data: d\nfacts: {file: f.json}\npolicies: {path: /abs/p}\n").unwrap();
    let settings = Settings::load(Some(&file), Overrides::default()).unwrap();
    assert_eq!(settings.data, directory.path().join("d"));
    assert_eq!(settings.node_key_path(), directory.path().join("d/node.key"));
    assert_eq!(settings.facts.file, Some(directory.path().join("f.json")));
    assert_eq!(settings.policies.path.as_deref(), Some(Path::new("/abs/p")));
    let overrides = Overrides { data: Some("here".into()), listen: Some("0.0.0.0:1".parse().unwrap()) };
    let settings = Settings::load(Some(&file), overrides).unwrap();
    assert_eq!((settings.data, settings.listen), (PathBuf::from("here"), "0.0.0.0:1".parse().unwrap()));
    assert!(matches!(
        Settings::load(Some(Path::new("/none.yaml")), Overrides::default()),
        Err(SettingsError::Read { .. })
    ));
}

#[test]
fn the_built_in_schedule_is_valid_and_opens_every_class_each_hour() {
    let schedule = Settings::default().schedule().unwrap();
    assert_eq!(schedule.validate(), Ok(()));
    assert_eq!(
        (schedule.cycle_ms(), schedule.epoch.to_string().as_str()),
        (3_600_000, "2025-01-01T00:00:00.000+00:00#0")
    );
    for minute in 0..60 {
        let at = Hlc::new(schedule.epoch.physical_ms() + minute * 60_000, 0).unwrap();
        assert!(WindowClass::ALL.iter().any(|&class| schedule.is_open(class, at)), "minute {minute}");
        assert!(WindowClass::ALL.iter().all(|&class| schedule.opens_in_ms(class, at).is_some()));
    }
}

#[test]
fn schedules_and_policies_come_from_the_files_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        Some(path)
    };
    let mut settings = Settings::from_yaml("").unwrap();
    settings.backbeat.file =
        file("b.yaml", "{epoch: '2025-01-01T00:00:00Z#0', beat_ms: 5, cycle_beats: 3, windows: {}}");
    assert_eq!(settings.schedule().unwrap().beat_ms, 5);
    settings.backbeat.file =
        file("b.yaml", "{epoch: '2025-01-01T00:00:00Z#0', beat_ms: 0, cycle_beats: 3, windows: {}}");
    assert!(settings.schedule().unwrap_err().to_string().contains("beat_ms is 0; it must be from 1"));
    settings.backbeat.file = file("b.yaml", "{beat: 1}");
    assert!(matches!(settings.schedule(), Err(SettingsError::Schedule { .. })));
    settings.policies = Policies { path: Some(directory.path().into()), serial: 7, bundle: None };
    assert!(matches!(settings.policy_bundle(), Err(SettingsError::NoPolicies(_))));
    file("2.cedar", "second");
    file("1.cedar", "first");
    file("3.txt", "third");
    let bundle = settings.policy_bundle().unwrap();
    assert_eq!((bundle.serial, bundle.policies.as_str()), (7, "first\nsecond"));
    settings.policies.path = file("2.cedar", "e\u{301}");
    assert!(matches!(settings.policy_bundle(), Err(SettingsError::PolicyText(_))));
}

#[test]
fn a_bare_path_is_the_file_of_the_schedule() {
    let settings = Settings::from_yaml("backbeat: tides.yaml").unwrap();
    assert_eq!(settings, Settings::from_yaml("backbeat: {file: tides.yaml}").unwrap());
    assert_eq!(settings.backbeat.file.as_deref(), Some(Path::new("tides.yaml")));
    assert!(refusal("backbeat: {fil: a}").contains("did you mean backbeat.file?"));
}

#[test]
fn providers_that_could_not_be_trusted_or_would_flap_are_refused() {
    assert!(refusal("backbeat: {source: 'https://beats.example/now'}").contains("backbeat.source_key"));
    assert!(refusal("backbeat: {source: 'ftp://beats.example'}").contains("no web address"));
    let signed = format!("backbeat: {{source: 'http://beats.example/now', source_key: '{}'}}", key(1));
    assert!(Settings::from_yaml(&signed).is_ok(), "a signature holds over any wire");
    assert!(refusal("health: {url: 'http://health.example', format: plain}").contains("not https://"));
    for url in ["https://health.example", "http://127.0.0.1:1/x", "http://[::1]:1", "http://localhost"] {
        assert!(Settings::from_yaml(&format!("health: {{url: '{url}', format: plain}}")).is_ok(), "{url}");
    }
    assert!(refusal("mcp: {up: 2, down: 3}").contains("could both hold"));
    assert!(refusal("mcp: {window: 3}").contains("mcp.window"));
    assert!(refusal("mcp: {valid_for_ms: 20000, interval_ms: 20000}").contains("mcp.valid_for_ms"));
    assert!(refusal("liveness: {url: 'https://a', valid_for_ms: 5000}").contains("liveness.valid_for_ms"));
}

#[test]
fn half_a_tls_setup_is_refused_with_what_is_missing() {
    assert!(refusal("tls: {certificate: a.pem}").contains("tls.key: tls.certificate is set and its key is not"));
    assert!(refusal("tls: {key: a.pem}").contains("tls.certificate: tls.key is set"));
    assert!(refusal("tls: {client_ca: a.pem}").contains("tls.client_ca: client certificates need TLS"));
    let required = "tls: {certificate: a.pem, key: b.pem, require_client_certificate: true}";
    assert!(refusal(required).contains("no certificate is trusted"));
    assert!(Settings::from_yaml("tls: {certificate: a.pem, key: b.pem, client_ca: c.pem}").is_ok());
}

#[test]
fn traces_that_could_not_be_sent_or_would_leak_are_refused() {
    for (yaml, expected) in [
        ("traces: {token: 'secret:t'}", "set traces.collector"),
        ("traces: {collector: 'https://c.example'}", "set traces.protocol to http"),
        ("traces: {collector: 'http://c.example', protocol: http, token: 'secret:t'}", "use https://"),
        ("traces: {collector: 'http://u:p@c.example'}", "without credentials"),
        ("traces: {collector: 'http://127.0.0.1:4317', queue: 64, batch: 100}", "less than traces.batch"),
        ("traces: {collector: 'http://127.0.0.1:4317', protocol: thrift}", "traces.protocol"),
    ] {
        assert!(refusal(yaml).contains(expected), "{yaml}: {}", refusal(yaml));
    }
    let good = "traces: {collector: 'https://c.example/x', protocol: http, token: 'secret:t', sample_permille: 10}";
    let settings = Settings::from_yaml(good).unwrap();
    assert!(settings.secret_references().iter().any(|(key, _)| *key == "traces.token"));
}

/// They were called "more than one document".
#[test]
fn settings_with_a_byte_order_mark_are_read() {
    assert_eq!(Settings::from_yaml("\u{feff}cluster: here\n").unwrap().cluster.as_str(), "here");
    assert_eq!(Settings::from_yaml("\u{feff}").unwrap(), Settings::default());
    assert!(schedule_of(&format!("\u{feff}{}", include_str!("../../../config/backbeat.yaml"))).is_ok());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("p.cedar");
    std::fs::write(&path, "\u{feff}permit (principal, action, resource);").unwrap();
    let mut settings = Settings::default();
    settings.policies.path = Some(path);
    assert_eq!(settings.policy_bundle().unwrap().policies, "permit (principal, action, resource);");
}

/// Elsewhere, a small-order key may verify any signature; here it verifies none.
#[test]
fn keys_without_a_secret_half_are_refused() {
    assert!(PublicKey::from_bytes([0xff; 32]).weakness().is_some_and(|why| why.contains("canonical")));
    assert!(swoosh_types::keys::SecretKey::from_bytes(&[7; 32]).public().weakness().is_none());
    let weak = PublicKey::from_bytes([0; 32]);
    for yaml in [
        format!("identities: {{\"{weak}\": {{name: weak, roles: [operator]}}}}"),
        format!("facts: {{sources: {{license: [\"{weak}\"]}}}}"),
        format!("kaching: {{keys: [\"{weak}\"]}}"),
    ] {
        assert!(refusal(&yaml).contains("is of small order"), "{}", refusal(&yaml));
    }
    let none = (0..=u8::MAX).map(|n| PublicKey::from_bytes([n; 32])).find(|key| key.point().is_none()).unwrap();
    let yaml = format!("identities: {{\"{none}\": {{name: weak, roles: [operator]}}}}");
    assert!(refusal(&yaml).contains("is no point of the curve"), "{}", refusal(&yaml));
}

/// The keys of development.yaml are published: on another address, or as another cluster, everyone could sign for its operator.
#[test]
fn published_keys_count_on_a_loopback_address_of_the_cluster_development_alone() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/settings/development.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let settings = Settings::from_yaml(&text).unwrap();
    assert_eq!(settings.identities.len(), 5);
    let named = |yaml: &str| refusal(yaml).contains("is the published development key of");
    assert!(named(&text.replace("cluster: development", "cluster: production")), "another cluster");
    for open in ["0.0.0.0:7400", "192.0.2.1:7400", "\"[::]:7400\""] {
        assert!(named(&text.replace("listen: 127.0.0.1:7400", &format!("listen: {open}"))), "{open}");
    }
    let overrides = Overrides { listen: Some("0.0.0.0:7400".parse().unwrap()), ..Overrides::default() };
    let error = Settings::load(Some(&path), overrides).unwrap_err().to_string();
    assert!(error.contains("published development key"), "an address of the command line: {error}");
    let operator = settings.identities.iter().find(|(_, grant)| grant.name.as_str() == "operator").unwrap().0;
    assert!(named(&format!("facts: {{sources: {{license: [\"{operator}\"]}}}}")), "a source of facts");
    // Guards refuse grants of projects by the same rule.
    let node = swoosh_types::keys::SecretKey::from_bytes(&[1; 32]).public();
    assert!(settings.guard_settings(node).published_keys);
    assert!(!Settings::from_yaml("").unwrap().guard_settings(node).published_keys);
    assert!(settings.published_fault(operator).is_none());
    assert!(Settings::from_yaml("").unwrap().published_fault(operator).is_some());
}

/// A node in a directory below a symbolic link refused the repository of its own `swoosh init`, whose address has no link in it.
#[test]
fn folders_of_sources_are_listed_as_spelled_and_without_links() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| std::fs::canonicalize(directory.path()).unwrap().join(name);
    std::fs::create_dir_all(at("real/git")).unwrap();
    std::os::unix::fs::symlink(at("real"), at("link")).unwrap();
    std::fs::write(at("real/swoosh.yaml"), "sources: {transports: [file], file_prefixes: [git, later/git]}").unwrap();
    let node = swoosh_types::keys::SecretKey::from_bytes(&[1; 32]).public();
    let settings = Settings::load(Some(&at("link/swoosh.yaml")), Overrides::default()).unwrap();
    let expected =
        ["link/git", "link/later/git", "real/git", "real/later/git"].map(|name| at(name).display().to_string());
    assert_eq!(settings.guard_settings(node).file_prefixes.unwrap(), expected.into());
    // The fence follows the links at each reading, so it has the folders as they are spelled.
    assert_eq!(settings.file_prefixes(), [at("link/git"), at("link/later/git")]);
    let settings = Settings::load(Some(&at("real/swoosh.yaml")), Overrides::default()).unwrap();
    assert_eq!(settings.guard_settings(node).file_prefixes.unwrap().len(), 2);
}
