//! Frames in a stream of bytes.

use super::WireError;

/// Longest frame in bytes, without the four of its length. A read for replication ends after about 4 MiB but may add one batch of
/// 4 MiB and one record.
pub const MAX_FRAME: usize = 16 << 20;

/// Longest header in bytes.
pub const MAX_HEADER: usize = 1 << 20;

/// Longest frame before the handshake is over: nothing is known yet about the other side.
pub const MAX_HANDSHAKE: usize = 16 << 10;

const LENGTH: usize = 4;
/// Version and length of the header.
const FIXED: usize = 5;

/// A frame's header, still as bytes, and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts<'f> {
    pub(super) header: &'f [u8],
    pub(super) blobs: &'f [u8],
}

/// A frame of one header; the blobs are appended by [`Draft::push`].
pub(super) struct Draft(Vec<u8>);

impl Draft {
    pub(super) fn new(version: u8, header: &[u8], blobs: usize) -> Result<Draft, WireError> {
        if header.len() > MAX_HEADER {
            return Err(WireError::HeaderTooLong { bytes: header.len() as u64, most: MAX_HEADER as u64 });
        }
        let length = FIXED + header.len() + blobs;
        if length > MAX_FRAME {
            return Err(WireError::FrameTooLong { bytes: length as u64, most: MAX_FRAME as u64 });
        }
        let mut bytes = Vec::with_capacity(LENGTH + length);
        bytes.extend_from_slice(&(length as u32).to_be_bytes());
        bytes.push(version);
        bytes.extend_from_slice(&(header.len() as u32).to_be_bytes());
        bytes.extend_from_slice(header);
        Ok(Draft(bytes))
    }

    pub(super) fn push(&mut self, blob: &[u8]) {
        self.0.extend_from_slice(blob);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Takes a whole frame apart.
pub(super) fn parts(frame: &[u8], version: u8) -> Result<Parts<'_>, WireError> {
    let (length, content) = frame.split_first_chunk::<LENGTH>().ok_or(WireError::Truncated)?;
    let length = u32::from_be_bytes(*length) as usize;
    check_length(length, MAX_FRAME)?;
    if content.len() > length {
        return Err(WireError::Leftover((content.len() - length) as u64));
    }
    let (&[found, a, b, c, d], rest) = content.split_first_chunk::<FIXED>().ok_or(WireError::Truncated)?;
    if found != version {
        return Err(WireError::Version { found, expected: version });
    }
    let header = u32::from_be_bytes([a, b, c, d]) as usize;
    if header > MAX_HEADER {
        return Err(WireError::HeaderTooLong { bytes: header as u64, most: MAX_HEADER as u64 });
    }
    if content.len() < length {
        return Err(WireError::Truncated);
    }
    let (header, blobs) = rest.split_at_checked(header).ok_or(WireError::Truncated)?;
    Ok(Parts { header, blobs })
}

fn check_length(length: usize, most: usize) -> Result<(), WireError> {
    if length > most {
        return Err(WireError::FrameTooLong { bytes: length as u64, most: most as u64 });
    }
    Ok(())
}

/// Bytes that arrived and are no whole frame yet. It holds at most one frame and what was added with its end; a length over the bound
/// is refused before anything of the frame is kept.
#[derive(Debug)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    most: usize,
}

impl FrameBuffer {
    /// `most` bounds a frame, without the four bytes of its length.
    pub fn new(most: usize) -> FrameBuffer {
        FrameBuffer { bytes: Vec::new(), most: most.min(MAX_FRAME) }
    }

    /// Another bound, for frames from here on: after the handshake.
    pub fn set_most(&mut self, most: usize) {
        self.most = most.min(MAX_FRAME);
    }

    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame, its length included; none where more bytes are needed.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>, WireError> {
        let Some(length) = self.bytes.first_chunk::<LENGTH>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        check_length(length, self.most)?;
        let end = LENGTH + length;
        if self.bytes.len() < end {
            return Ok(None);
        }
        let rest = self.bytes.split_off(end);
        Ok(Some(std::mem::replace(&mut self.bytes, rest)))
    }

    /// Whether the beginning of a frame has arrived.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}
