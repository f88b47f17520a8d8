//! Open event streams and polls of the feed whose readers lose the right to read.

use serde_json::json;
use swoosh::client::{Client, EventStream, TlsFiles};
use swoosh::types::keys::SecretKey;
use swoosh::types::names::Transition;
use swoosh::types::rejection::Code;

use super::readers::full;
use super::tls::{fixture, secured};
use super::wait_until;
use crate::support::daemon::{Daemon, Site, always_open};
use crate::support::driver::Project;

/// An address of every kind, so that reads are closed.
const OPEN: &str = "0.0.0.0:0";
const PROJECT: &str = "watched";

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn limited() -> SecretKey {
    SecretKey::from_bytes(&[73; 32])
}

fn client(site: &Site, daemon: &Daemon, key: &SecretKey) -> Client {
    let cluster = site.cluster.clone();
    Client::builder(&format!("http://{}", daemon.address)).reading_as(cluster, key.clone()).build().unwrap()
}

/// A stream of transitions that has begun.
async fn listen(client: &Client, project: Option<&str>) -> EventStream {
    let project = project.map(|name| name.parse().unwrap());
    let mut stream = client.events(project.as_ref(), "transition", None).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().kind, "listening");
    stream
}

/// The events of a stream until the node ends it.
async fn rest(stream: &mut EventStream) -> Vec<(String, String)> {
    let mut heard = Vec::new();
    while let Some(event) = stream.next().await.unwrap() {
        heard.push((event.kind, event.data["code"].as_str().unwrap_or_default().to_owned()));
    }
    heard
}

fn refused(code: &str) -> Vec<(String, String)> {
    vec![("problem".to_owned(), code.to_owned())]
}

/// A stream was judged once, when it began: a reader that was taken out of the settings heard each later transition.
#[test]
fn an_open_stream_and_a_poll_end_when_their_reader_loses_its_rights() {
    let site = Site::with(always_open(), |settings| {
        for (key, name) in [(full(), "all"), (limited(), "some")] {
            settings["identities"][key.public().to_string()] = json!({"name": name, "roles": ["reader"]});
        }
        settings["readers"]["identities"][limited().public().to_string()] = json!([PROJECT]);
    });
    let daemon = site.start_on(OPEN);
    let mut project = Project::new(&site, PROJECT);
    let (all, some) = (client(&site, &daemon, &full()), client(&site, &daemon, &limited()));
    runtime().block_on(async {
        let (mut revoked, mut moved) = (listen(&all, None).await, listen(&some, Some(PROJECT)).await);
        site.change_settings(|settings| {
            settings["identities"].as_object_mut().unwrap().remove(&full().public().to_string());
            settings["readers"]["identities"][limited().public().to_string()] = json!(["another"]);
        });
        let polling = tokio::spawn({
            let all = all.clone();
            async move { all.feed(1, 1, 10_000).await }
        });
        wait_until("the poll waits", || daemon.get("/metrics").text().contains("swoosh_listeners 3"));
        daemon.signal("HUP");
        assert_eq!(rest(&mut revoked).await, refused("reads_closed"));
        assert_eq!(rest(&mut moved).await, refused("reads_closed"));
        project.accept(&daemon, Transition::BootConfigOk);
        let polled = polling.await.unwrap();
        assert_eq!(polled.unwrap_err().problem().unwrap().code, Code::ReadsClosed);
    });
}

/// The same for a client certificate: its name was checked again for each request, and a stream is one request.
#[test]
fn an_open_stream_ends_when_the_name_of_its_certificate_is_taken_out() {
    let site = secured(json!({"client_names": ["billing.example"]}));
    let daemon = site.start_on(OPEN);
    let files = TlsFiles { ca: Some(fixture("ca.pem")), certificate: Some(fixture("named.pem")), key: None };
    let client = Client::builder(&format!("https://{}", daemon.address)).tls(files).build().unwrap();
    runtime().block_on(async {
        let mut limited = listen(&client, None).await;
        site.change_settings(|settings| settings["readers"] = json!({"certificates": {"billing.example": [PROJECT]}}));
        daemon.signal("HUP");
        assert_eq!(rest(&mut limited).await, refused("reads_closed"));
        let mut taken_out = listen(&client, Some(PROJECT)).await;
        site.change_settings(|settings| settings["tls"]["client_names"] = json!(["other.example"]));
        daemon.signal("HUP");
        assert_eq!(rest(&mut taken_out).await, refused("certificate_refused"));
    });
}
