//! Ids of events: which record of which history a listener heard of last.
//!
//! An index alone is not enough. A log that was restored goes on in another incarnation, and gives out indexes again that a
//! listener heard of before, for other records.

use std::fmt;
use std::str::FromStr;

use super::incarnation::Incarnation;
use super::json::MAX_INTEGER;

/// The incarnation and the index of a record, written `<incarnation>-<index>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventId {
    /// Number of the incarnation that the record was made in; none where it is not known, which is written as the index
    /// alone.
    pub incarnation: Option<u64>,
    /// Index of the record; 0 is before the first one.
    pub index: u64,
}

/// A text is no id of an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no id of an event; send <incarnation>-<index> as the event had it, or the index of a record")]
pub struct EventIdError(String);

impl EventId {
    /// The id of the record with this index in a log with these incarnations.
    pub fn of(index: u64, incarnations: &[Incarnation]) -> EventId {
        let made_in = incarnations.iter().rfind(|incarnation| incarnation.after < index);
        EventId { incarnation: Some(made_in.map_or(1, |incarnation| incarnation.number)), index }
    }

    /// The last record, up to this one, that a log shares with the history which gave this id. It is this record itself
    /// where the log holds it. An id without an incarnation may be of the first one.
    pub fn shared_with(self, incarnations: &[Incarnation], last_index: u64) -> u64 {
        let number = self.incarnation.unwrap_or(1);
        let later = incarnations.iter().filter(|incarnation| incarnation.number > number);
        let shared = later.map(|incarnation| incarnation.after).fold(last_index, u64::min);
        // Of an incarnation that the log does not know, nothing is known to be shared.
        let known = number == 1 || incarnations.iter().any(|incarnation| incarnation.number == number);
        if known || self.index == 0 { self.index.min(shared) } else { self.unknown(incarnations, last_index) }
    }

    /// An older copy of the log has replaced a newer one. The common part ends before the newer incarnation, which
    /// this log does not know, so the listener gets its last incarnation again.
    fn unknown(self, incarnations: &[Incarnation], last_index: u64) -> u64 {
        let began = incarnations.last().map_or(0, |incarnation| incarnation.after);
        began.min(last_index).min(self.index.saturating_sub(1))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.incarnation {
            Some(incarnation) => write!(f, "{incarnation}-{}", self.index),
            None => write!(f, "{}", self.index),
        }
    }
}

impl FromStr for EventId {
    type Err = EventIdError;

    fn from_str(text: &str) -> Result<EventId, EventIdError> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = if digits { text.parse().ok() } else { None };
            number.filter(|number| *number <= MAX_INTEGER)
        };
        let id = match text.split_once('-') {
            Some((incarnation, index)) => number(incarnation).filter(|number| *number > 0).zip(number(index)),
            None => return number(text).map(|index| EventId { incarnation: None, index }).ok_or_else(|| error(text)),
        };
        let id = id.map(|(incarnation, index)| EventId { incarnation: Some(incarnation), index });
        id.ok_or_else(|| error(text))
    }
}

fn error(text: &str) -> EventIdError {
    EventIdError(text.chars().take(80).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Hash;
    use crate::hlc::Hlc;

    fn log(began: &[(u64, u64)]) -> Vec<Incarnation> {
        let incarnation = |&(number, after)| Incarnation {
            number,
            after,
            link: Hash::ZERO,
            at: Hlc::default(),
            reason: "restored".to_owned(),
        };
        began.iter().map(incarnation).collect()
    }

    fn shared(id: &str, began: &[(u64, u64)], last_index: u64) -> u64 {
        id.parse::<EventId>().unwrap().shared_with(&log(began), last_index)
    }

    #[test]
    fn an_id_is_read_as_it_is_written() {
        for text in ["1-14", "3-0", "14", "0"] {
            assert_eq!(text.parse::<EventId>().unwrap().to_string(), text);
        }
        for text in ["", "-", "1-", "-1", "0-4", "1-2-3", "+1", "1 -2", "9007199254740992", "1-9007199254740992", "x"] {
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_record_is_named_after_the_incarnation_that_made_it() {
        let log = log(&[(2, 8), (3, 8), (4, 12)]);
        let named: Vec<String> = [1, 8, 9, 12, 13].map(|index| EventId::of(index, &log).to_string()).into();
        assert_eq!(named, ["1-1", "1-8", "3-9", "3-12", "4-13"]);
    }

    #[test]
    fn an_id_that_the_log_holds_is_shared_whole_and_one_of_a_lost_history_up_to_where_it_parted() {
        assert_eq!(shared("1-14", &[], 14), 14);
        assert_eq!(shared("1-14", &[], 12), 12);
        assert_eq!(shared("1-14", &[(2, 8)], 20), 8);
        assert_eq!(shared("1-6", &[(2, 8)], 20), 6);
        assert_eq!(shared("2-14", &[(2, 8)], 20), 14);
        assert_eq!(shared("2-14", &[(2, 8), (3, 10)], 20), 10);
    }

    #[test]
    fn an_incarnation_that_the_log_does_not_know_is_never_taken_for_held() {
        assert_eq!(shared("3-14", &[(2, 8)], 20), 8);
        assert_eq!(shared("2-14", &[], 20), 0);
        assert_eq!(shared("2-5", &[(3, 8)], 20), 4);
    }

    #[test]
    fn a_plain_index_is_held_only_where_no_incarnation_could_have_lost_it() {
        assert_eq!(shared("14", &[], 20), 14);
        assert_eq!(shared("14", &[], 12), 12);
        assert_eq!(shared("14", &[(2, 8)], 20), 8);
        assert_eq!(shared("8", &[(2, 8)], 20), 8);
        assert_eq!(shared("14", &[(2, 8), (3, 10)], 20), 8);
    }
}
