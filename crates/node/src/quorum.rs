//! Watches the pulses of elected sets: a project that loses its quorum, or finds it again, is acted on without
//! waiting for a caller.
//!
//! It looks once a second, because silence alone makes a member lost, and whenever something else is believed. Only
//! projects in EXECUTION that call for a change are named to the sequencer, which judges again on its own head.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use swoosh_machine::chart;
use swoosh_machine::guards::Case;
use swoosh_machine::judge::liveness_change;
use swoosh_sequencer::Handle;
use swoosh_types::fact::FactKind;
use swoosh_types::hash::Hash;
use swoosh_types::names::Transition;
use swoosh_types::text::ProjectName;

/// How often it looks.
const LOOK: Duration = Duration::from_secs(1);
/// When a project is named again whose head did not move: something forbids the change, a policy perhaps.
const AGAIN: Duration = Duration::from_secs(30);

pub struct QuorumWatch {
    handle: Handle,
    /// The last call of each project: its head and time.
    named: BTreeMap<ProjectName, (Hash, Instant)>,
}

impl QuorumWatch {
    /// Watches the projects of a sequencer.
    pub fn new(handle: Handle) -> QuorumWatch {
        QuorumWatch { handle, named: BTreeMap::new() }
    }

    /// Watches for ever.
    pub async fn run(mut self, mut changes: tokio::sync::watch::Receiver<()>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                changed = changes.changed() => if changed.is_err() { return },
            }
            self.look();
            // However fast facts change, looking takes a small part of the time.
            tokio::time::sleep(LOOK / 10).await;
        }
    }

    fn look(&mut self) {
        let facts = self.handle.facts();
        if !facts.set().iter().any(|fact| fact.fact.claim.kind == FactKind::Liveness) {
            return;
        }
        let spec = chart::spec(Transition::ControlQuorumLost);
        let (cluster, at) = (&self.handle.options().cluster, self.handle.log_time());
        let mut calls = BTreeMap::new();
        for (project, view) in self.handle.views() {
            let case = Case { cluster, head: &view.head, facts: facts.set(), at, spec, asked: None };
            if liveness_change(&case).is_some() {
                calls.insert(project, view.head.hash());
            }
        }
        self.named.retain(|project, _| calls.contains_key(project));
        calls.into_iter().for_each(|(project, head)| self.name(project, head));
    }

    fn name(&mut self, project: ProjectName, head: Hash) {
        let before = self.named.get(&project);
        if before.is_some_and(|(named, when)| *named == head && when.elapsed() < AGAIN) {
            return;
        }
        self.named.insert(project.clone(), (head, Instant::now()));
        self.handle.nudge(project);
    }
}
