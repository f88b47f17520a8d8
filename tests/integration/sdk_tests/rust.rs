//! The Rust SDK against a real node, as the other SDKs are tried. The node is killed and started again meanwhile.

use std::time::Duration;

use serde_json::{Value, json};
use swoosh::client::{Client, Condition, Draft, Outcome, ProposeError, WaitError};
use swoosh::types::names::{Region, Transition};
use swoosh::types::rejection::Code;
use swoosh::types::text::ProjectName;

use super::stage::{good, stage};
use crate::support::daemon::{Daemon, Site};

/// Far longer than any of these waits takes.
const PATIENCE: Duration = Duration::from_secs(120);

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

struct Stage {
    site: Site,
    daemon: Daemon,
    outcomes: Value,
}

impl Stage {
    fn new() -> Stage {
        let site = Site::new();
        let daemon = site.start();
        let outcomes = stage(&site, &daemon)["outcomes"].clone();
        Stage { site, daemon, outcomes }
    }

    fn client(&self, name: &str) -> Client {
        let builder = Client::builder(&format!("http://{}", self.daemon.address));
        let builder = builder.signing(self.site.cluster.clone(), self.site.hands.get(name).secret.clone());
        builder.node(self.site.hands.get("node").key()).build().unwrap()
    }

    /// Kills the node; it is started again on the same address.
    fn restart(self) -> Stage {
        let address = self.daemon.address.to_string();
        self.daemon.kill();
        Stage { daemon: self.site.start_on(&address), ..self }
    }

    fn end(self) {
        self.daemon.terminate();
        good(&self.site.run(&["wal", "verify"]));
        good(&self.site.run(&["replay", "--reguard"]));
    }
}

fn project(name: &str) -> ProjectName {
    name.parse().unwrap()
}

fn control(transition: Transition, name: &str) -> Draft {
    Draft::new(transition, &json!({"rationale": "d\u{e9}jeuner"})).unwrap().to(project(name))
}

fn pause(name: &str) -> Draft {
    control(Transition::ControlPause, name)
}

fn resume(name: &str) -> Draft {
    control(Transition::ControlResume, name)
}

async fn index(client: &Client, draft: Draft) -> u64 {
    client.propose(draft).await.unwrap().receipt().unwrap().index
}

#[test]
fn a_proposal_of_the_rust_sdk_is_accepted_once_however_often_it_is_sent() {
    let stage = Stage::new();
    runtime().block_on(async {
        let operator = stage.client("operator");
        let beat = operator.transitions(&project("plain")).await.unwrap().beat;
        let draft = pause("plain").at_beat(beat).with_uuid("rust-pause-1".parse().unwrap());
        let (first, again) = (operator.propose(draft.clone()).await.unwrap(), operator.propose(draft).await.unwrap());
        let (Outcome::Accepted(first), Outcome::Accepted(again)) = (first, again) else { panic!("one is held") };
        assert_eq!((first.replayed, again.replayed, &again.body), (false, true, &first.body));
        let state = operator.proven_state(&project("plain"), &["control"], None).await.unwrap();
        assert_eq!(state.section("control").unwrap()["paused"], true);
        let refused = operator.propose(pause("plain")).await;
        assert!(matches!(refused, Err(ProposeError::Rejected(problem)) if problem.code == Code::NotEnabled));
        let view = operator.transitions(&project("plain")).await.unwrap();
        let resume = view.of(Transition::ControlResume).unwrap();
        assert_eq!((view.exists, resume.inputs.len()), (Some(true), 1));
        assert!(resume.inputs.contains_key("rationale"));
        assert_eq!(resume.op_class.map(|class| class.to_string()).as_deref(), Some("control"));
        assert!(!resume.signers.is_empty());
    });
    stage.end();
}

#[test]
fn a_council_is_elected_by_the_rust_sdk() {
    let stage = Stage::new();
    runtime().block_on(async {
        let agent = stage.client("agent");
        let election = agent.election(&project("council")).await.unwrap();
        let voters = ["v1", "v2", "v3"].map(|name| stage.client(name).identity().unwrap().clone());
        let votes = voters.map(|voter| election.vote(&stage.site.cluster, &voter).unwrap());
        index(&agent, election.certificate(&votes).unwrap()).await;
        let state = agent.proven_state(&project("council"), &["council"], None).await.unwrap();
        assert_eq!(state.section("council").unwrap()["members"], json!(election.members));
    });
    stage.end();
}

#[test]
fn an_outcome_of_the_rust_sdk_counts_once_and_is_held_while_the_project_is_paused() {
    let stage = Stage::new();
    runtime().block_on(async {
        let (operator, worker) = (stage.client("operator"), stage.client("worker"));
        let outcome = |name: &str| {
            let draft = Draft::new(Transition::IngestionCorpusBuilt, &stage.outcomes[name]).unwrap();
            draft
                .to(project(name))
                .for_goal("index".parse().unwrap())
                .at_beat(0)
                .with_uuid("rust-worker-1".parse().unwrap())
        };
        assert_eq!(index(&worker, outcome("work")).await, index(&worker, outcome("work")).await);
        index(&operator, pause("held")).await;
        let held = worker.propose(outcome("held")).await.unwrap();
        assert!(matches!(&held, Outcome::Held(held) if held.key.uuid.as_str() == "rust-worker-1"), "{held:?}");
        index(&operator, resume("held")).await;
        let ready = Condition::phase(Region::Ingestion, &["READY"]);
        let state = operator.wait_for(&project("held"), &ready, PATIENCE).await.unwrap();
        assert_eq!(state.section("ingestion").unwrap()["phase"], "READY");
    });
    stage.end();
}

/// Events continue over a kill of the node, none is given twice, and a wait that began before sees a state after it.
#[test]
fn events_and_waits_of_the_rust_sdk_go_on_over_a_kill_of_the_node() {
    let stage = Stage::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let operator = stage.client("operator");
    let begin = runtime.block_on(operator.health()).unwrap().last_index;
    let (listener, waiter) = (operator.clone(), operator.clone());
    let heard = runtime.spawn(async move {
        let mut events =
            listener.follow(Some(&project("plain")), "transition", Some(format!("1-{begin}").parse().unwrap()));
        let mut heard = Vec::new();
        while heard.len() < 4 {
            let event = events.next().await.unwrap();
            heard.extend(event.data["index"].as_u64().filter(|_| event.kind == "transition"));
        }
        heard
    });
    let waited = runtime.spawn(async move {
        // Both states last for one record only, the second one after the kill.
        let paused_again = Condition::new("the second pause", &["control"], move |view| {
            view.section("control").is_some_and(|control| control["paused"] == true) && view.index >= begin + 3
        });
        waiter.wait_for(&project("plain"), &paused_again, PATIENCE).await
    });
    let mut made = Vec::new();
    let both = |made: &mut Vec<u64>| {
        for draft in [pause("plain"), resume("plain")] {
            made.push(runtime.block_on(index(&operator, draft)));
        }
    };
    both(&mut made);
    let stage = stage.restart();
    both(&mut made);
    assert_eq!(runtime.block_on(heard).unwrap(), made);
    assert_eq!(runtime.block_on(waited).unwrap().unwrap().index, made[2]);
    let over = runtime.block_on(operator.wait_for(
        &project("plain"),
        &Condition::record(u64::MAX),
        Duration::from_millis(300),
    ));
    assert_eq!(over, Err(WaitError::TimeOver(format!("index {}", u64::MAX))));
    stage.end();
}
