//! A server that tells one JSON document: at `/once` as it stands, at `/stream` as server-sent events whenever it
//! changes. It stands in for BACKBEAT, and for whoever is polled for facts.

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
struct Told {
    document: String,
    manner: Manner,
}

#[derive(Clone)]
struct Shared {
    told: watch::Receiver<Told>,
    requests: Arc<AtomicUsize>,
}

/// A teller.
#[derive(Debug)]
pub struct Teller {
    running: Option<Running>,
    told: watch::Sender<Told>,
    requests: Arc<AtomicUsize>,
    address: SocketAddr,
}

impl Teller {
    /// Starts one on a free port of this machine.
    pub fn start(document: &str) -> std::io::Result<Teller> {
        let told = watch::Sender::new(Told { document: document.to_owned(), manner: Manner::Well });
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut teller = Teller { running: None, told, requests: Arc::default(), address };
        teller.come_back()?;
        Ok(teller)
    }

    /// Where the document is told as it stands.
    pub fn once(&self) -> String {
        format!("http://{}/once", self.address)
    }

    /// Where it is told whenever it changes.
    pub fn stream(&self) -> String {
        format!("http://{}/stream", self.address)
    }

    /// Tells another document from now on.
    pub fn say(&self, document: &str) {
        self.told.send_modify(|told| told.document = document.to_owned());
    }

    /// Behaves like this from now on.
    pub fn behave(&self, manner: Manner) {
        self.told.send_modify(|told| told.manner = manner);
    }

    /// How many requests it got.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// It is gone: nobody listens there any more.
    pub fn go_away(&mut self) {
        self.running = None;
    }

    /// It listens again where it did.
    pub fn come_back(&mut self) -> std::io::Result<()> {
        let shared = Shared { told: self.told.subscribe(), requests: self.requests.clone() };
        let router = axum::Router::new().route("/once", get(once)).route("/stream", get(stream)).with_state(shared);
        let running = Running::serve(self.address, router)?;
        self.address = running.address;
        self.running = Some(running);
        Ok(())
    }
}

async fn once(State(shared): State<Shared>) -> Response {
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let told = shared.told.borrow().clone();
    let json = [(header::CONTENT_TYPE, "application/json")];
    match told.manner {
        Manner::Well => (json, told.document).into_response(),
        Manner::Hangs => std::future::pending().await,
        Manner::Floods => (json, endless("[[[[[[[[")).into_response(),
        Manner::Garbage => (json, "{\"claim\": NaN}").into_response(),
        Manner::Fails => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn stream(State(shared): State<Shared>) -> Response {
    shared.requests.fetch_add(1, Ordering::Relaxed);
    if shared.told.borrow().manner == Manner::Floods {
        return ([(header::CONTENT_TYPE, "text/event-stream")], endless("data: [1]\n\n")).into_response();
    }
    let documents = futures::stream::unfold((shared.told, true), async |(mut told, first)| {
        if !first {
            told.changed().await.ok()?;
        }
        let document = told.borrow_and_update().document.clone();
        Some((document, (told, false)))
    });
    let events = documents.map(|document| Ok::<_, Infallible>(Event::default().event("beat").data(document)));
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}
