//! The one integration test binary: a module per topic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err, clippy::manual_is_multiple_of)]

mod daemon_basics;
mod decisions;
mod demo;
mod disk;
mod disk_faults;
mod durability;
mod feature_trees;
mod growth;
mod house_rules;
mod idempotency;
mod import_law;
mod kills;
mod model;
mod policies;
mod providers;
mod record_replay;
mod rejections;
mod replay;
mod scripts;
mod secrets;
mod serving;
mod source;
mod statechart;
mod support;
mod vectors;
