//! Whole HTTP/1.1 messages with a content-length, as the clients, the node and the proxy between them send them.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The longest message that is read, in bytes.
const MESSAGE_LIMIT: usize = 8 << 20;

/// A request or an answer, whole.
#[derive(Clone, Debug)]
pub(super) struct Message {
    bytes: Vec<u8>,
    body: usize,
}

impl Message {
    /// A request that is whole already.
    pub fn request(bytes: Vec<u8>) -> Message {
        let body = head_end(&bytes).unwrap_or(bytes.len());
        Message { bytes, body }
    }

    /// Everything.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What follows the head.
    pub fn body(&self) -> &[u8] {
        self.bytes.get(self.body..).unwrap_or_default()
    }

    fn head(&self) -> &[u8] {
        self.bytes.get(..self.body).unwrap_or_default()
    }

    /// The status of an answer; 0 where there is none.
    pub fn status(&self) -> u16 {
        let text = self.head().get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
        text.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Whether there is such a header.
    pub fn has(&self, name: &str) -> bool {
        header(self.head(), name).is_some()
    }

    /// Whether it is a proposal.
    pub fn is_post(&self) -> bool {
        self.bytes.starts_with(b"POST ")
    }
}

/// Where the body begins.
fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

fn header<'h>(head: &'h [u8], name: &str) -> Option<&'h str> {
    let lines = std::str::from_utf8(head).ok()?.split("\r\n");
    let mut named = lines.filter_map(|line| line.split_once(':'));
    named.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// Reads the next message; none where the other side closed before one began.
pub(super) async fn read(stream: &mut TcpStream) -> io::Result<Option<Message>> {
    let mut bytes = Vec::with_capacity(4 << 10);
    loop {
        if let Some(body) = head_end(&bytes) {
            let head = bytes.get(..body).unwrap_or_default();
            let length = header(head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            if bytes.len() >= body.saturating_add(length) {
                return Ok(Some(Message { bytes, body }));
            }
        }
        if bytes.len() > MESSAGE_LIMIT {
            return Err(io::Error::other("a message is longer than 8 MiB"));
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return if bytes.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    }
}

/// Sends a request and reads the answer to it.
pub(super) async fn exchange(stream: &mut TcpStream, request: &Message) -> io::Result<Message> {
    stream.write_all(request.bytes()).await?;
    read(stream).await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_knows_its_parts() {
        let message = Message::request(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nX-A: b\r\n\r\n{}".to_vec());
        assert_eq!((message.status(), message.body()), (202, b"{}".as_slice()));
        assert!(message.has("x-a") && !message.has("x-b") && !message.is_post());
    }
}
