//! The socket by which the node's own user asks after the clock and corrects it, in the data directory.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::clock::{ClockDesk, ClockView};
use super::local_socket::LocalSocket;

/// The socket in a data directory.
const SOCKET: &str = "clock.sock";
/// Bytes of one request.
const REQUEST_BYTES: u64 = 64;
/// Longer than an answer takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request to the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// How the clock is.
    Show,
    /// The clock is right as it is.
    Accept,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Clock(ClockView),
    Error(String),
}

/// The socket of a running node.
pub struct ClockSocket(#[expect(dead_code, reason = "held until it is dropped")] LocalSocket);

impl ClockSocket {
    /// Listens in a data directory; only the node's own user can open it.
    pub fn listen(data: &Path, desk: Arc<ClockDesk>) -> anyhow::Result<ClockSocket> {
        let serve = move |stream: UnixStream| {
            if let Err(error) = answer(&stream, &desk) {
                tracing::debug!(%error, "the clock's socket was not read");
            }
        };
        Ok(ClockSocket(LocalSocket::listen(data.join(SOCKET), "clock", serve)?))
    }
}

fn answer(stream: &UnixStream, desk: &ClockDesk) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.set_write_timeout(Some(Duration::from_secs(1)))?;
    let mut line = String::new();
    BufReader::new(stream.take(REQUEST_BYTES)).read_line(&mut line)?;
    let reply = match serde_json::from_str(&line) {
        Ok(Ask::Show) => Reply::Clock(desk.view()),
        Ok(Ask::Accept) => desk.accept().map_or_else(|error| Reply::Error(format!("{error:#}")), Reply::Clock),
        Err(error) => Reply::Error(format!("the request is none: {error}")),
    };
    let mut bytes = serde_json::to_vec(&reply)?;
    bytes.push(b'\n');
    let mut stream = stream;
    stream.write_all(&bytes)
}

/// Why a socket does not answer. A user who may not open it learns nothing about the node.
fn unanswered(data: &Path, path: &Path, error: io::Error) -> anyhow::Error {
    let (data, path) = (data.display(), path.display());
    let why = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("permission denied for the socket {path} of the node; run the command as the user of the daemon")
        }
        _ => format!("no node runs on {data} (its socket {path} does not answer); start it first"),
    };
    anyhow::Error::new(error).context(why)
}

/// Asks the node that runs on a data directory.
#[expect(clippy::disallowed_methods, reason = "the node's own socket leads nowhere else")]
pub fn ask(data: &Path, ask: Ask) -> anyhow::Result<ClockView> {
    let path = data.join(SOCKET);
    let mut stream = UnixStream::connect(&path).map_err(|error| unanswered(data, &path, error))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{}\n", serde_json::to_string(&ask)?).as_bytes())?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).context("the node did not answer")?;
    match serde_json::from_str(&line).context("the node's answer cannot be read")? {
        Reply::Clock(view) => Ok(view),
        Reply::Error(reason) => anyhow::bail!("the node does not accept the clock: {reason}"),
    }
}
