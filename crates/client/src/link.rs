//! The HTTP beneath the client: one pooled connection set, bounded answers, and errors that say whether
//! trying again makes sense.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, Identity, RequestBuilder, Url};

/// The most bytes of an answer that are read.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Longest that the node may let a proposal wait for its turn. It is below the time of an exchange.
const IN_LINE: &str = "wait=10";

/// Longer than anybody listens.
const ENDLESS: Duration = Duration::from_secs(365 * 24 * 3_600);

/// How long to wait for the node, by what is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection; 3 s by default.
    pub connect: Duration,
    /// For a whole exchange, from connecting to the last byte of the answer; 30 s by default.
    pub exchange: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts { connect: Duration::from_secs(3), exchange: Duration::from_secs(30) }
    }
}

/// Why a client cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Not the address of a node.
    #[error("{0:?} is not the address of a node; write http://host:port or https://host:port")]
    Address(String),
    /// A signed read names the path, which must be the same at each node.
    #[error("the addresses {0:?} have different schemes or paths; all nodes of a cluster need the same")]
    Different(String),
    /// TLS cannot be set up.
    #[error("cannot set up the HTTP client: {0}")]
    Http(String),
    /// A file for TLS cannot be used.
    #[error("{}: {detail}", .file.display())]
    Tls {
        file: PathBuf,
        /// The problem and the remedy.
        detail: String,
    },
}

/// Files for TLS, in PEM. They are read when the client is built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Authorities that may vouch for the node, in place of the system's.
    pub ca: Option<PathBuf>,
    /// The client's certificate chain, its own first (mutual TLS). May hold the private key as well.
    pub certificate: Option<PathBuf>,
    /// The private key, where the certificate's file does not hold it.
    pub key: Option<PathBuf>,
}

impl TlsFiles {
    fn authorities(&self) -> Result<Option<Vec<Certificate>>, BuildError> {
        let Some(file) = &self.ca else { return Ok(None) };
        let error = |detail: String| BuildError::Tls { file: file.clone(), detail };
        let found = Certificate::from_pem_bundle(&pem(file)?).map_err(|cause| error(chain(&cause)))?;
        if found.is_empty() {
            return Err(error("holds no certificate in PEM; it begins with -----BEGIN CERTIFICATE-----".to_owned()));
        }
        Ok(Some(found))
    }

    fn identity(&self) -> Result<Option<Identity>, BuildError> {
        let Some(file) = &self.certificate else { return Ok(None) };
        let mut both = pem(file)?;
        if let Some(key) = &self.key {
            both.push(b'\n');
            both.extend(pem(key)?);
        }
        let whole = Identity::from_pem(&both).map_err(|cause| BuildError::Tls {
            file: file.clone(),
            detail: format!(
                "{}; a client certificate needs its private key, here or in a file of its own",
                chain(&cause)
            ),
        });
        whole.map(Some)
    }
}

fn pem(file: &Path) -> Result<Vec<u8>, BuildError> {
    let refuse = |detail: String| BuildError::Tls { file: file.to_owned(), detail };
    let unreadable = |error| refuse(format!("cannot read: {error}"));
    // Opening a pipe would wait for its writer.
    if !std::fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err(refuse("not a regular file; name a file in PEM".to_owned()));
    }
    std::fs::read(file).map_err(unreadable)
}

/// Why there is no answer. Whether the node took the request is then not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// No server answers.
    #[error("cannot connect to {node}: {cause}; is the daemon running there?")]
    Connect {
        /// The node's address.
        node: String,
        cause: String,
    },
    /// A server answers and cannot prove that it is the node.
    #[error("the certificate of {node} is not believed: {cause}; name the authority that vouches for it (`--ca`)")]
    Untrusted {
        /// The node's address.
        node: String,
        cause: String,
    },
    /// One side speaks TLS and the other does not.
    #[error("{node} cannot be reached by this scheme: {cause}; {remedy}")]
    Scheme {
        /// The node's address.
        node: String,
        cause: String,
        /// The scheme to write.
        remedy: &'static str,
    },
    /// The node took too long.
    #[error("{node} did not answer in time")]
    Timeout {
        /// The node's address.
        node: String,
    },
    /// The exchange broke off.
    #[error("the exchange with {node} broke off: {cause}")]
    Broken {
        /// The node's address.
        node: String,
        cause: String,
    },
    /// The answer is over its bound.
    #[error("{node} answers with more than {MAX_ANSWER_BYTES} bytes")]
    TooLarge {
        /// The node's address.
        node: String,
    },
}

impl LinkError {
    /// Whether the same request may fare better later.
    pub fn is_passing(&self) -> bool {
        !matches!(self, LinkError::TooLarge { .. } | LinkError::Untrusted { .. } | LinkError::Scheme { .. })
    }
}

/// An answer of any status.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub status: u16,
    /// From `Retry-After` in its seconds form (RFC 9110 §10.2.3).
    pub retry_after_ms: Option<u64>,
    /// Whether `Idempotency-Replayed` says `true`.
    pub replayed: bool,
    pub body: Vec<u8>,
}

impl Reply {
    /// The beginning of the body as text, for messages.
    pub fn excerpt(&self) -> String {
        String::from_utf8_lossy(self.body.get(..300).unwrap_or(&self.body)).into_owned()
    }
}

/// The way to a node, or to several nodes of one cluster. Clones go on with the same one.
#[derive(Clone, Debug)]
pub(super) struct Link {
    http: reqwest::Client,
    /// At least one; scheme and path are the same.
    bases: Arc<[Url]>,
    at: Arc<AtomicUsize>,
}

impl Link {
    /// Builds the link to the nodes at some addresses, separated by commas; opens no connection yet.
    #[expect(clippy::disallowed_methods, reason = "the SDK runs in other programs")]
    pub fn new(addresses: &str, timeouts: Timeouts, tls: &TlsFiles) -> Result<Link, BuildError> {
        let bases: Arc<[Url]> = addresses.split(',').map(|text| address(text.trim())).collect::<Result<_, _>>()?;
        let is_same = |base: &Url| (base.scheme(), base.path()) == (bases[0].scheme(), bases[0].path());
        if !bases.iter().all(is_same) {
            return Err(BuildError::Different(addresses.chars().take(200).collect()));
        }
        // Another part of the process may have chosen a provider before; then that one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(timeouts.connect)
            .timeout(timeouts.exchange)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("swoosh/", env!("CARGO_PKG_VERSION")));
        if bases[0].scheme() == "http" {
            // Reading the system's certificates takes time, fails where there are none, and serves nothing.
            builder = builder.tls_certs_only([]);
        } else {
            if let Some(authorities) = tls.authorities()? {
                builder = builder.tls_certs_only(authorities);
            }
            if let Some(identity) = tls.identity()? {
                builder = builder.identity(identity);
            }
        }
        if bases.iter().all(is_loopback) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| BuildError::Http(chain(&error)))?;
        Ok(Link { http, bases, at: Arc::default() })
    }

    /// The address of the node that is asked now.
    pub fn address(&self) -> &str {
        self.base().as_str()
    }

    fn base(&self) -> &Url {
        &self.bases[self.at.load(Ordering::Relaxed) % self.bases.len()]
    }

    /// How many nodes there are.
    pub fn count(&self) -> usize {
        self.bases.len()
    }

    /// Goes to the next node.
    pub fn turn(&self) {
        self.at.fetch_add(1, Ordering::Relaxed);
    }

    /// Goes to the next node, unless another exchange has left this one meanwhile.
    pub fn turn_from(&self, url: &Url) {
        let at = self.at.load(Ordering::Relaxed);
        if self.bases[at % self.bases.len()].origin() == url.origin() {
            let _ = self.at.compare_exchange(at, at.wrapping_add(1), Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// The same place on the node that is asked now.
    fn moved(&self, url: &Url) -> Url {
        let mut moved = self.base().clone();
        moved.set_path(url.path());
        moved.set_query(url.query());
        moved
    }

    /// The address of something on the node.
    pub fn url(&self, segments: &[&str], query: &[(&str, String)]) -> Url {
        let mut url = self.base().clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Reads, with further headers, from the first node that answers.
    pub async fn get(&self, mut url: Url, headers: &[(&'static str, String)]) -> Result<Reply, LinkError> {
        for _ in 1..self.bases.len() {
            let answer = self.get_from(url.clone(), headers).await;
            let is_away = match &answer {
                // A node that is not well says so under a status of these.
                Ok(reply) => matches!(reply.status, 502..=504) && !url.path().ends_with("/health"),
                Err(error) => error.is_passing(),
            };
            if !is_away {
                return answer;
            }
            self.turn_from(&url);
            url = self.moved(&url);
        }
        self.get_from(url, headers).await
    }

    async fn get_from(&self, url: Url, headers: &[(&'static str, String)]) -> Result<Reply, LinkError> {
        let request = headers.iter().fold(self.http.get(url), |request, (name, value)| request.header(*name, value));
        self.exchange(request).await
    }

    /// Reads what does not end; an answer that is no success ends, and is read whole.
    pub async fn listen(
        &self,
        url: Url,
        headers: &[(&'static str, String)],
    ) -> Result<Result<Stream, Reply>, LinkError> {
        let request = headers.iter().fold(self.http.get(url), |request, (name, value)| request.header(*name, value));
        // The exchange lasts as long as the stream; the listener bounds the silence between its parts.
        let response = request.timeout(ENDLESS).send().await.map_err(|error| self.error(&error))?;
        let kind = header(response.headers(), CONTENT_TYPE.as_str()).unwrap_or_default();
        if response.status().as_u16() == 200 && kind.starts_with("text/event-stream") {
            return Ok(Ok(Stream { response, link: self.clone() }));
        }
        self.read_whole(response).await.map(Err)
    }

    /// Posts a JSON document.
    pub async fn post(&self, url: Url, body: Vec<u8>) -> Result<Reply, LinkError> {
        self.exchange(self.http.post(url).header(CONTENT_TYPE, "application/json").body(body)).await
    }

    /// Posts a document on each line.
    pub async fn post_lines(&self, url: Url, body: Vec<u8>) -> Result<Reply, LinkError> {
        self.exchange(self.http.post(url).header(CONTENT_TYPE, "application/x-ndjson").body(body)).await
    }

    /// Posts a proposal of a caller that waits in line where its head is stale.
    pub async fn post_in_line(&self, url: Url, body: Vec<u8>) -> Result<Reply, LinkError> {
        let request = self.http.post(url).header(CONTENT_TYPE, "application/json").header("prefer", IN_LINE);
        self.exchange(request.body(body)).await
    }

    async fn exchange(&self, request: RequestBuilder) -> Result<Reply, LinkError> {
        let response = request.send().await.map_err(|error| self.error(&error))?;
        self.read_whole(response).await
    }

    async fn read_whole(&self, mut response: reqwest::Response) -> Result<Reply, LinkError> {
        let (status, headers) = (response.status().as_u16(), response.headers());
        let retry_after_ms = header(headers, RETRY_AFTER.as_str()).and_then(|text| text.parse::<u64>().ok());
        let replayed = header(headers, "idempotency-replayed").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.error(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(LinkError::TooLarge { node: self.node() });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, retry_after_ms: retry_after_ms.map(|s| s.saturating_mul(1000)), replayed, body })
    }

    fn node(&self) -> String {
        self.address().trim_end_matches('/').to_owned()
    }

    fn error(&self, error: &reqwest::Error) -> LinkError {
        let asked = error.url().map(|url| format!("{}{}", url.origin().ascii_serialization(), self.base().path()));
        let node = asked.map_or_else(|| self.node(), |asked| asked.trim_end_matches('/').to_owned());
        let cause = error.source().map_or_else(|| error.to_string(), chain);
        match () {
            () if error.is_connect() && cause.contains("invalid peer certificate") => {
                LinkError::Untrusted { node, cause }
            }
            // The first bytes of the answer are no TLS record.
            () if error.is_connect() && cause.contains("InvalidContentType") => {
                let remedy = "it answers without TLS: where that is right, its address begins with http://";
                LinkError::Scheme { node, cause: innermost(error), remedy }
            }
            // The last cause says it; those before only name layers.
            () if error.is_connect() => LinkError::Connect { node, cause: innermost(error) },
            () if error.is_timeout() => LinkError::Timeout { node },
            () if cause.contains("invalid HTTP version") && self.base().scheme() == "http" => {
                LinkError::Scheme { node, cause, remedy: "where the node has TLS, its address begins with https://" }
            }
            () => LinkError::Broken { node, cause },
        }
    }
}

/// An answer that goes on.
#[derive(Debug)]
pub(super) struct Stream {
    response: reqwest::Response,
    link: Link,
}

impl Stream {
    /// The next chunk, within a time; `None` at the end.
    pub async fn chunk(&mut self, patience: Duration) -> Result<Option<Vec<u8>>, LinkError> {
        match tokio::time::timeout(patience, self.response.chunk()).await {
            Ok(chunk) => chunk.map(|bytes| bytes.map(|bytes| bytes.to_vec())).map_err(|error| self.link.error(&error)),
            Err(_) => Err(LinkError::Timeout { node: self.link.node() }),
        }
    }

    /// Why what came is not taken.
    pub fn too_large(&self) -> LinkError {
        LinkError::TooLarge { node: self.link.node() }
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Reads `http://…` or `https://…`, without credentials, query or fragment.
fn address(text: &str) -> Result<Url, BuildError> {
    let error = || BuildError::Address(text.chars().take(200).collect());
    let url = Url::parse(text).map_err(|_| error())?;
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.host_str().is_some();
    if plain && matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(error()) }
}

/// A proxy from the environment must not be asked for a node on this machine.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The first cause of an error.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut first = error;
    while let Some(cause) = first.source() {
        first = cause;
    }
    first.to_string()
}

/// An error and all that caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_http_without_anything_around() {
        for good in ["http://127.0.0.1:7171", "https://node.example/swoosh/", "http://[::1]:7171"] {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in
            ["", "127.0.0.1:7171", "ftp://node", "http://", "http://a:b@node", "http://node/?x=1", "http://node#x"]
        {
            assert!(matches!(address(bad), Err(BuildError::Address(_))), "{bad}");
        }
    }

    #[test]
    fn files_for_tls_are_named_with_what_is_wrong_with_them() {
        let here = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let (missing, text) = (here.join("no-such-file.pem"), here.join("Cargo.toml"));
        let refused =
            |tls: TlsFiles| Link::new("https://127.0.0.1:1", Timeouts::default(), &tls).unwrap_err().to_string();
        let said = refused(TlsFiles { ca: Some(missing.clone()), ..TlsFiles::default() });
        assert!(said.contains("no-such-file.pem: cannot read"), "{said}");
        let said = refused(TlsFiles { ca: Some(text.clone()), ..TlsFiles::default() });
        assert!(said.contains("Cargo.toml: holds no certificate"), "{said}");
        let said = refused(TlsFiles { certificate: Some(text), ..TlsFiles::default() });
        assert!(said.contains("needs its private key"), "{said}");
        let unused = TlsFiles { ca: Some(missing), ..TlsFiles::default() };
        assert!(Link::new("http://127.0.0.1:1", Timeouts::default(), &unused).is_ok(), "plain HTTP reads no files");
    }

    #[test]
    fn names_are_escaped_in_paths_and_queries() {
        let link = Link::new("http://127.0.0.1:1/base/", Timeouts::default(), &TlsFiles::default()).unwrap();
        let url = link.url(&["decisions", "bubble://dr/p/1-0"], &[("project", "a&b".into())]);
        assert_eq!(url.as_str(), "http://127.0.0.1:1/base/decisions/bubble:%2F%2Fdr%2Fp%2F1-0?project=a%26b");
    }

    #[test]
    fn loopback_is_distinguished_from_the_rest() {
        let is = |text: &str| is_loopback(&Url::parse(text).unwrap());
        assert!(is("http://127.0.0.9:1") && is("http://[::1]:1") && is("http://localhost"));
        assert!(!is("http://10.0.0.1") && !is("http://localhost.example"));
    }
}
