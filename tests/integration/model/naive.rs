//! The naive model's state, and how it judges: strings, maps and plain rules, of docs/design.md#guards.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use swoosh::types::fact::FactKind;
use swoosh::types::hash::Hash;
use swoosh::types::hlc::Hlc;
use swoosh::types::ids::{IdemKey, WindowId};
use swoosh::types::keys::PublicKey;
use swoosh::types::proposal::Proposal;
use swoosh::types::text::ClusterId;

use super::table::{self, Line};
use crate::support::outside::Outside;

/// An identity: its roles, and whether it is revoked.
pub type Identity = (BTreeSet<String>, bool);

/// The pin of execution: version, content, members, assets.
pub type Pin = (u64, String, String, String);

/// The naive model of one project.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub regions: BTreeMap<&'static str, String>,
    pub epochs: BTreeMap<&'static str, u64>,
    pub effects: BTreeMap<&'static str, u64>,
    pub identities: BTreeMap<String, Identity>,
    /// Which key took the place of which.
    pub took_over: BTreeMap<String, String>,
    pub sources: Value,
    pub upstreams: Value,
    pub version: u64,
    pub highest: u64,
    pub kept: BTreeMap<u64, (String, BTreeMap<String, String>)>,
    pub resolved: BTreeMap<String, String>,
    pub fetched: BTreeMap<String, String>,
    pub content: Option<String>,
    pub ingestion_tries: u64,
    pub limit: u64,
    pub roles: Value,
    pub bft: bool,
    pub min_members: u64,
    pub tool_pins: Value,
    pub candidates: BTreeSet<String>,
    pub members: BTreeMap<String, String>,
    pub member_hash: Option<String>,
    pub council_version: Option<u64>,
    pub allocation: BTreeMap<String, u64>,
    pub assets: BTreeMap<String, String>,
    pub assets_hash: Option<String>,
    pub environment_tries: u64,
    pub environment_version: Option<u64>,
    pub pin: Option<Pin>,
    pub plan: Option<String>,
    pub beat: u64,
    pub round: u64,
    pub window: Option<WindowId>,
    pub threshold: u64,
    /// The signer for each member.
    pub approvals: BTreeMap<String, String>,
    pub submissions: u64,
    pub evidence: Vec<String>,
    pub paused: bool,
    pub recovery: bool,
    pub license: &'static str,
    pub origin: Option<&'static str>,
    pub breach: Option<Value>,
    pub struck: Option<u64>,
    pub last: Option<(Hlc, PublicKey, IdemKey)>,
}

/// The model's verdict on a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    /// Rejected, with its code, and all guards that failed.
    Rejected(String, BTreeSet<String>),
}

fn rejected(code: &str) -> Verdict {
    Verdict::Rejected(code.to_owned(), BTreeSet::new())
}

/// A proposal, and the world it is judged in.
pub struct Asked<'a> {
    pub proposal: &'a Proposal,
    pub inputs: Value,
    pub line: &'static Line,
    pub outside: &'a Outside,
    pub cluster: &'a ClusterId,
    pub at: Hlc,
    pub index: u64,
    pub head: Hash,
}

impl Asked<'_> {
    /// The last fact of a kind, expired or not, and the end of its validity.
    pub fn known(&self, kind: FactKind) -> Option<(&Value, u64)> {
        let said = self.outside.said(kind)?;
        let day = 86_400_000;
        let cap = match kind {
            FactKind::License => 400 * day,
            FactKind::Tooling | FactKind::Capacity | FactKind::Health | FactKind::Liveness => day,
            FactKind::Windows | FactKind::Policy | FactKind::Settings => 3653 * day,
        };
        Some((&said.body, said.observed_ms + said.lasts_ms.min(cap)))
    }

    /// The fact of a kind, if it is valid.
    pub fn valid(&self, kind: FactKind) -> Option<&Value> {
        self.known(kind).filter(|(_, until)| self.at.physical_ms() <= *until).map(|(body, _)| body)
    }

    /// A number of the settings.
    pub fn setting(&self, name: &str) -> u64 {
        self.valid(FactKind::Settings).unwrap()[name].as_u64().unwrap()
    }

    pub fn signer(&self) -> String {
        self.proposal.signer.to_string()
    }
}

impl Model {
    /// A project that nothing has happened to.
    pub fn genesis() -> Model {
        let first = [
            ("boot", "UNINITIALIZED"),
            ("ingestion", "DISCOVER"),
            ("council", "PLAN_ROLES"),
            ("environment", "ALLOCATE"),
            ("execution", "INACTIVE"),
            ("control", "ACTIVE"),
            ("policy", "CLEAR"),
        ];
        Model {
            regions: first.map(|(region, state)| (region, state.to_owned())).into(),
            epochs: first.map(|(region, _)| (region, 0)).into(),
            version: 1,
            highest: 1,
            limit: 3,
            min_members: 3,
            license: "ok",
            ..Model::default()
        }
    }

    /// Whether a region is in a state.
    pub fn is(&self, region: &str, state: &str) -> bool {
        self.regions[region] == state
    }

    /// The identity behind a key: the roles that the settings and the project give it, together. The node is the
    /// settings'. What the project revoked keeps the roles of the settings that control the project.
    pub fn identity(&self, key: &str, asked: &Asked<'_>) -> Option<Identity> {
        let settings = asked.valid(FactKind::Settings).and_then(|settings| settings["identities"].get(key));
        let Some(mut roles) = settings.map(|grant| words(&grant["roles"])) else {
            return self.identities.get(key).cloned();
        };
        match self.identities.get(key) {
            Some((own, false)) if !roles.contains("node") => roles.extend(own.iter().cloned()),
            Some((own, true)) if !roles.contains("node") => {
                roles.retain(|role| ["operator", "human", "reader"].contains(&role.as_str()));
                if roles.is_empty() {
                    return Some((own.clone(), true));
                }
            }
            _ => {}
        }
        Some((roles, false))
    }

    /// Whether a key's vote counts.
    pub fn may_vote(&self, key: &str, asked: &Asked<'_>) -> bool {
        self.identity(key, asked).is_some_and(|(roles, revoked)| roles.contains("voter") && !revoked)
    }

    /// The key that holds the place of another.
    pub fn holder(&self, key: &str) -> String {
        let mut holder = key.to_owned();
        while let Some(next) = self.took_over.get(&holder) {
            holder = next.clone();
        }
        holder
    }

    /// The member whose place a key has.
    pub fn member_of(&self, key: &str) -> Option<String> {
        let holds = |member: &&String| {
            let mut at = (*member).clone();
            loop {
                if at == key {
                    return true;
                }
                match self.took_over.get(&at) {
                    Some(next) => at = next.clone(),
                    None => return false,
                }
            }
        };
        self.members.keys().find(holds).cloned()
    }

    /// Members that approved by a key that counts, and whose place counts.
    pub fn approved(&self, asked: &Asked<'_>) -> BTreeSet<String> {
        let counts = |(member, signer): &(&String, &String)| {
            self.may_vote(signer, asked) && self.may_vote(&self.holder(member), asked)
        };
        self.approvals.iter().filter(counts).map(|(member, _)| member.clone()).collect()
    }

    /// Whether a quorum of the elected members may vote; true if none is elected.
    pub fn council_decides(&self, asked: &Asked<'_>) -> bool {
        let counting = self.members.keys().filter(|member| self.may_vote(&self.holder(member), asked)).count();
        let elected = self.members.len();
        elected == 0 || if self.bft { 3 * counting > 2 * elected } else { 2 * counting > elected }
    }

    /// Judges in the order of docs/design.md#order-of-checks.
    pub fn judge(&self, asked: &Asked<'_>) -> Verdict {
        let checks = [Model::who, Model::key, Model::head, Model::clock, Model::enabled];
        for check in checks {
            if let Some(code) = check(self, asked) {
                return rejected(code);
            }
        }
        let own = ["policy"].into_iter().chain((self.licensed(asked.line)).then_some("license"));
        let mut first = None;
        let mut failed = BTreeSet::new();
        for guard in own.chain(asked.line.guards.iter().copied()) {
            if !self.passes(guard, asked) {
                first.get_or_insert(guard);
                failed.insert(guard.to_owned());
            }
        }
        match first {
            None => Verdict::Accepted,
            Some("policy") if self.breaches(asked) => Verdict::Rejected("policy_breach".into(), failed),
            Some(guard) => Verdict::Rejected(format!("guard_{guard}"), failed),
        }
    }

    fn who(&self, asked: &Asked<'_>) -> Option<&'static str> {
        if asked.valid(FactKind::Settings).is_none() {
            return Some("identity_unknown");
        }
        match self.identity(&asked.signer(), asked) {
            None => Some("identity_unknown"),
            Some((_, true)) => Some("identity_revoked"),
            Some((roles, false)) if !asked.line.signers.iter().any(|role| roles.contains(*role)) => {
                Some("role_not_allowed")
            }
            Some(_) => None,
        }
    }

    fn key(&self, asked: &Asked<'_>) -> Option<&'static str> {
        let key = &asked.proposal.idem_key;
        if key.op_class.as_str() != asked.line.region {
            return Some("op_class_mismatch");
        }
        let reserved = key.goal.as_str().starts_with("swoosh.");
        if reserved && !self.by_node(asked) {
            return Some("reserved_goal");
        }
        if reserved {
            return None;
        }
        let line = asked.line;
        let is_outcome = table::ends(line.name).is_some();
        let boot = line.name.starts_with("Boot_Identity") || line.name == "Boot_ChartUpgraded";
        let safe = matches!(line.region, "control" | "policy") || line.compensation || boot;
        if asked.valid(FactKind::Windows).is_none() && !is_outcome && !safe {
            return Some("beats_unknown");
        }
        // The last schedule known still counts; without any, beats are at least a millisecond long.
        let Some((schedule, _)) = asked.known(FactKind::Windows) else {
            let newest = asked.at.physical_ms() + asked.setting("key_ahead_ms");
            return (key.beat > newest).then_some("idem_key_expired");
        };
        let beat_ms = schedule["beat_ms"].as_u64().unwrap();
        let epoch: Hlc = schedule["epoch"].as_str().unwrap().parse().unwrap();
        let now = (asked.at.physical_ms() - epoch.physical_ms()) / beat_ms;
        // Outcomes of effects may come late.
        let behind = !is_outcome && key.beat + asked.setting("key_horizon_ms") / beat_ms < now;
        let ahead = key.beat > now + asked.setting("key_ahead_ms") / beat_ms;
        (behind || ahead).then_some("idem_key_expired")
    }

    fn head(&self, asked: &Asked<'_>) -> Option<&'static str> {
        (asked.proposal.current_state_hash != asked.head).then_some("stale_head")
    }

    fn clock(&self, asked: &Asked<'_>) -> Option<&'static str> {
        let proposal = asked.proposal;
        let triple = (proposal.hlc, proposal.signer, proposal.idem_key.clone());
        let (theirs, ours) = (proposal.hlc.physical_ms(), asked.at.physical_ms());
        if self.last.as_ref().is_some_and(|last| triple <= *last) {
            return Some("hlc_not_after");
        }
        let successor = |last: Hlc| match last.logical() {
            u16::MAX => Hlc::new(last.physical_ms() + 1, 0),
            logical => Hlc::new(last.physical_ms(), logical + 1),
        };
        let next = self.last.as_ref().and_then(|(last, ..)| successor(*last)) == Some(proposal.hlc);
        let ahead = theirs > ours && theirs - ours > asked.setting("max_ahead_ms");
        if ahead && !next && !self.by_node(asked) {
            return Some("hlc_ahead");
        }
        (ours > theirs && ours - theirs > asked.setting("max_behind_ms")).then_some("hlc_behind")
    }

    pub fn by_node(&self, asked: &Asked<'_>) -> bool {
        self.identity(&asked.signer(), asked).is_some_and(|(roles, _)| roles.contains("node"))
    }

    fn licensed(&self, line: &Line) -> bool {
        matches!(line.region, "ingestion" | "council" | "environment" | "execution")
    }

    fn enabled(&self, asked: &Asked<'_>) -> Option<&'static str> {
        let line = asked.line;
        if self.is("control", "TERMINATED") || self.is("policy", "TERMINATED") {
            return Some("terminated");
        }
        if self.licensed(line) && !self.is("boot", "LICENSED") {
            return Some("not_licensed");
        }
        let here = line.from.contains(&self.regions[line.region].as_str());
        let begun = !self.is("boot", "UNINITIALIZED") || line.name == "Boot_ConfigOk";
        if !here || !begun {
            return Some("not_enabled");
        }
        if (line.name == "Control_Pause" && self.paused) || (line.name == "Control_Resume" && !self.paused) {
            return Some("not_enabled");
        }
        let declared = line.name == "Policy_Quarantine" && self.origin == Some("declared");
        if declared && self.is("policy", "QUARANTINED") {
            return Some("not_enabled");
        }
        let allocates = line.name == "Environment_Deprovision" && self.is("environment", "ALLOCATE");
        let busy = ["allocate", "release"].iter().any(|effect| self.effects.contains_key(effect));
        if allocates && (busy || self.environment_tries <= self.limit) {
            return Some("not_enabled");
        }
        let always = matches!(line.region, "control" | "policy") || line.name == "Boot_ChartUpgraded";
        let identities = line.name.starts_with("Boot_Identity");
        let bars = line.name == "Boot_IdentityRevoked";
        let stopped = [
            self.paused && !(always || identities || line.compensation),
            self.recovery && !(always || identities || line.compensation || line.region == "council"),
            self.license == "expired" && !(always || bars),
            self.is("policy", "QUARANTINED")
                && !(always || bars || line.name == "Boot_IdentityRotated" || line.compensation),
        ];
        stopped.contains(&true).then_some("blocked")
    }
}

/// The texts of a list.
pub fn words(list: &Value) -> BTreeSet<String> {
    list.as_array().into_iter().flatten().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// The names of an object's members.
pub fn names(object: &Value) -> BTreeSet<String> {
    object.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}
