//! `swoosh effects --watch`: fed by events, over a lost connection too, and where there are none to be had.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::json;
use swoosh::types::names::Transition;

use super::super::support::daemon::Daemon;
use super::super::support::driver::Project;
use super::super::support::world::Ask;
use super::{Yard, insist};

const PATIENCE: Duration = Duration::from_secs(120);

/// A command that watches, and every line it says, on whichever channel.
struct Watching {
    child: Child,
    said: Receiver<String>,
    /// Lines that were not waited for yet: the two channels are read side by side.
    heard: RefCell<Vec<String>>,
}

impl Watching {
    fn begin(daemon: &Daemon) -> Watching {
        Watching::with(daemon, &["--project", "p"])
    }

    fn with(daemon: &Daemon, more: &[&str]) -> Watching {
        let node = format!("http://{}", daemon.address);
        let mut command = crate::support::program();
        command.args(["effects", "--watch", "--node", &node]).args(more);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (say, said) = channel();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let also = say.clone();
        std::thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| say.send(line))
        });
        std::thread::spawn(move || {
            BufReader::new(err).lines().map_while(Result::ok).try_for_each(|line| also.send(line))
        });
        Watching { child, said, heard: RefCell::default() }
    }

    /// Waits for a line with this in it.
    #[track_caller]
    fn until(&self, part: &str) -> String {
        let mut heard = self.heard.borrow_mut();
        if let Some(at) = heard.iter().position(|line| line.contains(part)) {
            return heard.remove(at);
        }
        loop {
            let line = self.said.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("never {part:?} in {heard:#?}"));
            if line.contains(part) {
                return line;
            }
            heard.push(line);
        }
    }

    fn end(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

/// A node whose own effect is asked for again and again, because the capacity is never there.
fn yard() -> Yard {
    Yard::new(&["allocate"], |settings| {
        settings["limits"] = json!({"connections_per_peer": 1_000, "requests_per_peer": 1_000, "requests": 1_000});
    })
}

fn begin<'a>(yard: &'a Yard, daemon: &Daemon) -> Project<'a> {
    let mut document = yard.document("v1.0");
    document["allocation"] = json!({"vcpu": 1_000_000_000});
    yard.begin(daemon, document)
}

#[test]
fn a_watch_goes_on_over_a_restart_of_the_node_from_the_last_record_it_heard_of() {
    let yard = yard();
    let daemon = yard.site.start();
    let mut project = begin(&yard, &daemon);
    let watching = Watching::begin(&daemon);
    watching.until("/allocate");
    insist(&mut project, &daemon, &Ask::new(Transition::ControlPause));
    watching.until("the project is paused");
    let address = daemon.address.to_string();
    daemon.terminate();
    let printed = watching.until("broke off");
    assert!(printed.contains("listening again from record "), "{printed}");
    let daemon = yard.site.start_on(&address);
    // That closes what is open.
    insist(&mut project, &daemon, &Ask::new(Transition::ControlTerminate));
    watching.until(" cancelled");
    assert_eq!(watching.end(), Some(0));
}

#[test]
fn a_watch_asks_again_and_again_where_the_node_has_no_room_for_listeners_and_says_so() {
    let yard = yard();
    let daemon = yard.site.start();
    let mut project = begin(&yard, &daemon);
    insist(&mut project, &daemon, &Ask::new(Transition::ControlPause));
    let listeners: Vec<_> = (0..128).map(|_| listen(&daemon)).collect();
    let watching = Watching::begin(&daemon);
    // One address has half of the places.
    let printed = watching.until("gives no events");
    assert!(printed.contains("asking it every 300 ms"), "{printed}");
    watching.until("the project is paused");
    insist(&mut project, &daemon, &Ask::new(Transition::ControlTerminate));
    assert_eq!(watching.end(), Some(0));
    drop(listeners);
}

/// Opens an event stream and keeps it open; returns after the node has answered.
fn listen(daemon: &Daemon) -> TcpStream {
    let mut stream = TcpStream::connect(daemon.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut first = String::new();
    BufReader::new(&stream).read_line(&mut first).unwrap();
    assert!(first.contains("200"), "{first}");
    stream
}

/// The watch ended with 0 when all attempts had failed, and said `closed` of done and of failed work.
#[test]
fn a_watch_of_work_that_fails_says_so_counts_its_attempts_and_ends_with_1() {
    let yard = Yard::new(&["resolve"], |settings| settings["effects"]["attempts"] = serde_json::json!(1));
    let daemon = yard.site.start();
    let project = yard.begin(&daemon, yard.document("v9.9"));
    let watching = Watching::begin(&daemon);
    let printed = watching.until("failed: p: resolve: ");
    assert!(printed.contains("v9.9"), "{printed}");
    assert_eq!(watching.end(), Some(1));
    // Nothing is open any more: a watch that begins now says why.
    let watching = Watching::begin(&daemon);
    watching.until("failed: p: the last work of ingestion failed");
    assert_eq!(watching.end(), Some(1));
    drop(project);
}

/// The list showed attempt 1, or none, of what the watch called attempt 4 and the record attempt 1; a waiting effect had no reason. With
/// `--json` each change was a document of many lines.
#[test]
fn attempts_are_counted_in_one_way_and_each_change_is_a_line_of_json() {
    let yard = Yard::new(&["resolve"], |settings| settings["effects"]["attempts"] = json!(1));
    let daemon = yard.site.start();
    let mut document = yard.document("v9.9");
    document["limits"] = json!({"retries": 100});
    let mut project = yard.begin(&daemon, document);
    let watching = Watching::with(&daemon, &["--project", "p", "--json"]);
    let failed = || serde_json::from_str::<serde_json::Value>(&watching.until("\"phase\":\"failed\"")).unwrap();
    let failed: Vec<_> = (0..3).map(|_| failed()).collect();
    let attempts: Vec<u64> = failed.iter().map(|line| line["attempt"].as_u64().unwrap()).collect();
    assert!(attempts.is_sorted_by(|before, after| before < after), "{failed:#?}");
    // A watch that is late prints the newest reason on record, so it may count further than the line's own attempt.
    let says = |line: &serde_json::Value| {
        let reason = line["reason"].as_str().unwrap();
        let recorded =
            reason.rsplit_once("(attempt ").and_then(|(_, rest)| rest.strip_suffix(')')?.parse::<u64>().ok());
        recorded >= line["attempt"].as_u64()
    };
    assert!(failed.iter().all(says), "{failed:#?}");
    daemon.wait_for("/effects?project=p", |answer| {
        let effects = answer.json()["effects"].as_array().unwrap().clone();
        effects.iter().filter(|open| open["effect"] == "resolve").any(|open| {
            let has_reason = open["reason"].as_str().is_some_and(|why| why.contains("v9.9"));
            has_reason && open["attempt"].as_u64() >= attempts.last().copied()
        })
    });
    insist(&mut project, &daemon, &Ask::new(Transition::ControlTerminate));
    watching.until("\"phase\":\"cancelled\"");
    // The work failed, and was cancelled.
    watching.end();
}

/// It printed nothing, as if it had not looked.
#[test]
fn a_watch_with_nothing_open_says_so() {
    let yard = Yard::new(&["resolve"], |_| {});
    let daemon = yard.site.start();
    let watching = Watching::with(&daemon, &[]);
    watching.until("nothing is open");
    assert_eq!(watching.end(), Some(0));
    let watching = Watching::with(&daemon, &["--json"]);
    let note: serde_json::Value = serde_json::from_str(&watching.until("\"open\"")).unwrap();
    assert_eq!(note, json!({"open": 0, "builtin": 0}));
    assert_eq!(watching.end(), Some(0));
}

#[test]
fn a_watch_of_work_that_succeeds_ends_with_done() {
    let yard = Yard::new(&super::INGESTION, |_| {});
    let daemon = yard.site.start();
    let mut project = yard.begin(&daemon, yard.document("v1.0"));
    // Paused, so that the watch begins before the work ends.
    insist(&mut project, &daemon, &Ask::new(Transition::ControlPause));
    let watching = Watching::begin(&daemon);
    insist(&mut project, &daemon, &Ask::new(Transition::ControlResume));
    assert_eq!(watching.end(), Some(0));
}
