//! Git over HTTP: git's own `http-backend` behind a small server that can hold all requests back.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;

use swoosh_standins::Running;

/// A server of the repositories below a folder, on a free port of this machine. It stops when this is dropped.
#[derive(Debug)]
pub(super) struct GitServer {
    running: Running,
    answers: watch::Sender<bool>,
}

#[derive(Clone)]
struct Shared {
    folder: PathBuf,
    answers: watch::Receiver<bool>,
}

impl GitServer {
    /// Starts one that takes requests and answers none of them yet.
    pub fn start(folder: &Path) -> std::io::Result<GitServer> {
        let answers = watch::Sender::new(false);
        let shared = Shared { folder: folder.to_owned(), answers: answers.subscribe() };
        let router = axum::Router::new().fallback(serve).with_state(shared);
        Ok(GitServer { running: Running::serve(SocketAddr::from(([127, 0, 0, 1], 0)), router)?, answers })
    }

    /// Where the folder is served.
    pub fn url(&self) -> String {
        format!("http://{}", self.running.address)
    }

    /// Answers the waiting requests and all later ones.
    pub fn answer(&self) {
        self.answers.send_replace(true);
    }
}

async fn serve(
    State(mut shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if shared.answers.wait_for(|answers| *answers).await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let output = backend(&shared.folder, &method, &uri, &headers, &body).await;
    output.ok().and_then(|output| response(&output)).unwrap_or_else(|| StatusCode::BAD_GATEWAY.into_response())
}

/// What git's program says to a request, as CGI programs do.
async fn backend(
    folder: &Path,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> std::io::Result<Vec<u8>> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut child = super::repositories::git_command();
    child
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", method.as_str())
        .env("PATH_INFO", uri.path())
        .env("QUERY_STRING", uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", kind)
        .env("CONTENT_LENGTH", body.len().to_string());
    let mut child = tokio::process::Command::from(child)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(body).await?;
    }
    Ok(child.wait_with_output().await?.stdout)
}

/// Parses the output of a CGI program.
fn response(output: &[u8]) -> Option<Response> {
    let end = output.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = (std::str::from_utf8(output.get(..end)?).ok()?, output.get(end + 4..)?);
    let mut response = Response::builder();
    for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
        response = match name {
            "Status" => response.status(value.split(' ').next()?.parse::<u16>().ok()?),
            name => response.header(name, value),
        };
    }
    response.body(body.to_vec().into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cgi_program_says_becomes_an_answer() {
        let answer = response(b"Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nno\r\n\r\n").unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/plain");
        assert_eq!(response(b"Expires: never\r\n\r\n").unwrap().status(), StatusCode::OK);
        assert!(response(b"Status: fine").is_none() && response(b"Status: fine\r\n\r\n").is_none());
    }
}
