//! Documents: what is posted, and what is answered from `types`.
#![expect(dead_code, reason = "these structs are never built; their schemas describe documents of `types`")]

use serde_json::{Value, json};
use utoipa::ToSchema;

use super::words::*;
use swoosh_types::canonical::{canonical_bytes, canonical_hash, to_json};
use swoosh_types::inputs::{Members, Vote, VoteBody};
use swoosh_types::keys::{SecretKey, domain, message};
use swoosh_types::proposal;
use swoosh_types::text;

/// A signed transition proposal.
///
/// The signature is ed25519 over `"swoosh/transition/v1\n" ‖ cluster ‖ "\n" ‖ JCS(document without
/// signature)`, JCS being RFC 8785. Strict JSON: no null, no float, no duplicate key, whole numbers from 0 to
/// 2^53−1, texts in Unicode normalisation form C, at most 32 levels, no member but these.
#[derive(ToSchema)]
#[schema(example = json!(example()))]
pub(crate) struct Proposal {
    /// The project; left out, it is `default`.
    #[schema(required = false)]
    project: ProjectName,
    /// The head that the caller saw; `GET /state` tells it as `hash`.
    current_state_hash: Hash,
    /// The proposed transition.
    transition: Transition,
    /// Its inputs; `Inputs_<Transition>` has their form, and refuses every other member.
    #[schema(value_type = Object)]
    inputs: Value,
    /// sha256 of the RFC 8785 bytes of `inputs`.
    inputs_hash: Hash,
    /// The signer's public key.
    signer: PublicKey,
    /// The idempotency key. The header `Idempotency-Key` may replace it.
    idem_key: IdemKey,
    /// The caller's clock, later than the project's last reading. `X-Swoosh-Hlc` may replace it.
    hlc: Hlc,
    /// The window the caller means; needed where the transition has a window class. `X-Swoosh-Window-Id` may
    /// replace it.
    #[schema(required = false)]
    window_id: WindowId,
    /// Addresses that back the proposal.
    #[schema(max_items = 32)]
    evidence: Vec<EvidenceRef>,
    /// The signer's signature. `X-Hmmm-Signature` may replace it; it is not part of the signed bytes.
    signature: Signature,
}

/// The signed root of a batch.
#[derive(ToSchema)]
pub(crate) struct BatchRoot {
    /// Index of the batch's first record.
    first: u64,
    /// Index of its last record.
    last: u64,
    /// Merkle root over the records' chain values.
    root: Hash,
}

/// A batch's root, signed by the node.
#[derive(ToSchema)]
pub(crate) struct BatchSeal {
    /// The signed batch.
    batch: BatchRoot,
    /// The node.
    node: PublicKey,
    /// The node's signature over `"swoosh/batch/v1\n" ‖ cluster ‖ "\n" ‖ JCS(batch)`.
    signature: Signature,
}

/// The receipt of an accepted proposal: the same bytes for every repeat.
#[derive(ToSchema)]
pub(crate) struct Receipt {
    /// The project.
    project: ProjectName,
    /// Index of the record in the WAL.
    index: u64,
    /// The accepted transition.
    transition: Transition,
    /// Under which key.
    idem_key: IdemKey,
    /// Head before.
    state_pre_hash: Hash,
    /// Head after: what the next proposal must name.
    state_post_hash: Hash,
    /// The caller's clock: the next proposal's must be later.
    hlc: Hlc,
    /// When the node accepted it.
    timestamp: Hlc,
    /// The record's link in the chain.
    chain: Hash,
    /// The decision record.
    decision: DecisionId,
    /// Path from the record's leaf to the batch's root, from the bottom up (RFC 9162 §2.1.1).
    path: Vec<Hash>,
    /// The batch's signed root.
    seal: BatchSeal,
}

/// How one guard judged.
#[derive(ToSchema)]
pub(crate) struct GuardOutcome {
    /// Which guard.
    guard: GuardName,
    /// Whether it lets the proposal pass.
    ok: bool,
    /// Why; a passing guard gives its reasons too.
    reasons: Vec<String>,
    /// Hashes of the facts it read; left out when it read none.
    #[schema(required = false)]
    facts: Vec<Hash>,
    /// The grant by which an unsigned caller of WHOOSH passed; only guard `identity` names one.
    #[schema(required = false)]
    grant: String,
}

/// Why an answer is no success (RFC 9457).
#[derive(ToSchema)]
pub(crate) struct Problem {
    /// `/docs/rejections#<code>`, relative to the node.
    #[schema(rename = "type", example = "/docs/rejections#stale_head")]
    kind: String,
    /// The code in words.
    #[schema(example = "The project has moved on")]
    title: String,
    /// The HTTP status.
    #[schema(example = 400)]
    status: u16,
    /// The stable code.
    code: Code,
    /// All reasons in one sentence.
    detail: String,
    /// Every reason by itself.
    reasons: Vec<String>,
    /// The guard that failed first.
    #[schema(required = false)]
    guard: GuardName,
    /// How the guards judged, where it came to them.
    #[schema(required = false)]
    guard_outcomes: Vec<GuardOutcome>,
    /// The project.
    #[schema(required = false)]
    project: ProjectName,
    /// The project's head now.
    #[schema(required = false)]
    head: Hash,
    /// The last clock reading that the project accepted.
    #[schema(required = false)]
    hlc_last: Hlc,
    /// How long to wait before trying again, in milliseconds, scaled by the tidal pressure.
    #[schema(required = false)]
    retry_after_ms: u64,
}

/// The clock reading that was applied last.
#[derive(ToSchema)]
pub(crate) struct HlcLast {
    /// The proposal's clock.
    hlc: Hlc,
    /// The signer's public key.
    signer: PublicKey,
    /// Under which key.
    idem_key: IdemKey,
}

/// An entry of the WAL.
#[derive(ToSchema)]
pub(crate) struct Record {
    /// Position in the WAL, from 1.
    index: u64,
    /// The project.
    project: ProjectName,
    /// Whether the proposal left `project` out, which its signature depends on; left out when false.
    #[schema(required = false)]
    project_implied: bool,
    /// Head before.
    state_pre_hash: Hash,
    /// The proposed transition.
    transition: Transition,
    /// Hash of the inputs.
    inputs_hash: Hash,
    /// The signer's public key.
    signer: PublicKey,
    /// The caller's idempotency key.
    idem_key: IdemKey,
    /// The caller's clock.
    hlc: Hlc,
    /// The window named.
    #[schema(required = false)]
    window_id: WindowId,
    /// How every guard judged, in the chart's order.
    guard_outcomes: Vec<GuardOutcome>,
    /// Version of the policy engine that judged.
    policy_engine: String,
    /// The caller's evidence.
    evidence: Vec<EvidenceRef>,
    /// The caller's signature.
    signature: Signature,
    /// When the node accepted it, by its own monotone clock.
    timestamp: Hlc,
    /// Head after.
    state_post_hash: Hash,
}

/// Why one transition was accepted, in full.
#[derive(ToSchema)]
pub(crate) struct Decision {
    /// Its address.
    id: DecisionId,
    /// The project decided about.
    project: ProjectName,
    /// Index of the record.
    index: u64,
    /// The record's link in the chain.
    chain: Hash,
    /// The accepted transition.
    transition: Transition,
    /// Its meaning, in a sentence.
    summary: String,
    /// Why, in the caller's words where it gave any.
    justification: String,
    /// The signer's public key.
    signer: PublicKey,
    /// The caller that the signer proposed for, if it is a delegate of the WHOOSH migration.
    #[schema(required = false)]
    on_behalf_of: String,
    /// The grant of the settings by which that caller acted as operator, voter or human.
    #[schema(required = false)]
    grant: String,
    /// Under which key.
    idem_key: IdemKey,
    /// The caller's clock.
    hlc: Hlc,
    /// When the node accepted it.
    timestamp: Hlc,
    /// The window named.
    #[schema(required = false)]
    window_id: WindowId,
    /// Head before.
    state_pre_hash: Hash,
    /// Head after.
    state_post_hash: Hash,
    /// Hash of the inputs.
    inputs_hash: Hash,
    /// How every guard judged, with reasons and the hashes of the facts it read.
    guard_outcomes: Vec<GuardOutcome>,
    /// Version of the policy engine that judged.
    policy_engine: String,
    /// The caller's evidence.
    evidence: Vec<EvidenceRef>,
    /// Where the decision belongs: the UCXL evidence, or the record's own derived address.
    ucxl: Vec<EvidenceRef>,
}

/// A rejection that is remembered.
#[derive(ToSchema)]
pub(crate) struct RejectionEntry {
    /// When, by the node's clock.
    at: Hlc,
    /// The project. Left out where no signature vouches for it.
    #[schema(nullable = false)]
    project: Option<ProjectName>,
    /// The proposed transition. Left out where no signature vouches for it.
    #[schema(nullable = false)]
    transition: Option<Transition>,
    /// Why not.
    code: Code,
    /// The guard that failed. Left out where none did.
    #[schema(nullable = false)]
    guard: Option<GuardName>,
    /// Why not, in words.
    reasons: Vec<String>,
}

/// An example proposal with real inputs, keys and hashes: it verifies in the cluster `local`.
pub(crate) fn example() -> Value {
    signed().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn signed() -> Option<Vec<u8>> {
    let cluster: text::ClusterId = "local".parse().ok()?;
    let keys: Vec<SecretKey> = (1..=3u8).map(|n| SecretKey::from_bytes(&[n; 32])).collect();
    let role: text::Name = "builder".parse().ok()?;
    let members: Members = keys.iter().map(|key| (key.public(), role.clone())).collect();
    let member_set_hash = canonical_hash(&members);
    let body = VoteBody { project: proposal::default_project(), council_epoch: 1, member_set_hash };
    let ballot = message(domain::VOTE, &cluster, &canonical_bytes(&body));
    let votes: Vec<Vote> = keys.iter().map(|key| Vote { voter: key.public(), signature: key.sign(&ballot) }).collect();
    let inputs = json!({"members": members, "member_set_hash": member_set_hash, "votes": votes});
    let inputs = to_json(&inputs).ok()?;
    let key = keys.first()?;
    let proposal = proposal::Proposal {
        project: Some(proposal::default_project()),
        current_state_hash: swoosh_types::hash::Hash::of(b"the head that GET /state tells"),
        transition: swoosh_types::names::Transition::CouncilQuorumCert,
        inputs_hash: swoosh_types::hash::Hash::of(&inputs.canonical()),
        inputs,
        signer: key.public(),
        idem_key: "goal-7:42:council:0b8e7a52-6f0c-4d3b-9a51-2c8f4e1d7b60".parse().ok()?,
        hlc: "2025-10-19T01:23:45.678+00:00#1234".parse().ok()?,
        window_id: Some("backbeat:W-2025-10-19-02".parse().ok()?),
        evidence: vec!["ucxl://chorus:spec@council/…".parse().ok()?, "bubble://dr/…".parse().ok()?],
    };
    Some(canonical_bytes(&proposal.sign(&cluster, key)))
}
