//! A server of one JSON document: `/once` returns it, `/stream` sends it as a server-sent event after each change.
//! It is the stand-in for BACKBEAT and for polled servers of facts.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::StreamExt as _;
use tokio::sync::watch;

use super::{Manner, Running, endless};

#[derive(Clone, Debug, Default)]
struct Content {
    document: String,
    manner: Manner,
}

#[derive(Clone)]
struct Shared {
    content: watch::Receiver<Content>,
    requests: Arc<AtomicUsize>,
}

#[derive(Debug)]
pub struct Teller {
    running: Option<Running>,
    content: watch::Sender<Content>,
    requests: Arc<AtomicUsize>,
    address: SocketAddr,
}

impl Teller {
    /// Starts one on a free port of this machine.
    pub fn start(document: &str) -> std::io::Result<Teller> {
        let content = watch::Sender::new(Content { document: document.to_owned(), manner: Manner::Well });
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut teller = Teller { running: None, content, requests: Arc::default(), address };
        teller.come_back()?;
        Ok(teller)
    }

    /// URL of the current document.
    pub fn once(&self) -> String {
        format!("http://{}/once", self.address)
    }

    /// URL of the stream of documents.
    pub fn stream(&self) -> String {
        format!("http://{}/stream", self.address)
    }

    /// Serves another document from now on.
    pub fn say(&self, document: &str) {
        self.content.send_modify(|content| content.document = document.to_owned());
    }

    /// Behaves like this from now on.
    pub fn behave(&self, manner: Manner) {
        self.content.send_modify(|content| content.manner = manner);
    }

    /// How many requests it got.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Stops the server and closes its port.
    pub fn go_away(&mut self) {
        self.running = None;
    }

    /// Starts the server again on the same port.
    pub fn come_back(&mut self) -> std::io::Result<()> {
        let shared = Shared { content: self.content.subscribe(), requests: self.requests.clone() };
        let router = axum::Router::new().route("/once", get(once)).route("/stream", get(stream)).with_state(shared);
        let running = Running::serve(self.address, router)?;
        self.address = running.address;
        self.running = Some(running);
        Ok(())
    }
}

async fn once(State(shared): State<Shared>) -> Response {
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let content = shared.content.borrow().clone();
    let json = [(header::CONTENT_TYPE, "application/json")];
    match content.manner {
        Manner::Well => (json, content.document).into_response(),
        Manner::Hangs => std::future::pending().await,
        Manner::Floods => (json, endless("[[[[[[[[")).into_response(),
        Manner::Garbage => (json, "{\"claim\": NaN}").into_response(),
        Manner::Fails => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn stream(State(shared): State<Shared>) -> Response {
    shared.requests.fetch_add(1, Ordering::Relaxed);
    if shared.content.borrow().manner == Manner::Floods {
        return ([(header::CONTENT_TYPE, "text/event-stream")], endless("data: [1]\n\n")).into_response();
    }
    let documents = futures::stream::unfold((shared.content, true), async |(mut content, first)| {
        if !first {
            content.changed().await.ok()?;
        }
        let document = content.borrow_and_update().document.clone();
        Some((document, (content, false)))
    });
    let events = documents.map(|document| Ok::<_, Infallible>(Event::default().event("beat").data(document)));
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}
