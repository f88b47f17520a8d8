//! Notifications to the service manager (systemd's `sd_notify`): ready, reloading, stopping, status, alive.
//!
//! Without `NOTIFY_SOCKET` in the environment everything here does nothing. A failed notification is logged and
//! ignored: the node serves without a supervisor too.

use std::time::Duration;

use sd_notify::NotifyState;

/// How often the manager wants to hear of the process, where it does.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Whether there is a manager to tell.
pub fn is_there() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// The process is ready, and is so.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The process reads its settings again; [`ready`] ends that.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "the monotonic clock cannot be read for the service manager"),
    }
}

/// The process ends.
pub fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// The process is so.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// The process is alive.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager cannot be notified");
    }
}
