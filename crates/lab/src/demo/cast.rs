//! Who acts: keys, roles, and a client each.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;

use swoosh_client::{Client, HlcClock, Identity};
use swoosh_platform::keyfile;
use swoosh_types::inputs::IdentityGrant;
use swoosh_types::keys::PublicKey;
use swoosh_types::names::Role;
use swoosh_types::text::ClusterId;

/// The five candidates of the council.
pub(super) const CANDIDATES: [&str; 5] = ["ada", "ben", "cleo", "dora", "emil"];

/// Actors with roles in the project.
const ROLES: [(&str, &[Role]); 10] = [
    ("operator", &[Role::Operator]),
    ("human", &[Role::Human]),
    ("worker", &[Role::Worker]),
    ("agent", &[Role::Agent]),
    // Granted `human` by mistake; the policies know better.
    ("autopilot", &[Role::Agent, Role::Human]),
    ("ada", &[Role::Voter]),
    ("ben", &[Role::Voter]),
    ("cleo", &[Role::Voter]),
    ("dora", &[Role::Voter]),
    ("emil", &[Role::Voter]),
];

/// `stranger` has an unknown key; `hasty` is the operator with a clock that is a minute fast.
const OTHERS: [&str; 2] = ["stranger", "hasty"];

/// How far the hasty clock is ahead, in milliseconds.
const HASTE_MS: u64 = 60_000;

#[derive(Clone, Debug)]
pub(super) struct Actor {
    /// Their key.
    pub identity: Identity,
    clock: Arc<HlcClock>,
}

#[derive(Clone, Debug)]
pub(super) struct Cast {
    cluster: ClusterId,
    actors: BTreeMap<String, Actor>,
    clients: BTreeMap<String, Client>,
}

impl Cast {
    /// Makes the keys of all actors.
    pub fn new(cluster: ClusterId) -> anyhow::Result<Cast> {
        let mut cast = Cast { cluster, actors: BTreeMap::new(), clients: BTreeMap::new() };
        for name in ROLES.iter().map(|(name, _)| *name).chain(OTHERS) {
            cast.add(name, Identity::generate()?);
        }
        let operator = cast.identity("operator")?.clone();
        let clock = Arc::new(HlcClock::over(|| now_ms() + HASTE_MS));
        cast.actors.insert("hasty".to_owned(), Actor { identity: operator, clock });
        Ok(cast)
    }

    pub fn add(&mut self, name: &str, identity: Identity) {
        self.actors.insert(name.to_owned(), Actor { identity, clock: Arc::new(HlcClock::system()) });
    }

    /// Writes the keys into a folder, each readable by its owner alone.
    pub fn keep(&self, folder: &Path) -> anyhow::Result<()> {
        for (name, actor) in self.actors.iter().filter(|(name, _)| *name != "hasty") {
            keyfile::store(&folder.join(format!("{name}.key")), actor.identity.key())?;
        }
        Ok(())
    }

    /// Gives each actor a client of this node that accepts only receipts of this node.
    pub fn connect(&mut self, url: &str, node: PublicKey) -> anyhow::Result<()> {
        for (name, actor) in &self.actors {
            let builder = Client::builder(url).signing(self.cluster.clone(), actor.identity.clone());
            let client = builder.node(node).clock(actor.clock.clone()).build()?;
            self.clients.insert(name.clone(), client);
        }
        Ok(())
    }

    pub fn client(&self, name: &str) -> anyhow::Result<&Client> {
        self.clients.get(name).with_context(|| format!("{name} has no client"))
    }

    pub fn identity(&self, name: &str) -> anyhow::Result<&Identity> {
        self.actors.get(name).map(|actor| &actor.identity).with_context(|| format!("there is no {name}"))
    }

    pub fn key(&self, name: &str) -> anyhow::Result<PublicKey> {
        Ok(self.identity(name)?.public())
    }

    /// The name behind a key.
    pub fn name(&self, key: &PublicKey) -> Option<&str> {
        let found = |(name, actor): (&String, &Actor)| actor.identity.public() == *key && name != "hasty";
        self.actors.iter().find(|&(name, actor)| found((name, actor))).map(|(name, _)| name.as_str())
    }

    /// Names and keys, for the teller.
    pub fn keys(&self) -> impl Iterator<Item = (&str, PublicKey)> {
        let named = self.actors.iter().filter(|(name, _)| *name != "hasty");
        named.map(|(name, actor)| (name.as_str(), actor.identity.public()))
    }

    /// Grants of the project document, by key.
    pub fn grants(&self) -> anyhow::Result<BTreeMap<PublicKey, IdentityGrant>> {
        let grant = |(name, roles): &(&str, &[Role])| -> anyhow::Result<_> {
            Ok((
                self.key(name)?,
                IdentityGrant { name: name.parse()?, roles: roles.iter().copied().collect(), delegate: None },
            ))
        };
        ROLES.iter().map(grant).collect()
    }

    /// The cluster.
    pub fn cluster(&self) -> &ClusterId {
        &self.cluster
    }
}

/// The wall clock, in milliseconds since 1970-01-01T00:00:00Z.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
