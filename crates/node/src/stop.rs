//! Signals: hang up reads files again, the first stop drains, the second one does not wait.

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use swoosh_platform::shutdown::{StopSignal, StopSignals};

/// The signals as they concern the server.
pub struct Stops {
    /// Ready at the first SIGTERM or SIGINT.
    pub drain: oneshot::Receiver<()>,
    /// Ready at the second.
    pub hurry: oneshot::Receiver<()>,
    task: JoinHandle<()>,
}

/// Listens; `reload` is called at each SIGHUP, `draining` at the first stop.
pub fn listen(
    mut signals: StopSignals,
    reload: impl Fn() + Send + 'static,
    draining: impl Fn() + Send + 'static,
) -> Stops {
    let ((drain, drained), (hurry, hurried)) = (oneshot::channel(), oneshot::channel());
    let task = tokio::spawn(async move {
        for (stop, what) in [(drain, "draining"), (hurry, "not waiting for callers any longer")] {
            let signal = loop {
                match signals.next().await {
                    StopSignal::HangUp => reload(),
                    signal => break signal,
                }
            };
            tracing::info!(%signal, "{what}");
            draining();
            // The receiver is gone if the server ended by itself.
            let _ = stop.send(());
        }
    });
    Stops { drain: drained, hurry: hurried, task }
}

impl Drop for Stops {
    fn drop(&mut self) {
        self.task.abort();
    }
}
