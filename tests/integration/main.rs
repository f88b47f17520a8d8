//! The one integration test binary: a module per topic.

#![allow(
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::result_large_err,
    clippy::manual_is_multiple_of
)]

mod agents;
mod authority;
mod backup;
mod breaches;
mod chart;
mod ci_steps;
mod clocks;
mod compat;
mod console;
mod contributing;
mod daemon_basics;
mod damage;
mod dashboards;
mod decisions;
mod deploy;
mod disk;
mod disk_faults;
mod dist;
mod dry_run;
mod durability;
mod effects;
mod examples;
mod exports;
mod follow;
mod fuzz;
mod growth;
mod help;
mod house_rules;
mod hybridcore_config;
mod idempotency;
mod identities;
mod inputs;
mod kills;
mod known_nodes;
mod lab;
mod license;
mod losses;
mod migration;
mod mission;
mod model;
mod named_commands;
mod network_gate;
mod order;
mod packer;
mod policies;
mod providers;
mod pushed_facts;
mod quick_start;
mod readme;
mod recipes;
mod record_replay;
mod rejections;
mod replay;
mod requirements;
mod runbooks;
mod safeguards;
mod scripts;
mod sdk_tests;
mod sdks;
mod secrets;
mod serving;
mod simulation;
mod sources;
mod statechart;
mod stuck_disk;
mod supervision;
mod support;
mod terminal;
mod threats;
mod traces;
mod traps;
mod upgrade;
mod vectors;
mod volumes;
mod waiting;

mod workspace;
mod yaml;
