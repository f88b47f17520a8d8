//! Valid inputs for any transition in any state: a pure function of the state and keys.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use swoosh::machine::head::Head;
use swoosh::machine::state::State;
use swoosh::machine::{chart, election};
use swoosh::types::canonical::{canonical_bytes, canonical_hash};
use swoosh::types::council;
use swoosh::types::hash::Hash;
use swoosh::types::inputs::{Assets, Members, RotationBody, VoteBody};
use swoosh::types::keys::{PublicKey, domain, message};
use swoosh::types::names::{Role, Transition};
use swoosh::types::text::ClusterId;
pub use swoosh_testkit::voters::{electorate, holder, may_vote};

use super::hands::{Hand, Hands, VOTERS};
use super::world::World;

/// The sources of inputs beside the state.
#[derive(Clone, Copy)]
pub struct Maker<'a> {
    pub hands: &'a Hands,
    /// The cluster that votes and proofs are signed for.
    pub cluster: &'a ClusterId,
    /// Members that count as alive, for Control_QuorumLost and Control_Recovered.
    pub alive: &'a BTreeSet<PublicKey>,
    /// Serial and hash of the policy bundle in force, for Policy_Updated.
    pub bundle: (u64, Hash),
    /// The inputs of the proposal that breached a policy, for Policy_Updated.
    pub breach_inputs: Option<&'a Value>,
}

/// A commit id out of one hexadecimal digit.
pub fn commit(digit: char) -> String {
    digit.to_string().repeat(40)
}

/// A hash out of a word.
pub fn hash(word: &str) -> Hash {
    Hash::of(word.as_bytes())
}

/// The project document of every test: three seats, threshold two, two retries.
pub fn document(hands: &Hands) -> Value {
    json!({
        "sources": {
            "app": {"url": "https://git.example/app", "ref": commit('a')},
            "docs": {"url": "https://git.example/docs", "ref": "v1.0.0"},
        },
        "upstreams": {"swarm": {"url": "ssh://git.example/swarm", "ref": commit('c')}},
        "roles": {
            "lead": {"capabilities": ["plan"], "seats": 1},
            "reviewer": {"capabilities": ["review"], "seats": 2},
        },
        "tool_pins": {"search": {"url": super::outside::SERVER_URL, "server": "search", "version": "1.2.0"}},
        "allocation": {"vcpu": 4, "memory_mib": 8192},
        "limits": {"retries": 2},
        "council": {"quorum": "majority", "min_members": 3},
        "approval_threshold": 2,
        "identities": hands.of_document(),
    })
}

/// A permitted signer of a transition in this state.
pub fn signer<'a>(transition: Transition, state: &State, hands: &'a Hands) -> &'a Hand {
    if transition == Transition::ExecutionApprove {
        let mut waiting = state.council.members.keys().filter(|key| !state.execution.approvals.contains_key(*key));
        return waiting.find_map(|key| hands.of(&holder(state, key))).unwrap_or(hands.get("v1"));
    }
    let spec = chart::spec(transition);
    let may = |role: &Role| spec.signers.contains(role);
    let order: &[(&str, Role)] = &[
        ("operator", Role::Operator),
        ("agent", Role::Agent),
        ("human", Role::Human),
        ("v1", Role::Voter),
        ("worker", Role::Worker),
        ("node", Role::Node),
    ];
    let (name, _) = order.iter().find(|(_, role)| may(role)).unwrap();
    hands.get(name)
}

/// Votes of some candidates for a member set, in the council's present epoch.
pub fn votes(state: &State, maker: Maker<'_>, members: &Members, voters: &[&str]) -> Value {
    let body = VoteBody {
        project: state.meta.project.clone(),
        council_epoch: state.epoch.council,
        member_set_hash: council::member_set_hash(members),
    };
    let message = message(domain::VOTE, maker.cluster, &canonical_bytes(&body));
    let vote = |name: &&str| {
        let hand = maker.hands.get(name);
        json!({"voter": hand.key(), "signature": hand.secret.sign(&message)})
    };
    json!(voters.iter().map(vote).collect::<Vec<_>>())
}

/// Inputs of a quorum certificate over a member set.
pub fn certificate(state: &State, maker: Maker<'_>, members: &Members, voters: &[&str]) -> Value {
    json!({
        "members": members,
        "member_set_hash": council::member_set_hash(members),
        "votes": votes(state, maker, members, voters),
    })
}

fn elect(head: &Head, maker: Maker<'_>) -> Value {
    let candidates = &head.state().council.candidates;
    let electorate = electorate(head.state());
    let electable = |name: &&str| electorate.contains(&maker.hands.get(name).key());
    let there: Vec<&str> = VOTERS.into_iter().chain(["fresh"]).filter(electable).collect();
    let needed = head.state().council.rules.quorum.votes_needed(candidates.len() as u64) as usize;
    certificate(head.state(), maker, &election::propose(head, &electorate), &there[..needed.min(there.len())])
}

/// The rotation of one hand's key to another's.
pub fn rotation(world: &World, old: &str, new: &str, overlap_ms: Option<u64>) -> Value {
    let (old, new) = (world.hands.get(old).key(), world.hands.get(new));
    let proof = council::rotation_proof(&world.cluster, &world.head.state().meta.project, &old, &new.secret);
    let mut inputs = json!({"old": old, "new": new.key(), "proof": proof});
    if let Some(overlap_ms) = overlap_ms {
        inputs["overlap_ms"] = json!(overlap_ms);
    }
    inputs
}

fn default_rotation(state: &State, maker: Maker<'_>) -> Value {
    let (old, new) = (maker.hands.get("reader").key(), maker.hands.get("fresh"));
    let body = RotationBody { project: state.meta.project.clone(), old, new: new.key() };
    let proof = new.secret.sign(&message(domain::ROTATION, maker.cluster, &canonical_bytes(&body)));
    json!({"old": old, "new": new.key(), "proof": proof})
}

fn assets() -> Assets {
    ["image/base", "image/tools"].map(|name| (name.parse().unwrap(), hash(name))).into()
}

/// A commit for every source: the pinned one, or one that follows from the reference.
fn resolved(state: &State) -> BTreeMap<String, String> {
    let all = state.ingestion.sources.iter().chain(&state.ingestion.upstreams);
    let pick = |reference: &str| {
        let pinned = reference.len() == 40 && reference.bytes().all(|b| b.is_ascii_hexdigit());
        if pinned { reference.to_owned() } else { commit('b') }
    };
    all.map(|(name, source)| (name.to_string(), pick(source.reference.as_str()))).collect()
}

/// Valid inputs, without the effect that an outcome answers.
fn body(transition: Transition, head: &Head, maker: Maker<'_>) -> Value {
    use Transition::*;
    let state = head.state();
    let version = state.ingestion.version;
    let failure = json!({"failure": {"detail": "no route to host"}});
    match transition {
        BootConfigOk | BootIdentityGranted | BootIdentityRevoked | BootIdentityRotated | BootChartUpgraded => {
            of_boot(transition, head, maker)
        }
        IngestionSourcesResolved
        | IngestionBytesOk
        | IngestionSchemaOk
        | IngestionPolicyViolation
        | IngestionCorpusBuilt
        | IngestionRollbackIndex => of_ingestion(transition, head, maker),
        CouncilProfilesLoaded | CouncilQuorumCert | CouncilMcpGreen | CouncilMcpRed | CouncilEject => {
            of_council(transition, head, maker)
        }
        IngestionResolveFailed | IngestionFetchFailed | IngestionValidateFailed | IngestionIndexFailed => failure,
        EnvironmentCapacityDenied | EnvironmentProvisionFailed | EnvironmentHealthFailed | EnvironmentReleaseFailed => {
            failure
        }
        CouncilReaffirm | EnvironmentReaffirm => json!({"version": version}),
        EnvironmentInstalled => json!({"assets": assets(), "manifest_hash": canonical_hash(&assets())}),
        EnvironmentGreen => outcomes(state, "ok"),
        EnvironmentAmber => outcomes(state, "degraded"),
        ExecutionAllReady | ExecutionPlanChange | ExecutionPlanLocked | ExecutionApprove | ExecutionSubmit => {
            of_execution(transition, state)
        }
        LicenseGraceEntered | LicenseExpired | LicenseRenewed => json!({"cause": "the license fact changed"}),
        ControlQuorumLost | ControlRecovered => json!({"alive": maker.alive}),
        PolicyRelease => json!({"justification": "looked at it, and it is fine"}),
        PolicyUpdated => {
            let mut inputs = json!({"serial": maker.bundle.0, "bundle_hash": maker.bundle.1});
            if let Some(breach) = maker.breach_inputs {
                inputs["breach_inputs"] = breach.clone();
            }
            inputs
        }
        ExecutionRework
        | CouncilReElect
        | CouncilReplan
        | EnvironmentDeprovision
        | ControlPause
        | ControlResume
        | ControlTerminate
        | PolicyQuarantine
        | PolicyConfirmedBlock => json!({"rationale": "because"}),
        BootLicensed
        | EnvironmentCapacityOk
        | EnvironmentReleased
        | EnvironmentRecheck
        | IngestionRetry
        | IngestionNewVersion
        | ExecutionBeatReviewGate
        | ExecutionApprovalsThreshold
        | ExecutionNextWindow => json!({}),
    }
}

fn of_boot(transition: Transition, head: &Head, maker: Maker<'_>) -> Value {
    use Transition::*;
    let state = head.state();
    match transition {
        BootConfigOk => json!({"document": document(maker.hands)}),
        BootIdentityGranted => {
            json!({"key": maker.hands.get("reader").key(), "identity": {"name": "reader", "roles": ["reader"]}})
        }
        BootIdentityRevoked => json!({"key": maker.hands.get("reader").key(), "rationale": "left the team"}),
        BootIdentityRotated => default_rotation(state, maker),
        BootChartUpgraded => json!({
            "from_version": state.meta.chart_version, "to_version": chart::VERSION, "schema_hash": chart::SCHEMA_HASH
        }),
        other => panic!("{other} has its inputs elsewhere"),
    }
}

fn of_ingestion(transition: Transition, head: &Head, maker: Maker<'_>) -> Value {
    use Transition::*;
    let state = head.state();
    let version = state.ingestion.version;
    match transition {
        IngestionSourcesResolved => {
            let commits = resolved(state).into_iter().map(|(name, commit)| (name, json!({"commit": commit})));
            json!({"resolved": commits.collect::<BTreeMap<_, _>>()})
        }
        IngestionBytesOk => {
            let fetched = |(name, source): (&swoosh::types::text::Name, &swoosh::types::inputs::ResolvedSource)| {
                (name.to_string(), json!({"commit": source.commit, "tree": commit('d')}))
            };
            json!({"fetched": state.ingestion.resolved.iter().map(fetched).collect::<BTreeMap<_, _>>()})
        }
        IngestionSchemaOk => {
            let outcome = |name| json!({"check": "schema", "source": name, "ok": true});
            json!({"outcomes": state.ingestion.fetched.keys().map(outcome).collect::<Vec<_>>()})
        }
        IngestionPolicyViolation => {
            json!({"rationale": "the corpus holds personal data", "bundle_serial": maker.bundle.0})
        }
        IngestionCorpusBuilt => json!({"content_hash": hash(&format!("content {version}"))}),
        IngestionRollbackIndex => {
            let earlier = state.ingestion.ready_versions.keys().rfind(|kept| **kept < version);
            json!({"version": earlier.copied().unwrap_or(0), "rationale": "the new corpus misleads"})
        }
        other => panic!("{other} has its inputs elsewhere"),
    }
}

fn of_council(transition: Transition, head: &Head, maker: Maker<'_>) -> Value {
    use Transition::*;
    let state = head.state();
    match transition {
        CouncilProfilesLoaded => {
            let candidate = |name: &&str| json!({"key": maker.hands.get(name).key(), "capabilities": if *name < "v3" { ["plan"] } else { ["review"] }});
            json!({"candidates": VOTERS.iter().map(candidate).collect::<Vec<_>>()})
        }
        CouncilQuorumCert => elect(head, maker),
        CouncilMcpGreen => json!({"servers": {"search": {"server": "search", "version": "1.2.0"}}}),
        CouncilMcpRed => json!({"unreachable": {"search": "connection refused"}}),
        CouncilEject => {
            let member = state.council.members.keys().next().copied().unwrap_or(maker.hands.get("v1").key());
            json!({"member": member, "rationale": "does not answer"})
        }
        other => panic!("{other} has its inputs elsewhere"),
    }
}

fn of_execution(transition: Transition, state: &State) -> Value {
    use Transition::*;
    match transition {
        ExecutionAllReady | ExecutionPlanChange => json!({
            "version": state.ingestion.version,
            "content_hash": state.ingestion.content_hash.unwrap_or(Hash::ZERO),
            "member_set_hash": state.council.member_set_hash.unwrap_or(Hash::ZERO),
            "assets_hash": state.environment.assets_hash.unwrap_or(Hash::ZERO),
        }),
        ExecutionPlanLocked => json!({"plan_hash": hash(&format!("plan of beat {}", state.execution.beat))}),
        ExecutionApprove => json!({
            "plan_hash": state.execution.plan_hash.unwrap_or(Hash::ZERO),
            "beat": state.execution.beat,
            "rework_round": state.execution.rework_round,
            "council_epoch": state.epoch.council,
        }),
        ExecutionSubmit => {
            json!({"submission": "ucxl://agent:dev@default/out/report", "submission_hash": hash("report")})
        }
        other => panic!("{other} has its inputs elsewhere"),
    }
}

fn outcomes(state: &State, health: &str) -> Value {
    json!({"outcomes": state.environment.assets.keys().map(|name| (name.to_string(), health)).collect::<BTreeMap<_, _>>()})
}

/// Valid inputs for a transition in this state; where it cannot be valid, the nearest there is.
pub fn valid(transition: Transition, head: &Head, maker: Maker<'_>) -> Value {
    let mut inputs = body(transition, head, maker);
    if let Some(effect) = chart::spec(transition).closes {
        let region = chart::effect(effect).region;
        let state = head.state();
        let open = state.effects(region).get(&effect).map(|open| open.id.to_string());
        inputs["effect"] = json!(open.unwrap_or_else(|| format!("{}/0/{effect}", state.meta.project)));
    }
    inputs
}
