//! A real daemon in a directory of its own: start, kill, terminate, start again on the same data. Every
//! daemon takes a free port, so that tests run side by side.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use swoosh::types::backbeat::Schedule;
use swoosh::types::fact::{FactClaim, FactKind};
use swoosh::types::hlc::Hlc;
use swoosh::types::keys::SecretKey;
use swoosh::types::text::ClusterId;

use super::hands::Hands;
use super::http::{Answer, Wire, proposal, request};
use super::outside;
use super::strict;

/// Now, by the system's clock, in milliseconds.
pub fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(120);

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Cycles of a day, the present one an hour old, so that no test reaches its end. These windows of a class are open, in
/// beats of a minute.
pub fn daily(review: Value) -> Value {
    let always = json!([{"phase_beats": 0, "length_beats": 1440}]);
    json!({
        "epoch": Hlc::new(now_ms() - 10 * DAY_MS - HOUR_MS, 0).unwrap(), "beat_ms": 60_000, "cycle_beats": 1440,
        "windows": {"plan": always, "review": review, "reverb": always},
    })
}

/// Every window is always open, and the cycle does not end while a test runs.
pub fn always_open() -> Value {
    daily(json!([{"phase_beats": 0, "length_beats": 1440}]))
}

/// Review is closed for hours to come.
pub fn review_closed() -> Value {
    daily(json!([{"phase_beats": 1000, "length_beats": 100}]))
}

/// Every window is always open, in one cycle that began days ago.
pub fn long_cycle() -> Value {
    let mut schedule = always_open();
    let always = json!([{"phase_beats": 0, "length_beats": 100_000}]);
    schedule["cycle_beats"] = json!(100_000);
    schedule["windows"] = json!({"plan": always, "review": always, "reverb": always});
    schedule
}

/// Every window is always open, in cycles of so many milliseconds, so that loops can go round.
pub fn cycles_of(cycle_ms: u64) -> Value {
    let always = json!([{"phase_beats": 0, "length_beats": 10}]);
    json!({
        "epoch": Hlc::new(now_ms() / DAY_MS * DAY_MS - DAY_MS, 0).unwrap(), "beat_ms": cycle_ms / 10, "cycle_beats": 10,
        "windows": {"plan": always, "review": always, "reverb": always},
    })
}

/// A fact about one project, or about all.
pub type OtherFact = (FactKind, Option<String>, Value);

/// A directory with settings, schedule, facts, node key and, once a daemon ran there, data.
pub struct Site {
    folder: tempfile::TempDir,
    program: PathBuf,
    pub cluster: ClusterId,
    /// All keys; the daemon's own is the node's.
    pub hands: Hands,
    /// The schedule of the settings.
    pub schedule: Schedule,
    observed_ms: AtomicU64,
}

impl Site {
    /// A site where all is well and every window open.
    pub fn new() -> Site {
        Site::with(always_open(), |_| {})
    }

    /// A site with this schedule, its settings changed.
    pub fn with(schedule: Value, change: impl FnOnce(&mut Value)) -> Site {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let program = folder.path().join("swoosh");
        // A build that goes on beside must not change the program under a test.
        std::fs::hard_link(env!("CARGO_BIN_EXE_swoosh"), &program).unwrap();
        let (cluster, hands) = ("test".parse().unwrap(), Hands::new());
        let parsed = serde_json::from_value(schedule.clone()).unwrap();
        let site = Site { folder, program, cluster, hands, schedule: parsed, observed_ms: AtomicU64::new(now_ms()) };
        let mut settings = site.settings();
        change(&mut settings);
        site.write("backbeat.yaml", &schedule);
        site.write("swoosh.yaml", &settings);
        std::fs::create_dir(site.data()).unwrap();
        site.put_node_key(&site.hands.get("node").secret);
        site.tell(&[]);
        site
    }

    /// JSON is YAML.
    fn settings(&self) -> Value {
        let platform = json!([platform().public()]);
        let kinds = ["license", "windows", "tooling", "capacity", "health", "liveness", "policy"];
        let sources: serde_json::Map<_, _> =
            kinds.map(|kind| (kind.to_owned(), platform.clone())).into_iter().collect();
        let mut operators = json!({});
        operators[self.hands.get("operator").key().to_string()] = json!({"name": "operator", "roles": ["operator"]});
        json!({
            "cluster": self.cluster, "data": "data", "backbeat": "backbeat.yaml", "identities": operators,
            "facts": {"file": "facts.json", "sources": sources},
            "sources": {"floating_refs": ["https://git.example/app#main"]},
            "http": {}, "journal": {}, "sequencer": {}, "log": {}, "idempotency": {}, "license": {},
        })
    }

    /// Changes the settings for the next start.
    pub fn change_settings(&self, change: impl FnOnce(&mut Value)) {
        let text = std::fs::read_to_string(self.folder.path().join("swoosh.yaml")).unwrap();
        let mut settings = serde_json::from_str(&text).unwrap();
        change(&mut settings);
        self.write("swoosh.yaml", &settings);
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("swoosh.yaml")
    }

    fn write(&self, name: &str, document: &Value) {
        std::fs::write(self.folder.path().join(name), document.to_string()).unwrap();
    }

    /// Puts a key in the place of the node's.
    pub fn put_node_key(&self, key: &SecretKey) {
        let path = self.data().join("node.key");
        let _ = std::fs::remove_file(&path);
        swoosh::platform::keyfile::store(&path, key).unwrap();
    }

    /// Writes the fact file: healthy facts, and these over them.
    pub fn tell(&self, others: &[OtherFact]) {
        let since = now_ms() - HOUR_MS;
        let well = [
            (FactKind::License, json!({"id": "license-1", "scopes": ["swoosh"]})),
            (FactKind::Tooling, outside::tooling(true, "1.2.0")),
            (FactKind::Capacity, json!({"resources": {"vcpu": 8, "memory_mib": 16384}})),
            (FactKind::Health, json!({"assets": {"image/base": "ok", "image/tools": "ok"}})),
            (FactKind::Liveness, outside::liveness(&self.hands, &[], since)),
        ];
        let well = well.into_iter().map(|(kind, body)| (kind, None, body));
        let facts: Vec<Value> = well.chain(others.iter().cloned()).map(|fact| self.sign(fact)).collect();
        self.write("facts.json", &json!(facts));
    }

    fn sign(&self, (kind, project, body): OtherFact) -> Value {
        // A fact is believed in the place of another only when it was observed later.
        let observed_ms = self.observed_ms.fetch_add(1, Ordering::Relaxed);
        let claim = FactClaim {
            kind,
            project: project.map(|project| project.parse().unwrap()),
            source: platform().public(),
            observed_at: Hlc::new(observed_ms, 0).unwrap(),
            valid_until: Hlc::new(observed_ms + 20 * HOUR_MS, 0).unwrap(),
            body: strict(&body),
        };
        json!(claim.sign(&self.cluster, &platform()))
    }

    /// A file beside the settings.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn journal(&self) -> PathBuf {
        self.data().join("journal")
    }

    /// Starts the daemon of this site.
    pub fn start(&self) -> Daemon {
        self.start_on("127.0.0.1:0")
    }

    /// Starts it on another address than the usual one.
    pub fn start_on(&self, listen: &str) -> Daemon {
        let started = Daemon::spawn_on(&mut self.command(), listen);
        started.unwrap_or_else(|(code, said)| panic!("exit code {code:?}: {said}"))
    }

    /// Starts a daemon that does not come up: its exit code and what it said.
    pub fn start_refused(&self) -> (Option<i32>, String) {
        match Daemon::spawn(&mut self.command()) {
            Ok(daemon) => panic!("it serves on {}", daemon.address),
            Err(refused) => refused,
        }
    }

    /// Starts the daemon by a launcher: a program and its arguments, which runs what follows them.
    pub fn start_by(&self, launcher: &[&str]) -> Result<Daemon, (Option<i32>, String)> {
        let mut command = Command::new(launcher[0]);
        command.args(&launcher[1..]).arg(&self.program);
        self.serve(&mut command);
        if launcher.iter().any(|word| word.starts_with("SWOOSH_CRASH_AT=")) {
            command.arg("--allow-crash-points");
        }
        Daemon::spawn(&mut command)
    }

    /// Runs the program on the data directory, offline.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.program().args(arguments).arg("--data").arg(self.data()).output().unwrap()
    }

    /// Runs the program on another data directory, offline.
    pub fn run_in(&self, data: &Path, arguments: &[&str]) -> Output {
        self.program().args(arguments).arg("--data").arg(data).output().unwrap()
    }

    /// Runs the program with these arguments and no others.
    pub fn tool(&self, arguments: &[&str]) -> Output {
        self.program().args(arguments).output().unwrap()
    }

    /// Starts the daemon of this site on another data directory.
    pub fn start_in(&self, data: &Path) -> Result<Daemon, (Option<i32>, String)> {
        Daemon::spawn(self.command().arg("--data").arg(data))
    }

    /// Starts a follower of the node at an address, with this data directory.
    pub fn follow(&self, address: SocketAddr, data: &Path) -> Result<Daemon, (Option<i32>, String)> {
        self.follow_with(&format!("http://{address}"), data, &[])
    }

    /// Starts a follower of the node at a URL, with more arguments.
    pub fn follow_with(&self, url: &str, data: &Path, more: &[&str]) -> Result<Daemon, (Option<i32>, String)> {
        let mut command = self.program();
        command.arg("follow").arg(url).arg("--data").arg(data).args(more);
        Daemon::spawn(&mut command)
    }

    /// The same, to serve on another address than the usual one.
    pub fn follow_on(&self, url: &str, data: &Path, more: &[&str], listen: &str) -> Daemon {
        let mut command = self.program();
        command.arg("follow").arg(url).arg("--data").arg(data).args(more);
        Daemon::spawn_on(&mut command, listen).unwrap_or_else(|(code, said)| panic!("exit code {code:?}: {said}"))
    }

    /// Starts the daemon and sends it SIGKILL so many milliseconds later, wherever it is by then.
    pub fn start_and_kill(&self, after_ms: u64) {
        let mut command = self.command();
        let silent = command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = silent.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(after_ms));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// The program of this site. The nodes that it signs for are kept beside the settings, not in the user's home.
    pub fn program(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env("SWOOSH_KNOWN_NODES", self.file("known_nodes"));
        command
    }

    fn command(&self) -> Command {
        let mut command = self.program();
        self.serve(&mut command);
        command
    }

    fn serve<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.arg("serve").arg("--config").arg(self.folder.path().join("swoosh.yaml"))
    }
}

/// The key that signs the facts.
pub fn platform() -> SecretKey {
    SecretKey::from_bytes(&[99; 32])
}

type Lines = Arc<Mutex<Vec<String>>>;

/// A running daemon. Dropped, it is killed.
pub struct Daemon {
    child: Child,
    pub address: SocketAddr,
    log: Lines,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Daemon {
    /// Starts the program in an empty directory with no flag but where to listen.
    pub fn bare(folder: &Path) -> Daemon {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swoosh"));
        Daemon::spawn(command.arg("serve").current_dir(folder)).unwrap_or_else(|refused| panic!("{refused:?}"))
    }

    /// Starts the program with a settings file, on a data directory.
    pub fn with_settings(settings: &Path, data: &Path) -> Daemon {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swoosh"));
        command.arg("serve").arg("--config").arg(settings).arg("--data").arg(data);
        Daemon::spawn(&mut command).unwrap_or_else(|refused| panic!("{refused:?}"))
    }

    /// Waits until it listens; if it ends before, tells its exit code and standard error.
    fn spawn(command: &mut Command) -> Result<Daemon, (Option<i32>, String)> {
        Daemon::spawn_on(command, "127.0.0.1:0")
    }

    fn spawn_on(command: &mut Command, listen: &str) -> Result<Daemon, (Option<i32>, String)> {
        command.args(["--listen", listen]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let log = Lines::default();
        let kept = log.clone();
        let reader = std::thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).for_each(|line| kept.lock().unwrap().push(line));
        });
        let (said, lines) = mpsc::channel();
        std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).for_each(|line| drop(said.send(line)));
        });
        let mut before = Vec::new();
        while let Ok(line) = lines.recv() {
            let address = line.strip_prefix("listening on http://").or(line.strip_prefix("listening on https://"));
            if let Some(address) = address {
                let port = address.parse::<SocketAddr>().unwrap().port();
                return Ok(Daemon { child, address: ([127, 0, 0, 1], port).into(), log, reader: Some(reader) });
            }
            before.push(line);
        }
        Err((child.wait().unwrap().code(), before.join("\n")))
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn connect(&self) -> Wire {
        Wire::connect(self.address).unwrap()
    }

    /// Sends one request on a connection of its own.
    #[track_caller]
    pub fn send(&self, request: &[u8]) -> Answer {
        let mut wire = self.connect();
        // The node may answer, and close, before it has read everything.
        let _ = wire.send(request);
        wire.answer().unwrap()
    }

    #[track_caller]
    pub fn get(&self, target: &str) -> Answer {
        self.send(&request("GET", target, &[], b""))
    }

    #[track_caller]
    pub fn post(&self, body: &[u8]) -> Answer {
        self.send(&proposal(body, &[]))
    }

    /// Whether the metrics have this line. The help of a metric may begin like one of its values.
    pub fn measures(&self, line: &str) -> bool {
        self.get("/metrics").text().lines().any(|found| found == line)
    }

    /// Index of the last durable record.
    pub fn last_index(&self) -> u64 {
        self.get("/health").json()["last_index"].as_u64().unwrap()
    }

    /// Reads until the answer is as wanted.
    #[track_caller]
    pub fn wait_for(&self, target: &str, mut wanted: impl FnMut(&Answer) -> bool) -> Answer {
        let began = Instant::now();
        loop {
            let answer = self.get(target);
            if wanted(&answer) {
                return answer;
            }
            assert!(began.elapsed() < PATIENCE, "{target} still says {}", answer.text());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Lines of the log so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    pub fn kill(mut self) {
        self.end();
    }

    /// Ends it with SIGKILL and waits until it is gone.
    pub fn end(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end; its exit status and its whole log.
    pub fn wait(mut self) -> (ExitStatus, Vec<String>) {
        let status = self.child.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        (status, self.log())
    }

    /// Ends it with SIGTERM, and expects that it ends well.
    #[track_caller]
    pub fn terminate(self) -> Vec<String> {
        self.signal("TERM");
        let (status, log) = self.wait();
        assert!(status.success(), "{status}");
        log
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
