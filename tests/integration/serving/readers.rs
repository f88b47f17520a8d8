//! Readers limited to projects, by the key that signs the read or by a name of the client certificate; and the client
//! certificates that are accepted.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use swoosh::client::{Client, ReadError, TlsFiles};
use swoosh::types::hlc::Hlc;
use swoosh::types::keys::SecretKey;
use swoosh::types::names::Region;
use swoosh::types::read::{HLC_HEADER, SIGNATURE_HEADER, SIGNER_HEADER, SignedRead};
use swoosh::types::rejection::Code;

use super::tls::{fixture, secured};
use super::wait_until;
use crate::dashboards::Sources;
use crate::support::daemon::{Daemon, Site, always_open, now_ms};
use crate::support::driver::Project;
use crate::support::http::{Answer, request};

/// An address of every kind, so that reads are closed.
const OPEN: &str = "0.0.0.0:0";
/// The project that the limited reader may read, and one that it may not.
const OWN: &str = "own-one";
const OTHER: &str = "hidden-one";

fn limited() -> SecretKey {
    SecretKey::from_bytes(&[70; 32])
}

pub(crate) fn full() -> SecretKey {
    SecretKey::from_bytes(&[71; 32])
}

/// Two readers, one of them limited, and two projects.
fn begun(change: impl FnOnce(&mut Value)) -> Site {
    let site = Site::with(always_open(), |settings| {
        settings["identities"][limited().public().to_string()] = json!({"name": "shop", "roles": ["reader"]});
        settings["identities"][full().public().to_string()] = json!({"name": "all", "roles": ["reader"]});
        settings["readers"]["identities"][limited().public().to_string()] = json!([OWN]);
        change(settings);
    });
    let node = site.start();
    for name in [OWN, OTHER] {
        Project::new(&site, name).drive(&node, Region::Ingestion, "FETCH");
    }
    node.terminate();
    site
}

fn signed_head(site: &Site, key: &SecretKey, target: &str) -> Vec<String> {
    let hlc = Hlc::new(now_ms(), 0).unwrap();
    let read = SignedRead { hlc, signer: key.public(), target: target.to_owned() };
    let signature = read.sign(&site.cluster, key);
    vec![
        format!("{SIGNER_HEADER}: {}", read.signer),
        format!("{HLC_HEADER}: {hlc}"),
        format!("{SIGNATURE_HEADER}: {signature}"),
    ]
}

/// A read that a key signs.
pub(crate) fn read(site: &Site, daemon: &Daemon, key: &SecretKey, target: &str) -> Answer {
    let head = signed_head(site, key, target);
    daemon.send(&request("GET", target, &head.iter().map(String::as_str).collect::<Vec<_>>(), b""))
}

/// Paths that are read, as the daemon's own description lists them, with a decision of a project in place of its placeholder.
fn described(site: &Site, daemon: &Daemon, project: &str) -> BTreeSet<String> {
    let document = read(site, daemon, &limited(), "/openapi.json").json();
    let paths = document["paths"].as_object().unwrap().iter().filter(|(_, path)| path.get("get").is_some());
    let mut paths: BTreeSet<String> = paths.map(|(path, _)| path.replace("{id}", &format!("{project}/1"))).collect();
    paths.extend(["/", "/docs", "/docs/rejections", "/docs/facts", "/openapi.json"].map(str::to_owned));
    assert!(paths.len() > 18, "{paths:?}");
    paths
}

/// The test of the promise goes through every route that the daemon describes: one that is added later is tried as well.
#[test]
fn a_limited_reader_hears_of_its_projects_alone_on_every_route() {
    let site = begun(|_| {});
    let daemon = site.start_on(OPEN);
    for path in described(&site, &daemon, OTHER) {
        for query in ["", "?project=hidden-one", "?project=hidden%2Done", "?project=own-one&project=hidden-one"] {
            let target = format!("{path}{query}");
            let answer = read(&site, &daemon, &limited(), &target);
            match answer.status {
                200 => assert!(!answer.text().contains(OTHER), "{target}: {}", answer.text()),
                400 => assert_eq!(answer.code(), "bad_query", "{target}"),
                status => assert_eq!((status, answer.code().as_str()), (403, "reads_closed"), "{target}"),
            }
        }
    }
    let opens = |target: &str| {
        let answer = read(&site, &daemon, &limited(), target);
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        assert!(!answer.text().contains(OTHER), "{target}: {}", answer.text());
        answer.text()
    };
    for target in [
        "/projects",
        "/state?project=own-one",
        "/wal?project=own-one&from=1&limit=1000",
        "/decisions/own-one/1",
        "/transitions?project=own-one",
        "/effects?project=own-one",
        "/windows?project=own-one",
    ] {
        assert!(opens(target).contains(OWN), "{target}");
    }
    for target in ["/facts?project=own-one", "/rejections?project=own-one", "/health", "/metrics", "/docs", "/"] {
        opens(target);
    }
    let sees = read(&site, &daemon, &full(), "/projects").text();
    assert!(sees.contains(OWN) && sees.contains(OTHER), "{sees}");
    assert!(read(&site, &daemon, &full(), "/wal/feed?from=1").text().contains(OTHER));
    assert_eq!(daemon.get("/projects").code(), "reads_closed");
}

/// A limit that changes while the node runs applies to the next read. The follower has the same settings and the same
/// rule.
#[test]
fn limits_of_readers_are_read_again_without_a_restart_on_a_node_and_on_its_follower() {
    let feeder = SecretKey::from_bytes(&[72; 32]);
    let site = begun(|settings| {
        settings["identities"][feeder.public().to_string()] = json!({"name": "feeder", "roles": ["reader"]});
    });
    let node = site.start_on(OPEN);
    let key = site.file("feeder.key");
    swoosh::platform::keyfile::store(&key, &feeder).unwrap();
    let config = site.config();
    let more = ["--read-as", key.to_str().unwrap(), "--cluster", "test", "--config", config.to_str().unwrap()];
    let url = format!("http://{}", node.address);
    let follower = site.follow_on(&url, &site.file("follower"), &more, OPEN);
    let may = |daemon: &Daemon, key: &SecretKey, project: &str| {
        read(&site, daemon, key, &format!("/state?project={project}")).status == 200
    };
    wait_until("the follower's catching up", || may(&follower, &full(), OTHER) && may(&follower, &limited(), OWN));
    for daemon in [&node, &follower] {
        assert!(may(daemon, &limited(), OWN) && !may(daemon, &limited(), OTHER));
    }
    site.change_settings(|settings| {
        settings["readers"]["identities"] = json!({});
        settings["readers"]["identities"][full().public().to_string()] = json!([OTHER]);
        settings["identities"].as_object_mut().unwrap().remove(&limited().public().to_string());
    });
    for daemon in [&node, &follower] {
        daemon.signal("HUP");
        wait_until("the new limits", || !may(daemon, &full(), OWN));
        assert!(may(daemon, &full(), OTHER));
        wait_until("the revocation", || !may(daemon, &limited(), OWN));
    }
}

/// Series of repositories name projects and commits, and `/metrics` is open to strangers.
#[test]
fn metrics_name_repositories_to_readers_of_their_project_alone() {
    let sources = Sources::new();
    std::fs::rename(sources.project(), sources.workspaces().join(OTHER)).unwrap();
    let site = begun(|settings| settings["effects"]["workspace"] = json!(sources.workspaces()));
    let daemon = site.start_on(OPEN);
    let named = format!("source=\"{OTHER}/app\"");
    wait_until("the repository is measured", || read(&site, &daemon, &full(), "/metrics").text().contains(&named));
    for text in [read(&site, &daemon, &limited(), "/metrics").text(), daemon.get("/metrics").text()] {
        assert!(text.contains("swoosh_sources{condition=") && !text.contains("swoosh_source_"), "{text}");
    }
    site.change_settings(|settings| {
        settings["readers"]["identities"][limited().public().to_string()] = json!([OTHER]);
    });
    daemon.signal("HUP");
    wait_until("the new limit", || read(&site, &daemon, &limited(), "/metrics").text().contains(&named));
}

fn trusting(certificate: Option<&str>) -> TlsFiles {
    TlsFiles { ca: Some(fixture("ca.pem")), certificate: certificate.map(fixture), key: None }
}

fn client(daemon: &Daemon, certificate: Option<&str>) -> Client {
    let url = format!("https://{}", daemon.address);
    Client::builder(&url).tls(trusting(certificate)).build().unwrap()
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn code<T>(answered: Result<T, ReadError>) -> Option<Code> {
    answered.err().map(|error| error.problem().unwrap_or_else(|| panic!("{error}")).code)
}

/// An authority issues certificates to more programs than those that may ask this node.
#[test]
fn client_certificates_without_an_allowed_name_are_refused_and_named_in_the_log() {
    for required in [false, true] {
        let site = secured(json!({
            "require_client_certificate": required, "client_names": ["spiffe://example/billing", "other.example"],
        }));
        let daemon = site.start_on(OPEN);
        let (allowed, refused) = (client(&daemon, Some("named.pem")), client(&daemon, Some("reader.pem")));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert!(runtime.block_on(allowed.projects()).unwrap().is_empty());
        assert_eq!(code(runtime.block_on(refused.projects())), Some(Code::CertificateRefused));
        assert_eq!(code(runtime.block_on(refused.health())), Some(Code::CertificateRefused), "open routes as well");
        wait_until("the log names the certificate", || {
            let names =
                "the client certificate (reader, localhost, 127.0.0.1) has none of the names in tls.client_names";
            daemon.log().iter().any(|line| line.contains(names))
        });
        // Without a certificate all is as before.
        assert_eq!(run(client(&daemon, None).health()).is_ok(), !required);
        // A name that is taken out loses connections that are open too.
        site.change_settings(|settings| settings["tls"]["client_names"] = json!(["reader"]));
        daemon.signal("HUP");
        wait_until("the new names", || {
            runtime.block_on(refused.projects()).is_ok()
                && code(runtime.block_on(allowed.projects())) == Some(Code::CertificateRefused)
        });
    }
}

#[test]
fn a_client_certificate_may_be_limited_to_projects() {
    let site = secured(json!({}));
    let limits = json!({"certificates": {"billing.example": [OWN]}});
    site.change_settings(|settings| settings["readers"] = limits);
    let node = site.start();
    for name in [OWN, OTHER] {
        let url = format!("https://{}", node.address);
        begin(&site, &url, name);
    }
    node.terminate();
    let daemon = site.start_on(OPEN);
    run(async {
        let limited = client(&daemon, Some("named.pem"));
        let names: Vec<String> =
            limited.projects().await.unwrap().iter().map(|view| view.project.to_string()).collect();
        assert_eq!(names, [OWN]);
        assert!(limited.state(&OWN.parse().unwrap(), None).await.is_ok());
        assert_eq!(code(limited.state(&OTHER.parse().unwrap(), None).await), Some(Code::ReadsClosed));
        assert_eq!(code(limited.feed(1, 1, 0).await), Some(Code::ReadsClosed));
        let unlimited = client(&daemon, Some("reader.pem"));
        assert_eq!(unlimited.projects().await.unwrap().len(), 2);
        assert!(unlimited.state(&OTHER.parse().unwrap(), None).await.is_ok());
    });
}

/// Begins a project over TLS.
fn begin(site: &Site, url: &str, project: &str) {
    let key = site.file("operator.key");
    if !key.exists() {
        swoosh::platform::keyfile::store(&key, &site.hands.get("operator").secret).unwrap();
    }
    let inputs = Project::new(site, project).valid(swoosh::types::names::Transition::BootConfigOk).to_string();
    let (ca, key) = (fixture("ca.pem"), key.to_str().unwrap().to_owned());
    let done = site.tool(&[
        "propose",
        "Boot_ConfigOk",
        "--project",
        project,
        "--node",
        url,
        "--ca",
        ca.to_str().unwrap(),
        "--key",
        &key,
        "--inputs",
        &inputs,
        "--cluster",
        "test",
    ]);
    assert!(done.status.success(), "{done:?}");
}
