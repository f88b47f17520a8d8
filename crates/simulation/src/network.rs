//! The messages between clients and the node.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::faults::{Fault, RATE_SCALE, Rates};
use swoosh_sequencer::Outcome;
use swoosh_testkit::random::Random;
use swoosh_types::ids::IdemKey;

/// A proposal's bytes, or the answer to a key of one.
#[derive(Clone, Debug)]
pub enum Parcel {
    /// Of a client to the node.
    Proposal(usize, Arc<[u8]>),
    /// Of the node to a client.
    Answer(usize, IdemKey, Outcome),
}

impl Parcel {
    /// The client that sent it, or that it goes to.
    pub fn client(&self) -> usize {
        match self {
            Parcel::Proposal(client, _) | Parcel::Answer(client, ..) => *client,
        }
    }
}

/// Parcels by the turn in which they arrive, and the order in which they were sent.
#[derive(Default)]
pub struct Network {
    under_way: BTreeMap<(u64, u64), Parcel>,
    sent: u64,
    newest_delivered: u64,
}

impl Network {
    /// Sends a parcel, which may be lost; returns its fate.
    pub fn send(&mut self, parcel: Parcel, now: u64, rates: &Rates, random: &mut Random) -> Vec<Fault> {
        let (drop, duplicate, delay) = match parcel {
            Parcel::Proposal(..) => (Fault::DropProposal, Fault::DuplicateProposal, Fault::DelayProposal),
            Parcel::Answer(..) => (Fault::DropAnswer, Fault::DuplicateAnswer, Fault::DelayAnswer),
        };
        let mut happened = Vec::new();
        if random.happens(rates.of(drop), RATE_SCALE) {
            return vec![drop];
        }
        if random.happens(rates.of(duplicate), RATE_SCALE) {
            happened.push(duplicate);
            let later = now + random.below(12);
            self.put(later, parcel.clone());
        }
        let mut due = now;
        if random.happens(rates.of(delay), RATE_SCALE) {
            happened.push(delay);
            due += 1 + random.below(30);
        } else if random.happens(rates.of(Fault::Reorder), RATE_SCALE) {
            due += 1 + random.below(3);
        }
        self.put(due, parcel);
        happened
    }

    fn put(&mut self, due: u64, parcel: Parcel) {
        self.sent += 1;
        self.under_way.insert((due, self.sent), parcel);
    }

    /// The next parcel that has arrived by now, and whether one that was sent later was there before it.
    pub fn deliver(&mut self, now: u64) -> Option<(Parcel, bool)> {
        let entry = self.under_way.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((_, number), parcel) = entry.remove_entry();
        let overtaken = number < self.newest_delivered;
        self.newest_delivered = self.newest_delivered.max(number);
        Some((parcel, overtaken))
    }

    /// Everything under way is lost, as when a process ends with its connections.
    pub fn lose_answers(&mut self) {
        self.under_way.retain(|_, parcel| matches!(parcel, Parcel::Proposal(..)));
    }

    /// Everything under way is lost.
    pub fn lose_all(&mut self) {
        self.under_way.clear();
    }
}
