//! The local control path: a socket in the data directory that only the node's own user can open.
//!
//! A client that connects gets a checkpoint, as one line of JSON with its directory or the error. It stays until the
//! connection is closed or lost.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::checkpoint::{self, Staged};
use crate::local_socket::LocalSocket;
use swoosh_journal::Journal;

/// The socket in a data directory.
const SOCKET: &str = "control.sock";
/// Longer than any checkpoint takes.
const PATIENCE: Duration = Duration::from_secs(600);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Reply {
    Checkpoint(PathBuf),
    Error(String),
}

/// The socket of a running node. Dropped before the journal is closed, so that no request comes after it.
pub struct Control(#[expect(dead_code, reason = "held until it is dropped")] LocalSocket);

impl Control {
    /// Listens in a data directory; `journal` gives the journal as it is open then.
    pub fn listen(data: &Path, journal: impl Fn() -> Journal + Send + Sync + 'static) -> anyhow::Result<Control> {
        checkpoint::tidy(data)?;
        let path = data.join(SOCKET);
        let (data, journal) = (data.to_path_buf(), Arc::new(journal));
        let serve = move |stream: UnixStream| {
            let (data, journal) = (data.clone(), journal.clone());
            let one = move || answer(&stream, &data, &*journal);
            drop(std::thread::Builder::new().name("checkpoint".to_owned()).spawn(one));
        };
        Ok(Control(LocalSocket::listen(path, "control", serve)?))
    }
}

fn answer(stream: &UnixStream, data: &Path, journal: &dyn Fn() -> Journal) {
    let staged = Staged::of(&journal(), data);
    let reply = match &staged {
        Ok(staged) => Reply::Checkpoint(staged.path().to_path_buf()),
        Err(error) => Reply::Error(format!("{error:#}")),
    };
    let mut line = serde_json::to_vec(&reply).unwrap_or_default();
    line.push(b'\n');
    let mut stream = stream;
    if stream.write_all(&line).is_ok() {
        // Until the caller is done, or dead.
        drop(stream.read(&mut [0]));
    }
    drop(staged);
}

/// A checkpoint that a running node made; it goes when this is dropped.
pub struct Lent {
    directory: PathBuf,
    _open: UnixStream,
}

impl Lent {
    pub fn path(&self) -> &Path {
        &self.directory
    }
}

/// Asks the node that runs on a data directory for a checkpoint; `None` where none does.
#[expect(clippy::disallowed_methods, reason = "the node's own socket leads nowhere else")]
pub fn ask(data: &Path) -> anyhow::Result<Option<Lent>> {
    let path = data.join(SOCKET);
    let stream = match UnixStream::connect(&path) {
        Ok(stream) => stream,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let why = "permission denied for the socket";
            anyhow::bail!("{why} {} of the node; run the command as the user of the daemon", path.display())
        }
        Err(_) => return Ok(None),
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).context("the node did not answer on its control socket")?;
    match serde_json::from_str(&line).context("the node answered nonsense on its control socket")? {
        Reply::Checkpoint(directory) => Ok(Some(Lent { directory, _open: stream })),
        Reply::Error(reason) => anyhow::bail!("the node cannot make a checkpoint: {reason}"),
    }
}
