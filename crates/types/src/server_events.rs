//! Server-sent events out of a stream of bytes (WHATWG HTML §9.2.6), with a bound on what one event holds.

/// The byte-order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// A document's bytes without a byte-order mark before them.
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(MARK).unwrap_or(bytes)
}

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerEvent {
    /// Its type; empty where none is named.
    pub event: String,
    /// Its data; several lines are joined by line feeds.
    pub data: String,
    /// Its id, where it has one.
    pub id: Option<String>,
}

/// An event is over its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a server-sent event has more than {0} bytes")]
pub struct EventTooLarge(pub usize);

/// Takes bytes as they come and gives events as they end.
#[derive(Debug)]
pub struct EventReader {
    most_bytes: usize,
    line: Vec<u8>,
    /// Whether the last byte was a carriage return, whose line feed is still to come.
    returned: bool,
    event: ServerEvent,
    has_data: bool,
    /// Whether the first line is over; a byte-order mark counts only before it.
    is_begun: bool,
    /// Whether an id without data is given too.
    gives_ids_alone: bool,
}

impl EventReader {
    /// Events of at most so many bytes.
    pub fn new(most_bytes: usize) -> EventReader {
        let event = ServerEvent::default();
        EventReader {
            most_bytes,
            line: Vec::new(),
            returned: false,
            event,
            has_data: false,
            is_begun: false,
            gives_ids_alone: false,
        }
    }

    /// Also gives what has an id and no data, as an event with empty data. A browser only remembers such an id.
    pub fn giving_ids_alone(self) -> EventReader {
        EventReader { gives_ids_alone: true, ..self }
    }

    /// Takes bytes; gives the events that ended with them.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<ServerEvent>, EventTooLarge> {
        let mut ended = Vec::new();
        for &byte in bytes {
            let after_return = std::mem::replace(&mut self.returned, byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\r' | b'\n' => ended.extend(self.end_line()),
                _ => self.line.push(byte),
            }
            if self.line.len() + self.event.data.len() > self.most_bytes {
                return Err(EventTooLarge(self.most_bytes));
            }
        }
        Ok(ended)
    }

    fn end_line(&mut self) -> Option<ServerEvent> {
        let line = std::mem::take(&mut self.line);
        let line = if std::mem::replace(&mut self.is_begun, true) { line.as_slice() } else { without_mark(&line) };
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            let is_given = std::mem::take(&mut self.has_data) || (self.gives_ids_alone && event.id.is_some());
            return is_given.then_some(event);
        }
        let line = String::from_utf8_lossy(line);
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.event.event),
            "id" => self.event.id = Some(value.to_owned()),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // Comments, which keep a stream alive, and unused fields.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(text: &str) -> Vec<String> {
        EventReader::new(100).push(text.as_bytes()).unwrap().into_iter().map(|event| event.data).collect()
    }

    #[test]
    fn events_end_with_an_empty_line_whatever_ends_lines() {
        assert_eq!(data("data: a\n\ndata: b\r\n\r\ndata:c\r\rdata: d"), ["a", "b", "c"]);
        assert_eq!(data("data: a\ndata:  b\ndata\n\n"), ["a\n b\n"]);
        assert!(data(": alive\n\nevent: beat\n\nid: 1\n\n").is_empty(), "no data, no event");
    }

    /// WHATWG HTML §9.2.5: one leading byte-order mark is stripped, and no later one.
    #[test]
    fn a_byte_order_mark_before_the_stream_is_passed_over() {
        assert_eq!(data("\u{feff}data: a\n\n\u{feff}data: b\n\ndata: c\n\n"), ["a", "c"]);
        assert_eq!(data("\u{feff}\ndata: a\n\n"), ["a"]);
        let mut reader = EventReader::new(100);
        let pieces: [&[u8]; 4] = [b"\xef", b"\xbb", b"\xbfdata: a", b"\n\n"];
        let events: Vec<_> = pieces.iter().flat_map(|piece| reader.push(piece).unwrap()).collect();
        assert_eq!(events.len(), 1);
    }

    #[test]
    fn an_id_alone_is_given_where_it_is_asked_for() {
        let said = b"id: 1\n\n:\n\nid: 2\ndata: a\n\nevent: beat\n\n";
        let ids = |reader: EventReader| {
            let events = { reader }.push(said).unwrap();
            events.into_iter().map(|event| (event.id, event.data)).collect::<Vec<_>>()
        };
        let (one, two) = ((Some("1".to_owned()), String::new()), (Some("2".to_owned()), "a".to_owned()));
        assert_eq!(ids(EventReader::new(100)), std::slice::from_ref(&two));
        assert_eq!(ids(EventReader::new(100).giving_ids_alone()), [one, two]);
    }

    #[test]
    fn an_event_may_come_in_pieces() {
        let mut reader = EventReader::new(100);
        let pieces = ["event: be", "at\r", "\nda", "ta: {}\n", "id: 7", "\n\n"];
        let events: Vec<_> = pieces.iter().flat_map(|piece| reader.push(piece.as_bytes()).unwrap()).collect();
        assert_eq!(events, [ServerEvent { event: "beat".into(), data: "{}".into(), id: Some("7".into()) }]);
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut reader = EventReader::new(10);
        assert!(reader.push(b"data: 1234").is_ok());
        assert_eq!(reader.push(b"5"), Err(EventTooLarge(10)));
        assert_eq!(EventReader::new(10).push(b"data: 12\ndata: 34567890"), Err(EventTooLarge(10)));
    }
}
