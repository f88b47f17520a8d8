//! Where the cluster's log is after a row.

use std::fmt;
use std::str::FromStr;

use swoosh_types::cluster::Position;
use swoosh_types::hash::Hash;

/// The log after a row: the row's position and hash, and the last record up to it with its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogPoint {
    /// `None` before the first row.
    pub(crate) at: Option<Position>,
    /// The row's hash, which the next row names; [`Hash::ZERO`] before the first one, and where the log began with state.
    pub(crate) row: Hash,
    /// Index of the last record; 0 before the first one.
    pub(crate) record: u64,
    /// Its link; [`Hash::ZERO`] before the first one.
    pub(crate) chain: Hash,
}

impl LogPoint {
    /// A log that begins with state at a position; `None` for an empty one.
    pub(crate) fn begin(at: Option<Position>, (record, chain): (u64, Hash)) -> LogPoint {
        LogPoint { at, row: Hash::ZERO, record, chain }
    }

    /// Index of the row; 0 before the first one.
    pub(crate) fn index(&self) -> u64 {
        self.at.map_or(0, |at| at.index)
    }

    pub(crate) fn term(&self) -> u64 {
        self.at.map_or(0, |at| at.term)
    }

    /// The last record and its link.
    pub(crate) fn end(&self) -> (u64, Hash) {
        (self.record, self.chain)
    }

    /// Its position in words.
    pub(crate) fn place(&self) -> String {
        self.at.map_or_else(|| "its beginning".to_owned(), |at| format!("row {at}"))
    }
}

impl fmt::Display for LogPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(Position { term, index }) => write!(f, "{term} {index}")?,
            None => f.write_str("- -")?,
        }
        write!(f, " {} {} {}", self.row, self.record, self.chain)
    }
}

impl FromStr for LogPoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<LogPoint, &'static str> {
        let what = "not a term, an index, a hash, a record and its link";
        let parts: Vec<&str> = text.split(' ').collect();
        let [term, index, row, record, chain] = parts.as_slice() else { return Err(what) };
        let at = match (*term, *index) {
            ("-", "-") => None,
            (term, index) => {
                Some(Position { term: term.parse().map_err(|_| what)?, index: index.parse().map_err(|_| what)? })
            }
        };
        let (row, chain) = (row.parse().map_err(|_| what)?, chain.parse().map_err(|_| what)?);
        Ok(LogPoint { at, row, record: record.parse().map_err(|_| what)?, chain })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_of_the_log_is_read_back_as_written_and_anything_else_is_refused() {
        let point = LogPoint {
            at: Some(Position { term: 3, index: 9 }),
            row: Hash::of(b"r"),
            record: 7,
            chain: Hash::of(b"c"),
        };
        for point in [point, LogPoint { at: None, ..point }] {
            assert_eq!(point.to_string().parse(), Ok(point));
        }
        for text in ["", "1 2", &format!("- 1 {} 1 {}", Hash::ZERO, Hash::ZERO), &format!("{point} ")] {
            assert!(text.parse::<LogPoint>().is_err(), "{text}");
        }
    }
}
