//! The two threads of the pipeline.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use super::{Observer, StartError};

/// Starts a thread of the pipeline. The process is worth nothing without it: callers would wait for ever while the node
/// looks well. A panic there therefore aborts the process, and a restart recovers from the journal.
pub(super) fn spawn(
    name: &'static str,
    observer: Arc<dyn Observer>,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, StartError> {
    let guarded = move || {
        // Nothing that the panic left behind is looked at again.
        if catch_unwind(AssertUnwindSafe(run)).is_err() {
            observer.thread_panicked(name);
            std::process::abort();
        }
    };
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(guarded);
    thread.map_err(|error| StartError::Thread(name, error))
}
