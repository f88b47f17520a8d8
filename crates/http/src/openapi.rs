//! The OpenAPI description, made from the code. `openapi/openapi.json` is its golden copy.

use std::sync::LazyLock;

use serde_json::{Value, json};
use utoipa::OpenApi;

use super::{routes, schema};
use swoosh_types::json::MAX_INTEGER;

/// All documents; [`routes::Described`] has the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "SWOOSH",
        description = "A deterministic orchestrator: signed transitions, pure guards, a hash-chained write-ahead log.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "proposals", description = "The one way to change anything."),
        (name = "state", description = "What is, and what could be done now."),
        (name = "records", description = "What was decided, and why."),
        (name = "health", description = "How the node is."),
        (name = "migration", description = "Taking WHOOSH's place, step by step."),
    ),
    components(schemas(
        schema::Proposal,
        schema::Receipt,
        schema::Problem,
        schema::Code,
        schema::Decision,
        schema::Record,
        schema::Role,
        schema::EffectId,
        schema::EventKinds,
        schema::FactKind,
        schema::Projection,
    )),
)]
struct Description;

/// The description as a document.
pub(super) static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document =
        serde_json::to_value(Description::openapi().merge_from(routes::Described::openapi())).unwrap_or_default();
    let operations = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    operations.filter_map(Value::as_object_mut).flat_map(|item| item.values_mut()).for_each(drop_null_parameters);
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            bound_indexes(operation);
            tell_common_answers(path, method, operation);
        }
    }
    // Strict reading: no member but these.
    document["components"]["schemas"]["Proposal"]["additionalProperties"] = Value::Bool(false);
    schema::add_inputs(&mut document);
    document
});

/// A parameter that is left out is not null; utoipa says so of optional ones whose schema has a name, and of headers.
fn drop_null_parameters(operation: &mut Value) {
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        let named =
            parameter["schema"]["oneOf"].as_array().and_then(|choices| choices.iter().find(|c| c["$ref"].is_string()));
        if let Some(named) = named.cloned() {
            parameter["schema"] = named;
        }
        let kinds = parameter["schema"]["type"].as_array();
        if let Some(one) = kinds.and_then(|kinds| kinds.iter().find(|kind| *kind != "null")).cloned() {
            parameter["schema"]["type"] = one;
        }
    }
}

/// Indexes go as far as numbers of JSON do.
fn bound_indexes(operation: &mut Value) {
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    let numbers = parameters.into_iter().flatten().filter_map(|parameter| parameter["schema"].as_object_mut());
    for schema in numbers.filter(|schema| schema.get("format").is_some_and(|format| format == "int64")) {
        schema.entry("maximum").or_insert(MAX_INTEGER.into());
    }
}

/// Adds answers that every route shares: those of the layers before it, and of reading a request.
fn tell_common_answers(path: &str, method: &str, operation: &mut Value) {
    let watches = routes::is_probed(path);
    let (reads, posts) = (method == "get" && !routes::is_open(path), method == "post");
    let common = [
        (true, 400, "`bad_query`."),
        (
            reads,
            403,
            "`reads_closed`: on an address that is no loopback one, a read is signed by an identity with role \
            `reader`, or made with a client certificate, and within the reader's projects. `cross_site`: a browser sent it for a \
            page of another site. `certificate_refused`: the client certificate has no name that is allowed.",
        ),
        (
            true,
            403,
            "`cross_site`: a browser sent it for a page of another site. `certificate_refused`: the client certificate has no \
            name that is allowed.",
        ),
        (posts, 408, "The body took too long to arrive."),
        (posts, 413, "The body is too large."),
        (posts, 415, "Not plain application/json."),
        (true, 421, "`wrong_host`: it names a host that the node does not answer to."),
        (!watches, 429, "This peer has its share under way already; `Retry-After` says when to try again."),
        (true, 503, "The node has no room now, or cannot say; `Retry-After` says when to try again."),
    ];
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    for (_, status, description) in common.into_iter().filter(|(applies, ..)| *applies) {
        responses.entry(status.to_string()).or_insert_with(|| problem(status, description));
    }
}

fn problem(status: u16, description: &str) -> Value {
    let schema = json!({"$ref": "#/components/schemas/Problem"});
    let mut response = json!({"description": description, "content": {"application/problem+json": {"schema": schema}}});
    if matches!(status, 429 | 503) {
        let seconds = json!({"type": "integer", "format": "int64", "minimum": 0});
        response["headers"] = json!({"Retry-After": {"description": "Seconds to wait.", "schema": seconds}});
    }
    response
}

/// The description as it is answered and kept: indented, with a line end.
pub(super) static TEXT: LazyLock<String> =
    LazyLock::new(|| format!("{}\n", serde_json::to_string_pretty(&*DOCUMENT).unwrap_or_default()));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_golden_copy_is_what_the_code_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/openapi.json");
        if std::env::var_os("SWOOSH_BLESS").is_some() {
            std::fs::write(path, &*TEXT).unwrap();
        }
        let golden = std::fs::read_to_string(path).unwrap_or_default();
        assert!(golden == *TEXT, "openapi/openapi.json differs from the code; set SWOOSH_BLESS=1 to write it again");
    }

    #[test]
    fn nothing_is_described_as_null() {
        fn without_null(value: &Value) -> bool {
            match value {
                Value::Null => false,
                Value::Object(map) => map.values().all(without_null),
                Value::Array(items) => items.iter().all(without_null),
                _ => true,
            }
        }
        assert!(without_null(&DOCUMENT));
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(map) => {
                    found.extend(map.get("$ref").and_then(Value::as_str));
                    map.values().for_each(|value| references(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        references(&DOCUMENT, &mut found);
        assert!(found.len() > 20);
        let missing = found.iter().find(|reference| DOCUMENT.pointer(reference.trim_start_matches('#')).is_none());
        assert_eq!(missing, None);
    }
}
