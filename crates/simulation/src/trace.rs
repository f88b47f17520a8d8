//! The events of a run, as one hash: two runs of a seed must give the same.

use swoosh_types::hash::Hash;
use swoosh_types::ids::IdemKey;
use swoosh_types::record::Record;
use swoosh_types::rejection::Code;

/// The trace of a run.
#[derive(Clone, Debug)]
pub struct Trace(Hash);

impl Default for Trace {
    fn default() -> Trace {
        Trace(Hash::ZERO)
    }
}

impl Trace {
    fn note(&mut self, kind: &[u8], parts: [&[u8]; 2]) {
        self.0 = Hash::of_parts([self.0.as_bytes().as_slice(), kind, parts[0], parts[1]]);
    }

    /// A record became durable.
    pub fn record(&mut self, record: &Record, chain: Hash) {
        self.note(b"record", [&record.index.to_be_bytes(), chain.as_bytes()]);
    }

    /// A receipt was given.
    pub fn answer(&mut self, key: &IdemKey, receipt: &[u8]) {
        self.note(b"answer", [key.to_string().as_bytes(), receipt]);
    }

    /// A proposal was refused.
    pub fn refusal(&mut self, key: &IdemKey, code: Code) {
        self.note(b"refusal", [key.to_string().as_bytes(), code.to_string().as_bytes()]);
    }

    /// Something else happened.
    pub fn event(&mut self, what: &str) {
        self.note(b"event", [what.as_bytes(), &[]]);
    }

    /// The hash of everything so far.
    pub fn hash(&self) -> Hash {
        self.0
    }
}
