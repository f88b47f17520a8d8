//! Conversions of the simulation's own constants, and lookups that cannot fail.
//!
//! A panic here is a bug of the instrument, never of what is looked at.

use std::fmt::Debug;
use std::str::FromStr;

use serde_json::Value;

use swoosh_types::hlc::Hlc;
use swoosh_types::json::Json;

/// A text of the simulation's own, read.
#[expect(clippy::expect_used, reason = "the simulation's own texts are well formed; a run of any length shows it")]
pub fn text<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().expect("a text of the simulation's own is well formed")
}

/// A value that is known to exist.
#[expect(clippy::expect_used, reason = "the caller names a value that it inserted itself")]
pub fn known<T>(found: Option<T>, name: &str) -> T {
    found.ok_or(name).expect("the simulation put it there itself")
}

/// A JSON value of the simulation's own as a strict one.
#[expect(clippy::expect_used, reason = "the simulation's own documents hold no floats and no duplicate keys")]
pub fn strict(value: &Value) -> Json {
    Json::parse(value.to_string().as_bytes()).expect("a document of the simulation's own is strict JSON")
}

/// A clock reading at a simulated time, which never passes the year 9999.
pub fn reading(physical_ms: u64) -> Hlc {
    Hlc::new(physical_ms, 0).unwrap_or_default()
}
