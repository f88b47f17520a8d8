//! A cache of rulings that do not depend on the signer or the project.
//!
//! For one transition, only policies whose scope names it, its region or no action can matter: Cedar skips the
//! conditions of the others. If none of those names an identity or a project, and all read only named members of
//! `inputs` in the context, the ruling follows from the roles and those members alone. Every other case, and every
//! error, is evaluated in full.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use cedar_policy::{ActionConstraint, EntityUid, Policy, PolicySet, Response};
use serde_json::Value;

use super::engine::{Scene, context, record, uid};
use super::{Question, Ruling};
use swoosh_types::json::Json;
use swoosh_types::names::{Region, Role, Transition};

/// A placeholder for every signer and project that no policy names.
const ANYONE: &str = "*";

/// The policies that can match one transition.
#[derive(Clone, Debug)]
pub(super) struct Relevant {
    region: Region,
    /// `None` where an answer may follow from more than roles and members.
    known: Option<Known>,
}

#[derive(Clone, Debug)]
struct Known {
    policies: PolicySet,
    /// Members of `inputs` that they read.
    members: BTreeSet<String>,
    /// By set of roles, each a bit.
    by_roles: Vec<OnceLock<Option<ByRoles>>>,
}

/// The cached ruling of one set of roles.
#[derive(Clone, Debug)]
struct ByRoles {
    scene: Scene,
    /// With inputs that have none of the members; `None` when a policy errs then.
    without_members: Option<Ruling>,
}

/// Members of `inputs` that a policy reads; `None` for one that reads more, or names an identity or a project.
type Reading = Option<BTreeSet<String>>;

/// What each policy of a bundle reads, by Cedar's id. Cedar parses a policy again for that, so it is done once for a bundle.
#[derive(Clone, Debug)]
pub(super) struct Readings(BTreeMap<String, Reading>);

impl Readings {
    /// Of a bundle.
    pub(super) fn of(policies: &PolicySet) -> Readings {
        Readings(policies.policies().map(|policy| (policy.id().to_string(), reading(policy))).collect())
    }
}

fn reading(policy: &Policy) -> Reading {
    let json = policy.to_json().ok()?;
    let mut members = BTreeSet::new();
    let follows = !names(&json, &["Identity", "Project"]) && reads(&json, &mut members);
    follows.then_some(members)
}

type Rule<'t> = &'t dyn Fn(&Response) -> Ruling;

impl Relevant {
    /// Those of a bundle.
    pub(super) fn of(policies: &PolicySet, readings: &Readings, transition: Transition, region: Region) -> Relevant {
        Relevant { region, known: Known::of(policies, readings, transition, region) }
    }

    /// The answer, where it follows from what is known.
    pub(super) fn ask(&self, question: &Question<'_>, rule: Rule<'_>) -> Option<Ruling> {
        let known = self.known.as_ref().filter(|_| self.region == question.region)?;
        let slot = known.by_roles.get(bits(question.roles))?;
        let prepared = slot.get_or_init(|| known.prepare(question, rule)).as_ref()?;
        let inputs = question.inputs.as_object()?;
        let mut read = inputs.iter().filter(|(name, _)| known.members.contains(*name)).peekable();
        if read.peek().is_none() {
            return prepared.without_members.clone();
        }
        known.ask(&prepared.scene, read, rule)
    }
}

impl Known {
    fn of(policies: &PolicySet, readings: &Readings, transition: Transition, region: Region) -> Option<Known> {
        let (action, group) = (uid("Action", transition.as_str()).ok()?, uid("Action", region.as_str()).ok()?);
        let mut matching = PolicySet::new();
        let mut members = BTreeSet::new();
        for policy in policies.policies().filter(|policy| can_match(policy, &action, &group)) {
            members.extend(readings.0.get(&policy.id().to_string())?.clone()?);
            matching.add(policy.clone()).ok()?;
        }
        let by_roles = (0..1_usize << Role::ALL.len()).map(|_| OnceLock::new()).collect();
        Some(Known { policies: matching, members, by_roles })
    }

    fn prepare(&self, question: &Question<'_>, rule: Rule<'_>) -> Option<ByRoles> {
        let scene = Scene::of(question, ANYONE, ANYONE).ok()?;
        let without_members = self.ask(&scene, std::iter::empty(), rule);
        Some(ByRoles { scene, without_members })
    }

    fn ask<'a>(
        &self,
        scene: &Scene,
        read: impl Iterator<Item = (&'a String, &'a Json)>,
        rule: Rule<'_>,
    ) -> Option<Ruling> {
        let context = context([("inputs".to_owned(), record(read).ok()?)]).ok()?;
        let response = scene.ask(&self.policies, context).ok()?;
        response.diagnostics().errors().next().is_none().then(|| rule(&response))
    }
}

fn bits(roles: &BTreeSet<Role>) -> usize {
    roles.iter().fold(0, |bits, role| bits | 1 << *role as usize)
}

fn can_match(policy: &Policy, action: &EntityUid, group: &EntityUid) -> bool {
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(one) => one == *action,
        ActionConstraint::In(several) => several.iter().any(|one| one == action || one == group),
    }
}

/// Whether one of these texts occurs in a policy, as the type of an entity or as anything else.
fn names(json: &Value, texts: &[&str]) -> bool {
    match json {
        Value::String(text) => texts.contains(&text.as_str()),
        Value::Array(items) => items.iter().any(|item| names(item, texts)),
        Value::Object(map) => map.values().any(|value| names(value, texts)),
        _ => false,
    }
}

/// Collects the members of `context.inputs` that a policy reads; false when it reads anything else of the
/// context.
fn reads(json: &Value, members: &mut BTreeSet<String>) -> bool {
    match json {
        Value::Array(items) => items.iter().all(|item| reads(item, members)),
        Value::Object(map) => {
            if let Some(member) = member_of_inputs(json) {
                members.insert(member.to_owned());
                return true;
            }
            if map.get("Var").is_some_and(|var| var == "context") {
                return false;
            }
            map.values().all(|value| reads(value, members))
        }
        _ => true,
    }
}

/// The member in `context.inputs.member` and `context.inputs has member`.
fn member_of_inputs(json: &Value) -> Option<&str> {
    let (left, member) = attribute(json, ".").or_else(|| attribute(json, "has"))?;
    let (context, inputs) = attribute(left, ".")?;
    let is_context = context.as_object()?.len() == 1 && context.get("Var")? == "context";
    (is_context && inputs == "inputs").then_some(member)
}

/// Both sides of an expression that is nothing but `left.attr` or `left has attr`.
fn attribute<'j>(json: &'j Value, operator: &str) -> Option<(&'j Value, &'j str)> {
    let map = json.as_object().filter(|map| map.len() == 1)?;
    let sides = map.get(operator)?.as_object().filter(|sides| sides.len() == 2)?;
    Some((sides.get("left")?, sides.get("attr")?.as_str()?))
}
