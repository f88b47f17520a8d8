//! A data directory of an older statechart, written record by record as a node of that time would have.

use std::sync::Arc;

use swoosh::journal::{
    Batch, Durability, Journal, JournalOptions, LogEntry, ReceiptSum, Snapshot, StoreLimits, Write, fingerprint,
};
use swoosh::machine::chart::Inputs;
use swoosh::machine::head::Head;
use swoosh::machine::reduce::{Stamp, reduce};
use swoosh::machine::state::State;
use swoosh::machine::upgrade::PAST;
use swoosh::types::canonical::canonical_bytes;
use swoosh::types::hash::Hash;
use swoosh::types::names::Transition;
use swoosh::types::proposal::SignedProposal;
use swoosh::types::receipt::{EncodedSeal, Receipt, SealedBatch};
use swoosh::types::record::{Linked, Record};
use swoosh::types::text::ProjectName;

use super::daemon::Site;
use super::driver::Project;
use super::world::Ask;

/// A journal in a site's data directory, without a daemon.
pub struct Writer<'a> {
    site: &'a Site,
    pub journal: Journal,
    chain: Hash,
    index: u64,
}

impl<'a> Writer<'a> {
    pub fn new(site: &'a Site) -> Writer<'a> {
        let journal = Journal::open(JournalOptions {
            path: site.journal(),
            node: site.hands.get("node").key(),
            cluster: site.cluster.clone(),
            snapshot_every: 1_000,
            durability: Durability::Sync,
            store: StoreLimits::default(),
            medium: None,
        });
        let journal = journal.unwrap();
        journal.recover().unwrap();
        Writer { site, journal, chain: Hash::ZERO, index: 0 }
    }

    /// Writes a transition of a project as accepted.
    pub fn accept(&mut self, project: &mut Project<'_>, ask: &Ask) {
        self.index += 1;
        let signed = project.signed(ask);
        let proposal = &signed.proposal;
        let inputs = Inputs::decode(proposal.transition, &proposal.inputs.canonical()).unwrap();
        let stamp = Stamp { index: self.index, at: proposal.hlc };
        let next = project.head.advance(reduce(&project.head, proposal, &inputs, stamp));
        self.append(record(&signed, stamp, next.hash()), &signed, &next);
        project.head = next;
    }

    fn append(&mut self, record: Record, signed: &SignedProposal, head: &Head) {
        let linked = Arc::new(Linked::of(self.chain, record.encode()));
        self.chain = linked.chain();
        let (node, index, project) = (&self.site.hands.get("node").secret, record.index, record.project.clone());
        let sealed = SealedBatch::seal(&self.site.cluster, node, index, &[self.chain]).unwrap();
        let receipt = Receipt::of(&record, self.chain, sealed.path(0), sealed.seal.clone());
        let (seal, path, chain) = (Arc::new(EncodedSeal::of(sealed.seal.clone())), receipt.path.clone(), self.chain);
        let entry = LogEntry { index, project: project.clone(), linked, seal, path };
        let print = fingerprint(record.transition, &record.inputs_hash, &record.signer);
        let wording = swoosh::decisions::wording(&record, &signed.proposal.inputs);
        let writes = vec![
            Write::Object { hash: record.inputs_hash, bytes: signed.proposal.inputs.canonical() },
            Write::Decision { project: project.clone(), index, wording },
            Write::Key {
                project,
                key: record.idem_key.clone(),
                fingerprint: print,
                index,
                receipt: ReceiptSum::of(&canonical_bytes(&receipt)),
            },
            Write::Snapshot(Box::new(Snapshot::of(&record, chain, head.state()))),
        ];
        self.journal.append(&Batch { entries: vec![entry], writes }).unwrap();
    }
}

fn record(signed: &SignedProposal, stamp: Stamp, state_post_hash: Hash) -> Record {
    let proposal = signed.proposal.clone();
    Record {
        index: stamp.index,
        project: proposal.project(),
        project_implied: false,
        state_pre_hash: proposal.current_state_hash,
        transition: proposal.transition,
        inputs_hash: proposal.inputs_hash,
        signer: proposal.signer,
        idem_key: proposal.idem_key,
        hlc: proposal.hlc,
        window_id: proposal.window_id,
        guard_outcomes: Vec::new(),
        policy_engine: "none".to_owned(),
        evidence: proposal.evidence,
        signature: signed.signature,
        timestamp: stamp.at,
        state_post_hash,
    }
}

/// A project under a released version of the chart that this program replays.
pub fn project<'a>(site: &'a Site, name: &str, chart_version: u64) -> Project<'a> {
    let mut project = Project::new(site, name);
    project.head = genesis(&project.name, chart_version);
    project
}

/// The head of a project that nothing has happened to, under a released version of the chart.
pub fn genesis(project: &ProjectName, chart_version: u64) -> Head {
    let chart = PAST.iter().find(|chart| chart.version == chart_version).unwrap();
    let mut state = State::genesis(project);
    let meta = Arc::make_mut(&mut state.meta);
    (meta.chart_version, meta.schema_hash) = (chart.version, chart.schema_hash);
    Head::of(state)
}

/// The transitions up to LICENSED.
pub const BOOT: [Transition; 2] = [Transition::BootConfigOk, Transition::BootLicensed];
