//! The demo's BUBBLE server, on a runtime of its own, for tests that are not async.

use tokio::runtime::Runtime;

use swoosh_standins::bubble as server;

pub use server::Mood;

pub struct Bubble {
    server: Option<server::Bubble>,
    runtime: Runtime,
}

impl std::ops::Deref for Bubble {
    type Target = server::Bubble;
    fn deref(&self) -> &server::Bubble {
        self.server.as_ref().unwrap()
    }
}

impl Bubble {
    /// Starts one in this mood.
    pub fn start(mood: Mood, bearer: Option<&str>) -> Bubble {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = runtime.block_on(server::Bubble::start(mood, bearer)).unwrap();
        Bubble { server: Some(server), runtime }
    }
}

impl Drop for Bubble {
    fn drop(&mut self) {
        let _inside = self.runtime.enter();
        self.server.take();
    }
}
