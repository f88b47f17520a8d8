//! Frames over one connection, each with a deadline.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use crate::wire::{FrameBuffer, Message, WireError, decode, encode};

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    #[error("it broke: {0}")]
    Broken(String),
    #[error("it was cut off in the middle of a frame")]
    CutOff,
    #[error("the other side ended it")]
    Ended,
    #[error("the other side closed it: {0}")]
    Closed(String),
    #[error("a frame was not whole within {0:?}")]
    SlowFrame(Duration),
    #[error("the other side read nothing for {0:?}")]
    SlowReader(Duration),
    #[error("nothing arrived in time")]
    Silent,
    #[error("a frame is not of this wire: {0}")]
    Wire(#[from] WireError),
    #[error("a message of another kind was expected")]
    Unexpected,
    #[error("a newer connection of the same member replaced it")]
    Replaced,
    #[error("the dialer is no member any more")]
    NoMember,
    #[error("the member stops")]
    Stopping,
}

/// Bytes of one read. A length in a frame reserves nothing.
const CHUNK: usize = 64 << 10;

/// Reads frames. [`Reader::frame`] may be dropped and called again without loss.
pub(super) struct Reader<I> {
    io: I,
    chunk: Box<[u8]>,
    buffer: FrameBuffer,
    /// When the first byte of the present frame arrived.
    begun: Option<Instant>,
    slowest: Duration,
}

impl<I: AsyncRead + Unpin> Reader<I> {
    pub(super) fn new(io: I, most: usize, slowest: Duration) -> Reader<I> {
        let chunk = vec![0; CHUNK].into_boxed_slice();
        Reader { io, chunk, buffer: FrameBuffer::new(most), begun: None, slowest }
    }

    pub(super) fn set_most(&mut self, most: usize) {
        self.buffer.set_most(most);
    }

    /// The next frame; fails if none begins until the deadline, or one that began is not whole in time.
    pub(super) async fn frame(&mut self, until: Instant) -> Result<Vec<u8>, ConnectionError> {
        loop {
            if let Some(frame) = self.buffer.next_frame()? {
                self.begun = (!self.buffer.is_empty()).then(Instant::now);
                return Ok(frame);
            }
            let deadline = self.begun.map_or(until, |begun| begun + self.slowest);
            let read = timeout_at(deadline, self.io.read(&mut self.chunk)).await;
            let read = read.map_err(|_| match self.begun {
                Some(_) => ConnectionError::SlowFrame(self.slowest),
                None => ConnectionError::Silent,
            })?;
            match read {
                Ok(0) if self.buffer.is_empty() => return Err(ConnectionError::Ended),
                Ok(0) => return Err(ConnectionError::CutOff),
                Ok(read) => self.take(read),
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Err(ConnectionError::CutOff),
                Err(error) => return Err(ConnectionError::Broken(error.to_string())),
            }
        }
    }

    /// Discards what arrives until the other side ends the connection. Closing with unread bytes would reset it, and the reason that
    /// was written last could be lost.
    pub(super) async fn drain(mut self, grace: Duration) {
        let discard = async { while self.io.read(&mut self.chunk).await.is_ok_and(|read| read > 0) {} };
        drop(timeout(grace, discard).await);
    }

    fn take(&mut self, read: usize) {
        self.buffer.extend(self.chunk.get(..read).unwrap_or_default());
        self.begun.get_or_insert_with(Instant::now);
    }

    /// The next message but those that only show that the other side is alive, and how many bytes its frame has.
    pub(super) async fn message(&mut self, until: Instant) -> Result<(Message, usize), ConnectionError> {
        let frame = self.frame(until).await?;
        match decode(&frame)? {
            Message::Close { why } => Err(ConnectionError::Closed(super::short(&why))),
            message => Ok((message, frame.len())),
        }
    }
}

/// Writes frames. A write that was dropped leaves half a frame: then the connection is over.
pub(super) struct Writer<O> {
    io: O,
    slowest: Duration,
}

impl<O: AsyncWrite + Unpin> Writer<O> {
    pub(super) fn new(io: O, slowest: Duration) -> Writer<O> {
        Writer { io, slowest }
    }

    pub(super) async fn frame(&mut self, frame: &[u8]) -> Result<(), ConnectionError> {
        let write = async {
            self.io.write_all(frame).await?;
            self.io.flush().await
        };
        match timeout(self.slowest, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(ConnectionError::Broken(error.to_string())),
            Err(_) => Err(ConnectionError::SlowReader(self.slowest)),
        }
    }

    pub(super) async fn message(&mut self, message: &Message) -> Result<(), ConnectionError> {
        let frame = encode(message)?;
        self.frame(&frame).await
    }

    /// Says why, and ends the connection in order. Errors do not matter any more.
    pub(super) async fn close(mut self, why: &str, grace: Duration) {
        drop(timeout(grace, self.message(&Message::Close { why: super::short(why) })).await);
        self.end(grace).await;
    }

    pub(super) async fn end(mut self, grace: Duration) {
        drop(timeout(grace, self.io.shutdown()).await);
    }
}

/// Writes what is queued, until the queue is closed or the dialer has nothing to say for too long: then it shows that it is alive.
pub(super) async fn write_queued<O: AsyncWrite + Unpin>(
    mut writer: Writer<O>,
    mut queue: mpsc::Receiver<Vec<u8>>,
    alive: Option<Duration>,
    grace: Duration,
) -> Result<(), ConnectionError> {
    loop {
        let next = match alive {
            Some(alive) => timeout(alive, queue.recv()).await,
            None => Ok(queue.recv().await),
        };
        match next {
            Ok(Some(frame)) => writer.frame(&frame).await?,
            Ok(None) => break,
            Err(_) => writer.message(&Message::Alive).await?,
        }
    }
    writer.end(grace).await;
    Ok(())
}

/// So far away that it means never.
pub(super) fn never() -> Instant {
    Instant::now() + Duration::from_secs(30 * 365 * 24 * 60 * 60)
}
