//! Requests on paths that SWOOSH does not know: WHOOSH answers them, and they are counted.
//!
//! After the cut-over WHOOSH still answers reads; writes are refused, because nothing may change WHOOSH then.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::shim::{Shim, lock};
use swoosh_types::migration::{Call, LegacyAnswer, MigrationMode, OtherPath, Routing};
use swoosh_types::rejection::{Code, Rejection};

/// Paths that are listed; requests on further ones are only counted.
const LISTED: usize = 100;
/// Characters of a method and of a path that are kept.
const METHOD: usize = 20;
const PATH: usize = 200;
/// Paths that SWOOSH carries itself.
const KNOWN: [&str; 4] = ["transition", "state", "health", "windows"];

/// Requests on other paths since the start.
#[derive(Debug, Default)]
pub(super) struct Others(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    /// Passed and refused requests by method and path.
    listed: BTreeMap<(String, String), (u64, u64)>,
    unlisted: u64,
}

impl Others {
    fn count(&self, method: &str, path: &str, passed: bool) {
        let key = (method.chars().take(METHOD).collect(), path.chars().take(PATH).collect());
        let mut counted = lock(&self.0);
        if !counted.listed.contains_key(&key) && counted.listed.len() >= LISTED {
            counted.unlisted += 1;
            return;
        }
        let (passes, refusals) = counted.listed.entry(key).or_default();
        *if passed { passes } else { refusals } += 1;
    }

    /// The paths in order of methods and paths, and how many requests were on paths beyond the list's bound.
    pub fn view(&self) -> (Vec<OtherPath>, u64) {
        let counted = lock(&self.0);
        let view = |((method, path), (passed, refused)): (&(String, String), &(u64, u64))| OtherPath {
            method: method.clone(),
            path: path.clone(),
            passed: *passed,
            refused: *refused,
        };
        (counted.listed.iter().map(view).collect(), counted.unlisted)
    }
}

impl Shim {
    /// Hands a request of any path on to WHOOSH.
    pub(super) async fn pass(&self, routing: &Routing, call: Call) -> Result<LegacyAnswer, Rejection> {
        let refusal = refusal(routing, &call);
        self.others.count(&call.method, path(&call), refusal.is_none());
        self.watch.other_path(refusal.is_none());
        if let Some(rejection) = refusal {
            return Err(rejection);
        }
        match routing.mode {
            MigrationMode::Cutover => drop(self.callers.who(&call)?),
            // Undelivered records go first, because the request may change WHOOSH's state.
            MigrationMode::Regions if !reads(&call) => drop(self.pass_on(routing).await?),
            MigrationMode::Shadow | MigrationMode::Regions | MigrationMode::Bypass => {}
        }
        self.send(call).await.map(LegacyAnswer::Whoosh)
    }
}

fn path(call: &Call) -> &str {
    call.target.split(['?', '#']).next().unwrap_or_default()
}

/// Whether a request changes nothing (RFC 9110 §9.2.1).
fn reads(call: &Call) -> bool {
    matches!(call.method.as_str(), "GET" | "HEAD" | "OPTIONS")
}

/// Why a request does not go to WHOOSH, if it does not.
fn refusal(routing: &Routing, call: &Call) -> Option<Rejection> {
    let shown: String = path(call).chars().take(PATH).collect();
    let refused = |code, reason: String| Some(Rejection::new(code, reason));
    if matches!(call.method.as_str(), "CONNECT" | "TRACE") {
        return refused(Code::MethodNotAllowed, format!("{} is not carried", call.method));
    }
    match spelling(path(call)) {
        Spelling::Unclear => refused(
            Code::NotFound,
            format!("{shown} is not a plain path; write it without dot segments and escapes of them"),
        ),
        Spelling::Known(known) => {
            refused(Code::NotFound, format!("{shown} is another spelling of /{known}; write that"))
        }
        Spelling::Other if routing.mode == MigrationMode::Cutover && !reads(call) => refused(
            Code::NotFound,
            format!("{shown} is unknown to SWOOSH, and after the cut-over nothing is written to WHOOSH"),
        ),
        Spelling::Other => None,
    }
}

enum Spelling {
    /// A path that SWOOSH knows, in another spelling: WHOOSH may take it for that path, past the shim.
    Known(&'static str),
    /// Its target depends on the reader.
    Unclear,
    Other,
}

/// Reads a path as the most lenient server would: escapes decoded, empty segments and parameters left out, in lower case.
fn spelling(path: &str) -> Spelling {
    let Some(decoded) = decoded(path).filter(|text| text.starts_with('/')) else { return Spelling::Unclear };
    let plain = |segment: &str| segment.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let segments: Vec<String> = decoded.split(['/', '\\']).map(plain).filter(|segment| !segment.is_empty()).collect();
    if decoded.contains(char::is_control) || segments.iter().any(|segment| segment == "." || segment == "..") {
        return Spelling::Unclear;
    }
    match (segments.as_slice(), KNOWN.iter().find(|known| segments.first().is_some_and(|first| first == *known))) {
        ([_], Some(known)) => Spelling::Known(known),
        _ => Spelling::Other,
    }
}

/// The path without escapes; `None` where one is no escape, or hides another.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        let byte = if byte == b'%' { escaped(rest.next()?, rest.next()?)? } else { byte };
        bytes.push(byte);
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains(['%', '\0']))
}

fn escaped(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(path: &str) -> &'static str {
        match spelling(path) {
            Spelling::Known(_) => "known",
            Spelling::Unclear => "unclear",
            Spelling::Other => "other",
        }
    }

    /// In mode regions such a path would have reached WHOOSH's own transition, past the shim.
    #[test]
    fn other_spellings_of_known_paths_are_not_passed_on() {
        for path in [
            "//transition",
            "/transition/",
            "/TRANSITION",
            "/%74ransition",
            "/transition;x=1",
            "/transition%20",
            "/\\state",
        ] {
            assert_eq!(verdict(path), "known", "{path}");
        }
        for path in
            ["/x/../transition", "/./transition", "/%2e%2e/x", "/%252e", "/x%0d%0a", "/x%zz", "*", "", "/%ff", "/x%00"]
        {
            assert_eq!(verdict(path), "unclear", "{path}");
        }
        for path in ["/", "/metrics", "/projects/p/transition", "/transition/7", "/v1/agents", "/a%20b", "/état"] {
            assert_eq!(verdict(path), "other", "{path}");
        }
    }

    #[test]
    fn the_list_of_other_paths_is_bounded() {
        let others = Others::default();
        for n in 0..LISTED + 5 {
            others.count("GET", &format!("/{n}"), true);
        }
        others.count("GET", "/7", false);
        let (listed, unlisted) = others.view();
        assert_eq!((listed.len(), unlisted), (LISTED, 5));
        assert!(listed.iter().any(|other| other.path == "/7" && (other.passed, other.refused) == (1, 1)));
    }
}
