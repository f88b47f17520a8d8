//! Cedar's input: entities, request, context.

#[expect(clippy::disallowed_types, reason = "Cedar's API takes sets; nothing is ever read out of them in order")]
use std::collections::HashSet;
use std::str::FromStr as _;

use cedar_policy::{
    Authorizer, Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request, Response,
    RestrictedExpression,
};

use super::Question;
use swoosh_types::json::Json;

/// A request with its entities, but without its context.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    principal: EntityUid,
    action: EntityUid,
    resource: EntityUid,
    entities: Entities,
}

impl Scene {
    /// The question's roles and transition, asked by `who` of `project`.
    #[expect(clippy::disallowed_types, reason = "Cedar's API takes sets; nothing is ever read out of them in order")]
    pub(super) fn of(question: &Question<'_>, who: &str, project: &str) -> Result<Scene, String> {
        let principal = uid("Identity", who)?;
        let action = uid("Action", question.transition.as_str())?;
        let resource = uid("Project", project)?;
        let roles = question.roles.iter().map(|role| uid("Role", role.as_str())).collect::<Result<HashSet<_>, _>>()?;
        let group = uid("Action", question.region.as_str())?;
        let mut all: Vec<Entity> = roles.iter().cloned().map(Entity::with_uid).collect();
        all.push(Entity::with_uid(group.clone()));
        all.push(Entity::with_uid(resource.clone()));
        all.push(Entity::new_no_attrs(principal.clone(), roles));
        all.push(Entity::new_no_attrs(action.clone(), HashSet::from([group])));
        let entities = Entities::from_entities(all, None).map_err(|e| e.to_string())?;
        Ok(Scene { principal, action, resource, entities })
    }

    /// Asks policies in this scene.
    pub(super) fn ask(&self, policies: &PolicySet, context: Context) -> Result<Response, String> {
        let (principal, action, resource) = (self.principal.clone(), self.action.clone(), self.resource.clone());
        let request = Request::new(principal, action, resource, context, None).map_err(|e| e.to_string())?;
        Ok(Authorizer::new().is_authorized(&request, policies, &self.entities))
    }
}

/// Cedar's name of something.
pub(super) fn uid(kind: &str, id: &str) -> Result<EntityUid, String> {
    let kind = EntityTypeName::from_str(kind).map_err(|e| e.to_string())?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

pub(super) fn context(members: impl IntoIterator<Item = (String, RestrictedExpression)>) -> Result<Context, String> {
    Context::from_pairs(members).map_err(|e| e.to_string())
}

/// A JSON value as Cedar writes it.
pub(super) fn expression(json: &Json) -> Result<RestrictedExpression, String> {
    Ok(match json {
        Json::Bool(value) => RestrictedExpression::new_bool(*value),
        Json::Integer(value) => RestrictedExpression::new_long(i64::try_from(*value).map_err(|e| e.to_string())?),
        Json::String(value) => RestrictedExpression::new_string(value.clone()),
        Json::Array(items) => {
            RestrictedExpression::new_set(items.iter().map(expression).collect::<Result<Vec<_>, _>>()?)
        }
        Json::Object(map) => record(map.iter())?,
    })
}

/// These members as a record.
pub(super) fn record<'a>(
    members: impl Iterator<Item = (&'a String, &'a Json)>,
) -> Result<RestrictedExpression, String> {
    let fields = members.map(|(key, value)| Ok((key.clone(), expression(value)?)));
    RestrictedExpression::new_record(fields.collect::<Result<Vec<_>, String>>()?).map_err(|e| e.to_string())
}
