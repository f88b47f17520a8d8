//! The network gate against real sockets: who may connect, and what becomes of connections when it closes.

use std::time::Duration;

use serde_json::json;
use swoosh::platform::gate;
use swoosh::platform::outbound::{Http, HttpLimits, OutboundError};
use swoosh::types::names::Transition;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::daemon::{Site, always_open};
use crate::support::driver::Project;
use crate::support::sockets::{Counter, Mood, eventually, kaching};

async fn server() -> (TcpListener, reqwest::Url) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    (listener, url)
}

/// No connection waits in the listener's backlog.
fn no_connection(listener: &TcpListener) -> bool {
    use futures::FutureExt as _;
    listener.accept().now_or_never().is_none()
}

async fn read_request(stream: &mut TcpStream) {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") && stream.read_buf(&mut seen).await.is_ok_and(|n| n > 0) {}
}

async fn ends(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut rest)).await;
    // A reset ends it as well as a close does.
    let _ = ended.expect("the connection ends");
}

#[tokio::test]
async fn no_socket_is_opened_while_the_gate_is_closed() {
    let (keeper, gate) = gate::closed("no license yet");
    let (listener, url) = server().await;
    let http = Http::new(gate, url.clone(), HttpLimits::default());
    let refused = http.send(|client| client.get(url.clone())).await;
    assert!(matches!(refused, Err(OutboundError::Closed(_))), "{refused:?}");
    assert!(no_connection(&listener));
    keeper.open();
    let answering = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        stream
    };
    let (answer, mut connection) = tokio::join!(http.send(|client| client.get(url.clone())), answering);
    assert_eq!(answer.unwrap().body, b"ok");
    // None is kept that a closing gate would have to find.
    ends(&mut connection).await;
    keeper.close("the license ran out");
    let refused = http.send(|client| client.get(url.clone())).await;
    assert!(matches!(refused, Err(OutboundError::Closed(_))), "{refused:?}");
    assert!(no_connection(&listener));
}

#[tokio::test]
async fn a_request_in_flight_is_cut_off_when_the_gate_closes() {
    let (keeper, gate) = gate::closed("no license yet");
    keeper.open();
    let (listener, url) = server().await;
    let limits = HttpLimits { exchange: Duration::from_secs(600), ..HttpLimits::default() };
    let http = Http::new(gate, url.clone(), limits);
    let closing = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        keeper.close("the license ran out");
        ends(&mut stream).await;
    };
    let (answer, ()) = tokio::join!(http.send(|client| client.get(url.clone())), closing);
    let Err(OutboundError::Closed(closed)) = answer else { panic!("{answer:?}") };
    assert_eq!(closed.reason.as_ref(), "the license ran out");
}

#[tokio::test]
async fn a_client_kept_from_before_makes_no_connection_once_the_gate_closed() {
    let (keeper, gate) = gate::closed("no license yet");
    keeper.open();
    let (listener, url) = server().await;
    let http = Http::new(gate, url.clone(), HttpLimits::default());
    let kept = http.lend(async |client: reqwest::Client| client).await.unwrap();
    keeper.close("the license ran out");
    assert!(kept.get(url.clone()).send().await.is_err());
    keeper.open();
    assert!(kept.get(url).send().await.is_err(), "nor when it opens again");
    assert!(no_connection(&listener));
}

/// Answers each connection with these bytes, then stays silent.
fn always(listener: TcpListener, answer: &'static [u8]) {
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            read_request(&mut stream).await;
            // The client may have closed the connection; that is no error here.
            let _ = stream.write_all(answer).await;
            open.push(stream);
        }
    });
}

#[tokio::test]
async fn answers_have_a_bound_in_size_and_time_and_redirects_are_not_followed() {
    let (keeper, gate) = gate::closed("no license yet");
    keeper.open();
    let patient = HttpLimits { exchange: Duration::from_secs(600), answer_bytes: 10, ..HttpLimits::default() };
    let hasty = HttpLimits { exchange: Duration::from_millis(100), ..patient };
    let ask = async |answer: &'static [u8], limits: HttpLimits| {
        let (listener, url) = server().await;
        always(listener, answer);
        Http::new(gate.clone(), url.clone(), limits).send(|client| client.get(url)).await
    };
    let large = ask(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n12345678901", patient).await;
    assert!(matches!(large, Err(OutboundError::TooLarge { most: 10, .. })), "{large:?}");
    let slow = ask(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n1", hasty).await;
    assert!(matches!(slow, Err(OutboundError::Timeout { .. })), "{slow:?}");
    let elsewhere = b"HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(ask(elsewhere, patient).await.unwrap().status, 307);
}

/// Addresses that a process is connected to, but for connections that came in on this port.
#[cfg(target_os = "linux")]
fn connected_to(process: u32, listening: u16) -> Vec<std::net::SocketAddr> {
    let inodes: Vec<String> = std::fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_owned()))
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap();
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let port = |address: &str| u16::from_str_radix(address.rsplit_once(':').unwrap().1, 16).unwrap();
        let host = u32::from_str_radix(fields[2].split_once(':').unwrap().0, 16).unwrap();
        let remote = (std::net::Ipv4Addr::from(host.to_be()), port(fields[2])).into();
        let outbound = fields[3] != "0A" && port(fields[1]) != listening && inodes.iter().any(|i| *i == fields[9]);
        outbound.then_some(remote)
    };
    table.lines().skip(1).filter_map(socket).collect()
}

/// A daemon with every kind of outgoing connection: license, decisions, beats, capacity, health, liveness. Only the
/// license server may be contacted before the license; after it, each of the others must be.
#[test]
fn other_outgoing_connections_wait_for_the_license() {
    let kaching = kaching(Mood::Status(403));
    let others =
        ["bubble", "backbeat", "capacity", "health", "liveness", "traces"].map(|name| (name, Counter::start()));
    let url = |name: &str| {
        let (_, counter) = others.iter().find(|(other, _)| *other == name).unwrap();
        format!("http://{}/", counter.address)
    };
    let site = Site::with(always_open(), |settings| {
        settings["facts"]["sources"]["license"] = json!([]);
        settings["kaching"] =
            json!({"url": kaching.url(), "keys": [kaching.key()], "retry_min_ms": 10, "retry_max_ms": 1_000});
        settings["decisions"] = json!({"bubble": url("bubble")});
        settings["traces"] = json!({"collector": url("traces"), "every_ms": 10});
        settings["backbeat"] =
            json!({"file": settings["backbeat"], "source": url("backbeat"), "source_key": kaching.key()});
        for name in ["capacity", "health", "liveness"] {
            settings[name] = json!({"url": url(name)});
        }
    });
    let daemon = site.start();
    // A decision that could be exported.
    Project::new(&site, "default").accept(&daemon, Transition::BootConfigOk);
    let server = kaching.url().trim_start_matches("http://").trim_end_matches("/license").parse().unwrap();
    let goal = kaching.requests() + 20;
    eventually("the license server is asked again and again", || {
        let elsewhere = elsewhere(daemon.id(), daemon.address.port(), server);
        assert!(elsewhere.is_empty(), "{elsewhere:?}");
        kaching.requests() >= goal
    });
    let early: Vec<_> = others.iter().filter(|(_, counter)| counter.connections() > 0).map(|(name, _)| name).collect();
    assert!(early.is_empty(), "{early:?} went outside without a license");
    kaching.be(Mood::kind());
    for (name, counter) in &others {
        eventually(&format!("{name} goes outside"), || counter.connections() > 0);
    }
}

/// Sockets of a process to anybody but the license server; those that came in on its own port do not count.
#[cfg(target_os = "linux")]
fn elsewhere(process: u32, listening: u16, server: std::net::SocketAddr) -> Vec<std::net::SocketAddr> {
    connected_to(process, listening).into_iter().filter(|address| *address != server).collect()
}

#[cfg(not(target_os = "linux"))]
fn elsewhere(_: u32, _: u16, _: std::net::SocketAddr) -> Vec<std::net::SocketAddr> {
    Vec::new()
}
