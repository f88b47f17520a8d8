//! Keys and hashes as people read them, and lines that fit the terminal.

use std::collections::BTreeMap;

use serde_json::Value;

use swoosh_types::json::Json;

/// The widest line of the story, in characters.
const WIDTH: usize = 110;
/// How many digits of a hash are shown.
const DIGITS: usize = 8;

/// Who is behind which key.
#[derive(Clone, Debug, Default)]
pub(super) struct Wording {
    names: BTreeMap<String, String>,
}

impl Wording {
    /// Calls a key by a name from now on.
    pub fn call(&mut self, key: impl ToString, name: &str) {
        self.names.insert(key.to_string(), name.to_owned());
    }

    /// A text with names in place of keys, and hashes cut short.
    pub fn plain(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (key, name) in &self.names {
            text = text.replace(key, name);
        }
        shorten(&text, "sha256-", |c| c.is_ascii_hexdigit())
    }
}

/// Cuts what follows each `prefix`, as long as it is of one piece.
fn shorten(text: &str, prefix: &str, belongs: fn(char) -> bool) -> String {
    let mut pieces = text.split(prefix);
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece.find(|c| !belongs(c)).unwrap_or(piece.len());
        let (digits, rest) = piece.split_at(end);
        let kept = digits.get(..DIGITS).unwrap_or(digits);
        let more = if digits.len() > kept.len() { "…" } else { "" };
        out.push_str(&format!("{kept}{more}{rest}"));
    }
    out
}

/// A text in lines that fit, each after the first one indented by `indent` blanks more than the first.
pub(super) fn wrap(text: &str, first: usize, indent: usize) -> String {
    let mut lines = vec![" ".repeat(first)];
    let mut used = first;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        let begins = used == first && lines.len() == 1 || used == indent && lines.len() > 1;
        if !begins && used + 1 + length > WIDTH {
            lines.push(" ".repeat(indent));
            used = indent;
        } else if !begins {
            push(&mut lines, " ");
            used += 1;
        }
        push(&mut lines, word);
        used += length;
    }
    lines.join("\n")
}

fn push(lines: &mut [String], text: &str) {
    if let Some(line) = lines.last_mut() {
        line.push_str(text);
    }
}

/// What the inputs of one of the node's own transitions say, in a line; nothing when they say nothing of interest.
pub(super) fn outcome(inputs: &Json) -> String {
    let inputs: Value = serde_json::from_slice(&inputs.canonical()).unwrap_or_default();
    let member = |name: &str| inputs.get(name).filter(|value| !value.is_null());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let ids = |set: &Value, id: &str| {
        let one = |(name, source): (&String, &Value)| format!("{name} {}", git_id(source.get(id)));
        set.as_object().map(|set| set.iter().map(one).collect::<Vec<_>>().join(", ")).unwrap_or_default()
    };
    if let Some(failure) = member("failure") {
        return text(failure.get("detail").unwrap_or(failure));
    }
    if let Some(cause) = member("cause").or_else(|| member("rationale")) {
        return text(cause);
    }
    let lines = [
        member("resolved").map(|set| format!("commits: {}", ids(set, "commit"))),
        member("fetched").map(|set| format!("trees: {}", ids(set, "tree"))),
        member("content_hash").map(|hash| format!("content hash {}", text(hash))),
        member("assets").map(pairs),
        member("outcomes").map(outcomes),
    ];
    lines.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn git_id(id: Option<&Value>) -> String {
    let id = id.and_then(Value::as_str).unwrap_or_default();
    format!("{}…", id.get(..DIGITS).unwrap_or(id))
}

fn pairs(map: &Value) -> String {
    let one = |(name, value): (&String, &Value)| format!("{name} {}", value.as_str().unwrap_or_default());
    map.as_object().map(|map| map.iter().map(one).collect::<Vec<_>>().join(", ")).unwrap_or_default()
}

fn outcomes(outcomes: &Value) -> String {
    let Some(checks) = outcomes.as_array() else { return pairs(outcomes) };
    let mut passed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for check in checks.iter().filter(|check| check["ok"] == true) {
        let (name, source) =
            (check["check"].as_str().unwrap_or_default(), check["source"].as_str().unwrap_or_default());
        passed.entry(name).or_default().push(source);
    }
    passed.iter().map(|(name, of)| format!("{name} passed for {}", of.join(", "))).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn outcomes_fit_on_one_line() {
        let line = |inputs: Value| outcome(&Json::parse(&serde_json::to_vec(&inputs).unwrap()).unwrap());
        let commit = "a".repeat(40);
        assert_eq!(line(json!({"resolved": {"app": {"commit": commit}}})), "commits: app aaaaaaaa…");
        let checks =
            json!([{"check": "scan", "source": "app", "ok": true}, {"check": "scan", "source": "b", "ok": true}]);
        assert_eq!(line(json!({"outcomes": checks})), "scan passed for app, b");
        assert_eq!(line(json!({"outcomes": {"image": "ok"}})), "image ok");
        assert_eq!(line(json!({"failure": {"detail": "no disk", "unknown": false}})), "no disk");
        assert_eq!(line(json!({"effect": "default/1/release"})), "");
    }

    #[test]
    fn keys_become_names_and_hashes_short() {
        let mut wording = Wording::default();
        wording.call("hmmm:pubkey:abc", "ada");
        let hash = swoosh_types::hash::Hash::of(b"x");
        let said = wording.plain(&format!("hmmm:pubkey:abc names {hash}, not {hash}"));
        assert_eq!(said, format!("ada names {0}…, not {0}…", hash.short(DIGITS)));
        assert_eq!(wording.plain("a sha256- of nothing"), "a  of nothing");
    }

    #[test]
    fn lines_fit_and_lose_no_word() {
        let text = "word ".repeat(100);
        let wrapped = wrap(&text, 4, 6);
        assert!(wrapped.lines().all(|line| line.chars().count() <= WIDTH));
        assert!(wrapped.starts_with("    word") && wrapped.lines().nth(1).unwrap().starts_with("      word"));
        assert_eq!(wrapped.split_whitespace().count(), 100);
    }
}
