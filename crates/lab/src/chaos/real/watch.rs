//! A Prometheus that watches the node through the proxy by its operators' alerting rules, for soaks.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

use super::site::eventually;
use swoosh_testkit::http;

/// How often the node is asked and the rules are looked at, in seconds.
const INTERVAL_S: u64 = 5;
/// How long Prometheus may take to serve, and to answer.
const START_PATIENCE: Duration = Duration::from_secs(60);
const ASK_PATIENCE: Duration = Duration::from_secs(10);
/// How long alerts may keep firing after the last fault: rules look back an hour at most.
const CALM_PATIENCE: Duration = Duration::from_secs(75 * 60);

/// What the rules said.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Watched {
    /// Alerts, and for how many seconds each fired.
    pub fired_s: BTreeMap<String, u64>,
    /// Alerts that still fired when nothing had been wrong for long.
    pub still_firing: Vec<String>,
}

/// A running Prometheus. Killed when it is dropped.
pub(super) struct Watch {
    child: Child,
    address: SocketAddr,
    began: Instant,
}

impl Watch {
    /// Starts one that scrapes an address as the job that the rules know.
    pub fn start(folder: &Path, rules: &Path, target: SocketAddr) -> anyhow::Result<Watch> {
        let rules = rules.canonicalize().with_context(|| format!("there are no rules {}", rules.display()))?;
        let config = format!(
            "global: {{scrape_interval: {INTERVAL_S}s, scrape_timeout: {INTERVAL_S}s, evaluation_interval: {INTERVAL_S}s}}\n\
             rule_files: ['{}']\n\
             scrape_configs: [{{job_name: swoosh, static_configs: [{{targets: ['{target}']}}]}}]\n",
            rules.display()
        );
        std::fs::write(folder.join("prometheus.yml"), config)?;
        // A port that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = File::create(folder.join("prometheus.log"))?;
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", folder.join("prometheus.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("prometheus").display()));
        command.arg(format!("--web.listen-address={address}"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().context("prometheus cannot be started; Debian: apt-get install prometheus")?;
        let watch = Watch { child, address, began: Instant::now() };
        let serves = eventually(START_PATIENCE, || watch.ask("/api/v1/alerts").is_ok());
        anyhow::ensure!(serves, "prometheus does not serve; see {}", folder.join("prometheus.log").display());
        Ok(watch)
    }

    /// Waits until no alert fires, and tells which ones did.
    pub fn end(self) -> anyhow::Result<Watched> {
        eprintln!("waiting until no alert fires any more, at most {} minutes", CALM_PATIENCE.as_secs() / 60);
        eventually(CALM_PATIENCE, || {
            std::thread::sleep(Duration::from_secs(1));
            self.firing().is_ok_and(|firing| firing.is_empty())
        });
        let window_s = self.began.elapsed().as_secs() + INTERVAL_S;
        let expression = format!("count_over_time(ALERTS%7Balertstate%3D%22firing%22%7D%5B{window_s}s%5D)");
        let answer = self.ask(&format!("/api/v1/query?query={expression}"))?;
        let mut fired_s = BTreeMap::new();
        for series in answer["data"]["result"].as_array().into_iter().flatten() {
            let name = series["metric"]["alertname"].as_str().unwrap_or_default().to_owned();
            let samples: u64 = series["value"][1].as_str().and_then(|samples| samples.parse().ok()).unwrap_or(0);
            *fired_s.entry(name).or_default() += samples * INTERVAL_S;
        }
        Ok(Watched { fired_s, still_firing: self.firing()? })
    }

    fn firing(&self) -> anyhow::Result<Vec<String>> {
        let answer = self.ask("/api/v1/alerts")?;
        let alerts = answer["data"]["alerts"].as_array().cloned().unwrap_or_default();
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        Ok(firing.filter_map(|alert| alert["labels"]["alertname"].as_str().map(str::to_owned)).collect())
    }

    /// HTTP/1.0, so that nothing comes in chunks.
    fn ask(&self, target: &str) -> anyhow::Result<Value> {
        let mut stream = TcpStream::connect_timeout(&self.address, ASK_PATIENCE)?;
        stream.set_read_timeout(Some(ASK_PATIENCE))?;
        write!(stream, "GET {target} HTTP/1.0\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer: Value = serde_json::from_slice(http::Message::of(answer).body())?;
        anyhow::ensure!(answer["status"] == "success", "prometheus answers {answer}");
        Ok(answer)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A process that is gone already is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
