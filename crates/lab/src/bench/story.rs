//! What a measured project does: its whole lifecycle, then round the loop of review without end.
//!
//! The steps of the loop read nothing that the node adds, so that the machine here knows every head of a
//! chain before the node has seen its first proposal.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::world::{Hand, World, now_ms, strict};
use swoosh_machine::chart::{self, Inputs};
use swoosh_machine::election;
use swoosh_machine::head::Head;
use swoosh_machine::reduce::{Stamp, reduce};
use swoosh_machine::state::State;
use swoosh_types::canonical::{canonical_bytes, canonical_hash};
use swoosh_types::council::{member_set_hash, vote};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::IdemKey;
use swoosh_types::keys::SecretKey;
use swoosh_types::names::{
    BootState, CouncilState, EnvironmentState, ExecutionState, IngestionState, Region, Transition,
};
use swoosh_types::proposal::Proposal;

/// Records that bring a project from genesis into the loop, to the locked plan.
pub(crate) const LIFECYCLE: u64 = 14;

/// A step that is ready to be signed.
pub(crate) struct Step<'w> {
    pub proposal: Proposal,
    pub inputs: Inputs,
    pub secret: &'w SecretKey,
}

/// The next transition of a project.
pub(crate) fn next(state: &State) -> Transition {
    match state.boot.phase {
        BootState::Uninitialized => return Transition::BootConfigOk,
        BootState::LicenseCheck => return Transition::BootLicensed,
        BootState::Licensed => {}
    }
    let lifecycle = ingestion(state).or_else(|| council(state)).or_else(|| environment(state));
    lifecycle.unwrap_or(match state.execution.phase {
        ExecutionState::Inactive => Transition::ExecutionAllReady,
        ExecutionState::Plan => Transition::ExecutionPlanLocked,
        ExecutionState::Work => Transition::ExecutionBeatReviewGate,
        ExecutionState::Review if (state.execution.approvals.len() as u64) < state.execution.approval_threshold => {
            Transition::ExecutionApprove
        }
        ExecutionState::Review | ExecutionState::Reverb => Transition::ExecutionRework,
    })
}

fn ingestion(state: &State) -> Option<Transition> {
    match state.ingestion.phase {
        IngestionState::Discover => Some(Transition::IngestionSourcesResolved),
        IngestionState::Fetch => Some(Transition::IngestionBytesOk),
        IngestionState::Validate => Some(Transition::IngestionSchemaOk),
        IngestionState::Index => Some(Transition::IngestionCorpusBuilt),
        IngestionState::Ready => None,
    }
}

fn council(state: &State) -> Option<Transition> {
    match state.council.phase {
        CouncilState::PlanRoles => Some(Transition::CouncilProfilesLoaded),
        CouncilState::Elect => Some(Transition::CouncilQuorumCert),
        CouncilState::ToolingSync => Some(Transition::CouncilMcpGreen),
        CouncilState::Ready => None,
    }
}

fn environment(state: &State) -> Option<Transition> {
    match state.environment.phase {
        EnvironmentState::Allocate => Some(Transition::EnvironmentCapacityOk),
        EnvironmentState::Provision => Some(Transition::EnvironmentInstalled),
        EnvironmentState::Healthcheck => Some(Transition::EnvironmentGreen),
        EnvironmentState::Ready | EnvironmentState::Degraded => None,
    }
}

/// The step after a head. Its key is numbered by the records the project has, so that none comes twice.
pub(crate) fn step<'w>(world: &'w World, head: &Head) -> anyhow::Result<Step<'w>> {
    step_by(world, head, next(head.state()))
}

/// The step after a head by this transition.
pub(crate) fn step_by<'w>(world: &'w World, head: &Head, transition: Transition) -> anyhow::Result<Step<'w>> {
    let state = head.state();
    let spec = chart::spec(transition);
    let hand = match transition {
        Transition::ExecutionApprove => {
            let waiting = state.council.members.keys().find(|key| !state.execution.approvals.contains_key(*key));
            waiting.map_or_else(|| world.with_role(spec.signers), |key| world.of(key))?
        }
        _ => world.with_role(spec.signers)?,
    };
    let mut value = inputs(world, head, transition)?;
    if let Some(open) = spec.closes.and_then(|effect| state.effects(spec.region).get(&effect)) {
        value["effect"] = json!(open.id);
    }
    let json = strict(&value)?;
    let bytes = json.canonical();
    let last = state.hlc_last.as_ref().as_ref().map_or(Hlc::default(), |last| last.hlc);
    let hlc = last.tick(now_ms())?;
    let position = world.schedule.position(hlc);
    let number: u64 = Region::ALL.iter().map(|region| state.epoch.of(*region)).sum();
    let uuid = format!("step-{number:08}").parse()?;
    let proposal = Proposal {
        project: Some(state.meta.project.clone()),
        current_state_hash: head.hash(),
        transition,
        inputs: json,
        inputs_hash: Hash::of(&bytes),
        signer: hand.key,
        idem_key: IdemKey { goal: "bench".parse()?, beat: position.beat, op_class: spec.op_class, uuid },
        hlc,
        window_id: spec.window.map(|_| position.window_id),
        evidence: vec![format!("ucxl://bench:load@{}/step/{number}", state.meta.project).parse()?],
    };
    Ok(Step { proposal, inputs: Inputs::decode(transition, &bytes)?, secret: &hand.secret })
}

/// A project that is in the loop, `steps` requests ahead: each one's signed body.
pub(crate) fn chain(world: &World, head: &Head, steps: usize) -> anyhow::Result<(Vec<Vec<u8>>, Head)> {
    let mut head = head.clone();
    let mut bodies = Vec::with_capacity(steps);
    let unread = Stamp { index: 0, at: Hlc::default() };
    for _ in 0..steps {
        let step = step(world, &head)?;
        head = head.advance(reduce(&head, &step.proposal, &step.inputs, unread));
        bodies.push(canonical_bytes(&step.proposal.sign(&world.cluster, step.secret)));
    }
    Ok((bodies, head))
}

fn commit(digit: &str) -> String {
    digit.repeat(40)
}

fn document(world: &World) -> anyhow::Result<Value> {
    let app = json!({"url": "https://git.example/app", "ref": commit("a")});
    let docs = json!({"url": "https://git.example/docs", "ref": commit("b")});
    let swarm = json!({"url": "ssh://git.example/swarm", "ref": commit("c")});
    Ok(json!({
        "sources": {"app": app, "docs": docs},
        "upstreams": {"swarm": swarm},
        "roles": {
            "lead": {"capabilities": ["plan"], "seats": 1},
            "reviewer": {"capabilities": ["review"], "seats": 2},
        },
        "tool_pins": {"search": {"url": world.server_url, "server": "search", "version": "1.2.0"}},
        "allocation": {"vcpu": 4, "memory_mib": 8192},
        "limits": {"retries": 2},
        "council": {"quorum": "majority", "min_members": 3},
        "approval_threshold": 2,
        "identities": world.grants()?,
    }))
}

fn inputs(world: &World, head: &Head, transition: Transition) -> anyhow::Result<Value> {
    let state = head.state();
    Ok(match transition {
        Transition::BootConfigOk => json!({"document": document(world)?}),
        Transition::IngestionSourcesResolved => {
            let all = state.ingestion.sources.iter().chain(&state.ingestion.upstreams);
            let resolved: BTreeMap<_, _> =
                all.map(|(name, source)| (name, json!({"commit": source.reference}))).collect();
            json!({"resolved": resolved})
        }
        Transition::IngestionBytesOk => {
            let resolved = &state.ingestion.resolved;
            let fetched: BTreeMap<_, _> = resolved
                .iter()
                .map(|(name, source)| (name, json!({"commit": source.commit, "tree": commit("d")})))
                .collect();
            json!({"fetched": fetched})
        }
        Transition::IngestionSchemaOk => {
            let outcome = |name| json!({"check": "schema", "source": name, "ok": true});
            json!({"outcomes": state.ingestion.fetched.keys().map(outcome).collect::<Vec<_>>()})
        }
        Transition::IngestionCorpusBuilt => json!({"content_hash": Hash::of(b"content")}),
        Transition::CouncilProfilesLoaded => json!({"candidates": candidates(world)}),
        Transition::CouncilQuorumCert => certificate(world, head),
        Transition::CouncilMcpGreen => json!({"servers": {"search": {"server": "search", "version": "1.2.0"}}}),
        Transition::EnvironmentInstalled => {
            let assets: swoosh_types::inputs::Assets =
                [("image/base".parse()?, Hash::of(b"base")), ("image/tools".parse()?, Hash::of(b"tools"))].into();
            json!({"assets": assets, "manifest_hash": canonical_hash(&assets)})
        }
        Transition::EnvironmentGreen => {
            let healthy: BTreeMap<_, _> = state.environment.assets.keys().map(|name| (name, "ok")).collect();
            json!({"outcomes": healthy})
        }
        _ => execution(state, transition)?,
    })
}

fn execution(state: &State, transition: Transition) -> anyhow::Result<Value> {
    Ok(match transition {
        Transition::ExecutionAllReady => json!({
            "version": state.ingestion.version,
            "content_hash": state.ingestion.content_hash,
            "member_set_hash": state.council.member_set_hash,
            "assets_hash": state.environment.assets_hash,
        }),
        Transition::ExecutionPlanLocked => json!({"plan_hash": Hash::of(b"plan")}),
        Transition::ExecutionApprove => json!({
            "plan_hash": state.execution.plan_hash,
            "beat": state.execution.beat,
            "rework_round": state.execution.rework_round,
            "council_epoch": state.epoch.council,
        }),
        Transition::ExecutionRework | Transition::CouncilReplan | Transition::EnvironmentDeprovision => {
            json!({"rationale": "The review asks for another round."})
        }
        Transition::EnvironmentReaffirm => json!({"version": state.ingestion.version}),
        _ if needs_no_inputs(transition) => json!({}),
        _ => anyhow::bail!("the story has no inputs for {transition}"),
    })
}

/// Whether a transition has no inputs but optional ones and the effect, which is added elsewhere.
fn needs_no_inputs(transition: Transition) -> bool {
    chart::spec(transition).inputs.iter().all(|(name, kind)| kind.ends_with('?') || *name == "effect")
}

fn candidates(world: &World) -> Vec<Value> {
    let skill = |n: usize| if n < 2 { "plan" } else { "review" };
    world.voters().enumerate().map(|(n, hand)| json!({"key": hand.key, "capabilities": [skill(n)]})).collect()
}

fn certificate(world: &World, head: &Head) -> Value {
    let state = head.state();
    // The project's document lists every voter used here.
    let members = election::propose(head, &state.council.candidates.keys().copied().collect());
    let needed = usize::try_from(state.council.rules.quorum.votes_needed(state.council.candidates.len() as u64));
    let voters = world.voters().take(needed.unwrap_or(usize::MAX));
    let sign =
        |hand: &Hand| vote(&world.cluster, &state.meta.project, state.epoch.council, &members, &hand.secret).ok();
    let votes: Vec<_> = voters.filter_map(sign).collect();
    json!({"members": members, "member_set_hash": member_set_hash(&members), "votes": votes})
}
