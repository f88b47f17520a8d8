//! The version of HTTP that a connection speaks, by its first bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// What an HTTP/2 client sends first (RFC 9113 §3.4).
const PREFACE: &[u8; LENGTH] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const LENGTH: usize = 24;

/// The first bytes of a connection, to be read again by the one who speaks its version.
#[derive(Default)]
pub(super) struct Preface {
    bytes: [u8; LENGTH],
    length: usize,
    read: usize,
}

impl Preface {
    /// Reads until the bytes differ from the preface of HTTP/2, or are all of it. Whether they are.
    pub fn poll_is_http2<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<bool>> {
        while self.length < LENGTH {
            let mut buffer = ReadBuf::new(&mut self.bytes[self.length..]);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
            let came = buffer.filled().len();
            self.length += came;
            if came == 0 || self.bytes[..self.length] != PREFACE[..self.length] {
                return Poll::Ready(Ok(false));
            }
        }
        Poll::Ready(Ok(true))
    }

    /// Bytes that are not read again yet.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.read..self.length]
    }

    /// Gives the next of them to a reader.
    pub fn read_again(&mut self, buffer: &mut ReadBuf<'_>) {
        let length = self.rest().len().min(buffer.remaining());
        buffer.put_slice(&self.rest()[..length]);
        self.read += length;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn is_http2(parts: &[&[u8]]) -> (bool, Vec<u8>) {
        let (mut client, mut server) = tokio::io::duplex(64);
        let mut preface = Preface::default();
        for part in &parts[..parts.len() - 1] {
            client.write_all(part).await.unwrap();
            assert!(futures::poll!(poll_fn(|cx| preface.poll_is_http2(&mut server, cx))).is_pending());
        }
        client.write_all(parts[parts.len() - 1]).await.unwrap();
        drop(client);
        let is_http2 = poll_fn(|cx| preface.poll_is_http2(&mut server, cx)).await.unwrap();
        let mut all = preface.rest().to_vec();
        server.read_to_end(&mut all).await.unwrap();
        (is_http2, all)
    }

    #[tokio::test]
    async fn the_preface_is_known_in_any_pieces_and_no_byte_is_lost() {
        let whole: Vec<&[u8]> = PREFACE.chunks(1).collect();
        assert_eq!(is_http2(&whole).await, (true, PREFACE.to_vec()));
        assert_eq!(
            is_http2(&[b"PRI * HTTP/2.0\r\n", b"\r\nSM\r\n\r\nmore"]).await,
            (true, [&PREFACE[..], b"more"].concat())
        );
        for other in [
            &b"PUT / HTTP/1.1\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nXM\r\n\r\n",
            b"",
        ] {
            assert_eq!(is_http2(&[other]).await, (false, other.to_vec()));
        }
        assert_eq!(is_http2(&[b"P", b"OST"]).await, (false, b"POST".to_vec()));
    }

    #[test]
    fn bytes_are_read_again_once_and_in_any_pieces() {
        let mut preface = Preface { length: 3, ..Preface::default() };
        preface.bytes[..3].copy_from_slice(b"GET");
        let mut space = [0; 2];
        for (expected, rest) in [(&b"GE"[..], 1), (b"T", 0), (b"", 0)] {
            let mut buffer = ReadBuf::new(&mut space);
            preface.read_again(&mut buffer);
            assert_eq!((buffer.filled(), preface.rest().len()), (expected, rest));
        }
    }
}
