//! The expected state, kept outside of the node: every record shown to a client, reduced again, and every receipt as
//! first given.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::faults::Tally;
use super::invariants::{self, Step};
use super::run::Looking;
use swoosh_journal::{Journal, ReadError};
use swoosh_machine::head::Head;
use swoosh_machine::replay;
use swoosh_testkit::random::Random;
use swoosh_types::canonical::from_slice;
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::{EffectId, IdemKey};
use swoosh_types::incarnation::{Incarnation, onward};
use swoosh_types::json::Json;
use swoosh_types::names::EffectName;
use swoosh_types::receipt::Receipt;
use swoosh_types::record::Record;
use swoosh_types::text::{ClusterId, ProjectName};

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, thiserror::Error)]
#[error("{invariant}: {what}")]
pub struct Violation {
    pub invariant: &'static str,
    /// How it is broken.
    pub what: String,
}

/// The invariant violated by an unreadable record without a fault of the disk.
pub const UNREADABLE: &str = "readable";

/// The history as invariants see it.
#[derive(Default)]
pub struct Past {
    /// Index of the last record that was seen.
    pub last_index: u64,
    /// When it was accepted.
    pub last_timestamp: Hlc,
    /// Chain values by index, from 0 on.
    pub links: Vec<Hash>,
    /// The record that bound each key.
    pub keys: BTreeMap<(ProjectName, IdemKey), u64>,
    /// The record that ended each effect with its outcome.
    pub outcomes: BTreeMap<EffectId, u64>,
    /// The work that the record which opened an effect asks for.
    pub opened: BTreeMap<EffectId, Hash>,
    /// For outcomes that workers built: the work that they took up.
    pub meant: BTreeMap<(ProjectName, IdemKey), Hash>,
    /// When the last license runs out that the license server gave, in milliseconds.
    pub licensed_until_ms: u64,
    /// How far stamps may run ahead of the time outside, by the settings fact that says so.
    pub leads: BTreeMap<Hash, u64>,
}

impl Past {
    /// The time outside at which a record was accepted, in milliseconds: its stamp less the lead it was judged by.
    pub fn time_ms(&self, record: &Record) -> u64 {
        let lead_ms = record.facts().into_iter().filter_map(|fact| self.leads.get(&fact)).max();
        record.timestamp.physical_ms().saturating_sub(lead_ms.copied().unwrap_or(0))
    }
}

/// A receipt as first given, and its content.
struct Given {
    bytes: Arc<[u8]>,
    index: u64,
    chain: Hash,
    post: Hash,
}

pub struct Oracle {
    cluster: ClusterId,
    looking: Looking,
    past: Past,
    heads: BTreeMap<ProjectName, Arc<Head>>,
    receipts: BTreeMap<(ProjectName, IdemKey), Given>,
    /// Hashes of heads by project and index, for what readers are shown.
    led_to: BTreeMap<(ProjectName, u64), Hash>,
    /// Last index that was published: acknowledged, or shown to a reader.
    published: u64,
    /// How the incarnations of the log began, as the node that runs read them.
    incarnations: Vec<Incarnation>,
    /// The link of every record that was seen, by incarnation and index, also of those that were given up.
    sealed: BTreeMap<(u64, u64), Hash>,
    /// Project, head and stamp after each record, from index 1.
    history: Vec<(ProjectName, Arc<Head>, Hlc)>,
    /// Receipts that were given of records that were not seen yet.
    unchecked: Vec<(ProjectName, IdemKey)>,
    /// Counts of the records seen.
    seen: Tally,
}

impl Oracle {
    /// One that has seen nothing.
    pub fn new(cluster: ClusterId, looking: Looking) -> Oracle {
        let past = Past { links: vec![Hash::ZERO], ..Past::default() };
        let (heads, receipts, led_to) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Oracle {
            cluster,
            looking,
            past,
            heads,
            receipts,
            led_to,
            published: 0,
            incarnations: Vec::new(),
            sealed: BTreeMap::new(),
            history: Vec::new(),
            unchecked: Vec::new(),
            seen: Tally::default(),
        }
    }

    /// The counts since the last call.
    pub fn take_seen(&mut self) -> Tally {
        std::mem::take(&mut self.seen)
    }

    /// Index and chain value of the last record seen.
    pub fn last(&self) -> (u64, Hash) {
        (self.past.last_index, self.past.links.last().copied().unwrap_or(Hash::ZERO))
    }

    /// When the last record was accepted.
    pub fn last_timestamp(&self) -> Hlc {
        self.past.last_timestamp
    }

    /// A project's head as it must be.
    pub fn head(&self, project: &ProjectName) -> Arc<Head> {
        self.heads.get(project).cloned().unwrap_or_else(|| Arc::new(Head::genesis(project)))
    }

    /// Whether a key was answered for.
    pub fn is_acknowledged(&self, project: &ProjectName, key: &IdemKey) -> bool {
        self.receipts.contains_key(&(project.clone(), key.clone()))
    }

    /// A record became durable: every invariant is asked.
    pub fn see(&mut self, record: &Record, inputs: &Json) -> Result<(), Violation> {
        let before = self.head(&record.project);
        let after = replay::step(&before, record, inputs)
            .map_err(|error| Violation { invariant: "replay-equal", what: error.to_string() })?;
        let (last, link) = self.last();
        let chain = Record::chain(&onward(&self.incarnations, last, link), &record.encode());
        let step = Step { cluster: &self.cluster, record, inputs, before: &before, after: &after };
        // The other life was asked.
        let asked = if self.looking == Looking::Closely { invariants::ALL.as_slice() } else { &[] };
        for (invariant, check) in asked {
            check(&step, &self.past).map_err(|what| {
                let what = format!("record {}, {} of {}: {what}", record.index, record.transition, record.project);
                Violation { invariant, what }
            })?;
        }
        let number = self.incarnations.iter().rfind(|begun| begun.after < record.index).map_or(1, |begun| begun.number);
        if self.sealed.insert((number, record.index), chain).is_some_and(|before| before != chain) {
            let what = format!("the node sealed another record {} in incarnation {number} before", record.index);
            return Err(Violation { invariant: "never-equivocates", what });
        }
        self.note(record, inputs, Arc::new(after), chain);
        Ok(())
    }

    /// An operator accepted that every record after this one is lost: nothing was acknowledged after it any more. Returns
    /// the effects that the lost records had opened, each with its work, in their order.
    pub fn given_up(&mut self, last: u64) -> Vec<(EffectId, Hash)> {
        let kept = usize::try_from(last).unwrap_or(usize::MAX);
        let lost = self.past.opened.extract_if(.., |id, _| id.index > last);
        let mut opened: Vec<(EffectId, Hash)> = lost.collect();
        opened.sort_by_key(|(id, _)| id.index);
        self.past.links.truncate(kept.saturating_add(1));
        self.history.truncate(kept);
        self.past.last_index = self.history.len() as u64;
        self.past.last_timestamp = self.history.last().map_or(Hlc::default(), |(_, _, stamp)| *stamp);
        self.heads = self.history.iter().map(|(project, head, _)| (project.clone(), head.clone())).collect();
        self.past.keys.retain(|_, index| *index <= last);
        self.past.outcomes.retain(|_, index| *index <= last);
        self.led_to.retain(|(_, index), _| *index <= last);
        self.receipts.retain(|_, given| given.index <= last);
        self.unchecked.retain(|place| self.receipts.contains_key(place));
        self.published = self.published.min(last);
        opened
    }

    /// The last record of a project.
    pub fn last_of(&self, project: &ProjectName) -> Option<u64> {
        let first = (project.clone(), 0);
        let ours = self.led_to.range(first..).take_while(|((other, _), _)| other == project);
        ours.last().map(|((_, index), _)| *index)
    }

    fn note(&mut self, record: &Record, inputs: &Json, after: Arc<Head>, chain: Hash) {
        self.seen.accepted(record.transition);
        let place = (record.project.clone(), record.idem_key.clone());
        self.past.keys.insert(place, record.index);
        if let Some(effect) = invariants::outcome_of(record.transition, inputs) {
            self.past.outcomes.insert(effect, record.index);
        }
        let open_before: Vec<_> =
            self.head(&record.project).state().open_effects().map(|open| open.id.clone()).collect();
        let opened = after.state().open_effects().filter(|open| !open_before.contains(&open.id));
        let work = invariants::work_of(record);
        self.past.opened.extend(opened.map(|open| (open.id.clone(), work)));
        (self.past.last_index, self.past.last_timestamp) = (record.index, record.timestamp);
        self.past.links.push(chain);
        self.led_to.insert((record.project.clone(), record.index), after.hash());
        self.history.push((record.project.clone(), after.clone(), record.timestamp));
        self.heads.insert(record.project.clone(), after);
    }

    /// A caller was given a receipt.
    pub fn given(&mut self, project: &ProjectName, key: &IdemKey, bytes: &Arc<[u8]>) -> Result<(), Violation> {
        let place = (project.clone(), key.clone());
        if let Some(first) = self.receipts.get(&place) {
            if first.bytes == *bytes {
                return Ok(());
            }
            let what = format!("the key {key} of {project} got another receipt than before");
            return Err(Violation { invariant: "receipts-never-change", what });
        }
        let wrong = |what: String| Violation { invariant: "receipts-prove-themselves", what };
        let receipt: Receipt = from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        if (&receipt.project, &receipt.idem_key) != (project, key) {
            return Err(wrong(format!("the receipt for {key} of {project} is of {}", receipt.idem_key)));
        }
        self.published = self.published.max(receipt.index);
        let (chain, post) = (receipt.chain, receipt.state_post_hash);
        self.receipts.insert(place.clone(), Given { bytes: bytes.clone(), index: receipt.index, chain, post });
        if receipt.index > self.past.last_index {
            self.unchecked.push(place);
            return Ok(());
        }
        self.compare(&place)
    }

    /// A settings fact lets stamps run ahead by so much.
    pub fn lead(&mut self, fact: Hash, lead_ms: u64) {
        self.past.leads.insert(fact, lead_ms);
    }

    /// The license server gave a license that lasts so long.
    pub fn licensed_until(&mut self, until_ms: u64) {
        self.past.licensed_until_ms = until_ms;
    }

    /// An effect of a project whose outcome came already.
    pub fn ended_effect(&self, project: &ProjectName, random: &mut Random) -> Option<EffectId> {
        let first = EffectId { project: project.clone(), index: 0, digest: None, effect: *EffectName::ALL.first()? };
        let ended = self.past.outcomes.range(first..).map(|(effect, _)| effect);
        let ended: Vec<_> = ended.take_while(|effect| effect.project == *project).collect();
        ended.get(random.index(ended.len())).map(|effect| (*effect).clone())
    }

    /// The work that an effect refers to.
    pub fn opened_by(&self, effect: &EffectId) -> Option<Hash> {
        self.past.opened.get(effect).copied()
    }

    /// A worker brings the outcome of work that it took up.
    pub fn meant(&mut self, project: &ProjectName, key: &IdemKey, opened_by: Hash) {
        self.past.meant.insert((project.clone(), key.clone()), opened_by);
    }

    /// Marks a record as published.
    pub fn published(&mut self, index: u64) {
        self.published = self.published.max(index);
    }

    /// Index of the last published record.
    pub fn last_published(&self) -> u64 {
        self.published
    }

    /// Whether a published record was not checked yet.
    pub fn is_behind(&self) -> bool {
        self.published > self.past.last_index
    }

    /// The receipt that was given is of the record that was seen.
    fn compare(&self, place: &(ProjectName, IdemKey)) -> Result<(), Violation> {
        let Some(given) = self.receipts.get(place) else { return Ok(()) };
        let (project, key) = place;
        let index = usize::try_from(given.index).unwrap_or(usize::MAX);
        let kept = self.past.links.get(index) == Some(&given.chain) && self.past.keys.get(place) == Some(&given.index);
        let post = self.led_to.get(&(project.clone(), given.index)) == Some(&given.post);
        if kept && post {
            return Ok(());
        }
        let what = format!("{key} of {project} was answered for as record {index}, and that is another one");
        Err(Violation { invariant: "acknowledged-is-kept", what })
    }

    /// A reader was shown a head.
    pub fn shown(&mut self, project: &ProjectName, index: u64, hash: Hash) -> Result<(), Violation> {
        let expected = match index {
            0 => Some(Head::genesis(project).hash()),
            _ => self.led_to.get(&(project.clone(), index)).copied(),
        };
        self.published = self.published.max(index);
        if expected == Some(hash) {
            return Ok(());
        }
        let what = format!("{project} was shown at record {index} as {hash}, which no durable record leads to");
        Err(Violation { invariant: "reads-are-durable", what })
    }

    /// Checks after a start that every published record is there, and checks the records after it.
    pub fn started(&mut self, journal: &Journal, last: (u64, Hash)) -> Result<u64, Violation> {
        let lost = |what: String| Violation { invariant: "acknowledged-is-kept", what };
        self.incarnations = journal.incarnations().to_vec();
        let (index, chain) = self.last();
        if last.0 < self.published {
            return Err(lost(format!(
                "a start found records up to {}, and {} was answered for",
                last.0, self.published
            )));
        }
        if index > 0 {
            let unreadable = |error: ReadError| Violation { invariant: UNREADABLE, what: error.to_string() };
            let stored = journal.record(index).map_err(unreadable)?;
            if stored.is_none_or(|stored| stored.chain != chain) {
                return Err(lost(format!("record {index} was answered for, and another one is in its place")));
            }
        }
        self.catch_up(journal, last.0)
    }

    /// Sees every record up to `last` that was not seen yet; how many.
    pub fn catch_up(&mut self, journal: &Journal, last: u64) -> Result<u64, Violation> {
        let unreadable = |what: String| Violation { invariant: UNREADABLE, what };
        let from = self.past.last_index + 1;
        for index in from..=last {
            let stored = journal.record(index).map_err(|error| unreadable(error.to_string()))?;
            let stored = stored.ok_or_else(|| unreadable(format!("record {index} is missing")))?;
            let bytes = journal.object(&stored.record.inputs_hash).map_err(|error| unreadable(error.to_string()))?;
            let bytes = bytes.ok_or_else(|| unreadable(format!("the inputs of record {index} are missing")))?;
            let inputs = Json::parse(&bytes).map_err(|error| unreadable(error.to_string()))?;
            self.see(&stored.record, &inputs)?;
        }
        let waiting = std::mem::take(&mut self.unchecked);
        waiting.iter().try_for_each(|place| self.compare(place))?;
        Ok(last.saturating_sub(from - 1))
    }

    /// Some receipts that were given, at random.
    pub fn some_receipts(&self, most: usize, random: &mut Random) -> Vec<(ProjectName, IdemKey, Arc<[u8]>)> {
        let places: Vec<_> = self.receipts.keys().collect();
        (0..most.min(places.len()))
            .filter_map(|_| {
                let place = places.get(random.index(places.len()))?;
                Some((place.0.clone(), place.1.clone(), self.receipts.get(*place)?.bytes.clone()))
            })
            .collect()
    }

    /// Keys are forgotten by the stamps of records alone: once the last one is a horizon younger than the key's own.
    pub fn may_forget(&self, key: &IdemKey, receipt: &[u8]) -> Result<(), Violation> {
        let Ok(receipt) = from_slice::<Receipt>(receipt) else { return Ok(()) };
        let old_ms = receipt.timestamp.physical_ms() + super::outside::HORIZON_MS;
        if self.is_behind() || old_ms <= self.past.last_timestamp.physical_ms() {
            return Ok(());
        }
        let (stamped, last) = (receipt.timestamp, self.past.last_timestamp);
        let what =
            format!("the key {key} of a record stamped {stamped} is forgotten, and the last one is stamped {last}");
        Err(Violation { invariant: "floor-follows-stamps", what })
    }

    /// Every receipt that was given is of a record that was seen.
    pub fn all_kept(&self) -> Result<(), Violation> {
        self.receipts.keys().try_for_each(|place| self.compare(place))
    }
}
