//! A tiny HTTP/1.1 node with canned answers, and what the client does with them.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::DecisionId;
use swoosh_types::keys::SecretKey;
use swoosh_types::names::Transition;
use swoosh_types::receipt::SealedBatch;
use swoosh_types::rejection::Code;

/// A request to the node.
#[derive(Clone, Debug)]
struct Asked {
    target: String,
    prefers: bool,
    body: Vec<u8>,
}

impl Asked {
    fn is_post(&self) -> bool {
        !self.body.is_empty()
    }

    fn member(&self, name: &str) -> String {
        let document: Value = serde_json::from_slice(&self.body).unwrap();
        document[name].as_str().unwrap_or_default().to_owned()
    }
}

/// The node's answer; `Drop` closes the connection without one.
enum Answer {
    Json(u16, Value),
    With(u16, Value, &'static str),
    Drop,
}

type Log = Arc<Mutex<Vec<Asked>>>;

/// Starts a node; its answers may depend on what was asked and how often something was posted before.
async fn node(mut answer: impl FnMut(&Asked, usize) -> Answer + Send + 'static) -> (String, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let log = Log::default();
    let asked = log.clone();
    tokio::spawn(async move {
        let mut posts = 0;
        // One connection at a time is enough: the client waits for each answer. A connection that the
        // client keeps open is served until it closes or a dropped answer ends it.
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            while let Some(request) = read_request(&mut stream).await {
                asked.lock().unwrap().push(request.clone());
                let reply = answer(&request, posts);
                posts += usize::from(request.is_post());
                if !write_answer(&mut stream, reply).await {
                    break;
                }
            }
        }
    });
    (address, log)
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|&n| n > 0)?;
    let target = line.split(' ').nth(1)?.to_owned();
    let (mut length, mut prefers) = (0, false);
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.ok()?;
        if header.trim().is_empty() {
            break;
        }
        let header = header.to_ascii_lowercase();
        prefers |= header.starts_with("prefer: wait=");
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Asked { target, prefers, body })
}

async fn write_answer(stream: &mut BufReader<TcpStream>, answer: Answer) -> bool {
    let (status, body, header) = match answer {
        Answer::Json(status, body) => (status, body, ""),
        Answer::With(status, body, header) => (status, body, header),
        Answer::Drop => return false,
    };
    let body = body.to_string();
    let text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{header}\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).await.is_ok()
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_bytes(&[seed; 32])
}

fn hash(text: &str) -> Hash {
    Hash::of(text.as_bytes())
}

fn clock_reading(physical_ms: u64) -> Hlc {
    Hlc::new(physical_ms, 0).unwrap()
}

/// The receipt that a node gives for what was posted.
fn receipt(asked: &Asked) -> Value {
    let (chain, project) = (hash("chain"), "default".parse().unwrap());
    let sealed = SealedBatch::seal(&"c".parse().unwrap(), &key(9), 7, &[chain]).unwrap();
    let receipt = Receipt {
        decision: DecisionId::of(&project, 7, &chain),
        project,
        index: 7,
        transition: asked.member("transition").parse().unwrap(),
        idem_key: asked.member("idem_key").parse().unwrap(),
        state_pre_hash: asked.member("current_state_hash").parse().unwrap(),
        state_post_hash: hash("after"),
        hlc: asked.member("hlc").parse().unwrap(),
        timestamp: clock_reading(1_000_000),
        chain,
        path: sealed.path(0),
        seal: sealed.seal,
    };
    serde_json::to_value(receipt).unwrap()
}

fn problem(status: u16, code: &str, more: Value) -> Value {
    let mut problem = json!({"type": format!("/docs/rejections#{code}"), "title": "t", "status": status, "code": code,
        "detail": "because", "reasons": ["because"]});
    problem.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    problem
}

fn state(head: &str) -> Value {
    json!({"project": "default", "hash": hash(head), "index": 3, "hlc_last": null, "sections": {}, "projection": {}})
}

fn transitions() -> Value {
    let entry = |name: &str, region: &str, window: Value| {
        json!({"transition": name, "region": region, "enabled": true,
        "reasons": [], "guards": [], "window": window})
    };
    json!({"project": "default", "head": hash("head"), "time": clock_reading(1000), "beat": 42,
        "window_id": "backbeat:W-2025-10-19-02", "pressure": 0, "windows": {"plan": {"open": true, "opens_in_ms": 0}},
        "transitions": [entry("Control_Pause", "control", Value::Null),
            entry("Execution_PlanLocked", "execution", "plan".into())]})
}

/// Reads as a node answers them while nothing moves.
fn read(asked: &Asked) -> Answer {
    match asked.target.split(['?', '/']).nth(1) {
        Some("state") => Answer::Json(200, state("head")),
        Some("transitions") => Answer::Json(200, transitions()),
        _ => Answer::Json(404, problem(404, "not_found", json!({}))),
    }
}

fn client(address: &str) -> Client {
    let retry = RetryPolicy { attempts: 4, first_wait_ms: 0, longest_wait_ms: 0, patience_ms: 100 };
    let clock = Arc::new(HlcClock::over(|| 500));
    Client::builder(address).signing("c".parse().unwrap(), key(1)).retry(retry).clock(clock).build().unwrap()
}

fn accepted(outcome: Outcome) -> Accepted {
    outcome.accepted().unwrap()
}

fn draft(transition: Transition) -> Draft {
    Draft::new(transition, &json!({"rationale": "why not"})).unwrap()
}

fn posts(log: &Log) -> Vec<Asked> {
    log.lock().unwrap().iter().filter(|asked| asked.is_post()).cloned().collect()
}

#[tokio::test]
async fn a_stale_head_is_read_again_and_signed_again_under_the_same_key() {
    let mut heads = ["one", "two"].into_iter();
    let (address, log) = node(move |asked, posted| match (asked.is_post(), posted) {
        (true, 0) => Answer::Json(400, problem(400, "stale_head", json!({"head": hash("two"), "retry_after_ms": 1}))),
        (true, _) => Answer::Json(202, receipt(asked)),
        _ if asked.target.starts_with("/state") => Answer::Json(200, state(heads.next().unwrap())),
        _ => read(asked),
    })
    .await;
    let mut seen = Vec::new();
    let mut observer = |event: Event<'_>| match event {
        Event::Sending { attempt, .. } => seen.push(format!("sending {attempt}")),
        Event::Retrying { attempt, cause, .. } => seen.push(format!("retrying {attempt}: {cause}")),
        Event::Accepted { attempt, .. } => seen.push(format!("accepted {attempt}")),
    };
    let accepted = client(&address).propose_observed(&draft(Transition::ControlPause), &mut observer).await.unwrap();
    let posts = posts(&log);
    assert_eq!((accepted.attempts, posts.len(), accepted.replayed), (2, 2, false));
    assert_eq!(posts[0].member("idem_key"), posts[1].member("idem_key"));
    assert!(posts[0].member("idem_key").starts_with("adhoc:42:control:"));
    assert_eq!(posts[0].member("current_state_hash"), hash("one").to_string());
    assert_eq!(posts[1].member("current_state_hash"), hash("two").to_string());
    assert_ne!(posts[0].member("signature"), posts[1].member("signature"));
    assert_eq!(seen, ["sending 1", "retrying 1: stale_head: because", "sending 2", "accepted 2"]);
}

#[tokio::test]
async fn a_head_that_was_given_first_is_given_up_once_it_is_stale() {
    let (address, log) = node(|asked, posted| match (asked.is_post(), posted) {
        (true, 0) => Answer::Json(400, problem(400, "stale_head", json!({}))),
        (true, 1) => Answer::Json(400, problem(400, "hlc_not_after", json!({"hlc_last": clock_reading(5000)}))),
        (true, _) => Answer::Json(202, receipt(asked)),
        _ => read(asked),
    })
    .await;
    client(&address).propose(draft(Transition::ControlPause).from_head(hash("old"))).await.unwrap();
    let named: Vec<_> = posts(&log).iter().map(|asked| asked.member("current_state_hash")).collect();
    assert_eq!(named, [hash("old"), hash("head"), hash("head")].map(|head| head.to_string()));
}

/// The node gives it a short turn, in which the others wait: it neither waits nor reads the head first.
#[tokio::test]
async fn a_caller_that_is_called_in_line_signs_on_the_named_head_at_once() {
    let (address, log) = node(|asked, posted| match (asked.is_post(), posted) {
        (true, 0) => Answer::Json(400, problem(400, "stale_head", json!({"head": hash("mine"), "retry_after_ms": 0}))),
        (true, _) => Answer::Json(202, receipt(asked)),
        _ => read(asked),
    })
    .await;
    client(&address).propose(draft(Transition::ControlPause)).await.unwrap();
    let posts = posts(&log);
    let named: Vec<_> = posts.iter().map(|asked| asked.member("current_state_hash")).collect();
    assert_eq!(named, [hash("head"), hash("mine")].map(|head| head.to_string()));
    assert!(posts.iter().all(|asked| asked.prefers));
    assert_eq!(log.lock().unwrap().iter().filter(|asked| asked.target.starts_with("/state")).count(), 1);
}

#[tokio::test]
async fn a_draft_for_one_head_only_is_rejected_when_that_is_stale() {
    let (address, log) = node(|asked, _| match asked.is_post() {
        true => Answer::Json(400, problem(400, "stale_head", json!({}))),
        false => read(asked),
    })
    .await;
    let error = client(&address).propose(draft(Transition::ControlPause).only_on_head(hash("old"))).await.unwrap_err();
    assert!(matches!(&error, ProposeError::Rejected(problem) if problem.code == Code::StaleHead), "{error}");
    assert_eq!(posts(&log).iter().map(|asked| asked.prefers).collect::<Vec<_>>(), [false], "it has no use for a turn");
}

#[tokio::test]
async fn a_busy_or_silent_node_gets_the_same_bytes_again() {
    let (address, log) = node(|asked, posted| match (asked.is_post(), posted) {
        (true, 0) => Answer::Json(503, problem(503, "overloaded", json!({"retry_after_ms": 2}))),
        (true, 1) => Answer::Drop,
        (true, 2) => Answer::With(429, json!("slow down"), "retry-after: 0\r\n"),
        (true, _) => Answer::With(202, receipt(asked), "idempotency-replayed: true\r\n"),
        _ => read(asked),
    })
    .await;
    let accepted = accepted(client(&address).propose(draft(Transition::ControlPause)).await.unwrap());
    let posts = posts(&log);
    assert!(accepted.replayed);
    assert_eq!((accepted.attempts, posts.len()), (4, 4));
    assert!(posts.iter().all(|asked| asked.body == posts[0].body));
    assert_eq!(log.lock().unwrap().iter().filter(|asked| asked.target.starts_with("/state")).count(), 1);
}

#[tokio::test]
async fn giving_up_tells_the_key_and_the_last_cause() {
    let (address, log) = node(|asked, _| if asked.is_post() { Answer::Drop } else { read(asked) }).await;
    let error = client(&address).propose(draft(Transition::ControlPause)).await.unwrap_err();
    let key = posts(&log)[0].member("idem_key");
    assert!(matches!(&error, ProposeError::GaveUp { attempts: 4, key: Some(kept), .. } if kept.to_string() == key));
    assert!(error.to_string().contains("it may have been accepted"), "{error}");
}

#[tokio::test]
async fn a_refused_connection_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = client(&address).health().await.unwrap_err();
    assert!(matches!(error, ReadError::Link(LinkError::Connect { .. })), "{error}");
}

#[tokio::test]
async fn the_clock_follows_the_nodes() {
    let (address, log) = node(|asked, posted| match (asked.is_post(), posted) {
        (true, 0) => Answer::Json(400, problem(400, "hlc_not_after", json!({"hlc_last": clock_reading(9000)}))),
        (true, _) => Answer::Json(202, receipt(asked)),
        _ => read(asked),
    })
    .await;
    let client = client(&address);
    client.propose(draft(Transition::ControlPause)).await.unwrap();
    let posts = posts(&log);
    assert_eq!(posts[0].member("idem_key"), posts[1].member("idem_key"));
    let stamped = |n: usize| posts[n].member("hlc").parse::<Hlc>().unwrap();
    assert_eq!(stamped(0), Hlc::new(1000, 1).unwrap(), "after the node's time in GET /transitions");
    assert_eq!(stamped(1), Hlc::new(9000, 1).unwrap(), "after the last reading in the problem");
    assert_eq!(client.clock().last(), clock_reading(1_000_000), "the receipt's time");
}

#[tokio::test]
async fn any_other_rejection_is_returned_at_once() {
    let (address, log) = node(|asked, _| match asked.is_post() {
        true => Answer::Json(400, problem(400, "guard_quorum", json!({"guard": "quorum"}))),
        false => read(asked),
    })
    .await;
    let error = client(&address).propose(draft(Transition::ControlPause)).await.unwrap_err();
    let ProposeError::Rejected(problem) = error else { panic!("{error}") };
    assert_eq!(problem.code.to_string(), "guard_quorum");
    assert_eq!(posts(&log).len(), 1);
}

#[tokio::test]
async fn a_new_project_begins_on_the_genesis_head() {
    let (address, log) = node(|asked, _| match asked.is_post() {
        true => Answer::Json(202, receipt(asked)),
        false if asked.target.starts_with("/state") => {
            Answer::Json(404, problem(404, "unknown_project", json!({"head": hash("genesis")})))
        }
        false => read(asked),
    })
    .await;
    let client = client(&address);
    let head = client.head(&"default".parse().unwrap()).await.unwrap();
    assert_eq!(head, ProjectHead { head: hash("genesis"), is_new: true });
    client.propose(draft(Transition::BootConfigOk)).await.unwrap();
    assert_eq!(posts(&log)[0].member("current_state_hash"), hash("genesis").to_string());
}

#[tokio::test]
async fn a_window_is_named_where_the_transition_needs_one() {
    let (address, log) = node(|asked, _| match asked.is_post() {
        true => Answer::Json(202, receipt(asked)),
        false => read(asked),
    })
    .await;
    let client = client(&address);
    for draft in [
        draft(Transition::ExecutionPlanLocked),
        draft(Transition::ControlPause),
        draft(Transition::ExecutionPlanLocked).without_window(),
        draft(Transition::ExecutionPlanLocked).in_window("backbeat:W-2025-10-20-00".parse().unwrap()),
    ] {
        client.propose(draft).await.unwrap();
    }
    let named: Vec<_> = posts(&log).iter().map(|asked| asked.member("window_id")).collect();
    assert_eq!(named, ["backbeat:W-2025-10-19-02", "", "", "backbeat:W-2025-10-20-00"]);
}

#[tokio::test]
async fn a_receipt_that_proves_nothing_is_not_taken() {
    let (address, _) = node(|asked, posted| match (asked.is_post(), posted) {
        (true, 0) => {
            let mut forged = receipt(asked);
            forged["chain"] = json!(hash("other"));
            Answer::Json(202, forged)
        }
        (true, 1) => {
            let mut other = receipt(asked);
            other["idem_key"] = json!("adhoc:42:control:another-callers");
            Answer::Json(202, other)
        }
        (true, _) => Answer::Json(202, receipt(asked)),
        _ => read(asked),
    })
    .await;
    let client = client(&address);
    let propose = || client.propose(draft(Transition::ControlPause));
    let proof = ReceiptCheckError::Proof(ReceiptError::Path);
    assert!(matches!(propose().await, Err(ProposeError::Receipt(error)) if error == proof));
    let other = ReceiptCheckError::OtherProposal("key");
    assert!(matches!(propose().await, Err(ProposeError::Receipt(error)) if error == other));
    let receipt = accepted(propose().await.unwrap()).receipt;
    let strict = Client::builder(&address).signing("c".parse().unwrap(), key(1)).node(key(8).public()).build().unwrap();
    assert!(matches!(strict.verify_receipt(&receipt), Err(ReceiptCheckError::OtherNode { .. })));
}

/// An outcome that the project keeps was an error, so that a worker tried again or gave up.
#[tokio::test]
async fn a_held_outcome_is_no_error_and_names_its_key() {
    let (address, _) = node(|asked, _| match asked.is_post() {
        true => Answer::Json(400, problem(400, "outcome_held", json!({}))),
        false => read(asked),
    })
    .await;
    let outcome = client(&address).propose(draft(Transition::ControlPause)).await.unwrap();
    assert!(
        matches!(&outcome, Outcome::Held(held) if held.key.to_string().starts_with("adhoc:42:control:")),
        "{outcome:?}"
    );
    assert_eq!(outcome.receipt(), None);
}

#[tokio::test]
async fn another_address_of_the_cluster_is_asked_where_one_is_away_or_follows() {
    // No server listens at the first address; the second one follows.
    let (follower, followed) = node(|asked, _| match asked.is_post() {
        true => Answer::Json(503, problem(503, "follower", json!({}))),
        false => Answer::Json(502, json!("a proxy")),
    })
    .await;
    let (leader, led) = node(|asked, _| match asked.is_post() {
        true => Answer::Json(202, receipt(asked)),
        false => read(asked),
    })
    .await;
    let addresses = format!("http://127.0.0.1:1,{follower},{leader}");
    let client = client(&addresses);
    accepted(client.propose(draft(Transition::ControlPause)).await.unwrap());
    assert_eq!(posts(&led).len(), 1);
    assert!(!followed.lock().unwrap().is_empty());
    // It stays with the one that answered.
    let before = followed.lock().unwrap().len();
    accepted(client.propose(draft(Transition::ControlPause)).await.unwrap());
    assert_eq!((posts(&led).len(), followed.lock().unwrap().len()), (2, before));

    // The nodes here serve one connection at a time.
    drop(client);
    let reads = Client::reader(&addresses).unwrap();
    assert_eq!(reads.head(&"default".parse().unwrap()).await.unwrap().head, hash("head"));
    drop(reads);

    // Proposals alone: a follower is left, and the same bytes go to the leader.
    let ready = || draft(Transition::ControlPause).at_beat(1).from_head(hash("x")).without_window();
    let one = self::client(&follower);
    let alone = one.propose(ready()).await;
    assert!(matches!(alone, Err(ProposeError::Rejected(problem)) if problem.code == Code::Follower));
    drop(one);
    let both = self::client(&format!("{follower},{leader}"));
    assert_eq!(accepted(both.propose(ready()).await.unwrap()).attempts, 2);
    let sent = |log: &Log| posts(log).last().unwrap().body.clone();
    assert_eq!(sent(&followed), sent(&led));
    assert!(matches!(Client::reader("http://a,https://b"), Err(BuildError::Different(_))));
}

/// A receipt of any node of the roster is taken, and no other.
#[tokio::test]
async fn receipts_are_proven_by_the_roster() {
    let (address, _) =
        node(|asked, _| if asked.is_post() { Answer::Json(202, receipt(asked)) } else { read(asked) }).await;
    let of = |nodes: &[u8]| {
        let nodes = nodes.iter().map(|&seed| key(seed).public());
        Client::builder(&address).signing("c".parse().unwrap(), key(1)).nodes(nodes).build().unwrap()
    };
    accepted(of(&[8, 9]).propose(draft(Transition::ControlPause)).await.unwrap());
    let error = of(&[7, 8]).propose(draft(Transition::ControlPause)).await.unwrap_err().to_string();
    assert!([7, 8, 9].iter().all(|&seed| error.contains(&key(seed).public().to_string())), "{error}");
}

#[tokio::test]
async fn a_foreign_answer_is_reported() {
    let (address, _) = node(|_, _| Answer::Json(404, json!("nginx"))).await;
    let error = client(&address).propose(draft(Transition::ControlPause)).await.unwrap_err();
    assert!(matches!(&error, ProposeError::Read(ReadError::Unexpected { status: 404, .. })), "{error}");
    let reader = Client::reader(&address).unwrap();
    assert!(matches!(reader.propose(draft(Transition::ControlPause)).await, Err(ProposeError::ReadsOnly)));
}

/// What was posted, for answers that are judged without a node.
fn prepared() -> Prepared {
    let inputs = swoosh_types::json::Json::parse(b"{}").unwrap();
    let proposal = swoosh_types::proposal::Proposal {
        project: None,
        current_state_hash: hash("head"),
        transition: Transition::ControlResume,
        inputs_hash: Hash::of(&inputs.canonical()),
        inputs,
        signer: key(7).public(),
        idem_key: "goal:1:control:abcdefgh".parse().unwrap(),
        hlc: clock_reading(1_000),
        window_id: None,
        evidence: Vec::new(),
    };
    Prepared::of(proposal.sign(&"c".parse().unwrap(), &key(7))).unwrap()
}

/// Every SDK takes the same next step after an answer.
#[test]
fn the_next_step_after_each_answer_is_that_of_the_vectors() {
    let vectors: Value = serde_json::from_str(include_str!("../../../tests/vectors/problems.json")).unwrap();
    let (client, draft, prepared) = (client("http://127.0.0.1:1"), draft(Transition::ControlResume), prepared());
    for vector in vectors["answers"].as_array().unwrap() {
        let seconds = vector["headers"]["retry-after"].as_str().and_then(|text| text.parse::<u64>().ok());
        let body = vector["body"].as_str().unwrap().as_bytes().to_vec();
        let status = u16::try_from(vector["status"].as_u64().unwrap()).unwrap();
        let reply = link::Reply { status, retry_after_ms: seconds.map(|s| s * 1_000), replayed: false, body };
        let (step, may_be_accepted, called_at) = match client.judge(&prepared, Some(&draft), reply) {
            propose::Step::Again(cause) => {
                let step = if cause.needs_new_signature() { "sign" } else { "again" };
                assert_eq!(cause.retry_after_ms().unwrap_or(0), vector["wait_ms"].as_u64().unwrap(), "{vector}");
                (step, cause.may_be_accepted(), cause.called_at())
            }
            propose::Step::Failed(ProposeError::Rejected(problem)) if problem.code == Code::OutcomeHeld => {
                ("held", false, None)
            }
            propose::Step::Failed(_) => ("end", false, None),
            propose::Step::Done(_) => panic!("{vector}"),
        };
        assert_eq!(json!([step, may_be_accepted]), json!([vector["step"], vector["may_be_accepted"]]), "{vector}");
        assert_eq!(called_at.map_or(Value::Null, |head| json!(head)), vector["called_at"], "{vector}");
    }
}

/// A proposal to a damaged project was sent ten times, for 20 s.
#[tokio::test]
async fn a_damaged_project_ends_reads_and_proposals_at_once() {
    let damaged = || {
        let problem = json!({
            "type": "/docs/rejections#project_damaged", "title": "x", "status": 503, "code": "project_damaged", "detail": "record 4",
            "reasons": ["record 4"], "guard_outcomes": [], "retry_after_ms": 1,
        });
        Answer::Json(503, problem)
    };
    let (address, log) = node(move |_, _| damaged()).await;
    let client = Client::new(&address, "test".parse().unwrap(), key(1)).unwrap();
    let pause = || Draft::new(Transition::ControlPause, &json!({"rationale": "x"})).unwrap();
    let read = client.propose(pause()).await.unwrap_err();
    assert_eq!(read.problem().unwrap().code, Code::ProjectDamaged);
    let ready =
        pause().only_on_head(hash("head")).without_window().with_key(&"adhoc:1:control:key-00000001".parse().unwrap());
    let posted = client.propose(ready).await.unwrap_err();
    assert!(matches!(&posted, ProposeError::Rejected(problem) if problem.code == Code::ProjectDamaged), "{posted}");
    let log = log.lock().unwrap();
    assert_eq!((log.len(), log.iter().filter(|asked| asked.is_post()).count()), (2, 1));
}
