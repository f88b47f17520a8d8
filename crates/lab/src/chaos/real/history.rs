//! What the clients saw, written down as they saw it: one file of JSON lines for each client, and one for the proxy,
//! which hears the answers to its copies.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use swoosh_types::hash::Hash;
use swoosh_types::ids::IdemKey;
use swoosh_types::keys::PublicKey;
use swoosh_types::names::Transition;
use swoosh_types::text::ProjectName;

/// Something that a client did or saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event {
    /// It is about to send a proposal under a new key, or the same one on another head.
    Sent {
        /// The project.
        project: ProjectName,
        /// The key.
        key: IdemKey,
        /// What is proposed.
        transition: Transition,
        /// Hash of the inputs.
        inputs_hash: Hash,
        /// Who signed.
        signer: PublicKey,
    },
    /// It holds a receipt.
    Receipt {
        /// The bytes of the receipt.
        receipt: String,
    },
}

/// A log that is being written.
#[derive(Debug)]
pub(super) struct Log(Mutex<BufWriter<File>>);

impl Log {
    /// Begins a log.
    pub fn create(path: &Path) -> anyhow::Result<Log> {
        let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Log(Mutex::new(BufWriter::new(file))))
    }

    /// Adds a line.
    pub fn note(&self, event: &Event) -> anyhow::Result<()> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::to_writer(&mut *file, event)?;
        Ok(file.write_all(b"\n")?)
    }

    /// Brings everything to the file.
    pub fn flush(&self) -> anyhow::Result<()> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()?)
    }
}

/// Position of an event in a client's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The log's name.
    pub log: String,
    /// The line, from 1.
    pub line: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} line {}", self.log, self.line)
    }
}

/// Reads every log of a directory, in the order of their names.
pub(super) fn read_all(
    directory: &Path,
    visit: &mut dyn FnMut(Place, Event) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<PathBuf>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    paths.sort();
    anyhow::ensure!(!paths.is_empty(), "there are no client logs in {}", directory.display());
    for path in paths {
        let log = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        for (number, line) in BufReader::new(File::open(&path)?).lines().enumerate() {
            let place = Place { log: log.clone(), line: number + 1 };
            let event = serde_json::from_str(&line?).with_context(|| format!("{place} is no event"))?;
            visit(place, event)?;
        }
    }
    Ok(())
}
