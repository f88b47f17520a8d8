//! The console: the files of `console/` and of the SDK for browsers, as they are in the repository.
//!
//! They hold no data of the node, so all callers get them. A page reads the node by the same routes as other callers.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH, LOCATION,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;

use super::AppState;
use super::routes::is_read;
use swoosh_types::hash::Hash;

include!(concat!(env!("OUT_DIR"), "/console.rs"));

/// The page whose address no file has.
const PAGE: &str = "index.html";
/// What the page writes before the names of its files, which depends on the depth of its address.
const UP: &str = "{up}";
/// Deepest address of a page, so that an address cannot make a page large.
const DEEPEST: usize = 8;
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";
const HEADERS: [(HeaderName, &str); 8] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-cache"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("x-frame-options"), "DENY"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=(), serial=(), hid=(), display-capture=()",
    ),
];

/// A file as it is served.
struct File {
    kind: &'static str,
    tag: String,
    bytes: Bytes,
}

impl File {
    fn new(name: &str, bytes: Bytes) -> File {
        let kind = match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "text/html; charset=utf-8",
        };
        File { kind, tag: format!("\"{}\"", Hash::of(&bytes)), bytes }
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        let known = headers.get(IF_NONE_MATCH).is_some_and(|tags| tags.as_bytes() == self.tag.as_bytes());
        let tag = (ETAG, self.tag.clone());
        match known {
            true => (StatusCode::NOT_MODIFIED, HEADERS, [tag]).into_response(),
            false => (HEADERS, [tag, (CONTENT_TYPE, self.kind.to_owned())], self.bytes.clone()).into_response(),
        }
    }
}

/// By the path below `/console/`.
static SERVED: LazyLock<BTreeMap<&'static str, File>> = LazyLock::new(|| {
    let files = FILES.iter().filter(|(name, _)| *name != PAGE);
    files.map(|&(name, bytes)| (name, File::new(name, Bytes::from_static(bytes)))).collect()
});

/// The page by the depth of its address: its files are named relative to it, so that it works behind a proxy's prefix.
static PAGES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let page = FILES.iter().find(|(name, _)| *name == PAGE).map_or_else(Default::default, |(_, bytes)| *bytes);
    let text = String::from_utf8_lossy(page);
    let at = |depth| text.replace(UP, if depth == 0 { "./".to_owned() } else { "../".repeat(depth) }.as_str());
    (0..=DEEPEST).map(|depth| File::new(PAGE, at(depth).into())).collect()
});

pub(super) fn router() -> Router<AppState> {
    Router::new()
        .route("/console", get(redirect_here))
        .route("/console/", get(file))
        .route("/console/{*path}", get(file))
}

/// Whether a path is one of the console.
pub(super) fn is_path(path: &str) -> bool {
    path == "/console" || path.starts_with("/console/")
}

/// Whether a request reads the console, or is sent there.
pub(super) fn is_asked(request: &Request) -> bool {
    let path = request.uri().path();
    is_read(request.method()) && (is_path(path) || (path == "/" && wants_page(request.headers())))
}

/// Whether a caller is a browser that opens a page.
pub(super) fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    accepted.flat_map(|accept| accept.split(',')).any(|kind| kind.split(';').next().is_some_and(is_html))
}

fn is_html(kind: &str) -> bool {
    kind.trim().eq_ignore_ascii_case("text/html")
}

/// Sends a browser from `/` to the console, also behind a proxy's prefix.
pub(super) fn redirect() -> Response {
    (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, "console/"), (VARY, "Accept"), (CACHE_CONTROL, "no-store")])
        .into_response()
}

async fn redirect_here() -> Response {
    redirect()
}

/// A file of the console; the page where no file has this path.
async fn file(headers: HeaderMap, uri: Uri) -> Response {
    let path = uri.path().strip_prefix("/console/").unwrap_or_default();
    if let Some(file) = SERVED.get(path) {
        return file.answer(&headers);
    }
    let depth = uri.path().matches('/').count().saturating_sub(2);
    match PAGES.get(depth) {
        Some(page) => page.answer(&headers),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
