//! Errors of rmcp in plain words. Its own texts print Rust values, and name no field of an answer that has a wrong type.

use rmcp::ServiceError;
use rmcp::model::{ErrorData, InitializeResult, ListToolsResult, ServerJsonRpcMessage, ServerResult};
use rmcp::service::ClientInitializeError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Most characters of an error: a server may put anything into it.
const MOST: usize = 300;

/// Why a server cannot be initialised.
pub(super) fn initialise(error: &ClientInitializeError) -> String {
    let text = match error {
        ClientInitializeError::ExpectedInitResult(Some(answer)) => malformed::<InitializeResult>(answer),
        ClientInitializeError::ExpectedInitResult(None) => "its answer has no result".to_owned(),
        ClientInitializeError::ExpectedInitResponse(message) => unasked(message.as_ref()),
        ClientInitializeError::JsonRpcError(error) => refusal(error),
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => return initialise(fallback),
        ClientInitializeError::ConflictInitResponseId(expected, found)
        | ClientInitializeError::UncorrelatedErrorResponse { expected, received: found } => {
            format!("its answer has the id {found}; expected {expected}")
        }
        ClientInitializeError::NoCompatibleProtocolVersion { server_supported, .. } => {
            let versions: Vec<String> = server_supported.iter().map(ToString::to_string).collect();
            format!("it speaks none of this client's protocol versions, but {}", versions.join(", "))
        }
        other => without_type(&other.to_string()),
    };
    line(&text)
}

/// Why a server does not list its tools.
pub(super) fn request(error: &ServiceError) -> String {
    line(&match error {
        ServiceError::McpError(error) => refusal(error),
        other => without_type(&other.to_string()),
    })
}

/// What is wrong with an answer to `tools/list`.
pub(super) fn tools(answer: &ServerResult) -> String {
    line(&malformed::<ListToolsResult>(answer))
}

fn refusal(error: &ErrorData) -> String {
    format!("it answers with the error {}: {}", error.code.0, error.message)
}

fn unasked(message: Option<&ServerJsonRpcMessage>) -> String {
    let sent = match message {
        None => return "the connection ended before its answer".to_owned(),
        Some(ServerJsonRpcMessage::Request(_)) => "a request",
        Some(ServerJsonRpcMessage::Notification(_)) => "a notification",
        Some(_) => "another message",
    };
    format!("it sends {sent} in place of an answer")
}

/// Which field of an answer keeps it from being a `T`.
fn malformed<T: DeserializeOwned>(answer: &impl Serialize) -> String {
    let unknown = || "its answer has a form that MCP does not define".to_owned();
    let Ok(value) = serde_json::to_value(answer) else { return unknown() };
    match serde_path_to_error::deserialize::<Value, T>(value) {
        Ok(_) => unknown(),
        Err(error) => {
            let path = error.path().to_string();
            let path = if path == "." { String::new() } else { path };
            format!("its answer is malformed: {}", fault(&path, &error.inner().to_string()))
        }
    }
}

/// serde's error about a field, without Rust's names of types and without the value.
fn fault(path: &str, text: &str) -> String {
    let named = if path.is_empty() { "the result" } else { path };
    if let Some(field) = text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        let dot = if path.is_empty() { "" } else { "." };
        return format!("{path}{dot}{field} is missing");
    }
    let found = text.strip_prefix("invalid type: ").and_then(|rest| rest.split_once(", expected "));
    match found {
        Some((found, expected)) => format!("{named} is {}; expected {}", kind(found), kind(expected)),
        // The rest of such a text is a name of a Rust type.
        None if text.starts_with("data did not match any variant") || text.contains("struct ") => {
            format!("{named} has a form that MCP does not define")
        }
        None => format!("{named}: {text}"),
    }
}

/// JSON's word for a type that serde names.
fn kind(text: &str) -> String {
    let word = text.split([' ', '`']).next().unwrap_or_default();
    match word {
        "string" | "borrowed" | "character" => "a string",
        "integer" | "floating" | "u64" | "i64" | "f64" | "u32" | "i32" => "a number",
        "boolean" => "a boolean",
        "null" | "unit" | "Option" => "null",
        "sequence" | "tuple" => "a list",
        "map" | "struct" | "enum" | "newtype" => "an object",
        _ if text == "a map" => "an object",
        _ if text == "a sequence" => "a list",
        _ => return text.to_owned(),
    }
    .to_owned()
}

/// An error of rmcp without the type of its transport, which it names in brackets.
fn without_type(text: &str) -> String {
    let cut = text.split_once(" [").and_then(|(before, rest)| {
        let (of, after) = rest.split_once("] ")?;
        of.contains("::").then(|| format!("{before} {after}"))
    });
    cut.unwrap_or_else(|| text.to_owned())
}

/// One line of bounded length.
fn line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(result: Value) -> ServerResult {
        serde_json::from_value(result).unwrap()
    }

    fn explained(result: Value) -> String {
        initialise(&ClientInitializeError::ExpectedInitResult(Some(answer(result))))
    }

    /// The error was `expect initialized result, but received: Some(CustomResult(CustomResult(Object {…`.
    #[test]
    fn a_wrong_type_is_named_with_its_field_and_without_rust_values() {
        let good =
            json!({"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "a", "version": "1"}});
        for (pointer, value, expected) in [
            ("/protocolVersion", json!(5), "protocolVersion is a number; expected a string"),
            ("/capabilities", json!(true), "capabilities is a boolean; expected an object"),
            ("/capabilities", json!([]), "capabilities has a form that MCP does not define"),
            ("/capabilities", json!("x"), "capabilities is a string; expected an object"),
            ("/serverInfo", json!("x"), "serverInfo is a string; expected an object"),
            ("/serverInfo", json!({"name": "a"}), "serverInfo.version is missing"),
            ("/serverInfo/version", json!(1.5), "serverInfo.version is a number; expected a string"),
            ("/serverInfo/name", json!(null), "serverInfo.name is null; expected a string"),
            ("/serverInfo/name", json!({"a": true}), "serverInfo.name is an object; expected a string"),
            ("/serverInfo/name", json!(true), "serverInfo.name is a boolean; expected a string"),
        ] {
            let mut wrong = good.clone();
            *wrong.pointer_mut(pointer).unwrap() = value;
            let said = explained(wrong);
            assert_eq!(said, format!("its answer is malformed: {expected}"));
        }
        let said = explained(json!({"capabilities": {}, "serverInfo": {"name": "a", "version": "1"}}));
        assert_eq!(said, "its answer is malformed: protocolVersion is missing");
        assert!(explained(json!({"x": 1})).ends_with("is missing"));
        for other in [json!([]), json!("text"), json!(7)] {
            let Ok(result) = serde_json::from_value::<ServerResult>(other) else { continue };
            let said = initialise(&ClientInitializeError::ExpectedInitResult(Some(result)));
            assert!(said.starts_with("its answer ") && !said.contains("struct"), "{said}");
        }
    }

    #[test]
    fn a_tool_that_is_malformed_is_named_by_its_place() {
        let tool = json!({"name": "find", "inputSchema": {}});
        for (result, expected) in [
            (json!({"tools": [tool, {"name": 5, "inputSchema": {}}]}), "tools[1].name is a number; expected a string"),
            (json!({"tools": [{"name": "find"}]}), "tools[0].inputSchema is missing"),
            (
                json!({"tools": [{"name": "find", "inputSchema": []}]}),
                "tools[0].inputSchema is a list; expected an object",
            ),
            (json!({"tools": "find"}), "tools is a string; expected a list"),
            (json!({"tools": [], "nextCursor": 7}), "nextCursor is a number; expected a string"),
        ] {
            assert_eq!(tools(&answer(result)), format!("its answer is malformed: {expected}"));
        }
    }

    #[test]
    fn other_failures_are_sentences_of_bounded_length() {
        let refused = ErrorData::internal_error("no\n".repeat(900), Some(json!({"secret": 1})));
        let said = initialise(&ClientInitializeError::JsonRpcError(refused.clone()));
        assert!(said.starts_with("it answers with the error -32603: nono") && said.len() == MOST, "{said}");
        assert_eq!(request(&ServiceError::McpError(refused)), said);
        assert_eq!(
            initialise(&ClientInitializeError::ExpectedInitResponse(None)),
            "the connection ended before its answer"
        );
        let notice =
            json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": 1}});
        let notice = serde_json::from_value(notice).unwrap();
        let said = initialise(&ClientInitializeError::ExpectedInitResponse(Some(notice)));
        assert_eq!(said, "it sends a notification in place of an answer");
    }
}
