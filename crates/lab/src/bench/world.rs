//! What the measured node lives in: keys, settings, a schedule whose windows are always open, and facts
//! under which every guard has something to read and passes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use serde_json::{Value, json};

use swoosh_settings::Settings;
use swoosh_types::backbeat::Schedule;
use swoosh_types::fact::{FactClaim, FactKind};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::inputs::IdentityGrant;
use swoosh_types::json::Json;
use swoosh_types::keys::{PublicKey, SecretKey};
use swoosh_types::names::Role;
use swoosh_types::text::ClusterId;

/// Candidates of every council.
pub(crate) const VOTERS: usize = 5;
/// Address of the benchmark's only pinned server; it is never contacted.
const SERVER_URL: &str = "https://mcp.example/search";

/// An identity with its key and roles.
pub(crate) struct Hand {
    pub key: PublicKey,
    pub secret: SecretKey,
    name: String,
    roles: &'static [Role],
}

impl Hand {
    fn new(name: &str, roles: &'static [Role]) -> Hand {
        let secret = SecretKey::from_bytes(Hash::of(name.as_bytes()).as_bytes());
        Hand { key: secret.public(), secret, name: name.to_owned(), roles }
    }

    fn grant(&self) -> anyhow::Result<IdentityGrant> {
        Ok(IdentityGrant { name: self.name.parse()?, roles: self.roles.iter().copied().collect(), delegate: None })
    }
}

/// Keys and settings, the same for every node of a run.
pub(crate) struct World {
    pub cluster: ClusterId,
    pub schedule: Schedule,
    /// Where the one pinned server listens.
    pub server_url: String,
    /// One hand for each role, then the voters.
    hands: Vec<Hand>,
    /// Who signs the facts.
    witness: Hand,
    log_level: String,
}

/// The wall clock, in milliseconds.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl World {
    /// The world; `log_level` is what its nodes log at.
    pub fn new(log_level: &str) -> anyhow::Result<World> {
        let roles: [(&str, &'static [Role]); 3] =
            [("operator", &[Role::Operator]), ("agent", &[Role::Agent]), ("worker", &[Role::Worker])];
        let mut hands: Vec<_> = roles.iter().map(|(name, roles)| Hand::new(name, roles)).collect();
        hands.extend((1..=VOTERS).map(|n| Hand::new(&format!("v{n}"), &[Role::Voter])));
        Ok(World {
            cluster: Settings::default().cluster,
            schedule: serde_json::from_value(always_open())?,
            server_url: SERVER_URL.to_owned(),
            hands,
            witness: Hand::new("witness", &[]),
            log_level: log_level.to_owned(),
        })
    }

    /// The first hand with one of these roles.
    pub fn with_role(&self, roles: &[Role]) -> anyhow::Result<&Hand> {
        self.hands
            .iter()
            .find(|hand| hand.roles.iter().any(|role| roles.contains(role)))
            .context("no identity holds the role")
    }

    /// The hand behind a key.
    pub fn of(&self, key: &PublicKey) -> anyhow::Result<&Hand> {
        self.hands.iter().find(|hand| hand.key == *key).context("no identity holds the key")
    }

    /// The candidates.
    pub fn voters(&self) -> impl Iterator<Item = &Hand> {
        self.hands.iter().filter(|hand| hand.roles.contains(&Role::Voter))
    }

    /// Grants of every identity.
    pub fn grants(&self) -> anyhow::Result<BTreeMap<PublicKey, IdentityGrant>> {
        self.hands.iter().map(|hand| Ok((hand.key, hand.grant()?))).collect()
    }

    /// The settings of a node whose files are in `directory`, and its schedule and facts there.
    pub fn settings(&self, directory: &Path) -> anyhow::Result<Settings> {
        let (schedule, facts) = (directory.join("backbeat.yaml"), directory.join("facts.json"));
        std::fs::write(&schedule, yaml_serde::to_string(&self.schedule)?)?;
        std::fs::write(&facts, serde_json::to_vec(&self.facts()?)?)?;
        let mut settings = Settings {
            listen: ([127, 0, 0, 1], 0).into(),
            data: directory.join("data"),
            backbeat: swoosh_settings::Backbeat { file: Some(schedule), ..Default::default() },
            identities: self.grants()?,
            ..Settings::default()
        };
        settings.facts.file = Some(facts);
        let kinds = [FactKind::License, FactKind::Tooling, FactKind::Capacity, FactKind::Health];
        settings.facts.sources = kinds.map(|kind| (kind, [self.witness.key].into())).into();
        settings.log.level.clone_from(&self.log_level);
        Ok(settings)
    }

    /// The same with as little memory for the store as it takes, so that what heads take is seen.
    pub fn frugal_settings_file(&self, directory: &Path) -> anyhow::Result<PathBuf> {
        let mut settings = self.settings(directory)?;
        settings.journal.cache_bytes = 1 << 20;
        settings.journal.write_buffer_bytes = 8 << 20;
        let path = directory.join("swoosh.yaml");
        std::fs::write(&path, yaml_serde::to_string(&settings)?)?;
        Ok(path)
    }

    /// Writes the settings to the file that a daemon is started with.
    pub fn settings_file(&self, directory: &Path) -> anyhow::Result<PathBuf> {
        let path = directory.join("swoosh.yaml");
        std::fs::write(&path, yaml_serde::to_string(&self.settings(directory)?)?)?;
        Ok(path)
    }

    fn facts(&self) -> anyhow::Result<Vec<swoosh_types::fact::Fact>> {
        let tooling =
            json!({"servers": {&self.server_url: {"reachable": true, "server": "search", "version": "1.2.0"}}});
        let bodies = [
            (FactKind::License, json!({"id": "bench", "scopes": ["swoosh"]})),
            (FactKind::Tooling, tooling),
            (FactKind::Capacity, json!({"resources": {"vcpu": 8, "memory_mib": 16384}})),
            (FactKind::Health, json!({"assets": {"image/base": "ok", "image/tools": "ok"}})),
        ];
        bodies.into_iter().map(|(kind, body)| self.fact(kind, &body)).collect()
    }

    /// What the witness says, from now on and for as long as facts of the kind may hold.
    pub fn fact(&self, kind: FactKind, body: &Value) -> anyhow::Result<swoosh_types::fact::Fact> {
        let hlc = |ms| Hlc::new(ms, 0).context("the wall clock is past the year 9999");
        let claim = FactClaim {
            kind,
            project: None,
            source: self.witness.key,
            observed_at: hlc(now_ms())?,
            valid_until: hlc(now_ms() + kind.max_lifetime_ms())?,
            body: strict(body)?,
        };
        Ok(claim.sign(&self.cluster, &self.witness.secret))
    }
}

/// A JSON value as a strict one.
pub(crate) fn strict(value: &Value) -> anyhow::Result<Json> {
    Ok(Json::parse(&serde_json::to_vec(value)?)?)
}

/// Cycles of two years in which every window is open, so that a chain signed ahead stays in its window.
fn always_open() -> Value {
    let window = json!([{"phase_beats": 0, "length_beats": 1_000_000}]);
    json!({
        "epoch": "2025-01-01T00:00:00.000+00:00#0", "beat_ms": 60_000, "cycle_beats": 1_000_000,
        "windows": {"plan": window, "review": window, "reverb": window},
    })
}
