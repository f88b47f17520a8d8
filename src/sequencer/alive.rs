//! Whether the sequencer works, for a service manager that would restart it otherwise.

use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::oneshot;

use super::handle::Handle;

impl Handle {
    /// Whether both threads run.
    pub fn is_alive(&self) -> bool {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        !threads.is_empty() && threads.iter().all(|thread| !thread.is_finished())
    }

    /// Whether both threads run, and the sequencer takes what it is given within this time.
    pub async fn works_within(&self, limit: Duration) -> bool {
        if !self.is_alive() {
            return false;
        }
        let (asking, answer) = oneshot::channel();
        self.inbox.ask(asking);
        matches!(tokio::time::timeout(limit, answer).await, Ok(Ok(())))
    }
}
