//! `GET /events`: what happens, as it happens, as server-sent events.
//!
//! Transitions carry their index as the event's id, so that a listener that comes back says `Last-Event-ID` and
//! misses none: what happened meanwhile is read from the log. Effects and health are told as they are now.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa::ToSchema;

use super::fault::{Answer, Fault};
use super::health;
use super::query::Query;
use super::{AppState, schema};
use crate::types::json::MAX_INTEGER;
use crate::types::record::Record;
use crate::types::rejection::Code;
use crate::types::text::ProjectName;

/// Callers that may listen at once.
pub const LISTENERS: usize = 256;
/// Records that are read at once for a listener that comes back.
const PAGE: usize = 100;
/// How often the node looks at how it is.
const LOOK: Duration = Duration::from_secs(1);
/// How often something is sent where nothing happens.
const ALIVE: Duration = Duration::from_secs(10);
/// What may be asked for.
pub(super) const KINDS: [&str; 3] = ["transition", "effect", "health"];

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// `transition` or `effect`.
    pub kind: &'static str,
    /// In which project.
    pub project: ProjectName,
    /// Index of the record, of a transition.
    pub index: Option<u64>,
    /// What is told, as JSON.
    pub data: String,
}

/// One event of the stream.
#[derive(Clone, Debug, ToSchema)]
#[expect(dead_code, reason = "it describes what a listener is told")]
pub(super) struct EventAnswer {
    /// `transition`, `effect` or `health`.
    event: String,
    /// What is told, as JSON.
    data: String,
    /// Index of the record, of a transition.
    #[schema(nullable = false)]
    id: Option<String>,
}

/// What is told of a transition.
pub fn transition_event(record: &Record) -> Happened {
    let document = json!({
        "project": record.project, "index": record.index, "transition": record.transition,
        "signer": record.signer, "hlc": record.hlc, "timestamp": record.timestamp,
        "state_pre_hash": record.state_pre_hash, "state_post_hash": record.state_post_hash,
    });
    let (project, index) = (record.project.clone(), Some(record.index));
    Happened { kind: "transition", project, index, data: document.to_string() }
}

/// Follow what happens.
///
/// Server-sent events: `transition` (with its index as id), `effect` (how the work at one stands, as in `/effects`),
/// `health` (at the beginning, and when it changes). A listener that was cut off sends `Last-Event-ID` and gets the
/// transitions in between. The stream ends when the node shuts down.
#[utoipa::path(get, path = "/events", tag = "state",
    params(
        ("project" = Option<schema::ProjectName>, Query, description = "Only this project's transitions and effects."),
        ("kinds" = Option<schema::EventKinds>, Query,
            description = "Which events, separated by commas; all when left out."),
        ("from" = Option<u64>, Query, description = "Also transitions from this index on; `Last-Event-ID` outweighs it."),
        ("Last-Event-ID" = Option<u64>, Header, description = "Id of the last event that was heard; those after it follow."),
    ),
    responses(
        (status = 200, description = "The events, each as this says.", body = EventAnswer, content_type = "text/event-stream"),
        (status = 400, description = "`bad_query`.",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 503, description = "`overloaded`.",
            body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn events(State(state): State<AppState>, uri: Uri, headers: HeaderMap) -> Answer<Response> {
    let query = Query::read(&uri, &["project", "kinds", "from"])?;
    let wanted = Wanted { project: query.parsed("project")?, kinds: kinds(query.text("kinds"))? };
    // Looked at even where it is outweighed: what the route does not take is refused.
    let asked = query.number("from", 0..=MAX_INTEGER)?;
    let from = match headers.get("last-event-id") {
        Some(id) => Some(last_event(id.to_str().unwrap_or_default())?.saturating_add(1)),
        None => asked,
    };
    let full = || Fault::new(Code::Overloaded, format!("{LISTENERS} callers listen already"));
    let permit = state.listeners.clone().try_acquire_owned().map_err(|_| full())?;
    // Listened to first, so that nothing falls between what was and what is.
    let receiver = state.queries.events();
    let told = state.handle.status().last_index;
    let next = from.map_or(told + 1, |from| from.max(1));
    let listener = Listener {
        state,
        wanted,
        receiver,
        next,
        behind: from.is_some(),
        waiting: VecDeque::new(),
        health: None,
        ended: false,
        _permit: permit,
    };
    let events = stream::unfold(listener, |mut listener| async move {
        let event = listener.next_event().await?;
        Some((Ok::<_, Infallible>(event), listener))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)).into_response())
}

fn bad(reason: String) -> Fault {
    Fault::new(Code::BadQuery, reason)
}

fn kinds(text: Option<&str>) -> Answer<Vec<&'static str>> {
    let Some(text) = text else { return Ok(KINDS.to_vec()) };
    let known = |name: &str| {
        let found = KINDS.into_iter().find(|kind| *kind == name);
        found.ok_or_else(|| bad(format!("kinds: there is no kind {name:?}; use some of {}", KINDS.join(", "))))
    };
    text.split(',').map(known).collect()
}

fn last_event(text: &str) -> Answer<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let index = text.parse().ok().filter(|index| digits && *index <= MAX_INTEGER);
    index.ok_or_else(|| bad(format!("Last-Event-ID must be the index of a record, not {text:?}")))
}

/// What a listener wants to hear.
struct Wanted {
    project: Option<ProjectName>,
    kinds: Vec<&'static str>,
}

impl Wanted {
    fn has(&self, kind: &str) -> bool {
        self.kinds.contains(&kind)
    }

    fn is_of(&self, project: &ProjectName) -> bool {
        self.project.as_ref().is_none_or(|wanted| wanted == project)
    }
}

/// One caller who listens.
struct Listener {
    state: AppState,
    wanted: Wanted,
    receiver: Receiver<Arc<Happened>>,
    /// Index of the next transition that was not told.
    next: u64,
    /// Whether transitions were missed that the log has.
    behind: bool,
    waiting: VecDeque<Event>,
    health: Option<Value>,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl Listener {
    async fn next_event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            self.look();
            if self.behind {
                self.catch_up().await;
            } else if self.waiting.is_empty() {
                self.hear().await;
            }
        }
    }

    /// Tells how the node is, when that is news; a node that shuts down ends the stream.
    fn look(&mut self) {
        let (health, draining) = health::brief(&self.state.handle.status());
        self.ended = draining;
        if self.wanted.has("health") && self.health.as_ref() != Some(&health) {
            self.waiting.push_back(Event::default().event("health").data(health.to_string()));
            self.health = Some(health);
        }
    }

    async fn hear(&mut self) {
        let Ok(heard) = tokio::time::timeout(LOOK, self.receiver.recv()).await else { return };
        match heard {
            Ok(happened) => self.tell(&happened),
            // Transitions are in the log; how effects are now, the next event tells.
            Err(RecvError::Lagged(_)) => self.behind = self.wanted.has("transition"),
            Err(RecvError::Closed) => tokio::time::sleep(LOOK).await,
        }
    }

    fn tell(&mut self, happened: &Happened) {
        if let Some(index) = happened.index {
            if index < self.next {
                return;
            }
            self.next = index + 1;
        }
        if !self.wanted.has(happened.kind) || !self.wanted.is_of(&happened.project) {
            return;
        }
        let event = Event::default().event(happened.kind).data(&happened.data);
        self.waiting.push_back(match happened.index {
            Some(index) => event.id(index.to_string()),
            None => event,
        });
    }

    /// Reads what was missed from the log, a page at a time.
    async fn catch_up(&mut self) {
        if !self.wanted.has("transition") {
            self.behind = false;
            return;
        }
        let from = self.next;
        match self.state.read(move |state| page(state, from)).await {
            Ok(records) => {
                self.behind = records.len() == PAGE;
                records.iter().for_each(|record| self.tell(&transition_event(record)));
            }
            Err(fault) => {
                let text = serde_json::to_string(fault.problem()).unwrap_or_default();
                self.waiting.push_back(Event::default().event("problem").data(text));
                self.ended = true;
            }
        }
    }
}

fn page(state: &AppState, from: u64) -> Answer<Vec<Record>> {
    let last_index = state.handle.status().last_index;
    if from > last_index {
        return Ok(Vec::new());
    }
    let journal = state.handle.journal();
    let durable = journal
        .records_from(from)
        .take(PAGE)
        .take_while(|stored| !matches!(stored, Ok(stored) if stored.record.index > last_index));
    durable.map(|stored| Ok(stored?.record)).collect()
}

/// Room for listeners.
pub fn listeners() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(LISTENERS))
}
