//! A pure test world. `inputs` and `route` make valid proposals out of a state and keys alone and know
//! nothing of judging, so that tests over HTTP can use them; `world` judges in-process. `daemon` runs the real
//! program, `http` talks to it, and `driver` drives a project in it.
#![allow(dead_code, reason = "each test module uses its own part")]

pub mod daemon;
pub mod driver;
pub mod hands;
pub mod http;
pub mod inputs;
pub mod outside;
pub mod route;
#[path = "../../../src/cli/demo/standins/mod.rs"]
pub mod standins;
pub mod wal;
pub mod world;

use swoosh::types::json::Json;

/// A loose JSON value as the strict one that proposals carry.
pub fn strict(value: &serde_json::Value) -> Json {
    Json::parse(&serde_json::to_vec(value).unwrap()).unwrap_or_else(|error| panic!("{error}: {value}"))
}
