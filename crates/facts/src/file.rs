//! Facts from a file: a JSON array of signed facts, read again whenever it changes.

use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::table::{FactRefusal, FactTable, Inserted};
use tokio::sync::Notify;

use swoosh_types::canonical::from_json;
use swoosh_types::fact::Fact;
use swoosh_types::hash::Hash;
use swoosh_types::json::Json;

/// How often the file is looked at.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The largest file that is read, in bytes.
pub const MOST_BYTES: u64 = 64 << 20;

/// Distinguishes versions of the file without reading it. Size and time of the last write are not enough: tools that
/// build the same file everywhere (the Nix store) give every version the same time. They cannot set the time of the
/// last change and the inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    file: (u64, u64),
    changed: (i64, i64),
    written: (i64, i64),
    bytes: u64,
}

impl Version {
    fn of(path: &Path) -> Option<Version> {
        let found = std::fs::metadata(path).ok()?;
        Some(Version {
            file: (found.dev(), found.ino()),
            changed: (found.ctime(), found.ctime_nsec()),
            written: (found.mtime(), found.mtime_nsec()),
            bytes: found.len(),
        })
    }
}

/// The result of reading the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileReport {
    /// Facts that are held now and were not before.
    pub held: usize,
    /// Facts that are not newer than what is held.
    pub not_newer: usize,
    /// Errors in the file or in single facts of it.
    pub problems: Vec<String>,
}

/// A file of facts, and the table it fills.
#[derive(Debug)]
pub struct FactFile {
    path: PathBuf,
    table: Arc<FactTable>,
    /// The version that was read twice; `None` until then. A change within the same tick of the file system's clock as
    /// the first reading leaves the version the same.
    settled: Option<Option<Version>>,
    /// The version and the content that were read last; an error is a content too.
    read: Option<(Option<Version>, Result<Hash, String>)>,
    /// Whether time alone may make something good that was refused.
    is_early: bool,
    /// The last logged problems, so that none is logged twice.
    problems: Vec<String>,
}

impl FactFile {
    /// A file that was not read yet.
    pub fn new(path: PathBuf, table: Arc<FactTable>) -> FactFile {
        FactFile { path, table, settled: None, read: None, is_early: false, problems: Vec::new() }
    }

    /// Looks at the file and, if it changed, inserts what is new in it and logs what is wrong with it.
    /// Call it once before serving, so that the first proposals find their facts.
    pub fn poll(&mut self) -> Option<FileReport> {
        let version = Version::of(&self.path);
        if self.settled == Some(version) && !self.is_early {
            return None;
        }
        self.look(version, false)
    }

    /// Reads the file whether it seems to have changed or not.
    pub fn reread(&mut self) -> Option<FileReport> {
        self.look(Version::of(&self.path), true)
    }

    /// Reads the file, and takes what it holds where that is new. The version was taken before, so that a change during the
    /// reading is seen next time.
    fn look(&mut self, version: Option<Version>, always: bool) -> Option<FileReport> {
        let bytes = self.bytes();
        let content = bytes.as_ref().map(|bytes| Hash::of(bytes)).map_err(String::clone);
        let read = Some((version, content));
        let is_known = read.as_ref().map(|read| &read.1) == self.read.as_ref().map(|read| &read.1);
        self.settled = (read == self.read).then_some(version);
        self.read = read;
        if is_known && !self.is_early && !always {
            return None;
        }
        self.is_early = false;
        let report = self.take(bytes);
        self.log(&report);
        Some(report)
    }

    /// Polls for ever, every second, and reads the file whenever it is hurried; run it in a task and abort that to stop.
    pub async fn watch(mut self, hurry: Arc<Notify>) {
        loop {
            let hurried = tokio::select! {
                () = tokio::time::sleep(POLL_INTERVAL) => false,
                () = hurry.notified() => true,
            };
            let polled = tokio::task::spawn_blocking(move || {
                if hurried {
                    self.reread()
                } else {
                    self.poll()
                };
                self
            });
            match polled.await {
                Ok(file) => self = file,
                // The runtime is going down.
                Err(_) => return,
            }
        }
    }

    fn take(&mut self, bytes: Result<Vec<u8>, String>) -> FileReport {
        let mut report = FileReport::default();
        let documents = match bytes.and_then(|bytes| documents(&bytes)) {
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
                    self.is_early |= matches!(refusal, FactRefusal::Future { .. });
                    report.problems.push(format!("fact {n} is refused: {refusal}"));
                }
            }
        }
        report
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let file = swoosh_files::open(&self.path).map_err(|error| unreadable(&error))?;
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(format!("the file is larger than {MOST_BYTES} bytes; keep only the newest facts in it"));
        }
        Ok(bytes)
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

fn documents(bytes: &[u8]) -> Result<Vec<Json>, String> {
    match Json::parse(bytes) {
        Ok(Json::Array(documents)) => Ok(documents),
        Ok(other) => Err(format!("the file holds {}, not an array of signed facts", other.kind())),
        Err(error) => Err(error.to_string()),
    }
}

fn unreadable(error: &io::Error) -> String {
    format!("the file cannot be read: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

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
    fn a_bad_fact_is_reported_and_the_rest_kept() {
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

    /// The Nix store gives every file the same time; the second version, of the same size, was never read.
    #[test]
    fn another_version_of_the_same_size_and_time_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("facts.json");
        let put = |seconds_ago: u64| {
            let fact = license(&kaching(), NOW_MS - seconds_ago).sign(&cluster(), &kaching());
            let other = directory.path().join("facts.json.new");
            write(&other, &serde_json::to_string(&[&fact]).unwrap());
            let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1);
            std::fs::File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
            std::fs::rename(&other, &path).unwrap();
            std::fs::metadata(&path).unwrap().len()
        };
        let held = Some(FileReport { held: 1, ..FileReport::default() });
        let mut file = FactFile::new(path.clone(), Arc::new(table()));
        let bytes = put(3);
        assert_eq!((file.poll(), file.poll(), file.poll()), (held.clone(), None, None));
        assert_eq!(put(2), bytes, "both versions have the same size");
        assert_eq!((file.poll(), file.poll()), (held.clone(), None));
    }

    /// A second change within one tick of the file system's clock leaves size, inode and times the same.
    #[test]
    fn what_was_read_once_is_read_again_before_it_counts_as_unchanged() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("facts.json");
        let mut file = FactFile::new(path.clone(), Arc::new(table()));
        let text =
            |ms: u64| serde_json::to_string(&[license(&kaching(), NOW_MS - ms).sign(&cluster(), &kaching())]).unwrap();
        write(&path, &text(3));
        file.poll().unwrap();
        // As if the first reading had seen this version with the content before it.
        let version = Version::of(&path);
        write(&path, &text(2));
        let changed = Version::of(&path);
        assert_eq!(version.map(|version| version.bytes), changed.map(|version| version.bytes));
        file.read.as_mut().unwrap().0 = changed;
        assert_eq!(file.poll(), Some(FileReport { held: 1, ..FileReport::default() }));
    }

    #[test]
    fn a_reading_that_is_asked_for_takes_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("facts.json");
        let mut file = FactFile::new(path.clone(), Arc::new(table()));
        write(&path, "[]");
        assert!(file.poll().is_some() && file.poll().is_none());
        assert_eq!(file.reread(), Some(FileReport::default()));
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
