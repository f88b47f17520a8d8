//! Cancels reads whose asker is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::ReadError;

/// Cancels a long read. Clones share one flag.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// The read ends at its next record.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Fails once the flag is set. Reads call it between two records.
    pub fn check(&self) -> Result<(), ReadError> {
        if self.0.load(Ordering::Relaxed) { Err(ReadError::Abandoned) } else { Ok(()) }
    }
}
