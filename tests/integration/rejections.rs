//! Every bad input that the daemon must refuse, posted to a running one. Status and code are those of
//! `docs/rejections.md`, the problem document is complete, no head moves, and the daemon keeps serving.

mod guards;
pub(crate) mod node;
mod policy;
mod request;
mod sequence;
mod signature;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use swoosh::types::names::{GuardName, Region, Transition};

use crate::support::daemon::{Daemon, Site};
use crate::support::driver::{Project, bytes};
use crate::support::http::{Answer, Wire, proposal, request};
use crate::support::outside;
use crate::support::sockets::eventually;
use crate::support::world::Ask;
use swoosh::types::fact::FactKind;

/// A daemon, and what it refused so far.
struct Table<'a> {
    site: &'a Site,
    daemon: &'a Daemon,
    /// Rows that did not come out as they must.
    wrong: Vec<String>,
    /// Guards that failed in some row.
    guards: BTreeSet<String>,
    /// Codes that some row was answered with.
    codes: BTreeSet<String>,
    rows: usize,
}

impl<'a> Table<'a> {
    fn new(site: &'a Site, daemon: &'a Daemon) -> Table<'a> {
        let (guards, codes) = (BTreeSet::new(), BTreeSet::new());
        Table { site, daemon, wrong: Vec::new(), guards, codes, rows: 0 }
    }

    /// A project of this name, driven to a region's state.
    fn project(&self, name: &str, region: Region, state: &str) -> Project<'a> {
        let mut project = Project::new(self.site, name);
        project.refresh(self.daemon);
        project.drive(self.daemon, region, state);
        project
    }

    /// A row: the request is refused with this status and code. Returns the problem document.
    fn refused(&mut self, name: &str, request: &[u8], status: u16, code: &str) -> Value {
        self.rows += 1;
        let before = self.heads();
        let answer = self.daemon.send(request);
        let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let mut wrong = faults(&answer, &problem, status, code);
        let after = self.heads();
        if after != before {
            wrong.push("a head moved".to_owned());
        }
        if let (Some(project), Some(head)) = (problem["project"].as_str(), problem["head"].as_str()) {
            let shown = self.daemon.get(&format!("/state?project={project}")).json();
            if shown["hash"] != head && shown["head"] != head {
                wrong.push(format!("head is {head}, which {project} is not at"));
            }
        }
        if self.daemon.get("/health/live").status != 200 {
            wrong.push("the daemon does not serve any more".to_owned());
        }
        self.note(&problem);
        self.wrong.extend(wrong.into_iter().map(|wrong| format!("{name}: {wrong}: {}", answer.text())));
        problem
    }

    /// Every project's head, and the log's last index.
    fn heads(&self) -> (u64, Value) {
        (self.daemon.last_index(), self.daemon.get("/projects").json())
    }

    fn note(&mut self, problem: &Value) {
        self.codes.extend(problem["code"].as_str().map(str::to_owned));
        self.guards.extend(problem["guard"].as_str().map(str::to_owned));
        let outcomes = problem["guard_outcomes"].as_array().into_iter().flatten();
        let failed = outcomes.filter(|outcome| outcome["ok"] == false);
        self.guards.extend(failed.filter_map(|outcome| outcome["guard"].as_str()).map(str::to_owned));
    }

    /// A row of a proposal that is well made but must be refused.
    fn rejected(&mut self, name: &str, project: &Project<'_>, ask: &Ask, code: &str) -> Value {
        let body = bytes(&project.signed(ask));
        let problem = self.refused(name, &proposal(&body, &[]), 400, code);
        if problem["head"] != project.head.hash().to_string() {
            self.wrong.push(format!("{name}: it must show the head: {problem}"));
        }
        problem
    }

    /// A row of a proposal whose signer hears nothing of the project.
    fn unknown(&mut self, name: &str, project: &Project<'_>, ask: &Ask, code: &str) {
        let body = bytes(&project.signed(ask));
        let problem = self.refused(name, &proposal(&body, &[]), 400, code);
        if problem.get("head").is_some() || problem.get("hlc_last").is_some() {
            self.wrong.push(format!("{name}: it says where the project is: {problem}"));
        }
    }

    #[track_caller]
    fn finish(self) {
        assert!(self.wrong.is_empty(), "{} of {} rows:\n{}", self.wrong.len(), self.rows, self.wrong.join("\n"));
    }
}

/// Faults of an answer that must be this problem; empty if none.
fn faults(answer: &Answer, problem: &Value, status: u16, code: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            wrong.push(what.to_owned());
        }
    };
    must(
        (answer.status, answer.code().as_str()) == (status, code),
        &format!("{} is not {status} {code}", answer.status),
    );
    must(answer.header("content-type") == Some("application/problem+json"), "the content type is not a problem's");
    must(problem["type"] == format!("/docs/rejections#{code}"), "type does not point at the code's entry");
    must(problem["status"] == status, "status is not the answer's");
    must(
        ["title", "detail"].iter().all(|name| problem[name].as_str().is_some_and(|text| !text.is_empty())),
        "no words",
    );
    let reasons = problem["reasons"].as_array().cloned().unwrap_or_default();
    let explained =
        !reasons.is_empty() && reasons.iter().all(|reason| reason.as_str().is_some_and(|text| !text.is_empty()));
    must(explained, "no reasons");
    must(status != 405 || answer.header("allow").is_some(), "Allow is missing");
    must(status != 503 || answer.header("retry-after").is_some(), "Retry-After is missing");
    wrong
}

/// Facts of single projects that make their guards fail.
fn facts_of_projects() -> Vec<(FactKind, Option<String>, Value)> {
    let about = |kind, project: &str, body| (kind, Some(project.to_owned()), body);
    vec![
        about(FactKind::Windows, "closed", crate::support::daemon::review_closed()),
        about(FactKind::Windows, "relay", crate::support::daemon::long_cycle()),
        about(FactKind::License, "unlicensed", json!({"id": "license-2", "scopes": ["other"]})),
        about(FactKind::Tooling, "untooled", outside::tooling(true, "0.9.0")),
        about(FactKind::Tooling, "unreachable", outside::tooling(false, "1.2.0")),
        about(FactKind::Capacity, "crowded", json!({"resources": {"vcpu": 2, "memory_mib": 16384}})),
        about(FactKind::Health, "sick", json!({"assets": {"image/base": "ok", "image/tools": "failed"}})),
    ]
}

#[test]
fn bad_requests_are_refused_by_name() {
    let site = Site::new();
    let daemon = site.start();
    let mut table = Table::new(&site, &daemon);
    request::bodies(&mut table);
    request::frames(&mut table);
    request::reads(&mut table);
    signature::rows(&mut table);
    table.finish();
}

#[test]
fn bad_proposals_are_refused_in_the_order_of_the_checks() {
    let site = Site::new();
    let daemon = site.start();
    let mut table = Table::new(&site, &daemon);
    sequence::identities(&mut table);
    sequence::keys(&mut table);
    sequence::clocks(&mut table);
    sequence::states(&mut table);
    table.finish();
}

#[test]
fn every_guard_fails_in_some_state_that_callers_can_bring_about() {
    let site = Site::new();
    site.tell(&facts_of_projects());
    let daemon = site.start();
    let mut table = Table::new(&site, &daemon);
    guards::boot(&mut table);
    guards::ingestion(&mut table);
    guards::council(&mut table);
    guards::votes(&mut table);
    guards::environment(&mut table);
    guards::execution(&mut table);
    guards::approvals(&mut table);
    policy::rows(&mut table);
    let failed = table.guards.clone();
    table.finish();
    // These four have codes of their own, which the other tests show.
    let missing: Vec<_> = GuardName::ALL.iter().filter(|guard| !failed.contains(guard.as_str())).collect();
    assert_eq!(missing, [&GuardName::Clock, &GuardName::Head, &GuardName::Identity, &GuardName::Signature]);
}

/// The value of a metric.
fn metric(daemon: &Daemon, name: &str) -> u64 {
    let text = daemon.get("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
    line.trim().parse().unwrap()
}

/// Proposals that the sequencer never saw were neither counted nor logged, and named no guard.
#[test]
fn proposals_that_cannot_be_verified_are_counted_logged_and_name_their_guard() {
    let site = Site::new();
    let daemon = site.start();
    let mut project = Project::new(&site, "p");
    project.refresh(&daemon);
    let good = project.signed(&Ask::new(Transition::BootConfigOk));
    let mut forged: Value = serde_json::from_slice(&bytes(&good)).unwrap();
    forged["inputs_hash"] = json!(swoosh::types::hash::Hash::of(b"other inputs"));
    let mut unsigned: Value = serde_json::from_slice(&bytes(&good)).unwrap();
    unsigned.as_object_mut().unwrap().remove("signature");
    let failed = || metric(&daemon, "swoosh_guard_fail_total{guard=\"signature\"}");
    for (request, code) in [
        (proposal(b"{", &[]), "bad_json"),
        (proposal(&serde_json::to_vec(&unsigned).unwrap(), &[]), "schema"),
        (proposal(&serde_json::to_vec(&forged).unwrap(), &[]), "inputs_hash_mismatch"),
        (
            request("POST", "/transition", &["content-type: text/plain", "content-length: 2"], b"{}"),
            "unsupported_media_type",
        ),
    ] {
        let refusals = || metric(&daemon, &format!("swoosh_rejection_total{{code=\"{code}\"}}"));
        let before = (failed(), refusals());
        let problem = daemon.send(&request).json();
        assert_eq!((&problem["code"], &problem["guard"]), (&json!(code), &json!("signature")), "{problem}");
        assert_eq!((failed(), refusals()), (before.0 + 1, before.1 + 1), "{code}");
        let is_line =
            |line: &String| line.contains("proposal refused") && line.contains(&format!("\"code\":\"{code}\""));
        eventually("the log line of a refusal", || daemon.log().iter().any(is_line));
    }
    // A verified one is logged with what it says of itself.
    project.propose(&daemon, &Ask::new(Transition::BootConfigOk)).receipt();
    let refused = project.propose(&daemon, &Ask::new(Transition::ControlResume));
    let shown = |line: &String| {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        let fields = ["state_pre_hash", "state_post_hash", "hlc", "window_id", "left_out"];
        line["message"] == "proposal refused"
            && line["transition"] == "Control_Resume"
            && line["code"] == refused.code()
            && fields.iter().all(|name| !line[name].is_null())
    };
    eventually("the log line of a refused proposal", || daemon.log().iter().any(shown));
}

#[test]
fn a_body_that_does_not_arrive_in_time_is_answered_408() {
    let site = Site::with(crate::support::daemon::always_open(), |settings| {
        settings["http"] = json!({"request_timeout_ms": 300});
    });
    let daemon = site.start();
    let mut table = Table::new(&site, &daemon);
    let begun =
        request("POST", "/transition", &["content-type: application/json", "content-length: 500"], b"{\"hlc\":");
    table.refused("a body that stops", &begun, 408, "request_timeout");
    let chunked = ["content-type: application/json", "transfer-encoding: chunked"];
    let begun = request("POST", "/transition", &chunked, b"3\r\n{\"h\r\n");
    table.refused("a chunked body that stops", &begun, 408, "request_timeout");
    table.finish();
    assert!(Wire::connect(daemon.address).is_ok());
}

/// The revocation and the victim's proposals are posted at the same moment, so that some of them wait while
/// the revocation is judged.
#[test]
fn nothing_of_a_revoked_identity_is_accepted_after_its_revocation() {
    let site = Site::new();
    let daemon = site.start();
    let victim = site.hands.get("fresh").key();
    let mut revoked_first = 0;
    for round in 0..30 {
        // A key that was revoked once stays so; each round has a project of its own.
        let mut project = Project::new(&site, &format!("race-{round}"));
        project.drive(&daemon, Region::Boot, "LICENSED");
        let grant = json!({"key": victim, "identity": {"name": "victim", "roles": ["operator"]}});
        project.propose(&daemon, &Ask::new(Transition::BootIdentityGranted).with(grant)).receipt();
        revoked_first += usize::from(race(&daemon, &mut project, round % 2 == 0));
        project.refresh(&daemon);
        let revoke = revocation(&project);
        if !project.head.state().boot.identities[&victim].revoked {
            project.propose(&daemon, &revoke).receipt();
        }
    }
    assert!(revoked_first > 0, "the revocation never came first");
    let mut revoked = std::collections::BTreeSet::new();
    for entry in crate::support::wal::read(&daemon) {
        let record = entry.record;
        let late = record.signer == victim && revoked.contains(&record.project);
        assert!(!late, "record {} is the victim's", record.index);
        if record.transition == Transition::BootIdentityRevoked {
            revoked.insert(record.project);
        }
    }
    assert_eq!(revoked.len(), 30);
}

fn revocation(project: &Project<'_>) -> Ask {
    let inputs = json!({"key": project.site.hands.get("fresh").key(), "rationale": "the key leaked"});
    Ask::new(Transition::BootIdentityRevoked).with(inputs)
}

/// Posts all at once, or the revocation a moment before the others, so that both orders are seen; tells whether
/// the revocation was accepted. The victim's proposals are then refused as those of a revoked identity,
/// although they were signed before.
fn race(daemon: &Daemon, project: &mut Project<'_>, head_start: bool) -> bool {
    let pause = |n: u32| Ask::new(Transition::ControlPause).by("fresh").with(json!({"rationale": format!("try {n}")}));
    let mut bodies: Vec<_> = (0..4).map(|n| bytes(&project.signed(&pause(n)))).collect();
    bodies.insert(1, bytes(&project.signed(&revocation(project))));
    let barrier = std::sync::Barrier::new(bodies.len());
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let post = |(n, body): (usize, Vec<u8>)| {
            let barrier = &barrier;
            scope.spawn(move || {
                let mut wire = daemon.connect();
                let request = proposal(&body, &[]);
                if n == 1 && head_start {
                    wire.send(&request).unwrap();
                    barrier.wait();
                    return wire.answer().unwrap();
                }
                barrier.wait();
                wire.exchange(&request).unwrap()
            })
        };
        let posted: Vec<_> = bodies.into_iter().enumerate().map(post).collect();
        posted.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let accepted: Vec<_> = answers.iter().map(|answer| answer.status == 202).collect();
    assert_eq!(accepted.iter().filter(|accepted| **accepted).count(), 1, "all name one head");
    if accepted[1] {
        for (n, answer) in answers.iter().enumerate().filter(|(n, _)| *n != 1) {
            assert_eq!(answer.code(), "identity_revoked", "{n}: {}", answer.text());
        }
    }
    accepted[1]
}
