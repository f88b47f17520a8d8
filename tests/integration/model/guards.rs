//! The naive model's guards: each a plain rule of docs/design.md#guards and docs/design.md#regions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use swoosh::types::canonical::canonical_bytes;
use swoosh::types::fact::FactKind;
use swoosh::types::hash::Hash;
use swoosh::types::hlc::Hlc;
use swoosh::types::ids::WindowId;
use swoosh::types::keys::{PublicKey, Signature, domain, message};

use super::naive::{Asked, Model, Pin, names, words};
use super::table;
use crate::support::strict;

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The hash of a value's canonical bytes.
pub fn hash_of(value: &Value) -> String {
    Hash::of(&strict(value).canonical()).to_string()
}

fn signed(asked: &Asked<'_>, domain: &str, body: &Value, by: &Value, signature: &Value) -> bool {
    let key: PublicKey = text(by).parse().unwrap();
    let signature: Signature = text(signature).parse().unwrap();
    key.verify(&message(domain, asked.cluster, &canonical_bytes(&strict(body))), &signature)
}

fn majority(threshold: u64, of: u64) -> bool {
    2 * threshold > of && threshold <= of
}

fn window_at(schedule: &Value, at: Hlc) -> (u64, WindowId) {
    let number = |name: &str| schedule[name].as_u64().unwrap();
    let epoch: Hlc = text(&schedule["epoch"]).parse().unwrap();
    let beat = (at.physical_ms() - epoch.physical_ms()) / number("beat_ms");
    let cycle_ms = number("beat_ms") * number("cycle_beats");
    let begins = epoch.physical_ms() + beat / number("cycle_beats") * cycle_ms;
    let day_ms = begins - begins % 86_400_000;
    (beat % number("cycle_beats"), WindowId { day_ms, ordinal: (begins - day_ms) / cycle_ms })
}

fn is_open(schedule: &Value, class: &str, at: Hlc) -> bool {
    let (phase, _) = window_at(schedule, at);
    schedule["windows"][class].as_array().unwrap().iter().any(|window| {
        let begins = window["phase_beats"].as_u64().unwrap();
        phase >= begins && phase < begins + window["length_beats"].as_u64().unwrap()
    })
}

fn pinned(reference: &str) -> bool {
    let hex = reference.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let version = reference.trim_start_matches('v');
    (hex && matches!(reference.len(), 40 | 64)) || (version.contains('.') && version.as_bytes()[0].is_ascii_digit())
}

impl Model {
    /// Whether a guard lets the proposal pass.
    pub fn passes(&self, guard: &str, asked: &Asked<'_>) -> bool {
        let groups = [Model::of_boot, Model::of_ingestion, Model::of_lifecycle, Model::of_execution];
        let judged = groups.into_iter().find_map(|group| group(self, guard, asked));
        judged.unwrap_or_else(|| panic!("the model has no guard {guard}"))
    }

    /// Policy, license, the project document and identities.
    fn of_boot(&self, guard: &str, asked: &Asked<'_>) -> Option<bool> {
        let inputs = &asked.inputs;
        Some(match guard {
            "policy" if self.by_node(asked) && duty_of_node(asked.line.name) => true,
            "policy" => self.permits(asked),
            "license" => self.license_reading(asked) != "expired",
            "license_status" => {
                let target = match asked.line.name {
                    "License_GraceEntered" => "grace",
                    "License_Expired" => "expired",
                    _ => "ok",
                };
                self.is("boot", "LICENSED") && self.license_reading(asked) == target && self.license != target
            }
            "document" if asked.line.name == "Boot_ConfigOk" => self.document_agrees(asked),
            "document" => {
                let roles = inputs.get("roles").unwrap_or(&self.roles);
                let threshold = inputs["approval_threshold"].as_u64().unwrap_or(self.threshold);
                council_agrees(roles, threshold, self.min_members)
            }
            "operators" => self.operators_remain(asked),
            "rotation" => self.rotates(asked),
            // There is one version of the chart.
            "chart" => false,
            "bundle" if asked.line.name == "Policy_Quarantine" && inputs.get("breach").is_some() => {
                let known = asked.known(FactKind::Policy).map(|(bundle, _)| bundle["serial"].as_u64());
                self.by_node(asked) && known.is_some_and(|serial| inputs["breach"]["bundle_serial"].as_u64() <= serial)
            }
            "bundle" => Model::bundle_in_force(asked),
            "breach" => self.lifted_by_policy(asked),
            _ => return None,
        })
    }

    /// Outcomes, sources and versions.
    fn of_ingestion(&self, guard: &str, asked: &Asked<'_>) -> Option<bool> {
        let inputs = &asked.inputs;
        Some(match guard {
            "effect" => {
                let effect = table::ends(asked.line.name).unwrap();
                let open = self.effects.get(effect);
                let external = asked.valid(FactKind::Settings).unwrap().get("external").map(words);
                let theirs = effect == "release"
                    || external.is_none_or(|external| external.contains(effect))
                    || self.by_node(asked);
                theirs && open.is_some_and(|index| names_effect(text(&inputs["effect"]), *index, effect))
            }
            "coverage" => self.covers(asked),
            "sources" => {
                let sources = inputs.get("sources").unwrap_or(&self.sources);
                let upstreams = inputs.get("upstreams").unwrap_or(&self.upstreams);
                sources_agree(asked, sources, upstreams)
            }
            "retryable" => !self.effects.contains_key("resolve"),
            "retained" => {
                let version = inputs["version"].as_u64().unwrap();
                version < self.version && self.kept.contains_key(&version)
            }
            "versions" => {
                let busy = self.is("execution", "WORK") || self.is("execution", "REVIEW");
                let pinned = self.pin.as_ref().map(|(version, ..)| *version);
                self.is("ingestion", "READY")
                    && inputs["version"].as_u64() == Some(self.version)
                    && (!busy || pinned == Some(self.version))
            }
            _ => return None,
        })
    }

    /// Council and environment.
    fn of_lifecycle(&self, guard: &str, asked: &Asked<'_>) -> Option<bool> {
        let inputs = &asked.inputs;
        Some(match guard {
            "roster" if asked.line.name == "Council_Eject" => self.member_of(text(&inputs["member"])).is_some(),
            "roster" => {
                let candidates = inputs["candidates"].as_array().unwrap();
                let keys: BTreeSet<&str> = candidates.iter().map(|candidate| text(&candidate["key"])).collect();
                keys.len() == candidates.len()
                    && keys.len() as u64 >= self.min_members
                    && !names(&self.roles).is_empty()
                    && keys.iter().all(|key| self.may_vote(key, asked))
            }
            "quorum" => self.quorum(asked),
            "tooling" => self.tooling(asked),
            "entered" => {
                let busy = ["WORK", "REVIEW", "REVERB"].iter().any(|state| self.is("execution", state));
                !busy || self.paused || self.recovery
            }
            "release" => !self.effects.contains_key("release"),
            "capacity" => {
                let there = |fact: &Value, name: &str| fact["resources"][name].as_u64().unwrap_or(0);
                let fact = asked.valid(FactKind::Capacity);
                self.allocation.iter().all(|(name, wanted)| fact.is_some_and(|fact| there(fact, name) >= *wanted))
            }
            "health" => {
                let Some(fact) = asked.valid(FactKind::Health) else { return Some(false) };
                let green = asked.line.name == "Environment_Green";
                let well = |name: &String| match text(&fact["assets"][name]) {
                    "ok" => true,
                    "degraded" => !green,
                    _ => false,
                };
                self.assets.keys().all(well)
            }
            "liveness" => self.liveness(asked),
            _ => return None,
        })
    }

    /// The loop and its windows.
    fn of_execution(&self, guard: &str, asked: &Asked<'_>) -> Option<bool> {
        let inputs = &asked.inputs;
        Some(match guard {
            "prerequisites" => self.prerequisites(asked),
            "pin" => {
                let Some((version, ..)) = &self.pin else { return Some(false) };
                let bound = self.council_version == Some(*version) && self.environment_version == Some(*version);
                let locks = asked.line.name == "Execution_PlanLocked";
                self.both_ready() && bound && self.council_decides(asked) && (!locks || self.matches_pin())
            }
            "ready" => self.both_ready() && self.council_decides(asked),
            "window" => {
                let Some(schedule) = asked.valid(FactKind::Windows) else { return Some(false) };
                let class = asked.line.window.unwrap();
                let named = asked.proposal.window_id;
                [asked.at, asked.proposal.hlc]
                    .iter()
                    .all(|at| is_open(schedule, class, *at) && named == Some(window_at(schedule, *at).1))
            }
            "fresh_window" => asked.proposal.window_id.is_some_and(|named| self.window.is_none_or(|last| named > last)),
            "member" => {
                let signer = asked.signer();
                let free = |member: String| {
                    !self.approved(asked).contains(&member) && self.may_vote(&self.holder(&member), asked)
                };
                self.may_vote(&signer, asked) && self.member_of(&signer).is_some_and(free)
            }
            "binding" => {
                let count = |name: &str| inputs[name].as_u64().unwrap();
                self.plan.as_deref() == inputs["plan_hash"].as_str()
                    && (count("beat"), count("rework_round")) == (self.beat, self.round)
                    && count("council_epoch") == self.epochs["council"]
            }
            "threshold" => {
                self.approved(asked).len() as u64 >= self.threshold
                    && majority(self.threshold, self.members.len() as u64)
            }
            _ => return None,
        })
    }

    fn both_ready(&self) -> bool {
        self.is("council", "READY") && self.is("environment", "READY")
    }

    /// The ruling of the bundle in force on roles, a transition, its region and its inputs.
    fn rules(bundle: &Value, roles: &BTreeSet<String>, name: &str, region: &str, inputs: &Value) -> (bool, bool) {
        let policies = text(&bundle["policies"]);
        let may = |role: &String| match role.as_str() {
            "node" | "operator" => true,
            "agent" | "worker" if name == "Boot_Licensed" => true,
            "agent" => matches!(region, "ingestion" | "council" | "environment" | "execution"),
            "voter" => matches!(region, "council" | "execution"),
            "worker" => matches!(region, "ingestion" | "council" | "environment"),
            "human" => region == "policy",
            _ => false,
        };
        let secret = name == "Execution_Submit" && text(&inputs["submission"]).ends_with(".pem");
        let breach = secret && policies.contains("@id(\"secrets\")");
        let forbidden = policies.contains(&format!("@id(\"no\") forbid (principal, action == Action::\"{name}\""));
        (roles.iter().any(may) && !forbidden && !breach, breach)
    }

    fn ruling(&self, asked: &Asked<'_>) -> (bool, bool) {
        let stops = ["Control_Pause", "Control_Terminate", "Policy_Quarantine", "Boot_IdentityRevoked"];
        let last = asked.known(FactKind::Policy).map(|(bundle, _)| bundle).filter(|_| stops.contains(&asked.line.name));
        let Some(bundle) = last.or(asked.valid(FactKind::Policy)) else { return (false, false) };
        let roles = self.identity(&asked.signer(), asked).unwrap().0;
        Model::rules(bundle, &roles, asked.line.name, asked.line.region, &asked.inputs)
    }

    fn permits(&self, asked: &Asked<'_>) -> bool {
        self.ruling(asked).0
    }

    /// Whether the proposal breaches a policy.
    pub fn breaches(&self, asked: &Asked<'_>) -> bool {
        self.ruling(asked).1
    }

    fn lifted_by_policy(&self, asked: &Asked<'_>) -> bool {
        let Some(bundle) = asked.valid(FactKind::Policy) else { return false };
        let newer = self.struck.is_some_and(|struck| bundle["serial"].as_u64().unwrap() > struck);
        let passes = match (self.origin, &self.breach) {
            (Some("content"), _) => self.is("ingestion", "VALIDATE"),
            (Some("proposal"), Some(breach)) => {
                let name = text(&breach["transition"]);
                let line = table::named(name);
                let again = asked.inputs.get("breach_inputs").filter(|it| hash_of(it) == text(&breach["inputs_hash"]));
                let permitted = |it| Model::rules(bundle, &words(&breach["roles"]), name, line.region, it).0;
                again.is_some_and(permitted)
            }
            _ => false,
        };
        newer && passes
    }

    fn bundle_in_force(asked: &Asked<'_>) -> bool {
        let inputs = &asked.inputs;
        let (serial, hash) = match asked.line.name {
            "Ingestion_PolicyViolation" => (&inputs["bundle_serial"], None),
            "Policy_Updated" => (&inputs["serial"], inputs["bundle_hash"].as_str()),
            _ if inputs.get("breach").is_none() => return true,
            _ => (&inputs["breach"]["bundle_serial"], None),
        };
        let Some(bundle) = asked.valid(FactKind::Policy) else { return false };
        let in_force = Hash::of(text(&bundle["policies"]).as_bytes()).to_string();
        serial == &bundle["serial"] && hash.is_none_or(|hash| hash == in_force)
    }

    fn license_reading(&self, asked: &Asked<'_>) -> &'static str {
        let Some((license, until)) = asked.known(FactKind::License) else { return "expired" };
        let Some(settings) = asked.valid(FactKind::Settings) else { return "expired" };
        let now = asked.at.physical_ms();
        if !words(&license["scopes"]).contains(text(&settings["license_scope"])) {
            "expired"
        } else if now <= until {
            "ok"
        } else if now <= until + asked.setting("license_grace_ms") {
            "grace"
        } else {
            "expired"
        }
    }

    fn document_agrees(&self, asked: &Asked<'_>) -> bool {
        let document = &asked.inputs["document"];
        let min_members = document["council"]["min_members"].as_u64().unwrap_or(3);
        let retries = document["limits"]["retries"].as_u64().unwrap_or(3);
        let grants: Vec<BTreeSet<String>> =
            document["identities"].as_object().unwrap().values().map(|grant| words(&grant["roles"])).collect();
        let threshold = document["approval_threshold"].as_u64().unwrap();
        let none = Value::Null;
        let upstreams = document.get("upstreams").unwrap_or(&none);
        council_agrees(&document["roles"], threshold, min_members)
            && sources_agree(asked, &document["sources"], upstreams)
            && (1..=100).contains(&retries)
            && (1..=64).contains(&min_members)
            && grants.iter().all(|roles| !roles.is_empty() && !roles.contains("node"))
            && grants.iter().any(|roles| roles.contains("operator"))
    }

    fn operators_remain(&self, asked: &Asked<'_>) -> bool {
        let key = text(&asked.inputs["key"]).to_owned();
        let mut after = self.identities.clone();
        let settings = asked.valid(FactKind::Settings).unwrap()["identities"].as_object().unwrap();
        let given = settings.get(&key).map(|grant| words(&grant["roles"])).unwrap_or_default();
        let fits = if asked.line.name == "Boot_IdentityGranted" {
            let roles = words(&asked.inputs["identity"]["roles"]);
            if !given.is_subset(&roles) {
                return false;
            }
            let before = after.insert(key, (roles.clone(), false));
            !roles.is_empty() && !roles.contains("node") && !before.is_some_and(|(_, revoked)| revoked)
        } else {
            if controls(&given) {
                return false;
            }
            after.insert(key.clone(), (BTreeSet::new(), true));
            self.identities.get(&key).is_some_and(|(_, revoked)| !revoked)
        };
        let fixed = settings.iter();
        let mut all = after.values().filter(|(_, revoked)| !revoked).map(|(roles, _)| roles.clone());
        let mut fixed = fixed.map(|(_, grant)| words(&grant["roles"]));
        fits && (all.any(|roles| roles.contains("operator")) || fixed.any(|roles| roles.contains("operator")))
    }

    fn rotates(&self, asked: &Asked<'_>) -> bool {
        let (old, new) = (&asked.inputs["old"], &asked.inputs["new"]);
        let body = serde_json::json!({"project": "default", "old": old, "new": new});
        let settings = asked.valid(FactKind::Settings).unwrap()["identities"].as_object().unwrap();
        let fixed = settings.get(text(old)).is_some_and(|grant| controls(&words(&grant["roles"])));
        self.identities.get(text(old)).is_some_and(|(_, revoked)| !revoked)
            && !fixed
            && self.identity(text(new), asked).is_none()
            && signed(asked, domain::ROTATION, &body, new, &asked.inputs["proof"])
    }

    fn covers(&self, asked: &Asked<'_>) -> bool {
        let inputs = &asked.inputs;
        match asked.line.name {
            "Ingestion_SourcesResolved" => {
                let all: BTreeMap<String, Value> = [&self.sources, &self.upstreams]
                    .iter()
                    .flat_map(|set| set.as_object().into_iter().flatten())
                    .map(|(name, spec)| (name.clone(), spec["ref"].clone()))
                    .collect();
                let resolved = &inputs["resolved"];
                let fits = |(name, reference): (&String, &Value)| {
                    let commit = text(&resolved[name]["commit"]);
                    !matches!(text(reference).len(), 40 | 64) || text(reference) == commit
                };
                names(resolved) == all.keys().cloned().collect() && all.iter().all(fits)
            }
            "Ingestion_BytesOk" => {
                let fetched = inputs["fetched"].as_object().unwrap().iter();
                let commits = fetched.map(|(name, it)| (name.clone(), text(&it["commit"]).to_owned()));
                commits.collect::<BTreeMap<_, _>>() == self.resolved
            }
            "Ingestion_SchemaOk" => {
                let outcomes = inputs["outcomes"].as_array().unwrap();
                let checked = outcomes.iter().map(|it| text(&it["source"]).to_owned()).collect::<BTreeSet<_>>();
                let all_pass = outcomes.iter().all(|it| it["ok"] == Value::Bool(true));
                all_pass && checked == self.fetched.keys().cloned().collect()
            }
            "Council_McpRed" => names(&inputs["unreachable"]).is_subset(&names(&self.tool_pins)),
            "Environment_Installed" => {
                !names(&inputs["assets"]).is_empty() && hash_of(&inputs["assets"]) == text(&inputs["manifest_hash"])
            }
            green_or_amber => {
                let outcomes: Vec<&str> = inputs["outcomes"].as_object().unwrap().values().map(text).collect();
                let degraded = outcomes.contains(&"degraded");
                names(&inputs["outcomes"]) == self.assets.keys().cloned().collect()
                    && !outcomes.contains(&"failed")
                    && degraded == (green_or_amber == "Environment_Amber")
            }
        }
    }

    fn quorum(&self, asked: &Asked<'_>) -> bool {
        let inputs = &asked.inputs;
        let members = inputs["members"].as_object().unwrap();
        let body = serde_json::json!({
            "project": "default", "council_epoch": self.epochs["council"],
            "member_set_hash": inputs["member_set_hash"],
        });
        let votes = inputs["votes"].as_array().unwrap();
        let voters: BTreeSet<String> = votes.iter().map(|vote| self.holder(text(&vote["voter"]))).collect();
        let good = |vote: &Value| {
            let candidate = self.holder(text(&vote["voter"]));
            self.candidates.contains(&candidate)
                && self.may_vote(&candidate, asked)
                && self.may_vote(text(&vote["voter"]), asked)
                && signed(asked, domain::VOTE, &body, &vote["voter"], &vote["signature"])
        };
        let candidates = self.candidates.len();
        let needed = if self.bft { 2 * candidates / 3 + 1 } else { candidates / 2 + 1 };
        let seated = |role: &str| members.values().filter(|held| text(held) == role).count() as u64;
        let fits =
            |role: &Value| self.roles[text(role)]["seats"].as_u64().is_some_and(|seats| seated(text(role)) <= seats);
        hash_of(&inputs["members"]) == text(&inputs["member_set_hash"])
            && members.keys().all(|key| self.candidates.contains(key) && self.may_vote(key, asked))
            && members.values().all(fits)
            && members.len() as u64 >= self.min_members
            && majority(self.threshold, members.len() as u64)
            && voters.len() == votes.len()
            && votes.iter().all(good)
            && votes.len() >= needed
    }

    fn tooling(&self, asked: &Asked<'_>) -> bool {
        let pins = self.tool_pins.as_object().unwrap();
        let seen = &asked.inputs["servers"];
        let all_pinned = names(seen) == names(&self.tool_pins);
        let Some(fact) = asked.valid(FactKind::Tooling) else { return pins.is_empty() && all_pinned };
        let same = |a: &Value, b: &Value| a["server"] == b["server"] && a["version"] == b["version"];
        all_pinned
            && pins.iter().all(|(name, pin)| {
                let status = &fact["servers"][text(&pin["url"])];
                status["reachable"] == Value::Bool(true) && same(status, pin) && same(&seen[name], pin)
            })
    }

    fn prerequisites(&self, asked: &Asked<'_>) -> bool {
        let inputs = &asked.inputs;
        let hash = |name: &str| inputs[name].as_str().map(str::to_owned);
        let version = Some(self.version);
        let now = (version, &self.content, &self.member_hash, &self.assets_hash);
        let same = |(version, content, members, assets): &Pin| {
            now == (Some(*version), &Some(content.clone()), &Some(members.clone()), &Some(assets.clone()))
        };
        let moved = !self.pin.as_ref().is_some_and(same);
        self.is("ingestion", "READY")
            && self.both_ready()
            && self.council_decides(asked)
            && (self.council_version, self.environment_version) == (version, version)
            && inputs["version"].as_u64() == version
            && self.content.is_some()
            && (hash("content_hash"), hash("member_set_hash"), hash("assets_hash"))
                == (self.content.clone(), self.member_hash.clone(), self.assets_hash.clone())
            && (asked.line.name == "Execution_AllReady" || moved)
    }

    /// Whether the pinned content, members and assets are all still present.
    fn matches_pin(&self) -> bool {
        self.pin.as_ref().is_some_and(|(version, content, members, assets)| {
            self.kept.get(version).is_some_and(|(kept, _)| kept == content)
                && self.member_hash.as_ref() == Some(members)
                && self.assets_hash.as_ref() == Some(assets)
        })
    }

    fn liveness(&self, asked: &Asked<'_>) -> bool {
        let Some(fact) = asked.valid(FactKind::Liveness) else { return false };
        let now = asked.at.physical_ms();
        // A member without a pulse counts as silent since the fact was observed.
        let observed_ms = asked.outside.said(FactKind::Liveness).map_or(0, |said| said.observed_ms);
        let waits = !self.recovery && now.saturating_sub(observed_ms) < asked.setting("lost_after_ms");
        let counts = |key: &str| {
            let Some(pulse) = fact["members"].get(key) else { return false };
            let since: Hlc = text(&pulse["since"]).parse().unwrap();
            let lasted = now.saturating_sub(since.physical_ms());
            let answers = pulse["alive"] == Value::Bool(true);
            match self.recovery {
                true => answers && lasted >= asked.setting("back_after_ms"),
                false => answers || lasted < asked.setting("lost_after_ms"),
            }
        };
        let answers = |member: &&String| {
            let mut line = vec![(*member).clone()];
            while let Some(next) = self.took_over.get(line.last().unwrap()) {
                line.push(next.clone());
            }
            let is_known = line.iter().any(|key| fact["members"].get(key).is_some());
            let answers = if is_known { line.iter().any(|key| counts(key)) } else { waits };
            self.may_vote(line.last().unwrap(), asked) && answers
        };
        let alive: BTreeSet<String> = self.members.keys().filter(answers).cloned().collect();
        let elected = self.members.len();
        let lost = if self.bft { 3 * alive.len() <= 2 * elected } else { 2 * alive.len() <= elected };
        let wants_lost = asked.line.name == "Control_QuorumLost";
        elected > 0
            && !self.is("execution", "INACTIVE")
            && self.recovery != wants_lost
            && lost == wants_lost
            && words(&asked.inputs["alive"]) == alive
    }
}

/// Transitions of the node that need no policy's permit.
fn duty_of_node(name: &str) -> bool {
    let of_node = ["Boot_ChartUpgraded", "Control_QuorumLost", "Control_Recovered", "Policy_Quarantine"];
    name.starts_with("License_") || of_node.contains(&name)
}

/// Whether roles of the settings control a project, so that it cannot take them away.
fn controls(roles: &BTreeSet<String>) -> bool {
    ["operator", "human", "node"].iter().any(|role| roles.contains(*role))
}

fn council_agrees(roles: &Value, threshold: u64, min_members: u64) -> bool {
    let seats: Vec<u64> =
        roles.as_object().into_iter().flatten().map(|(_, role)| role["seats"].as_u64().unwrap()).collect();
    let sum = seats.iter().sum();
    !seats.is_empty() && !seats.contains(&0) && sum >= min_members && majority(threshold, sum)
}

fn sources_agree(asked: &Asked<'_>, sources: &Value, upstreams: &Value) -> bool {
    let settings = asked.valid(FactKind::Settings).unwrap();
    let (transports, floating) = (words(&settings["transports"]), words(&settings["floating_refs"]));
    let fits = |spec: &Value| {
        let (url, reference) = (text(&spec["url"]), text(&spec["ref"]));
        transports.contains(url.split("://").next().unwrap())
            && (pinned(reference) || floating.contains(&format!("{url}#{reference}")))
    };
    let all = sources.as_object().into_iter().flatten().chain(upstreams.as_object().into_iter().flatten());
    !names(sources).is_empty() && names(sources).is_disjoint(&names(upstreams)) && all.map(|(_, spec)| spec).all(fits)
}

/// Whether an id is of an effect that the record at this index opened: `default/<index>-<16 digits>/<effect>`. The model
/// knows no digests; a test of the machine asks whether another one is refused.
fn names_effect(id: &str, index: u64, effect: &str) -> bool {
    let digest =
        id.strip_prefix(&format!("default/{index}-")).and_then(|rest| rest.strip_suffix(&format!("/{effect}")));
    digest.is_some_and(|digest| digest.len() == 16)
}
