//! Rights of a reader: all projects, some, or none; and the projects that the answer of each route may hold.
//!
//! **Architecture invariant.** Each read in the list of routes says which projects its answer may hold. Any other path is
//! refused to readers who are limited to projects.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;

use super::fault::{Answer, Fault};
use super::routes::READS;
use swoosh_types::keys::PublicKey;
use swoosh_types::proposal::DEFAULT_PROJECT;
use swoosh_types::rejection::Code;
use swoosh_types::text::ProjectName;

/// Characters of a certificate's names that an error shows.
const MOST_SHOWN: usize = 200;

/// The projects that a caller may read. It is in the extensions of each request that a route gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// None. Only open routes are answered, without what belongs to a project.
    Nothing,
    /// These alone.
    Projects(Arc<BTreeSet<ProjectName>>),
    /// All, and what the node keeps beside them.
    All,
}

impl Reach {
    /// Whether a project may be read.
    pub fn holds(&self, project: &ProjectName) -> bool {
        match self {
            Reach::Nothing => false,
            Reach::Projects(projects) => projects.contains(project),
            Reach::All => true,
        }
    }

    /// Refuses a project that is not held.
    pub(super) fn check(&self, project: &ProjectName) -> Answer<()> {
        if self.holds(project) { Ok(()) } else { Err(self.refusal(&format!("{project} is another project"))) }
    }

    fn refusal(&self, why: &str) -> Fault {
        let names = match self {
            Reach::Projects(projects) => projects.iter().map(ProjectName::as_str).collect::<Vec<_>>().join(", "),
            Reach::Nothing | Reach::All => "none".to_owned(),
        };
        let reason =
            format!("{why}, and this reader is limited to projects ({names}) by readers in the node's settings");
        Fault::new(Code::ReadsClosed, reason)
    }

    /// Refuses an answer that may hold more than this.
    pub(super) fn check_route(&self, uri: &Uri) -> Answer<()> {
        if *self == Reach::All {
            return Ok(());
        }
        match holds(uri.path()) {
            Holds::NoProject | Holds::FilteredByRoute => Ok(()),
            Holds::One => self.check_named(uri, Some(DEFAULT_PROJECT)),
            Holds::Named => self.check_named(uri, None),
            Holds::Everything => Err(self.refusal("the answer spans projects")),
        }
    }

    /// Every `project` of the query must be held; a query that cannot be read names none.
    fn check_named(&self, uri: &Uri, left_out: Option<&str>) -> Answer<()> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri).map(|query| query.0);
        let pairs = pairs.unwrap_or_default();
        let mut named: Vec<&str> =
            pairs.iter().filter(|(name, _)| name == "project").map(|(_, value)| value.as_str()).collect();
        if named.is_empty() {
            named.extend(left_out);
        }
        if named.is_empty() {
            return Err(self.refusal("the query names no project (?project=)"));
        }
        named.into_iter().try_for_each(|name| match name.parse() {
            Ok(project) => self.check(&project),
            Err(_) => Err(self.refusal("the query names no project in its form")),
        })
    }
}

/// The client certificate of a connection.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub names: Arc<[String]>,
    /// Whether reads are open without it.
    pub reads_open: bool,
}

/// Without the gate a request reaches nothing.
impl<S: Sync> FromRequestParts<S> for Reach {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Reach, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or(Reach::Nothing))
    }
}

/// Which projects an answer may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// None.
    NoProject,
    /// One: that of the query, or the default one.
    One,
    /// That of the query; all where it names none.
    Named,
    /// The route itself leaves out what the caller may not read.
    FilteredByRoute,
    /// All of them.
    Everything,
}

fn holds(path: &str) -> Holds {
    let is = |route: &str| match route.split_once('{') {
        Some((before, _)) => path.starts_with(before),
        None => path == route,
    };
    READS.iter().find(|read| is(read.path)).map_or(Holds::Everything, |read| read.holds)
}

/// [`Readers`] that a reload of the settings exchanges.
pub type SharedReaders = Arc<ArcSwap<Readers>>;

/// Readers that are limited to projects, by what they show. Others read all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readers {
    /// Names of client certificates that are allowed; all where there are none.
    pub client_names: BTreeSet<String>,
    /// By the key that signs the read.
    pub identities: BTreeMap<PublicKey, BTreeSet<ProjectName>>,
    /// By a name of the client certificate.
    pub certificates: BTreeMap<String, BTreeSet<ProjectName>>,
}

impl Readers {
    /// Rights of an identity with role `reader`.
    pub(super) fn of_identity(&self, key: &PublicKey) -> Reach {
        self.identities.get(key).map_or(Reach::All, |projects| Reach::Projects(Arc::new(projects.clone())))
    }

    /// Rights of a client certificate. It needs one allowed name. One of several names is enough for a limit, and each
    /// limited name adds its projects.
    pub(super) fn of_certificate(&self, names: &[String]) -> Answer<Reach> {
        if !self.client_names.is_empty() && !names.iter().any(|name| self.client_names.contains(name)) {
            let shown: String = names.join(", ").chars().filter(|c| !c.is_control()).take(MOST_SHOWN).collect();
            let reason = format!("the client certificate ({shown}) has none of the names in tls.client_names");
            return Err(Fault::new(Code::CertificateRefused, reason));
        }
        let limits: Vec<_> = names.iter().filter_map(|name| self.certificates.get(name)).collect();
        if limits.is_empty() {
            return Ok(Reach::All);
        }
        Ok(Reach::Projects(Arc::new(limits.into_iter().flatten().cloned().collect())))
    }

    /// These limits, and those of `before` for readers that are not limited here: neither loses its limit while both change.
    pub fn and(&self, before: &Readers) -> Readers {
        let mut both = Readers { client_names: self.client_names.clone(), ..before.clone() };
        both.identities.extend(self.identities.clone());
        both.certificates.extend(self.certificates.clone());
        both
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::Read;
    use swoosh_types::keys::SecretKey;

    fn some(names: &[&str]) -> BTreeSet<ProjectName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn a_limited_reader_names_a_project_of_its_own_on_every_route() {
        let reach = Reach::Projects(Arc::new(some(&["a", "b"])));
        let may = |target: &str| reach.check_route(&target.parse().unwrap()).is_ok();
        for Read { path: route, holds, .. } in READS {
            let named = matches!(holds, Holds::One | Holds::Named);
            let whatever = matches!(holds, Holds::NoProject | Holds::FilteredByRoute);
            assert_eq!(may(route), whatever, "{route}");
            for (query, own) in [
                ("project=a", true),
                ("project=%61&limit=1", true),
                ("project=c", false),
                ("project=", false),
                ("project=a%00", false),
                ("project=a&project=c", false),
                ("project=c&project=a", false),
                ("Project=a", false),
                ("limit=1", false),
            ] {
                assert_eq!(may(&format!("{route}?{query}")), whatever || (named && own), "{route}?{query}");
            }
        }
        for target in
            ["/new", "/state/", "//state?project=a", "/State?project=a", "/%73tate?project=a", "/wal/feed?project=a"]
        {
            assert!(!may(target), "{target}");
        }
        let owner = Reach::Projects(Arc::new(some(&["default"])));
        assert!(owner.check_route(&"/state".parse().unwrap()).is_ok());
        assert!(owner.check_route(&"/wal".parse().unwrap()).is_err());
    }

    fn of(readers: &Readers, names: &[&str]) -> Answer<Reach> {
        readers.of_certificate(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_certificate_needs_one_name_that_is_allowed() {
        let readers = Readers { client_names: ["x".to_owned()].into(), ..Readers::default() };
        assert_eq!((of(&readers, &["x"]).unwrap(), of(&readers, &["y", "x"]).unwrap()), (Reach::All, Reach::All));
        for names in [&["y"][..], &[], &["X"], &["x "], &["x\0"]] {
            assert_eq!(of(&readers, names).unwrap_err().code(), Code::CertificateRefused, "{names:?}");
        }
        assert_eq!(of(&Readers::default(), &[]).unwrap(), Reach::All);
    }

    #[test]
    fn limits_are_by_key_and_by_any_name_of_a_certificate() {
        let (one, other) = (SecretKey::from_bytes(&[1; 32]).public(), SecretKey::from_bytes(&[2; 32]).public());
        let readers = Readers {
            identities: [(one, some(&["a"]))].into(),
            certificates: [("x".to_owned(), some(&["a"])), ("y".to_owned(), some(&["b"]))].into(),
            client_names: BTreeSet::new(),
        };
        let limited = |names: &[&str]| Reach::Projects(Arc::new(some(names)));
        assert_eq!((readers.of_identity(&one), readers.of_identity(&other)), (limited(&["a"]), Reach::All));
        let of = |names: &[&str]| of(&readers, names).unwrap();
        assert_eq!((of(&["z"]), of(&["z", "x"]), of(&["y", "x"])), (Reach::All, limited(&["a"]), limited(&["a", "b"])));
        let next = Readers { identities: [(other, some(&["b"]))].into(), ..Readers::default() };
        let both = next.and(&readers);
        assert_eq!((both.of_identity(&one), both.of_identity(&other)), (limited(&["a"]), limited(&["b"])));
    }
}
