//! Notifications to a service manager: ready, reloading, stopping, status, and alive.

use std::time::Duration;

use swoosh_platform::supervisor;
use swoosh_sequencer::{Handle, Mode};
use swoosh_types::words::count;

/// How often the status line is renewed without a watchdog.
const STATUS_EVERY: Duration = Duration::from_secs(10);

/// Tells a service manager of a node.
#[derive(Clone)]
pub struct Supervised {
    handle: Handle,
    address: String,
}

impl Supervised {
    /// Says that the node serves at an address.
    pub fn ready(handle: Handle, address: String) -> Supervised {
        let supervised = Supervised { handle, address };
        supervisor::ready(&supervised.status());
        supervised
    }

    /// Reloads, and says so before and after.
    pub fn reload(&self, work: impl FnOnce()) {
        supervisor::reloading();
        work();
        supervisor::ready(&self.status());
    }

    /// Says that the node drains.
    pub fn stopping(&self) {
        supervisor::stopping("draining: accepted requests are answered");
    }

    /// Reports the node's status forever, and that it is alive as long as its sequencer takes work. Returns at once
    /// without a service manager.
    pub async fn watch(self) {
        if !supervisor::is_there() {
            return;
        }
        let watchdog = supervisor::watchdog_interval();
        // Twice as often as the manager wants it, so that one late wake-up does not kill the node.
        let pause = watchdog.map_or(STATUS_EVERY, |interval| (interval / 2).min(STATUS_EVERY));
        loop {
            tokio::time::sleep(pause).await;
            if let Some(interval) = watchdog {
                // The remaining patience of the manager.
                match self.handle.works_within(interval.saturating_sub(pause)).await {
                    true => supervisor::alive(),
                    false => {
                        tracing::error!("the sequencer gives no sign of life; the service manager may end the node")
                    }
                }
            }
            if self.handle.status().mode != Mode::Draining {
                supervisor::status(&self.status());
            }
        }
    }

    fn status(&self) -> String {
        let status = self.handle.status();
        let mode = match (&status.mode, &status.clock_unsafe) {
            (Mode::Draining, _) => "draining".to_owned(),
            (Mode::Refusing(reason), _) => format!("refusing: {reason}"),
            (Mode::ReadOnly(reason), _) => format!("read-only: {reason}"),
            (Mode::Following(reason), _) => reason.clone(),
            (Mode::Accepting, Some(reason)) => format!("refusing: {reason}"),
            (Mode::Accepting, None) => match &status.stalled {
                Some(reason) => format!("stalled: {reason}"),
                None => "accepting".to_owned(),
            },
        };
        // One line: a manager takes no other.
        let mode: String = mode.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let (records, projects) = (count(status.last_index, "record"), count(status.heads as u64, "project"));
        format!("{mode}; {}, {records}, {projects} in memory", self.address)
    }
}
