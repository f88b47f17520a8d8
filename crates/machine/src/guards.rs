//! The guards: pure functions of (state, proposal, inputs, facts, stamped time) → `{ok, reasons[]}`.
//!
//! Every guard tells its reasons, also when it lets a proposal pass; reasons follow from what it was
//! given alone, so that judging again from the recorded facts gives the same words. A guard that needs
//! the inputs leaves `ok` open when it is asked without a proposal (`GET /transitions`).
//!
//! A guard is any `fn(&Case) -> Judged`, and [`guard`] is the registry, generated from `statechart.yaml`:
//!
//! ```
//! use swoosh_machine::facts::FactSet;
//! use swoosh_machine::guards::{Case, guard};
//! use swoosh_machine::{chart, head::Head};
//! use swoosh_types::{hlc::Hlc, names::{GuardName, Transition}};
//!
//! let (cluster, project) = ("swoosh".parse()?, "default".parse()?);
//! let (head, facts) = (Head::genesis(&project), FactSet::default());
//! let spec = chart::spec(Transition::BootLicensed);
//! let case = Case { cluster: &cluster, head: &head, facts: &facts, at: Hlc::default(), spec, asked: None };
//! let judged = guard(GuardName::License)(&case);
//! assert_eq!(judged.ok, Some(false));
//! assert_eq!(judged.reasons, ["there is no license fact"]);
//! # Ok::<(), swoosh_types::text::TextError>(())
//! ```

mod base;
mod boot;
mod council;
mod environment;
mod execution;
mod ingestion;
mod license;
mod policy;
mod window;

pub use council::{LivenessReading, read_liveness};
pub(super) use execution::lifecycle_faults;
pub use license::{LicenseReading, read_license};
pub(super) use policy::breach_of;

use super::chart::{Inputs, TransitionSpec};
use super::facts::{FactBody, FactSet, KnownFact};
use super::head::Head;
use super::identities::Identities;
use super::state::{Identity, State};
use swoosh_types::fact::{FactKind, GuardSettings};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::keys::PublicKey;
use swoosh_types::names::GuardName;
use swoosh_types::proposal::Proposal;
use swoosh_types::record::GuardOutcome;
use swoosh_types::text::{ClusterId, ProjectName};

#[derive(Clone, Copy)]
pub struct Case<'a> {
    pub cluster: &'a ClusterId,
    pub head: &'a Head,
    pub facts: &'a FactSet,
    /// The node's stamp.
    pub at: Hlc,
    pub spec: &'static TransitionSpec,
    /// The proposal and its inputs; none when it is asked what would pass.
    pub asked: Option<(&'a Proposal, &'a Inputs)>,
}

impl<'a> Case<'a> {
    pub fn state(&self) -> &'a State {
        self.head.state()
    }

    pub fn project(&self) -> &'a ProjectName {
        &self.head.state().meta.project
    }

    /// The outside time, at which facts, windows and licenses are judged: the stamp, less the lead that an operator
    /// accepted after a clock was ahead.
    pub(super) fn time(&self) -> Hlc {
        self.facts.outside(self.project(), self.at)
    }

    fn fact(&self, kind: FactKind) -> Option<&'a KnownFact> {
        self.facts.get(kind, self.project()).map(AsRef::as_ref)
    }

    /// A fact that may still be believed, or why there is none.
    fn valid_fact(&self, kind: FactKind) -> Result<&'a KnownFact, Judged> {
        let Some(fact) = self.fact(kind) else {
            return Err(Judged::fail([format!("there is no {kind} fact")]));
        };
        if fact.is_valid(self.time()) {
            return Ok(fact);
        }
        let until = Hlc::new(fact.fact.believed_until_ms(), 0).unwrap_or_default();
        Err(Judged::fail([format!("the {kind} fact expired at {until}")]).read(fact))
    }

    /// The settings that guards read.
    pub(super) fn settings(&self) -> Result<(&'a GuardSettings, &'a KnownFact), Judged> {
        let fact = self.valid_fact(FactKind::Settings)?;
        let FactBody::Settings(settings) = &fact.body else { return Err(Judged::fail(["there is no settings fact"])) };
        Ok((settings, fact))
    }

    /// The identities that may act here now.
    pub fn identities(&self) -> Identities<'a> {
        Identities::of(self.state(), self.settings().ok().map(|(settings, _)| settings), self.at)
    }

    /// The identity behind a key.
    pub(super) fn identity(&self, key: &PublicKey) -> Option<Identity> {
        self.identities().get(key)
    }

    /// Names the settings among the facts that a guard read, where it asked who counts. Version 1 named them with the
    /// guard `identity` alone.
    fn naming_settings(&self, judged: Judged) -> Judged {
        match self.settings() {
            Ok((_, fact)) if self.state().is_under(2) => judged.read(fact),
            _ => judged,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Whether the proposal may pass; open where that depends on inputs that are not there.
    pub ok: Option<bool>,
    pub reasons: Vec<String>,
    /// Hashes of the facts read.
    pub facts: Vec<Hash>,
}

impl Judged {
    fn new<S: Into<String>>(ok: Option<bool>, reasons: impl IntoIterator<Item = S>) -> Judged {
        Judged { ok, reasons: reasons.into_iter().map(Into::into).collect(), facts: Vec::new() }
    }

    /// Lets the proposal pass.
    pub fn pass<S: Into<String>>(reasons: impl IntoIterator<Item = S>) -> Judged {
        Judged::new(Some(true), reasons)
    }

    /// Does not let it pass.
    pub fn fail<S: Into<String>>(reasons: impl IntoIterator<Item = S>) -> Judged {
        Judged::new(Some(false), reasons)
    }

    /// Passes when there is nothing wrong.
    fn unless(wrong: Vec<String>, right: impl Into<String>) -> Judged {
        if wrong.is_empty() { Judged::pass([right.into()]) } else { Judged::fail(wrong) }
    }

    /// Depends on inputs that are not there.
    fn open() -> Judged {
        Judged::new(None, ["depends on the proposal"])
    }

    /// Names a fact that was read.
    fn read(mut self, fact: &KnownFact) -> Judged {
        self.facts.push(fact.hash);
        self
    }

    pub fn outcome(self, guard: GuardName) -> GuardOutcome {
        GuardOutcome { guard, ok: self.ok == Some(true), reasons: self.reasons, facts: self.facts, grant: None }
    }
}

pub type Guard = fn(&Case<'_>) -> Judged;

// A guard is the function of its name in one of these modules; a name without a function does not compile.
use self::{
    base::*, boot::*, council::*, environment::*, execution::*, ingestion::*, license::*, policy::*, window::*,
};
include!(concat!(env!("OUT_DIR"), "/guards.rs"));
