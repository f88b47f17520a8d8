//! A real daemon on a small disk that fills up, and gets room again.
//!
//! The disk is a tmpfs in a mount namespace of the daemon's own, which goes with it. Where the machine allows
//! no such namespace, the test says so and is skipped.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use swoosh::client::{Client, Draft, Prepared, RetryPolicy};
use swoosh::types::names::{Role, Transition};
use swoosh::types::receipt::Receipt;
use swoosh::types::rejection::Code;

use super::support::hands::Hands;
use super::support::inputs::document;
use super::support::skipped;

/// Smaller than the space that RocksDB lays its log out in, so that each write asks for room of its own.
const DISK: &str = "size=48m";
/// Longest that the node may take to notice that there is room.
const PATIENCE: Duration = Duration::from_secs(120);

struct Daemon {
    child: Child,
    address: String,
    /// Its disk, seen from outside.
    disk: PathBuf,
    _settings: tempfile::TempDir,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Whether a process may have a disk of its own here.
fn is_possible() -> bool {
    let tried = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "-o", DISK, "swoosh", "/mnt"]).output();
    tried.is_ok_and(|output| output.status.success())
}

impl Daemon {
    fn start(hands: &Hands) -> Daemon {
        let outer = tempfile::tempdir().unwrap();
        let operator = hands.get("operator");
        let settings = outer.path().join("swoosh.yaml");
        let identities = json!({operator.key().to_string(): {"name": "operator", "roles": [Role::Operator]}});
        fs::write(&settings, json!({"identities": identities, "listen": "127.0.0.1:0"}).to_string()).unwrap();
        let disk = outer.path().join("disk");
        fs::create_dir(&disk).unwrap();
        let script =
            format!("mount -t tmpfs -o {DISK} swoosh \"$1\" && exec \"$2\" serve --config \"$3\" --data \"$1/data\"");
        let mut child = Command::new("unshare")
            .args(["-rm", "sh", "-c", &script, "sh"])
            .args([&disk, &PathBuf::from(env!("CARGO_BIN_EXE_swoosh")), &settings])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let address = lines.find_map(|line| line.strip_prefix("listening on http://").map(str::to_owned)).unwrap();
        // Drain stderr: a full pipe would block the daemon.
        std::thread::spawn(move || lines.for_each(drop));
        let disk = PathBuf::from(format!("/proc/{}/root{}", child.id(), disk.display()));
        Daemon { child, address, disk, _settings: outer }
    }

    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
    }

    /// Fills the disk up to this many bytes.
    fn fill(&self, but: u64) -> PathBuf {
        let path = self.disk.join("ballast");
        let mut file = File::create(&path).unwrap();
        let block = vec![1; 64 << 10];
        let mut length = 0;
        while file.write_all(&block).is_ok() {
            length += block.len() as u64;
        }
        file.set_len(length.saturating_sub(but)).unwrap();
        path
    }

    fn wait_until_ready(&self) {
        let began = Instant::now();
        while self.get("/health/ready").0 != 200 {
            assert!(began.elapsed() < PATIENCE, "still not ready: {}", self.get("/health").1);
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// A caller, and the receipts that it got.
struct Caller {
    client: Client,
    hands: Hands,
    receipts: Vec<Receipt>,
    tried: usize,
}

impl Caller {
    /// Creates one more project; gives the proposal back when it is refused.
    async fn create(&mut self) -> Result<(), (Prepared, Code)> {
        self.tried += 1;
        let project = format!("project-{}", self.tried).parse().unwrap();
        let draft =
            Draft::new(Transition::BootConfigOk, &json!({"document": document(&self.hands)})).unwrap().to(project);
        let prepared = self.client.prepare(&draft).await.unwrap();
        self.post(prepared).await
    }

    async fn post(&mut self, prepared: Prepared) -> Result<(), (Prepared, Code)> {
        match self.client.submit(prepared.clone(), &mut |_| ()).await {
            Ok(accepted) => self.receipts.push(accepted.receipt),
            Err(error) => {
                let code = error.problem().unwrap_or_else(|| panic!("no problem document: {error}")).code;
                return Err((prepared, code));
            }
        }
        Ok(())
    }

    /// Every receipt's record is in the WAL, under its index and chain value.
    async fn check(&self) {
        let page = self.client.wal(1, 1_000).await.unwrap();
        for receipt in &self.receipts {
            let entry = &page.records[receipt.index as usize - 1];
            assert_eq!((entry.record.index, entry.chain), (receipt.index, receipt.chain));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_node_and_room_lets_it_go_on_by_itself() {
    if !is_possible() {
        return skipped("this machine gives no mount namespace (`unshare -rm`), so no disk can be filled");
    }
    let hands = Hands::new();
    let daemon = Daemon::start(&hands);
    let client = Client::builder(&format!("http://{}", daemon.address));
    let client = client.signing("swoosh".parse().unwrap(), hands.get("operator").secret.clone());
    let client = client.retry(RetryPolicy::ONCE).build().unwrap();
    let mut caller = Caller { client, hands, receipts: Vec::new(), tried: 0 };
    for round in 1..=2 {
        for _ in 0..3 {
            caller.create().await.map_err(|(_, code)| code).unwrap();
        }
        let ballast = daemon.fill(128 << 10);
        let (refused, code) = loop {
            assert!(caller.tried < 1_000, "the disk never fills up");
            if let Err(refused) = caller.create().await {
                break refused;
            }
        };
        assert_eq!(code, Code::NotDurable);
        let (status, ready) = daemon.get("/health/ready");
        assert_eq!(status, 503);
        assert!(ready.contains("not_durable") && ready.contains("make room"), "{ready}");
        let (prepared, code) = caller.post(refused).await.unwrap_err();
        assert_eq!(code, Code::NotDurable, "nothing is accepted while there is no room");
        caller.check().await;
        fs::remove_file(ballast).unwrap();
        daemon.wait_until_ready();
        caller.post(prepared).await.map_err(|(_, code)| code).unwrap();
        caller.create().await.map_err(|(_, code)| code).unwrap();
        caller.check().await;
        println!("round {round}: {} records, all there", caller.receipts.len());
    }
    let verified = Command::new(env!("CARGO_BIN_EXE_swoosh"))
        .args(["wal", "verify", "--data"])
        .arg(daemon.disk.join("data"))
        .output();
    let verified = verified.unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}
