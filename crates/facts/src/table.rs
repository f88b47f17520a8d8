//! The fact table: every fact is checked on its way in, readers take one load.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use swoosh_machine::facts::{FactBody, FactError, FactSet, KnownFact};
use swoosh_platform::clock::Clock;
use swoosh_types::canonical::canonical_bytes;
use swoosh_types::fact::{Fact, FactKind};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::json::Json;
use swoosh_types::keys::PublicKey;
use swoosh_types::shared_map::SharedMap;
use swoosh_types::text::{ClusterId, ProjectName};

#[cfg(test)]
mod bounds_tests;
mod room;
mod step;
#[cfg(test)]
mod tests;

use room::{ROOM, Room};

/// The facts at one moment, and the bytes that the journal stores of them. It holds the bytes of every fact that the
/// guards read, even if the table holds newer facts by then.
#[derive(Clone, Debug, Default)]
pub struct FactsNow {
    set: FactSet,
    bytes: SharedMap<Hash, Arc<[u8]>>,
}

impl FactsNow {
    /// The facts, as guards read them.
    pub fn set(&self) -> &FactSet {
        &self.set
    }

    /// The canonical bytes of a fact, which hash to its address.
    pub fn bytes(&self, hash: &Hash) -> Option<&Arc<[u8]>> {
        self.bytes.get(hash)
    }

    fn insert(&mut self, known: KnownFact) {
        let claim = &known.fact.claim;
        if let Some(held) = self.set.at(claim.kind, claim.project.as_ref()) {
            self.bytes.remove(&held.hash);
        }
        self.bytes.insert(known.hash, canonical_bytes(&known.fact).into());
        self.set.insert(known);
    }

    /// Bytes of the fact that a project has of a kind; 0 where it has none.
    fn size(&self, kind: FactKind, project: &ProjectName) -> usize {
        let held = self.set.at(kind, Some(project));
        held.and_then(|held| self.bytes.get(&held.hash)).map_or(0, |bytes| bytes.len())
    }

    fn remove(&mut self, kind: FactKind, project: &ProjectName) {
        if let Some(gone) = self.set.remove(kind, project) {
            self.bytes.remove(&gone.hash);
        }
    }
}

/// The result for a valid fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is held now, under this hash.
    Held(Hash),
    /// It is not newer than what its source said before, and was left alone.
    NotNewer {
        /// When the source saw what is held of it.
        held: Hlc,
    },
    /// Another source saw something newer, which counts until it expires.
    Outdone {
        /// The other source.
        by: PublicKey,
        /// When it saw what is held.
        held: Hlc,
    },
}

impl Inserted {
    /// Whether the table remembers the fact. A withdrawal counts even if another source's fact is in force: it ends that fact, too.
    pub(super) fn is_kept(self, takes_back: bool) -> bool {
        match self {
            Inserted::Held(_) => true,
            Inserted::NotNewer { .. } => false,
            Inserted::Outdone { .. } => takes_back,
        }
    }
}

/// Why a fact is not believed.
#[derive(Debug, thiserror::Error)]
pub enum FactRefusal {
    /// The source may not say facts of this kind.
    #[error("{source_key} is no source of {kind} facts; list it under facts.sources.{kind} in the settings")]
    Source { kind: FactKind, source_key: PublicKey },
    /// The signature is not the source's.
    #[error(
        "the signature is not {source_key}'s over this {kind} fact in cluster {cluster}; sign it again. The node checks it over bytes \
         whose hash is {signed}"
    )]
    Signature {
        kind: FactKind,
        source_key: PublicKey,
        /// The cluster it must be signed for.
        cluster: ClusterId,
        /// Hash of the bytes that the signature must be over.
        signed: Hash,
    },
    /// It was seen in the future.
    #[error(
        "observed_at {observed_at} is {ahead_ms} ms ahead of the node, which allows {max_ahead_ms}; compare the clocks"
    )]
    Future {
        /// When it was seen.
        observed_at: Hlc,
        /// How far that is ahead of the node's clock, in milliseconds.
        ahead_ms: u64,
        /// How far it may be, in milliseconds.
        max_ahead_ms: u64,
    },
    /// Its body cannot be read.
    #[error(transparent)]
    Body(#[from] FactError),
    /// There is no room for one more.
    #[error("the node believes {places} facts of {bytes} bytes about single projects already; let some expire")]
    Full {
        /// How many there are.
        places: usize,
        /// How many bytes they have.
        bytes: usize,
    },
    /// A policy bundle's serial goes too far at once.
    #[error(
        "policy bundle {found} is too far above bundle {held}, which is held: a serial over {most} would leave no room for later ones; take a lower serial"
    )]
    Step {
        /// The bundle's serial.
        found: u64,
        /// The serial of the bundle that is held.
        held: u64,
        /// The highest serial that may follow it.
        most: u64,
    },
    /// A policy bundle may not take the place of a later one, nor of a different one of the same serial.
    #[error("policy bundle {found} does not follow bundle {held}, which is held; raise the serial above it")]
    Serial {
        /// The bundle's serial.
        found: u64,
        /// The serial of the bundle that is held.
        held: u64,
    },
}

/// Sources and their rights.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The cluster that facts must be signed for.
    pub cluster: ClusterId,
    /// The node, which may say everything.
    pub node: PublicKey,
    /// Trusted sources of each kind beside the node.
    pub sources: BTreeMap<FactKind, BTreeSet<PublicKey>>,
    /// How far ahead of the node's clock a fact may be seen, in milliseconds.
    pub max_ahead_ms: u64,
}

type Place = (FactKind, Option<ProjectName>);
type Origin = (FactKind, Option<ProjectName>, PublicKey);

/// State for writers only.
#[derive(Debug, Default)]
struct Ledger {
    /// When each source saw the last of what it said, by kind and project.
    newest: BTreeMap<Origin, Hlc>,
    /// Kinds whose fact for all projects is the node's own default, which yields to whatever else is said.
    built_in: BTreeSet<FactKind>,
    /// Since when, by the node's clock, a place holds what it holds.
    since_ms: BTreeMap<Place, u64>,
    /// Bytes of the facts about single projects.
    bytes: usize,
    /// When places were last looked through for facts that ended.
    searched_ms: Option<u64>,
}

/// Policies that a table compiled and still remembers.
const BUNDLES: usize = 4;

/// Compiled policies by the body that they were read from, so that a bundle that is said again, as providers do, is not
/// compiled again.
#[derive(Debug)]
pub struct Bundles {
    known: Mutex<BTreeMap<Json, FactBody>>,
    most: usize,
}

impl Bundles {
    /// Remembers so many at most.
    pub fn remembering(most: usize) -> Bundles {
        Bundles { known: Mutex::default(), most }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Json, FactBody>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, fact: Fact) -> Result<KnownFact, FactError> {
        let claim = &fact.claim;
        if claim.kind != FactKind::Policy {
            return KnownFact::admit(fact);
        }
        if let Some(body) = self.known().get(&claim.body).cloned() {
            return Ok(KnownFact { hash: fact.hash(), fact, body });
        }
        let read = KnownFact::admit(fact)?;
        let mut known = self.known();
        if known.len() >= self.most {
            known.clear();
        }
        known.insert(read.fact.claim.body.clone(), read.body.clone());
        Ok(read)
    }
}

/// Keeps a fact that takes back what its source said before, so that it outlives a restart.
pub type KeepTakeBack = Box<dyn Fn(&Fact) + Send + Sync>;

/// The fact table. Reading is one load; writers take turns.
pub struct FactTable {
    trust: Trust,
    clock: Arc<Clock>,
    now: ArcSwap<FactsNow>,
    /// The lock orders writers.
    ledger: Mutex<Ledger>,
    /// Notified of every exchange.
    exchanged: watch::Sender<()>,
    bundles: Arc<Bundles>,
    room: Room,
    /// Set once, when the store of pushed facts is open.
    keep_take_back: OnceLock<KeepTakeBack>,
}

impl FactTable {
    /// An empty table.
    pub fn new(trust: Trust, clock: Arc<Clock>) -> FactTable {
        FactTable::sharing(trust, clock, Arc::new(Bundles::remembering(BUNDLES)))
    }

    /// An empty table that shares with others what it compiles.
    pub fn sharing(trust: Trust, clock: Arc<Clock>, bundles: Arc<Bundles>) -> FactTable {
        let (now, ledger, exchanged) = (ArcSwap::default(), Mutex::default(), watch::Sender::new(()));
        FactTable { trust, clock, now, ledger, exchanged, bundles, room: ROOM, keep_take_back: OnceLock::new() }
    }

    /// The facts as they are now. The guard is cheap but must not be kept; see [`FactTable::facts`].
    pub fn load(&self) -> Guard<Arc<FactsNow>> {
        self.now.load()
    }

    /// The facts as they are now, to keep.
    pub fn facts(&self) -> Arc<FactsNow> {
        self.now.load_full()
    }

    /// The canonical bytes of a fact that is held now.
    pub fn bytes(&self, hash: &Hash) -> Option<Arc<[u8]>> {
        self.load().bytes(hash).cloned()
    }

    /// Tells whenever something else is believed.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.exchanged.subscribe()
    }

    /// The cluster that facts must be signed for.
    pub fn cluster(&self) -> &ClusterId {
        &self.trust.cluster
    }

    /// How far ahead of the node's clock a fact may be seen, in milliseconds.
    pub fn max_ahead_ms(&self) -> u64 {
        self.trust.max_ahead_ms
    }

    /// The node's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Names the keeper of take-backs that come in by other ways than a push.
    pub fn keep_take_backs(&self, keep: KeepTakeBack) {
        // It is named once, at the start.
        let _ = self.keep_take_back.set(keep);
    }

    /// Whether a source that the settings list may say facts of this kind. The node needs no listing.
    pub(super) fn is_listed(&self, kind: FactKind, source: &PublicKey) -> bool {
        self.trust.sources.get(&kind).is_some_and(|keys| keys.contains(source))
    }

    /// The node's own key.
    pub(super) fn node(&self) -> PublicKey {
        self.trust.node
    }

    /// Checks a fact and holds it.
    pub fn insert(&self, fact: Fact) -> Result<Inserted, FactRefusal> {
        let mut outcomes = self.insert_all(vec![fact]);
        // One fact in, one outcome out.
        outcomes.pop().unwrap_or(Ok(Inserted::NotNewer { held: Hlc::default() }))
    }

    /// Checks facts and holds those that stand, exchanging the table once; outcomes in the order given.
    pub fn insert_all(&self, facts: Vec<Fact>) -> Vec<Result<Inserted, FactRefusal>> {
        let take_backs = self.take_backs(&facts);
        let outcomes = self.insert_durable(facts);
        for (n, fact) in take_backs {
            if let (Some(Ok(outcome)), Some(keep)) = (outcomes.get(n), self.keep_take_back.get())
                && outcome.is_kept(true)
            {
                keep(&fact);
            }
        }
        outcomes
    }

    /// Facts of others that have ended already, by their position. The node's own facts cannot be pushed, so that
    /// nothing brings an earlier one back.
    fn take_backs(&self, facts: &[Fact]) -> Vec<(usize, Fact)> {
        if self.keep_take_back.get().is_none() {
            return Vec::new();
        }
        facts.iter().enumerate().filter(|(_, fact)| self.takes_back(fact)).map(|(n, fact)| (n, fact.clone())).collect()
    }

    /// Whether a fact of another than the node has ended already.
    pub(super) fn takes_back(&self, fact: &Fact) -> bool {
        fact.claim.source != self.trust.node && fact.believed_until_ms() < self.clock.now().wall_ms
    }

    /// The same for facts that are on disk already.
    pub(super) fn insert_durable(&self, facts: Vec<Fact>) -> Vec<Result<Inserted, FactRefusal>> {
        // Signatures and bodies are checked before the lock is taken, so that no other thread waits for them.
        let checked = facts.into_iter().map(|fact| self.check(fact).and_then(|checked| self.check_step(checked)));
        self.hold(checked.collect())
    }

    /// Holds a fact that was held before the node stopped, also a bundle whose serial went further than one step may.
    pub fn insert_kept(&self, fact: Fact) -> Result<Inserted, FactRefusal> {
        let mut outcomes = self.hold(vec![self.check(fact)]);
        // One fact in, one outcome out.
        outcomes.pop().unwrap_or(Ok(Inserted::NotNewer { held: Hlc::default() }))
    }

    fn hold(&self, checked: Vec<Result<Checked, FactRefusal>>) -> Vec<Result<Inserted, FactRefusal>> {
        let mut ledger = self.ledger();
        let mut next = FactsNow::clone(&self.now.load());
        let mut place = |checked| match checked {
            Checked::Known(known) => self.place(*known, &mut ledger, &mut next),
            Checked::NotNewer { held } => Ok(Inserted::NotNewer { held }),
        };
        let outcomes: Vec<_> = checked.into_iter().map(|checked| checked.and_then(&mut place)).collect();
        if outcomes.iter().any(|outcome| matches!(outcome, Ok(Inserted::Held(_)))) {
            self.now.store(Arc::new(next));
            drop(ledger);
            self.exchanged.send_replace(());
        }
        outcomes
    }

    /// Holds the node's own default, which yields to whatever else is said.
    pub(super) fn insert_default(&self, fact: Fact) -> Result<Inserted, FactRefusal> {
        let kind = fact.claim.kind;
        let inserted = self.insert(fact)?;
        self.ledger().built_in.insert(kind);
        Ok(inserted)
    }

    /// Forgets facts that were seen after a time: the clock was ahead then, and newer ones would count as older.
    /// How many there were.
    pub fn forget_after(&self, limit_ms: u64) -> usize {
        let is_later = |known: &KnownFact| known.fact.claim.observed_at.physical_ms() > limit_ms;
        let mut ledger = self.ledger();
        let before = self.facts();
        let mut next = FactsNow::default();
        before.set.iter().filter(|known| !is_later(known)).for_each(|known| next.insert(KnownFact::clone(known)));
        ledger.newest.retain(|_, observed_at| observed_at.physical_ms() <= limit_ms);
        let forgotten = before.set.iter().filter(|known| is_later(known)).count();
        self.now.store(Arc::new(next));
        drop(ledger);
        self.exchanged.send_replace(());
        forgotten
    }

    /// The result of inserting a fact now; nothing changes.
    pub fn weigh(&self, fact: &Fact) -> Result<Inserted, FactRefusal> {
        match self.check_step(self.check(fact.clone())?)? {
            Checked::NotNewer { held } => Ok(Inserted::NotNewer { held }),
            Checked::Known(known) => self.rank(&known, &self.ledger(), self.load().set()),
        }
    }

    /// When the source last saw what it said of a kind and project.
    pub(super) fn newest(&self, kind: FactKind, project: Option<&ProjectName>, source: PublicKey) -> Option<Hlc> {
        self.ledger().newest.get(&(kind, project.cloned(), source)).copied()
    }

    /// Since when a place holds what it holds, in milliseconds since 1970-01-01T00:00:00Z.
    pub(super) fn since_ms(&self, kind: FactKind, project: Option<&ProjectName>) -> Option<u64> {
        self.ledger().since_ms.get(&(kind, project.cloned())).copied()
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Source, signature, time and form; a fact that is not newer is not checked further.
    fn check(&self, fact: Fact) -> Result<Checked, FactRefusal> {
        self.check_origin(&fact)?;
        let claim = &fact.claim;
        match self.newest(claim.kind, claim.project.as_ref(), claim.source) {
            Some(held) if claim.observed_at <= held => Ok(Checked::NotNewer { held }),
            _ => Ok(Checked::Known(Box::new(self.bundles.read(fact)?))),
        }
    }

    fn place(&self, known: KnownFact, ledger: &mut Ledger, next: &mut FactsNow) -> Result<Inserted, FactRefusal> {
        let ranked = self.rank(&known, ledger, next.set())?;
        let claim = &known.fact.claim;
        let origin = (claim.kind, claim.project.clone(), claim.source);
        if let Inserted::Outdone { .. } = ranked
            && self.takes_back(&known.fact)
        {
            ledger.newest.insert(origin, claim.observed_at);
        } else if let Inserted::Held(_) = ranked {
            self.make_room(&known, ledger, next)?;
            let place = (claim.kind, claim.project.clone());
            ledger.newest.insert(origin, claim.observed_at);
            if claim.project.is_none() {
                ledger.built_in.remove(&claim.kind);
            }
            ledger.since_ms.insert(place, self.clock.now().wall_ms);
            next.insert(known);
        }
        Ok(ranked)
    }

    /// Whether a fact takes its place: after what its source said before, and after what any other source saw
    /// that is believed. Of policy bundles the serial decides, and the node's own defaults yield.
    fn rank(&self, known: &KnownFact, ledger: &Ledger, set: &FactSet) -> Result<Inserted, FactRefusal> {
        let claim = &known.fact.claim;
        let origin = (claim.kind, claim.project.clone(), claim.source);
        if let Some(&held) = ledger.newest.get(&origin).filter(|&&held| claim.observed_at <= held) {
            return Ok(Inserted::NotNewer { held });
        }
        check_serial(known, set)?;
        let is_default = claim.project.is_none() && ledger.built_in.contains(&claim.kind);
        let outranks = |held: &&Arc<KnownFact>| {
            let theirs = &held.fact.claim;
            let believed = self.clock.now().wall_ms <= held.fact.believed_until_ms();
            theirs.source != claim.source && theirs.observed_at >= claim.observed_at && believed
        };
        let held = set.at(claim.kind, claim.project.as_ref());
        match held.filter(outranks).filter(|_| !is_default && claim.kind != FactKind::Policy) {
            Some(other) => Ok(Inserted::Outdone { by: other.fact.claim.source, held: other.fact.claim.observed_at }),
            None => Ok(Inserted::Held(known.hash)),
        }
    }

    fn check_origin(&self, fact: &Fact) -> Result<(), FactRefusal> {
        let claim = &fact.claim;
        let (kind, source_key) = (claim.kind, claim.source);
        if source_key != self.trust.node && !self.is_listed(kind, &source_key) {
            return Err(FactRefusal::Source { kind, source_key });
        }
        if !fact.verify(&self.trust.cluster) {
            let (cluster, signed) = (self.trust.cluster.clone(), Hash::of(&fact.message(&self.trust.cluster)));
            return Err(FactRefusal::Signature { kind, source_key, cluster, signed });
        }
        let observed_at = claim.observed_at;
        let ahead_ms = observed_at.physical_ms().saturating_sub(self.clock.now().wall_ms);
        let max_ahead_ms = self.trust.max_ahead_ms;
        if ahead_ms > max_ahead_ms {
            return Err(FactRefusal::Future { observed_at, ahead_ms, max_ahead_ms });
        }
        Ok(())
    }
}

/// A fact on its way in.
enum Checked {
    Known(Box<KnownFact>),
    NotNewer { held: Hlc },
}

impl std::fmt::Debug for FactTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FactTable").field("trust", &self.trust).finish_non_exhaustive()
    }
}

/// Serials only rise, so that no source brings back policies that were replaced; the same bundle may be
/// said again.
fn check_serial(known: &KnownFact, set: &FactSet) -> Result<(), FactRefusal> {
    let claim = &known.fact.claim;
    let held = set.at(claim.kind, claim.project.as_ref()).map(|held| &held.body);
    let (FactBody::Policy(new), Some(FactBody::Policy(held))) = (&known.body, held) else { return Ok(()) };
    let same = new.serial() == held.serial() && new.hash() == held.hash();
    if same || new.serial() > held.serial() {
        return Ok(());
    }
    Err(FactRefusal::Serial { found: new.serial(), held: held.serial() })
}
