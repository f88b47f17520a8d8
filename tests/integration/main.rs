//! One binary for all integration tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err, clippy::manual_is_multiple_of)]

mod model;
mod replay;
mod scripts;
mod support;
mod vectors;
