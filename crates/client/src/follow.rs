//! Events over the ends of streams: resumed at the last one, none of a record given twice.

use super::Client;
use super::entropy;
use super::events::{EventStream, NodeEvent};
use super::read::ReadError;
use super::retry;
use swoosh_types::back_off::BackOff;
use swoosh_types::event_id::EventId;
use swoosh_types::rejection::{Problem, Retry};
use swoosh_types::text::ProjectName;

const AGAIN: BackOff = BackOff { first_ms: 200, longest_ms: 5_000, jitter_permille: 500 };

/// Events of a node, or of the nodes of a cluster. A stream that ends, breaks off or is silent is followed by another.
#[derive(Debug)]
pub struct Follower {
    client: Client,
    project: Option<ProjectName>,
    kinds: String,
    position: Position,
    stream: Option<EventStream>,
    failures: u32,
}

impl Client {
    /// Events of some kinds, of one project or of all, also over restarts of the node. `after` is the id of an event that was heard earlier.
    pub fn follow(&self, project: Option<&ProjectName>, kinds: &str, after: Option<EventId>) -> Follower {
        Follower {
            client: self.clone(),
            project: project.cloned(),
            kinds: kinds.to_owned(),
            position: Position(after),
            stream: None,
            failures: 0,
        }
    }
}

impl Follower {
    /// The id to continue from in another process.
    pub fn last(&self) -> Option<EventId> {
        self.position.0
    }

    /// The next event. It waits for a node that does not answer; an error is one that waiting does not end. Each stream begins with
    /// `listening`. After `gap` the state is read again, because events are missing. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<NodeEvent, ReadError> {
        loop {
            match self.hear().await? {
                Some(event) => {
                    self.failures = 0;
                    if self.position.take(&event) {
                        return Ok(event);
                    }
                }
                None => self.rest().await,
            }
        }
    }

    /// The next event of the stream; none where it is over.
    async fn hear(&mut self) -> Result<Option<NodeEvent>, ReadError> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => match self.client.events(self.project.as_ref(), &self.kinds, self.position.0).await {
                Ok(stream) => none.insert(stream),
                Err(error) if error.is_passing() => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        match stream.next().await {
            Ok(Some(event)) if event.kind == "problem" => self.end(&event),
            Ok(Some(event)) => Ok(Some(event)),
            Ok(None) => Ok(None),
            Err(error) if error.is_passing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A node that ends a stream says why.
    fn end(&self, event: &NodeEvent) -> Result<Option<NodeEvent>, ReadError> {
        match serde_json::from_value::<Problem>(event.data.clone()) {
            Ok(problem) if !matches!(problem.code.retry(), Retry::Node | Retry::Resend) => {
                Err(ReadError::Problem(Box::new(problem)))
            }
            Ok(_) | Err(_) => Ok(None),
        }
    }

    async fn rest(&mut self) {
        self.stream = None;
        self.failures = self.failures.saturating_add(1);
        self.client.link.turn();
        // Without randomness it waits longest.
        let random = entropy::bytes().map_or(0, u64::from_be_bytes);
        retry::sleep(AGAIN.wait_ms(self.failures, random)).await;
    }
}

/// The last event that was heard.
#[derive(Clone, Copy, Debug)]
struct Position(Option<EventId>);

impl Position {
    /// Whether the event is to be given; takes note of it.
    fn take(&mut self, event: &NodeEvent) -> bool {
        match event.kind.as_str() {
            "listening" => self.0 = self.0.or(event.id),
            "gap" => self.0 = event.id.or(self.0),
            _ => {
                let Some(id) = event.id else { return true };
                if self.0.is_some_and(|last| order(id) <= order(last)) {
                    return false;
                }
                self.0 = Some(id);
            }
        }
        true
    }
}

/// A restored log gives indexes again, in a later incarnation.
fn order(id: EventId) -> (u64, u64) {
    (id.incarnation.unwrap_or(1), id.index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn event(kind: &str, id: Option<&str>) -> NodeEvent {
        NodeEvent { id: id.map(|id| id.parse().unwrap()), kind: kind.to_owned(), data: Value::Null }
    }

    #[test]
    fn a_record_is_given_once_and_a_gap_moves_the_position() {
        let mut position = Position(None);
        let mut heard = Vec::new();
        for (kind, id) in [
            ("listening", Some("1-4")),
            ("transition", Some("1-5")),
            ("transition", Some("1-5")),
            ("effect", None),
            ("transition", Some("1-4")),
            ("transition", Some("2-3")),
            ("listening", Some("2-9")),
            ("transition", Some("2-4")),
            ("gap", Some("2-2")),
            ("transition", Some("2-3")),
        ] {
            heard.push((position.take(&event(kind, id)), position.0.unwrap().to_string()));
        }
        let given: Vec<bool> = heard.iter().map(|(is_given, _)| *is_given).collect();
        assert_eq!(given, [true, true, false, true, false, true, true, true, true, true]);
        let last: Vec<&str> = heard.iter().map(|(_, last)| last.as_str()).collect();
        assert_eq!(last, ["1-4", "1-5", "1-5", "1-5", "1-5", "2-3", "2-3", "2-4", "2-2", "2-3"]);
    }
}
