//! Real sockets for tests: a license server that can be waited for, and a listener that only counts.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use swoosh::types::keys::SecretKey;

use swoosh_standins::kaching::Kaching;
pub use swoosh_standins::kaching::Mood;

/// Starts a license server in this mood.
pub fn kaching(mood: Mood) -> Kaching {
    Kaching::start(SecretKey::from_bytes(&[77; 32]), mood).unwrap()
}

/// Waits until a license server was asked this often more.
#[track_caller]
pub fn wait_asked(kaching: &Kaching, more: u64) {
    let goal = kaching.requests() + more;
    eventually("the node asks the license server", || kaching.requests() >= goal);
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
