//! Decision records in a file, one JSON document a line.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Sink;
use crate::redaction::Exported;
use swoosh_types::ids::DecisionId;
use swoosh_types::json::Json;

/// Bytes that are read at once when the file's last line is looked for.
const CHUNK_BYTES: u64 = 64 << 10;
/// The longest line that is looked for.
const MOST_LINE_BYTES: u64 = 16 << 20;

/// A file that decision records are appended to. It is opened for each batch, so that it can be rotated by renaming.
#[derive(Clone, Debug)]
pub struct Jsonl {
    path: PathBuf,
}

/// Why the file takes nothing.
#[derive(Debug, thiserror::Error)]
pub enum JsonlError {
    /// Reading or writing failed.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// The runtime is going down.
    #[error("the writing ended early")]
    Task,
}

impl Jsonl {
    /// The sink of a file, which is made where it is missing.
    pub fn new(path: PathBuf) -> Jsonl {
        Jsonl { path }
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> Result<T, JsonlError> + Send + 'static,
    ) -> Result<T, JsonlError> {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || work(&path)).await.map_err(|_| JsonlError::Task)?
    }
}

impl Sink for Jsonl {
    type Error = JsonlError;

    async fn last_taken(&mut self) -> Result<Option<(u64, DecisionId)>, JsonlError> {
        self.work(|path| {
            let mut file = open(path)?;
            let last = last_line(&mut file).map_err(failed("read", path))?;
            Ok(last.as_deref().and_then(name_of))
        })
        .await
    }

    async fn take(&mut self, batch: &[Exported]) -> Result<usize, JsonlError> {
        let mut lines = Vec::with_capacity(batch.iter().map(|exported| exported.bytes.len() + 1).sum());
        for exported in batch {
            lines.extend_from_slice(&exported.bytes);
            lines.push(b'\n');
        }
        self.work(move |path| append(path, &lines)).await?;
        Ok(batch.len())
    }

    fn is_too_much(_: &JsonlError) -> bool {
        false
    }

    fn wait_for(_: &JsonlError) -> Option<Duration> {
        None
    }
}

fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> JsonlError {
    let path = path.to_owned();
    move |source| JsonlError::Io { action, path: path.clone(), source }
}

fn open(path: &Path) -> Result<File, JsonlError> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    options.open(path).map_err(failed("open", path))
}

/// Appends whole lines and syncs them. A partial line left by a crash or a full disk is removed first: it was never
/// taken.
fn append(path: &Path, lines: &[u8]) -> Result<(), JsonlError> {
    let mut file = open(path)?;
    mend(&mut file).map_err(failed("mend the last line of", path))?;
    file.write_all(lines).and_then(|()| file.sync_data()).map_err(failed("write to", path))
}

/// Cuts off a last line that has no end.
fn mend(file: &mut File) -> io::Result<()> {
    let whole = end_of_lines(file)?;
    if whole < file.metadata()?.len() { file.set_len(whole) } else { Ok(()) }
}

/// Where the last line that has an end ends.
fn end_of_lines(file: &mut File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    Ok(position_of_newline(file, length)?.map_or(0, |at| at + 1))
}

/// The last line that has an end, without it.
fn last_line(file: &mut File) -> io::Result<Option<Vec<u8>>> {
    let end = end_of_lines(file)?;
    let Some(newline) = end.checked_sub(1) else { return Ok(None) };
    let start = position_of_newline(file, newline)?.map_or(0, |at| at + 1);
    file.seek(SeekFrom::Start(start))?;
    let mut line = Vec::new();
    file.take(newline - start).read_to_end(&mut line)?;
    Ok(Some(line))
}

/// The last newline before a place.
fn position_of_newline(file: &mut File, before: u64) -> io::Result<Option<u64>> {
    let mut end = before;
    while end > 0 {
        if before - end > MOST_LINE_BYTES {
            let reason = "its last line is longer than 16 MiB; it is no file of decision records";
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let start = end.saturating_sub(CHUNK_BYTES);
        let mut chunk = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        file.take(end - start).read_to_end(&mut chunk)?;
        if let Some(at) = chunk.iter().rposition(|&byte| byte == b'\n') {
            return Ok(Some(start + at as u64));
        }
        end = start;
    }
    Ok(None)
}

/// Index and id of a line's record.
fn name_of(line: &[u8]) -> Option<(u64, DecisionId)> {
    let document = Json::parse(line).ok()?;
    let id: DecisionId = document.as_object()?.get("id")?.as_str()?.parse().ok()?;
    Some((id.index, id))
}
