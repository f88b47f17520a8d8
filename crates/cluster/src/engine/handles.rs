//! Knows when the engine has dropped all of its handles.
//!
//! A stopped engine returns before its state machine, its readers and its replication have ended. They may still read and apply, so a
//! directory is left only when no handle is alive.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::channel::oneshot;
use futures::future::Shared;

/// One is in each of the engine's readers, logs, state machines and clients.
#[derive(Clone)]
pub(super) struct Handle {
    _last: Arc<oneshot::Sender<()>>,
}

/// Resolves when no [`Handle`] is alive.
#[derive(Clone)]
pub(super) struct AllGone(Shared<oneshot::Receiver<()>>);

pub(super) fn handles() -> (Handle, AllGone) {
    let (sender, receiver) = oneshot::channel();
    (Handle { _last: Arc::new(sender) }, AllGone(receiver.shared()))
}

impl AllGone {
    pub(super) async fn wait(self) {
        // Nothing is ever sent: it ends when the sender is dropped.
        let _ = self.0.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_gone_after_the_last_one() {
        let (first, gone) = handles();
        let second = first.clone();
        drop(first);
        assert!(gone.clone().wait().now_or_never().is_none());
        drop(second);
        assert!(gone.wait().now_or_never().is_some());
    }
}
