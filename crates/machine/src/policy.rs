//! SHHH policies in Cedar: permissions by identity, role, action and project, and the denials that are breaches.
//!
//! Principal = `Identity::"hmmm:pubkey:…"` in `Role::"…"` for each of its roles; action =
//! `Action::"Ingestion_BytesOk"` in `Action::"ingestion"`; resource = `Project::"default"`. The context
//! holds `inputs` (the proposal's inputs) and `content` (what checks saw; see `policy::content`). A `forbid` with `@breach("reason")` quarantines the project.
//! Cedar skips a policy that errs; here any error rejects. Reasons are sorted before they are reported.
//!
//! `relevant` caches the invariant part of a decision: for one transition and one set of roles, everything but the
//! inputs' members that the policies read.

mod content;
mod depth;
mod engine;
mod relevant;
mod stack;

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;
use std::sync::{LazyLock, OnceLock};

use cedar_policy::{Decision, PolicySet, Response};

use super::chart::spec;
use swoosh_types::fact::PolicyBundle;
use swoosh_types::hash::Hash;
use swoosh_types::json::Json;
use swoosh_types::keys::PublicKey;
use swoosh_types::names::{Region, Role, Transition};
use swoosh_types::text::{Detail, ProjectName};

pub use depth::{MAX_BYTES, MAX_DEPTH};
use engine::{Scene, context, expression};
use relevant::{Readings, Relevant};

/// Version of the policy language and the engine, as recorded.
pub fn engine_version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        format!("cedar-language-{}/engine-{}", cedar_policy::get_lang_version(), cedar_policy::get_sdk_version())
    });
    &VERSION
}

/// Transitions that stop or repair a project. A bundle that forbids them to every operator leaves nothing but another
/// bundle to stop a project by.
pub const SAFETY: [Transition; 4] = [
    Transition::ControlPause,
    Transition::ControlTerminate,
    Transition::PolicyQuarantine,
    Transition::BootIdentityRevoked,
];

/// A bundle, parsed once and asked many times.
#[derive(Clone, Debug)]
pub struct CompiledPolicies {
    // Not the text itself: a bundle may have 256 KiB, the fact has it, and Cedar keeps it once more.
    serial: u64,
    hash: Hash,
    /// Levels of its deepest policy; see [`MAX_DEPTH`].
    depth: usize,
    policies: PolicySet,
    /// Names of policies: their `@id`, or Cedar's own.
    names: BTreeMap<String, String>,
    /// Reasons of the `@breach` policies, by Cedar's id.
    breaches: BTreeMap<String, String>,
    readings: OnceLock<Readings>,
    /// For each transition, by its place in [`Transition::ALL`].
    relevant: Vec<OnceLock<Relevant>>,
}

/// Why a bundle cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The text is too large to be read.
    #[error("the policies have {0} bytes, and {MAX_BYTES} are the most; divide them among projects, or shorten them")]
    TooLarge(usize),
    /// A policy is too deep to be read and asked within a stack of known size.
    #[error(
        "the policy at line {line} has more than {MAX_DEPTH} levels (brackets within each other, alternatives, terms of a sum); \
         write a long list as a set, [\u{2026}].contains(\u{2026}) or principal in [\u{2026}], or as several policies"
    )]
    TooDeep {
        /// Where it begins.
        line: usize,
    },
    /// The text is not Cedar.
    #[error("the policies do not parse: {0}")]
    Parse(String),
    /// A permit cannot be a breach.
    #[error("policy {} is a permit with @breach; only a forbid can be a breach", .0.escape_debug())]
    PermitBreach(String),
    /// A breach must say why.
    #[error(
        "policy {} has @breach without a reason that a record can hold; write @breach(\"reason\") with 1 to 500 bytes and no control characters",
        .0.escape_debug()
    )]
    NoReason(String),
    /// A text that would stand in records is not one that records may hold.
    #[error(
        "policy {}: {text:?} under @{annotation} is not in Unicode's normal form NFC, or longer than 500 bytes, or holds control characters; rewrite it",
        .policy.escape_debug()
    )]
    Text {
        policy: String,
        annotation: &'static str,
        /// The annotation's text.
        text: String,
    },
    /// A template is no policy: nothing here fills its slots, so it would never be asked.
    #[error(
        "policy {} is a template, which nothing fills in, so it has no effect; name a principal and a resource in place of ?principal and ?resource",
        .0.escape_debug()
    )]
    Template(String),
    /// Two policies share an @id.
    #[error("two policies have the @id {0:?}")]
    DuplicateId(String),
}

/// A question to the policies.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub signer: &'a PublicKey,
    pub roles: &'a BTreeSet<Role>,
    pub transition: Transition,
    pub region: Region,
    pub project: &'a ProjectName,
    pub inputs: &'a Json,
}

/// Answer of the policies.
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
    /// Parses a bundle that may come into force, and checks it.
    pub fn compile(bundle: PolicyBundle) -> Result<CompiledPolicies, PolicyError> {
        let compiled = CompiledPolicies::recorded(bundle)?;
        compiled.check_new()?;
        Ok(compiled)
    }

    /// Parses a recorded bundle, without the checks that were added later.
    pub fn recorded(bundle: PolicyBundle) -> Result<CompiledPolicies, PolicyError> {
        let depth = depth::depth(&bundle.policies)?;
        stack::reading(depth, || CompiledPolicies::read(bundle, depth))
    }

    fn read(bundle: PolicyBundle, depth: usize) -> Result<CompiledPolicies, PolicyError> {
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
        let hash = Hash::of(bundle.policies.as_bytes());
        let relevant = Transition::ALL.iter().map(|_| OnceLock::new()).collect();
        Ok(CompiledPolicies {
            serial: bundle.serial,
            hash,
            depth,
            policies,
            names,
            breaches,
            readings: OnceLock::new(),
            relevant,
        })
    }

    /// Checks what only a bundle that is new here must hold to: the names of policies and the reasons of breaches are texts
    /// that records may hold, and no policy is a template.
    pub fn check_new(&self) -> Result<(), PolicyError> {
        if let Some(template) = self.policies.templates().next() {
            let name = template.annotation("id").map_or_else(|| template.id().to_string(), str::to_owned);
            return Err(PolicyError::Template(name));
        }
        // Here, and not at the first proposal: it takes as long as parsing, and the sequencer would wait for it.
        self.readings();
        self.check_texts()
    }

    fn readings(&self) -> &Readings {
        self.readings.get_or_init(|| stack::reading(self.depth, || Readings::of(&self.policies)))
    }

    fn check_texts(&self) -> Result<(), PolicyError> {
        let names = self.names.iter().map(|(id, name)| (id, "id", name));
        let breaches = self.breaches.iter().map(|(id, reason)| (id, "breach", reason));
        for (id, annotation, text) in names.chain(breaches) {
            let is_plain = unicode_normalization::is_nfc(text) && !text.contains(char::is_control);
            if !is_plain || text.parse::<Detail>().is_err() {
                let policy = self.names.get(id).unwrap_or(id).clone();
                return Err(PolicyError::Text { policy, annotation, text: text.clone() });
            }
        }
        Ok(())
    }

    /// The actions for safety that the bundle denies, as far as that follows from roles alone: those of an operator,
    /// and Policy_Quarantine of a human. Empty where it denies none.
    pub fn kept_from_safety(&self, project: &ProjectName) -> Vec<String> {
        // A placeholder for any key that the policies do not name.
        let signer = &PublicKey::from_bytes([0; 32]);
        let inputs = &Json::empty_object();
        let forbidden = |role: Role, transition: Transition| {
            let (roles, region) = (&BTreeSet::from([role]), spec(transition).region);
            let ruling = self.ask(Question { signer, roles, transition, region, project, inputs });
            let (Ruling::Deny(reasons) | Ruling::Breach(reasons)) = ruling else { return None };
            // A policy that reads the inputs cannot be judged without them.
            let errs = reasons.iter().any(|reason| reason.starts_with("a policy errs"));
            (!errs).then(|| format!("it keeps {transition} from the role {role}: {}", reasons.join("; ")))
        };
        let asked = SAFETY.map(|transition| (Role::Operator, transition));
        asked
            .into_iter()
            .chain([(Role::Human, Transition::PolicyQuarantine)])
            .filter_map(|(role, transition)| forbidden(role, transition))
            .collect()
    }

    /// Grows with every bundle.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// sha256 of the policies' text.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Asks the policies, on a stack that is large enough for them.
    pub fn ask(&self, question: Question<'_>) -> Ruling {
        stack::asking(self.depth, || self.ask_remembered(&question).unwrap_or_else(|| self.ask_in_full(&question)))
    }

    /// Asks them of what is known about transition and roles already; `None` where that may not be enough.
    fn ask_remembered(&self, question: &Question<'_>) -> Option<Ruling> {
        let slot = self.relevant.get(question.transition as usize)?;
        let relevant = slot.get_or_init(|| {
            stack::reading(self.depth, || {
                Relevant::of(&self.policies, self.readings(), question.transition, question.region)
            })
        });
        relevant.ask(question, &|response| self.ruling_of(response))
    }

    fn ask_in_full(&self, question: &Question<'_>) -> Ruling {
        match self.try_ask_in_full(question) {
            Ok(ruling) => ruling,
            Err(problem) => Ruling::Deny(vec![format!("the policies could not be asked: {problem}")]),
        }
    }

    fn try_ask_in_full(&self, question: &Question<'_>) -> Result<Ruling, String> {
        let who = question.signer.to_string();
        let scene = Scene::of(question, &who, question.project.as_str())?;
        let content = content::content(question.inputs).map(|content| expression(&content)).transpose()?;
        let members = [("inputs", Some(expression(question.inputs)?)), ("content", content)];
        let members = members.into_iter().filter_map(|(name, member)| Some((name.to_owned(), member?)));
        let context = context(members)?;
        let response = scene.ask(&self.policies, context)?;
        let mut errors: Vec<_> =
            response.diagnostics().errors().map(|error| format!("a policy errs: {error}")).collect();
        if !errors.is_empty() {
            errors.sort();
            return Ok(Ruling::Deny(errors));
        }
        Ok(self.ruling_of(&response))
    }

    /// The ruling of a response without errors.
    fn ruling_of(&self, response: &Response) -> Ruling {
        let ids: BTreeSet<String> = response.diagnostics().reason().map(ToString::to_string).collect();
        self.ruling(response.decision(), &ids)
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

/// Runs what hands a text of policies to Cedar elsewhere, such as its validator, on a stack that is large enough for it; an
/// error where no stack is.
pub fn with_stack_for<T>(policies: &str, work: impl FnOnce() -> T) -> Result<T, PolicyError> {
    Ok(stack::reading(depth::depth(policies)?, work))
}

fn breach_reason(policy: &cedar_policy::Policy, name: &str, reason: &str) -> Result<String, PolicyError> {
    if policy.effect() == cedar_policy::Effect::Permit {
        return Err(PolicyError::PermitBreach(name.to_owned()));
    }
    let fits = reason.parse::<Detail>().is_ok();
    if fits { Ok(reason.to_owned()) } else { Err(PolicyError::NoReason(name.to_owned())) }
}

#[cfg(test)]
mod tests;
