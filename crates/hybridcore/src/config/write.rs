//! Writes values as HCL: sorted keys, one attribute a line, aligned as `packer fmt` would, LF line ends.

use std::collections::BTreeMap;

use super::value::Value;

/// A level of indentation.
const INDENT: &str = "  ";

/// Attributes as the text of a `.pkrvars.hcl` file.
pub fn attributes(values: &BTreeMap<String, Value>) -> String {
    let mut out = String::new();
    members(values, 0, &mut out);
    out
}

/// A value on one line, for messages and tables.
pub fn inline(value: &Value) -> String {
    match value {
        Value::List(entries) => format!("[{}]", entries.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(values) if values.is_empty() => "{}".to_owned(),
        Value::Object(values) => {
            let members: Vec<String> =
                values.iter().map(|(name, v)| format!("{} = {}", key(name), inline(v))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => quoted(text),
    }
}

/// Members of an object or of a file. Those on one line each are aligned as long as they follow each other.
fn members(values: &BTreeMap<String, Value>, depth: usize, out: &mut String) {
    let mut run: Vec<(String, String)> = Vec::new();
    for (name, value) in values {
        if is_one_line(value) {
            run.push((key(name), inline(value)));
            continue;
        }
        flush(&mut run, depth, out);
        out.push_str(&format!("{}{} = ", INDENT.repeat(depth), key(name)));
        block(value, depth, out);
        out.push('\n');
    }
    flush(&mut run, depth, out);
}

fn flush(run: &mut Vec<(String, String)>, depth: usize, out: &mut String) {
    let width = run.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in run.drain(..) {
        let padding = " ".repeat(width.saturating_sub(name.chars().count()));
        out.push_str(&format!("{}{name}{padding} = {value}\n", INDENT.repeat(depth)));
    }
}

fn is_one_line(value: &Value) -> bool {
    match value {
        Value::Object(values) => values.is_empty(),
        Value::List(entries) => !entries.iter().any(|entry| matches!(entry, Value::Object(_) | Value::List(_))),
        _ => true,
    }
}

/// A value of several lines, its first on the line that is being written.
fn block(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(values) if !values.is_empty() => {
            out.push_str("{\n");
            members(values, depth + 1, out);
            out.push_str(&format!("{}}}", INDENT.repeat(depth)));
        }
        Value::List(entries) if !is_one_line(value) => {
            out.push_str("[\n");
            for entry in entries {
                out.push_str(&INDENT.repeat(depth + 1));
                block(entry, depth + 1, out);
                out.push_str(",\n");
            }
            out.push_str(&format!("{}]", INDENT.repeat(depth)));
        }
        other => out.push_str(&inline(other)),
    }
}

/// The path of a member (`network.bridge`), for messages and histories.
pub fn path(within: &str, name: &str) -> String {
    if within.is_empty() { key(name) } else { format!("{within}.{}", key(name)) }
}

/// A name as HCL takes it bare, or quoted.
fn key(name: &str) -> String {
    if is_identifier(name) { name.to_owned() } else { quoted(name) }
}

/// Names that need no quotes anywhere.
pub(super) fn is_identifier(name: &str) -> bool {
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let reserved = ["true", "false", "null", "for", "if", "in"].contains(&name);
    first && !reserved && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A text in quotes, with nothing in it that HCL would evaluate.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    let mut rest = text.chars().peekable();
    let mut before = None;
    while let Some(c) = rest.next() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // `$${` is the escape of `${`; after a `$` that would be read otherwise, so its number is written.
            '$' | '%' if rest.peek() == Some(&'{') && before != Some(c) => out.extend([c, c]),
            '$' | '%' if rest.peek() == Some(&'{') => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
        before = Some(c);
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(json: serde_json::Value) -> BTreeMap<String, Value> {
        match Value::from_json(&json).unwrap() {
            Value::Object(values) => values,
            other => panic!("{other:?}"),
        }
    }

    fn read(text: &str) -> BTreeMap<String, Value> {
        let json: serde_json::Value = hcl::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        value(json)
    }

    #[test]
    fn attributes_are_sorted_and_aligned_as_packer_fmt_does() {
        let values = value(serde_json::json!({
            "zone": "a", "disks": [{"size": 20, "kind": "ssd"}, {}], "b": true, "a_long_name": [1, 2],
            "labels": {"b c": "x", "a": "y"}, "empty": {}, "c": -2.5,
        }));
        let text = "\
a_long_name = [1, 2]
b           = true
c           = -2.5
disks = [
  {
    kind = \"ssd\"
    size = 20
  },
  {},
]
empty = {}
labels = {
  a     = \"y\"
  \"b c\" = \"x\"
}
zone = \"a\"
";
        assert_eq!(attributes(&values), text);
        assert_eq!(read(text), values);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let text = "(\\PC|\\$|\\{|%|\"|\\\\|\n|\t){0,12}";
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(|n| Value::Number(n.into())),
            text.prop_map(Value::Text),
        ];
        leaf.prop_recursive(3, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
                prop::collection::btree_map("(\\PC|[a-z]|\\$|\\{){1,6}", inner, 0..4).prop_map(Value::Object),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_back_the_same(
            values in prop::collection::btree_map("[a-z_][a-z0-9_]{0,8}", any_value(), 0..5)
        ) {
            let values: BTreeMap<String, Value> = values.into_iter().filter(|(name, _)| is_identifier(name)).collect();
            prop_assert_eq!(read(&attributes(&values)), values);
        }
    }
}
