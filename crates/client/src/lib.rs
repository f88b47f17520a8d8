//! The SDK: sign proposals, post them until they are answered, read what the node knows.
//!
//! ```no_run
//! use swoosh_client::{Client, Draft, Identity, Outcome};
//! use swoosh_types::names::Transition;
//!
//! # async fn pause() -> Result<(), Box<dyn std::error::Error>> {
//! let key: Identity = std::fs::read_to_string("operator.key")?.parse()?;
//! let client = Client::new("http://127.0.0.1:7400", "swoosh".parse()?, key)?;
//! let inputs = serde_json::json!({"rationale": "The disk is being replaced."});
//! match client.propose(Draft::new(Transition::ControlPause, &inputs)?).await? {
//!     Outcome::Accepted(accepted) => println!("record {}", accepted.receipt.index),
//!     Outcome::Held(held) => println!("{} is kept", held.key),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! **Architecture invariant.** `client` imports `types` and nothing else of ours; it holds no state that
//! a crash could lose. A proposal is safe to send again because its idempotency key stays the
//! same through every attempt.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

mod answers;
mod bulk;
mod clock;
mod council;
mod draft;
mod entropy;
mod events;
mod follow;
mod identity;
mod link;
mod propose;
mod read;
mod retry;
#[cfg(test)]
mod tests;
mod wait;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

pub use answers::{
    BriefRecord, DamagedRecord, DamagedView, DryRun, EffectView, ExportHealth, FactsView, GuardView, Health,
    HealthStatus, LastClock, NetworkView, ProjectList, ProjectView, PushedFact, RecordFilter, RecordsPage, StateView,
    TransitionView, TransitionsView, WalEntry, WalPage, WindowView, WindowsKnown, WindowsView,
};
pub use bulk::Answers;
pub use clock::HlcClock;
pub use council::Election;
pub use draft::{Draft, DraftError, op_class};
pub use entropy::EntropyError;
pub use events::{EventStream, NodeEvent};
pub use follow::Follower;
pub use identity::Identity;
pub use link::{BuildError, LinkError, Timeouts, TlsFiles};
pub use propose::{Accepted, Event, Held, Observer, Outcome, Prepared, ProposeError};
pub use read::{ProjectHead, ReadError};
pub use retry::{Cause, RetryPolicy};
pub use wait::{Condition, ProofError, WaitError};

use link::Link;
use swoosh_types::keys::PublicKey;
use swoosh_types::receipt::{Receipt, ReceiptError};
use swoosh_types::text::{ClusterId, ProjectName};

/// A client of a node, or of several nodes of one cluster. Cheap to clone; clones share connections and clock.
#[derive(Clone, Debug)]
pub struct Client {
    link: Link,
    signing: Option<Signing>,
    /// Cluster whose receipts are checked, if nothing is signed.
    cluster: Option<ClusterId>,
    /// Signer of reads, if it differs from the signer of proposals.
    reading: Option<Signing>,
    /// Nodes whose receipts are taken; empty: every node's.
    nodes: BTreeSet<PublicKey>,
    retry: RetryPolicy,
    clock: Arc<HlcClock>,
    schedules: Arc<Mutex<Schedules>>,
}

/// A signer and its cluster.
#[derive(Clone, Debug)]
struct Signing {
    cluster: ClusterId,
    identity: Identity,
}

/// The last schedule position read, with its project and when it was read.
type Schedules = Option<(ProjectName, Instant, TransitionsView)>;

/// Builds a [`Client`].
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    base_url: String,
    signing: Option<Signing>,
    cluster: Option<ClusterId>,
    reading: Option<Signing>,
    nodes: BTreeSet<PublicKey>,
    timeouts: Timeouts,
    tls: TlsFiles,
    retry: RetryPolicy,
    clock: Option<Arc<HlcClock>>,
}

impl ClientBuilder {
    /// Signs as this identity, for this cluster.
    pub fn signing(mut self, cluster: ClusterId, identity: impl Into<Identity>) -> ClientBuilder {
        self.signing = Some(Signing { cluster, identity: identity.into() });
        self
    }

    /// Checks receipts of this cluster without a signer, for proposals that are signed already.
    pub fn checking(mut self, cluster: ClusterId) -> ClientBuilder {
        self.cluster = Some(cluster);
        self
    }

    /// Signs reads as this identity, for nodes whose reads are closed. Left out, reads are signed by who signs
    /// proposals; a client without any identity signs none.
    pub fn reading_as(mut self, cluster: ClusterId, identity: impl Into<Identity>) -> ClientBuilder {
        self.reading = Some(Signing { cluster, identity: identity.into() });
        self
    }

    /// Trusted authorities of the node's certificate, and the client's own certificate.
    pub fn tls(mut self, files: TlsFiles) -> ClientBuilder {
        self.tls = files;
        self
    }

    /// Takes receipts of this node only.
    pub fn node(self, node: PublicKey) -> ClientBuilder {
        self.nodes([node])
    }

    /// Takes receipts of these nodes only: the roster of a cluster.
    pub fn nodes(mut self, nodes: impl IntoIterator<Item = PublicKey>) -> ClientBuilder {
        self.nodes = nodes.into_iter().collect();
        self
    }

    /// How long to wait for the node.
    pub fn timeouts(mut self, timeouts: Timeouts) -> ClientBuilder {
        self.timeouts = timeouts;
        self
    }

    /// How often and how patiently to try again.
    pub fn retry(mut self, retry: RetryPolicy) -> ClientBuilder {
        self.retry = retry;
        self
    }

    /// Shares a clock with other clients of the same cluster.
    pub fn clock(mut self, clock: Arc<HlcClock>) -> ClientBuilder {
        self.clock = Some(clock);
        self
    }

    /// Builds the client; opens no connection yet.
    pub fn build(self) -> Result<Client, BuildError> {
        Ok(Client {
            link: Link::new(&self.base_url, self.timeouts, &self.tls)?,
            signing: self.signing,
            cluster: self.cluster,
            reading: self.reading,
            nodes: self.nodes,
            retry: self.retry,
            clock: self.clock.unwrap_or_else(|| Arc::new(HlcClock::system())),
            schedules: Arc::default(),
        })
    }
}

/// Why a receipt is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptCheckError {
    /// The client has no cluster to check for.
    #[error("this client only reads; build it with a cluster and a key to check receipts")]
    ReadsOnly,
    /// The receipt does not prove what it says.
    #[error(transparent)]
    Proof(#[from] ReceiptError),
    /// Another node sealed it.
    #[error("the receipt is sealed by {found}, and this client takes those of {} only", names(expected))]
    OtherNode {
        /// The nodes that the client was configured with.
        expected: BTreeSet<PublicKey>,
        /// The node that sealed the receipt.
        found: PublicKey,
    },
    /// It is the receipt of another proposal.
    #[error("the receipt's {0} is not the proposal's")]
    OtherProposal(&'static str),
}

fn names(nodes: &BTreeSet<PublicKey>) -> String {
    nodes.iter().map(PublicKey::to_string).collect::<Vec<_>>().join(", ")
}

impl Client {
    /// A client that signs as `key` for `cluster`; `base_url` is `http://host:port` or `https://…`. Several addresses of one cluster
    /// are separated by commas.
    pub fn new(base_url: &str, cluster: ClusterId, key: impl Into<Identity>) -> Result<Client, BuildError> {
        Client::builder(base_url).signing(cluster, key).build()
    }

    /// A client that only reads.
    pub fn reader(base_url: &str) -> Result<Client, BuildError> {
        Client::builder(base_url).build()
    }

    /// A client built piece by piece.
    pub fn builder(base_url: &str) -> ClientBuilder {
        ClientBuilder {
            base_url: base_url.to_owned(),
            signing: None,
            cluster: None,
            reading: None,
            nodes: BTreeSet::new(),
            timeouts: Timeouts::default(),
            tls: TlsFiles::default(),
            retry: RetryPolicy::default(),
            clock: None,
        }
    }

    /// The node's address.
    pub fn address(&self) -> &str {
        self.link.address()
    }

    /// The cluster that the client signs for, or whose receipts it checks.
    pub fn cluster(&self) -> Option<&ClusterId> {
        self.signing.as_ref().map(|signing| &signing.cluster).or(self.cluster.as_ref())
    }

    /// The client's signing identity.
    pub fn identity(&self) -> Option<&Identity> {
        self.signing.as_ref().map(|signing| &signing.identity)
    }

    /// The clock that stamps proposals.
    pub fn clock(&self) -> &Arc<HlcClock> {
        &self.clock
    }

    /// Checks that a receipt proves the record it names: its path leads to the batch's root, and the node
    /// signed that root. Only a client built with [`ClientBuilder::nodes`] knows which nodes may do so.
    pub fn verify_receipt(&self, receipt: &Receipt) -> Result<(), ReceiptCheckError> {
        receipt.verify(self.cluster().ok_or(ReceiptCheckError::ReadsOnly)?)?;
        let found = receipt.seal.node;
        if self.nodes.is_empty() || self.nodes.contains(&found) {
            return Ok(());
        }
        Err(ReceiptCheckError::OtherNode { expected: self.nodes.clone(), found })
    }

    /// The last schedule position read of a project, while it is fresh.
    fn fresh_schedule(&self, project: &ProjectName) -> Option<TransitionsView> {
        let schedules = self.schedules.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, read_at, view) = schedules.as_ref()?;
        (of == project && read_at.elapsed() < SCHEDULE_FRESH).then(|| view.clone())
    }

    /// The tidal pressure, 0 to 1000, as read last; 0 when nothing was read yet.
    fn pressure(&self) -> u64 {
        let schedules = self.schedules.lock().unwrap_or_else(PoisonError::into_inner);
        schedules.as_ref().map_or(0, |(_, _, view)| view.pressure)
    }

    fn remember_schedule(&self, project: &ProjectName, view: &TransitionsView) {
        let mut schedules = self.schedules.lock().unwrap_or_else(PoisonError::into_inner);
        *schedules = Some((project.clone(), Instant::now(), view.clone()));
    }
}

/// How long the beat of a key may be taken from an earlier reading. A key's beat is good for days; this
/// only spares a busy client one read for each proposal.
const SCHEDULE_FRESH: std::time::Duration = std::time::Duration::from_secs(1);
