//! Keeps web pages from using the node through a browser that can reach it.
//!
//! - A page's owner can point its name at this machine (DNS rebinding). The browser then takes the node for the page's own server,
//!   and only `Host` tells the difference.
//! - A page of another site can make the browser send requests. Browsers mark these with `Sec-Fetch-Site`.
//!
//! Callers that are no browsers set neither, or what they like: this is no authentication.

use std::collections::BTreeSet;
use std::net::IpAddr;

use axum::http::header::HOST;
use axum::http::{HeaderMap, Method, Request};

use super::fault::{Answer, Fault};
use super::{console, docs};
use swoosh_types::host::Host;
use swoosh_types::rejection::Code;

/// Characters of a host that an answer and the log quote.
const QUOTED: usize = 200;

/// The rule of one listener.
#[derive(Clone, Debug)]
pub(super) struct Browsers {
    allowed: BTreeSet<Host>,
    /// Any host will do: the listener is open to other machines, and the settings list no host.
    any_host: bool,
}

impl Browsers {
    /// The rule of a listener on this address: on loopback, or where hosts are listed, the loopback names and those listed.
    pub fn new(listens_on: IpAddr, allowed: BTreeSet<Host>) -> Browsers {
        let any_host = !listens_on.to_canonical().is_loopback() && allowed.is_empty();
        Browsers { allowed, any_host }
    }

    /// Refuses a request for another host or of another site. `reached` is the address of the node that the connection was made to.
    pub fn check<B>(&self, request: &Request<B>, reached: Option<IpAddr>) -> Answer<()> {
        if !self.any_host {
            self.check_host(request, reached)?;
        }
        check_site(request)
    }

    /// Each place that names the host must name an allowed one, whichever of them a proxy or a framework would follow.
    fn check_host<B>(&self, request: &Request<B>, reached: Option<IpAddr>) -> Answer<()> {
        let target = request.uri().authority().map(|authority| authority.as_str().as_bytes());
        let headers: Vec<&[u8]> = request.headers().get_all(HOST).iter().map(|value| value.as_bytes()).collect();
        if headers.len() > 1 {
            return Err(wrong_host("the header Host is there more than once; send it once"));
        }
        let named: Vec<&[u8]> = target.into_iter().chain(headers).collect();
        if named.is_empty() {
            return Err(wrong_host("the request names no host; send the header Host"));
        }
        match named.into_iter().find(|host| !self.is_allowed(host, reached)) {
            None => Ok(()),
            Some(other) => {
                let other: String = String::from_utf8_lossy(other).chars().take(QUOTED).collect();
                Err(wrong_host(format!(
                    "this node does not answer to {other:?}; use localhost or an address of loopback, or list the name under \
                     http.allowed_hosts"
                )))
            }
        }
    }

    /// An address that the connection was made to is allowed: no owner of a name can choose it, and probes use it.
    fn is_allowed(&self, authority: &[u8], reached: Option<IpAddr>) -> bool {
        let host = std::str::from_utf8(authority).ok().and_then(Host::of_authority);
        let is_reached = |host: &Host| reached.is_some_and(|address| *host == Host::Address(address.to_canonical()));
        host.is_some_and(|host| host.is_loopback() || self.allowed.contains(&host) || is_reached(&host))
    }
}

fn wrong_host(reason: impl Into<String>) -> Fault {
    Fault::new(Code::WrongHost, reason)
}

/// Refuses requests that a browser sends for a page of another site or of another port of this machine, but for opening a page for
/// people in a tab of its own.
fn check_site<B>(request: &Request<B>) -> Answer<()> {
    let is_own = |site: &[u8]| matches!(site, b"same-origin" | b"none");
    let mut sites = request.headers().get_all("sec-fetch-site").iter();
    if sites.all(|site| is_own(site.as_bytes())) || opens_page(request) {
        return Ok(());
    }
    let reason = "the browser sent this for a page of another site (Sec-Fetch-Site); open the address itself, or ask from a program";
    Err(Fault::new(Code::CrossSite, reason))
}

fn opens_page<B>(request: &Request<B>) -> bool {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let headers = request.headers();
    let in_a_tab = is(headers, "sec-fetch-mode", "navigate") && is(headers, "sec-fetch-dest", "document");
    reads && in_a_tab && (docs::is_page(request.uri().path()) || console::is_path(request.uri().path()))
}

/// Whether a header is there once, with this value.
fn is(headers: &HeaderMap, name: &str, value: &str) -> bool {
    let mut values = headers.get_all(name).iter();
    values.next().is_some_and(|found| found == value) && values.next().is_none()
}

/// Refuses what a browser sends for a page, where no page has any business: browsers add `Origin` to each request of another origin, and
/// to all that may change something.
pub(super) fn check_no_page(headers: &HeaderMap) -> Answer<()> {
    match headers.contains_key("origin") {
        false => Ok(()),
        true => Err(Fault::new(
            Code::CrossSite,
            "the request has the header Origin, as those of web pages; ask from a program",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(rule: &Browsers, host: &str, reached: &str) -> Option<Code> {
        let request = Request::get("/state").header("host", host).body(()).unwrap();
        rule.check(&request, reached.parse().ok()).err().map(|fault| fault.code())
    }

    fn rule(listens_on: &str, allowed: &[&str]) -> Browsers {
        Browsers::new(listens_on.parse().unwrap(), allowed.iter().map(|host| host.parse().unwrap()).collect())
    }

    /// Probes of a cluster name the address of the pod, which no settings can know.
    #[test]
    fn the_address_that_a_connection_reached_is_allowed_beyond_loopback() {
        let listed = rule("0.0.0.0", &["swoosh"]);
        assert_eq!(code(&listed, "10.1.2.3:7400", "10.1.2.3"), None);
        assert_eq!(code(&listed, "10.1.2.4:7400", "10.1.2.3"), Some(Code::WrongHost));
        assert_eq!(code(&rule("::", &["swoosh"]), "10.1.2.3", "::ffff:10.1.2.3"), None);
        assert_eq!(code(&listed, "attacker.example", "10.1.2.3"), Some(Code::WrongHost));
    }

    #[test]
    fn any_host_will_do_beyond_loopback_while_none_is_listed() {
        assert_eq!(code(&rule("0.0.0.0", &[]), "anything", "10.1.2.3"), None);
        assert_eq!(code(&rule("10.1.2.3", &[]), "a b", "10.1.2.3"), None);
        for loopback in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "127.1.2.3"] {
            assert_eq!(code(&rule(loopback, &[]), "anything", loopback), Some(Code::WrongHost), "{loopback}");
        }
    }
}
