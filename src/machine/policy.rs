//! SHHH policies in Cedar: who may do what to which project, and which denials are breaches.
//!
//! Principal = `Identity::"hmmm:pubkey:…"` in `Role::"…"` for each of its roles; action =
//! `Action::"Ingestion_BytesOk"` in `Action::"ingestion"`; resource = `Project::"default"`. The context
//! holds `inputs` (the proposal's inputs). A `forbid` with `@breach("reason")` quarantines the project.
//! Cedar skips a policy that errs; here any error rejects. Reasons are sorted before they are told.

#[expect(clippy::disallowed_types, reason = "Cedar's API takes sets; nothing is ever read out of them in order")]
use std::collections::HashSet;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    RestrictedExpression,
};

use crate::types::fact::PolicyBundle;
use crate::types::hash::Hash;
use crate::types::json::Json;
use crate::types::keys::PublicKey;
use crate::types::names::{Region, Role, Transition};
use crate::types::text::ProjectName;

/// Version of the policy language and the engine, as it stands in every record.
pub fn engine_version() -> String {
    format!("cedar-language-{}/engine-{}", cedar_policy::get_lang_version(), cedar_policy::get_sdk_version())
}

/// A bundle, parsed once and asked many times.
#[derive(Clone, Debug)]
pub struct CompiledPolicies {
    bundle: PolicyBundle,
    hash: Hash,
    policies: PolicySet,
    /// Names of policies: their `@id`, or Cedar's own.
    names: BTreeMap<String, String>,
    /// What the `@breach` policies say, by Cedar's id.
    breaches: BTreeMap<String, String>,
    reads_context: bool,
}

/// Why a bundle cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The text is not Cedar.
    #[error("the policies do not parse: {0}")]
    Parse(String),
    /// A permit cannot be a breach.
    #[error("policy {0} is a permit with @breach; only a forbid can be a breach")]
    PermitBreach(String),
    /// A breach must say why.
    #[error("policy {0} has @breach without a reason; write @breach(\"reason\") with 1 to 500 characters")]
    NoReason(String),
    /// Two policies share an @id.
    #[error("two policies have the @id {0:?}")]
    DuplicateId(String),
}

/// What the policies are asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who.
    pub signer: &'a PublicKey,
    /// With which roles.
    pub roles: &'a BTreeSet<Role>,
    /// What.
    pub transition: Transition,
    /// In which region.
    pub region: Region,
    /// To which project.
    pub project: &'a ProjectName,
    /// With which inputs.
    pub inputs: &'a Json,
}

/// What the policies say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Permitted, by these policies.
    Permit(Vec<String>),
    /// Denied, for these reasons.
    Deny(Vec<String>),
    /// Denied as a breach, for these reasons.
    Breach(Vec<String>),
}

impl CompiledPolicies {
    /// Parses a bundle.
    pub fn compile(bundle: PolicyBundle) -> Result<CompiledPolicies, PolicyError> {
        let policies = PolicySet::from_str(&bundle.policies).map_err(|error| PolicyError::Parse(error.to_string()))?;
        let mut names = BTreeMap::new();
        let mut breaches = BTreeMap::new();
        let mut taken = BTreeSet::new();
        for policy in policies.policies() {
            let id = policy.id().to_string();
            let name = policy.annotation("id").map_or_else(|| id.clone(), str::to_owned);
            if !taken.insert(name.clone()) {
                return Err(PolicyError::DuplicateId(name));
            }
            if let Some(reason) = policy.annotation("breach") {
                breaches.insert(id.clone(), breach_reason(policy, &name, reason)?);
            }
            names.insert(id, name);
        }
        let reads_context = bundle.policies.contains("context");
        let hash = Hash::of(bundle.policies.as_bytes());
        Ok(CompiledPolicies { bundle, hash, policies, names, breaches, reads_context })
    }

    /// Grows with every bundle.
    pub fn serial(&self) -> u64 {
        self.bundle.serial
    }

    /// sha256 of the policies' text.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Asks the policies.
    pub fn ask(&self, question: Question<'_>) -> Ruling {
        match self.try_ask(question) {
            Ok(ruling) => ruling,
            Err(problem) => Ruling::Deny(vec![format!("the policies could not be asked: {problem}")]),
        }
    }

    fn try_ask(&self, question: Question<'_>) -> Result<Ruling, String> {
        let principal = uid("Identity", &question.signer.to_string())?;
        let action = uid("Action", question.transition.as_str())?;
        let resource = uid("Project", question.project.as_str())?;
        let entities = entities(&question, &principal, &action, &resource)?;
        let context = if self.reads_context { context(question.inputs)? } else { Context::empty() };
        let request = Request::new(principal, action, resource, context, None).map_err(|e| e.to_string())?;
        let response = Authorizer::new().is_authorized(&request, &self.policies, &entities);
        let mut errors: Vec<_> =
            response.diagnostics().errors().map(|error| format!("a policy errs: {error}")).collect();
        if !errors.is_empty() {
            errors.sort();
            return Ok(Ruling::Deny(errors));
        }
        let ids: BTreeSet<String> = response.diagnostics().reason().map(ToString::to_string).collect();
        Ok(self.ruling(response.decision(), &ids))
    }

    fn ruling(&self, decision: Decision, ids: &BTreeSet<String>) -> Ruling {
        let mut names: Vec<String> = ids.iter().filter_map(|id| self.names.get(id)).cloned().collect();
        names.sort();
        let mut breaches: Vec<String> = ids.iter().filter_map(|id| self.breaches.get(id)).cloned().collect();
        breaches.sort();
        breaches.dedup();
        match decision {
            Decision::Allow => Ruling::Permit(names),
            Decision::Deny if !breaches.is_empty() => Ruling::Breach(breaches),
            Decision::Deny if names.is_empty() => Ruling::Deny(vec!["no policy permits it".into()]),
            Decision::Deny => Ruling::Deny(names.iter().map(|name| format!("policy {name} forbids it")).collect()),
        }
    }
}

fn breach_reason(policy: &cedar_policy::Policy, name: &str, reason: &str) -> Result<String, PolicyError> {
    if policy.effect() == cedar_policy::Effect::Permit {
        return Err(PolicyError::PermitBreach(name.to_owned()));
    }
    let fits = reason.parse::<crate::types::text::Detail>().is_ok();
    if fits { Ok(reason.to_owned()) } else { Err(PolicyError::NoReason(name.to_owned())) }
}

fn uid(kind: &str, id: &str) -> Result<EntityUid, String> {
    let kind = EntityTypeName::from_str(kind).map_err(|e| e.to_string())?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

#[expect(clippy::disallowed_types, reason = "Cedar's API takes sets; nothing is ever read out of them in order")]
fn entities(
    question: &Question<'_>,
    principal: &EntityUid,
    action: &EntityUid,
    resource: &EntityUid,
) -> Result<Entities, String> {
    let roles = question.roles.iter().map(|role| uid("Role", role.as_str())).collect::<Result<HashSet<_>, _>>()?;
    let group = uid("Action", question.region.as_str())?;
    let mut all: Vec<Entity> = roles.iter().cloned().map(Entity::with_uid).collect();
    all.push(Entity::with_uid(group.clone()));
    all.push(Entity::with_uid(resource.clone()));
    all.push(Entity::new_no_attrs(principal.clone(), roles));
    all.push(Entity::new_no_attrs(action.clone(), HashSet::from([group])));
    Entities::from_entities(all, None).map_err(|e| e.to_string())
}

fn context(inputs: &Json) -> Result<Context, String> {
    Context::from_pairs([("inputs".to_owned(), expression(inputs)?)]).map_err(|e| e.to_string())
}

fn expression(json: &Json) -> Result<RestrictedExpression, String> {
    Ok(match json {
        Json::Bool(value) => RestrictedExpression::new_bool(*value),
        Json::Integer(value) => RestrictedExpression::new_long(i64::try_from(*value).map_err(|e| e.to_string())?),
        Json::String(value) => RestrictedExpression::new_string(value.clone()),
        Json::Array(items) => {
            RestrictedExpression::new_set(items.iter().map(expression).collect::<Result<Vec<_>, _>>()?)
        }
        Json::Object(map) => {
            let fields = map.iter().map(|(key, value)| Ok((key.clone(), expression(value)?)));
            RestrictedExpression::new_record(fields.collect::<Result<Vec<_>, String>>()?).map_err(|e| e.to_string())?
        }
    })
}
