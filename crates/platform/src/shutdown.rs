//! Signals that ask the daemon to stop.

use std::fmt;
use std::io;

use tokio::signal::unix::{self, SignalKind};

/// A signal that asks the daemon to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGTERM: a service manager.
    Terminate,
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGHUP: the terminal is gone.
    HangUp,
}

impl fmt::Display for StopSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StopSignal::Terminate => "SIGTERM",
            StopSignal::Interrupt => "SIGINT",
            StopSignal::HangUp => "SIGHUP",
        })
    }
}

/// Listens for the signals; while it lives, none of them ends the process by itself.
#[derive(Debug)]
pub struct StopSignals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hang_up: unix::Signal,
}

impl StopSignals {
    /// Begins to listen. Needs a tokio runtime.
    pub fn listen() -> io::Result<StopSignals> {
        Ok(StopSignals {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            hang_up: unix::signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal. Await it once to drain, and again to give up waiting for the drain.
    pub async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.terminate.recv() => StopSignal::Terminate,
            _ = self.interrupt.recv() => StopSignal::Interrupt,
            _ = self.hang_up.recv() => StopSignal::HangUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hears_each_signal_sent_to_the_process() {
        let mut signals = StopSignals::listen().unwrap();
        for signal in [StopSignal::Terminate, StopSignal::Interrupt, StopSignal::HangUp] {
            let name = signal.to_string().replace("SIG", "-");
            let sent =
                std::process::Command::new("kill").args([name, std::process::id().to_string()]).status().unwrap();
            assert!(sent.success());
            assert_eq!(signals.next().await, signal);
        }
    }
}
