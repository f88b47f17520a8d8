//! A real Prometheus that scrapes a daemon, and its tool.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::http::Wire;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(120);

const REMEDY: &str =
    "is not there; `tools/install-prerequisites.sh tests` installs it (Debian: apt-get install prometheus)";

/// Runs promtool; these tests are worth nothing without it, so its lack fails them.
pub fn promtool(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("promtool {REMEDY}: {error}"));
    // It may end before it has read everything.
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input);
    child.wait_with_output().unwrap()
}

/// A running Prometheus. Dropped, it is killed.
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
}

impl Prometheus {
    /// Scrapes a daemon every quarter of a second as job `swoosh`, with these rules, and keeps its data in a folder.
    pub fn scrape(target: SocketAddr, rules: &Path, folder: &Path) -> Prometheus {
        let config = format!(
            "global: {{scrape_interval: 250ms, scrape_timeout: 250ms, evaluation_interval: 250ms}}\n\
             rule_files: ['{}']\n\
             scrape_configs: [{{job_name: swoosh, static_configs: [{{targets: ['{target}']}}]}}]\n",
            rules.display()
        );
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        // A port that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", folder.join("prometheus.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()));
        command.arg(format!("--web.listen-address={address}")).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("prometheus {REMEDY}: {error}"));
        let prometheus = Prometheus { child, address };
        prometheus.until("it serves", || matches!(prometheus.get("/-/ready"), Some((200, _))));
        prometheus
    }

    /// Status and body; none while it does not answer. HTTP/1.0, so that nothing comes in chunks.
    fn get(&self, target: &str) -> Option<(u16, Vec<u8>)> {
        let mut wire = Wire::connect(self.address).ok()?;
        wire.send(format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes()).ok()?;
        let whole = wire.rest().ok()?;
        let end = whole.windows(4).position(|four| four == b"\r\n\r\n")?;
        let status = std::str::from_utf8(whole.get(9..12)?).ok()?.parse().ok()?;
        Some((status, whole[end + 4..].to_vec()))
    }

    #[track_caller]
    fn ask(&self, target: &str) -> Value {
        let (status, body) = self.get(target).unwrap();
        let text = String::from_utf8_lossy(&body);
        let answer: Value = serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error}: {status} {text}"));
        assert_eq!(answer["status"], "success", "{target}: {answer}");
        answer
    }

    /// The present value of an expression; an error in the expression fails the test.
    #[track_caller]
    pub fn query(&self, expression: &str) -> Vec<Value> {
        let answer = self.ask(&format!("/api/v1/query?query={}", encode(expression)));
        answer["data"]["result"].as_array().cloned().unwrap_or_default()
    }

    /// The alerts that are in this state: `pending` before their time is up, then `firing`.
    pub fn alerts(&self, state: &str) -> Vec<String> {
        let answer = self.ask("/api/v1/alerts");
        let alerts = answer["data"]["alerts"].as_array().cloned().unwrap_or_default();
        let wanted = alerts.iter().filter(|alert| alert["state"] == state);
        wanted.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until something is so.
    #[track_caller]
    pub fn until(&self, what: &str, mut so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !so() {
            assert!(began.elapsed() < PATIENCE, "Prometheus: not yet, after two minutes: {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// For a query: everything but letters and digits escaped.
fn encode(text: &str) -> String {
    let one =
        |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}
