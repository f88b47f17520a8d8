//! The files of a directory to try a node in.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::cli::time::{after, now};
use crate::files;
use crate::hybridcore::sources::made;
use crate::machine::facts::KnownFact;
use crate::platform::keyfile;
use crate::types::fact::{Fact, FactClaim, FactKind};
use crate::types::json::Json;
use crate::types::keys::{PublicKey, SecretKey};
use crate::types::text::{ClusterId, ProjectName};

/// Keys by name, each with its roles.
const IDENTITIES: [(&str, &[&str]); 5] = [
    ("operator", &["operator", "human", "worker"]),
    ("agent", &["agent"]),
    ("ada", &["voter"]),
    ("ben", &["voter"]),
    ("cleo", &["voter"]),
];
const DAY_MS: u64 = 86_400_000;
/// How long the trial license is valid.
const LICENSE_MS: u64 = 30 * DAY_MS;
const SETTINGS: &str = include_str!("swoosh.yaml");
const SCHEDULE: &str = include_str!("backbeat.yaml");
const PLAN: &str = "# Plan\n\n1. Read the source.\n2. Build the image.\n3. Report the result.\n";
const README: &str = "# app\n\nThe source that the project works on.\n";

/// A directory to try a node in.
pub(super) struct Trial<'a> {
    /// By its whole path.
    pub root: &'a Path,
    pub cluster: &'a ClusterId,
    pub project: &'a ProjectName,
    pub listen: SocketAddr,
}

/// The result.
pub(super) struct Made {
    /// Variables that name the directory to commands.
    pub variables: Vec<(&'static str, String)>,
    /// Public keys by name.
    pub identities: BTreeMap<&'static str, PublicKey>,
}

impl Trial<'_> {
    /// Writes all files.
    pub fn write(&self) -> anyhow::Result<Made> {
        let mut keys = BTreeMap::new();
        for (name, _) in IDENTITIES {
            keys.insert(name, keyfile::create(&self.root.join(format!("keys/{name}.key")))?);
        }
        let identities: BTreeMap<&'static str, PublicKey> =
            keys.iter().map(|(name, key)| (*name, key.public())).collect();
        let operator = keys.get("operator").context("there is a key of the operator")?;
        let repository = self.root.join("repositories/app");
        let commit = made::repository(&repository, &[("README.md", README)])
            .with_context(|| format!("the repository {} cannot be made", repository.display()))?;
        self.file("swoosh.yaml", &self.settings(&operator.public()))?;
        self.file("backbeat.yaml", SCHEDULE)?;
        self.file("plan.md", PLAN)?;
        self.document("facts.json", &json!(self.facts(operator)?))?;
        self.document("project.json", &project(&repository, &commit, &identities)?)?;
        let variables = self.variables();
        self.file(".envrc", &format!("{}\n", exports(&variables)))?;
        Ok(Made { variables, identities })
    }

    fn settings(&self, operator: &PublicKey) -> String {
        SETTINGS
            .replace("CLUSTER", self.cluster.as_str())
            .replace("LISTEN", &self.listen.to_string())
            .replace("OPERATOR", &operator.to_string())
    }

    fn facts(&self, source: &SecretKey) -> anyhow::Result<Vec<Fact>> {
        let license = json!({"id": "trial", "scopes": ["swoosh"]});
        let capacity = json!({"resources": {"vcpu": 4, "memory_mib": 8192}});
        let facts = [(FactKind::License, LICENSE_MS, license), (FactKind::Capacity, DAY_MS, capacity)];
        facts.into_iter().map(|(kind, life_ms, body)| self.fact(source, kind, life_ms, &body)).collect()
    }

    fn fact(&self, source: &SecretKey, kind: FactKind, life_ms: u64, body: &Value) -> anyhow::Result<Fact> {
        let observed_at = now();
        let claim = FactClaim {
            kind,
            project: None,
            source: source.public(),
            observed_at,
            valid_until: after(observed_at, life_ms),
            body: Json::parse(body.to_string().as_bytes())?,
        };
        let fact = claim.sign(self.cluster, source);
        KnownFact::admit(fact.clone())?;
        Ok(fact)
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let below = |name: &str| self.root.join(name).display().to_string();
        // An address without a host is reached on loopback.
        let host = if self.listen.ip().is_unspecified() {
            SocketAddr::new([127, 0, 0, 1].into(), self.listen.port())
        } else {
            self.listen
        };
        vec![
            ("SWOOSH_URL", format!("http://{host}")),
            ("SWOOSH_PROJECT", self.project.to_string()),
            ("SWOOSH_KEY", below("keys/operator.key")),
            ("SWOOSH_CLUSTER", self.cluster.to_string()),
            ("SWOOSH_KNOWN_NODES", below("known_nodes")),
        ]
    }

    fn document(&self, name: &str, document: &Value) -> anyhow::Result<()> {
        self.file(name, &format!("{}\n", serde_json::to_string_pretty(document)?))
    }

    fn file(&self, name: &str, content: &str) -> anyhow::Result<()> {
        let path = self.root.join(name);
        files::create(&path, content.as_bytes(), files::PRIVATE)
            .with_context(|| format!("{} cannot be written", path.display()))
    }
}

/// Shell commands that set the variables.
pub(super) fn exports(variables: &[(&'static str, String)]) -> String {
    let lines: Vec<String> = variables.iter().map(|(name, value)| format!("export {name}='{value}'")).collect();
    lines.join("\n")
}

/// The inputs of Boot_ConfigOk.
fn project(repository: &Path, commit: &str, keys: &BTreeMap<&'static str, PublicKey>) -> anyhow::Result<Value> {
    let mut identities = serde_json::Map::new();
    for (name, roles) in IDENTITIES {
        let key = keys.get(name).with_context(|| format!("there is a key of {name}"))?;
        identities.insert(key.to_string(), json!({"name": name, "roles": roles}));
    }
    Ok(json!({"document": {
        "sources": {"app": {"url": made::address(repository), "ref": commit}},
        "roles": {"reviewer": {"capabilities": ["review"], "seats": 3}},
        "allocation": {"vcpu": 1, "memory_mib": 512},
        "builds": [{"environment": "dev", "builder": "source.file.linux-image"}],
        "approval_threshold": 2,
        "identities": identities,
    }}))
}
