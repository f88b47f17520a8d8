//! The demo's stand-ins, on a runtime of their own, for tests that are not async; and a listener that only counts.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use swoosh::types::keys::SecretKey;
use tokio::runtime::Runtime;

#[path = "../../../src/cli/demo/standins/kaching.rs"]
mod kaching;

pub use kaching::Mood;

/// A license server.
pub struct Kaching {
    server: Option<kaching::Kaching>,
    runtime: Runtime,
}

impl std::ops::Deref for Kaching {
    type Target = kaching::Kaching;
    fn deref(&self) -> &kaching::Kaching {
        self.server.as_ref().unwrap()
    }
}

impl Kaching {
    /// Starts one in this mood.
    pub fn start(mood: Mood) -> Kaching {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = runtime.block_on(kaching::Kaching::start(SecretKey::from_bytes(&[77; 32]), mood)).unwrap();
        Kaching { server: Some(server), runtime }
    }

    /// Waits until it was asked this often more.
    #[track_caller]
    pub fn wait_asked(&self, more: u64) {
        let goal = self.requests() + more;
        eventually("the node asks the license server", || self.requests() >= goal);
    }
}

impl Drop for Kaching {
    fn drop(&mut self) {
        let _inside = self.runtime.enter();
        self.server.take();
    }
}

/// Asks again until it is so; panics when that takes far too long.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came to this: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A server that takes connections, counts them, and says nothing.
pub struct Counter {
    /// Where it listens.
    pub address: SocketAddr,
    connections: Arc<AtomicU64>,
}

impl Counter {
    /// Listens on a free port.
    pub fn start() -> Counter {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicU64::new(0));
        let counted = connections.clone();
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::SeqCst);
                open.push(stream);
            }
        });
        Counter { address, connections }
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }
}
