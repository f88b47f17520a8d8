//! Each SDK proposes through a proxy that cuts connections, delays, duplicates, and answers 503. No proposal is lost or recorded twice.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use swoosh::client::{Client, Draft};
use swoosh::types::names::{Region, Transition};
use swoosh::types::receipt::Receipt;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::cross::{program, write_step};
use super::go;
use super::rust::runtime;
use super::stage::good;
use crate::support::daemon::{Daemon, Site};
use crate::support::driver::Project;
use crate::support::http::{self, Message};
use crate::support::inputs;
use crate::support::route::{self, Goal};

/// What happens to one posted proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// The connection ends before the node has it.
    LoseRequest,
    /// The node answers, and the connection ends before the answer.
    LoseAnswer,
    /// A proxy is busy.
    Busy,
    /// The node gets it twice; the caller has the second answer.
    Duplicate,
    /// The answer is late.
    Delay,
    None,
}

const CYCLE: [Fault; 6] =
    [Fault::LoseRequest, Fault::LoseAnswer, Fault::Busy, Fault::Duplicate, Fault::Delay, Fault::None];
const DELAY: Duration = Duration::from_millis(150);
const BUSY: &[u8] =
    b"HTTP/1.1 503 Busy\r\nContent-Type: text/html\r\nRetry-After: 0\r\nContent-Length: 6\r\n\r\n<html>";

#[derive(Default)]
struct Proxy {
    posts: usize,
    done: BTreeMap<Fault, usize>,
    /// Receipts of the same bytes must be the same.
    contradictions: Vec<String>,
}

/// Starts a proxy before a node. It takes faults in turn, so that each SDK meets all of them.
fn start(runtime: &tokio::runtime::Runtime, node: SocketAddr) -> (SocketAddr, Arc<Mutex<Proxy>>) {
    let proxy = Arc::new(Mutex::new(Proxy::default()));
    let (listener, served) = (runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap(), proxy.clone());
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, node, served.clone()));
        }
    });
    (address, proxy)
}

async fn serve(mut caller: TcpStream, node: SocketAddr, proxy: Arc<Mutex<Proxy>>) {
    while let Ok(Some(request)) = http::read(&mut caller).await {
        let Some(answer) = pass(request, node, &proxy).await else { return };
        if caller.write_all(&answer).await.is_err() {
            return;
        }
    }
}

async fn pass(request: Message, node: SocketAddr, proxy: &Mutex<Proxy>) -> Option<Vec<u8>> {
    let fault = if request.is_post() { next(proxy) } else { Fault::None };
    match fault {
        Fault::LoseRequest => return None,
        Fault::Busy => return Some(BUSY.to_vec()),
        Fault::LoseAnswer | Fault::Duplicate | Fault::Delay | Fault::None => {}
    }
    let mut stream = TcpStream::connect(node).await.ok()?;
    let answer = http::exchange(&mut stream, request.bytes()).await.ok()?;
    match fault {
        Fault::LoseAnswer => None,
        Fault::Duplicate => {
            let again = http::exchange(&mut stream, request.bytes()).await.ok()?;
            if answer.status() == 202 && (again.status(), again.body()) != (202, answer.body()) {
                proxy.lock().unwrap().contradictions.push(again.text());
            }
            Some(again.bytes().to_vec())
        }
        Fault::Delay => {
            tokio::time::sleep(DELAY).await;
            Some(answer.bytes().to_vec())
        }
        Fault::LoseRequest | Fault::Busy | Fault::None => Some(answer.bytes().to_vec()),
    }
}

fn next(proxy: &Mutex<Proxy>) -> Fault {
    let mut proxy = proxy.lock().unwrap();
    let fault = CYCLE[proxy.posts % CYCLE.len()];
    proxy.posts += 1;
    *proxy.done.entry(fault).or_default() += 1;
    fault
}

fn records(daemon: &Daemon, project: &str) -> Vec<Value> {
    let page = daemon.get(&format!("/wal?from=1&limit=1000&project={project}")).json();
    page["records"].as_array().unwrap().iter().map(|entry| entry["record"].clone()).collect()
}

/// Drives a project to an election through the proxy, and compares the log with the receipts.
fn drive(name: &str, turn: usize, go_program: &Path) {
    let site = Site::new();
    let daemon = site.start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (address, proxy) = start(&runtime, daemon.address);
    let url = format!("http://{address}");
    let receipts = site.file("receipts");
    std::fs::create_dir(&receipts).unwrap();
    let mut project = Project::new(&site, "cross");
    let mut proposed = Vec::new();
    while let Some(transition) = route::next(project.head.state(), Goal::new(Region::Council, "ELECT")) {
        match program(turn, go_program) {
            Some(mut command) => {
                let step = write_step(&site, &project, &url, &receipts, transition, !proposed.is_empty());
                good(&command.arg(step).output().unwrap());
            }
            None => propose(&site, &project, &url, &receipts, transition),
        }
        project.refresh(&daemon);
        proposed.push(transition.to_string());
    }
    let found = records(&daemon, "cross");
    let transitions: Vec<&str> = found.iter().map(|record| record["transition"].as_str().unwrap()).collect();
    assert_eq!(transitions, proposed, "{name}");
    let mut indexes: Vec<u64> = receipt_files(&receipts).map(|receipt| receipt.index).collect();
    indexes.sort_unstable();
    let recorded: Vec<u64> = found.iter().map(|record| record["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, recorded, "{name}");
    let proxy = proxy.lock().unwrap();
    assert!(proxy.contradictions.is_empty(), "{name}: {:?}", proxy.contradictions);
    assert!(CYCLE.iter().all(|fault| proxy.done.contains_key(fault)), "{name}: {:?}", proxy.done);
    daemon.terminate();
    good(&site.run(&["wal", "verify"]));
    good(&site.run(&["replay", "--reguard"]));
}

fn receipt_files(folder: &Path) -> impl Iterator<Item = Receipt> {
    let files = std::fs::read_dir(folder).unwrap();
    files.map(|file| serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap())
}

/// The step of Rust.
fn propose(site: &Site, project: &Project<'_>, url: &str, receipts: &Path, transition: Transition) {
    let hand = inputs::signer(transition, project.head.state(), &site.hands);
    let client = Client::builder(url).signing(site.cluster.clone(), hand.secret.clone()).build().unwrap();
    let draft = Draft::new(transition, &project.valid(transition)).unwrap().to(project.name.clone());
    let outcome = runtime().block_on(client.propose(draft)).unwrap();
    let receipt = outcome.receipt().unwrap();
    let file = receipts.join(format!("{:04}-rust.json", receipt.index));
    std::fs::write(file, json!(receipt).to_string()).unwrap();
}

fn built(folder: &Path) -> std::path::PathBuf {
    let program = folder.join("cross");
    good(&go(&["build", "-o", program.to_str().unwrap(), "./internal/cross"]).output().unwrap());
    program
}

#[test]
fn no_proposal_of_the_python_sdk_is_lost_or_doubled_by_a_faulty_network() {
    drive("python", 0, Path::new(""));
}

#[test]
fn no_proposal_of_the_go_sdk_is_lost_or_doubled_by_a_faulty_network() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    drive("go", 1, &built(folder.path()));
}

#[test]
fn no_proposal_of_the_javascript_sdk_is_lost_or_doubled_by_a_faulty_network() {
    drive("javascript", 2, Path::new(""));
}

#[test]
fn no_proposal_of_the_rust_sdk_is_lost_or_doubled_by_a_faulty_network() {
    drive("rust", 3, Path::new(""));
}
