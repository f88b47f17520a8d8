//! Logs with large facts. A page of the feed is bounded by all of its bytes, and a follower asks for less after a page
//! that is too large.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use swoosh::types::fact::{Fact, FactClaim, FactKind};
use swoosh::types::hlc::Hlc;
use swoosh::types::names::{Region, Transition};

use super::{catches_up, folder};
use crate::support::daemon::{Daemon, Site, now_ms, platform};
use crate::support::driver::Project;
use crate::support::http::{Wire, request};
use crate::support::strict;

/// Bytes of each project's policies.
const LARGE: usize = 1_000_000;

/// A bundle for one project that is nearly as large as a fact may be.
fn push_policies(site: &Site, daemon: &Daemon, project: &str) {
    let comment = "x".repeat(LARGE);
    let policies = format!("permit (principal, action, resource);\n// {project} {comment}\n");
    let now = now_ms();
    let claim = FactClaim {
        kind: FactKind::Policy,
        project: Some(project.parse().unwrap()),
        source: platform().public(),
        observed_at: Hlc::new(now, 0).unwrap(),
        valid_until: Hlc::new(now + 3_600_000, 0).unwrap(),
        body: strict(&json!({"serial": 2, "policies": policies})),
    };
    let fact: Fact = claim.sign(&site.cluster, &platform());
    let body = serde_json::to_vec(&fact).unwrap();
    let length = format!("content-length: {}", body.len());
    let answer = daemon.send(&request("POST", "/facts", &["content-type: application/json", &length], &body));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// A node whose projects each were judged by large policies of their own.
fn node_of(site: &Site, projects: usize) -> Daemon {
    let node = site.start();
    for number in 0..projects {
        let name = format!("t{number}");
        push_policies(site, &node, &name);
        Project::new(site, &name).accept(&node, Transition::BootConfigOk);
    }
    node
}

/// Records and inputs were counted, but not facts. With 300 projects of 232 KB policies every page exceeded a
/// follower's limit, and the node needed a gigabyte to write it.
#[test]
fn a_page_of_the_feed_ends_by_all_of_its_bytes() {
    let site = Site::with(crate::support::daemon::always_open(), |settings| {
        settings["http"] = json!({"body_limit_bytes": 2 << 20});
    });
    let node = node_of(&site, 12);
    let page = node.get("/wal/feed?from=1&limit=1000");
    assert!(page.body.len() < 11 << 20, "{} bytes", page.body.len());
    let page = page.json();
    let (records, facts) = (page["records"].as_array().unwrap(), page["facts"].as_array().unwrap());
    assert!((1..12).contains(&records.len()), "{} records", records.len());
    let named = |hash: &serde_json::Value| facts.iter().any(|fact| fact["hash"] == *hash);
    let outcomes = records.iter().flat_map(|entry| entry["record"]["guard_outcomes"].as_array().unwrap());
    assert!(outcomes.flat_map(|outcome| outcome["facts"].as_array().into_iter().flatten()).all(named));
    let data = folder();
    let follower = site.follow(node.address, &data.path().join("follower")).unwrap();
    catches_up(&follower, &node);
}

/// A node before a follower, which answers with more than any client takes where more than two records are asked for.
fn boastful(node: SocketAddr, asked: Arc<AtomicU64>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let asked = asked.clone();
            std::thread::spawn(move || drop(serve(stream, node, &asked)));
        }
    });
    address
}

fn serve(stream: TcpStream, node: SocketAddr, asked: &AtomicU64) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if reader.read_until(b'\n', &mut head)? == 0 {
                return Ok(());
            }
        }
        let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
        let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let limit: u64 =
            target.split("limit=").nth(1).and_then(|rest| rest.split('&').next()?.parse().ok()).unwrap_or(0);
        if limit > 2 {
            asked.fetch_add(1, Ordering::Relaxed);
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                65 << 20
            )?;
            stream.write_all(&vec![b' '; 65 << 20])?;
            continue;
        }
        let answer = Wire::connect(node)?.exchange(&request("GET", &target, &[], b""))?;
        write!(
            stream,
            "HTTP/1.1 {} OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.status,
            answer.body.len()
        )?;
        stream.write_all(&answer.body)?;
    }
}

/// A page that was too large ended the following for good.
#[test]
fn a_follower_asks_for_fewer_records_where_a_page_is_too_large() {
    let site = Site::new();
    let node = site.start();
    let mut project = Project::new(&site, "one");
    project.drive(&node, Region::Council, "READY");
    let asked = Arc::new(AtomicU64::new(0));
    let front = boastful(node.address, asked.clone());
    let data = folder();
    let follower = site.follow(front, &data.path().join("follower")).unwrap();
    catches_up(&follower, &node);
    assert!(asked.load(Ordering::Relaxed) > 0);
}
