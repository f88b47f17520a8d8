//! `capd/*.capd.json`: the wrapper's description for the platform, checked against its JSON schema.

use serde_json::Value;

/// The capability file in the repository.
pub const CAPABILITY_FILE: &str = "capd/hyperswarm.cluster-scaleup.capd.json";
pub const SCHEMA_FILE: &str = "capd/capability.schema.json";

/// Where a document does not agree with a schema: `path: problem`. Knows the words that
/// `capd/capability.schema.json` uses, and tells of any other, so that none is passed over.
pub fn disagreements(document: &Value, schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(document, schema, "$", &mut found);
    found
}

fn check(value: &Value, schema: &Value, path: &str, found: &mut Vec<String>) {
    let Some(rules) = schema.as_object() else {
        found.push(format!("{path}: the schema is no object"));
        return;
    };
    for (rule, wanted) in rules {
        match rule.as_str() {
            "$schema" | "title" => {}
            "type" => check_type(value, wanted, path, found),
            "enum" => {
                let allowed = wanted.as_array().is_some_and(|allowed| allowed.contains(value));
                note(allowed, found, || format!("{path}: {value} is none of {wanted}"));
            }
            "minLength" | "minItems" => {
                let length = value.as_str().map(str::len).or_else(|| value.as_array().map(Vec::len));
                let enough = length.is_none_or(|length| length as u64 >= wanted.as_u64().unwrap_or(0));
                note(enough, found, || format!("{path}: is shorter than {wanted}"));
            }
            "pattern" => {
                let matches = value.as_str().is_none_or(|text| matches(text, wanted.as_str().unwrap_or("")));
                note(matches, found, || format!("{path}: {value} is not of the form {wanted}"));
            }
            "required" => {
                for name in wanted.as_array().into_iter().flatten().filter_map(Value::as_str) {
                    let there = value.as_object().is_none_or(|members| members.contains_key(name));
                    note(there, found, || format!("{path}: has no {name}"));
                }
            }
            "items" => {
                for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(item, wanted, &format!("{path}[{at}]"), found);
                }
            }
            "properties" | "additionalProperties" => {}
            other => found.push(format!("{path}: the schema's word {other} is not known here")),
        }
    }
    check_members(value, rules, path, found);
}

fn check_members(value: &Value, rules: &serde_json::Map<String, Value>, path: &str, found: &mut Vec<String>) {
    let properties = rules.get("properties").and_then(Value::as_object);
    for (name, member) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match (properties.and_then(|known| known.get(name)), rules.get("additionalProperties")) {
            (Some(schema), _) => check(member, schema, &path, found),
            (None, Some(Value::Bool(false))) => found.push(format!("{path}: is not known")),
            (None, Some(schema @ Value::Object(_))) => check(member, schema, &path, found),
            _ => {}
        }
    }
}

fn check_type(value: &Value, wanted: &Value, path: &str, found: &mut Vec<String>) {
    let good = match wanted.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        _ => false,
    };
    note(good, found, || format!("{path}: is no {}", wanted.as_str().unwrap_or("value of a known type")));
}

fn note(good: bool, found: &mut Vec<String>, text: impl FnOnce() -> String) {
    if !good {
        found.push(text());
    }
}

/// The two patterns of the schema; another one matches nothing, so that it is noticed.
fn matches(text: &str, pattern: &str) -> bool {
    let lower = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    match pattern {
        r"^caps\.[a-z0-9-]+(\.[a-z0-9-]+)*@[0-9]+\.[0-9]+\.[0-9]+$" => {
            let Some((name, version)) = text.strip_prefix("caps.").and_then(|rest| rest.split_once('@')) else {
                return false;
            };
            let numbers: Vec<&str> = version.split('.').collect();
            let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            name.split('.').all(lower) && numbers.len() == 3 && numbers.iter().all(is_number)
        }
        "^[A-Z][A-Z0-9_]*$" => {
            let upper = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
            text.bytes().next().is_some_and(|byte| byte.is_ascii_uppercase()) && text.bytes().all(upper)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> Value {
        let path = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path);
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn the_capability_file_is_that_of_the_specification_and_agrees_with_its_schema() {
        let document = read(CAPABILITY_FILE);
        assert_eq!(disagreements(&document, &read(SCHEMA_FILE)), Vec::<String>::new());
        assert_eq!(document["capability_id"], "caps.infra.cluster-scaleup.hyperswarm@0.1.0");
        assert_eq!(
            (document["kind"].as_str(), document["status"].as_str()),
            (Some("infra.wrapper"), Some("experimental"))
        );
    }

    #[test]
    fn every_kind_of_disagreement_is_found() {
        let schema = read(SCHEMA_FILE);
        let twist = |twist: &dyn Fn(&mut Value)| {
            let mut document = read(CAPABILITY_FILE);
            twist(&mut document);
            disagreements(&document, &schema).len()
        };
        assert_eq!(twist(&|document| document["capability_id"] = "caps.x@1".into()), 1);
        assert_eq!(twist(&|document| document["kind"] = "other".into()), 1);
        assert_eq!(twist(&|document| document["novelty"] = 1.into()), 1);
        assert_eq!(twist(&|document| document["title"] = "".into()), 1);
        assert_eq!(twist(&|document| document["entry_points"] = serde_json::json!([])), 1);
        assert_eq!(twist(&|document| document["upstreams"][0] = "krew".into()), 1);
        assert_eq!(twist(&|document| document["artifacts"][0] = serde_json::json!({"path": "x"})), 1);
        assert_eq!(twist(&|document| document["linkages"]["x"] = 1.into()), 1);
        assert_eq!(disagreements(&Value::from(1), &serde_json::json!({"maximum": 3})).len(), 1);
    }
}
