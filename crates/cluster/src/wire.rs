//! The wire between members: frames, their bounds, and the messages in them. docs/cluster-wire.md describes it for other programs.
//!
//! A frame is `length ‖ version ‖ header length ‖ header ‖ blobs`. The header is RFC 8785 JSON in its one canonical form. Records,
//! objects and notes follow as the bytes that are stored and hashed; the header names their lengths. [`encode`] and [`decode`] are
//! pure; [`FrameBuffer`] cuts a stream of bytes into frames.

mod error;
mod frame;
mod handshake;
mod message;
mod rows;
#[cfg(test)]
mod tests;

pub use error::WireError;
pub use frame::{FrameBuffer, MAX_FRAME, MAX_HANDSHAKE, MAX_HEADER};
pub use handshake::{Boot, Handshake, Hello, HelloRefusal, Purpose, Versions, decode_handshake, encode_handshake};
pub use message::{Failure, Message, Outcome, decode, encode};

/// The version of the messages after the handshake that this program writes and reads.
pub const WIRE_VERSION: u8 = 1;
