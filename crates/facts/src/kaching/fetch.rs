//! One question to the license server, and what its answer means.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{ACCEPT, HeaderMap, RETRY_AFTER};

use super::token::{Pins, Token};
use swoosh_platform::outbound::{Exemption, Http, HttpLimits};
use swoosh_types::keys::PublicKey;
use swoosh_types::secret::Secret;
use swoosh_types::server_events::without_mark;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Most bytes of an answer; a token is far smaller.
const MOST_BYTES: usize = 64 << 10;

/// The license server, and who asks it.
#[derive(Debug)]
pub struct Server {
    http: Http,
    node: PublicKey,
    bearer: Option<Secret>,
}

/// The meaning of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// A license.
    Granted {
        /// The token's text.
        text: String,
        token: Box<Token>,
    },
    /// KACHING says no: the grace begins at once.
    Denied {
        /// How it said so.
        reason: String,
    },
    /// No answer that means anything: the license held counts on until it runs out.
    Failed {
        reason: String,
        /// How long the server asks to be left alone.
        retry_after: Option<Duration>,
    },
}

/// Why the server cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("kaching.url {0:?} is not the address of a license server; write https://host/path")]
pub struct AddressError(String);

impl Server {
    /// The server at an address, which takes at most `timeout` for an answer.
    #[expect(clippy::disallowed_methods, reason = "the licence server is asked while the gate is closed")]
    pub fn new(
        address: &str,
        timeout: Duration,
        node: PublicKey,
        bearer: Option<Secret>,
    ) -> Result<Server, AddressError> {
        let url = reqwest::Url::parse(address).map_err(|_| AddressError(address.chars().take(200).collect()))?;
        let limits = HttpLimits { connect: CONNECT.min(timeout), exchange: timeout, answer_bytes: MOST_BYTES };
        Ok(Server { http: Http::exempt(Exemption::Kaching, url, limits), node, bearer })
    }

    /// Asks for the license, as `GET <url>?cluster=…&node=…`.
    pub async fn fetch(&self, pins: &Pins) -> Fetched {
        let mut url = self.http.address().clone();
        url.query_pairs_mut().append_pair("cluster", pins.cluster.as_str()).append_pair("node", &self.node.to_string());
        let answer = self.http.send(|client| {
            let request = client.get(url).header(ACCEPT, "application/jwt");
            match &self.bearer {
                Some(bearer) => request.bearer_auth(bearer.expose()),
                None => request,
            }
        });
        match answer.await {
            Ok(answer) => judge(answer.status, &answer.headers, &answer.body, pins),
            Err(error) => Fetched::Failed { reason: error.to_string(), retry_after: None },
        }
    }
}

/// 401, 402, 403 and 410 are a denial by KACHING, as is a license that it signed for something else. Every other answer
/// without a good token is an outage. The server's text is not repeated: it may hold the token.
fn judge(status: StatusCode, headers: &HeaderMap, body: &[u8], pins: &Pins) -> Fetched {
    let failed = |reason: String| Fetched::Failed { reason, retry_after: retry_after(headers) };
    match status.as_u16() {
        200 => {}
        401 | 402 | 403 | 410 => return Fetched::Denied { reason: format!("the license server answers {status}") },
        300..=399 => return failed(format!("the license server answers {status}; redirects are not followed")),
        _ => return failed(format!("the license server answers {status}")),
    }
    let Ok(text) = std::str::from_utf8(without_mark(body)) else {
        return failed("the license server sends no text".into());
    };
    let text = text.trim();
    match Token::read(text, pins) {
        Ok(token) if token.covers(pins) => Fetched::Granted { text: text.to_owned(), token: Box::new(token) },
        Ok(token) => {
            Fetched::Denied { reason: format!("license {} does not cover the scope {}", token.id, pins.scope) }
        }
        Err(error) => failed(format!("the license server's answer is not valid: {error}")),
    }
}

/// The seconds form (RFC 9110 §10.2.3); the date form is not needed, because the back-off has a bound.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::super::token::tests::{pins, token};
    use super::*;

    fn judged(status: u16, body: &str) -> Fetched {
        judge(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes(), &pins())
    }

    #[test]
    fn a_good_token_is_a_license() {
        let text = token("l-1", "swoosh", 1_000);
        let Fetched::Granted { text: kept, token } = judged(200, &format!("{text}\n")) else { panic!("not granted") };
        assert_eq!((kept, token.id.as_str()), (text, "l-1"));
    }

    #[test]
    fn a_denial_is_distinguished_from_an_outage() {
        for status in [401, 402, 403, 410] {
            assert!(matches!(judged(status, "secret-canary"), Fetched::Denied { .. }), "{status}");
        }
        assert!(matches!(judged(200, &token("l-1", "other", 1_000)), Fetched::Denied { .. }));
        for status in [204, 301, 307, 400, 404, 429, 500, 503] {
            assert!(matches!(judged(status, ""), Fetched::Failed { .. }), "{status}");
        }
        for garbage in ["", "<html>", "a.b.c", "\u{fffd}"] {
            assert!(matches!(judged(200, garbage), Fetched::Failed { .. }), "{garbage}");
        }
    }

    #[test]
    fn nothing_the_server_wrote_is_repeated() {
        for status in [200, 403, 500] {
            let shown = format!("{:?}", judged(status, "secret-canary.secret-canary.secret-canary"));
            assert!(!shown.contains("canary"), "{shown}");
        }
    }

    #[test]
    fn the_server_may_ask_to_be_left_alone() {
        let headers: HeaderMap = [(RETRY_AFTER, "30".parse().unwrap())].into_iter().collect();
        let fetched = judge(StatusCode::TOO_MANY_REQUESTS, &headers, b"", &pins());
        assert!(matches!(fetched, Fetched::Failed { retry_after: Some(wait), .. } if wait == Duration::from_secs(30)));
    }
}
