//! Stand-ins for what SWOOSH talks to: they speak the real wire format over real sockets.
//!
//! The integration tests compile these files as well, by path; so they know nothing of ours but `crate::types`.

pub mod kaching;
