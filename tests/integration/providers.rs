//! The providers, in a real daemon, against stand-ins on real sockets that come, go and misbehave.

mod backbeat;
mod churn;
mod listing;
mod mcp;
mod polled;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::daemon::Site;

/// Waits until something is so, which it must be within a minute.
#[track_caller]
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !so() {
        assert!(Instant::now() < deadline, "{what}: it did not come to that");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A site whose platform says licenses alone: the rest is for providers to find out.
pub fn site(schedule: Value, change: impl FnOnce(&mut Value)) -> Site {
    Site::with(schedule, |settings| {
        let license = settings["facts"]["sources"]["license"].clone();
        settings["facts"]["sources"] = json!({"license": license});
        change(settings);
    })
}
