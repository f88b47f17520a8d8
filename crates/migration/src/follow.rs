//! Where WHOOSH decides: its answer is handed through, SWOOSH does the same, and both are compared.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::callers::Caller;
use super::compare::{Compared, compare};
use super::ports::{Judged, Refused};
use super::shim::{Reply, Shim, lock};
use super::wire::{Asked, Verdict, verdict};
use swoosh_types::canonical::canonical_hash;
use swoosh_types::migration::{Call, Divergence, DivergenceKind, LegacyAnswer, MigrationMode, Routing, WhooshAnswer};
use swoosh_types::names::Transition;
use swoosh_types::proposal::default_project;
use swoosh_types::rejection::{Code, Rejection};
use swoosh_types::text::ProjectName;

/// What is known of a call: its caller, and the proposal that it asks for.
pub(super) struct Known<'a> {
    pub caller: Result<&'a Caller, Rejection>,
    pub asked: Result<Asked, Rejection>,
}

/// A proposal whose caller is known.
struct Proposed<'a> {
    call: Call,
    caller: &'a Caller,
    asked: Asked,
}

impl Shim {
    /// WHOOSH decides, and SWOOSH follows.
    pub(super) async fn follow(&self, routing: &Routing, call: Call, known: Known<'_>, reply: Reply) {
        if routing.mode == MigrationMode::Regions
            && let Err(rejection) = self.pass_on(routing).await
        {
            // Undelivered records go to WHOOSH first.
            return drop(reply.send(Err(rejection)));
        }
        let answer = match self.send(call.clone()).await {
            Ok(answer) => answer,
            Err(rejection) => return drop(reply.send(Err(rejection))),
        };
        let _ = reply.send(Ok(LegacyAnswer::Whoosh(answer.clone())));
        let accepted = match verdict(&answer) {
            Verdict::Nothing | Verdict::NotTaken => return,
            verdict => verdict == Verdict::Accepted,
        };
        match (known.caller, known.asked) {
            (Ok(caller), Ok(asked)) => self.mirror(routing, &Proposed { call, caller, asked }, accepted, &answer).await,
            // A request that both refuse is no difference.
            _ if !accepted => {}
            (Err(rejection), asked) => {
                let found = self.finding(routing, DivergenceKind::Caller, rejection.reasons.join("; "));
                let (project, transition) = asked.map(|asked| (asked.project, asked.transition)).ok().unzip();
                self.diverged(Divergence { project, transition, whoosh: text(&answer), ..found });
            }
            (Ok(caller), Err(rejection)) => {
                let found = self.finding(routing, DivergenceKind::Unreadable, rejection.reasons.join("; "));
                let swoosh = refusal(&Refused { rejection, retry_after_ms: None });
                self.diverged(Divergence { caller: Some(caller.name.clone()), whoosh: text(&answer), swoosh, ..found });
            }
        }
    }

    /// Does what WHOOSH did, or would not do what WHOOSH did not; then compares the states.
    async fn mirror(
        &self,
        routing: &Routing,
        Proposed { call, caller, asked }: &Proposed<'_>,
        accepted: bool,
        answer: &WhooshAnswer,
    ) {
        let judged = match accepted {
            true => self.propose(call, caller, asked, false).await,
            false => self.try_out(call, caller, asked),
        };
        let differs = match (accepted, &judged) {
            (true, Judged::Refused(refused)) => {
                Some(("WHOOSH accepts a proposal that SWOOSH refuses", refusal(refused)))
            }
            (false, Judged::Accepted(_)) => {
                Some(("SWOOSH would accept a proposal that WHOOSH refuses", "accepted".to_owned()))
            }
            _ => None,
        };
        if let Some((detail, swoosh)) = differs {
            let found = self.finding(routing, DivergenceKind::Answer, detail);
            self.diverged(Divergence {
                project: Some(asked.project.clone()),
                transition: Some(asked.transition),
                caller: Some(caller.name.clone()),
                whoosh: text(answer),
                swoosh,
                ..found
            });
        }
        self.compare_after(routing, Some((*caller, asked.transition)), &asked.project).await;
    }

    /// Compares a project's states after a transition.
    pub(super) async fn compare_after(
        &self,
        routing: &Routing,
        after: Option<(&Caller, Transition)>,
        project: &ProjectName,
    ) {
        let (caller, transition) = after.map(|(caller, transition)| (caller.name.clone(), transition)).unzip();
        if let Err(rejection) =
            self.compare_one(routing, project, |found| Divergence { caller, transition, ..found }).await
        {
            let reason = rejection.reasons.join("; ");
            tracing::warn!(%project, reason, "the states could not be compared");
        }
    }

    /// Compares a project's states; returns whether they agree. The same difference is reported once.
    pub(super) async fn compare_one(
        &self,
        routing: &Routing,
        project: &ProjectName,
        fill: impl FnOnce(Divergence) -> Divergence,
    ) -> Result<bool, Rejection> {
        let mut compared = self.look(project).await?;
        if !compared.agrees() && routing.decides_any() {
            // The node itself may have accepted records since the last delivery.
            self.pass_on(routing).await?;
            compared = self.look(project).await?;
        }
        self.weigh(routing, project, &compared, fill)
    }

    /// Both states of a project, side by side.
    async fn look(&self, project: &ProjectName) -> Result<Compared, Rejection> {
        let target = format!("/state?project={project}");
        let answer = self.send(Call { method: "GET".into(), target, ..Call::default() }).await?;
        let own = self.core.state(project)?;
        let compared = match (answer.status, &own) {
            // A project of which WHOOSH knows nothing is SWOOSH's alone.
            (404, _) => Ok(Compared::default()),
            (200, Some(own)) => parse(&answer).and_then(|shown| compare(&shown, &own.sections)),
            (200, None) => parse(&answer).and_then(|shown| compare(&shown, &Map::new())),
            (status, _) => Err(format!("WHOOSH answers {status} to GET /state")),
        };
        compared.map_err(|reason| Rejection::new(Code::LegacyUnreachable, reason))
    }

    /// Takes note of what comparing came to.
    fn weigh(
        &self,
        routing: &Routing,
        project: &ProjectName,
        compared: &Compared,
        fill: impl FnOnce(Divergence) -> Divergence,
    ) -> Result<bool, Rejection> {
        if let Some((said, found)) = &compared.wrong_hash {
            let detail = format!("WHOOSH says its state hashes to {said}; the shown state hashes to {found}");
            self.tell(routing, project, (DivergenceKind::Hash, detail, said.clone(), found.clone()), fill);
            return Ok(false);
        }
        if compared.agrees() {
            lock(&self.differing).remove(project);
            self.watch.differing(lock(&self.differing).len());
            return Ok(true);
        }
        let hash = compared.hash.clone().unwrap_or_default();
        let detail = format!("the states differ in {}; SWOOSH's hash is {hash}", compared.places.join(", "));
        let sides = (json!(compared.whoosh).to_string(), json!(compared.swoosh).to_string());
        self.tell(routing, project, (DivergenceKind::State, detail, sides.0, sides.1), fill);
        Ok(false)
    }

    fn tell(
        &self,
        routing: &Routing,
        project: &ProjectName,
        (kind, detail, whoosh, swoosh): (DivergenceKind, String, String, String),
        fill: impl FnOnce(Divergence) -> Divergence,
    ) {
        let print = canonical_hash(&[kind.as_str(), &whoosh, &swoosh]);
        let known = lock(&self.differing).insert(project.clone(), print) == Some(print);
        self.watch.differing(lock(&self.differing).len());
        if !known {
            let found = self.finding(routing, kind, detail);
            self.diverged(fill(Divergence { project: Some(project.clone()), whoosh, swoosh, ..found }));
        }
    }

    /// Compares all projects; those that differ.
    pub(super) async fn compare_all(&self, routing: &Routing) -> Result<Vec<ProjectName>, Rejection> {
        let mut differing = Vec::new();
        let mut projects: BTreeSet<ProjectName> = self.core.projects()?.into_iter().collect();
        // Also those that WHOOSH alone has, as far as a client showed them.
        projects.extend(lock(&self.differing).keys().cloned());
        projects.extend(lock(&self.store).divergences(usize::MAX).into_iter().filter_map(|found| found.project));
        for project in projects {
            // Not in the middle of a transition that one of the two applied already.
            let _turn = self.turn(&project).await;
            if !self.compare_one(routing, &project, |found| found).await? {
                differing.push(project);
            }
        }
        Ok(differing)
    }

    /// SWOOSH's state in WHOOSH's form.
    pub(super) fn own_state(&self, call: &Call) -> Result<LegacyAnswer, Rejection> {
        let (project, projection) = query(call)?;
        let Some(own) = self.core.state(&project)? else {
            return Err(Rejection::new(Code::UnknownProject, format!("there is no project {project}")));
        };
        let mut shown = Map::new();
        match projection {
            None => shown = own.sections,
            Some(names) => {
                for name in names.split(',') {
                    let section = own.sections.get(&name.trim().to_ascii_lowercase());
                    let unknown = || Rejection::new(Code::UnknownProjection, format!("there is no section {name:?}"));
                    shown.insert(name.trim().to_owned(), section.ok_or_else(unknown)?.clone());
                }
            }
        }
        let document = json!({"project": project, "hash": own.hash, "projection": shown});
        Ok(LegacyAnswer::Shown(document.to_string().into_bytes()))
    }

    /// WHOOSH's state, with SWOOSH's values in the sections that are decided here. `None` where that cannot be put
    /// together; then WHOOSH's own answer must do.
    pub(super) fn mixed_state(&self, routing: &Routing, call: &Call, answer: &WhooshAnswer) -> Option<Vec<u8>> {
        let (project, _) = query(call).ok()?;
        let own = self.core.state(&project).ok()??;
        let mut shown = parse(answer).ok()?;
        for (section, members) in shown["projection"].as_object_mut()? {
            let name = section.to_ascii_lowercase();
            let here = name.parse().is_ok_and(|region| routing.decides(region));
            let Some(ours) = own.sections.get(&name).filter(|_| here) else { continue };
            for (member, value) in members.as_object_mut().into_iter().flatten() {
                *value = ours.get(member).cloned().unwrap_or_default();
            }
        }
        // WHOOSH's hash is not that of what is shown now.
        shown.as_object_mut()?.insert("hash".to_owned(), json!(own.hash));
        Some(shown.to_string().into_bytes())
    }
}

/// Project and projection that a request for a state names.
fn query(call: &Call) -> Result<(ProjectName, Option<String>), Rejection> {
    let query = call.target.split_once('?').map_or("", |(_, query)| query);
    let (mut project, mut projection) = (default_project(), None);
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match name {
            "project" => {
                let bad = |error: swoosh_types::text::TextError| Rejection::new(Code::BadQuery, error.to_string());
                project = value.parse().map_err(bad)?;
            }
            "projection" => projection = Some(value.replace("%2C", ",").replace("%2c", ",")),
            _ => {}
        }
    }
    Ok((project, projection))
}

fn parse(answer: &WhooshAnswer) -> Result<Value, String> {
    serde_json::from_slice(&answer.body).map_err(|error| format!("WHOOSH's state is no JSON: {error}"))
}

fn text(answer: &WhooshAnswer) -> String {
    format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body))
}

fn refusal(refused: &Refused) -> String {
    format!("{}: {}", refused.rejection.code, refused.rejection.reasons.join("; "))
}
