//! The one integration test binary: a module per topic.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod daemon_basics;
mod durability;
mod feature_trees;
mod house_rules;
mod idempotency;
mod import_law;
mod rejections;
mod replay;
mod scripts;
mod source;
mod statechart;
mod support;
