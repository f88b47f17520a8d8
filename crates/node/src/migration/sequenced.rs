//! The sequencer, as the shim sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::task::block_in_place;

use super::WHOOSH_EXPORTER;
use swoosh_machine::beats::Beats;
use swoosh_machine::chart;
use swoosh_machine::facts::FactSet;
use swoosh_migration::{BoxFuture, Caller, Core, Forms, Judged, PassedOn, Passing, Refused, Shown, Standing};
use swoosh_sequencer::queries::{FactBody, FoldError, Headers, ReadError, Section};
use swoosh_sequencer::{DryRun, Handle, Mode, Outcome};
use swoosh_types::fact::{FactKind, GuardSettings};
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::{EffectId, IdemKey};
use swoosh_types::json::Json;
use swoosh_types::keys::PublicKey;
use swoosh_types::legacy_grant::LegacyGrant;
use swoosh_types::migration::signed_for;
use swoosh_types::names::{EffectName, OpClass, Role, Transition};
use swoosh_types::rejection::{Code, Rejection};
use swoosh_types::text::{Name, ProjectName};

/// The settings that guards read.
fn settings_in(facts: &FactSet) -> Option<&GuardSettings> {
    match &facts.at(FactKind::Settings, None)?.body {
        FactBody::Settings(settings) => Some(settings),
        FactBody::License(_)
        | FactBody::Windows(_)
        | FactBody::Tooling(_)
        | FactBody::Capacity(_)
        | FactBody::Health(_)
        | FactBody::Liveness(_)
        | FactBody::Policy(_) => None,
    }
}

/// The member for whose seat a caller approves by a grant that counts now.
fn seat(
    facts: &FactSet,
    (caller, project, transition): (&Caller, &ProjectName, Transition),
    stamp: Hlc,
) -> Option<PublicKey> {
    let settings = settings_in(facts).filter(|_| transition == Transition::ExecutionApprove)?;
    let (time, delegate) = (settings.outside(stamp), caller.delegate());
    let counts = |grant: &&LegacyGrant| {
        let is_own = grant.caller == caller.name && grant.delegate == delegate && grant.counts(time);
        is_own && grant.covers(project, OpClass::Execution)
    };
    settings.grants.values().filter(counts).find_map(|grant| grant.seat)
}

/// SWOOSH behind the shim.
pub struct Sequenced {
    pub handle: Handle,
    pub patience: Duration,
}

fn unread(error: ReadError) -> Rejection {
    Rejection::new(Code::NotDurable, format!("the node cannot read its stored data: {error}"))
}

fn damaged(error: FoldError) -> Rejection {
    Rejection::new(Code::ProjectDamaged, format!("{error}; see runbooks/corrupt-journal.md"))
}

fn headers(forms: Forms) -> Headers {
    let Forms { idempotency_key, hlc, window_id, signature } = forms;
    Headers { idempotency_key, hlc, window_id, signature }
}

fn refused(rejection: Rejection) -> Judged {
    Judged::Refused(Refused { rejection, retry_after_ms: None })
}

/// Why a record cannot be read.
enum Unreadable {
    /// Reading failed, and may not fail the next time.
    Passing(ReadError),
    Damaged(String),
}

impl From<ReadError> for Unreadable {
    fn from(error: ReadError) -> Unreadable {
        match error {
            ReadError::Storage(_) | ReadError::RecordStorage { .. } => Unreadable::Passing(error),
            error => Unreadable::Damaged(error.to_string()),
        }
    }
}

impl From<Unreadable> for Rejection {
    fn from(unreadable: Unreadable) -> Rejection {
        match unreadable {
            Unreadable::Passing(error) => unread(error),
            Unreadable::Damaged(reason) => Rejection::new(Code::NotDurable, reason),
        }
    }
}

impl Sequenced {
    fn passing(&self, index: u64) -> Result<Passing, Rejection> {
        match self.record(index) {
            Ok(Some(record)) => Ok(Passing::Record(record)),
            Ok(None) => Ok(Passing::Lost { index, reason: "it is missing".to_owned() }),
            Err(Unreadable::Damaged(reason)) => Ok(Passing::Lost { index, reason }),
            Err(error) => Err(error.into()),
        }
    }

    fn record(&self, index: u64) -> Result<Option<PassedOn>, Unreadable> {
        let journal = self.handle.journal();
        let Some(stored) = journal.record(index)? else { return Ok(None) };
        let record = stored.record;
        let bytes = journal.object(&record.inputs_hash)?;
        let gone = || Unreadable::Damaged(format!("the inputs of record {index} are missing"));
        let inputs = Json::parse(&bytes.ok_or_else(gone)?).map_err(|error| Unreadable::Damaged(error.to_string()))?;
        Ok(Some(PassedOn {
            index,
            project: record.project,
            transition: record.transition,
            inputs,
            idem_key: record.idem_key,
            mirrored: signed_for(&record.evidence).is_some_and(|(_, decided)| !decided),
        }))
    }
}

impl Core for Sequenced {
    fn standing(&self, caller: &Caller, project: &ProjectName, transition: Transition) -> Result<Standing, Rejection> {
        let view = block_in_place(|| self.handle.view(project)).map_err(damaged)?;
        let (state, spec, now) = (view.head.state(), chart::spec(transition), self.handle.now());
        let facts = self.handle.facts();
        let floor = block_in_place(|| self.handle.journal().key_floor(project)).map_err(unread)?;
        let beats = Beats::known(facts.set(), project, now, floor);
        let window = || match facts.set().get(FactKind::Windows, project).map(|fact| &fact.body) {
            Some(FactBody::Windows(schedule)) => Some(schedule.position(now).window_id),
            _ => None,
        };
        let answers = |effect: EffectName| {
            let spec = chart::effect(effect);
            spec.success.contains(&transition) || spec.failure.contains(&transition)
        };
        let open = state.open_effects().find(|open| answers(open.id.effect)).map(|open| open.id.clone());
        // Where none is open the sequencer shall say so, and not that the client named none.
        let closed = |effect| EffectId { project: project.clone(), index: 0, digest: None, effect };
        let effect = open.or_else(|| EffectName::ALL.iter().copied().find(|&effect| answers(effect)).map(closed));
        Ok(Standing {
            head: view.head.hash(),
            hlc_last: state.hlc_last.as_ref().as_ref().map(|last| last.hlc),
            beat: beats.now,
            window_id: spec.window.and_then(|_| window()),
            effect,
            seat: seat(facts.set(), (caller, project, transition), now),
        })
    }

    fn grants(&self) -> BTreeMap<Name, LegacyGrant> {
        settings_in(self.handle.facts().set()).map(|settings| settings.grants.clone()).unwrap_or_default()
    }

    fn earlier(&self, project: &ProjectName, key: &IdemKey) -> Result<Option<Json>, Rejection> {
        block_in_place(|| {
            let Some(bound) = self.handle.journal().bound_key(project, key).map_err(unread)? else { return Ok(None) };
            Ok(self.record(bound.index)?.map(|record| record.inputs))
        })
    }

    fn state(&self, project: &ProjectName) -> Result<Option<Shown>, Rejection> {
        let view = block_in_place(|| self.handle.view(project)).map_err(damaged)?;
        if view.index == 0 {
            return Ok(None);
        }
        let section = |section: Section| {
            let value = serde_json::from_slice(&view.head.state().section_bytes(section)).unwrap_or_default();
            (section.as_str().to_owned(), value)
        };
        Ok(Some(Shown { hash: view.head.hash(), sections: Section::ALL.into_iter().map(section).collect() }))
    }

    fn propose(&self, body: Vec<u8>, forms: Forms) -> BoxFuture<'_, Judged> {
        async move {
            let verified = match self.handle.verify(&body, &headers(forms)) {
                Ok(verified) => verified,
                Err(rejection) => return refused(rejection),
            };
            match tokio::time::timeout(self.patience, self.handle.propose(verified)).await {
                Ok(Outcome::Accepted { receipt, replayed }) => {
                    Judged::Accepted(swoosh_migration::Decided { receipt: receipt.to_vec(), replayed })
                }
                Ok(Outcome::Refused(refusal)) => {
                    Judged::Refused(Refused { rejection: refusal.rejection, retry_after_ms: refusal.retry_after_ms })
                }
                Err(_) => refused(Rejection::new(
                    Code::NotDurable,
                    "it was not durable in time; send it again under the same key",
                )),
            }
        }
        .boxed()
    }

    fn try_out(&self, body: Vec<u8>, forms: Forms) -> Judged {
        let verified = match self.handle.verify(&body, &headers(forms)) {
            Ok(verified) => verified,
            Err(rejection) => return refused(rejection),
        };
        let runtime = tokio::runtime::Handle::current();
        match block_in_place(|| runtime.block_on(self.handle.dry_run(verified))) {
            DryRun::Accepted { .. } => Judged::Accepted(swoosh_migration::Decided::default()),
            DryRun::Repeat(receipt) => Judged::Accepted(swoosh_migration::Decided { receipt, replayed: true }),
            DryRun::Refused(refusal) => {
                Judged::Refused(Refused { rejection: refusal.rejection, retry_after_ms: refusal.retry_after_ms })
            }
        }
    }

    fn records_after(&self, index: u64, limit: usize) -> Result<Vec<Passing>, Rejection> {
        let (last, first) = (self.last_index(), self.handle.journal().first_index());
        let pruned = (index + 1 < first)
            .then(|| Ok(Passing::Lost { index: first - 1, reason: "it and those before it are pruned".to_owned() }));
        block_in_place(|| {
            let indexes = ((index + 1).max(first)..=last).take(limit);
            pruned.into_iter().chain(indexes.map(|index| self.passing(index))).collect()
        })
    }

    fn delivered(&self) -> Result<Option<u64>, Rejection> {
        let positions = self.handle.journal().export_positions().map_err(unread)?;
        Ok(positions.into_iter().find(|position| position.name == WHOOSH_EXPORTER).map(|position| position.index))
    }

    fn note_delivered(&self, index: u64) -> Result<(), Rejection> {
        let noted = block_in_place(|| self.handle.journal().note_exported(WHOOSH_EXPORTER, index));
        noted.map_err(|error| Rejection::new(Code::NotDurable, error.to_string()))
    }

    fn hold_back(&self, holds: bool) -> Result<(), Rejection> {
        let noted = block_in_place(|| self.handle.journal().rest_exporter(WHOOSH_EXPORTER, !holds));
        noted.map_err(|error| Rejection::new(Code::NotDurable, error.to_string()))
    }

    fn last_index(&self) -> u64 {
        self.handle.status().last_index
    }

    fn projects(&self) -> Result<Vec<ProjectName>, Rejection> {
        let projects = block_in_place(|| self.handle.journal().projects_between(0, self.last_index()));
        Ok(projects.map_err(unread)?.into_iter().collect())
    }

    fn may_order(&self, key: &PublicKey, at: Hlc) -> Result<(), Rejection> {
        let facts = self.handle.facts();
        let Some(settings) = settings_in(facts.set()) else {
            return Err(Rejection::new(Code::IdentityUnknown, "the node has no settings to judge an operator by"));
        };
        let Some(grant) = settings.identities.get(key) else {
            let reason =
                format!("{key} is not known to the settings of this node; grant it role operator under identities");
            return Err(Rejection::new(Code::IdentityUnknown, reason));
        };
        if !grant.roles.contains(&Role::Operator) {
            let reason = format!("only operators switch the migration, and {} is none", grant.name);
            return Err(Rejection::new(Code::RoleNotAllowed, reason));
        }
        let (at_ms, now_ms) = (at.physical_ms(), self.handle.now().physical_ms());
        let stale = |code, how: &str| {
            Err(Rejection::new(code, format!("the order was signed at {at}, too far {how}; sign a new one")))
        };
        match () {
            () if at_ms > now_ms.saturating_add(settings.max_ahead_ms) => stale(Code::HlcAhead, "ahead"),
            () if at_ms.saturating_add(settings.max_behind_ms) < now_ms => stale(Code::HlcBehind, "behind"),
            () => Ok(()),
        }
    }

    fn is_ready(&self) -> bool {
        self.handle.status().mode == Mode::Accepting
    }

    fn now(&self) -> Hlc {
        self.handle.now()
    }
}
