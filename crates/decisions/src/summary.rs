//! A transition and its main inputs, in a sentence.
//!
//! In a template, `{member}` is a text or number of the inputs, `{a.b}` one within a member, and `{#member}` the
//! number of entries of a list or map. `[…]` is left out when a member that it names is missing.
//!
//! The templates are `summary` in `statechart.yaml`. **They never change.** Exported records have their sentences, and a
//! check of an export computes them again.

use swoosh_types::json::Json;
use swoosh_types::names::Transition;

/// A sentence about an accepted transition; `inputs` are those that it was proposed with.
pub fn summary(transition: Transition, inputs: &Json) -> String {
    fill(transition.summary(), inputs)
}

fn fill(template: &str, inputs: &Json) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, group)) = rest.split_once('[') {
        let (inside, after) = group.split_once(']').unwrap_or((group, ""));
        out.push_str(&places(before, inputs).unwrap_or_else(|| before.to_owned()));
        out.push_str(&places(inside, inputs).unwrap_or_default());
        rest = after;
    }
    out.push_str(&places(rest, inputs).unwrap_or_else(|| rest.to_owned()));
    out
}

/// Fills the places of a piece; `None` when one of them is not there.
fn places(piece: &str, inputs: &Json) -> Option<String> {
    let mut out = String::new();
    let mut rest = piece;
    while let Some((before, place)) = rest.split_once('{') {
        let (path, after) = place.split_once('}')?;
        out.push_str(before);
        out.push_str(&value(path, inputs)?);
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

fn value(path: &str, inputs: &Json) -> Option<String> {
    let (path, counted) = path.strip_prefix('#').map_or((path, false), |path| (path, true));
    let found = path.split('.').try_fold(inputs, |json, member| json.as_object()?.get(member))?;
    if counted { Some(count(found)?.to_string()) } else { Some(words(found)) }
}

fn count(json: &Json) -> Option<usize> {
    match json {
        Json::Array(items) => Some(items.len()),
        Json::Object(members) => Some(members.len()),
        _ => None,
    }
}

/// A value as a reader would say it: of a map, its keys.
fn words(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        Json::Integer(number) => number.to_string(),
        Json::Bool(truth) => truth.to_string(),
        Json::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(", "),
        Json::Object(members) => members.keys().cloned().collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text.as_bytes()).unwrap()
    }

    /// `SWOOSH_BLESS=1` adds the templates of new transitions; it changes none.
    #[test]
    fn templates_never_change() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/templates.txt");
        let known = std::fs::read_to_string(path).unwrap();
        let mut missing = String::new();
        for transition in Transition::ALL {
            let line = format!("{transition}: {}", transition.summary());
            match known.lines().find(|known| known.starts_with(&format!("{transition}: "))) {
                Some(known) => assert_eq!(line, known, "exported records have the earlier sentence"),
                None => missing = missing + &line + "\n",
            }
        }
        if !missing.is_empty() && std::env::var_os("SWOOSH_BLESS").is_some() {
            return std::fs::write(path, known + &missing).unwrap();
        }
        assert_eq!(missing, "", "SWOOSH_BLESS=1 adds them to templates.txt");
    }

    #[test]
    fn sentences_tell_what_the_inputs_tell() {
        let sentence = |transition, text: &str| summary(transition, &json(text));
        assert_eq!(
            sentence(Transition::IngestionRollbackIndex, r#"{"version": 3, "rationale": "the index is bad"}"#),
            "Back to version 3: the index is bad"
        );
        assert_eq!(
            sentence(Transition::CouncilQuorumCert, r#"{"members": {"a": "x", "b": "y"}, "votes": [{}, {}, {}]}"#),
            "A council of 2 members is elected by 3 votes."
        );
        assert_eq!(
            sentence(
                Transition::BootIdentityGranted,
                r#"{"key": "k", "identity": {"name": "ann", "roles": ["agent", "voter"]}}"#
            ),
            "ann (k) may act as agent, voter."
        );
        assert_eq!(
            sentence(Transition::EnvironmentCapacityDenied, r#"{"failure": {"detail": "no room"}}"#),
            "The capacity for the allocation is not there: no room"
        );
    }

    #[test]
    fn what_is_optional_is_left_out_when_it_is_not_there() {
        let retry = |text: &str| summary(Transition::IngestionRetry, &json(text));
        assert_eq!(retry("{}"), "Discovery is opened again.");
        assert_eq!(
            retry(r#"{"sources": {"a": {}, "b": {}}}"#),
            "Discovery is opened again, with a new set of 2 sources."
        );
    }

    #[test]
    fn braces_of_a_caller_are_text() {
        let inputs = json(r#"{"rationale": "[{version}] {#x", "version": 1}"#);
        assert_eq!(summary(Transition::ControlPause, &inputs), "The project is paused: [{version}] {#x");
    }
}
