//! The server in bad company: callers who dribble, hoard, flood, take back and stall, and a stop in the
//! middle of it. Limits are set small, so that a handful of connections does what thousands would.

mod connections;
mod drain;
mod floods;
mod hosts;
mod http2;
mod listeners;
pub(crate) mod observe;
pub(crate) mod readers;
mod slow;
mod starving;
pub(crate) mod tls;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::daemon::{Daemon, Site, always_open};
use crate::support::http::{Answer, Wire, request};

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(60);

/// A site with these settings in a section.
fn site(section: &str, settings: Value) -> Site {
    Site::with(always_open(), |document| document[section] = settings)
}

/// An address of this machine that counts as a peer of its own.
fn address(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, n)
}

/// A connection from an address of one's own choice.
fn try_from(peer: Ipv4Addr, node: SocketAddr) -> io::Result<Wire> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind((peer, 0).into())?;
        socket.connect(node).await?.into_std()
    })?;
    stream.set_nonblocking(false)?;
    Wire::over(stream)
}

#[track_caller]
fn from(peer: Ipv4Addr, daemon: &Daemon) -> Wire {
    try_from(peer, daemon.address).unwrap()
}

/// Every path that is read, as the daemon describes itself, and the pages that it does not describe.
fn read_paths(daemon: &Daemon) -> Vec<String> {
    let document = daemon.get("/openapi.json").json();
    let paths = document["paths"].as_object().unwrap().iter().filter(|(_, path)| path.get("get").is_some());
    let mut paths: Vec<String> = paths.map(|(path, _)| path.replace("{id}", "default/1")).collect();
    paths.extend(["/", "/docs", "/docs/rejections", "/openapi.json"].map(str::to_owned));
    assert!(paths.len() > 18, "{paths:?}");
    paths
}

fn health() -> Vec<u8> {
    request("GET", "/health", &[], b"")
}

/// The beginning of a proposal whose body is held back: the node waits for it.
fn begun() -> Vec<u8> {
    let headers = ["content-type: application/json", "content-length: 9", "expect: 100-continue"];
    request("POST", "/transition", &headers, b"")
}

/// Begins a proposal and waits until the node is at it.
#[track_caller]
fn busy(mut wire: Wire) -> Wire {
    wire.send(&begun()).unwrap();
    assert_eq!(wire.answer().unwrap().status, 100);
    wire
}

#[track_caller]
fn is_served(wire: &mut Wire) -> bool {
    wire.exchange(&health()).unwrap().status == 200
}

#[track_caller]
fn metric(daemon: &Daemon, series: &str) -> u64 {
    let text = daemon.get("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(series)).expect(series);
    line.trim().parse().unwrap()
}

fn turned_away(daemon: &Daemon, why: &str) -> u64 {
    metric(daemon, &format!("swoosh_connections_turned_away_total{{reason=\"{why}\"}}"))
}

#[track_caller]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what} did not come true");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A refusal is a problem document that says how long to wait.
#[track_caller]
fn assert_turned_away(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert!(answer.header("retry-after").is_some_and(|wait| wait.parse::<u64>().unwrap() >= 1));
}
