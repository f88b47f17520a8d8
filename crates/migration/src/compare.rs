//! Comparing a state that WHOOSH shows with SWOOSH's own: what WHOOSH does not show is not compared.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use swoosh_types::canonical::try_canonical_bytes;
use swoosh_types::hash::Hash;

/// The result of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Where they differ: `council.phase`.
    pub places: Vec<String>,
    /// WHOOSH's values at those places.
    pub whoosh: BTreeMap<String, Value>,
    /// SWOOSH's.
    pub swoosh: BTreeMap<String, Value>,
    /// The hash that WHOOSH says its projection has, where it is another one: said, found.
    pub wrong_hash: Option<(String, String)>,
    /// Hash of SWOOSH's values in the form that WHOOSH shows; equal to WHOOSH's where nothing differs.
    pub hash: Option<String>,
}

impl Compared {
    /// Whether the states are the same.
    pub fn agrees(&self) -> bool {
        self.places.is_empty()
    }
}

/// Compares `{"hash"?, "projection": {section: {member: value}}}` with the sections of SWOOSH. Names of sections may
/// be written in any case; a member is compared with the member of its name.
pub fn compare(shown: &Value, own: &Map<String, Value>) -> Result<Compared, String> {
    let projection = shown["projection"].as_object().ok_or("WHOOSH's state has no object `projection`")?;
    let mut compared = Compared::default();
    let mut mine = Map::new();
    for (section, members) in projection {
        let members = members.as_object().ok_or_else(|| format!("WHOOSH's section {section} is no object"))?;
        let name = section.to_ascii_lowercase();
        let own_section = own.get(&name);
        let mut values = Map::new();
        for (member, value) in members {
            let ours = own_section.and_then(|section| section.get(member)).cloned().unwrap_or_default();
            if ours != *value {
                let place = format!("{name}.{member}");
                compared.whoosh.insert(place.clone(), value.clone());
                compared.swoosh.insert(place.clone(), ours.clone());
                compared.places.push(place);
            }
            values.insert(member.clone(), ours);
        }
        mine.insert(section.clone(), Value::Object(values));
    }
    compared.hash = hash(&Value::Object(mine));
    if let (Some(said), Some(found)) = (shown["hash"].as_str(), hash(&shown["projection"]))
        && said != found
    {
        compared.wrong_hash = Some((said.to_owned(), found));
    }
    Ok(compared)
}

/// sha256 of the RFC 8785 bytes; none of a document that has numbers SWOOSH does not write.
fn hash(document: &Value) -> Option<String> {
    try_canonical_bytes(document).ok().map(|bytes| Hash::of(&bytes).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn own() -> Map<String, Value> {
        let own = json!({"council": {"phase": "ELECT", "version": 2}, "ingestion": {"phase": "READY"}});
        own.as_object().unwrap().clone()
    }

    #[test]
    fn only_what_whoosh_shows_is_compared_in_any_case_of_its_sections() {
        let agrees = compare(&json!({"projection": {"Council": {"phase": "ELECT"}}}), &own()).unwrap();
        assert!(agrees.agrees() && agrees.wrong_hash.is_none());
        assert!(compare(&json!({"projection": {}}), &own()).unwrap().agrees());
        let differs =
            json!({"projection": {"COUNCIL": {"phase": "READY", "version": 2, "seats": 3}, "Mood": {"x": 1}}});
        let differs = compare(&differs, &own()).unwrap();
        assert_eq!(differs.places, ["council.phase", "council.seats", "mood.x"]);
        assert_eq!(
            (&differs.whoosh["council.phase"], &differs.swoosh["council.phase"]),
            (&json!("READY"), &json!("ELECT"))
        );
        assert_eq!(differs.swoosh["council.seats"], Value::Null);
    }

    #[test]
    fn the_hashes_agree_where_the_states_do_and_a_wrong_one_is_found() {
        let projection = json!({"Council": {"phase": "ELECT"}});
        let right = hash(&projection).unwrap();
        let found = compare(&json!({"hash": right, "projection": projection}), &own()).unwrap();
        assert_eq!((found.hash, found.wrong_hash), (Some(right.clone()), None));
        let found = compare(&json!({"hash": "sha256-00", "projection": projection}), &own()).unwrap();
        assert_eq!(found.wrong_hash, Some(("sha256-00".to_owned(), right)));
    }

    #[test]
    fn what_is_no_state_is_said_and_odd_numbers_do_no_harm() {
        for shown in [json!(null), json!({}), json!({"projection": []}), json!({"projection": {"Council": 7}})] {
            assert!(compare(&shown, &own()).is_err(), "{shown}");
        }
        let odd = compare(&json!({"hash": "x", "projection": {"Council": {"load": 1.5, "n": -1}}}), &own()).unwrap();
        assert_eq!(odd.places, ["council.load", "council.n"]);
    }
}
