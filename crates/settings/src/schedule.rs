//! The window schedule from its file, with errors that name the line and the member.

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::load::{SettingsError, read, without_mark};
use super::model::Settings;
use swoosh_types::backbeat::Schedule;
use swoosh_types::hlc::Hlc;
use swoosh_types::yaml;

const BACKBEAT_YAML: &str = include_str!("../../../config/backbeat.yaml");

impl Settings {
    /// The window schedule: of the file that `backbeat.file` names, or the built-in one.
    pub fn schedule(&self) -> Result<Schedule, SettingsError> {
        let Some(path) = &self.backbeat.file else { return Ok(backbeat()) };
        schedule_of(&read(path)?).map_err(|detail| SettingsError::Schedule { path: path.clone(), detail })
    }
}

/// The built-in window schedule.
#[expect(clippy::expect_used, reason = "a test reads and validates the built-in file")]
pub fn backbeat() -> Schedule {
    schedule_of(BACKBEAT_YAML).expect("the built-in schedule is one")
}

/// A schedule of YAML text, or what is wrong with it and where.
pub fn schedule_of(text: &str) -> Result<Schedule, String> {
    let text = without_mark(text);
    let schedule: Schedule = yaml::checked(text)
        .and_then(yaml_serde::from_str)
        .map_err(|error| bad_epoch(text).unwrap_or_else(|| error.to_string()))?;
    let at = |member: &str| line_of(text, member).map_or(String::new(), |line| format!(" (line {line})"));
    if schedule.live.is_some() {
        return Err(format!("live is set by a beat source, not by the file{}; take it out", at("live")));
    }
    let valid = schedule.validate();
    valid.map_err(|error| format!("{error}{}", at(error.member())))?;
    Ok(schedule)
}

/// The error in the epoch: for a text that is no time the parser reports no place.
fn bad_epoch(text: &str) -> Option<String> {
    let document: yaml_serde::Value = yaml::checked(text).and_then(yaml_serde::from_str).ok()?;
    let error = document.get("epoch")?.as_str()?.parse::<Hlc>().err()?;
    let line = line_of(text, "epoch").map_or(String::new(), |line| format!(" (line {line})"));
    Some(format!("epoch: {error}{line}"))
}

/// Line, from 1, of the value of a member such as `windows.plan[0].phase_beats`.
fn line_of(text: &str, member: &str) -> Option<usize> {
    let path: Vec<&str> = member.split(['.', '[']).map(|step| step.trim_end_matches(']')).collect();
    let found = Seeker(&path).deserialize(yaml_serde::Deserializer::from_str(text)).err()?;
    found.location().map(|location| location.line())
}

/// Walks to a member and fails there: the parser knows where that is, and tells it with the error.
struct Seeker<'p>(&'p [&'p str]);

impl<'de> DeserializeSeed<'de> for Seeker<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seeker<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a member")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.0.split_first() else { return Err(A::Error::custom("here")) };
        while let Some(key) = map.next_key::<String>()? {
            if key == *first {
                map.next_value_seed(Seeker(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.0.split_first() else { return Err(A::Error::custom("here")) };
        for _ in 0..first.parse::<usize>().unwrap_or(0) {
            list.next_element::<IgnoredAny>()?;
        }
        list.next_element_seed(Seeker(rest))?;
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: (&str, &str)) -> String {
        assert!(BACKBEAT_YAML.contains(change.0), "{}", change.0);
        schedule_of(&BACKBEAT_YAML.replacen(change.0, change.1, 1)).unwrap_err()
    }

    fn line(text: &str) -> String {
        let line = BACKBEAT_YAML.lines().position(|line| line.contains(text)).unwrap() + 1;
        format!("line {line}")
    }

    #[test]
    fn schedule_errors_are_reported_with_member_and_line() {
        let beat = refusal(("beat_ms: 60000", "beat_ms: 0"));
        assert!(
            beat.starts_with("beat_ms is 0; it must be from 1") && beat.contains(&line("beat_ms: 60000")),
            "{beat}"
        );
        let review = "{phase_beats: 20, length_beats: 25}";
        let overrun = refusal((review, "{phase_beats: 50, length_beats: 25}"));
        assert!(overrun.starts_with("windows.review[0]:") && overrun.contains(&line(review)), "{overrun}");
        let pressure = "{phase_beats: 50, pressure: 800}";
        let loud = refusal((pressure, "{phase_beats: 50, pressure: 1001}"));
        assert!(loud.starts_with("amplitude[3].pressure is 1001") && loud.contains(&line(pressure)), "{loud}");
        let class = refusal(("  review:", "  reviews:"));
        assert!(class.contains("reviews") && class.contains("line"), "{class}");
        let epoch = refusal(("2025-01-01T00:00:00.000+00:00#0", "2025-01-01"));
        assert!(epoch.starts_with("epoch: \"2025-01-01\" is not a clock reading"), "{epoch}");
        assert!(epoch.contains(&line("epoch: \"2025")), "{epoch}");
        let live = refusal((
            "cycle_beats: 60",
            "cycle_beats: 60\nlive: {beat: 1, began_at: '2025-01-01T00:00:00Z#0', beat_ms: 1, beats: 1}",
        ));
        assert!(live.contains("take it out"), "{live}");
        let negative = refusal(("phase_beats: 20, length", "phase_beats: -1, length"));
        assert!(negative.contains("windows.review") && negative.contains("line"), "{negative}");
    }
}
