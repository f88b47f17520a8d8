//! From when to when a certificate is valid: as much of X.509 as that takes (RFC 5280 §4.1).

use swoosh_types::civil;

/// A certificate's time, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub from_ms: u64,
    pub until_ms: u64,
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The validity of a certificate in DER; `None` when it is not one.
pub(super) fn read(certificate: &[u8]) -> Option<Validity> {
    let (validity, _) = element(after_issuer(certificate)?, SEQUENCE)?;
    let (tag, from, rest) = any(validity)?;
    let from_ms = time(tag, from)?;
    let (tag, until, _) = any(rest)?;
    Some(Validity { from_ms, until_ms: time(tag, until)? })
}

/// The part of a certificate after the issuer: validity, subject, and so on.
pub(super) fn after_issuer(certificate: &[u8]) -> Option<&[u8]> {
    let (outer, _) = element(certificate, SEQUENCE)?;
    let (mut body, _) = element(outer, SEQUENCE)?;
    if let Some((_, rest)) = element(body, VERSION) {
        body = rest;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        body = any(body)?.2;
    }
    Some(body)
}

/// The content of an element with this tag, and what follows it.
pub(super) fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = any(bytes)?;
    (found == tag).then_some((content, rest))
}

/// Tag, content and rest.
pub(super) fn any(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, bytes) = bytes.split_first()?;
    let (&first, mut bytes) = bytes.split_first()?;
    let mut length = usize::from(first & 0x7f);
    if first & 0x80 != 0 {
        let (digits, rest) = bytes.split_at_checked(length).filter(|_| (1..=4).contains(&length))?;
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        bytes = rest;
    }
    let (content, rest) = bytes.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDHHMMSSZ` of 1950 to 2049, or `YYYYMMDDHHMMSSZ`. Times before 1970 count as 1970.
fn time(tag: u8, text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: u64 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let two = |at: usize| rest.get(at..at + 2);
    if rest.len() != 10 || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if year < 1970 {
        return Some(0);
    }
    let (month, day, hour, minute, second) = (two(0)?, two(2)?, two(4)?, two(6)?, two(8)?);
    civil::parse_rfc3339(&format!("{year:04}-{month}-{day}T{hour}:{minute}:{second}+00:00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_time_are_read() {
        let at = |text: &str| civil::parse_rfc3339(text);
        assert_eq!(time(UTC_TIME, b"251019012345Z"), at("2025-10-19T01:23:45+00:00"));
        assert_eq!(time(UTC_TIME, b"491231235959Z"), at("2049-12-31T23:59:59+00:00"));
        assert_eq!(time(UTC_TIME, b"500101000000Z"), Some(0));
        assert_eq!(time(GENERALIZED_TIME, b"20500101000000Z"), at("2050-01-01T00:00:00+00:00"));
        for (tag, text) in
            [(UTC_TIME, "251019012345"), (UTC_TIME, "2510190123Z"), (UTC_TIME, "2510190123+1Z"), (4, "Z")]
        {
            assert_eq!(time(tag, text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn an_invalid_certificate_is_reported_and_never_panics() {
        let whole = [0x30, 0x08, 0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01];
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), None);
        }
        assert_eq!(read(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x30]), None);
        assert_eq!(read(&[0x30, 0x80, 0x30]), None);
        assert_eq!(read(&[0x30, 0x89, 1, 1, 1, 1, 1, 1, 1, 1, 1]), None);
    }
}
