//! A BUBBLE server: `POST /dr` takes decision records, one JSON document a line; `GET /dr` gives them back.
//!
//! It keeps every record once, by its id, in the order of arrival, and counts what came again. How it is disposed can
//! be changed at any time.

#![allow(dead_code, reason = "the demo and the tests each use a part of it")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// How the server is disposed.
#[derive(Clone, Debug)]
pub enum Mood {
    /// It takes everything.
    Take,
    /// It takes so many records of each batch.
    TakeSome(usize),
    /// It takes everything and closes before it has said so.
    TakeSilently,
    /// It takes batches of at most so many records, and answers 413 to larger ones.
    AtMost(usize),
    /// It answers with this status, and tells the caller's own token back.
    Status(u16),
    /// It answers 200 with these bytes.
    Garbage(Vec<u8>),
    /// It takes the request and never answers.
    Hang,
    /// It answers without end.
    Flood,
}

/// A running BUBBLE server. It stops when this is dropped.
#[derive(Debug)]
pub struct Bubble {
    address: SocketAddr,
    desk: Arc<Mutex<Desk>>,
    serving: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Desk {
    mood: Mood,
    bearer: Option<String>,
    requests: u64,
    repeats: u64,
    ids: BTreeSet<String>,
    documents: Vec<String>,
}

type Shared = Arc<Mutex<Desk>>;

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bubble {
    /// Starts on a free port of the loopback address. It asks callers for a bearer token where one is named.
    pub async fn start(mood: Mood, bearer: Option<&str>) -> std::io::Result<Bubble> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let desk = Arc::new(Mutex::new(Desk {
            mood,
            bearer: bearer.map(str::to_owned),
            requests: 0,
            repeats: 0,
            ids: BTreeSet::new(),
            documents: Vec::new(),
        }));
        let router = Router::new().route("/dr", get(list).post(take)).with_state(desk.clone());
        let serving = tokio::spawn(async move {
            // It serves until it is aborted.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Bubble { address, desk, serving })
    }

    /// Where records are posted.
    pub fn url(&self) -> String {
        format!("http://{}/dr", self.address)
    }

    /// Changes its mood.
    pub fn be(&self, mood: Mood) {
        lock(&self.desk).mood = mood;
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        lock(&self.desk).requests
    }

    /// Records that came again.
    pub fn repeats(&self) -> u64 {
        lock(&self.desk).repeats
    }

    /// Every record once, in the order in which they came.
    pub fn documents(&self) -> Vec<String> {
        lock(&self.desk).documents.clone()
    }
}

impl Drop for Bubble {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn list(State(desk): State<Shared>) -> Response {
    let lines: String = lock(&desk).documents.iter().map(|document| format!("{document}\n")).collect();
    ([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response()
}

async fn take(State(desk): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mood = {
        let mut desk = lock(&desk);
        desk.requests += 1;
        if desk.bearer.as_ref().is_some_and(|bearer| shown != format!("Bearer {bearer}")) {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        desk.mood.clone()
    };
    let Ok(text) = String::from_utf8(body.to_vec()) else { return StatusCode::BAD_REQUEST.into_response() };
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    match mood {
        Mood::Take => lock(&desk).accept(&lines),
        Mood::TakeSome(most) => lock(&desk).accept(&lines[..most.min(lines.len())]),
        Mood::AtMost(most) if lines.len() > most => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Mood::AtMost(_) => lock(&desk).accept(&lines),
        Mood::TakeSilently => {
            lock(&desk).accept(&lines);
            let broken = futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("gone"))]);
            Body::from_stream(broken).into_response()
        }
        Mood::Status(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            (status, format!("you said: {shown}")).into_response()
        }
        Mood::Garbage(bytes) => bytes.into_response(),
        Mood::Hang => std::future::pending().await,
        Mood::Flood => {
            let chunks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; 1 << 16]));
            Body::from_stream(chunks).into_response()
        }
    }
}

impl Desk {
    fn accept(&mut self, lines: &[String]) -> Response {
        let mut last = None;
        for line in lines {
            let document: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            let Some(id) = document["id"].as_str() else { return StatusCode::UNPROCESSABLE_ENTITY.into_response() };
            if self.ids.insert(id.to_owned()) {
                self.documents.push(line.clone());
            } else {
                self.repeats += 1;
            }
            last = Some(id.to_owned());
        }
        axum::Json(serde_json::json!({"accepted": lines.len(), "last": last})).into_response()
    }
}
