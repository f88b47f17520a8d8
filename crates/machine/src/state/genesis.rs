//! The sections of a project that nothing has happened to.

use super::*;

impl Default for Boot {
    fn default() -> Boot {
        Boot { phase: BootState::Uninitialized, licensed_at: None, identities: BTreeMap::new() }
    }
}

impl Default for Ingestion {
    fn default() -> Ingestion {
        Ingestion {
            phase: IngestionState::Discover,
            version: 1,
            highest_version: 1,
            sources: SourceSet::new(),
            upstreams: SourceSet::new(),
            resolved: ResolvedSources::new(),
            fetched: FetchedSources::new(),
            outcomes: Vec::new(),
            content_hash: None,
            ready_versions: BTreeMap::new(),
            tries: 0,
            retry_limit: Limits::default().retries,
            last_failure: None,
            effects: Effects::new(),
        }
    }
}

impl Default for Council {
    fn default() -> Council {
        Council {
            phase: CouncilState::PlanRoles,
            rules: CouncilRules::default(),
            roles: RoleSpecs::new(),
            tool_pins: BTreeMap::new(),
            candidates: BTreeMap::new(),
            election_seed: None,
            members: Members::new(),
            member_set_hash: None,
            certificate: None,
            tooling: ServersSeen::new(),
            unreachable: UnreachableServers::new(),
            version: None,
            effects: Effects::new(),
        }
    }
}

impl Default for Environment {
    fn default() -> Environment {
        Environment {
            phase: EnvironmentState::Allocate,
            allocation: Allocation::new(),
            builds: Vec::new(),
            assets: Assets::new(),
            assets_hash: None,
            outcomes: AssetOutcomes::new(),
            tries: 0,
            retry_limit: Limits::default().retries,
            last_failure: None,
            version: None,
            effects: Effects::new(),
        }
    }
}

impl Default for Execution {
    fn default() -> Execution {
        Execution {
            phase: ExecutionState::Inactive,
            pin: None,
            plan_hash: None,
            beat: 0,
            rework_round: 0,
            window: None,
            approval_threshold: 0,
            approvals: BTreeMap::new(),
            submissions: Vec::new(),
            evidence: Vec::new(),
        }
    }
}

impl Default for Control {
    fn default() -> Control {
        Control {
            phase: ControlState::Active,
            paused: false,
            recovery: false,
            license: LicenseStatus::Ok,
            rationale: None,
        }
    }
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            phase: PolicyState::Clear,
            rationale: None,
            origin: None,
            breach: None,
            struck_serial: None,
            bundle_hash: None,
        }
    }
}
