//! Waiting until a project is in a state, and proofs of states.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::answers::StateView;
use super::read::ReadError;
use super::{Client, retry};
use swoosh_types::names::Region;
use swoosh_types::rejection::Code;
use swoosh_types::text::ProjectName;

const AGAIN_MS: u64 = 200;
const TERMINATED: &str = "TERMINATED";

/// Why a state is not returned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It does not belong to its head.
    #[error("the state of {0} does not have the hash that it names, or lacks a section that was asked for")]
    Unproven(ProjectName),
    /// A section of a later node.
    #[error("the section {name} has a form that this client does not know: {detail}")]
    Form { name: String, detail: String },
}

/// Why a wait ends without its state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// No transition leads there any more.
    #[error("{condition} cannot be reached: {reason}")]
    CannotReach { condition: String, reason: String },
    /// The time is over.
    #[error("the time is over: {0} is not reached")]
    TimeOver(String),
}

/// A state to wait for. `sections` are those that it looks at.
#[derive(Clone)]
pub struct Condition {
    sections: Vec<String>,
    text: String,
    holds: Arc<dyn Fn(&StateView) -> bool + Send + Sync>,
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Condition({})", self.text)
    }
}

impl Condition {
    /// A condition over sections of the state; `text` names it in errors.
    pub fn new(text: &str, sections: &[&str], holds: impl Fn(&StateView) -> bool + Send + Sync + 'static) -> Condition {
        let sections = sections.iter().map(|&name| name.to_owned()).collect();
        Condition { sections, text: text.to_owned(), holds: Arc::new(holds) }
    }

    /// One of some phases of a region, such as `WORK` of execution.
    pub fn phase(region: Region, phases: &[&str]) -> Condition {
        let wanted: Vec<String> = phases.iter().map(|&phase| phase.to_owned()).collect();
        Condition::new(&format!("{region} in {}", phases.join(", ")), &[region.as_str()], move |view| {
            let phase = view.section(region.as_str()).and_then(|section| section["phase"].as_str());
            phase.is_some_and(|phase| wanted.iter().any(|wanted| wanted == phase))
        })
    }

    /// The record with this index, or a later one.
    pub fn record(index: u64) -> Condition {
        Condition::new(&format!("index {index}"), &[], move |view| view.index >= index)
    }
}

/// An answer of `/state` with the top-level phase.
#[derive(Deserialize)]
struct Looked {
    #[serde(flatten)]
    view: StateView,
    #[serde(default)]
    phase: String,
}

/// Checks that a state belongs to its head and shows these sections.
pub(super) fn proven<T: AsRef<str>>(view: &StateView, sections: &[T]) -> Result<(), ProofError> {
    let is_whole = sections.iter().all(|name| view.section(name.as_ref()).is_some());
    if is_whole && view.proves_projection() { Ok(()) } else { Err(ProofError::Unproven(view.project.clone())) }
}

impl Client {
    /// `GET /state`, after the record at `index` if one is given: the sections, proven against the head that is returned.
    pub async fn proven_state(
        &self,
        project: &ProjectName,
        sections: &[&str],
        index: Option<u64>,
    ) -> Result<StateView, ProofError> {
        Ok(self.look(project, sections, index).await?.view)
    }

    async fn look<T: AsRef<str>>(
        &self,
        project: &ProjectName,
        sections: &[T],
        index: Option<u64>,
    ) -> Result<Looked, ProofError> {
        let mut query = vec![("project", project.to_string())];
        if !sections.is_empty() {
            let names: Vec<&str> = sections.iter().map(AsRef::as_ref).collect();
            query.push(("projection", names.join(",")));
        }
        query.extend(index.map(|index| ("at", index.to_string())));
        let found: Looked = self.read(self.link.url(&["state"], &query)).await?;
        proven(&found.view, sections)?;
        if found.view.project != *project {
            return Err(ProofError::Unproven(project.clone()));
        }
        if let Some(last) = &found.view.hlc_last {
            self.clock.observe(last.hlc);
        }
        Ok(found)
    }

    /// Waits until a project is in a state, and returns the proven state. It looks after each record, so that no state in between is
    /// missed, and waits for a node that does not answer. A project that does not exist yet is waited for.
    pub async fn wait_for(
        &self,
        project: &ProjectName,
        condition: &Condition,
        patience: Duration,
    ) -> Result<StateView, WaitError> {
        let waited = tokio::time::timeout(patience, self.watch(project, condition)).await;
        waited.unwrap_or_else(|_| Err(WaitError::TimeOver(condition.text.clone())))
    }

    async fn watch(&self, project: &ProjectName, condition: &Condition) -> Result<StateView, WaitError> {
        let mut events = self.follow(Some(project), "transition", None);
        loop {
            let event = events.next().await.map_err(ProofError::from)?;
            let index = event.data["index"].as_u64().filter(|_| event.kind == "transition");
            let Some(Looked { view, phase }) = self.look_again(project, condition, index).await? else { continue };
            if (condition.holds)(&view) {
                return Ok(view);
            }
            if phase == TERMINATED {
                let reason = "the project is TERMINATED, which no transition leaves".to_owned();
                return Err(WaitError::CannotReach { condition: condition.text.clone(), reason });
            }
        }
    }

    /// The state after a record, or the present one; none where the project does not exist.
    async fn look_again(
        &self,
        project: &ProjectName,
        condition: &Condition,
        mut index: Option<u64>,
    ) -> Result<Option<Looked>, ProofError> {
        loop {
            match self.look(project, &condition.sections, index).await {
                Ok(found) => return Ok(Some(found)),
                Err(ProofError::Read(ReadError::Problem(problem))) if problem.code == Code::UnknownProject => {
                    return Ok(None);
                }
                Err(ProofError::Read(ReadError::Problem(problem)))
                    if problem.code == Code::Pruned && index.is_some() =>
                {
                    index = None;
                }
                Err(ProofError::Read(error)) if error.is_passing() => retry::sleep(AGAIN_MS).await,
                Err(error) => return Err(error),
            }
        }
    }
}
