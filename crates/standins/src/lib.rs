//! Stand-ins for the servers that SWOOSH calls: real servers on real sockets that misbehave on request.
//!
//! They use nothing of SWOOSH but its types. The lab and the tests share them; the shipped program has none. Each runs on threads of its own,
//! and stopping it closes every one of its sockets at once, as a crash does.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

pub mod bubble;
pub mod kaching;
pub mod mcp;
pub mod teller;

use std::net::SocketAddr;

/// How a stand-in behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    #[default]
    Well,
    /// It takes requests and never answers.
    Hangs,
    /// It answers without an end.
    Floods,
    /// It answers what makes no sense.
    Garbage,
    /// It answers with status 503.
    Fails,
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Running {
    /// Serves on an address; port 0 takes a free one.
    pub fn serve(address: SocketAddr, router: axum::Router) -> std::io::Result<Running> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        runtime.spawn(async move {
            if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                let _ = axum::serve(listener, router).await;
            }
        });
        Ok(Running { address, runtime: Some(runtime) })
    }
}

/// Listens on an address. Retries, because the previous listener may still be closing.
fn bind(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    for _ in 0..500 {
        match std::net::TcpListener::bind(address) {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            bound => return bound,
        }
    }
    std::net::TcpListener::bind(address)
}

impl Drop for Running {
    fn drop(&mut self) {
        // In the background, because a runtime may not be waited for within another one.
        self.runtime.take().into_iter().for_each(tokio::runtime::Runtime::shutdown_background);
    }
}

/// A body without an end.
pub fn endless(chunk: &'static str) -> axum::body::Body {
    let chunks = futures::stream::repeat_with(move || Ok::<_, std::convert::Infallible>(chunk));
    axum::body::Body::from_stream(chunks)
}
