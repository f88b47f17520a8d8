//! The thread that writes a member's log.

use std::io;
use std::sync::PoisonError;
use std::thread::JoinHandle;

use super::MemberLog;

/// The thread of one log. Dropped, it writes what waits and ends.
pub struct LogThread {
    log: MemberLog,
    thread: Option<JoinHandle<()>>,
}

impl MemberLog {
    /// Starts the thread that writes.
    pub fn spawn(&self) -> io::Result<LogThread> {
        let log = self.clone();
        let run = move || {
            while !log.wait() {
                log.work();
            }
            log.work();
        };
        let thread = std::thread::Builder::new().name("cluster-log".to_owned()).spawn(run)?;
        Ok(LogThread { log: self.clone(), thread: Some(thread) })
    }

    /// Waits for a change; whether the thread is to stop.
    fn wait(&self) -> bool {
        let front = self.0.front();
        let waits = |front: &mut super::log::Front| front.is_idle() && !front.stops;
        let front = self.0.wake.wait_while(front, waits).unwrap_or_else(PoisonError::into_inner);
        front.stops
    }
}

impl Drop for LogThread {
    fn drop(&mut self) {
        self.log.0.front().stops = true;
        self.log.0.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of a waiter ended it; the waiters behind it were dropped.
            drop(thread.join());
        }
    }
}
