//! The statechart's model and its generator.
//!
//! The build scripts of `types` and `machine` write their half of the generated code with it; the command `statechart`
//! checks and prints the same chart.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod generate;
pub mod model;

use sha2::{Digest, Sha256};

/// The chart that is built in.
pub const CHART: &str = include_str!("../../../statechart.yaml");

/// Reads and checks the chart.
///
/// # Errors
/// The text is no chart, or is not well formed.
pub fn read() -> Result<model::Chart, String> {
    let chart = model::Chart::read(CHART).map_err(|error| error.to_string())?;
    let mut problems = chart.problems();
    problems.extend(generate::check_fields(&chart));
    if !problems.is_empty() {
        return Err(format!("statechart.yaml is not well formed:\n  {}", problems.join("\n  ")));
    }
    Ok(chart)
}

/// The hash of the chart without its prose.
///
/// # Errors
/// The chart has no canonical form.
pub fn schema_hash(chart: &model::Chart) -> Result<[u8; 32], String> {
    let prose_free = chart.without_prose().map_err(|error| error.to_string())?;
    let canonical = serde_json_canonicalizer::to_vec(&prose_free).map_err(|error| error.to_string())?;
    Ok(Sha256::digest(canonical).into())
}

/// The chart with its prose and its `schema_hash`, as JSON.
///
/// # Errors
/// The chart has no JSON form.
pub fn json(chart: &model::Chart) -> Result<String, String> {
    let mut document = serde_json::to_value(chart).map_err(|error| error.to_string())?;
    let digits: String = schema_hash(chart)?.iter().map(|byte| format!("{byte:02x}")).collect();
    document["schema_hash"] = format!("sha256-{digits}").into();
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(text: &str) -> [u8; 32] {
        schema_hash(&model::Chart::read(text).unwrap()).unwrap()
    }

    fn replaced(old: &str, new: &str) -> String {
        assert_eq!(CHART.matches(old).count(), 1, "{old}");
        CHART.replace(old, new)
    }

    /// Heads of projects under version 2 depend on this hash: the texts that came later do not change it.
    #[test]
    fn the_schema_hash_of_version_2_is_that_of_its_first_release() {
        let hash: String = hash_of(CHART).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, "4c68f445ea881a13e1f855b4057e7ecbae89b338697b9f4a2f244ffe98328969");
    }

    /// Every kind of prose once: doc, summary, and an entry of a guard and of another code.
    #[test]
    fn prose_does_not_change_the_schema_hash() {
        let texts = [
            ("doc: The license is good;", "doc: The license is fine;"),
            ("summary: \"The license is good; ingestion", "summary: \"The license is fine; ingestion"),
            ("cause: An earlier environment is still", "cause: Another environment is still"),
            ("example: default/31/release is open", "example: default/32/release is open"),
            ("remedy: Flatten the inputs.", "remedy: Nest them less."),
            ("title: A key occurs twice in one object", "title: A key is there twice"),
            ("guard: signature\n", "guard: head\n"),
            ("code: bad_json\n", "code: worse_json\n"),
        ];
        for (old, new) in texts {
            assert_eq!(hash_of(&replaced(old, new)), hash_of(CHART), "{new}");
        }
        let (before, entry) = CHART.split_once("\n  capacity:\n").unwrap();
        let other = entry.replacen("retry: outside", "retry: never", 1);
        assert_eq!(hash_of(&format!("{before}\n  capacity:\n{other}")), hash_of(CHART));
    }

    #[test]
    fn the_name_of_a_guard_changes_the_schema_hash() {
        assert_ne!(hash_of(&CHART.replace("capacity", "room")), hash_of(CHART));
    }

    #[test]
    fn a_guard_or_code_without_its_texts_is_found() {
        let problems = |old, new| model::Chart::read(&replaced(old, new)).unwrap().problems();
        let found = problems("    remedy: Report `Environment_Released` first.\n", "");
        assert!(found.iter().any(|problem| problem.starts_with("guard release: it needs")), "{found:?}");
        let found = problems("        guard: signature\n", "");
        assert!(found.iter().any(|problem| problem.starts_with("guard signature: it needs")), "{found:?}");
        let found = problems("remedy: Flatten the inputs.", "remedy: \"\"");
        assert!(found.iter().any(|problem| problem.starts_with("rejection too_deep: title")), "{found:?}");
        let found = problems("- code: too_deep", "- code: bad_json");
        assert!(found.iter().any(|problem| problem.ends_with("bad_json: the code is listed twice")), "{found:?}");
    }
}
