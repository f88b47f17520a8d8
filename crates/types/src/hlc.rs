//! Hybrid logical clock: a physical part in milliseconds and a logical part that breaks ties.
//!
//! Written `2025-10-19T01:23:45.678+00:00#1234`: RFC 3339 with milliseconds, `#`, the logical part in
//! decimal without leading zeros. Any offset is read; UTC is written and hashed (docs/design.md#clock).

use std::fmt;
use std::str::FromStr;

use super::civil::{self, MAX_MS};

/// A reading of a hybrid logical clock; ordered by physical, then logical part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hlc {
    physical_ms: u64,
    logical: u16,
}

/// The text or the numbers are not a clock reading.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HlcError {
    /// Not of the written form.
    #[error("{0:?} is not a clock reading; write 2025-10-19T01:23:45.678+00:00#0")]
    Form(String),
    /// The logical part is over 65,535.
    #[error("the logical part of {0:?} is over 65535")]
    LogicalOverflow(String),
    /// There is no later reading.
    #[error("the clock has no reading after {0}")]
    Exhausted(Hlc),
}

impl Hlc {
    /// A reading; `None` past the year 9999.
    pub fn new(physical_ms: u64, logical: u16) -> Option<Hlc> {
        (physical_ms <= MAX_MS).then_some(Hlc { physical_ms, logical })
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn physical_ms(self) -> u64 {
        self.physical_ms
    }

    /// The logical part.
    pub const fn logical(self) -> u16 {
        self.logical
    }

    /// The least reading after this one: a full logical part carries into the physical one.
    pub fn successor(self) -> Result<Hlc, HlcError> {
        let (physical_ms, logical) = match self.logical.checked_add(1) {
            Some(logical) => (self.physical_ms, logical),
            None => (self.physical_ms + 1, 0),
        };
        Hlc::new(physical_ms, logical).ok_or(HlcError::Exhausted(self))
    }

    /// The next reading of a monotone clock that last showed `self` while the wall shows `wall_ms`.
    pub fn tick(self, wall_ms: u64) -> Result<Hlc, HlcError> {
        match Hlc::new(wall_ms, 0) {
            Some(wall) if wall > self => Ok(wall),
            _ => self.successor(),
        }
    }
}

impl fmt::Display for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", civil::Rfc3339(self.physical_ms), self.logical)
    }
}

impl FromStr for Hlc {
    type Err = HlcError;
    fn from_str(text: &str) -> Result<Hlc, HlcError> {
        let form = || HlcError::Form(text.chars().take(80).collect());
        let (time, logical) = text.split_once('#').ok_or_else(form)?;
        let physical_ms = civil::parse_rfc3339(time).ok_or_else(form)?;
        let leading_zero = logical.len() > 1 && logical.starts_with('0');
        let digits = !logical.is_empty() && logical.len() <= 20 && logical.bytes().all(|b| b.is_ascii_digit());
        if leading_zero || !digits {
            return Err(form());
        }
        let logical = logical.parse().map_err(|_| HlcError::LogicalOverflow(text.chars().take(80).collect()))?;
        Ok(Hlc { physical_ms, logical })
    }
}

super::text::serde_as_text!(Hlc);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_an_example() {
        let hlc: Hlc = "2025-10-19T01:23:45.678+00:00#1234".parse().unwrap();
        assert_eq!((hlc.physical_ms(), hlc.logical()), (1_760_837_025_678, 1234));
        assert_eq!(hlc.to_string(), "2025-10-19T01:23:45.678+00:00#1234");
    }

    #[test]
    fn refuses_malformed_readings() {
        for text in [
            "",
            "2025-10-19T01:23:45.678Z",
            "2025-10-19T01:23:45.678Z#",
            "2025-10-19T01:23:45.678Z#01",
            "2025-10-19T01:23:45.678Z#-1",
            "2025-10-19T01:23:45.678Z#1#2",
        ] {
            assert!(matches!(text.parse::<Hlc>(), Err(HlcError::Form(_))), "{text}");
        }
        assert!(matches!("2025-10-19T01:23:45.678Z#65536".parse::<Hlc>(), Err(HlcError::LogicalOverflow(_))));
    }

    #[test]
    fn ticks_forward_whatever_the_wall_does() {
        let start = Hlc::new(1000, 0).unwrap();
        assert_eq!(start.tick(2000).unwrap(), Hlc::new(2000, 0).unwrap());
        assert_eq!(start.tick(500).unwrap(), Hlc::new(1000, 1).unwrap());
        assert_eq!(Hlc::new(1000, u16::MAX).unwrap().tick(1000).unwrap(), Hlc::new(1001, 0).unwrap());
        assert!(matches!(Hlc::new(MAX_MS, u16::MAX).unwrap().successor(), Err(HlcError::Exhausted(_))));
    }
}
