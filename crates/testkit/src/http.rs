//! HTTP/1.1 over one TCP stream, for tests and load that control every byte. Bodies have a content-length.
//!
//! [`Wire`] blocks, [`exchange`] and [`read`] are for tokio.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use swoosh_types::receipt::Receipt;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// How long a read waits before it fails as hung.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest message that is read from a tokio stream, in bytes.
const MESSAGE_LIMIT: usize = 8 << 20;
/// Ends the head.
const BLANK_LINE: &[u8] = b"\r\n\r\n";

/// A whole request or answer.
#[derive(Clone, Debug)]
pub struct Message {
    bytes: Vec<u8>,
    /// Length of the head with its blank line.
    head: usize,
}

impl Message {
    /// Bytes of which the head is whole; all else is the body.
    pub fn of(bytes: Vec<u8>) -> Message {
        let head = head_length(&bytes).unwrap_or(bytes.len());
        Message { bytes, head }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn body(&self) -> &[u8] {
        &self.bytes[self.head..]
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.body()).into_owned()
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        std::str::from_utf8(&self.bytes[..self.head]).unwrap_or_default().split("\r\n")
    }

    fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines().skip(1).filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim()))
    }

    /// The status of an answer; 0 if there is none.
    pub fn status(&self) -> u16 {
        let word = self.lines().next().and_then(|line| line.split(' ').nth(1));
        word.and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Length of the body; 0 if the head does not say.
    fn content_length(&self) -> usize {
        self.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)
    }

    pub fn is_post(&self) -> bool {
        self.bytes.starts_with(b"POST ")
    }
}

fn head_length(bytes: &[u8]) -> Option<usize> {
    bytes.windows(BLANK_LINE.len()).position(|window| window == BLANK_LINE).map(|at| at + BLANK_LINE.len())
}

/// Reads the next message; `None` if the other side closed before one began.
pub async fn read(stream: &mut tokio::net::TcpStream) -> io::Result<Option<Message>> {
    let mut bytes = Vec::with_capacity(8 << 10);
    let mut end = None;
    loop {
        if end.is_none() && head_length(&bytes).is_some() {
            let begun = Message::of(bytes);
            end = Some(begun.head.saturating_add(begun.content_length()));
            bytes = begun.bytes;
        }
        if end.is_some_and(|end| bytes.len() >= end) {
            return Ok(Some(Message::of(bytes)));
        }
        if bytes.len() > MESSAGE_LIMIT {
            return Err(io::Error::other(format!("a message is longer than {MESSAGE_LIMIT} bytes")));
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return if bytes.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    }
}

/// A connection for [`exchange`]; `from` is the caller's own address.
pub async fn connect(address: SocketAddr, from: Option<Ipv4Addr>) -> io::Result<tokio::net::TcpStream> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    if let Some(from) = from {
        socket.bind((from, 0).into())?;
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends a request and reads its answer.
pub async fn exchange(stream: &mut tokio::net::TcpStream, request: &[u8]) -> io::Result<Message> {
    stream.write_all(request).await?;
    let answer = read(stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    if answer.status() == 0 {
        return Err(io::Error::other(format!(
            "an answer without a status: {}",
            String::from_utf8_lossy(&answer.bytes)
        )));
    }
    Ok(answer)
}

/// An answer, in parts.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl From<Message> for Answer {
    fn from(message: Message) -> Answer {
        let headers = message.headers().map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Answer { status: message.status(), headers, body: message.body().to_vec() }
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    /// The code of a problem document; empty in any other.
    pub fn code(&self) -> String {
        let document: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        document["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The receipt of an accepted proposal.
    #[track_caller]
    pub fn receipt(&self) -> Receipt {
        assert_eq!(self.status, 202, "{}", self.text());
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A blocking connection.
pub struct Wire(BufReader<TcpStream>);

impl Wire {
    pub fn connect(address: SocketAddr) -> io::Result<Wire> {
        Wire::over(TcpStream::connect(address)?)
    }

    pub fn over(connected: TcpStream) -> io::Result<Wire> {
        connected.set_nodelay(true)?;
        connected.set_read_timeout(Some(PATIENCE))?;
        connected.set_write_timeout(Some(PATIENCE))?;
        Ok(Wire(BufReader::new(connected)))
    }

    /// Reads wait no longer than this.
    pub fn patience(&self, patience: Duration) -> io::Result<()> {
        self.0.get_ref().set_read_timeout(Some(patience))
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// All bytes until the node closes the connection.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads lines until one contains this text.
    pub fn wait_for(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the node closed the connection before {text:?}");
        }
    }

    /// Waits until the node closes the connection, and discards the bytes before.
    pub fn wait_for_end(&mut self) {
        let mut scrap = [0; 1024];
        loop {
            match self.0.read(&mut scrap) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return,
                Err(error) => panic!("the node did not close the connection: {error}"),
            }
        }
    }

    /// Reads one answer, and nothing behind it.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(BLANK_LINE) {
            if self.0.read_until(b'\n', &mut bytes)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let mut message = Message::of(bytes);
        if message.status() == 0 {
            return Err(io::Error::other(format!("no status in {:?}", String::from_utf8_lossy(&message.bytes))));
        }
        message.bytes.resize(message.head + message.content_length(), 0);
        self.0.read_exact(&mut message.bytes[message.head..])?;
        Ok(message.into())
    }

    /// Sends a request and reads its answer.
    pub fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.send(request)?;
        self.answer()
    }
}

/// The bytes of a request with these header lines.
pub fn request(method: &str, target: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\n").into_bytes();
    for header in headers {
        bytes.extend_from_slice(format!("{header}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// A proposal's request, with further header lines.
pub fn proposal(body: &[u8], headers: &[&str]) -> Vec<u8> {
    let length = format!("content-length: {}", body.len());
    let mut all = vec!["content-type: application/json", &length];
    all.extend_from_slice(headers);
    request("POST", "/transition", &all, body)
}

/// The request that reads a target.
pub fn get(target: &str) -> Vec<u8> {
    request("GET", target, &[], b"")
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const ACCEPTED: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nX-A: b\r\n\r\n{}";

    #[test]
    fn a_message_knows_its_parts() {
        let message = Message::of(ACCEPTED.to_vec());
        assert_eq!((message.status(), message.body()), (202, b"{}".as_slice()));
        assert_eq!((message.header("x-a"), message.header("x-b")), (Some("b"), None));
        assert!(!message.is_post() && Message::of(proposal(b"{}", &[])).is_post());
        assert_eq!(Message::of(b"nonsense\r\n\r\n".to_vec()).status(), 0);
    }

    /// The other side sends its bytes one after the other, and then closes.
    fn said(bytes: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            for byte in bytes {
                stream.write_all(&[*byte]).unwrap();
            }
            // Read to the end, so that no reset overtakes the bytes.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        });
        address
    }

    #[test]
    fn an_answer_that_arrives_in_pieces_is_read_whole() {
        let mut wire = Wire::connect(said(ACCEPTED)).unwrap();
        let answer = wire.answer().unwrap();
        assert_eq!((answer.status, answer.header("x-a"), answer.text().as_str()), (202, Some("b"), "{}"));
        assert_eq!(wire.answer().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_message_that_arrives_in_pieces_is_read_whole_and_an_end_within_one_is_an_error() {
        let mut stream = tokio::net::TcpStream::connect(said(ACCEPTED)).await.unwrap();
        let message = read(&mut stream).await.unwrap().unwrap();
        assert_eq!((message.status(), message.text().as_str()), (202, "{}"));
        assert!(read(&mut stream).await.unwrap().is_none());
        let mut cut = tokio::net::TcpStream::connect(said(&ACCEPTED[..30])).await.unwrap();
        assert_eq!(read(&mut cut).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn an_answer_without_a_status_is_an_error() {
        let mut stream = tokio::net::TcpStream::connect(said(b"nonsense\r\n\r\n")).await.unwrap();
        assert!(exchange(&mut stream, &get("/")).await.unwrap_err().to_string().contains("nonsense"));
    }
}
