//! A socket in the data directory that only the node's own user can open. The node serves it in a thread of its own until it is dropped.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::Context as _;

pub(super) struct LocalSocket {
    path: PathBuf,
    closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl LocalSocket {
    /// Listens at `path`; `serve` gets each connection in turn. `name` is the thread's.
    pub fn listen(
        path: PathBuf,
        name: &str,
        mut serve: impl FnMut(UnixStream) + Send + 'static,
    ) -> anyhow::Result<LocalSocket> {
        // The journal is this process's, so a socket that exists was left by a killed node.
        drop(std::fs::remove_file(&path));
        let listener = UnixListener::bind(&path).with_context(|| format!("cannot listen on {}", path.display()))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let closing = Arc::new(AtomicBool::new(false));
        let closed = closing.clone();
        let accept = move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if closed.load(Ordering::Acquire) {
                    return;
                }
                serve(stream);
            }
        };
        let thread = Some(std::thread::Builder::new().name(name.to_owned()).spawn(accept)?);
        Ok(LocalSocket { path, closing, thread })
    }
}

impl Drop for LocalSocket {
    #[expect(clippy::disallowed_methods, reason = "the node's own socket leads nowhere else")]
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Release);
        // The connection wakes the thread, which then ends.
        if UnixStream::connect(&self.path).is_ok()
            && let Some(thread) = self.thread.take()
        {
            drop(thread.join());
        }
        drop(std::fs::remove_file(&self.path));
    }
}
