//! Facts as guards read them: parsed, by kind and project.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::policy::{CompiledPolicies, PolicyError};
use swoosh_types::backbeat::{Schedule, ScheduleError};
use swoosh_types::canonical::{DecodeError, from_json};
use swoosh_types::civil::MAX_MS;
use swoosh_types::fact::*;
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::json::Json;
use swoosh_types::shared_map::SharedMap;
use swoosh_types::text::ProjectName;

/// The body of a fact, by kind.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the variants are the kinds, which FactKind documents")]
pub enum FactBody {
    License(License),
    Windows(Schedule),
    Tooling(Tooling),
    Capacity(Capacity),
    Health(Health),
    Liveness(Liveness),
    Policy(Arc<CompiledPolicies>),
    Settings(GuardSettings),
}

/// A fact that has been read.
#[derive(Clone, Debug)]
pub struct KnownFact {
    /// The address it is stored under, and which records name.
    pub hash: Hash,
    pub fact: Fact,
    pub body: FactBody,
}

/// How long a license counts, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LicenseTerm {
    /// The last moment at which it is valid.
    pub until_ms: u64,
    /// The last moment of its grace.
    pub grace_until_ms: u64,
}

/// Why a fact cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FactError {
    /// The body has another form than its kind asks for.
    #[error("the body of the {kind} fact is not of its form: {source}")]
    Body { kind: FactKind, source: DecodeError },
    /// The schedule is out of its bounds.
    #[error("the window schedule cannot be used: {0}")]
    Schedule(#[from] ScheduleError),
    /// The policies do not parse.
    #[error("the policy bundle cannot be used: {0}")]
    Policy(#[from] PolicyError),
}

impl FactBody {
    /// Reads the body of a fact of a kind.
    pub fn read(kind: FactKind, body: &Json) -> Result<FactBody, FactError> {
        let error = |source| FactError::Body { kind, source };
        Ok(match kind {
            FactKind::License => FactBody::License(from_json(body).map_err(error)?),
            FactKind::Windows => {
                let schedule: Schedule = from_json(body).map_err(error)?;
                schedule.validate()?;
                FactBody::Windows(schedule)
            }
            FactKind::Tooling => FactBody::Tooling(from_json(body).map_err(error)?),
            FactKind::Capacity => FactBody::Capacity(from_json(body).map_err(error)?),
            FactKind::Health => FactBody::Health(from_json(body).map_err(error)?),
            FactKind::Liveness => FactBody::Liveness(from_json(body).map_err(error)?),
            FactKind::Policy => {
                FactBody::Policy(Arc::new(CompiledPolicies::recorded(from_json(body).map_err(error)?)?))
            }
            FactKind::Settings => FactBody::Settings(from_json(body).map_err(error)?),
        })
    }
}

impl KnownFact {
    /// Reads the body of a new fact; checks no signature. A body that records may not hold is refused.
    pub fn admit(fact: Fact) -> Result<KnownFact, FactError> {
        let known = KnownFact::read(fact)?;
        if let FactBody::Policy(policies) = &known.body {
            policies.check_new()?;
        }
        Ok(known)
    }

    /// Reads the body of a fact, also of one that was recorded before more was checked; checks no signature.
    pub fn read(fact: Fact) -> Result<KnownFact, FactError> {
        let body = FactBody::read(fact.claim.kind, &fact.claim.body)?;
        Ok(KnownFact { hash: fact.hash(), fact, body })
    }

    /// How long this license counts: nothing when it is none, or lacks the scope.
    pub fn license_term(&self, settings: &GuardSettings) -> Option<LicenseTerm> {
        let FactBody::License(license) = &self.body else { return None };
        let until_ms = self.fact.believed_until_ms();
        let grace_until_ms = until_ms.saturating_add(settings.license_grace_ms).min(MAX_MS);
        license.scopes.contains(&settings.license_scope).then_some(LicenseTerm { until_ms, grace_until_ms })
    }

    /// Whether the fact may still be believed.
    pub fn is_valid(&self, at: Hlc) -> bool {
        at.physical_ms() <= self.fact.believed_until_ms()
    }
}

/// The believed facts: at most one for each kind and project, and one for each kind and all projects. Cheap to clone;
/// never changed while a proposal is judged.
#[derive(Clone, Debug, Default)]
pub struct FactSet {
    kinds: BTreeMap<FactKind, OfKind>,
}

/// The facts of one kind.
#[derive(Clone, Debug, Default)]
struct OfKind {
    for_all: Option<Arc<KnownFact>>,
    by_project: SharedMap<ProjectName, Arc<KnownFact>>,
}

impl FactSet {
    /// Puts a fact in the place of an earlier one of its kind and project.
    pub fn insert(&mut self, fact: KnownFact) {
        let claim = &fact.fact.claim;
        let of_kind = self.kinds.entry(claim.kind).or_default();
        match claim.project.clone() {
            Some(project) => drop(of_kind.by_project.insert(project, Arc::new(fact))),
            None => of_kind.for_all = Some(Arc::new(fact)),
        }
    }

    /// Takes the fact of a project out; the one for all projects holds for it from then on.
    pub fn remove(&mut self, kind: FactKind, project: &ProjectName) -> Option<Arc<KnownFact>> {
        self.kinds.get_mut(&kind)?.by_project.remove(project)
    }

    /// Whether any fact of a kind is held.
    pub fn has(&self, kind: FactKind) -> bool {
        self.kinds.get(&kind).is_some_and(|of_kind| of_kind.for_all.is_some() || !of_kind.by_project.is_empty())
    }

    /// The fact that holds for a project: its own, or the one for all projects.
    pub fn get(&self, kind: FactKind, project: &ProjectName) -> Option<&Arc<KnownFact>> {
        let of_kind = self.kinds.get(&kind)?;
        of_kind.by_project.get(project).or(of_kind.for_all.as_ref())
    }

    /// The time outside at a stamp: earlier than the stamp by the lead that the settings of the project name.
    pub fn outside(&self, project: &ProjectName, stamp: Hlc) -> Hlc {
        match self.get(FactKind::Settings, project).map(|fact| &fact.body) {
            Some(FactBody::Settings(settings)) => settings.outside(stamp),
            _ => stamp,
        }
    }

    /// The fact in exactly this place.
    pub fn at(&self, kind: FactKind, project: Option<&ProjectName>) -> Option<&Arc<KnownFact>> {
        let of_kind = self.kinds.get(&kind)?;
        project.map_or(of_kind.for_all.as_ref(), |project| of_kind.by_project.get(project))
    }

    /// All facts, by kind, the one for all projects first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<KnownFact>> {
        self.kinds.values().flat_map(|of_kind| of_kind.for_all.iter().chain(of_kind.by_project.values()))
    }
}
