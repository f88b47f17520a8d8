//! TLS and mutual TLS, with certificates that OpenSSL made.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use swoosh::client::{Client, Identity, LinkError, ReadError, TlsFiles};
use swoosh::types::keys::SecretKey;
use swoosh::types::rejection::Code;

use super::{from, wait_until};
use crate::support::daemon::{Daemon, Site, always_open};

/// An address of every kind, so that reads are closed.
const OPEN: &str = "0.0.0.0:0";

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/serving/tls").join(name)
}

/// Puts a fixture beside the settings, for its owner alone.
pub(crate) fn put(site: &Site, from: &str, name: &str) {
    let to = site.file(name);
    std::fs::write(&to, std::fs::read(fixture(from)).unwrap()).unwrap();
    std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn reader() -> SecretKey {
    SecretKey::from_bytes(&[77; 32])
}

/// A site with a certificate, whose authority's client certificates are believed, and one reader.
pub(crate) fn secured(more: Value) -> Site {
    let site = Site::with(always_open(), |settings| {
        settings["tls"] = json!({"certificate": "node.pem", "key": "node.key", "client_ca": "ca.pem"});
        for (key, value) in more.as_object().unwrap() {
            settings["tls"][key] = value.clone();
        }
        settings["identities"][reader().public().to_string()] = json!({"name": "rea", "roles": ["reader"]});
    });
    for name in ["node.pem", "node.key", "ca.pem"] {
        put(&site, name, name);
    }
    site
}

fn trusting(authority: &str, certificate: Option<&str>) -> TlsFiles {
    TlsFiles { ca: Some(fixture(authority)), certificate: certificate.map(fixture), key: None }
}

fn url(daemon: &Daemon) -> String {
    format!("https://{}", daemon.address)
}

fn client(daemon: &Daemon, tls: TlsFiles) -> Client {
    Client::builder(&url(daemon)).tls(tls).build().unwrap()
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn code(read: Result<impl Sized, ReadError>) -> Option<Code> {
    read.err().map(|error| error.problem().unwrap_or_else(|| panic!("{error}")).code)
}

#[test]
fn a_client_certificate_or_the_signature_of_a_reader_opens_the_reads() {
    let site = secured(json!({}));
    let daemon = site.start_on(OPEN);
    run(async {
        let anybody = client(&daemon, trusting("ca.pem", None));
        assert!(anybody.health().await.is_ok());
        assert_eq!(code(anybody.projects().await), Some(Code::ReadsClosed));
        let certified = client(&daemon, trusting("ca.pem", Some("reader.pem")));
        assert_eq!(certified.projects().await.unwrap(), []);
        let signing = |key: SecretKey| {
            let builder = Client::builder(&url(&daemon)).tls(trusting("ca.pem", None));
            builder.reading_as(site.cluster.clone(), Identity::from(key)).build().unwrap()
        };
        assert_eq!(signing(reader()).projects().await.unwrap(), []);
        assert_eq!(signing(reader()).rejections(5).await.unwrap(), [] as [Value; 0]);
        let operator = signing(site.hands.get("operator").secret.clone());
        assert_eq!(code(operator.projects().await), Some(Code::ReadsClosed));
    });
}

#[test]
fn a_certificate_of_an_authority_that_is_not_believed_opens_nothing() {
    let site = secured(json!({}));
    let daemon = site.start_on(OPEN);
    run(async {
        let stranger = client(&daemon, trusting("ca.pem", Some("stranger.pem")));
        assert!(matches!(stranger.projects().await, Err(ReadError::Link(_))));
        let doubting = client(&daemon, trusting("other-ca.pem", None));
        let error = doubting.health().await.unwrap_err();
        assert!(matches!(error, ReadError::Link(LinkError::Untrusted { .. })), "{error}");
    });
    wait_until("that is counted", || {
        let metrics = run(async { metrics(&daemon).await });
        let line = metrics.lines().find(|line| line.contains("reason=\"handshake\"")).unwrap().to_owned();
        !line.ends_with(" 0")
    });
}

async fn metrics(daemon: &Daemon) -> String {
    let ca = reqwest::Certificate::from_pem(&std::fs::read(fixture("ca.pem")).unwrap()).unwrap();
    let http = reqwest::Client::builder().tls_certs_only([ca]).build().unwrap();
    http.get(format!("{}/metrics", url(daemon))).send().await.unwrap().text().await.unwrap()
}

#[test]
fn certificates_can_be_required_of_every_client() {
    let site = secured(json!({"require_client_certificate": true}));
    let daemon = site.start_on(OPEN);
    run(async {
        assert!(client(&daemon, trusting("ca.pem", Some("reader.pem"))).health().await.is_ok());
        assert!(matches!(client(&daemon, trusting("ca.pem", None)).health().await, Err(ReadError::Link(_))));
    });
}

#[test]
fn http2_is_negotiated_and_clients_without_it_get_http1() {
    let site = secured(json!({}));
    let daemon = site.start();
    run(async {
        // The client's set-up chooses the provider.
        drop(client(&daemon, trusting("ca.pem", None)));
        let version = async |http1: bool| {
            let ca = reqwest::Certificate::from_pem(&std::fs::read(fixture("ca.pem")).unwrap()).unwrap();
            let builder = reqwest::Client::builder().tls_certs_only([ca]);
            let builder = if http1 { builder.http1_only() } else { builder };
            builder.build().unwrap().get(format!("{}/health", url(&daemon))).send().await.unwrap().version()
        };
        assert_eq!(version(false).await, reqwest::Version::HTTP_2);
        assert_eq!(version(true).await, reqwest::Version::HTTP_11);
    });
}

#[test]
fn a_handshake_that_stalls_is_cut_off_while_others_shake_hands() {
    let site = secured(json!({"handshake_timeout_ms": 200}));
    let daemon = site.start();
    let mut silent = daemon.connect();
    let mut halfway = from(super::address(2), &daemon);
    // The head of a record that never comes whole.
    halfway.send(&[22, 3, 1, 2, 0, 1]).unwrap();
    let mut plain = from(super::address(3), &daemon);
    plain.send(&super::health()).unwrap();
    run(async { assert!(client(&daemon, trusting("ca.pem", None)).health().await.is_ok()) });
    [&mut silent, &mut halfway, &mut plain].into_iter().for_each(crate::support::http::Wire::wait_for_end);
    run(async { assert!(client(&daemon, trusting("ca.pem", None)).health().await.is_ok()) });
}

/// Failed handshakes shut out all others behind their address.
#[test]
fn failed_handshakes_keep_no_other_caller_of_their_address_out() {
    let site = secured(json!({}));
    site.change_settings(|settings| settings["limits"] = json!({"failures": 8, "failures_forgiven_per_second": 1}));
    let daemon = site.start();
    for _ in 0..8 {
        let mut junk = daemon.connect();
        junk.send(&super::health()).unwrap();
        junk.wait_for_end();
    }
    run(async {
        let honest = client(&daemon, trusting("ca.pem", None));
        assert!(honest.health().await.is_ok());
        assert_eq!(honest.projects().await.unwrap(), []);
    });
}

#[test]
fn new_files_are_used_after_a_hang_up_and_bad_ones_are_not() {
    let site = secured(json!({}));
    let daemon = site.start();
    let believes = |authority: &str| run(async { client(&daemon, trusting(authority, None)).health().await.is_ok() });
    assert!(believes("ca.pem") && !believes("other-ca.pem"));
    let early = client(&daemon, trusting("ca.pem", None));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(runtime.block_on(early.health()).is_ok());
    put(&site, "moved.pem", "node.pem");
    daemon.signal("HUP");
    wait_until("a certificate without its key is reported", || {
        daemon.log().iter().any(|line| line.contains("node.key is not the key of the first certificate in"))
    });
    assert!(believes("ca.pem"), "the old one stays");
    put(&site, "moved.key", "node.key");
    daemon.signal("HUP");
    wait_until("the new certificate is shown", || believes("other-ca.pem"));
    assert!(!believes("ca.pem"));
    assert!(runtime.block_on(early.health()).is_ok(), "a connection that is open stays open");
}

#[test]
fn a_start_with_files_that_cannot_be_used_says_which_and_why() {
    let refused = |change: &dyn Fn(&Site)| {
        let site = secured(json!({}));
        change(&site);
        let (exit, said) = site.start_refused();
        assert_eq!(exit, Some(1), "{said}");
        assert!(!site.journal().exists(), "it is reported before anything is opened");
        said
    };
    let said = refused(&|site| std::fs::remove_file(site.file("node.pem")).unwrap());
    assert!(said.contains("tls.certificate: cannot read") && said.contains("node.pem"), "{said}");
    let said = refused(&|site| put(site, "moved.key", "node.key"));
    assert!(said.contains("node.key is not the key of the first certificate in"), "{said}");
    let said = refused(&|site| put(site, "expired.pem", "node.pem"));
    assert!(said.contains("valid from 2020-01-01T00:00:00.000+00:00 until 2021-01-01T00:00:00.000+00:00"), "{said}");
    let said = refused(&|site| put(site, "node.pem", "node.key"));
    assert!(said.contains("tls.key:") && said.contains("holds no private key in PEM"), "{said}");
    let said = refused(&|site| std::fs::write(site.file("ca.pem"), "").unwrap());
    assert!(said.contains("tls.client_ca:") && said.contains("holds no certificate in PEM"), "{said}");
    let open = std::fs::Permissions::from_mode(0o644);
    let said = refused(&|site| std::fs::set_permissions(site.file("node.key"), open.clone()).unwrap());
    assert!(said.contains("all users may read") && said.contains("mode 0644"), "{said}");
}
