//! `GET /events`: what a listener hears, and what one that comes back missed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use swoosh::types::names::IngestionState;

use super::{INGESTION, Yard, state_where};
use crate::support::daemon::Daemon;

/// An event: id, kind, data.
type Heard = (Option<u64>, String, Value);

/// Listens until an event is as wanted, and gives all up to it.
#[track_caller]
fn listen(daemon: &Daemon, target: &str, header: &str, wanted: impl Fn(&Heard) -> bool) -> Vec<Heard> {
    let mut stream = TcpStream::connect(daemon.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nhost: n\r\n{header}\r\n").unwrap();
    let (mut heard, mut next): (Vec<Heard>, Heard) = (Vec::new(), (None, String::new(), Value::Null));
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        if let Some(text) = line.strip_prefix("id: ") {
            next.0 = text.parse().ok();
        } else if let Some(text) = line.strip_prefix("event: ") {
            next.1 = text.to_owned();
        } else if let Some(text) = line.strip_prefix("data: ") {
            next.2 = serde_json::from_str(text).unwrap();
        } else if line.is_empty() && !next.1.is_empty() {
            heard.push(std::mem::take(&mut next));
            if wanted(heard.last().unwrap()) {
                return heard;
            }
        }
    }
    panic!("the stream ended after {heard:?}");
}

fn transitions(heard: &[Heard]) -> Vec<String> {
    let told = heard.iter().filter(|(_, kind, _)| kind == "transition");
    told.map(|(_, _, data)| data["transition"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_listener_hears_transitions_effects_and_health_as_they_happen() {
    let yard = Yard::new(&INGESTION, |_| {});
    let daemon = yard.site.start();
    let (hears, heard) = std::sync::mpsc::channel();
    let heard = std::thread::scope(|scope| {
        let listener = scope.spawn(|| {
            listen(&daemon, "/events", "", move |(_, _, data)| {
                let _ = hears.send(());
                data["transition"] == "Ingestion_CorpusBuilt"
            })
        });
        heard.recv().unwrap();
        yard.begin(&daemon, yard.document("v1.0"));
        listener.join().unwrap()
    });
    assert_eq!((heard[0].1.as_str(), &heard[0].2["status"]), ("health", &Value::from("ok")));
    assert!(transitions(&heard).contains(&"Ingestion_BytesOk".to_owned()), "{heard:?}");
    let phases: Vec<_> =
        heard.iter().filter(|(_, _, data)| data["effect"] == "fetch").map(|heard| &heard.2["phase"]).collect();
    assert!(phases.contains(&&Value::from("running")), "{phases:?}");
}

#[test]
fn a_listener_that_comes_back_misses_no_transition() {
    let yard = Yard::new(&INGESTION, |_| {});
    let daemon = yard.site.start();
    yard.begin(&daemon, yard.document("v1.0"));
    state_where(&daemon, |state| state.ingestion.phase == IngestionState::Ready);
    let last = |heard: &Heard| heard.2["transition"] == "Ingestion_CorpusBuilt";
    let heard = listen(&daemon, "/events?project=p&kinds=transition", "last-event-id: 2\r\n", last);
    let ids: Vec<_> = heard.iter().map(|(id, ..)| id.unwrap()).collect();
    assert_eq!(ids, [3, 4, 5, 6]);
    assert_eq!(daemon.get("/events?kinds=rumours").code(), "bad_query");
    assert_eq!(daemon.get("/events?from=soon").code(), "bad_query");
}

#[test]
fn a_node_that_shuts_down_ends_the_streams_of_its_listeners() {
    let yard = Yard::new(&[], |_| {});
    let daemon = yard.site.start();
    let (hears, heard) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let listener = scope.spawn(|| {
            listen(&daemon, "/events", "", move |(_, _, data)| {
                let _ = hears.send(());
                data["status"] == "draining"
            })
        });
        heard.recv().unwrap();
        daemon.signal("TERM");
        assert!(!listener.join().unwrap().is_empty());
    });
}
