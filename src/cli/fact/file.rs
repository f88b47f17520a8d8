//! A fact file as `facts.file` of the settings names it: a JSON array of signed facts.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::super::connect::exit;
use super::super::output::{Output, Table};
use super::super::source;
use super::super::time::now;
use crate::files;
use crate::machine::facts::KnownFact;
use crate::types::fact::Fact;
use crate::types::hash::Hash;
use crate::types::text::ClusterId;

/// The result of putting facts into a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Put {
    pub added: usize,
    pub replaced: usize,
    pub total: usize,
}

/// Puts facts into a file, each in the place of an earlier one of its kind, project and source.
pub(super) fn put(path: &Path, news: Vec<Fact>) -> anyhow::Result<Put> {
    let mut facts: Vec<Fact> = if path.exists() { source::documents(path, "signed fact")? } else { Vec::new() };
    let mut done = Put::default();
    for fact in news {
        match facts.iter_mut().find(|known| same_place(known, &fact)) {
            None => {
                facts.push(fact);
                done.added += 1;
            }
            Some(known) => {
                let (held, new) = (known.claim.observed_at, fact.claim.observed_at);
                anyhow::ensure!(
                    new >= held,
                    "the {} fact was seen at {new}, the file has one of its source seen at {held}, and nodes ignore what \
                     is not newer; sign it again with a later --observed-at",
                    fact.claim.kind
                );
                *known = fact;
                done.replaced += 1;
            }
        }
    }
    done.total = facts.len();
    replace(path, &facts).with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(done)
}

fn same_place(one: &Fact, other: &Fact) -> bool {
    let place = |fact: &Fact| (fact.claim.kind, fact.claim.project.clone(), fact.claim.source);
    place(one) == place(other)
}

/// Replaces the file with one of the same mode.
fn replace(path: &Path, facts: &[Fact]) -> anyhow::Result<()> {
    let mode = std::fs::metadata(path).map_or(0o644, |metadata| metadata.permissions().mode() & 0o7777);
    let content = serde_json::to_string_pretty(facts)? + "\n";
    Ok(files::replace(path, content.as_bytes(), mode)?)
}

/// One fact of a file, looked at.
#[derive(Debug, serde::Serialize)]
struct Checked {
    kind: &'static str,
    project: Option<String>,
    source: String,
    valid_until: String,
    hash: Hash,
    problems: Vec<String>,
}

/// Checks every fact of a file; whether a node believes its source, only the node's settings say.
pub(super) fn check(output: Output, path: &Path, cluster: &ClusterId) -> anyhow::Result<ExitCode> {
    let facts: Vec<Fact> = source::documents_to_check(path, "signed fact")?;
    let checked: Vec<Checked> = facts.iter().map(|fact| look(fact, cluster)).collect();
    let good = checked.iter().all(|fact| fact.problems.is_empty());
    output.say(&json!({"ok": good, "cluster": cluster, "facts": checked}), || check_text(&checked))?;
    Ok(exit(good))
}

fn look(fact: &Fact, cluster: &ClusterId) -> Checked {
    let claim = &fact.claim;
    let mut problems = Vec::new();
    if !fact.verify(cluster) {
        problems.push(format!(
            "the signature is not its source's for cluster {cluster}; sign it again with --cluster {cluster}"
        ));
    }
    problems.extend(KnownFact::admit(fact.clone()).err().map(|error| error.to_string()));
    if fact.believed_until_ms() < now().physical_ms() {
        problems.push("it may no longer be believed; sign a newer one".to_owned());
    }
    Checked {
        kind: claim.kind.as_str(),
        project: claim.project.as_ref().map(ToString::to_string),
        source: claim.source.to_string(),
        valid_until: claim.valid_until.to_string(),
        hash: fact.hash(),
        problems,
    }
}

fn check_text(checked: &[Checked]) -> String {
    let mut table = Table::with(&["", "kind", "project", "valid until", "source", "problems"]);
    for fact in checked {
        let mark = if fact.problems.is_empty() { "✓" } else { "✗" };
        let project = fact.project.clone().unwrap_or_else(|| "(all)".to_owned());
        let (kind, until) = (fact.kind.to_owned(), fact.valid_until.clone());
        table.row([mark.to_owned(), kind, project, until, fact.source.clone(), fact.problems.join("; ")]);
    }
    if checked.is_empty() { "the file holds no facts".to_owned() } else { table.text(0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::fact::{FactClaim, FactKind};
    use crate::types::hlc::Hlc;
    use crate::types::json::Json;
    use crate::types::keys::SecretKey;

    fn fact(key: u8, project: Option<&str>, seen_ms: u64) -> Fact {
        let key = SecretKey::from_bytes(&[key; 32]);
        let claim = FactClaim {
            kind: FactKind::License,
            project: project.map(|name| name.parse().unwrap()),
            source: key.public(),
            observed_at: Hlc::new(seen_ms, 0).unwrap(),
            valid_until: Hlc::new(seen_ms + 1_000, 0).unwrap(),
            body: Json::parse(br#"{"id":"l-1","scopes":["swoosh"]}"#).unwrap(),
        };
        claim.sign(&"swoosh".parse().unwrap(), &key)
    }

    #[test]
    fn a_fact_replaces_the_one_of_its_kind_project_and_source_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("facts.json");
        let first = put(&path, vec![fact(1, None, 10), fact(2, None, 10)]).unwrap();
        assert_eq!(first, Put { added: 2, replaced: 0, total: 2 });
        let second = put(&path, vec![fact(1, None, 20), fact(1, Some("alpha"), 10)]).unwrap();
        assert_eq!(second, Put { added: 1, replaced: 1, total: 3 });
        let held: Vec<Fact> = source::documents(&path, "signed fact").unwrap();
        assert_eq!(held, [fact(1, None, 20), fact(2, None, 10), fact(1, Some("alpha"), 10)]);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_older_fact_and_a_file_of_something_else_change_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("facts.json");
        put(&path, vec![fact(1, None, 10)]).unwrap();
        let before = std::fs::read(&path).unwrap();
        assert!(put(&path, vec![fact(1, None, 9)]).unwrap_err().to_string().contains("later --observed-at"));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        std::fs::write(&path, "{\"not\": \"facts\"}").unwrap();
        assert!(put(&path, vec![fact(1, None, 10)]).is_err());
    }

    #[test]
    fn problems_of_a_fact_are_reported() {
        let problems = look(&fact(1, None, 10), &"other".parse().unwrap()).problems;
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("--cluster other") && problems[1].contains("no longer"), "{problems:?}");
    }
}
