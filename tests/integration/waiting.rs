//! `swoosh wait`, `swoosh approve`, `swoosh council elect` and `swoosh propose --wait` against a real node.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};
use swoosh::types::names::{Region, Transition};

use crate::support::daemon::{Daemon, Site, cycles_of, daily, review_closed};
use crate::support::driver::Project;

/// Far longer than any of these waits takes.
const PATIENCE: Duration = Duration::from_secs(120);

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Standard output, standard error and exit code.
fn said(output: &Output) -> (String, String, Option<i32>) {
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

fn command(site: &Site, daemon: &Daemon, arguments: &[&str]) -> Command {
    let mut command = site.program();
    command.args(arguments).env("SWOOSH_URL", format!("http://{}", daemon.address)).env("SWOOSH_PROJECT", "p");
    command.env_remove("SWOOSH_KEY");
    command
}

fn run(site: &Site, daemon: &Daemon, arguments: &[&str]) -> (String, String, Option<i32>) {
    said(&command(site, daemon, arguments).output().unwrap())
}

fn key(site: &Site, name: &str) -> String {
    let path = site.file(&format!("{name}.key"));
    if !path.exists() {
        swoosh::platform::keyfile::store(&path, &site.hands.get(name).secret).unwrap();
    }
    path.to_str().unwrap().to_owned()
}

/// A command that waits, and each line of its standard error.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn begin(command: &mut Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (say, lines) = channel();
        let err = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            BufReader::new(err).lines().map_while(Result::ok).try_for_each(|line| say.send(line))
        });
        Running { child, lines }
    }

    /// Waits for a line with this in it.
    #[track_caller]
    fn until(&self, part: &str) -> String {
        let mut heard = Vec::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("never {part:?} in {heard:#?}"));
            if line.contains(part) {
                return line;
            }
            heard.push(line);
        }
    }

    fn end(self) -> (String, Option<i32>) {
        let output = self.child.wait_with_output().unwrap();
        (text(&output.stdout), output.status.code())
    }
}

#[test]
fn a_wait_returns_at_once_where_the_state_is_there_and_prints_it_proven() {
    let site = Site::new();
    let daemon = site.start();
    Project::new(&site, "p").drive(&daemon, Region::Ingestion, "READY");
    let (out, err, code) = run(&site, &daemon, &["wait", "ingestion == READY and index >= 3", "--timeout", "0s"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("reached: ingestion == READY"), "{out}");
    let (out, err, code) =
        run(&site, &daemon, &["--json", "wait", "boot == UNINITIALIZED", "--or", "boot == LICENSED"]);
    assert_eq!(code, Some(0), "{err}");
    let state: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(state["projection"]["ingestion"]["phase"], "READY");
    assert_eq!(state["hash"], daemon.get("/state?project=p").json()["hash"]);
}

#[test]
fn wrong_expressions_end_with_2_and_time_over_with_3_and_what_is_missing() {
    let site = Site::new();
    let daemon = site.start();
    Project::new(&site, "p").drive(&daemon, Region::Boot, "LICENSED");
    for wrong in ["ingestion = READY", "ingestion == ready", "nowhere == READY", "index >= x", ""] {
        let (_, err, code) = run(&site, &daemon, &["wait", wrong]);
        assert_eq!(code, Some(2), "{wrong}: {err}");
    }
    let (_, err, code) = run(&site, &daemon, &["wait", "ingestion == READY", "--fail-on", "bored"]);
    assert_eq!(code, Some(2), "{err}");
    let (out, err, code) = run(&site, &daemon, &["wait", "execution == WORK", "--timeout", "300ms"]);
    assert_eq!((out.as_str(), code), ("", Some(3)), "{err}");
    assert!(err.contains("the time is over: execution.phase is INACTIVE"), "{err}");
    assert!(err.contains("/resolve external"), "{err}");
    // A project that does not exist yet is waited for.
    let (_, err, code) = run(&site, &daemon, &["wait", "index >= 1", "--project", "later", "--timeout", "300ms"]);
    assert_eq!(code, Some(3), "{err}");
}

/// A state that lasted for one record was missed by reading now and then.
#[test]
fn a_wait_follows_each_record_over_a_restart_of_the_node_and_misses_no_state_in_between() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let waiting = Running::begin(&mut command(&site, &daemon, &["wait", "control.paused == true"]));
    waiting.until("control.paused is false");
    let address = daemon.address.to_string();
    daemon.terminate();
    waiting.until("asking again");
    let daemon = site.start_on(&address);
    project.accept(&daemon, Transition::ControlPause);
    project.accept(&daemon, Transition::ControlResume);
    let (out, code) = waiting.end();
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("reached: control.paused == true"), "{out}");
}

#[test]
fn a_state_that_cannot_be_reached_ends_the_wait_with_4_and_says_why() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Boot, "LICENSED");
    project.accept(&daemon, Transition::IngestionResolveFailed);
    let goal = ["wait", "ingestion == READY", "--timeout", "300ms"];
    let (_, err, code) = run(&site, &daemon, &goal);
    assert_eq!(code, Some(3), "a failure that was not named is no reason to end: {err}");
    let (_, err, code) = run(&site, &daemon, &[&goal[..], &["--fail-on", "quarantined,effect-failed"]].concat());
    assert_eq!(code, Some(4), "{err}");
    assert!(err.contains("cannot be reached") && err.contains("ingestion failed"), "{err}");
    project.accept(&daemon, Transition::ControlTerminate);
    let (_, err, code) = run(&site, &daemon, &["wait", "ingestion == READY"]);
    assert_eq!(code, Some(4), "{err}");
    assert!(err.contains("TERMINATED"), "{err}");
}

#[test]
fn an_election_is_one_command_and_safe_to_repeat() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Boot, "LICENSED");
    let keys: Vec<String> = ["v1", "v2", "v3", "v4", "v5"].iter().map(|name| key(&site, name)).collect();
    let mut elect = vec!["council", "elect", "--timeout", "300ms"];
    keys.iter().for_each(|key| elect.extend(["--key", key.as_str()]));
    // Nothing answers for the tools here, so the council stays in TOOLING_SYNC.
    let (_, err, code) = run(&site, &daemon, &elect);
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("Council_ProfilesLoaded") && err.contains("Council_QuorumCert"), "{err}");
    let council =
        |daemon: &Daemon| daemon.get("/state?project=p&projection=council").json()["projection"]["council"].clone();
    let elected = council(&daemon);
    assert_eq!(elected["phase"], "TOOLING_SYNC", "{elected}");
    project.refresh(&daemon);
    project.accept(&daemon, Transition::CouncilMcpGreen);
    let (out, err, code) = run(&site, &daemon, &elect);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("the council is READY with"), "{out}");
    assert_eq!(council(&daemon)["members"], elected["members"]);
    let stranger = key(&site, "stranger");
    let (_, err, code) = run(&site, &daemon, &["council", "elect", "--key", &keys[0], "--key", &stranger]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("no candidates of it"), "{err}");
}

#[test]
fn an_approval_fills_in_its_binding_and_counts_once() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Execution, "WORK");
    let members: Vec<String> = {
        let state = daemon.get("/state?project=p&projection=council").json();
        state["projection"]["council"]["members"].as_object().unwrap().keys().cloned().collect()
    };
    let names = ["v1", "v2", "v3", "v4", "v5"];
    let seated: Vec<&str> =
        names.into_iter().filter(|name| members.contains(&site.hands.get(name).key().to_string())).collect();
    let first = key(&site, seated[0]);
    let (_, err, code) = run(&site, &daemon, &["approve", "--key", &first]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("execution is WORK") && err.contains("BeatReviewGate"), "{err}");
    project.accept(&daemon, Transition::ExecutionBeatReviewGate);
    let other = site.file("other-plan.md");
    std::fs::write(&other, "another plan").unwrap();
    let (_, err, code) = run(&site, &daemon, &["approve", "--key", &first, "--plan", other.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("nothing was signed"), "{err}");
    let second = key(&site, seated[1]);
    let (_, err, code) = run(&site, &daemon, &["approve", "--key", &first, "--key", &second]);
    assert_eq!(code, Some(0), "{err}");
    let (_, err, code) = run(&site, &daemon, &["approve", "--key", &first]);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("approved this plan already"), "{err}");
    let state = daemon.get("/state?project=p&projection=execution").json();
    assert_eq!(state["projection"]["execution"]["approvals"].as_object().unwrap().len(), 2, "{state}");
}

/// The quick start needed a command of its own for ApprovalsThreshold, and with it eleven commands.
#[test]
fn the_approval_that_reaches_the_threshold_finishes_the_review_and_a_repeat_finds_it_done() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Execution, "WORK");
    project.accept(&daemon, Transition::ExecutionBeatReviewGate);
    let state = daemon.get("/state?project=p&projection=council").json();
    let members = state["projection"]["council"]["members"].as_object().unwrap().clone();
    let is_member = |name: &&str| members.contains_key(&site.hands.get(name).key().to_string());
    let seated: Vec<String> =
        ["v1", "v2", "v3", "v4", "v5"].into_iter().filter(is_member).map(|name| key(&site, name)).collect();
    let phase =
        || daemon.get("/state?project=p&projection=execution").json()["projection"]["execution"]["phase"].clone();
    let (_, err, code) = run(&site, &daemon, &["approve", "--key", &seated[0], "--finish"]);
    assert_eq!((code, phase()), (Some(0), json!("REVIEW")), "{err}");
    assert!(err.contains("1 of 2 approvals"), "{err}");
    let (out, err, code) = run(&site, &daemon, &["approve", "--key", &seated[1], "--finish"]);
    assert_eq!((code, phase()), (Some(0), json!("REVERB")), "{err}");
    assert!(out.contains("Execution_Approve") && out.contains("Execution_ApprovalsThreshold"), "{out}");
    let (out, err, code) = run(&site, &daemon, &["approve", "--key", &seated[1], "--finish"]);
    assert_eq!((out.as_str(), code), ("", Some(0)), "{err}");
    assert!(err.contains("in REVERB already"), "{err}");
    // Without --finish, and for a member who did not approve, it is no review.
    for wrong in [vec!["--key", seated[1].as_str()], vec!["--key", seated[2].as_str(), "--finish"]] {
        let (_, err, code) = run(&site, &daemon, &[vec!["approve"], wrong].concat());
        assert_eq!(code, Some(1), "{err}");
        assert!(err.contains("approvals count in REVIEW alone"), "{err}");
    }
}

/// One of three runs succeeded; the others ended with `guard_member` and did not try their second key.
#[test]
fn approvals_by_several_runs_at_once_all_succeed_and_a_key_of_no_member_posts_nothing() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Execution, "WORK");
    project.accept(&daemon, Transition::ExecutionBeatReviewGate);
    let state = daemon.get("/state?project=p&projection=council").json();
    let members = state["projection"]["council"]["members"].as_object().unwrap().clone();
    let is_member = |name: &&str| members.contains_key(&site.hands.get(name).key().to_string());
    let seated: Vec<String> =
        ["v1", "v2", "v3", "v4", "v5"].into_iter().filter(is_member).map(|name| key(&site, name)).collect();
    let approvals = || {
        let state = daemon.get("/state?project=p&projection=execution").json();
        state["projection"]["execution"]["approvals"].as_object().unwrap().len()
    };
    let (_, err, code) = run(&site, &daemon, &["approve", "--key", &seated[0], "--key", &key(&site, "stranger")]);
    assert_eq!((code, approvals()), (Some(1), 0), "{err}");
    assert!(err.contains("no elected member") && err.contains("--key"), "{err}");
    let arguments = ["approve", "--key", &seated[0], "--key", &seated[1]];
    let runs: Vec<Child> = (0..3)
        .map(|_| {
            let mut command = command(&site, &daemon, &arguments);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for run in runs {
        let (out, err, code) = said(&run.wait_with_output().unwrap());
        assert_eq!(code, Some(0), "{out}{err}");
    }
    assert_eq!(approvals(), 2);
}

/// A node without TLS was asked again by https until the time was over.
#[test]
fn a_wait_by_https_for_a_node_without_tls_ends_at_once() {
    let site = Site::new();
    let daemon = site.start();
    let node = format!("https://{}", daemon.address);
    let (_, err, code) = run(&site, &daemon, &["wait", "index >= 1", "--node", &node]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("begins with http://") && !err.contains("asking again"), "{err}");
}

/// The beginning of the loop took four hashes, copied by hand.
#[test]
fn hashes_of_all_ready_come_from_the_state_and_the_plan_from_its_file() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Ingestion, "READY");
    let operator = key(&site, "operator");
    let (_, err, code) = run(&site, &daemon, &["propose", "AllReady", "--key", &operator]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("council is PLAN_ROLES"), "{err}");
    project.drive(&daemon, Region::Council, "READY");
    project.drive(&daemon, Region::Environment, "READY");
    let (_, err, code) = run(&site, &daemon, &["propose", "AllReady", "--key", &operator]);
    assert_eq!(code, Some(0), "{err}");
    let plan = site.file("plan.md");
    std::fs::write(&plan, "# Plan\n").unwrap();
    let (_, err, code) = run(
        &site,
        &daemon,
        &["propose", "PlanLocked", "--key", &operator, "--plan", plan.to_str().unwrap(), "--wait", "5m"],
    );
    assert_eq!(code, Some(0), "{err}");
    let state = daemon.get("/state?project=p&projection=execution").json();
    let hash = swoosh::types::hash::Hash::of(b"# Plan\n");
    assert_eq!(state["projection"]["execution"]["plan_hash"], json!(hash), "{state}");
    let misplaced = ["propose", "Licensed", "--key", &operator, "--plan", plan.to_str().unwrap()];
    let (_, err, code) = run(&site, &daemon, &misplaced);
    assert_eq!(code, Some(2), "{err}");
}

#[test]
fn an_ambiguous_end_of_a_name_lists_the_candidates() {
    let site = Site::new();
    let daemon = site.start();
    let (_, err, code) = run(&site, &daemon, &["propose", "Reaffirm", "--key", &key(&site, "operator")]);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("Council_Reaffirm") && err.contains("Environment_Reaffirm"), "{err}");
}

#[test]
fn a_closed_window_is_waited_for_as_long_as_the_wait_allows() {
    let site = Site::with(review_closed(), |_| {});
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Execution, "WORK");
    let operator = key(&site, "operator");
    let (_, err, code) = run(&site, &daemon, &["propose", "BeatReviewGate", "--key", &operator, "--wait", "1s"]);
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("guard_window") && err.contains("the review window opens in 15h"), "{err}");
    let (_, err, code) = run(&site, &daemon, &["propose", "BeatReviewGate", "--key", &operator]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("guard_window") && err.contains("`--wait SPAN` waits for it"), "{err}");
    // A guard that time does not open is refused at once.
    let (_, err, code) = run(&site, &daemon, &["propose", "ApprovalsThreshold", "--key", &operator, "--wait", "1h"]);
    assert_eq!(code, Some(1), "{err}");
}

/// Windows of a cycle that is used up: the next cycle has a fresh one.
#[test]
fn a_fresh_window_is_waited_for_and_the_proposal_is_accepted_in_it() {
    let site = Site::with(cycles_of(6_000), |_| {});
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.drive(&daemon, Region::Execution, "REVERB");
    let operator = key(&site, "operator");
    let arguments = ["propose", "NextWindow", "--key", &operator, "--wait", "5m", "--wait", "execution == PLAN"];
    let (out, err, code) = run(&site, &daemon, &arguments);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("Execution_NextWindow"), "{out}");
    assert!(err.contains("reached: execution == PLAN"), "{err}");
}

/// The same step of a pipeline an hour later had another key, and was proposed twice.
#[test]
fn a_time_names_the_beat_of_the_key_so_that_a_step_that_runs_again_is_the_same_proposal() {
    let always = json!([{"phase_beats": 0, "length_beats": 1440}]);
    let site = Site::with(daily(always), |_| {});
    let daemon = site.start();
    Project::new(&site, "p").drive(&daemon, Region::Boot, "LICENSED");
    let operator = key(&site, "operator");
    let secret = site.hands.get("operator").secret.expose().to_string();
    let begun = daemon.get("/health").json()["time"].as_str().unwrap().split("+00:00").next().unwrap().to_owned();
    let an_hour_ago = {
        let at = swoosh::types::civil::parse_rfc3339(&format!("{begun}Z")).unwrap() - 3_600_000;
        swoosh::types::hlc::Hlc::new(at, 0).unwrap().to_string().trim_end_matches("#0").to_owned()
    };
    let step =
        ["--json", "propose", "Control_Pause", "--goal", "ci", "--uuid", "run-1-pause", "--beat-at", &an_hour_ago];
    let inputs = ["--inputs", r#"{"rationale": "x"}"#];
    let propose = |key: &[&str]| command(&site, &daemon, &[&step[..], &inputs, key].concat());
    let (first, err, code) = said(&propose(&["--key", &operator]).output().unwrap());
    assert_eq!(code, Some(0), "{err}");
    // No key file: the key comes from the environment.
    let mut again = propose(&[]);
    again.env("SWOOSH_KEY", "env:CI_KEY").env("CI_KEY", &secret);
    let (second, err, code) = said(&again.output().unwrap());
    assert_eq!(code, Some(0), "{err}");
    let index = |receipt: &str| serde_json::from_str::<Value>(receipt).unwrap()["index"].clone();
    assert_eq!(index(&first), index(&second));
}
