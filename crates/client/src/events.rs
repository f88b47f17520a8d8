//! `GET /events`: events of the node as a stream (server-sent events, WHATWG HTML §9.2).

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;

use super::Client;
use super::link::{LinkError, Stream};
use super::read::ReadError;
use swoosh_types::event_id::EventId;
use swoosh_types::server_events::{EventReader, ServerEvent};
use swoosh_types::text::ProjectName;

/// The longest that a node is silent: it sends something every ten seconds.
const SILENCE: Duration = Duration::from_secs(35);
/// The most bytes of one event.
const MAX_EVENT_BYTES: usize = 1 << 20;

/// Something that happened on the node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeEvent {
    /// Position to continue from after the stream breaks off: incarnation and index of the record, of a transition.
    /// `listening` and `gap` have one too.
    pub id: Option<EventId>,
    /// `listening`, once at the beginning, `transition`, `effect`, `health` or `problem`. `gap` where the node's log does
    /// not hold the record that was heard of last: what was heard since the record of its id may have been lost, so read
    /// the state again.
    pub kind: String,
    /// The event's data; docs/serving.md and the OpenAPI document describe it.
    pub data: Value,
}

/// Events as they come. Dropped, it hangs up.
#[derive(Debug)]
pub struct EventStream {
    stream: Stream,
    reader: EventReader,
    ready: VecDeque<NodeEvent>,
}

impl Client {
    /// Listens to some kinds of events, of one project or of all. With `after`, the id of the last event that was heard,
    /// also to the transitions since, which the node reads from its log; it answers `gap` where that is not possible.
    pub async fn events(
        &self,
        project: Option<&ProjectName>,
        kinds: &str,
        after: Option<EventId>,
    ) -> Result<EventStream, ReadError> {
        let mut query = vec![("kinds", kinds.to_owned())];
        query.extend(project.map(|project| ("project", project.to_string())));
        let url = self.link.url(&["events"], &query);
        let mut headers = self.read_headers(&url);
        headers.extend(after.map(|id| ("last-event-id", id.to_string())));
        match self.link.listen(url.clone(), &headers).await? {
            Ok(stream) => Ok(EventStream { stream, reader: reader(), ready: VecDeque::new() }),
            Err(reply) => match self.decode::<Value>(&url, &reply) {
                Err(error) => Err(error),
                Ok(_) => Err(self.not_events(url.as_str(), reply.status)),
            },
        }
    }

    fn not_events(&self, address: &str, status: u16) -> ReadError {
        let found = "no stream of events".to_owned();
        ReadError::Unexpected { address: address.to_owned(), status, found }
    }
}

impl EventStream {
    /// The next event; `None` when the node ended the stream. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Option<NodeEvent>, LinkError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let Some(bytes) = self.stream.chunk(SILENCE).await? else { return Ok(None) };
            let events = self.reader.push(&bytes).map_err(|_| self.stream.too_large())?;
            self.ready.extend(events.into_iter().filter_map(understood));
        }
    }
}

fn reader() -> EventReader {
    EventReader::new(MAX_EVENT_BYTES).giving_ids_alone()
}

/// An event of the node; none where the data is no JSON. The node begins a stream with an id alone.
fn understood(event: ServerEvent) -> Option<NodeEvent> {
    let id = event.id.and_then(|id| id.parse().ok());
    if event.data.is_empty() && id.is_some() {
        return Some(NodeEvent { id, kind: "listening".to_owned(), data: Value::Null });
    }
    serde_json::from_str(&event.data).ok().map(|data| NodeEvent { id, kind: event.event, data })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SAID: &str = ": listening\nid: 1-6\n\n:\n\nid: 2-7\nevent: transition\ndata: {\"index\":\ndata: 7}\r\n\r\nevent: health\ndata: no json\n\n\
        event: effect\ndata:{\"phase\": \"running\"}\n\nevent: effect\ndata: {";

    #[test]
    fn events_are_whole_however_the_bytes_come_and_an_id_is_of_its_event_alone() {
        for size in [1, 2, 3, 7, 1_000] {
            let mut reader = reader();
            let events = SAID.as_bytes().chunks(size).flat_map(|bytes| reader.push(bytes).unwrap());
            let events: Vec<_> = events.filter_map(understood).collect();
            let parsed: Vec<_> =
                events.iter().map(|event| (event.id, event.kind.as_str(), event.data.clone())).collect();
            let expected = [
                ("1-6".parse().ok(), "listening", Value::Null),
                ("2-7".parse().ok(), "transition", json!({"index": 7})),
                (None, "effect", json!({"phase": "running"})),
            ];
            assert_eq!(parsed, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn an_event_without_an_end_is_not_kept_for_ever() {
        let mut reader = reader();
        assert!(reader.push(b"data: ").is_ok());
        assert!(reader.push(&vec![b'x'; MAX_EVENT_BYTES]).is_err());
    }
}
