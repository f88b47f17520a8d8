//! As little of HTTP/1.1 as the load needs: whole requests out, status and header out of answers with a
//! content-length. The load shares the machine with what it measures, so it must cost next to nothing.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// The longest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 1 << 20;

/// A connection that is kept.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What matters of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub status: u16,
    /// Whether the receipt had been given before.
    pub replayed: bool,
    /// Where the body begins in the buffer.
    body: usize,
}

/// The request that posts a proposal.
pub(crate) fn post(body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST /transition HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// The request that reads.
pub(crate) fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes()
}

/// A stream to the daemon, from an address of one's own choice.
pub(crate) async fn connect(address: SocketAddr, from: Option<Ipv4Addr>) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(from) = from {
        socket.bind((from, 0).into())?;
    }
    socket.connect(address).await.context("cannot connect to the daemon")
}

impl Connection {
    pub async fn open(address: SocketAddr) -> anyhow::Result<Connection> {
        Connection::over(connect(address, None).await?)
    }

    /// Over a stream that is connected.
    pub fn over(stream: TcpStream) -> anyhow::Result<Connection> {
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: Vec::with_capacity(8 << 10) })
    }

    /// Sends a request and reads the whole answer.
    pub async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Reply> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if let Some((reply, end)) = parse(&self.buffer)?
                && self.buffer.len() >= end
            {
                return Ok(reply);
            }
            anyhow::ensure!(self.buffer.len() < ANSWER_LIMIT, "the answer is longer than {ANSWER_LIMIT} bytes");
            anyhow::ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the daemon closed the connection");
        }
    }

    /// The body of the last answer.
    pub fn body(&self, reply: Reply) -> &[u8] {
        self.buffer.get(reply.body..).unwrap_or_default()
    }
}

/// The head of an answer and where the answer ends; `None` while the head is not whole.
fn parse(bytes: &[u8]) -> anyhow::Result<Option<(Reply, usize)>> {
    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(bytes.get(..head).unwrap_or_default())?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("the answer has no status")?.parse()?;
    let (mut length, mut replayed) = (0, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse()?;
        } else if name.eq_ignore_ascii_case("idempotency-replayed") {
            replayed = true;
        }
    }
    let body = head + 4;
    Ok(Some((Reply { status, replayed, body }, body + length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_when_its_head_is_whole() {
        let whole = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nidempotency-replayed: true\r\n\r\n{}";
        let (reply, end) = parse(whole).unwrap().unwrap();
        assert_eq!((reply.status, reply.replayed, end), (202, true, whole.len()));
        assert_eq!(parse(&whole[..40]).unwrap(), None);
        assert!(parse(b"nonsense\r\n\r\n").is_err());
    }
}
