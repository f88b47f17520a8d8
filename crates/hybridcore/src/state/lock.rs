//! One writer at a time: a lock file that the operating system releases when its holder dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::files::remedy;
use crate::leave::{Leave, Stop};

/// Between two looks at a lock that another process holds.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// The most that is read of what the holder wrote of itself.
const HOLDER_BYTES: u64 = 256;

/// Why a lock is not held.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("{} is held by {holder}; wait until that is done, or stop it", path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The holder's own description.
        holder: String,
    },
    /// The wait was ended.
    #[error("gave up waiting for {}: {stop}", path.display())]
    Stopped {
        /// The lock file.
        path: PathBuf,
        stop: Stop,
    },
    /// The lock file cannot be used.
    #[error("the lock file {} cannot be used ({source}): {}", path.display(), remedy(source))]
    Unusable {
        /// The lock file.
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// A lock that is held until it is dropped. The file stays; the lock is not in its being there.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock at `path`, waiting up to `patience` for another holder. `task` names the holder's work to waiting
    /// processes.
    pub fn take(path: &Path, task: &str, patience: Duration, leave: &dyn Leave) -> Result<Lock, LockError> {
        let unusable = |source| LockError::Unusable { path: path.to_owned(), source };
        let mut file = open(path).map_err(unusable)?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(source)) => return Err(unusable(source)),
                Err(TryLockError::WouldBlock) => {}
            }
            if let Some(stop) = leave.stop() {
                return Err(LockError::Stopped { path: path.to_owned(), stop });
            }
            if begun.elapsed() >= patience {
                return Err(LockError::Held { path: path.to_owned(), holder: holder(&mut file) });
            }
            thread::sleep(LOOK_AGAIN);
        }
        sign(&mut file, task).map_err(unusable)?;
        Ok(Lock { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing releases it as well; this is sooner.
        let _ = self.file.unlock();
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn sign(file: &mut File, task: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "process {} ({task})", std::process::id())
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(HOLDER_BYTES).read_to_string(&mut text));
    match (read, text.trim()) {
        (Ok(_), named) if !named.is_empty() => named.to_owned(),
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leave::{Always, Cancellable};

    #[test]
    fn a_second_writer_sees_the_holder_of_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sources/.lock");
        let held = Lock::take(&path, "sources sync", Duration::ZERO, &Always).unwrap();
        let error = Lock::take(&path, "sources pin", Duration::ZERO, &Always).unwrap_err().to_string();
        assert!(error.contains(&format!("process {} (sources sync)", std::process::id())), "{error}");
        drop(held);
        Lock::take(&path, "sources pin", Duration::ZERO, &Always).unwrap();
    }

    #[test]
    fn a_writer_with_patience_gets_the_lock_when_it_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".lock");
        let held = Lock::take(&path, "first", Duration::ZERO, &Always).unwrap();
        let waiting = {
            let path = path.clone();
            thread::spawn(move || Lock::take(&path, "second", Duration::from_secs(60), &Always).map(drop))
        };
        drop(held);
        waiting.join().unwrap().unwrap();
    }

    #[test]
    fn a_wait_ends_when_it_is_cancelled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".lock");
        let _held = Lock::take(&path, "first", Duration::ZERO, &Always).unwrap();
        let leave = Cancellable::default();
        leave.cancel();
        let error = Lock::take(&path, "second", Duration::from_secs(60), &leave).unwrap_err();
        assert!(matches!(error, LockError::Stopped { stop: Stop::Cancelled, .. }), "{error}");
    }
}
