//! The shim's ports: SWOOSH itself, WHOOSH, and metrics.

use std::collections::BTreeMap;

use super::callers::{Brought, Caller};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::{EffectId, IdemKey, WindowId};
use swoosh_types::json::Json;
use swoosh_types::keys::PublicKey;
use swoosh_types::legacy_grant::LegacyGrant;
use swoosh_types::migration::{Call, DivergenceKind, Routing, WhooshAnswer};
use swoosh_types::names::Transition;
use swoosh_types::rejection::Rejection;
use swoosh_types::text::{Name, ProjectName};

pub use futures::future::BoxFuture;

/// State of a project, as far as a proposal needs it.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The head that the proposal names.
    pub head: Hash,
    /// The last clock reading that the project accepted.
    pub hlc_last: Option<Hlc>,
    /// The beat of now.
    pub beat: u64,
    /// The window of now, where the transition needs one.
    pub window_id: Option<WindowId>,
    /// The effect that the transition answers: the open one, or one of index 0 where none is open.
    pub effect: Option<EffectId>,
    /// The member for whose seat the caller approves, where the transition is an approval and a grant maps it.
    pub seat: Option<PublicKey>,
}

/// A project's state as it is shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The state hash.
    pub hash: Hash,
    /// The sections by their names.
    pub sections: serde_json::Map<String, serde_json::Value>,
}

/// Headers that may replace members of a signed proposal. Repeated headers are kept.
#[derive(Clone, Debug, Default)]
pub struct Forms {
    /// `Idempotency-Key`.
    pub idempotency_key: Vec<String>,
    /// `X-Swoosh-Hlc`.
    pub hlc: Vec<String>,
    /// `X-Swoosh-Window-Id`.
    pub window_id: Vec<String>,
    /// `X-Hmmm-Signature`.
    pub signature: Vec<String>,
}

/// The answer to a proposal.
#[derive(Clone, Debug)]
pub enum Judged {
    /// It is, or would be, accepted.
    Accepted(Decided),
    /// It is not.
    Refused(Refused),
}

/// A transition that was accepted.
#[derive(Clone, Debug, Default)]
pub struct Decided {
    /// The receipt; empty where nothing was changed.
    pub receipt: Vec<u8>,
    /// Whether the key was known already.
    pub replayed: bool,
}

/// A proposal that was not accepted.
#[derive(Clone, Debug)]
pub struct Refused {
    pub rejection: Rejection,
    /// How long to wait before trying again, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

/// A record that may have to be delivered to WHOOSH.
#[derive(Clone, Debug)]
pub struct PassedOn {
    pub index: u64,
    pub project: ProjectName,
    pub transition: Transition,
    /// With what.
    pub inputs: Json,
    /// Under which key.
    pub idem_key: IdemKey,
    /// Whether WHOOSH decided it, and SWOOSH followed.
    pub mirrored: bool,
}

/// A record on its way to WHOOSH.
#[derive(Clone, Debug)]
pub enum Passing {
    /// It can be read.
    Record(PassedOn),
    /// It is damaged or pruned, with all between it and the one asked for.
    Lost {
        index: u64,
        /// Why it cannot be read.
        reason: String,
    },
}

/// SWOOSH, as the shim sees it.
pub trait Core: Send + Sync + 'static {
    /// State of a project that a caller's proposal needs.
    fn standing(&self, caller: &Caller, project: &ProjectName, of: Transition) -> Result<Standing, Rejection>;
    /// The inputs of what a key is bound to.
    fn earlier(&self, project: &ProjectName, key: &IdemKey) -> Result<Option<Json>, Rejection>;
    /// Grants of the settings to callers, by name.
    fn grants(&self) -> BTreeMap<Name, LegacyGrant>;
    /// A project's durable state; none of one that does not exist.
    fn state(&self, project: &ProjectName) -> Result<Option<Shown>, Rejection>;
    /// Proposes, and waits until the answer is durable.
    fn propose(&self, body: Vec<u8>, forms: Forms) -> BoxFuture<'_, Judged>;
    /// Says what would become of a proposal.
    fn try_out(&self, body: Vec<u8>, forms: Forms) -> Judged;
    /// At most so many records after an index.
    fn records_after(&self, index: u64, limit: usize) -> Result<Vec<Passing>, Rejection>;
    /// Index of the last record delivered to WHOOSH, as kept in the journal; `None` if never kept there.
    fn delivered(&self) -> Result<Option<u64>, Rejection>;
    /// Keeps the index of the last delivered record in the journal.
    fn note_delivered(&self, index: u64) -> Result<(), Rejection>;
    /// Sets whether pruning waits for delivery to WHOOSH.
    fn hold_back(&self, holds: bool) -> Result<(), Rejection>;
    /// Index of the last durable record.
    fn last_index(&self) -> u64;
    /// All projects.
    fn projects(&self) -> Result<Vec<ProjectName>, Rejection>;
    /// Whether an order of this key, signed at this time, may count; why not.
    fn may_order(&self, key: &PublicKey, at: Hlc) -> Result<(), Rejection>;
    /// Whether proposals are taken.
    fn is_ready(&self) -> bool;
    /// The node's time.
    fn now(&self) -> Hlc;
}

/// Why WHOOSH gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhooshError {
    /// No connection, or the exchange broke off.
    #[error("{0}")]
    Unreachable(String),
    /// It took too long.
    #[error("{0}")]
    Timeout(String),
    /// The network gate is closed.
    #[error("{0}")]
    Closed(String),
}

impl WhooshError {
    /// Its name in metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            WhooshError::Unreachable(_) => "unreachable",
            WhooshError::Timeout(_) => "timeout",
            WhooshError::Closed(_) => "closed",
        }
    }
}

/// WHOOSH itself.
pub trait Whoosh: Send + Sync + 'static {
    /// Sends one request, once, and reads the whole answer, within bounds of time and size.
    fn send(&self, call: Call) -> BoxFuture<'_, Result<WhooshAnswer, WhooshError>>;
    /// Why this node may not ask WHOOSH now, if it may not. WHOOSH may be alive then.
    fn barred(&self) -> Option<String>;
}

pub trait Watch: Send + Sync + 'static {
    /// The routing changed, or was read at the start.
    fn routed(&self, routing: &Routing);
    /// A proposal of a client came; SWOOSH decides it or WHOOSH does.
    fn proposal(&self, here: bool, brought: Brought);
    /// A request came on a path that SWOOSH does not know; it was passed on to WHOOSH, or refused.
    fn other_path(&self, passed: bool);
    /// A difference was found.
    fn diverged(&self, kind: DivergenceKind);
    /// So many projects differ.
    fn differing(&self, projects: usize);
    /// WHOOSH gave no answer.
    fn unanswered(&self, why: &WhooshError);
}
