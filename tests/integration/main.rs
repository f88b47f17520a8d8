//! The one integration test binary: a module per topic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err, clippy::manual_is_multiple_of)]

mod authority;
mod backup;
mod bench;
mod breaches;
mod chaos;
mod clocks;
mod compat;
mod daemon_basics;
mod damage;
mod dashboards;
mod decisions;
mod demo;
mod deploy;
mod disk;
mod disk_faults;
mod dry_run;
mod durability;
mod effects;
mod exports;
mod feature_trees;
mod follow;
mod fuzz;
mod growth;
mod house_rules;
mod hybridcore_config;
mod hybridcore_crates;
mod idempotency;
mod identities;
mod import_law;
mod kills;
mod license;
mod losses;
mod migration;
mod model;
mod named_commands;
mod network_gate;
mod packer;
mod policies;
mod providers;
mod pushed_facts;
mod record_replay;
mod rejections;
mod replay;
mod requirements;
mod runbooks;
mod safeguards;
mod scripts;
mod secrets;
mod serving;
mod simulation;
mod source;
mod sources;
mod statechart;
mod stuck_disk;
mod supervision;
mod support;
mod traces;
mod upgrade;
mod vectors;
mod ways_out;

// The stand-ins of the demo are compiled here too, and name our types as the library does.
use swoosh::types;
