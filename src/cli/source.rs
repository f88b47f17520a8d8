//! Where a command's documents come from: the argument itself, `@FILE`, or `-` for standard input.

use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use swoosh_terminal::failure::Usage;

use crate::files;
use crate::types::canonical::from_json;
use crate::types::json::Json;

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
    Ok(Json::parse(&bytes_of(argument)?).map_err(|error| {
        let advice = "write JSON, @FILE to read a file, or - for standard input";
        Usage(format!("the {what} {place} cannot be used; {advice}: {error}"))
    })?)
}

/// Most bytes of a document. A node takes far less in one request; a device or a pipe may have no end.
const MOST_BYTES: u64 = 16 << 20;

/// The bytes of a document's file, [`MOST_BYTES`] at most; `-` is standard input.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    read_within(path, MOST_BYTES, "")
}

/// The bytes of a file of any length; `-` is standard input.
pub(super) fn read_whole(path: &Path) -> anyhow::Result<Vec<u8>> {
    read_within(path, u64::MAX, "")
}

/// The bytes of a plan. What is no file, is empty or is over the bound of documents is wrong usage.
pub(super) fn plan(path: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = read_within(path, MOST_BYTES, "the plan ")?;
    if bytes.is_empty() {
        return Err(Usage(format!("the plan {} is empty; write the plan first", path.display())).into());
    }
    Ok(bytes)
}

/// The bytes of a file or of standard input. A file that cannot be opened is wrong usage; the error begins with `what` and its name.
fn read_within(path: &Path, most: u64, what: &str) -> anyhow::Result<Vec<u8>> {
    if is_standard_input(path) {
        claim_standard_input("a document")?;
        return bounded(std::io::stdin().lock(), "standard input", most);
    }
    let name = format!("{what}{}", path.display());
    let file = files::open(path).map_err(|error| {
        let not_a_file = error.get_ref().is_some_and(|inner| inner.is::<files::NotAFile>());
        let advice = if not_a_file { "; name a file, or write - for standard input" } else { "" };
        Usage(format!("{name} cannot be read: {error}{advice}"))
    })?;
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
    documents_of(&read(path)?, path, what).map_err(|fault| Usage(fault).into())
}

/// The same for a check, which ends with 1 where a document has another form.
pub(super) fn documents_to_check<T: DeserializeOwned>(path: &Path, what: &str) -> anyhow::Result<Vec<T>> {
    documents_of(&read(path)?, path, what).map_err(anyhow::Error::msg)
}

fn documents_of<T: DeserializeOwned>(bytes: &[u8], path: &Path, what: &str) -> Result<Vec<T>, String> {
    let name = || if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let parsed = Json::parse(bytes);
    let parsed = match parsed.map_err(|error| format!("{} cannot be used: {error}", name()))? {
        Json::Array(documents) => documents,
        other => vec![other],
    };
    let one = |(n, document): (usize, &Json)| {
        from_json(document).map_err(|error| format!("document {n} of {} is not a {what}: {error}", name()))
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
        std::fs::File::create(&path).unwrap().set_len(MOST_BYTES + 1).unwrap();
        assert!(refused(&path).contains("more than"));
        std::fs::write(&path, "# Plan").unwrap();
        assert_eq!(plan(&path).unwrap(), b"# Plan");
        let endless = json_of("@/dev/zero", "inputs").unwrap_err();
        assert!(endless.is::<Usage>() && endless.to_string().contains("not a regular file"), "{endless}");
        assert!(endless.to_string().contains("- for standard input"), "{endless}");
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
