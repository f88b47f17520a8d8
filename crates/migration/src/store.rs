//! The migration's files: switches, divergences, and the index of the last record delivered to WHOOSH.
//!
//! `switches.jsonl` alone says which system decides: a switch counts once its line is synced. A line that a crash cut
//! off never counted, and is removed at the next start.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use swoosh_files as files;
use swoosh_types::migration::{Divergence, Routing, Switch};

const SWITCHES: &str = "switches.jsonl";
const DIVERGENCES: &str = "divergences.jsonl";
const OLDER_DIVERGENCES: &str = "divergences.1.jsonl";
const POSITION: &str = "position";
/// Divergences that are kept in memory, to be shown.
const REMEMBERED: usize = 1_000;
/// A file of divergences with more bytes than this takes the place of the older one.
const MOST_BYTES: u64 = 32 << 20;

/// Why something cannot be kept, or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or directory cannot be used.
    #[error("{}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    /// A line is none that this program wrote.
    #[error("{} line {line}: {detail}; restore the file from a backup, see runbooks/whoosh-cutover.md", .path.display())]
    Line {
        /// In which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        detail: String,
    },
}

fn failed(path: &Path) -> impl Fn(io::Error) -> StoreError + '_ {
    move |source| StoreError::Io { path: path.to_owned(), source }
}

/// The files of the migration, open.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    switches: File,
    last_switch: Option<Switch>,
    divergences: File,
    divergences_bytes: u64,
    remembered: VecDeque<Divergence>,
    position: Option<u64>,
}

impl Store {
    /// Opens the files in a directory, which is made where there is none.
    pub fn open(directory: &Path) -> Result<Store, StoreError> {
        fs::create_dir_all(directory).map_err(failed(directory))?;
        let (switches, mut known) = lines::<Switch>(&directory.join(SWITCHES))?;
        let (divergences, newer) = lines::<Divergence>(&directory.join(DIVERGENCES))?;
        let (_, mut found) = lines::<Divergence>(&directory.join(OLDER_DIVERGENCES))?;
        found.extend(newer);
        let (path, skip) = (directory.join(DIVERGENCES), found.len().saturating_sub(REMEMBERED));
        let divergences_bytes = divergences.metadata().map_err(failed(&path))?.len();
        sync_directory(directory)?;
        Ok(Store {
            position: read_position(&directory.join(POSITION))?,
            directory: directory.to_owned(),
            switches,
            last_switch: known.pop(),
            divergences,
            divergences_bytes,
            remembered: found.into_iter().skip(skip).collect(),
        })
    }

    /// The routing of the last switch.
    pub fn routing(&self) -> Routing {
        self.last_switch.as_ref().map(|switch| switch.order.order.routing.clone()).unwrap_or_default()
    }

    pub fn last_switch(&self) -> Option<&Switch> {
        self.last_switch.as_ref()
    }

    /// Index of the last record that WHOOSH knows of; none before the first switch.
    pub fn position(&self) -> Option<u64> {
        self.position
    }

    /// Keeps a switch. It counts when this returns.
    pub fn switched(&mut self, switch: Switch) -> Result<(), StoreError> {
        append(&mut self.switches, &self.directory.join(SWITCHES), &switch)?;
        self.last_switch = Some(switch);
        Ok(())
    }

    /// Keeps the index of the last record delivered to WHOOSH.
    pub fn set_position(&mut self, index: u64) -> Result<(), StoreError> {
        let path = self.directory.join(POSITION);
        files::replace(&path, format!("{index}\n").as_bytes(), files::PRIVATE).map_err(failed(&path))?;
        self.position = Some(index);
        Ok(())
    }

    /// Keeps a divergence under the next number.
    pub fn diverged(&mut self, mut divergence: Divergence) -> Result<(), StoreError> {
        divergence.number = self.divergences_found() + 1;
        if self.divergences_bytes > MOST_BYTES {
            self.rotate()?;
        }
        self.divergences_bytes += append(&mut self.divergences, &self.directory.join(DIVERGENCES), &divergence)?;
        if self.remembered.len() == REMEMBERED {
            self.remembered.pop_front();
        }
        self.remembered.push_back(divergence);
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), StoreError> {
        let path = self.directory.join(DIVERGENCES);
        fs::rename(&path, self.directory.join(OLDER_DIVERGENCES)).map_err(failed(&path))?;
        self.divergences = lines::<Divergence>(&path)?.0;
        self.divergences_bytes = 0;
        sync_directory(&self.directory)
    }

    /// How many differences were found in all.
    pub fn divergences_found(&self) -> u64 {
        self.remembered.back().map_or(0, |last| last.number)
    }

    /// The last divergences, newest first.
    pub fn divergences(&self, limit: usize) -> Vec<Divergence> {
        self.remembered.iter().rev().take(limit).cloned().collect()
    }
}

/// Opens a file of JSON lines to append to, and reads it. A partial last line of a crash is cut off.
fn lines<T: DeserializeOwned>(path: &Path) -> Result<(File, Vec<T>), StoreError> {
    let failed = failed(path);
    let file = OpenOptions::new().create(true).append(true).open(path).map_err(&failed)?;
    let text = fs::read(path).map_err(&failed)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if whole < text.len() {
        file.set_len(whole as u64).and_then(|()| file.sync_all()).map_err(&failed)?;
    }
    let parse = |(number, line): (usize, &[u8])| {
        let wrong = |error: serde_json::Error| StoreError::Line {
            path: path.to_owned(),
            line: number + 1,
            detail: error.to_string(),
        };
        serde_json::from_slice(line).map_err(wrong)
    };
    let found = text.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n');
    let found = found.enumerate().filter(|(_, line)| !line.is_empty()).map(parse).collect::<Result<_, _>>()?;
    Ok((file, found))
}

/// Appends a line and syncs it. A partially written line is removed.
fn append<T: Serialize>(file: &mut File, path: &Path, document: &T) -> Result<u64, StoreError> {
    let write = |file: &mut File| {
        let mut line = serde_json::to_vec(document)?;
        line.push(b'\n');
        let before = file.metadata()?.len();
        let written = file.write_all(&line).and_then(|()| file.sync_data());
        if written.is_err() {
            let _ = file.set_len(before);
        }
        written.map(|()| line.len() as u64)
    };
    write(file).map_err(failed(path))
}

fn read_position(path: &Path) -> Result<Option<u64>, StoreError> {
    match fs::read_to_string(path) {
        Ok(text) => text.trim().parse().map(Some).map_err(|_| StoreError::Line {
            path: path.to_owned(),
            line: 1,
            detail: "this is no index".to_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path)(error)),
    }
}

fn sync_directory(directory: &Path) -> Result<(), StoreError> {
    files::sync_directory(directory).map_err(failed(directory))
}

#[cfg(test)]
mod tests {
    use super::*;
    use swoosh_types::hlc::Hlc;
    use swoosh_types::migration::{DivergenceKind, MigrationMode};

    fn divergence(detail: &str) -> Divergence {
        Divergence {
            number: 0,
            at: Hlc::default(),
            mode: MigrationMode::Shadow,
            kind: DivergenceKind::State,
            project: None,
            transition: None,
            caller: None,
            detail: detail.to_owned(),
            whoosh: String::new(),
            swoosh: String::new(),
        }
    }

    #[test]
    fn divergences_keep_their_numbers_over_restarts_and_files() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        store.diverged(divergence("a")).unwrap();
        store.divergences_bytes = MOST_BYTES + 1;
        store.diverged(divergence("b")).unwrap();
        assert!(folder.path().join(OLDER_DIVERGENCES).is_file());
        drop(store);
        let store = Store::open(folder.path()).unwrap();
        let found: Vec<_> = store.divergences(10).into_iter().map(|found| (found.number, found.detail)).collect();
        assert_eq!(found, [(2, "b".to_owned()), (1, "a".to_owned())]);
        assert_eq!(store.divergences(1).len(), 1);
    }

    #[test]
    fn a_cut_off_line_is_removed_and_damage_is_reported_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(DIVERGENCES);
        Store::open(folder.path()).unwrap().diverged(divergence("a")).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole[..], b"{\"number\":2,"].concat()).unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole);
        store.diverged(divergence("b")).unwrap();
        assert_eq!(Store::open(folder.path()).unwrap().divergences_found(), 2);
        fs::write(&path, [&whole[..], b"junk\n"].concat()).unwrap();
        let error = Store::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("divergences.jsonl line 2"), "{error}");
    }

    #[test]
    fn the_position_is_kept_whole_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        assert_eq!((store.position(), store.routing()), (None, Routing::default()));
        store.set_position(7).unwrap();
        store.set_position(123_456).unwrap();
        assert_eq!(Store::open(folder.path()).unwrap().position(), Some(123_456));
        fs::write(folder.path().join(POSITION), "").unwrap();
        assert!(Store::open(folder.path()).unwrap_err().to_string().contains("position line 1"));
    }
}
