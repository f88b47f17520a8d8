//! The one integration test binary: a module per topic.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod disk;
mod feature_trees;
mod house_rules;
mod import_law;
mod scripts;
mod source;
mod statechart;
mod support;
