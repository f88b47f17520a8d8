//! Lines to try a route with.

use serde_json::Value;

/// Where a node listens by default.
const ORIGIN: &str = "http://127.0.0.1:7400";

/// A curl command for one operation: with its path filled in and the examples of its query.
pub(super) fn command(method: &str, path: &str, operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut target = path.to_owned();
    let mut query = Vec::new();
    for parameter in parameters {
        let name = parameter["name"].as_str().unwrap_or_default();
        let example = parameter["example"].as_str();
        match (parameter["in"].as_str(), example) {
            (Some("path"), Some(example)) => target = target.replace(&format!("{{{name}}}"), example),
            (Some("query"), Some(example)) => query.push(format!("{name}={example}")),
            _ => {}
        }
    }
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    match method {
        "post" => format!(
            "curl -sS {ORIGIN}{target}{query} \\\n  -H 'content-type: application/json' \\\n  --data-binary @proposal.json"
        ),
        _ => format!("curl -sS '{ORIGIN}{target}{query}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn examples_fill_the_path_and_the_query() {
        let operation = json!({"parameters": [
            {"name": "id", "in": "path", "example": "default/17"},
            {"name": "projection", "in": "query", "example": "Council"},
            {"name": "at", "in": "query"},
        ]});
        assert_eq!(
            command("get", "/x/{id}", &operation),
            "curl -sS 'http://127.0.0.1:7400/x/default/17?projection=Council'"
        );
        assert!(command("post", "/transition", &json!({})).contains("--data-binary @proposal.json"));
    }
}
