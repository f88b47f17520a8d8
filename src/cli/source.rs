//! Where a command's documents come from: the argument itself, `@FILE`, or `-` for standard input.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use swoosh_terminal::failure::Usage;

use crate::types::canonical::from_json;
use crate::types::json::{Json, JsonError};

/// The bytes that an argument means: its own text, or those of the file behind `@`, or standard input.
pub(super) fn bytes_of(argument: &str) -> anyhow::Result<Vec<u8>> {
    match argument.strip_prefix('@') {
        Some("") => Err(Usage("@ names no file; write @FILE, or - for standard input".to_owned()).into()),
        Some(path) => read(Path::new(path)),
        None if argument == "-" => read(Path::new("-")),
        None => Ok(argument.as_bytes().to_vec()),
    }
}

/// The strict JSON that an argument means; `what` names it in errors.
pub(super) fn json_of(argument: &str, what: &str) -> anyhow::Result<Json> {
    let place = match argument {
        "-" => "on standard input",
        file if file.starts_with('@') => file.trim_start_matches('@'),
        _ => "as given",
    };
    Ok(strict(&bytes_of(argument)?).map_err(|error| {
        let advice = "write JSON, @FILE to read a file, or - for standard input";
        Usage(format!("the {what} {place} cannot be used; {advice}: {error}"))
    })?)
}

/// Strict JSON. The error begins with the path of the value that is refused, such as `document.roles.lead.seats`.
pub(super) fn strict(bytes: &[u8]) -> Result<Json, String> {
    Json::parse(bytes).map_err(|error| {
        let document = serde_json::from_slice(bytes).unwrap_or_default();
        match path_of(&document, &error) {
            Some(path) if !path.is_empty() => format!("{path}: {error}"),
            _ => error.to_string(),
        }
    })
}

/// The path of the first value that strict JSON refuses for this reason.
fn path_of(value: &Value, error: &JsonError) -> Option<String> {
    let is_it = match (value, error) {
        (Value::Null, JsonError::Null) => true,
        (Value::Number(number), JsonError::Number(text)) => number.to_string() == *text,
        (Value::String(text), JsonError::NotNormalized(found)) => text == found,
        _ => false,
    };
    if is_it {
        return Some(String::new());
    }
    let member = |(name, value): (&String, &Value)| path_of(value, error).map(|below| joined(name, &below));
    match value {
        Value::Object(members) => members.iter().find_map(member),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(n, item)| path_of(item, error).map(|below| joined(&format!("[{n}]"), &below))),
        _ => None,
    }
}

fn joined(name: &str, below: &str) -> String {
    let dot = if below.is_empty() || below.starts_with('[') { "" } else { "." };
    format!("{name}{dot}{below}")
}

/// Most bytes of a document. A node takes far less in one request; a device or a pipe may have no end.
const MOST_BYTES: u64 = 16 << 20;

/// The bytes of a document's file, [`MOST_BYTES`] at most; `-` is standard input.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    read_within(path, MOST_BYTES)
}

/// The bytes of a file of any length; `-` is standard input.
pub(super) fn read_whole(path: &Path) -> anyhow::Result<Vec<u8>> {
    read_within(path, u64::MAX)
}

/// The bytes of a plan. What is no file, is empty or is over the bound of documents is wrong usage.
pub(super) fn plan(path: &Path) -> anyhow::Result<Vec<u8>> {
    let name = path.display();
    if !is_standard_input(path) {
        let about =
            std::fs::metadata(path).map_err(|error| Usage(format!("the plan {name} cannot be read: {error}")))?;
        if !about.is_file() {
            return Err(Usage(format!("the plan {name} is not a regular file; name the file of a plan")).into());
        }
    }
    let bytes = read(path)?;
    if bytes.is_empty() {
        return Err(Usage(format!("the plan {name} is empty; write the plan first")).into());
    }
    Ok(bytes)
}

fn read_within(path: &Path, most: u64) -> anyhow::Result<Vec<u8>> {
    if is_standard_input(path) {
        claim_standard_input("a document")?;
        return bounded(std::io::stdin().lock(), "standard input", most);
    }
    let name = path.display().to_string();
    let file = File::open(path).with_context(|| format!("{name} cannot be read"))?;
    bounded(file, &name, most)
}

fn bounded(from: impl Read, name: &str, most: u64) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(most.saturating_add(1)).read_to_end(&mut bytes).with_context(|| format!("{name} cannot be read"))?;
    if bytes.len() as u64 > most {
        return Err(Usage(format!("{name} has more than {most} bytes; no document is that long")).into());
    }
    Ok(bytes)
}

fn is_standard_input(path: &Path) -> bool {
    ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"].iter().any(|name| path == Path::new(name))
}

/// Reserves standard input, which has one reader: the second one would find it empty, or wait for it.
pub(super) fn claim_standard_input(reader: &'static str) -> Result<(), Usage> {
    static READER: OnceLock<&str> = OnceLock::new();
    claim(&READER, reader)
}

fn claim(taken: &OnceLock<&'static str>, reader: &'static str) -> Result<(), Usage> {
    taken.set(reader).map_err(|_| {
        let first = taken.get().copied().unwrap_or_default();
        Usage(format!("{first} and {reader} are both read from standard input; name a file for one of them"))
    })
}

/// The documents of a file, which holds one or an array of them; `what` names one in errors.
pub(super) fn documents<T: DeserializeOwned>(path: &Path, what: &str) -> anyhow::Result<Vec<T>> {
    let name = || if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let parsed = strict(&read(path)?).map_err(anyhow::Error::msg);
    let parsed = match parsed.with_context(|| format!("{} is not JSON", name()))? {
        Json::Array(documents) => documents,
        other => vec![other],
    };
    let one = |(n, document): (usize, &Json)| {
        from_json(document).with_context(|| format!("document {n} of {} is not a {what}", name()))
    };
    parsed.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_given_directly_or_in_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("inputs.json");
        std::fs::write(&path, r#"{"n": 2}"#).unwrap();
        assert_eq!(json_of(r#"{"n":1}"#, "inputs").unwrap().canonical(), br#"{"n":1}"#);
        assert_eq!(json_of(&format!("@{}", path.display()), "inputs").unwrap().canonical(), br#"{"n":2}"#);
    }

    #[test]
    fn problems_of_a_document_are_reported_with_their_place() {
        let text = |argument: &str| format!("{:#}", json_of(argument, "inputs").unwrap_err());
        assert!(text("{\"n\":1.5}").starts_with("the inputs as given cannot be used"), "{}", text("{\"n\":1.5}"));
        assert!(text("{\"n\":1.5}").contains("1.5 is not a whole number"));
        assert!(text("@/nowhere/inputs.json").starts_with("/nowhere/inputs.json cannot be read"));
    }

    #[test]
    fn a_file_holds_one_document_or_an_array_of_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("numbers.json");
        std::fs::write(&path, "[1, 2]").unwrap();
        assert_eq!(documents::<u64>(&path, "number").unwrap(), [1, 2]);
        std::fs::write(&path, "3").unwrap();
        assert_eq!(documents::<u64>(&path, "number").unwrap(), [3]);
        std::fs::write(&path, "[1, true]").unwrap();
        let error = format!("{:#}", documents::<u64>(&path, "number").unwrap_err());
        assert!(error.contains("document 1 of") && error.contains("is not a number"), "{error}");
    }

    /// `--plan /dev/zero` was read for ever, and the plan of an empty file was locked.
    #[test]
    fn a_plan_is_a_regular_file_with_content_and_a_document_has_a_bounded_length() {
        let refused = |path: &Path| {
            let error = plan(path).unwrap_err();
            assert!(error.is::<Usage>(), "{error}");
            error.to_string()
        };
        assert!(refused(Path::new("/dev/zero")).contains("not a regular file"));
        let directory = tempfile::tempdir().unwrap();
        assert!(refused(directory.path()).contains("not a regular file"));
        let path = directory.path().join("plan.md");
        assert!(refused(&path).contains("cannot be read"));
        std::fs::write(&path, "").unwrap();
        assert!(refused(&path).contains("is empty"));
        File::create(&path).unwrap().set_len(MOST_BYTES + 1).unwrap();
        assert!(refused(&path).contains("more than"));
        std::fs::write(&path, "# Plan").unwrap();
        assert_eq!(plan(&path).unwrap(), b"# Plan");
        let endless = json_of("@/dev/zero", "inputs").unwrap_err();
        assert!(endless.is::<Usage>() && endless.to_string().contains("more than"), "{endless}");
    }

    /// `null is not used` did not say where.
    #[test]
    fn a_value_that_strict_json_refuses_is_named_by_its_path() {
        let text = |argument: &str| format!("{:#}", json_of(argument, "inputs").unwrap_err());
        for (given, part) in [
            (r#"{"rationale": null}"#, ": rationale: null is not used"),
            (r#"{"document": {"roles": {"lead": {"seats": -3}}}}"#, ": document.roles.lead.seats: -3 is not a whole"),
            (r#"{"list": [1, {"n": 2.5}]}"#, ": list[1].n: 2.5 is not a whole"),
            ("@", "@ names no file"),
        ] {
            assert!(text(given).contains(part), "{given}: {}", text(given));
        }
    }

    /// `--key fd:0 --inputs -` waited, or read a half of what was given.
    #[test]
    fn standard_input_has_one_reader() {
        let taken = OnceLock::new();
        assert!(claim(&taken, "a document").is_ok());
        let said = claim(&taken, "the key fd:0").unwrap_err().to_string();
        assert!(said.starts_with("a document and the key fd:0 are both read from standard input"), "{said}");
    }
}
