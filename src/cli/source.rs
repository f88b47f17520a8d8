//! Where a command's documents come from: the argument itself, `@FILE`, or `-` for standard input.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use serde::de::DeserializeOwned;

use swoosh_terminal::failure::Usage;

use crate::types::canonical::from_json;
use crate::types::json::Json;

/// The bytes that an argument means: its own text, or those of the file behind `@`, or standard input.
pub(super) fn bytes_of(argument: &str) -> anyhow::Result<Vec<u8>> {
    match argument.strip_prefix('@') {
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
    let parsed = Json::parse(&bytes_of(argument)?);
    Ok(parsed.map_err(|error| {
        let advice = "write JSON, @FILE to read a file, or - for standard input";
        Usage(format!("the {what} {place} cannot be used; {advice}: {error}"))
    })?)
}

/// The bytes of a file; `-` is standard input.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes).context("standard input cannot be read")?;
        return Ok(bytes);
    }
    std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// The documents of a file, which holds one or an array of them; `what` names one in errors.
pub(super) fn documents<T: DeserializeOwned>(path: &Path, what: &str) -> anyhow::Result<Vec<T>> {
    let name = || if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let parsed = match Json::parse(&read(path)?).with_context(|| format!("{} is not JSON", name()))? {
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
}
