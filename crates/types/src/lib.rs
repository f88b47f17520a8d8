//! The words that every layer shares: names, hashes, clocks, signed documents and their bytes.
//!
//! **Architecture invariant.** `types` imports nothing of ours, and knows no clock, no randomness, no
//! environment, no file, no network, and no hash-ordered map.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod back_off;
pub mod backbeat;
pub mod canonical;
pub mod civil;
pub mod cluster;
pub mod content_flag;
pub mod council;
#[cfg(feature = "counting")]
pub mod counts;
pub mod decision;
pub mod development;
pub mod event_id;
pub mod fact;
pub mod feed;
pub mod forms;
pub mod hash;
pub mod hlc;
pub mod host;
pub mod ids;
pub mod incarnation;
pub mod inputs;
pub mod json;
pub mod keys;
pub mod legacy_grant;
pub mod migration;
pub mod names;
pub mod proposal;
pub mod read;
pub mod receipt;
pub mod record;
pub mod rejection;
pub mod secret;
pub mod server_events;
pub mod shared_map;
pub mod sorted_map;
pub mod text;
pub mod trace;
pub mod ucxl;
pub mod url_prefix;
pub mod url_text;
pub mod verify;
pub mod words;
pub mod yaml;
