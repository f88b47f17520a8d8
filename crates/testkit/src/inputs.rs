//! Valid inputs for any transition in any state: a pure function of the state and keys. Tests and the simulation use the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use swoosh_machine::head::Head;
use swoosh_machine::state::State;
use swoosh_machine::{chart, election};
use swoosh_types::canonical::{canonical_bytes, canonical_hash};
use swoosh_types::council;
use swoosh_types::hash::Hash;
use swoosh_types::inputs::{Assets, Members, RotationBody, VoteBody};
use swoosh_types::keys::{PublicKey, domain, message};
use swoosh_types::names::{Role, Transition};
use swoosh_types::text::ClusterId;

use crate::hands::{Hand, Hands, VOTERS};
use crate::voters;

/// Data for inputs, beside the state.
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
    pub choice: Choice,
}

/// How identities and candidates are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The same in every state: the five voters are candidates, and identities of the reader change.
    Fixed,
    /// By the state: candidates who may vote, and identities in turn.
    Varied,
    /// The same, but candidates and voters are taken whether or not they may vote.
    Careless,
}

/// A commit id out of one hexadecimal digit.
pub fn commit(digit: char) -> String {
    digit.to_string().repeat(40)
}

/// A hash out of a word.
pub fn hash(word: &str) -> Hash {
    Hash::of(word.as_bytes())
}

/// The document of every project: three seats, threshold two, two retries.
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
        "tool_pins": {"search": {"url": crate::outside::SERVER_URL, "server": "search", "version": "1.2.0"}},
        "allocation": {"vcpu": 4, "memory_mib": 8192},
        "limits": {"retries": 2},
        "council": {"quorum": "majority", "min_members": 3},
        "approval_threshold": 2,
        "identities": hands.of_document(),
    })
}

/// The signer of a transition in this state.
pub fn signer<'a>(transition: Transition, state: &State, hands: &'a Hands) -> &'a Hand {
    if transition == Transition::ExecutionApprove {
        let approved = voters::approved(state);
        let waiting = state.council.members.keys().filter(|key| !approved.contains(*key));
        let mut holders = waiting.map(|key| voters::holder(state, key)).filter(|key| voters::may_vote(state, key));
        return holders.find_map(|key| hands.of(&key)).unwrap_or(hands.get("v1"));
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
    let everyone: BTreeSet<PublicKey> = candidates.keys().copied().collect();
    let electorate = if maker.choice == Choice::Careless { everyone } else { voters::electorate(head.state()) };
    let mut there: Vec<&str> =
        CANDIDATES.into_iter().filter(|name| electorate.contains(&maker.hands.get(name).key())).collect();
    if maker.choice == Choice::Careless {
        there.reverse();
    }
    let needed = head.state().council.rules.quorum.votes_needed(candidates.len() as u64) as usize;
    certificate(head.state(), maker, &election::propose(head, &electorate), &there[..needed.min(there.len())])
}

/// Every possible council candidate: the voters, and the key that one of them may rotate to.
const CANDIDATES: [&str; 6] = ["v1", "v2", "v3", "v4", "v5", "fresh"];

/// The rotation of one hand's key to another's.
pub fn rotation(state: &State, maker: Maker<'_>, old: &str, new: &str, overlap_ms: Option<u64>) -> Value {
    let (old, new) = (maker.hands.get(old).key(), maker.hands.get(new));
    let body = RotationBody { project: state.meta.project.clone(), old, new: new.key() };
    let proof = new.secret.sign(&message(domain::ROTATION, maker.cluster, &canonical_bytes(&body)));
    let mut inputs = json!({"old": old, "new": new.key(), "proof": proof});
    if let Some(overlap_ms) = overlap_ms {
        inputs["overlap_ms"] = json!(overlap_ms);
    }
    inputs
}

fn next_rotation(state: &State, maker: Maker<'_>) -> Value {
    let (mut old, mut overlap_ms) = ("reader", None);
    if maker.choice != Choice::Fixed {
        old = if state.epoch.boot.is_multiple_of(2) { "reader" } else { "v4" };
        overlap_ms = Some(if state.epoch.boot.is_multiple_of(3) { 60_000 } else { 0 });
    }
    rotation(state, maker, old, "fresh", overlap_ms)
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

/// Valid inputs, without the effect that an outcome answers. Each transition is named, so that a new one does not
/// compile until it has inputs here.
fn body(transition: Transition, head: &Head, maker: Maker<'_>) -> Value {
    use Transition::*;
    let state = head.state();
    match transition {
        BootConfigOk => json!({"document": document(maker.hands)}),
        BootIdentityGranted => grant(state, maker),
        BootIdentityRevoked => revocation(state, maker),
        BootIdentityRotated => next_rotation(state, maker),
        BootChartUpgraded => upgrade(state),
        IngestionSourcesResolved => commits(state),
        IngestionBytesOk => fetched(state),
        IngestionSchemaOk => checks(state),
        IngestionPolicyViolation => violation(maker),
        IngestionCorpusBuilt => json!({"content_hash": hash(&format!("content {}", state.ingestion.version))}),
        IngestionRollbackIndex => rollback(state),
        CouncilProfilesLoaded => profiles(state, maker),
        CouncilQuorumCert => elect(head, maker),
        CouncilMcpGreen => json!({"servers": {"search": {"server": "search", "version": "1.2.0"}}}),
        CouncilMcpRed => json!({"unreachable": {"search": "connection refused"}}),
        CouncilEject => ejection(state, maker),
        CouncilReaffirm | EnvironmentReaffirm => json!({"version": state.ingestion.version}),
        EnvironmentInstalled => json!({"assets": assets(), "manifest_hash": canonical_hash(&assets())}),
        EnvironmentGreen => outcomes(state, "ok"),
        EnvironmentAmber => outcomes(state, "degraded"),
        ExecutionAllReady | ExecutionPlanChange => pin(state),
        ExecutionPlanLocked => json!({"plan_hash": hash(&format!("plan of beat {}", state.execution.beat))}),
        ExecutionApprove => approval(state),
        ExecutionSubmit => {
            json!({"submission": "ucxl://agent:dev@default/out/report", "submission_hash": hash("report")})
        }
        LicenseGraceEntered | LicenseExpired | LicenseRenewed => json!({"cause": "the license fact changed"}),
        ControlQuorumLost | ControlRecovered => json!({"alive": maker.alive}),
        PolicyRelease => json!({"justification": "looked at it, and it is fine"}),
        PolicyUpdated => newer_bundle(maker),
        IngestionResolveFailed | IngestionFetchFailed | IngestionValidateFailed | IngestionIndexFailed => failure(),
        EnvironmentCapacityDenied | EnvironmentProvisionFailed | EnvironmentHealthFailed | EnvironmentReleaseFailed => {
            failure()
        }
        ExecutionRework | CouncilReElect | CouncilReplan | EnvironmentDeprovision | PolicyQuarantine => because(),
        ControlPause | ControlResume | ControlTerminate | PolicyConfirmedBlock => because(),
        BootLicensed | EnvironmentCapacityOk | EnvironmentReleased | EnvironmentRecheck => json!({}),
        IngestionRetry | IngestionNewVersion => json!({}),
        ExecutionBeatReviewGate | ExecutionApprovalsThreshold | ExecutionNextWindow => json!({}),
    }
}

fn failure() -> Value {
    json!({"failure": {"detail": "no route to host"}})
}

fn because() -> Value {
    json!({"rationale": "because"})
}

fn grant(state: &State, maker: Maker<'_>) -> Value {
    let all = [("reader", "reader"), ("v3", "reader"), ("v3", "voter"), ("operator", "reader")];
    let (name, role) = pick(state, maker, all);
    json!({"key": maker.hands.get(name).key(), "identity": {"name": name, "roles": [role]}})
}

fn revocation(state: &State, maker: Maker<'_>) -> Value {
    let name = pick(state, maker, ["reader", "v5", "operator"]);
    json!({"key": maker.hands.get(name).key(), "rationale": "left the team"})
}

fn upgrade(state: &State) -> Value {
    json!({
        "from_version": state.meta.chart_version, "to_version": chart::VERSION, "schema_hash": chart::SCHEMA_HASH
    })
}

/// One of some, by how often identities changed; the first where the choice is fixed.
fn pick<T: Copy, const N: usize>(state: &State, maker: Maker<'_>, among: [T; N]) -> T {
    let turn = if maker.choice == Choice::Fixed { 0 } else { state.epoch.boot };
    among[usize::try_from(turn).unwrap_or_default() % N]
}

fn commits(state: &State) -> Value {
    let commits = resolved(state).into_iter().map(|(name, commit)| (name, json!({"commit": commit})));
    json!({"resolved": commits.collect::<BTreeMap<_, _>>()})
}

fn fetched(state: &State) -> Value {
    let fetched = |(name, source): (&swoosh_types::text::Name, &swoosh_types::inputs::ResolvedSource)| {
        (name.to_string(), json!({"commit": source.commit, "tree": commit('d')}))
    };
    json!({"fetched": state.ingestion.resolved.iter().map(fetched).collect::<BTreeMap<_, _>>()})
}

fn checks(state: &State) -> Value {
    let outcome = |name| json!({"check": "schema", "source": name, "ok": true});
    json!({"outcomes": state.ingestion.fetched.keys().map(outcome).collect::<Vec<_>>()})
}

fn violation(maker: Maker<'_>) -> Value {
    json!({"rationale": "the corpus holds personal data", "bundle_serial": maker.bundle.0})
}

fn rollback(state: &State) -> Value {
    let earlier = state.ingestion.ready_versions.keys().rfind(|kept| **kept < state.ingestion.version);
    json!({"version": earlier.copied().unwrap_or(0), "rationale": "the new corpus misleads"})
}

fn profiles(state: &State, maker: Maker<'_>) -> Value {
    let candidate = |name: &&str| json!({"key": maker.hands.get(name).key(), "capabilities": if *name < "v3" { ["plan"] } else { ["review"] }});
    let votes = |name: &&&str| voters::may_vote(state, &maker.hands.get(name).key());
    let eligible: Vec<_> = CANDIDATES.iter().filter(votes).map(candidate).collect();
    let everyone = || VOTERS.iter().map(candidate).collect();
    json!({"candidates": if maker.choice == Choice::Varied { eligible } else { everyone() }})
}

fn ejection(state: &State, maker: Maker<'_>) -> Value {
    let member = state.council.members.keys().next().copied().unwrap_or(maker.hands.get("v1").key());
    json!({"member": member, "rationale": "does not answer"})
}

fn pin(state: &State) -> Value {
    json!({
        "version": state.ingestion.version,
        "content_hash": state.ingestion.content_hash.unwrap_or(Hash::ZERO),
        "member_set_hash": state.council.member_set_hash.unwrap_or(Hash::ZERO),
        "assets_hash": state.environment.assets_hash.unwrap_or(Hash::ZERO),
    })
}

fn approval(state: &State) -> Value {
    json!({
        "plan_hash": state.execution.plan_hash.unwrap_or(Hash::ZERO),
        "beat": state.execution.beat,
        "rework_round": state.execution.rework_round,
        "council_epoch": state.epoch.council,
    })
}

fn newer_bundle(maker: Maker<'_>) -> Value {
    let mut inputs = json!({"serial": maker.bundle.0, "bundle_hash": maker.bundle.1});
    if let Some(breach) = maker.breach_inputs {
        inputs["breach_inputs"] = breach.clone();
    }
    inputs
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
