//! The content as seen by checks, merged into one record so that policies can judge it: Cedar cannot walk a list of
//! outcomes.
//!
//! `context.content` is there whenever the inputs carry outcomes of checks (VALIDATE), with these members:
//! `sources`, `checks`, `failed` (names of checks that did not pass), `licences`, `flags`, `paths` are sets of texts;
//! `files`, `bytes`, `paths_left_out` are sums over sources, `largest_file_bytes` is the largest of all.

use std::collections::{BTreeMap, BTreeSet};

use swoosh_types::canonical::from_json;
use swoosh_types::inputs::{CheckOutcome, ContentSeen};
use swoosh_types::json::{Json, MAX_INTEGER};

/// The content that the inputs' outcomes tell of; `None` where they have none.
pub(super) fn content(inputs: &Json) -> Option<Json> {
    let Json::Array(outcomes) = inputs.as_object()?.get("outcomes")? else { return None };
    let outcomes: Vec<CheckOutcome> = outcomes.iter().map(from_json).collect::<Result<_, _>>().ok()?;
    let seen: Vec<&ContentSeen> = outcomes.iter().filter_map(|outcome| outcome.seen.as_deref()).collect();
    let failed = outcomes.iter().filter(|outcome| !outcome.ok);
    let total = |of: fn(&ContentSeen) -> u64| {
        let sum = seen.iter().fold(0u64, |sum, seen| sum.saturating_add(of(seen)));
        Json::Integer(sum.min(MAX_INTEGER))
    };
    let largest = seen.iter().map(|seen| seen.largest_file_bytes).max().unwrap_or(0);
    let members = [
        ("sources", texts(outcomes.iter().map(|outcome| outcome.source.as_str()))),
        ("checks", texts(outcomes.iter().map(|outcome| outcome.check.as_str()))),
        ("failed", texts(failed.map(|outcome| outcome.check.as_str()))),
        ("licences", texts(seen.iter().flat_map(|seen| seen.licences.iter().map(|id| id.as_str())))),
        ("flags", texts(seen.iter().flat_map(|seen| seen.flags.iter().map(|flag| flag.as_str())))),
        ("paths", texts(seen.iter().flat_map(|seen| seen.paths.iter().map(|path| path.as_str())))),
        ("paths_left_out", total(|seen| seen.paths_left_out)),
        ("files", total(|seen| seen.files)),
        ("bytes", total(|seen| seen.bytes)),
        ("largest_file_bytes", Json::Integer(largest.min(MAX_INTEGER))),
    ];
    Some(Json::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<BTreeMap<_, _>>()))
}

fn texts<'t>(texts: impl Iterator<Item = &'t str>) -> Json {
    let distinct: BTreeSet<&str> = texts.collect();
    Json::Array(distinct.into_iter().map(|text| Json::String(text.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(inputs: &str) -> Option<String> {
        let content = content(&Json::parse(inputs.as_bytes()).unwrap())?;
        Some(String::from_utf8(content.canonical()).unwrap())
    }

    #[test]
    fn sources_are_put_together() {
        let inputs = r#"{"outcomes": [
            {"check": "scan", "source": "app", "ok": true, "seen": {"files": 2, "bytes": 30, "largest_file_bytes": 20,
             "licences": ["MIT"], "flags": ["binary"], "paths": ["a.bin"], "paths_left_out": 3}},
            {"check": "scan", "source": "lib", "ok": true, "seen": {"files": 1, "bytes": 5, "largest_file_bytes": 5,
             "licences": ["MIT", "Apache-2.0"]}},
            {"check": "schema", "source": "lib", "ok": false, "detail": "no"}]}"#;
        let expected = r#"{"bytes":35,"checks":["scan","schema"],"failed":["schema"],"files":3,"flags":["binary"],"largest_file_bytes":20,"licences":["Apache-2.0","MIT"],"paths":["a.bin"],"paths_left_out":3,"sources":["app","lib"]}"#;
        assert_eq!(canonical(inputs).as_deref(), Some(expected));
    }

    #[test]
    fn outcomes_that_tell_nothing_of_content_give_an_empty_one_and_other_inputs_none() {
        let bare = canonical(r#"{"outcomes": [{"check": "pins", "source": "app", "ok": true}]}"#).unwrap();
        assert!(bare.contains(r#""files":0"#) && bare.contains(r#""flags":[]"#), "{bare}");
        assert_eq!(canonical(r#"{"outcomes": {"image/base": "ok"}}"#), None);
        assert_eq!(canonical("{}"), None);
    }

    #[test]
    fn sums_stay_whole_numbers_that_json_can_write() {
        let most = MAX_INTEGER;
        let one =
            format!(r#"{{"check": "scan", "source": "app", "ok": true, "seen": {{"files": {most}, "bytes": 1}}}}"#);
        assert!(
            canonical(&format!(r#"{{"outcomes": [{one}, {one}]}}"#)).unwrap().contains(&format!(r#""files":{most}"#))
        );
    }
}
