//! Facts from a file: a JSON array of signed facts, read again whenever it changes.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::table::{FactRefusal, FactTable, Inserted};
use tokio::sync::Notify;

use crate::types::canonical::from_json;
use crate::types::fact::Fact;
use crate::types::json::Json;

/// How often the file is looked at.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The largest file that is read, in bytes.
pub const MOST_BYTES: u64 = 64 << 20;

/// What tells one version of the file from the next: when it was written, and how long it is.
type Version = Option<(Option<SystemTime>, u64)>;

/// What a reading of the file came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileReport {
    /// Facts that are held now and were not before.
    pub held: usize,
    /// Facts that are not newer than what is held.
    pub not_newer: usize,
    /// What is wrong with the file or with single facts of it.
    pub problems: Vec<String>,
}

/// A file of facts, and the table it fills.
#[derive(Debug)]
pub struct FactFile {
    path: PathBuf,
    table: Arc<FactTable>,
    /// `None` until the file was looked at.
    seen: Option<Version>,
    /// What was last complained about, so that nothing is said twice.
    problems: Vec<String>,
}

impl FactFile {
    /// A file that nobody has looked at yet.
    pub fn new(path: PathBuf, table: Arc<FactTable>) -> FactFile {
        FactFile { path, table, seen: None, problems: Vec::new() }
    }

    /// Looks at the file and, if it changed, inserts what is new in it and logs what is wrong with it.
    /// Call it once before serving, so that the first proposals find their facts.
    pub fn poll(&mut self) -> Option<FileReport> {
        // Taken before the reading, so that a change during it is seen next time.
        let metadata = std::fs::metadata(&self.path).ok();
        let version: Version = metadata.map(|metadata| (metadata.modified().ok(), metadata.len()));
        if self.seen == Some(version) {
            return None;
        }
        self.seen = Some(version);
        let report = self.read();
        self.log(&report);
        Some(report)
    }

    /// Polls for ever, every second and whenever it is hurried; run it in a task and abort that to stop.
    pub async fn watch(mut self, hurry: Arc<Notify>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(POLL_INTERVAL) => {}
                () = hurry.notified() => {}
            }
            let polled = tokio::task::spawn_blocking(move || {
                self.poll();
                self
            });
            match polled.await {
                Ok(file) => self = file,
                // The runtime is going down.
                Err(_) => return,
            }
        }
    }

    fn read(&mut self) -> FileReport {
        let mut report = FileReport::default();
        let documents = match self.documents() {
            Ok(documents) => documents,
            Err(problem) => {
                report.problems.push(problem);
                return report;
            }
        };
        let mut places = Vec::new();
        let mut facts = Vec::new();
        for (n, document) in documents.iter().enumerate() {
            match from_json::<Fact>(document) {
                Ok(fact) => {
                    places.push(n);
                    facts.push(fact);
                }
                Err(error) => report.problems.push(format!("fact {n} is not a signed fact: {error}")),
            }
        }
        for (n, outcome) in places.into_iter().zip(self.table.insert_all(facts)) {
            match outcome {
                Ok(Inserted::Held(_)) => report.held += 1,
                Ok(Inserted::NotNewer { .. } | Inserted::Outdone { .. }) => report.not_newer += 1,
                Err(refusal) => {
                    // Time alone makes this one good, without any change of the file.
                    if matches!(refusal, FactRefusal::Future { .. }) {
                        self.seen = None;
                    }
                    report.problems.push(format!("fact {n} is refused: {refusal}"));
                }
            }
        }
        report
    }

    fn documents(&self) -> Result<Vec<Json>, String> {
        let mut bytes = Vec::new();
        let file = File::open(&self.path).map_err(|error| unreadable(&error))?;
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(format!("the file is larger than {MOST_BYTES} bytes; keep only the newest facts in it"));
        }
        match Json::parse(&bytes) {
            Ok(Json::Array(documents)) => Ok(documents),
            Ok(other) => Err(format!("the file holds {}, not an array of signed facts", other.kind())),
            Err(error) => Err(error.to_string()),
        }
    }

    fn log(&mut self, report: &FileReport) {
        let path = self.path.display();
        if report.held > 0 {
            tracing::info!(%path, held = report.held, not_newer = report.not_newer, "facts read from the file");
        }
        for problem in report.problems.iter().filter(|problem| !self.problems.contains(problem)) {
            tracing::warn!(%path, %problem, "the fact file has a problem");
        }
        self.problems.clone_from(&report.problems);
    }
}

fn unreadable(error: &io::Error) -> String {
    format!("the file cannot be read: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::fixture::*;

    fn write(path: &PathBuf, text: &str) {
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn new_facts_are_inserted_when_the_file_changes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("facts.json");
        let mut file = FactFile::new(path.clone(), Arc::new(table()));
        let missing = file.poll().unwrap();
        assert!(missing.problems[0].contains("cannot be read"), "{missing:?}");
        assert_eq!(file.poll(), None, "nothing changed");
        let first = license(&kaching(), NOW_MS - 1).sign(&cluster(), &kaching());
        write(&path, &serde_json::to_string_pretty(&[&first]).unwrap());
        assert_eq!(file.poll(), Some(FileReport { held: 1, ..FileReport::default() }));
        assert_eq!(file.poll(), None);
        let mut second = license(&kaching(), NOW_MS);
        second.project = Some("alpha".parse().unwrap());
        let both = [&first, &second.sign(&cluster(), &kaching())];
        write(&path, &serde_json::to_string(&both).unwrap());
        assert_eq!(file.poll(), Some(FileReport { held: 1, not_newer: 1, problems: vec![] }));
    }

    #[test]
    fn a_bad_fact_is_told_and_the_rest_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("facts.json");
        let table = Arc::new(table());
        let mut file = FactFile::new(path.clone(), Arc::clone(&table));
        let good = license(&kaching(), NOW_MS).sign(&cluster(), &kaching());
        let forged = license(&kaching(), NOW_MS).sign(&cluster(), &node());
        let text = |fact| serde_json::to_string(fact).unwrap();
        write(&path, &format!("[{{\"claim\": 1}}, {}, {}]", text(&forged), text(&good)));
        let report = file.poll().unwrap();
        assert_eq!(report.held, 1);
        assert!(report.problems[0].starts_with("fact 0 is not a signed fact"), "{report:?}");
        assert!(report.problems[1].starts_with("fact 1 is refused: the signature is not"), "{report:?}");
        write(&path, "[] trailing");
        assert_eq!(file.poll().unwrap().problems.len(), 1);
        write(&path, "{}");
        assert!(file.poll().unwrap().problems[0].contains("an object, not an array"));
        assert!(table.bytes(&good.hash()).is_some(), "a bad file takes nothing away");
    }

    #[test]
    fn a_fact_of_the_future_is_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("facts.json");
        let mut file = FactFile::new(path.clone(), Arc::new(table()));
        let early = license(&kaching(), NOW_MS + 60_000).sign(&cluster(), &kaching());
        write(&path, &serde_json::to_string(&[&early]).unwrap());
        assert_eq!(file.poll().unwrap().problems.len(), 1);
        assert_eq!(file.poll().unwrap().problems.len(), 1);
    }
}
