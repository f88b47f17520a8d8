//! Closed reads: on an address that is not loopback, only health and metrics are open to all callers. Other reads need
//! a client certificate or the signature of an identity with role `reader` (docs/design.md#reads).

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::fault::{Answer, Fault};
use super::readers::{Reach, Shown};
use super::routes::{self, is_read};
use super::{AppState, Caller, console, junk};
use swoosh_sequencer::queries::FactBody;
use swoosh_types::fact::{FactKind, GuardSettings};
use swoosh_types::hlc::Hlc;
use swoosh_types::keys::{PublicKey, Signature};
use swoosh_types::names::Role;
use swoosh_types::read::{HLC_HEADER, SIGNATURE_HEADER, SIGNER_HEADER, SignedRead};
use swoosh_types::rejection::Code;

/// By what a caller may read. An answer that goes on asks again, because a reload of the settings may take the right away.
#[derive(Clone, Debug)]
pub(super) struct Right {
    /// Whether its address opens reads.
    by_address: bool,
    /// The names of its client certificate.
    names: Option<Arc<[String]>>,
    /// The read's signer.
    signer: Option<PublicKey>,
    uri: Uri,
}

impl Right {
    fn of(request: &Request, caller: Caller, signer: Option<PublicKey>) -> Right {
        let shown = request.extensions().get::<Shown>();
        Right {
            by_address: shown.map_or(caller.may_read, |shown| shown.reads_open),
            names: shown.map(|shown| Arc::clone(&shown.names)),
            signer,
            uri: request.uri().clone(),
        }
    }

    /// Its current rights, at least for what it asked; the clock of a signature is not checked again.
    pub fn reach(&self, state: &AppState) -> Answer<Reach> {
        let readers = state.readers.load();
        let certified = self.names.as_ref().map(|names| readers.of_certificate(names)).transpose()?;
        let reach = match self.signer {
            Some(signer) => {
                with_settings(state, |settings| check_reader(settings, &signer))?;
                readers.of_identity(&signer)
            }
            None if self.by_address => Reach::All,
            None => certified.ok_or_else(|| closed("nothing that the caller showed opens reads"))?,
        };
        reach.check_route(&self.uri)?;
        Ok(reach)
    }
}

/// Without the gate there is none.
impl<S: Sync> FromRequestParts<S> for Right {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Right, Infallible> {
        let none = || Right { by_address: false, names: None, signer: None, uri: parts.uri.clone() };
        Ok(parts.extensions.get().cloned().unwrap_or_else(none))
    }
}

/// Lets reads through that may be read, and everything that is no read. Routes find the [`Reach`] of the caller in the extensions.
pub(super) async fn gate(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>().copied().unwrap_or_default();
    let certified = request.extensions().get::<Reach>().cloned();
    let is_open = is_open(request.method(), request.uri().path()) || (state.console && console::is_asked(&request));
    let reach = match (caller.may_read, is_read(request.method())) {
        (true, _) => Ok((Reach::All, None)),
        (false, false) => Ok((Reach::Nothing, None)),
        (false, true) => {
            let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
            reach(&state, caller, certified, (request.headers(), target)).await
        }
    };
    let (reach, signer) = match reach {
        Ok(reach) => reach,
        Err(_) if is_open => (Reach::Nothing, None),
        Err(fault) => return fault.into_response(),
    };
    if !is_open && let Err(fault) = reach.check_route(request.uri()) {
        return fault.into_response();
    }
    if is_read(request.method()) {
        let right = Right::of(&request, caller, signer);
        request.extensions_mut().insert(right);
        request.extensions_mut().insert(reach);
    }
    next.run(request).await
}

/// Rights and signer of a read, from a client certificate or a reader's signature. The signature overrides a limited
/// certificate.
async fn reach(
    state: &AppState,
    caller: Caller,
    certified: Option<Reach>,
    (headers, target): (&HeaderMap, &str),
) -> Answer<(Reach, Option<PublicKey>)> {
    let (read, signature) = match claimed(state, headers, target) {
        Ok(claimed) => claimed,
        // A client may sign its reads with a key that opens none.
        Err(closed) => return certified.map(|reach| (reach, None)).ok_or(closed),
    };
    check(state, caller, &read, &signature).await?;
    Ok((state.readers.load().of_identity(&read.signer), Some(read.signer)))
}

/// The same for a listener that is open to all: by its address.
pub(super) async fn by_address(mut request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>().copied().unwrap_or_default();
    request.extensions_mut().insert(if caller.may_read { Reach::All } else { Reach::Nothing });
    next.run(request).await
}

/// Other methods than those that read meet the routes, which know whether they allow them.
fn is_open(method: &Method, path: &str) -> bool {
    !is_read(method) || path == "/transition" || routes::is_open(path)
}

fn closed(reason: impl Into<String>) -> Fault {
    Fault::new(Code::ReadsClosed, reason)
}

/// Checks that the signature is over this read; in turn where the peer forged too many.
async fn check(state: &AppState, caller: Caller, read: &SignedRead, signature: &Signature) -> Answer<()> {
    let turn = state.gate.read_turn(caller.peer).await?;
    let is_signed = read.is_signed_by(&state.meta.cluster, signature);
    drop(turn);
    if is_signed {
        return Ok(());
    }
    let forged = closed(format!(
        "{SIGNATURE_HEADER} is not an ed25519 signature over \"swoosh/read/v1\\n\" ‖ cluster ‖ \"\\n\" ‖ \
         JCS({{hlc, signer, target}}) by {} for cluster {} and target {}",
        read.signer, state.meta.cluster, read.target
    ));
    Err(junk::found(&state.gate, caller.peer, 0, forged).await)
}

/// Claims of a read's headers, for a reader of the settings.
fn claimed(state: &AppState, headers: &HeaderMap, target: &str) -> Answer<(SignedRead, Signature)> {
    if !headers.contains_key(SIGNER_HEADER) {
        return Err(closed(
            "this address is not a loopback one, so only /health, /metrics, /statechart and signed proposals are open to \
             all callers; read on the node itself, with a client certificate (`swoosh --cert`), or signed by an identity with role \
             reader (`swoosh --read-as`)",
        ));
    }
    let read = SignedRead {
        hlc: header(headers, HLC_HEADER)?,
        signer: header(headers, SIGNER_HEADER)?,
        target: target.to_owned(),
    };
    let signature = header(headers, SIGNATURE_HEADER)?;
    with_settings(state, |settings| {
        check_reader(settings, &read.signer)?;
        // Either clock: reads go on while the node does not know which one is right.
        check_clock(read.hlc, state.handle.wall(), settings)
            .or_else(|_| check_clock(read.hlc, state.handle.now(), settings))
    })?;
    Ok((read, signature))
}

fn with_settings(state: &AppState, check: impl FnOnce(&GuardSettings) -> Answer<()>) -> Answer<()> {
    let facts = state.handle.facts();
    match facts.set().at(FactKind::Settings, None).map(|fact| &fact.body) {
        Some(FactBody::Settings(settings)) => check(settings),
        _ => Err(closed("the node has no settings to judge a reader by")),
    }
}

fn check_reader(settings: &GuardSettings, signer: &PublicKey) -> Answer<()> {
    let known = settings.identities.get(signer).is_some_and(|grant| grant.roles.contains(&Role::Reader));
    if known {
        return Ok(());
    }
    Err(closed(format!("{signer} has not role reader in the settings of this node; grant it under identities")))
}

fn check_clock(hlc: Hlc, now: Hlc, settings: &GuardSettings) -> Answer<()> {
    let (at_ms, now_ms) = (hlc.physical_ms(), now.physical_ms());
    let near =
        at_ms <= now_ms.saturating_add(settings.max_ahead_ms) && at_ms.saturating_add(settings.max_behind_ms) >= now_ms;
    if near {
        Ok(())
    } else {
        Err(closed(format!("the read was signed at {hlc}, and it is {now} here; sign it again")))
    }
}

fn header<T: std::str::FromStr<Err: std::fmt::Display>>(headers: &HeaderMap, name: &str) -> Answer<T> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(closed(format!("a signed read has the header {name} once")));
    };
    let text = value.to_str().map_err(|_| closed(format!("the header {name} is not ASCII")))?;
    text.parse().map_err(|error: T::Err| closed(format!("{name}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_health_metrics_and_the_statechart_are_read_from_outside() {
        for path in ["/health", "/health/live", "/health/ready", "/metrics", "/statechart"] {
            assert!(is_open(&Method::GET, path) && is_open(&Method::HEAD, path), "{path}");
        }
        for path in ["/", "/state", "/wal", "/facts", "/docs", "/healthy", "/health/", "/metrics/x", "/decisions/a/1"] {
            assert!(!is_open(&Method::GET, path) && !is_open(&Method::HEAD, path), "{path}");
        }
        assert!(is_open(&Method::POST, "/transition"));
    }
}
