//! Comparing a state that WHOOSH shows with SWOOSH's own: what WHOOSH does not show is not compared.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::types::canonical::try_canonical_bytes;
use crate::types::hash::Hash;

/// What comparing came to.
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
