//! Civil dates from milliseconds since 1970-01-01T00:00:00Z, in whole numbers (RFC 3339).

use std::fmt;

/// The last millisecond that RFC 3339 can write: the end of the year 9999.
pub const MAX_MS: u64 = 253_402_300_799_999;
pub const DAY_MS: u64 = 86_400_000;

/// A date and a time of day in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    pub year: u64,
    pub month: u64,
    pub day: u64,
    pub ms_of_day: u64,
}

/// Splits milliseconds into a date and a time of day (the days-from-civil method, run backwards).
pub fn from_ms(ms: u64) -> Civil {
    let days = ms / DAY_MS + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    Civil { year, month, day: day_of_year - (153 * shifted + 2) / 5 + 1, ms_of_day: ms % DAY_MS }
}

/// Milliseconds of a date's midnight; `None` when there is no such date from 1970 to 9999.
pub fn to_ms(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || day < 1 {
        return None;
    }
    let shifted_year = year - u64::from(month <= 2);
    let (era, year_of_era) = (shifted_year / 400, shifted_year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let ms = (era * 146_097 + day_of_era).checked_sub(719_468)? * DAY_MS;
    let back = from_ms(ms);
    ((back.year, back.month, back.day) == (year, month, day)).then_some(ms)
}

/// A time that is written `2025-10-19T01:23:45.678+00:00`.
#[derive(Clone, Copy)]
pub struct Rfc3339(pub u64);

/// A time of which `2025-10-19` is written.
#[derive(Clone, Copy)]
pub struct Date(pub u64);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_text(f, self.0, TEMPLATE.len())
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_text(f, self.0, "0000-00-00".len())
    }
}

const TEMPLATE: &[u8; 29] = b"0000-00-00T00:00:00.000+00:00";

/// Writes the first `length` bytes of the RFC 3339 form. Years after 9999, which only arithmetic on limits
/// leads to, take more than four digits.
fn write_text(f: &mut fmt::Formatter<'_>, ms: u64, length: usize) -> fmt::Result {
    let Civil { year, month, day, ms_of_day } = from_ms(ms);
    if year > 9999 {
        write!(f, "{}", year / 10_000)?;
    }
    let seconds = ms_of_day / 1000;
    let mut text = *TEMPLATE;
    write_digits(&mut text[0..4], year);
    write_digits(&mut text[5..7], month);
    write_digits(&mut text[8..10], day);
    write_digits(&mut text[11..13], seconds / 3600);
    write_digits(&mut text[14..16], seconds / 60 % 60);
    write_digits(&mut text[17..19], seconds % 60);
    write_digits(&mut text[20..23], ms_of_day % 1000);
    f.write_str(std::str::from_utf8(&text[..length]).map_err(|_| fmt::Error)?)
}

/// Fills `place` with the last digits of `number`.
fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Writes `2025-10-19T01:23:45.678+00:00`.
pub fn rfc3339(ms: u64) -> String {
    Rfc3339(ms).to_string()
}

/// Reads an RFC 3339 time of 1970 to 9999 with any offset; at most three digits of fraction count, more
/// are refused, and so are leap seconds.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    if !text.is_ascii()
        || bytes.len() < 20
        || bytes[4] != b'-'
        || bytes[7] != b'-'
        || !matches!(bytes[10], b'T' | b't' | b' ')
    {
        return None;
    }
    let midnight = to_ms(number(&text[0..4])?, number(&text[5..7])?, number(&text[8..10])?)?;
    let (clock, offset) = text[11..].split_at(text[11..].find(['Z', 'z', '+', '-'])?);
    let time = time_of_day(clock)?;
    let (earlier, shift) = parse_offset(offset)?;
    let local = midnight + time;
    let utc = if earlier { local.checked_sub(shift)? } else { local + shift };
    (utc <= MAX_MS).then_some(utc)
}

fn time_of_day(clock: &str) -> Option<u64> {
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut parts = whole.split(':');
    let mut next = |most: u64| parts.next().filter(|p| p.len() == 2).and_then(number).filter(|&n| n <= most);
    let (hour, minute, second) = (next(23)?, next(59)?, next(59)?);
    if parts.next().is_some() || !(1..=3).contains(&fraction.len()) {
        return None;
    }
    let milliseconds = number(fraction)? * [100, 10, 1][fraction.len() - 1];
    Some(((hour * 60 + minute) * 60 + second) * 1000 + milliseconds)
}

/// Whether UTC is earlier than local time, and by how much.
fn parse_offset(offset: &str) -> Option<(bool, u64)> {
    if offset.eq_ignore_ascii_case("z") {
        return Some((true, 0));
    }
    let (hours, minutes) = offset[1..].split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2)?;
    let shift = number(hours).filter(|&h| h <= 23)? * 60 + number(minutes).filter(|&m| m <= 59)?;
    Some((offset.starts_with('+'), shift * 60_000))
}

/// Decimal digits only: no sign, no blank.
pub fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_any_offset_and_writes_utc() {
        for text in ["2025-10-19T01:23:45.678+00:00", "2025-10-19T03:23:45.678+02:00", "2025-10-18T18:53:45.678-06:30"]
        {
            assert_eq!(rfc3339(parse_rfc3339(text).unwrap()), "2025-10-19T01:23:45.678+00:00");
        }
        assert_eq!(parse_rfc3339("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(rfc3339(MAX_MS), "9999-12-31T23:59:59.999+00:00");
        assert_eq!(rfc3339(MAX_MS + 1), "10000-01-01T00:00:00.000+00:00");
        assert_eq!(Date(MAX_MS).to_string(), "9999-12-31");
    }

    #[test]
    fn refuses_times_that_do_not_exist() {
        for text in [
            "2025-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-01-01T24:00:00Z",
            "2025-01-01T00:00:60Z",
            "2025-01-01T00:00:00",
            "2025-01-01T00:00:00.0001Z",
            "1969-12-31T23:59:59Z",
            "2025-01-01T00:00:00+2:00",
            "junk",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_survives_the_round_trip() {
        for day in (0..MAX_MS / DAY_MS).step_by(37) {
            let civil = from_ms(day * DAY_MS);
            assert_eq!(to_ms(civil.year, civil.month, civil.day), Some(day * DAY_MS));
        }
    }
}
