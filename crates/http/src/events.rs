//! `GET /events`: what happens, as it happens, as server-sent events.
//!
//! The id of a transition is the incarnation and the index of its record ([`EventId`]), so that a listener that comes
//! back sends `Last-Event-ID` and misses none: events since then are read from the log. Where the log does not hold
//! the record of that id (the node was restored, or records were pruned), the stream begins with a `gap`. Effects and
//! health are reported as they are now.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use utoipa::ToSchema;

use super::admission::Listening;
use super::asker::Asker;
use super::fault::{Answer, Fault};
use super::health;
use super::query::Query;
use super::reads::Right;
use super::{AppState, schema};
use swoosh_sequencer::queries::{ReadError, Stop, StoredRecord};
use swoosh_types::event_id::EventId;
use swoosh_types::incarnation::{self, Incarnation};
use swoosh_types::json::MAX_INTEGER;
use swoosh_types::record::Record;
use swoosh_types::rejection::Code;
use swoosh_types::text::ProjectName;

/// Records that are read at once for a listener that comes back.
const PAGE: usize = 100;
/// How often the node looks at how it is.
const LOOK: Duration = Duration::from_secs(1);
/// How often something is sent where nothing happens.
const ALIVE: Duration = Duration::from_secs(10);
/// Kinds that may be requested.
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
    /// The event's data, as JSON.
    pub data: String,
}

/// One event of the stream.
#[derive(Clone, Debug, ToSchema)]
#[expect(dead_code, reason = "it describes an event of the stream")]
pub(super) struct EventAnswer {
    /// `transition`, `effect`, `health`, `gap` or `problem`.
    event: String,
    /// The event's data, as JSON.
    data: String,
    /// Of a transition, `<incarnation>-<index>` of its record; of a `gap`, of the record that it goes on after.
    #[schema(nullable = false)]
    id: Option<String>,
}

/// The event of a transition.
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
/// Server-sent events: `transition`, `effect` (the progress of one, as in `/effects`), `health` (at the beginning, and when
/// it changes). The id of a transition is `<incarnation>-<index>` of its record. A listener that was cut off sends the last
/// id as `Last-Event-ID` and gets the transitions in between. Where the log does not hold the record of that id, because
/// the node was restored or pruned its log, the stream begins with the event `gap`: `{"reason", "last_event_id",
/// "incarnation", "next_index"}`. Transitions follow from `next_index` on; the listener reads `/state` again, because what
/// it heard after that record may have been lost. The same follows where `from` is more than one after the log's last record. The stream ends when the node shuts down, and with a
/// `problem` when its reader loses the right to read.
#[utoipa::path(get, path = "/events", tag = "state",
    params(
        ("project" = Option<schema::ProjectName>, Query, description = "Only this project's transitions and effects."),
        ("kinds" = Option<schema::EventKinds>, Query,
            description = "Which events, separated by commas; all when left out."),
        ("from" = Option<u64>, Query, description = "Also transitions from this index on; `Last-Event-ID` outweighs it."),
        ("Last-Event-ID" = Option<String>, Header,
            description = "Id of the last event that was heard, `<incarnation>-<index>`; the transitions after it follow. Empty is \
                the same as left out. A plain index is taken for an id of an unknown incarnation."),
    ),
    responses(
        (status = 200, description = "The events, each as this says.", body = EventAnswer, content_type = "text/event-stream"),
        (status = 400, description = "`bad_query`; `header_conflict`: `Last-Event-ID` was sent twice.",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 429, description = "`too_many_requests`: this peer has its share of the listeners.",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 503, description = "`overloaded`.",
            body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn events(
    State(state): State<AppState>,
    asker: Asker,
    right: Right,
    uri: Uri,
    headers: HeaderMap,
) -> Answer<Response> {
    let query = Query::read(&uri, &["project", "kinds", "from"])?;
    let wanted = Wanted { project: query.parsed("project")?, kinds: kinds(query.text("kinds"))? };
    // Checked even where another parameter overrides it: the route rejects invalid values.
    let asked = query.number("from", 0..=MAX_INTEGER)?;
    let heard = last_heard(&headers)?;
    let place = state.gate.listen(asker.peer())?;
    // Listened to first, so that nothing falls between what was and what is.
    let receiver = state.queries.events();
    let last_index = state.handle.status().last_index;
    let incarnations = state.handle.journal().incarnations().to_vec();
    let begin = Beginning::of(heard, asked, &incarnations, last_index);
    let listener = Listener {
        state,
        asker,
        right,
        wanted,
        receiver,
        next: begin.next,
        behind: heard.is_some() || asked.is_some(),
        waiting: begin.events(heard, &incarnations),
        incarnations,
        health: None,
        ended: false,
        _place: place,
    };
    let events = stream::unfold(listener, |mut listener| async move {
        let event = listener.next_event().await?;
        Some((Ok::<_, Infallible>(event), listener))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)).into_response();
    // nginx would hold events back until its buffer is full.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
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

fn last_heard(headers: &HeaderMap) -> Answer<Option<EventId>> {
    let mut ids = headers.get_all("last-event-id").iter();
    let (id, other) = (ids.next(), ids.next());
    if other.is_some() {
        let reason = format!("the header last-event-id was sent {} times; send it once", ids.count() + 2);
        return Err(Fault::new(Code::HeaderConflict, reason));
    }
    match id {
        // A browser that has heard no id yet may send an empty one.
        Some(id) if id.as_bytes().trim_ascii().is_empty() => Ok(None),
        Some(id) => last_event(id.to_str().unwrap_or_default()).map(Some),
        None => Ok(None),
    }
}

fn last_event(text: &str) -> Answer<EventId> {
    text.trim_ascii().parse().map_err(|error| bad(format!("Last-Event-ID: {error}")))
}

/// Where a stream begins.
struct Beginning {
    /// Index of the first transition that it may bring.
    next: u64,
    /// Why transitions that the listener heard, or should hear, are not in the log.
    gap: Option<String>,
}

impl Beginning {
    /// From an index on. A listener that asks for records after the next one knows of records that this log does not have;
    /// it must hear of those that come in their places.
    fn at(from: u64, last_index: u64) -> Beginning {
        if from <= last_index + 1 {
            return Beginning { next: from, gap: None };
        }
        let reason = format!(
            "this log ends at record {last_index}, before record {from}: the node was restored, promoted, or lost records; \
             read the state again"
        );
        Beginning { next: last_index + 1, gap: Some(reason) }
    }

    fn of(heard: Option<EventId>, from: Option<u64>, incarnations: &[Incarnation], last_index: u64) -> Beginning {
        let Some(heard) = heard else {
            return Beginning::at(from.map_or(last_index + 1, |from| from.max(1)), last_index);
        };
        match heard.shared_with(incarnations, last_index) {
            shared if shared == heard.index => Beginning { next: shared + 1, gap: None },
            shared => {
                let number = incarnation::number(incarnations);
                let reason = format!(
                    "this log, in incarnation {number} and at record {last_index}, has no record {heard}: the node was restored, \
                     promoted, or lost records; read the state again"
                );
                Beginning { next: shared + 1, gap: Some(reason) }
            }
        }
    }

    /// The first of the stream. A comment passes what proxies hold back until the first bytes; the id is where a listener
    /// goes on that is cut off before it hears of a transition.
    fn events(&self, heard: Option<EventId>, incarnations: &[Incarnation]) -> VecDeque<Event> {
        let id = EventId::of(self.next - 1, incarnations);
        let first = Event::default().comment("listening").id(id.to_string());
        let gap = self.gap.as_deref().map(|reason| gap(reason, heard, self.next, incarnations));
        [first].into_iter().chain(gap).collect()
    }
}

fn gap(reason: &str, heard: Option<EventId>, next: u64, incarnations: &[Incarnation]) -> Event {
    let heard = heard.map(|heard| heard.to_string());
    let incarnation = incarnation::number(incarnations);
    let data = json!({"reason": reason, "last_event_id": heard, "incarnation": incarnation, "next_index": next});
    Event::default().event("gap").id(EventId::of(next - 1, incarnations).to_string()).data(data.to_string())
}

/// The listener's filter.
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
    asker: Asker,
    /// By what it may hear each event.
    right: Right,
    wanted: Wanted,
    receiver: Receiver<Arc<Happened>>,
    /// Index of the next transition to send.
    next: u64,
    /// Whether transitions were missed that the log has.
    behind: bool,
    waiting: VecDeque<Event>,
    incarnations: Vec<Incarnation>,
    health: Option<Value>,
    ended: bool,
    _place: Listening,
}

impl Listener {
    async fn next_event(&mut self) -> Option<Event> {
        loop {
            if !self.ended {
                self.look();
            }
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            if self.behind {
                self.catch_up().await;
            } else if self.waiting.is_empty() {
                self.hear().await;
            }
        }
    }

    /// Tells how the node is, when that is news; a node that shuts down ends the stream, and so does the loss of the right to read.
    fn look(&mut self) {
        let reach = match self.right.reach(&self.state) {
            Ok(reach) => reach,
            Err(fault) => {
                self.waiting.clear();
                return self.fail(&fault);
            }
        };
        let (health, draining) = health::brief(&self.state.handle.status(), &reach);
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
            Some(index) => event.id(EventId::of(index, &self.incarnations).to_string()),
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
        match self.state.read(&self.asker, move |state, stop| page(state, from, stop)).await {
            Ok((records, _place)) => {
                self.behind = records.len() == PAGE;
                records.iter().for_each(|record| self.tell(&transition_event(record)));
            }
            // Reads are for all who ask; a stream goes on later.
            Err(fault) if matches!(fault.code(), Code::Overloaded | Code::TooManyRequests) => {
                tokio::time::sleep(LOOK).await
            }
            Err(fault) if fault.code() == Code::Pruned => {
                let first = self.state.handle.journal().first_index().max(from + 1);
                let reason = format!("records {from} to {} were pruned; read the state again", first - 1);
                self.waiting.push_back(gap(&reason, None, first, &self.incarnations));
                self.next = first;
            }
            Err(fault) => self.fail(&fault),
        }
    }

    /// Tells why the stream ends.
    fn fail(&mut self, fault: &Fault) {
        let text = serde_json::to_string(fault.problem()).unwrap_or_default();
        self.waiting.push_back(Event::default().event("problem").data(text));
        self.ended = true;
    }
}

fn page(state: &AppState, from: u64, stop: &Stop) -> Answer<Vec<Record>> {
    let last_index = state.handle.last_index();
    if from > last_index {
        return Ok(Vec::new());
    }
    let journal = state.handle.journal();
    let durable = journal
        .records_from(from)
        .take(PAGE)
        .take_while(|stored| !matches!(stored, Ok(stored) if stored.record.index > last_index));
    let next = |stored: Result<StoredRecord, ReadError>| {
        stop.check()?;
        Ok(stored?.record)
    };
    durable.map(next).collect()
}
