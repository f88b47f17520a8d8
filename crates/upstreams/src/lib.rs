//! The commands that need git alone: `sources` and `upstreams`. The command line of swoosh has both; the small binary
//! `swoosh-upstreams` of this crate has nothing else, so that `make fetch` and `make validate` build no store.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

pub mod sources;
pub mod upstreams;
