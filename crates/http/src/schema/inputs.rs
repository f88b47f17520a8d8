//! Schemas of the inputs of transitions, from the forms of `types`.

use serde_json::{Map, Value, json};

use swoosh_types::forms::{self, Form, Member, Named};
use swoosh_types::json::MAX_INTEGER;
use swoosh_types::names::Transition;

/// The name of a transition's schema.
pub(crate) fn schema_name(transition: Transition) -> String {
    format!("Inputs_{transition}")
}

/// Adds the schema of each transition's inputs and of the types that they consist of, and refers to them from `Proposal`.
pub(crate) fn add_to(document: &mut Value) {
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else { return };
    for transition in Transition::ALL {
        for known in forms::types_of(*transition) {
            schemas.insert(known.name.to_owned(), of_type(known));
        }
        schemas.insert(schema_name(*transition), of_transition(*transition));
    }
    let references: Map<String, Value> =
        Transition::ALL.iter().map(|name| (name.to_string(), reference(&schema_name(*name)))).collect();
    let Some(inputs) = schemas.get_mut("Proposal").map(|proposal| &mut proposal["properties"]["inputs"]) else {
        return;
    };
    inputs["x-swoosh-inputs"] =
        Value::Object(references.into_iter().map(|(name, reference)| (name, reference["$ref"].clone())).collect());
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn of_transition(transition: Transition) -> Value {
    let members = forms::inputs(transition).map(|input| {
        let property = property(input.of, forms::member_doc(input.name), forms::member_range(input.name));
        (input.name, property, input.required)
    });
    let mut schema = object(&format!("The inputs of {transition}."), members);
    let example = serde_json::from_str::<Value>(&forms::example(transition)).unwrap_or_default();
    schema["examples"] = json!([example]);
    schema["x-swoosh-transition"] = transition.as_str().into();
    schema
}

/// The schema of a named type.
fn of_type(known: &Named) -> Value {
    let mut schema = match known.form {
        Form::Text(text) => {
            let example = text.example;
            let mut schema = json!({"type": "string", "pattern": (text.pattern)(), "examples": [example]});
            if let Some(most) = text.most_bytes {
                // No character has less than a byte.
                schema["maxLength"] = most.into();
                schema["x-swoosh-max-bytes"] = most.into();
            }
            schema
        }
        Form::Whole => json!({"type": "integer", "format": "int64", "minimum": 0, "maximum": MAX_INTEGER}),
        Form::Flag => json!({"type": "boolean"}),
        Form::Choice(words) => json!({"type": "string", "enum": words()}),
        Form::List { of, most } => {
            let mut schema = json!({"type": "array", "items": reference(of)});
            if let Some(most) = most {
                schema["x-swoosh-max-distinct"] = most.into();
            }
            schema
        }
        Form::Map { key, of } => {
            json!({"type": "object", "propertyNames": reference(key), "additionalProperties": reference(of)})
        }
        Form::Object(members) => object(known.doc, members.iter().map(member)),
        Form::Any => any(known.name),
    };
    schema["description"] = known.doc.into();
    if let (Some(name), Some(most)) = (known.bound, known.most()) {
        schema["x-swoosh-bound"] = json!({"name": name, "most": most});
    }
    schema
}

/// Strict JSON has whole numbers only, and no null.
fn any(name: &str) -> Value {
    let itself = reference(name);
    json!({"oneOf": [
        {"type": "boolean"},
        {"type": "integer", "minimum": 0, "maximum": MAX_INTEGER},
        {"type": "string"},
        {"type": "array", "items": itself},
        {"type": "object", "additionalProperties": itself},
    ]})
}

fn member(member: &Member) -> (&'static str, Value, bool) {
    (member.name, property(member.of, member.doc, member.range), member.required)
}

fn property(of: &str, doc: &str, range: Option<(u64, u64)>) -> Value {
    let mut property = reference(of);
    property["description"] = doc.into();
    if let Some((least, most)) = range {
        property["x-swoosh-range"] = json!({"minimum": least, "maximum": most});
    }
    property
}

fn object(doc: &str, members: impl Iterator<Item = (&'static str, Value, bool)>) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for (name, property, must) in members {
        properties.insert(name.to_owned(), property);
        required.extend(must.then(|| name.to_owned()));
    }
    let mut schema =
        json!({"type": "object", "description": doc, "properties": properties, "additionalProperties": false});
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}

#[cfg(test)]
mod tests {
    use crate::openapi::DOCUMENT;
    use swoosh_types::names::Transition;

    #[test]
    fn every_transition_has_a_schema_of_its_inputs_that_the_proposal_refers_to() {
        let schemas = &DOCUMENT["components"]["schemas"];
        let references = &schemas["Proposal"]["properties"]["inputs"]["x-swoosh-inputs"];
        for transition in Transition::ALL {
            let name = super::schema_name(*transition);
            assert_eq!(references[transition.as_str()], format!("#/components/schemas/{name}"));
            let schema = &schemas[&name];
            assert_eq!(schema["additionalProperties"], false, "{name}");
            assert_eq!(schema["x-swoosh-transition"], transition.as_str());
            for (member, property) in schema["properties"].as_object().unwrap() {
                assert!(!property["description"].as_str().unwrap().is_empty(), "{name}.{member}");
            }
        }
    }
}
