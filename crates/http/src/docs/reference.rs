//! The API reference, rendered from the OpenAPI description.

use std::fmt::Write as _;

use serde_json::Value;

use super::curl;
use crate::markdown::{escape, inline, render as markdown};

/// The methods an address may have, in the order in which they are shown.
const METHODS: [&str; 2] = ["post", "get"];
/// More choices than these are folded away.
const FEW_CHOICES: usize = 8;

/// One operation of the description.
struct Operation<'a> {
    method: &'static str,
    path: &'a str,
    body: &'a Value,
}

impl Operation<'_> {
    fn anchor(&self) -> String {
        format!("{}{}", self.method, self.path.replace(['/', '{', '}'], "-"))
    }

    fn text(&self, member: &str) -> &str {
        self.body[member].as_str().unwrap_or_default()
    }
}

/// Operations by tag, in the order of the description's tags.
fn operations(document: &Value) -> Vec<(&Value, Vec<Operation<'_>>)> {
    let tags = document["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    let tagged = |tag: &Value| {
        let paths = document["paths"].as_object().into_iter().flatten();
        let all = paths.flat_map(|(path, item)| METHODS.map(|method| Operation { method, path, body: &item[method] }));
        all.filter(|operation| operation.body["tags"][0] == tag["name"]).collect()
    };
    tags.iter().map(|tag| (tag, tagged(tag))).collect()
}

/// The routes as plain text.
pub(super) fn overview(document: &Value) -> String {
    let mut out = String::from("SWOOSH: signed transitions, pure guards, a hash-chained write-ahead log\n");
    for (tag, operations) in operations(document) {
        let _ = writeln!(out, "\n{}", tag["description"].as_str().unwrap_or_default());
        for operation in operations {
            let _ = writeln!(
                out,
                "  {:<5} {:<17} {}",
                operation.method.to_uppercase(),
                operation.path,
                operation.text("summary")
            );
        }
    }
    out + "\nTo read on\n  GET   /docs             The reference, and a list of all pages\n  \
           GET   /docs/NAME        A page, such as /docs/operating or /docs/runbooks/clock\n  \
           GET   /docs/rejections  The meaning and the remedy of each rejection\n  \
           GET   /openapi.json     The reference, for programs\n"
}

/// The whole reference.
pub(super) fn render(document: &Value) -> String {
    let info = &document["info"];
    let text = |value: &Value| inline(value.as_str().unwrap_or_default());
    let mut out = format!(
        "<h1 id=\"api\">{} <span class=\"soft\">{}</span></h1>\n<p>{}</p>\n",
        text(&info["title"]),
        text(&info["version"]),
        text(&info["description"])
    );
    let groups = operations(document);
    out.push_str("<ul class=\"toc\">\n");
    for operation in groups.iter().flat_map(|(_, operations)| operations) {
        let (method, path) = (operation.method.to_uppercase(), escape(operation.path));
        let _ = writeln!(out, "<li><a href=\"#{}\"><code>{method} {path}</code></a></li>", operation.anchor());
    }
    out.push_str("</ul>\n");
    for (tag, operations) in &groups {
        let _ = writeln!(out, "<h2>{}</h2>\n<p>{}</p>", text(&tag["name"]), text(&tag["description"]));
        operations.iter().for_each(|operation| route(operation, &mut out));
    }
    let schemas = document["components"]["schemas"].as_object().into_iter().flatten();
    let (inputs, others): (Vec<_>, Vec<_>) = schemas.partition(|(_, schema)| schema["x-swoosh-transition"].is_string());
    out.push_str("<h2 id=\"inputs\">Inputs of transitions</h2>\n");
    out.push_str(
        "<p>The form of <code>inputs</code> in a proposal, by transition. Guards check the bounds of lists.</p>\n",
    );
    inputs.into_iter().for_each(|(name, schema)| document_section(name, schema, &mut out));
    out.push_str("<h2 id=\"schemas\">Documents</h2>\n");
    others.into_iter().for_each(|(name, schema)| document_section(name, schema, &mut out));
    out
}

fn route(operation: &Operation<'_>, out: &mut String) {
    let Operation { method, path, body } = operation;
    let (anchor, shown) = (operation.anchor(), escape(path));
    let _ = writeln!(
        out,
        "<section class=\"route\">\n<h3 id=\"{anchor}\"><span class=\"method {method}\">{}</span> \
         <a href=\"#{anchor}\"><code>{shown}</code></a> <span class=\"soft\">{}</span></h3>",
        method.to_uppercase(),
        inline(operation.text("summary"))
    );
    if !operation.text("description").is_empty() {
        out.push_str(&markdown(operation.text("description")));
    }
    parameters(body, out);
    if let Some(content) = body["requestBody"]["content"].as_object() {
        let kinds: Vec<_> =
            content.iter().map(|(kind, media)| format!("<code>{kind}</code>, {}", type_of(&media["schema"]))).collect();
        let _ = writeln!(out, "<h4>Body</h4>\n<p>{}</p>", kinds.join("; "));
    }
    responses(body, out);
    let _ = writeln!(
        out,
        "<h4>Try it</h4>\n<pre><code>{}</code></pre>\n</section>",
        escape(&curl::command(method, path, body))
    );
}

fn parameters(operation: &Value, out: &mut String) {
    let Some(parameters) = operation["parameters"].as_array() else { return };
    out.push_str("<h4>Parameters</h4>\n<table><tr><th>name</th><th>in</th><th>type</th><th></th></tr>\n");
    for parameter in parameters {
        let text = |member: &str| parameter[member].as_str().unwrap_or_default();
        let (name, place, kind) = (escape(text("name")), escape(text("in")), type_of(&parameter["schema"]));
        let description = inline(text("description"));
        let _ =
            writeln!(out, "<tr><td><code>{name}</code></td><td>{place}</td><td>{kind}</td><td>{description}</td></tr>");
    }
    out.push_str("</table>\n");
}

fn responses(operation: &Value, out: &mut String) {
    out.push_str("<h4>Answers</h4>\n<table><tr><th>status</th><th>document</th><th></th></tr>\n");
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let content = response["content"].as_object().into_iter().flatten();
        let kinds: Vec<_> = content.map(|(_, media)| type_of(&media["schema"])).collect();
        let description = inline(response["description"].as_str().unwrap_or_default());
        let _ =
            writeln!(out, "<tr><td><code>{status}</code></td><td>{}</td><td>{description}</td></tr>", kinds.join(", "));
    }
    out.push_str("</table>\n");
}

/// A schema in a word, with links to the documents it names.
fn type_of(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        return choices.iter().map(type_of).collect::<Vec<_>>().join(" or ");
    }
    let names: Vec<&str> = match &schema["type"] {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        name => name.as_str().into_iter().collect(),
    };
    let word = |name: &&str| match *name {
        "array" => format!("list of {}", type_of(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            format!("map to {}", type_of(&schema["additionalProperties"]))
        }
        "integer" => "whole number".to_owned(),
        name => escape(name),
    };
    let words: Vec<String> = names.iter().map(word).collect();
    if words.is_empty() { "any".to_owned() } else { words.join(" or ") }
}

fn document_section(name: &str, schema: &Value, out: &mut String) {
    let _ = writeln!(out, "<h3 id=\"schema-{name}\"><a href=\"#schema-{name}\">{name}</a></h3>");
    out.push_str(&markdown(schema["description"].as_str().unwrap_or_default()));
    if let Some(pattern) = schema["pattern"].as_str() {
        let _ = writeln!(out, "<p class=\"soft\">Pattern <code>{}</code></p>", escape(pattern));
    }
    bounds_of(schema, out);
    if let Some(choices) = schema["enum"].as_array() {
        choices_of(choices, out);
    }
    properties(schema, out);
    let examples = schema["examples"].as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(example) = examples.first().or(Some(&schema["example"])).filter(|example| !example.is_null()) {
        let text = example.as_str().map_or_else(|| format!("{example:#}"), str::to_owned);
        let _ = writeln!(out, "<pre><code>{}</code></pre>", escape(&text));
    }
}

/// The entries of a list or map, and the bounds of a document.
fn bounds_of(schema: &Value, out: &mut String) {
    let mut words = Vec::new();
    if schema["items"].is_object() || schema["additionalProperties"].is_object() {
        words.push(type_of(schema));
    }
    let bounds = [
        ("entries", schema["x-swoosh-bound"]["most"].as_u64()),
        ("distinct entries", schema["x-swoosh-max-distinct"].as_u64()),
        ("bytes", schema["x-swoosh-max-bytes"].as_u64()),
    ];
    words.extend(bounds.into_iter().filter_map(|(noun, most)| most.map(|most| format!("at most {most} {noun}"))));
    if !words.is_empty() {
        let _ = writeln!(out, "<p>{}</p>", words.join("; "));
    }
}

fn choices_of(choices: &[Value], out: &mut String) {
    let words = choices.iter().filter_map(Value::as_str).map(|choice| format!("<code>{}</code>", escape(choice)));
    let words = words.collect::<Vec<_>>().join(" ");
    let _ = match choices.len() <= FEW_CHOICES {
        true => writeln!(out, "<p>{words}</p>"),
        false => writeln!(out, "<details><summary>{} choices</summary><p>{words}</p></details>", choices.len()),
    };
}

/// The bounds that guards set for a number.
fn range_of(property: &Value) -> String {
    let range = &property["x-swoosh-range"];
    match (range["minimum"].as_u64(), range["maximum"].as_u64()) {
        (Some(least), Some(most)) => format!(" From {least} to {most}."),
        _ => String::new(),
    }
}

/// Members of a document, also of one that is put together of several.
fn properties(schema: &Value, out: &mut String) {
    let parts = schema["allOf"].as_array().map_or_else(|| vec![schema], |parts| parts.iter().collect());
    for part in parts {
        if part["$ref"].is_string() {
            let _ = writeln!(out, "<p>Has the members of {} as well.</p>", type_of(part));
        }
        let Some(properties) = part["properties"].as_object() else { continue };
        out.push_str("<table><tr><th>member</th><th>type</th><th></th></tr>\n");
        for (name, property) in properties {
            let required = part["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
            let note = if required { "" } else { " <span class=\"soft\">optional</span>" };
            let description = inline(property["description"].as_str().unwrap_or_default()) + &range_of(property);
            let kind = type_of(property);
            let _ = writeln!(out, "<tr><td><code>{name}</code>{note}</td><td>{kind}</td><td>{description}</td></tr>");
        }
        out.push_str("</table>\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::DOCUMENT;
    use serde_json::json;

    #[test]
    fn every_operation_and_every_document_is_shown_and_every_link_leads_somewhere() {
        let page = render(&DOCUMENT);
        for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
            assert!(item.as_object().unwrap().keys().all(|method| METHODS.contains(&method.as_str())), "{path}");
            assert!(page.contains(&format!("<code>{path}</code>")), "{path}");
            assert!(overview(&DOCUMENT).contains(path), "{path}");
        }
        let links = page.split("href=\"#").skip(1).filter_map(|rest| rest.split_once('"'));
        links.for_each(|(target, _)| assert!(page.contains(&format!("id=\"{target}\"")), "{target}"));
    }

    #[test]
    fn types_are_shown_in_words() {
        assert_eq!(type_of(&json!({"type": "array", "items": {"type": "integer"}})), "list of whole number");
        assert_eq!(type_of(&json!({"type": ["string", "null"]})), "string or null");
        assert_eq!(type_of(&json!({"$ref": "#/components/schemas/Hash"})), "<a href=\"#schema-Hash\">Hash</a>");
    }
}
