//! The callers of WHOOSH's API, and the delegates that sign for them.

use std::sync::atomic::{AtomicU64, Ordering};

use swoosh_types::hash::Hash;
use swoosh_types::keys::{PublicKey, SecretKey};
use swoosh_types::migration::{Call, CallerView};
use swoosh_types::rejection::{Code, Rejection};
use swoosh_types::secret::Secret;
use swoosh_types::text::Name;

/// A caller of WHOOSH that the settings know.
#[derive(Debug)]
pub struct Caller {
    pub name: Name,
    /// The delegate's key.
    key: SecretKey,
    public: PublicKey,
    /// The hash of its bearer token; none of the caller that shows none.
    token: Option<Hash>,
    proposals: AtomicU64,
    without_key: AtomicU64,
    without_hlc: AtomicU64,
    without_window_id: AtomicU64,
}

/// Which of the members that SWOOSH asks of producers a proposal brings, as a header or in its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Brought {
    /// The idempotency key.
    pub key: bool,
    /// The clock reading.
    pub hlc: bool,
    pub window_id: bool,
}

impl Caller {
    /// A caller, the delegate that signs for it, and the bearer token by which it is known.
    pub fn new(name: Name, key: SecretKey, token: Option<&Secret>) -> Caller {
        let token = token.map(|token| Hash::of(token.expose().as_bytes()));
        let public = key.public();
        let zero = || AtomicU64::new(0);
        let (proposals, without_key, without_hlc, without_window_id) = (zero(), zero(), zero(), zero());
        Caller { name, key, public, token, proposals, without_key, without_hlc, without_window_id }
    }

    /// The delegate's key.
    pub(super) fn key(&self) -> &SecretKey {
        &self.key
    }

    /// The delegate's name.
    pub fn delegate(&self) -> PublicKey {
        self.public
    }

    /// Counts a proposal.
    pub(super) fn count(&self, brought: Brought) {
        self.proposals.fetch_add(1, Ordering::Relaxed);
        self.without_key.fetch_add(u64::from(!brought.key), Ordering::Relaxed);
        self.without_hlc.fetch_add(u64::from(!brought.hlc), Ordering::Relaxed);
        self.without_window_id.fetch_add(u64::from(!brought.window_id), Ordering::Relaxed);
    }

    fn view(&self) -> CallerView {
        CallerView {
            name: self.name.clone(),
            delegate: self.public,
            proposals: self.proposals.load(Ordering::Relaxed),
            without_key: self.without_key.load(Ordering::Relaxed),
            without_hlc: self.without_hlc.load(Ordering::Relaxed),
            without_window_id: self.without_window_id.load(Ordering::Relaxed),
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Callers(Vec<Caller>);

impl Callers {
    /// These callers; at most one has no token.
    pub fn new(callers: Vec<Caller>) -> Callers {
        Callers(callers)
    }

    /// The sender of a request: the caller with its bearer token, or the caller without a token.
    pub fn who(&self, call: &Call) -> Result<&Caller, Rejection> {
        let shown = call.values("authorization");
        let unknown = |reason: &str| Err(Rejection::new(Code::CallerUnknown, reason));
        let token = match shown.as_slice() {
            [] => None,
            [one] => match one.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) {
                // By its hash: how long comparing takes says nothing of the token.
                Some((_, token)) => Some(Hash::of(token.trim().as_bytes())),
                None => return unknown("the header Authorization shows no bearer token; send `Bearer <token>`"),
            },
            _ => return unknown("the header Authorization is repeated"),
        };
        match self.0.iter().find(|caller| caller.token == token) {
            Some(caller) => Ok(caller),
            None if token.is_some() => unknown("no caller of migration.callers has this bearer token"),
            None => unknown("the request shows no bearer token, and every caller of migration.callers has one"),
        }
    }

    /// How they stand.
    pub fn views(&self) -> Vec<CallerView> {
        self.0.iter().map(Caller::view).collect()
    }
}
