use swoosh_types::canonical::{CanonicalError, DecodeError};

/// Bytes are no frame of this wire, or a message has none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("a frame of {bytes} bytes is over the bound of {most}")]
    FrameTooLong { bytes: u64, most: u64 },
    #[error("a header of {bytes} bytes is over the bound of {most}")]
    HeaderTooLong { bytes: u64, most: u64 },
    #[error("the frame is cut off")]
    Truncated,
    #[error("{0} bytes follow the frame or its last blob")]
    Leftover(u64),
    #[error("the frame has version {found}; version {expected} is read here")]
    Version { found: u8, expected: u8 },
    #[error("the header has another form: {0}")]
    Form(#[from] DecodeError),
    #[error("the header is not in its canonical form")]
    NotCanonical,
    #[error("the message cannot be written: {0}")]
    Unwritable(#[from] CanonicalError),
}
