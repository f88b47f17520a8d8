//! Limits on what a project makes the node read and send: repositories of this machine, tokens of its settings.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};
use swoosh::types::names::{IngestionState, Transition};

use super::{INGESTION, Yard, state_where};
use crate::support::daemon::{Daemon, Site, always_open};
use crate::support::driver::Project;
use crate::support::git_server::{GitRepository, GitServer, Mood};
use crate::support::inputs;
use crate::support::tls_front;
use crate::support::world::Ask;

fn document(site: &Site, url: &str) -> Value {
    let mut document = inputs::document(&site.hands);
    document["sources"] = json!({"app": {"url": url, "ref": "v1.0"}});
    document["upstreams"] = json!({});
    json!({"document": document})
}

#[track_caller]
fn refused(site: &Site, daemon: &Daemon, url: &str) -> String {
    let ask = Ask::new(Transition::BootConfigOk).with(document(site, url));
    let answer = Project::new(site, "q").propose(daemon, &ask);
    assert_eq!(answer.status, 400, "{url}: {}", answer.text());
    answer.text()
}

/// `file://` was a default transport, and led into the workspaces of other projects.
#[test]
fn files_are_no_transport_unless_the_settings_list_their_folders() {
    let site = Site::new();
    let daemon = site.start();
    assert!(refused(&site, &daemon, "file:///srv/git/app").contains("the transport file is not allowed"));
    daemon.terminate();
    site.change_settings(|settings| settings["sources"]["transports"] = json!(["file", "https"]));
    let (_, said) = site.start_refused();
    assert!(said.contains("sources.file_prefixes"), "{said}");
}

#[test]
fn a_project_reads_no_folder_but_those_listed_and_never_the_nodes_own() {
    let yard = Yard::new(&INGESTION, |_| {});
    let daemon = yard.site.start();
    let served = yard.site.file("served").display().to_string();
    for path in ["/../data/workspaces/p", "/%2e%2e/data", "-evil/app.git", "/./app.git", "//app.git", "/%61pp.git"] {
        let said = refused(&yard.site, &daemon, &format!("file://{served}{path}"));
        assert!(said.contains("lies below none of sources.file_prefixes"), "{path}: {said}");
    }
    // The workspace of another project, and whatever leads there from a listed folder.
    yard.begin(&daemon, yard.document("v1.0"));
    state_where(&daemon, |state| state.ingestion.phase == IngestionState::Ready);
    let victim = yard.workspace().join("sources/app");
    assert!(victim.join(".git").is_dir());
    let at = |name: &str| yard.site.file("served").join(name);
    symlink(&victim, at("link")).unwrap();
    fs::create_dir(at("gitfile")).unwrap();
    fs::write(at("gitfile/.git"), format!("gitdir: {}\n", victim.join(".git").display())).unwrap();
    let bare = |name: &str| {
        let repository = GitRepository::make(at(name));
        repository.git(&["commit", "-q", "--allow-empty", "-m", "x"]);
        repository.git(&["tag", "v1.0"]);
        repository.folder.join(".git/objects")
    };
    fs::write(bare("borrows").join("info/alternates"), format!("{}\n", victim.join(".git/objects").display())).unwrap();
    let objects = bare("moved");
    fs::rename(&objects, yard.site.data().join("objects")).unwrap();
    symlink(yard.site.data().join("objects"), &objects).unwrap();
    symlink(yard.site.file(""), at("up")).unwrap();
    let outside = GitRepository::make(yard.site.file("elsewhere"));
    outside.commit("a", b"a");
    outside.git(&["tag", "v1.0"]);
    for (n, (name, said)) in [
        ("link", "the node's own data"),
        ("gitfile", "the node's own data"),
        ("borrows", "the node's own data"),
        ("moved", "the node's own data"),
        ("up/data/workspaces/p/sources/app", "the node's own data"),
        ("up/elsewhere", "below none of the folders of sources.file_prefixes"),
    ]
    .into_iter()
    .enumerate()
    {
        let project = format!("thief-{n}");
        let mut thief = Project::new(&yard.site, &project);
        let url = format!("file://{}", at(name).display());
        let config = Ask::new(Transition::BootConfigOk).with(document(&yard.site, &url));
        thief.propose(&daemon, &config).receipt();
        thief.accept(&daemon, Transition::BootLicensed);
        let mut detail = String::new();
        daemon.wait_for(&format!("/state?project={project}"), |answer| {
            detail = answer.json()["projection"]["ingestion"]["last_failure"]["detail"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            !detail.is_empty()
        });
        assert!(detail.contains(said), "{name}: {detail}");
        assert!(!yard.site.data().join("workspaces").join(&project).join("sources/app").exists(), "{name}");
    }
}

/// The node's token went to any host that a project named.
#[test]
fn a_token_of_the_settings_goes_to_its_prefix_alone_and_one_of_the_environment_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let repository = GitRepository::make(folder.path().join("team/app.git"));
    repository.commit("a.txt", b"one\n");
    repository.git(&["tag", "v1.0"]);
    let server = |_| {
        let server = GitServer::start(folder.path());
        server.be(Mood::AsksOnce);
        let plain: SocketAddr = server.url.strip_prefix("http://").unwrap().parse().unwrap();
        (server, tls_front::start(plain).port())
    };
    let [(ours, port), (evil, evil_port)] = [0, 1].map(server);
    let site = Site::with(always_open(), |settings| {
        settings["effects"] = json!({"attempts": 1, "retry_min_ms": 20, "retry_max_ms": 200});
        INGESTION.iter().for_each(|effect| settings["effects"][effect] = json!("builtin"));
        settings["secrets"] = json!({"file": "secrets.age", "identity": "identity.age"});
        settings["sources"]["credentials"] =
            json!([{"url_prefix": format!("https://localhost:{port}/team/"), "token": "secret:git-team"}]);
    });
    let run = |arguments: &[&str]| {
        let output = site.tool(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let file = |name: &str| site.file(name).display().to_string();
    run(&["secrets", "identity", "--out", &file("identity.age")]);
    let identity = fs::read_to_string(site.file("identity.age")).unwrap();
    let recipient = identity.split_whitespace().find(|word| word.starts_with("age1")).unwrap().to_owned();
    fs::write(site.file("plain.yaml"), "git-team: canary-token-1\n").unwrap();
    run(&["secrets", "encrypt", &file("plain.yaml"), "--recipient", &recipient, "--out", &file("secrets.age")]);
    let authority = format!("SSL_CERT_FILE={}", tls_front::authority().display());
    let daemon = site.start_by(&["env", &authority, "SWOOSH_GIT_TOKEN=legacy-token-1"]).unwrap();
    daemon.wait_for("/facts", |answer| answer.json()["network"]["open"] == true);
    let ended = |name: &str, url: String| {
        let mut project = Project::new(&site, name);
        let config = Ask::new(Transition::BootConfigOk).with(document(&site, &url));
        project.propose(&daemon, &config).receipt();
        project.accept(&daemon, Transition::BootLicensed);
        let mut state = Value::Null;
        daemon.wait_for(&format!("/state?project={name}"), |answer| {
            state = answer.json()["projection"]["ingestion"].clone();
            state["phase"] == "READY" || !state["last_failure"].is_null()
        });
        state
    };
    for (n, url) in [
        format!("https://localhost:{evil_port}/team/app.git"),
        format!("https://127.0.0.1:{evil_port}/team/app.git"),
        format!("https://localhost:{port}/team-evil/app.git"),
        format!("https://localhost:{port}/%74eam/app.git"),
        format!("https://localhost:{port}//team/app.git"),
        format!("https://localhost:{port}/other/%2e%2e/team/app.git"),
    ]
    .into_iter()
    .enumerate()
    {
        let state = ended(&format!("thief-{n}"), url.clone());
        assert!(!state["last_failure"].is_null(), "{url}: {state}");
    }
    assert_eq!(*evil.authorizations.lock().unwrap(), [""; 0]);
    assert_eq!(*ours.authorizations.lock().unwrap(), [""; 0]);
    let state = ended("ours", format!("https://localhost:{port}/team/app.git"));
    assert_eq!(state["phase"], "READY", "{state}");
    // base64 of git:canary-token-1
    let sent = ours.authorizations.lock().unwrap().clone();
    assert!(!sent.is_empty() && sent.iter().all(|header| header == "Basic Z2l0OmNhbmFyeS10b2tlbi0x"), "{sent:?}");
    let log = daemon.terminate().join("\n");
    assert!(log.contains("SWOOSH_GIT_TOKEN") && log.contains("sources.credentials"), "{log}");
    assert!(!log.contains("canary-token") && !log.contains("legacy-token"));
}
