//! Small traps of the first hour: wrong words that were answered with a riddle.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};
use swoosh::types::names::{Region, Transition};

use crate::support::daemon::{Daemon, Site, always_open};
use crate::support::driver::{Project, bytes};
use crate::support::inputs;
use crate::support::sockets::eventually;
use crate::support::world::Ask;

/// Standard output, standard error and exit code.
fn run(site: &Site, daemon: &Daemon, arguments: &[&str]) -> (String, String, Option<i32>) {
    let mut command = site.program();
    command.args(arguments).env("SWOOSH_URL", format!("http://{}", daemon.address));
    command.env_remove("SWOOSH_KEY").env_remove("SWOOSH_PROJECT");
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

fn key(site: &Site, name: &str) -> String {
    let path = site.file(&format!("{name}.key"));
    if !path.exists() {
        swoosh::platform::keyfile::store(&path, &site.hands.get(name).secret).unwrap();
    }
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_public_key_in_place_of_a_key_file_is_named_as_one() {
    let site = Site::new();
    let daemon = site.start();
    let public = site.hands.get("operator").key().to_string();
    let file = site.file("operator.pub");
    swoosh::files::create(&file, public.as_bytes(), 0o600).unwrap();
    for key in [public.as_str(), file.to_str().unwrap()] {
        let (_, err, code) = run(&site, &daemon, &["propose", "Boot_Licensed", "--key", key]);
        assert_eq!(code, Some(2));
        assert!(err.contains("public key") && err.contains("keygen --out"), "{err}");
    }
}

#[test]
fn a_project_is_one_word_and_a_decision_is_named_as_records_are_written() {
    let site = Site::new();
    let daemon = site.start();
    Project::new(&site, "alpha").drive(&daemon, Region::Boot, "LICENSED");
    for arguments in [&["state", "alpha"][..], &["transitions", "alpha"], &["windows", "alpha"]] {
        let (out, err, code) = run(&site, &daemon, arguments);
        assert_eq!(code, Some(0), "{err}");
        assert!(out.contains("project alpha"), "{out}");
    }
    let (out, err, code) = run(&site, &daemon, &["decision", "alpha/2"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("Boot_Licensed in project alpha, record 2"), "{out}");
}

/// The command asked the follower ten times, for half a minute.
#[test]
fn a_follower_that_is_asked_to_accept_stops_the_command_at_once_and_names_the_node() {
    let site = Site::new();
    let node = site.start();
    Project::new(&site, "default").drive(&node, Region::Boot, "LICENSED");
    let copy = site.file("copy");
    let follower = site.follow(node.address, &copy).unwrap();
    follower.wait_for("/projects", |answer| answer.text().contains("default"));
    let pause = ["propose", "Control_Pause", "--inputs", r#"{"rationale": "x"}"#, "--key", &key(&site, "operator")];
    let (_, err, code) = run(&site, &follower, &pause);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("refused: follower") && err.contains(&node.address.to_string()), "{err}");
    assert!(!err.contains("attempt "), "{err}");
    let (out, err, code) = run(&site, &follower, &["health"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("a follower; it takes no proposals") && out.contains(&node.address.to_string()), "{out}");
}

#[test]
fn effects_of_a_project_without_records_are_not_found() {
    let site = Site::new();
    let daemon = site.start();
    Project::new(&site, "p").accept(&daemon, Transition::BootConfigOk);
    let answer = daemon.get("/effects?project=nope");
    assert_eq!((answer.status, answer.code().as_str()), (404, "unknown_project"), "{}", answer.text());
    assert_eq!(daemon.get("/effects?project=p").json()["effects"], json!([]));
    for arguments in [&["effects", "--project", "nope"][..], &["effects", "--watch", "--project", "nope"]] {
        let (out, err, code) = run(&site, &daemon, arguments);
        assert_eq!((out.as_str(), code), ("", Some(1)), "{err}");
        assert!(err.contains("there is no project nope"), "{err}");
    }
}

#[test]
fn a_fact_of_a_kind_that_is_missing_ends_with_1() {
    let site = Site::new();
    let daemon = site.start();
    daemon.wait_for("/facts?kind=license", |answer| answer.text().contains("\"license\""));
    let (_, err, code) = run(&site, &daemon, &["fact", "show", "--kind", "license"]);
    assert_eq!(code, Some(0), "{err}");
    let (out, err, code) = run(&site, &daemon, &["fact", "show", "--kind", "license", "--project", "p"]);
    assert_eq!(code, Some(0), "{out}{err}");
    let bare = Site::with(always_open(), |settings| settings["facts"] = json!({}));
    let daemon = bare.start();
    let (out, _, code) = run(&bare, &daemon, &["fact", "show", "--kind", "capacity"]);
    assert_eq!(code, Some(1), "{out}");
}

/// A refusal was `{accepted: false, problem}` or the bare problem, by where it was found.
#[test]
fn a_dry_run_is_refused_in_one_shape_wherever_the_fault_is_found() {
    let site = Site::with(always_open(), |settings| settings["http"] = json!({"body_limit_bytes": 4096}));
    let daemon = site.start();
    let operator = key(&site, "operator");
    let mut document = inputs::document(&site.hands);
    for number in 0..40 {
        let url = format!("https://git.example/{}/{number}.git", "long".repeat(10));
        document["sources"][format!("s{number}")] = json!({"url": url, "ref": "v1.0"});
    }
    let file = site.file("large.json");
    std::fs::write(&file, json!({"document": document}).to_string()).unwrap();
    let large = format!("@{}", file.display());
    // Guards refuse the first; the second does not get as far as a guard.
    for (transition, inputs, expected) in
        [("Control_Resume", r#"{"rationale": "x"}"#, "not_enabled"), ("Boot_ConfigOk", &large, "content_too_large")]
    {
        let arguments = ["--json", "propose", transition, "--key", &operator, "--dry-run", "--inputs", inputs];
        let (out, err, code) = run(&site, &daemon, &arguments);
        assert_eq!(code, Some(1), "{err}");
        let refused: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(refused["accepted"], false, "{refused}");
        assert_eq!(refused["problem"]["code"], expected, "{refused}");
    }
}

/// The signer could not see which of its bytes differed.
#[test]
fn a_wrong_signature_is_answered_with_the_hash_of_the_bytes_that_it_must_be_over() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let signed = project.signed(&Ask::new(Transition::ControlPause));
    let mut document: Value = serde_json::from_slice(&bytes(&signed)).unwrap();
    let signed_at = document["hlc"].clone();
    eventually("the clock moves on", || {
        document["hlc"] = json!(daemon.get("/health").json()["time"]);
        document["hlc"] != signed_at
    });
    let answer = daemon.post(document.to_string().as_bytes());
    assert_eq!(answer.code(), "signature_invalid", "{}", answer.text());
    document.as_object_mut().unwrap().remove("signature");
    let canonical = serde_json_canonicalizer::to_vec(&document).unwrap();
    let message = [b"swoosh/transition/v1\ntest\n".as_slice(), &canonical].concat();
    let hash = swoosh::types::hash::Hash::of(&message).to_string();
    assert!(answer.text().contains(&hash), "{hash}\n{}", answer.text());
}

/// "error: the node does not run; runbooks/recovery.md says where to look: the settings cannot be used: …"
#[test]
fn a_wrong_setting_is_the_first_word_of_the_error_and_names_its_page() {
    let site = Site::with(always_open(), |settings| settings["effects"] = json!({"provision": "builtin"}));
    let (code, said) = site.start_refused();
    assert_eq!(code, Some(1));
    assert!(said.contains("effects.provision") && said.contains("docs/settings.md"), "{said}");
    assert!(said.starts_with(&format!("error: {}: effects.provision: ", site.config().display())), "{said}");
    assert!(!said.contains("does not run") && !said.contains("cannot be used"), "{said}");
    site.change_settings(|settings| {
        settings["effects"] = json!({});
        settings["tls"] = json!({"certificate": "no.pem"});
    });
    let (_, said) = site.start_refused();
    assert!(said.contains("runbooks/certificate.md"), "{said}");
}

#[test]
fn the_last_records_of_a_log_are_shown_in_their_order() {
    let site = Site::new();
    let daemon = site.start();
    Project::new(&site, "p").drive(&daemon, Region::Boot, "LICENSED");
    Project::new(&site, "other").accept(&daemon, Transition::BootConfigOk);
    let show = |arguments: &[&str]| {
        let (out, err, code) = run(&site, &daemon, &[arguments, &["--data", site.data().to_str().unwrap()]].concat());
        assert_eq!(code, Some(0), "{err}");
        let page: Value = serde_json::from_str(&out).unwrap();
        let records = page["records"].as_array().unwrap().clone();
        records.iter().map(|entry| entry["record"]["index"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(show(&["--json", "wal", "show", "--last", "2"]), [2, 3]);
    assert_eq!(show(&["--json", "wal", "show", "--last", "1", "--project", "p"]), [2]);
    assert_eq!(show(&["--json", "wal", "show", "--last", "50"]), [1, 2, 3]);
    let (_, _, code) = run(&site, &daemon, &["wal", "show", "--last", "0"]);
    assert_eq!(code, Some(2));
}

/// It showed neither mode nor queue nor license.
#[test]
fn health_shows_what_the_node_says_with_the_license_and_its_grace() {
    let site = Site::new();
    let daemon = site.start();
    Project::new(&site, "p").drive(&daemon, Region::Boot, "LICENSED");
    let (out, err, code) = run(&site, &daemon, &["health"]);
    assert_eq!(code, Some(0), "{err}");
    for part in ["mode ", "accepting", "queue ", "last record", "license", "valid until", "clock "] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    let (out, _, _) = run(&site, &daemon, &["--json", "health"]);
    let health: Value = serde_json::from_str(&out).unwrap();
    assert!(health["license"]["grace_until"].is_string(), "{health}");
    assert_eq!(
        (&health["ready"], &health["mode"], &health["last_index"]),
        (&json!(true), &json!("accepting"), &json!(2))
    );
}

/// Alerts' texts are templates; a page shows their words.
#[test]
fn pages_show_no_templates_of_alerts() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for page in std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()) {
        let Ok(text) = std::fs::read_to_string(&page) else { continue };
        assert!(!text.contains("{{ $"), "{}", page.display());
    }
}

/// A node that answers each request with 503 `overloaded`.
fn busy() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).unwrap_or(0) > 2 {
                let (name, value) = line.split_once(':').unwrap_or_default();
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let _ = reader.read_exact(&mut vec![0; length]);
            let problem = json!({
                "type": "/docs/rejections#overloaded", "title": "busy", "status": 503, "code": "overloaded", "detail": "the queue is full",
                "reasons": ["the queue is full"], "guard_outcomes": [],
            });
            let body = problem.to_string();
            let head = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-type: application/problem+json\r\ncontent-length:";
            let _ = write!(reader.get_mut(), "{head} {}\r\n\r\n{body}", body.len());
        }
    });
    address
}

/// The notes of retries were plain text, and after the last attempt `{"error"}` took the place of the problem document.
#[test]
fn with_json_the_notes_of_retries_are_json_and_the_end_is_the_problem_document() {
    let site = Site::new();
    let node = format!("http://{}", busy());
    let operator = key(&site, "operator");
    let head = swoosh::types::hash::Hash::of(b"head").to_string();
    let mut words = vec![
        "--json",
        "propose",
        "Pause",
        "--inputs",
        r#"{"rationale": "x"}"#,
        "--key",
        &operator,
        "--cluster",
        "test",
    ];
    words.extend([
        "--head",
        &head,
        "--window",
        "none",
        "--idem-key",
        "adhoc:1:control:key-00000001",
        "--attempts",
        "3",
        "--node",
        &node,
    ]);
    let output = site.program().args(&words).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1), "{err}");
    let notes: Vec<Value> = err
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}\n{err}")))
        .collect();
    let retries: Vec<&Value> = notes.iter().filter(|note| note["attempt"].is_number()).collect();
    assert_eq!(retries.len(), 2, "{err}");
    assert!(
        retries[0]["failed"].as_str().unwrap().contains("overloaded") && retries[0]["again_in_ms"].is_number(),
        "{err}"
    );
    assert!(notes.last().unwrap()["error"].as_str().unwrap().starts_with("gave up after 3 attempts"), "{err}");
    let problem: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("no document: {out}"));
    assert_eq!((&problem["code"], &problem["status"]), (&json!("overloaded"), &json!(503)));
}

/// A file of signed proposals needed a key, which signed nothing.
#[test]
fn a_batch_of_signed_proposals_needs_no_key() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    let mut lines = bytes(&project.signed(&crate::support::world::Ask::new(Transition::BootConfigOk)));
    lines.push(b'\n');
    std::fs::write(site.file("batch"), lines).unwrap();
    let (out, err, code) = run(&site, &daemon, &["propose", "--batch", site.file("batch").to_str().unwrap()]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("accepted: Boot_ConfigOk in project p") && out.contains("1 of 1 accepted"), "{out}");
    project.refresh(&daemon);
    let (_, err, code) = run(&site, &daemon, &["propose", "Boot_Licensed", "--project", "p"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("--key"), "{err}");
}

/// A misspelt project had an answer like any other.
#[test]
fn a_project_without_a_record_is_noted_with_the_name_that_may_be_meant() {
    let site = Site::new();
    let daemon = site.start();
    Project::new(&site, "alpha").drive(&daemon, Region::Boot, "LICENSED");
    for command in ["transitions", "windows"] {
        let (_, err, code) = run(&site, &daemon, &[command, "alpah"]);
        assert_eq!(code, Some(0), "{err}");
        assert!(err.contains("there is no project alpah yet; did you mean alpha?"), "{command}: {err}");
        let (_, err, _) = run(&site, &daemon, &["--json", command, "alpah"]);
        assert!(err.contains(r#"{"no_project":"alpah"}"#), "{command}: {err}");
        let (_, err, _) = run(&site, &daemon, &[command, "alpha"]);
        assert!(!err.contains("no project"), "{command}: {err}");
    }
}

/// `approve --finish` of a terminated project ended with 0, and `approve` said that approvals count in REVIEW alone, there and on a follower.
#[test]
fn approvals_and_elections_of_a_terminated_project_or_on_a_follower_are_refused_as_such() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "default");
    project.drive(&daemon, Region::Execution, "REVERB");
    let approved = project.head.state().execution.approvals.keys().next().copied().unwrap();
    let member = site.file("member.key");
    swoosh::platform::keyfile::store(&member, &site.hands.of(&approved).unwrap().secret).unwrap();
    let member = member.to_str().unwrap();
    let copy = site.file("copy");
    let follower = site.follow(daemon.address, &copy).unwrap();
    follower.wait_for("/projects", |answer| answer.text().contains("default"));
    let (_, err, code) = run(&site, &follower, &["approve", "--key", member]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("refused: follower") && err.contains(&daemon.address.to_string()), "{err}");
    let (_, err, code) = run(&site, &daemon, &["approve", "--finish", "--key", member]);
    assert_eq!(code, Some(0), "{err}");
    project.accept(&daemon, Transition::ControlTerminate);
    for words in [
        &["approve", "--key", member][..],
        &["approve", "--finish", "--key", member],
        &["council", "elect", "--key", member],
    ] {
        let (_, err, code) = run(&site, &daemon, words);
        assert_eq!(code, Some(1), "{words:?}: {err}");
        assert!(err.contains("default is TERMINATED"), "{words:?}: {err}");
    }
}

/// Without `swoosh-lab` beside, the help of its commands was an error.
#[test]
fn the_help_of_commands_of_another_program_needs_no_such_program() {
    let site = Site::new();
    for words in [&["demo", "--help"][..], &["bench", "-h"], &["help", "chaos"]] {
        let output = site.program().args(words).env("PATH", "/nowhere").output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && said.contains("swoosh-lab") && said.contains("cargo build"),
            "{words:?}: {said}"
        );
    }
    let output = site.program().args(["demo"]).env("PATH", "/nowhere").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
