//! A license server: `GET /license?cluster=…&node=…` answers a compact JWS, signed with a key of its own.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Running, endless};
use swoosh_types::keys::{PublicKey, SecretKey};

/// How the server is disposed.
#[derive(Clone, Debug)]
pub enum Mood {
    /// It grants a license.
    Grant {
        /// What it is good for.
        scope: String,
        /// For how long, in seconds.
        lasts_s: u64,
    },
    /// It answers with this status and nothing else.
    Status(u16),
    /// It answers with these bytes, as if they were a license.
    Garbage(Vec<u8>),
    /// It sends callers elsewhere.
    Redirect(String),
    /// It takes the request and never answers.
    Hang,
    /// It answers without end.
    Flood,
}

impl Mood {
    /// It grants what SWOOSH needs, for an hour.
    pub fn kind() -> Mood {
        Mood::Grant { scope: "swoosh".to_owned(), lasts_s: 3_600 }
    }
}

/// A running license server. It stops when this is dropped.
#[derive(Debug)]
pub struct Kaching {
    running: Running,
    desk: Arc<Desk>,
}

#[derive(Debug)]
struct Desk {
    key: SecretKey,
    mood: Mutex<Mood>,
    /// The bearer token that callers must show.
    bearer: Mutex<Option<String>>,
    requests: AtomicU64,
    issued: AtomicU64,
}

impl Kaching {
    /// Starts on a free port of the loopback address.
    pub fn start(key: SecretKey, mood: Mood) -> std::io::Result<Kaching> {
        let desk = Arc::new(Desk {
            key,
            mood: Mutex::new(mood),
            bearer: Mutex::default(),
            requests: AtomicU64::new(0),
            issued: AtomicU64::new(0),
        });
        let router = Router::new().route("/license", get(answer)).with_state(desk.clone());
        let running = Running::serve((Ipv4Addr::LOCALHOST, 0).into(), router)?;
        Ok(Kaching { running, desk })
    }

    /// Where licenses are fetched.
    pub fn url(&self) -> String {
        format!("http://{}/license", self.running.address)
    }

    /// The key that signs them.
    pub fn key(&self) -> PublicKey {
        self.desk.key.public()
    }

    /// Changes its mood.
    pub fn be(&self, mood: Mood) {
        *self.desk.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }

    /// Asks callers for a bearer token from now on.
    pub fn ask_for(&self, bearer: &str) {
        *self.desk.bearer.lock().unwrap_or_else(PoisonError::into_inner) = Some(bearer.to_owned());
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.desk.requests.load(Ordering::SeqCst)
    }
}

#[derive(Debug, serde::Deserialize)]
struct Asked {
    cluster: String,
    node: PublicKey,
}

async fn answer(State(desk): State<Arc<Desk>>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    desk.requests.fetch_add(1, Ordering::SeqCst);
    let bearer = desk.bearer.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if bearer.is_some_and(|bearer| shown != Some(&format!("Bearer {bearer}"))) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let mood = desk.mood.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match mood {
        Mood::Grant { scope, lasts_s } => {
            ([(header::CONTENT_TYPE, "application/jwt")], desk.license(&asked, &scope, lasts_s)).into_response()
        }
        Mood::Status(status) => StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN).into_response(),
        Mood::Garbage(bytes) => bytes.into_response(),
        Mood::Redirect(to) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response(),
        Mood::Hang => std::future::pending().await,
        Mood::Flood => endless("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx").into_response(),
    }
}

impl Desk {
    fn license(&self, asked: &Asked, scope: &str, lasts_s: u64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let number = self.issued.fetch_add(1, Ordering::SeqCst) + 1;
        let payload = serde_json::json!({
            "iss": "kaching", "sub": asked.cluster, "jti": format!("license-{number}"), "iat": now,
            "exp": now + lasts_s, "scope": scope, "node": asked.node,
        });
        let header = serde_json::json!({"alg": "EdDSA", "typ": "JWT"});
        let [header, payload] = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{payload}");
        let signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_bytes()))
    }
}
