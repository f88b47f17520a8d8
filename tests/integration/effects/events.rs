//! `GET /events`: what a listener hears, and what one that comes back missed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use swoosh::types::names::{IngestionState, Region, Transition};

use super::{INGESTION, Yard, state_where};
use crate::backup::{good, text};
use crate::support::daemon::{Daemon, Site};
use crate::support::driver::Project;
use crate::support::http::request;

/// An event: id, kind, data.
type Heard = (Option<String>, String, Value);

/// Listens until an event is as wanted, and gives all up to it.
#[track_caller]
fn listen(daemon: &Daemon, target: &str, header: &str, wanted: impl Fn(&Heard) -> bool) -> Vec<Heard> {
    let mut stream = TcpStream::connect(daemon.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nhost: localhost\r\n{header}\r\n").unwrap();
    let (mut heard, mut next): (Vec<Heard>, Heard) = (Vec::new(), (None, String::new(), Value::Null));
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        if let Some(text) = line.strip_prefix("id: ") {
            next.0 = Some(text.to_owned());
        } else if let Some(text) = line.strip_prefix("event: ") {
            next.1 = text.to_owned();
        } else if let Some(text) = line.strip_prefix("data: ") {
            next.2 = serde_json::from_str(text).unwrap();
        } else if line.is_empty() {
            let event = std::mem::take(&mut next);
            // The stream begins with an id alone.
            if event.1.is_empty() {
                continue;
            }
            heard.push(event);
            if wanted(heard.last().unwrap()) {
                return heard;
            }
        }
    }
    panic!("the stream ended after {heard:?}");
}

fn transitions(heard: &[Heard]) -> Vec<String> {
    let transitions = heard.iter().filter(|(_, kind, _)| kind == "transition");
    transitions.map(|(_, _, data)| data["transition"].as_str().unwrap().to_owned()).collect()
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
    let ids: Vec<_> = heard.iter().map(|(id, ..)| id.clone().unwrap()).collect();
    assert_eq!(ids, ["1-3", "1-4", "1-5", "1-6"]);
    let again = listen(&daemon, "/events?project=p&kinds=transition", "last-event-id: 1-4\r\n", last);
    assert_eq!(again.iter().map(|(id, ..)| id.as_deref().unwrap()).collect::<Vec<_>>(), ["1-5", "1-6"]);
    assert_eq!(daemon.send(&request("GET", "/events", &["last-event-id: 1-"], b"")).code(), "bad_query");
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

/// A site whose node was restored to a backup after more was recorded. Returns the daemon, its project, the last record
/// of the backup, and the last record before the restore.
fn restored<'a>(site: &'a Site, shelf: &Path) -> (Daemon, Project<'a>, u64, u64) {
    let daemon = site.start();
    let mut project = Project::new(site, "p");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let (backups, data) = (shelf.join("backups"), shelf.join("restored"));
    good(site.run(&["--json", "backup", "create", "--to", text(&backups)]));
    let kept = daemon.last_index();
    for _ in 0..4 {
        project.accept(&daemon, Transition::ControlPause);
        project.accept(&daemon, Transition::ControlResume);
    }
    let lost = daemon.last_index();
    daemon.terminate();
    let arguments = ["--json", "restore", "--from", text(&backups), "--to", text(&data), "--reason", "a test"];
    good(site.tool(&arguments));
    std::fs::copy(site.data().join("node.key"), data.join("node.key")).unwrap();
    let daemon = site.start_in(&data).unwrap();
    project.refresh(&daemon);
    (daemon, project, kept, lost)
}

/// The node answered 200, and nothing until the new log had passed the old one's index.
#[test]
fn a_listener_that_comes_back_after_a_restore_sees_the_gap_and_misses_nothing_new() {
    let shelf = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let site = Site::new();
    let (daemon, mut project, kept, lost) = restored(&site, shelf.path());
    let is_pause = |heard: &Heard| heard.2["transition"] == "Control_Pause";
    let (hears, heard) = std::sync::mpsc::channel();
    let header = format!("last-event-id: 1-{lost}\r\n");
    let live = std::thread::scope(|scope| {
        let listener = scope.spawn(|| {
            listen(&daemon, "/events?kinds=transition", &header, move |heard| {
                let _ = hears.send(());
                is_pause(heard)
            })
        });
        heard.recv().unwrap();
        project.accept(&daemon, Transition::ControlPause);
        listener.join().unwrap()
    });
    // The same where the listener comes back later, where it sends an index alone, and from the gap's own id.
    let again = listen(&daemon, "/events?kinds=transition", &header, is_pause);
    let plain = listen(&daemon, "/events?kinds=transition", &format!("last-event-id: {lost}\r\n"), is_pause);
    for heard in [&live, &again, &plain] {
        let (id, kind, data) = &heard[0];
        assert_eq!((id.as_deref(), kind.as_str()), (Some(format!("1-{kept}").as_str()), "gap"), "{heard:?}");
        assert_eq!((&data["incarnation"], &data["next_index"]), (&2.into(), &(kept + 1).into()));
        assert!(data["reason"].as_str().unwrap().contains("restored"), "{data}");
        let ids: Vec<_> = heard[1..].iter().map(|(id, ..)| id.as_deref().unwrap()).collect();
        assert_eq!(ids, [format!("2-{}", kept + 1)]);
    }
    let on = listen(&daemon, "/events?kinds=transition", &format!("last-event-id: 1-{kept}\r\n"), is_pause);
    assert_eq!((on.len(), on[0].1.as_str()), (1, "transition"), "what the log holds leaves no gap");
}

/// An empty id was refused, though browsers may send one that never heard of an event; and proxies held the stream back.
#[test]
fn a_stream_begins_at_once_passes_proxies_and_takes_an_empty_id_for_none() {
    let site = Site::new();
    let daemon = site.start();
    for header in ["", "last-event-id:\r\n", "last-event-id:  \r\n"] {
        let mut stream = TcpStream::connect(daemon.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        write!(stream, "GET /events?kinds=transition HTTP/1.1\r\nhost: localhost\r\n{header}\r\n").unwrap();
        let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
        assert_eq!(lines.next().as_deref(), Some("HTTP/1.1 200 OK"));
        let head: Vec<_> = lines.by_ref().take_while(|line| !line.is_empty()).map(|line| line.to_lowercase()).collect();
        assert!(head.contains(&"x-accel-buffering: no".to_owned()), "{head:?}");
        let first: Vec<_> = lines.by_ref().skip_while(|line| !line.starts_with(':')).take(2).collect();
        assert_eq!(first, [": listening", "id: 1-0"]);
    }
}

/// The stream gave the id of a record that did not exist, and was silent until the log had passed it.
#[test]
fn a_listener_that_asks_from_ahead_of_the_log_sees_the_gap_and_every_new_record() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let last = daemon.last_index();
    let ahead = |target: String, header: String| {
        let heard = listen(&daemon, &target, &header, |(_, kind, _)| kind == "gap");
        let (id, _, data) = &heard[0];
        assert_eq!((heard.len(), id.as_deref()), (1, Some(format!("1-{last}").as_str())), "{target} {header}");
        assert_eq!(data["next_index"], last + 1, "{data}");
    };
    ahead(format!("/events?kinds=transition&from={}", last + 2), String::new());
    ahead(format!("/events?kinds=transition&from={}", (1u64 << 53) - 1), String::new());
    ahead("/events?kinds=transition".to_owned(), format!("last-event-id: 1-{}\r\n", last + 6));
    let target = format!("/events?kinds=transition&from={}", last + 7);
    let (hears, heard) = std::sync::mpsc::channel();
    let ids = |heard: Vec<Heard>| heard.into_iter().map(|(id, kind, _)| (kind, id.unwrap())).collect::<Vec<_>>();
    let live = std::thread::scope(|scope| {
        let listener = scope.spawn(|| {
            listen(&daemon, &target, "", move |(_, kind, _)| {
                let _ = hears.send(());
                kind == "transition"
            })
        });
        heard.recv().unwrap();
        project.accept(&daemon, Transition::ControlPause);
        listener.join().unwrap()
    });
    let gap = ("gap".to_owned(), format!("1-{last}"));
    assert_eq!(ids(live), [gap, ("transition".to_owned(), format!("1-{}", last + 1))]);
    let next = listen(&daemon, &format!("/events?from={}", last + 1), "", |(_, kind, _)| kind == "transition");
    assert!(next.iter().all(|(_, kind, _)| kind != "gap"), "the next record is not ahead");
    let mut stream = TcpStream::connect(daemon.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    write!(stream, "GET /events HTTP/1.1\r\nhost: localhost\r\nlast-event-id: 1-1\r\nlast-event-id: 1-1\r\n\r\n")
        .unwrap();
    let first = BufReader::new(stream).lines().next().unwrap().unwrap();
    assert!(first.starts_with("HTTP/1.1 400"), "{first}");
}
