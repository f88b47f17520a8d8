//! The identities of tests and simulated worlds: fixed keys, so that every run gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use swoosh_types::inputs::IdentityGrant;
use swoosh_types::keys::{PublicKey, SecretKey};
use swoosh_types::names::Role;

/// A holder of a key.
#[derive(Clone, Debug)]
pub struct Hand {
    pub name: &'static str,
    pub secret: SecretKey,
    /// The public half of it.
    pub public: PublicKey,
    /// Roles; none for the stranger.
    pub roles: &'static [Role],
}

impl Hand {
    /// The public half of the key.
    pub fn key(&self) -> PublicKey {
        self.public
    }

    fn grant(&self) -> IdentityGrant {
        IdentityGrant { name: self.name.parse().unwrap(), roles: self.roles.iter().copied().collect(), delegate: None }
    }
}

/// The five candidates of the council.
pub const VOTERS: [&str; 5] = ["v1", "v2", "v3", "v4", "v5"];

/// The key holders of a run.
#[derive(Clone, Debug)]
pub struct Hands(Vec<Hand>);

impl Default for Hands {
    fn default() -> Hands {
        Hands::new()
    }
}

impl Hands {
    /// Node, operator, human, worker, agent, reader, five voters, a stranger, and a key to rotate to.
    pub fn new() -> Hands {
        use Role::*;
        let table: [(&'static str, &'static [Role]); 13] = [
            ("node", &[Node]),
            ("operator", &[Operator]),
            ("human", &[Human]),
            ("worker", &[Worker]),
            ("agent", &[Agent]),
            ("reader", &[Reader]),
            ("v1", &[Voter]),
            ("v2", &[Voter]),
            ("v3", &[Voter]),
            ("v4", &[Voter]),
            ("v5", &[Voter]),
            ("stranger", &[]),
            ("fresh", &[]),
        ];
        let hand = |(n, (name, roles)): (usize, (&'static str, &'static [Role]))| {
            let secret = SecretKey::from_bytes(&[n as u8 + 1; 32]);
            let public = secret.public();
            Hand { name, secret, public, roles }
        };
        Hands(table.into_iter().enumerate().map(hand).collect())
    }

    pub fn get(&self, name: &str) -> &Hand {
        self.0.iter().find(|hand| hand.name == name).unwrap_or_else(|| panic!("there is no hand {name}"))
    }

    /// The hand behind a key.
    pub fn of(&self, key: &PublicKey) -> Option<&Hand> {
        self.0.iter().find(|hand| hand.key() == *key)
    }

    /// Every key holder.
    pub fn all(&self) -> impl Iterator<Item = &Hand> {
        self.0.iter()
    }

    /// The identities of the node's settings: the node and the operator.
    pub fn of_settings(&self) -> BTreeMap<PublicKey, IdentityGrant> {
        ["node", "operator"].map(|name| (self.get(name).key(), self.get(name).grant())).into()
    }

    /// The identities of the project document: every key with a role except the node's.
    pub fn of_document(&self) -> Value {
        let named = self.0.iter().filter(|hand| !hand.roles.is_empty() && hand.name != "node");
        let grants: BTreeMap<String, Value> = named.map(|hand| (hand.key().to_string(), json!(hand.grant()))).collect();
        json!(grants)
    }

    /// Keys by their names, sorted.
    pub fn names(&self, keys: &BTreeSet<PublicKey>) -> Vec<&'static str> {
        let mut names: Vec<_> = keys.iter().map(|key| self.of(key).map_or("?", |hand| hand.name)).collect();
        names.sort_unstable();
        names
    }

    /// A text with names in the place of keys, and without the digits of hashes.
    pub fn plain(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for hand in &self.0 {
            text = text.replace(&hand.key().to_string(), hand.name);
        }
        while let Some(at) = text.find("sha256-") {
            let end = text[at + 7..].find(|c: char| !c.is_ascii_hexdigit()).map_or(text.len(), |end| at + 7 + end);
            text.replace_range(at..end, "<hash>");
        }
        text
    }
}
