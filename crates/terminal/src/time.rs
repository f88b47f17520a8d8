//! Times and lengths of time as people write them.

use swoosh_platform::clock::Clock;
use swoosh_types::civil::{MAX_MS, parse_rfc3339};
use swoosh_types::hlc::Hlc;

/// Units by the suffix of the number, with their milliseconds; `ms` before `m` and `s`.
const UNITS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 7 * 86_400_000)];

/// A length of time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub u64);

impl std::str::FromStr for Span {
    type Err = String;

    /// Reads a whole number and its unit: `500ms`, `45s`, `90m`, `12h`, `30d`, `8w`.
    fn from_str(text: &str) -> Result<Span, String> {
        let error =
            || format!("{text:?} is not a length of time; write a whole number and ms, s, m, h, d or w, such as 30d");
        let end = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
        let (number, unit) = text.split_at(end);
        let number: u64 = number.parse().map_err(|_| error())?;
        let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(error)?;
        number.checked_mul(*unit_ms).filter(|&ms| ms <= MAX_MS).map(Span).ok_or_else(|| format!("{text} is too long"))
    }
}

/// Reads a time: RFC 3339, or a clock reading with its logical part.
pub fn parse_time(text: &str) -> Result<Hlc, String> {
    let plain = parse_rfc3339(text).and_then(|ms| Hlc::new(ms, 0));
    plain.or_else(|| text.parse().ok()).ok_or_else(|| {
        format!(
            "{text:?} is not a time; write RFC 3339 with at most three digits of fraction, such as 2026-01-31T12:00:00Z"
        )
    })
}

/// The system's time.
pub fn now() -> Hlc {
    Hlc::new(Clock::system(u64::MAX).now().wall_ms.min(MAX_MS), 0).unwrap_or_default()
}

/// The time that may delete: a wall clock that is ahead must not age what is kept, so the stamp of the newest record bounds it.
pub fn may_delete(wall: Hlc, last_record: Hlc) -> Hlc {
    wall.min(last_record)
}

/// A time some way after another, at most the last that can be written.
pub fn after(time: Hlc, span_ms: u64) -> Hlc {
    Hlc::new(time.physical_ms().saturating_add(span_ms).min(MAX_MS), 0).unwrap_or_default()
}

/// A length of time in its two largest units: `2d 3h`, `1m 30s`, `450ms`.
pub fn spell(ms: u64) -> String {
    let mut parts = Vec::new();
    let mut left = ms;
    for (name, unit_ms) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        if left >= unit_ms {
            parts.push(format!("{}{name}", left / unit_ms));
            left %= unit_ms;
        }
    }
    parts.truncate(2);
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_with_their_units() {
        let read = |text: &str| text.parse::<Span>().map(|span| span.0);
        assert_eq!(read("500ms"), Ok(500));
        assert_eq!(read("45s"), Ok(45_000));
        assert_eq!(read("90m"), Ok(5_400_000));
        assert_eq!(read("12h"), Ok(43_200_000));
        assert_eq!(read("30d"), Ok(2_592_000_000));
        assert_eq!(read("2w"), Ok(1_209_600_000));
        for bad in ["", "30", "d", "-1d", "1.5h", "3 d", "1y", "99999999999999999999d", "9999999999d"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_read_with_and_without_a_logical_part() {
        let time = parse_time("2026-01-31T12:00:00Z").unwrap();
        assert_eq!(time.to_string(), "2026-01-31T12:00:00.000+00:00#0");
        assert_eq!(parse_time("2026-01-31T13:00:00.000+01:00#7").unwrap().logical(), 7);
        assert!(parse_time("tomorrow").is_err());
    }

    #[test]
    fn lengths_of_time_are_spelled_in_two_units() {
        assert_eq!(spell(0), "0s");
        assert_eq!(spell(450), "450ms");
        assert_eq!(spell(90_061_000), "1d 1h");
        assert_eq!(spell(90_000), "1m 30s");
    }

    #[test]
    fn nothing_lies_after_the_last_time() {
        assert_eq!(after(now(), u64::MAX).physical_ms(), MAX_MS);
    }
}
