//! The naive model's change by an accepted transition.

use std::collections::BTreeMap;

use serde_json::Value;

use super::naive::{Asked, Model, words};
use super::table;

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn texts(object: &Value, member: Option<&str>) -> BTreeMap<String, String> {
    let read = |it: &Value| member.map_or_else(|| text(it), |member| text(&it[member]));
    object.as_object().into_iter().flatten().map(|(name, it)| (name.clone(), read(it))).collect()
}

impl Model {
    /// Applies a proposal that was accepted.
    pub fn apply(&mut self, asked: &Asked<'_>) {
        if let Some(effect) = table::ends(asked.line.name) {
            self.effects.remove(effect);
        }
        *self.epochs.get_mut(asked.line.region).unwrap() += 1;
        let proposal = asked.proposal;
        self.last = Some((proposal.hlc, proposal.signer, proposal.idem_key.clone()));
        if asked.line.window.is_some() {
            self.window = proposal.window_id;
        }
        match asked.line.region {
            "boot" => self.apply_boot(asked),
            "ingestion" => self.apply_ingestion(asked),
            "council" => {
                self.apply_council(asked);
                self.approvals.clear();
            }
            "environment" => self.apply_environment(asked),
            "execution" => self.apply_execution(asked),
            "control" => self.apply_control(asked),
            _ => self.apply_policy(asked),
        }
    }

    fn go(&mut self, region: &str, state: &str) {
        *self.regions.get_mut(region).unwrap() = state.to_owned();
    }

    fn end(&mut self, effects: &[&'static str]) {
        self.effects.retain(|effect, _| !effects.contains(effect));
    }

    fn apply_boot(&mut self, asked: &Asked<'_>) {
        let inputs = &asked.inputs;
        match asked.line.name {
            "Boot_ConfigOk" => self.configure(&inputs["document"]),
            "Boot_Licensed" => {
                self.go("boot", "LICENSED");
                self.effects.insert("resolve", asked.index);
                self.effects.insert("allocate", asked.index);
            }
            "Boot_IdentityGranted" => {
                self.identities.insert(text(&inputs["key"]), (words(&inputs["identity"]["roles"]), false));
            }
            "Boot_IdentityRevoked" => self.identities.get_mut(&text(&inputs["key"])).unwrap().1 = true,
            "Boot_IdentityRotated" => {
                let old = self.identities.get_mut(&text(&inputs["old"])).unwrap();
                let new = old.clone();
                old.1 = true;
                let (gone, come) = (text(&inputs["old"]), text(&inputs["new"]));
                self.identities.insert(come.clone(), new);
                if self.candidates.remove(&gone) {
                    self.candidates.insert(come.clone());
                }
                self.took_over.insert(gone, come);
            }
            _ => {}
        }
    }

    fn configure(&mut self, document: &Value) {
        self.go("boot", "LICENSE_CHECK");
        let identities = document["identities"].as_object().unwrap().iter();
        self.identities = identities.map(|(key, grant)| (key.clone(), (words(&grant["roles"]), false))).collect();
        let member = |name: &str| document.get(name).cloned().unwrap_or(serde_json::json!({}));
        (self.sources, self.upstreams, self.roles) = (member("sources"), member("upstreams"), member("roles"));
        self.tool_pins = member("tool_pins");
        self.limit = document["limits"]["retries"].as_u64().unwrap_or(3);
        self.bft = document["council"]["quorum"] == "bft";
        self.min_members = document["council"]["min_members"].as_u64().unwrap_or(3);
        self.threshold = document["approval_threshold"].as_u64().unwrap();
        let allocation = member("allocation");
        self.allocation = numbers(&allocation);
    }

    fn step(&mut self, state: &str, opens: &'static str, asked: &Asked<'_>) {
        self.go("ingestion", state);
        self.ingestion_tries = 0;
        self.effects.insert(opens, asked.index);
    }

    fn failed(&mut self, effect: &'static str, asked: &Asked<'_>) {
        self.ingestion_tries += 1;
        if self.ingestion_tries > self.limit {
            self.go("ingestion", "DISCOVER");
        } else {
            self.effects.insert(effect, asked.index);
        }
    }

    fn apply_ingestion(&mut self, asked: &Asked<'_>) {
        let inputs = &asked.inputs;
        match asked.line.name {
            "Ingestion_SourcesResolved" => {
                self.resolved = texts(&inputs["resolved"], Some("commit"));
                self.step("FETCH", "fetch", asked);
            }
            "Ingestion_BytesOk" => {
                self.fetched = texts(&inputs["fetched"], Some("commit"));
                self.step("VALIDATE", "validate", asked);
            }
            "Ingestion_SchemaOk" => self.step("INDEX", "index", asked),
            "Ingestion_CorpusBuilt" => {
                self.go("ingestion", "READY");
                self.ingestion_tries = 0;
                self.content = Some(text(&inputs["content_hash"]));
                self.kept.insert(self.version, (text(&inputs["content_hash"]), self.fetched.clone()));
                let pinned = self.pin.as_ref().map(|pin| pin.0);
                let oldest = self.kept.keys().copied().find(|version| Some(*version) != pinned);
                if self.kept.len() > 16 {
                    self.kept.remove(&oldest.unwrap());
                }
            }
            "Ingestion_ResolveFailed" => self.failed("resolve", asked),
            "Ingestion_FetchFailed" => self.failed("fetch", asked),
            "Ingestion_ValidateFailed" => self.failed("validate", asked),
            "Ingestion_IndexFailed" => self.failed("index", asked),
            "Ingestion_PolicyViolation" => {
                self.go("policy", "QUARANTINED");
                (self.origin, self.breach) = (Some("content"), None);
                self.struck = inputs["bundle_serial"].as_u64();
            }
            "Ingestion_RollbackIndex" => {
                self.go("ingestion", "READY");
                self.end(&["resolve", "fetch", "validate", "index"]);
                self.version = inputs["version"].as_u64().unwrap();
                let (content, fetched) = self.kept[&self.version].clone();
                self.content = Some(content);
                (self.resolved, self.fetched) = (fetched.clone(), fetched);
                self.ingestion_tries = 0;
            }
            retry_or_new => {
                if retry_or_new == "Ingestion_NewVersion" {
                    self.highest += 1;
                    (self.version, self.content) = (self.highest, None);
                }
                if let Some(sources) = inputs.get("sources") {
                    self.sources = sources.clone();
                }
                if let Some(upstreams) = inputs.get("upstreams") {
                    self.upstreams = upstreams.clone();
                }
                self.step("DISCOVER", "resolve", asked);
            }
        }
    }

    fn dissolve(&mut self, state: &str) {
        self.go("council", state);
        self.end(&["probe"]);
        self.members.clear();
        (self.member_hash, self.council_version) = (None, None);
    }

    fn apply_council(&mut self, asked: &Asked<'_>) {
        let inputs = &asked.inputs;
        match asked.line.name {
            "Council_ProfilesLoaded" => {
                self.go("council", "ELECT");
                let candidates = inputs["candidates"].as_array().unwrap().iter();
                self.candidates = candidates.map(|candidate| text(&candidate["key"])).collect();
            }
            "Council_QuorumCert" => {
                self.go("council", "TOOLING_SYNC");
                self.members = texts(&inputs["members"], None);
                self.member_hash = Some(text(&inputs["member_set_hash"]));
                self.effects.insert("probe", asked.index);
            }
            "Council_McpGreen" => {
                self.go("council", "READY");
                self.council_version = Some(self.ready_version());
            }
            "Council_McpRed" => drop(self.effects.insert("probe", asked.index)),
            "Council_Eject" => {
                let member = self.member_of(&text(&inputs["member"])).unwrap();
                let stays = |key: &String| self.member_of(key).as_ref() != Some(&member);
                self.candidates = self.candidates.iter().filter(|key| stays(key)).cloned().collect();
                self.dissolve("ELECT");
            }
            "Council_ReElect" => self.dissolve("ELECT"),
            "Council_Replan" => {
                self.dissolve("PLAN_ROLES");
                self.candidates.clear();
                self.threshold = inputs["approval_threshold"].as_u64().unwrap_or(self.threshold);
                if let Some(roles) = inputs.get("roles") {
                    self.roles = roles.clone();
                }
            }
            _reaffirm => self.council_version = inputs["version"].as_u64(),
        }
    }

    /// The version of a council or environment that becomes READY now: the pinned one, else the present one.
    fn ready_version(&self) -> u64 {
        match &self.pin {
            Some((pinned, ..)) => *pinned,
            None => self.version,
        }
    }

    fn apply_environment(&mut self, asked: &Asked<'_>) {
        let inputs = &asked.inputs;
        match asked.line.name {
            "Environment_CapacityOk" => {
                self.go("environment", "PROVISION");
                self.effects.insert("provision", asked.index);
            }
            "Environment_CapacityDenied" => drop(self.effects.insert("allocate", asked.index)),
            "Environment_Installed" => {
                self.go("environment", "HEALTHCHECK");
                self.assets = texts(&inputs["assets"], None);
                self.assets_hash = Some(text(&inputs["manifest_hash"]));
                self.environment_tries = 0;
                self.effects.insert("healthcheck", asked.index);
            }
            "Environment_ProvisionFailed" => self.provision_failed(asked),
            "Environment_Green" => {
                self.go("environment", "READY");
                self.environment_version = self.environment_version.or(Some(self.ready_version()));
            }
            "Environment_Amber" => self.go("environment", "DEGRADED"),
            "Environment_HealthFailed" => drop(self.effects.insert("healthcheck", asked.index)),
            "Environment_Recheck" => {
                self.go("environment", "HEALTHCHECK");
                self.effects.insert("healthcheck", asked.index);
            }
            "Environment_Deprovision" => {
                self.approvals.clear();
                self.go("environment", "ALLOCATE");
                self.end(&["provision", "healthcheck"]);
                self.environment_tries = 0;
                (self.assets_hash, self.environment_version) = (None, None);
                if let Some(allocation) = inputs.get("allocation") {
                    self.allocation = numbers(allocation);
                }
                self.effects.insert("release", asked.index);
            }
            "Environment_Released" => {
                self.assets.clear();
                if self.environment_tries <= self.limit {
                    self.effects.insert("allocate", asked.index);
                }
            }
            "Environment_ReleaseFailed" => drop(self.effects.insert("release", asked.index)),
            _reaffirm => self.environment_version = inputs["version"].as_u64(),
        }
    }

    fn provision_failed(&mut self, asked: &Asked<'_>) {
        self.assets.extend(texts(&asked.inputs["assets"], None));
        self.environment_tries += 1;
        if self.environment_tries <= self.limit {
            self.effects.insert("provision", asked.index);
            return;
        }
        self.go("environment", "ALLOCATE");
        if !self.assets.is_empty() {
            self.effects.insert("release", asked.index);
        }
    }

    fn apply_execution(&mut self, asked: &Asked<'_>) {
        self.apply_evidence(asked);
        let inputs = &asked.inputs;
        match asked.line.name {
            "Execution_AllReady" | "Execution_PlanChange" => {
                if asked.line.name == "Execution_AllReady" {
                    self.beat = 1;
                }
                self.go("execution", "PLAN");
                let hash = |name: &str| text(&inputs[name]);
                let version = inputs["version"].as_u64().unwrap();
                self.pin = Some((version, hash("content_hash"), hash("member_set_hash"), hash("assets_hash")));
            }
            "Execution_PlanLocked" => {
                self.go("execution", "WORK");
                self.plan = Some(text(&inputs["plan_hash"]));
                self.round = 0;
                self.approvals.clear();
            }
            "Execution_BeatReviewGate" => self.go("execution", "REVIEW"),
            "Execution_Rework" => {
                self.go("execution", "WORK");
                self.round += 1;
                self.approvals.clear();
            }
            "Execution_Approve" => {
                let member = self.member_of(&asked.signer()).unwrap();
                self.approvals.insert(member, asked.signer());
            }
            "Execution_ApprovalsThreshold" => self.go("execution", "REVERB"),
            "Execution_Submit" => self.submissions += 1,
            _next_window => {
                self.go("execution", "PLAN");
                self.beat += 1;
                (self.round, self.submissions, self.plan) = (0, 0, None);
                self.approvals.clear();
            }
        }
    }

    /// A beat begins with its first transition's evidence, and holds the 64 addresses that were first named last.
    fn apply_evidence(&mut self, asked: &Asked<'_>) {
        if ["Execution_AllReady", "Execution_NextWindow"].contains(&asked.line.name) {
            self.evidence.clear();
        }
        for address in &asked.proposal.evidence {
            let address = address.to_string();
            if self.evidence.iter().all(|known| *known != address) {
                self.evidence.push(address);
            }
        }
        while self.evidence.len() > 64 {
            self.evidence.remove(0);
        }
    }

    fn apply_control(&mut self, asked: &Asked<'_>) {
        match asked.line.name {
            "License_GraceEntered" => self.license = "grace",
            "License_Expired" => self.license = "expired",
            "License_Renewed" => self.license = "ok",
            "Control_Pause" => self.paused = true,
            "Control_Resume" => self.paused = false,
            "Control_QuorumLost" => self.recovery = true,
            "Control_Recovered" => self.recovery = false,
            _terminate => {
                self.go("control", "TERMINATED");
                self.effects.clear();
            }
        }
    }

    fn apply_policy(&mut self, asked: &Asked<'_>) {
        match asked.line.name {
            "Policy_Quarantine" => {
                self.go("policy", "QUARANTINED");
                self.breach = asked.inputs.get("breach").cloned();
                self.struck = self.breach.as_ref().and_then(|breach| breach["bundle_serial"].as_u64());
                self.origin = Some(if self.breach.is_some() { "proposal" } else { "declared" });
            }
            "Policy_ConfirmedBlock" => {
                self.go("policy", "TERMINATED");
                self.effects.clear();
            }
            _release_or_updated => {
                self.go("policy", "CLEAR");
                if self.is("ingestion", "VALIDATE") && !self.effects.contains_key("validate") {
                    self.effects.insert("validate", asked.index);
                }
                (self.origin, self.breach, self.struck) = (None, None, None);
            }
        }
    }
}

fn numbers(object: &Value) -> BTreeMap<String, u64> {
    object.as_object().unwrap().iter().map(|(name, amount)| (name.clone(), amount.as_u64().unwrap())).collect()
}
