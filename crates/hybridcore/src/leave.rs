//! Leave to do work that reaches outside: asked before it begins, and again and again while it runs.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Why work must not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The caller cancelled the work.
    Cancelled,
    /// The network gate is closed: no valid license.
    GateClosed,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stop::Cancelled => "it was cancelled; run it again when it is wanted",
            Stop::GateClosed => "the network gate is closed, because no license is valid; it goes on when one is",
        })
    }
}

/// May stop work. The daemon's implementation combines its network gate and cancellations; the command line's is the
/// operator's interrupt.
pub trait Leave: Send + Sync {
    /// Why the work must stop, or `None` while it may go on. Asked about ten times a second.
    fn stop(&self) -> Option<Stop>;
}

/// Leave that never ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Always;

impl Leave for Always {
    fn stop(&self) -> Option<Stop> {
        None
    }
}

/// Leave that ends when it is cancelled; its clones end with it.
#[derive(Clone, Debug, Default)]
pub struct Cancellable(Arc<AtomicBool>);

impl Cancellable {
    /// Ends the leave, for good.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Leave for Cancellable {
    fn stop(&self) -> Option<Stop> {
        self.0.load(Ordering::Acquire).then_some(Stop::Cancelled)
    }
}
