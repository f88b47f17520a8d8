//! The grammar of UCXL addresses:
//!
//! ```text
//! address  = "ucxl://" name ":" name "@" name [ ":" name ] [ "/" temporal [ "/" path ] ]
//! name     = "*" | 1 to 63 of A-Z a-z 0-9 . _ -                 but not "." nor ".."
//! temporal = "*" | "*^" | "*~" [ number ] | "~~" place | "^^" place | date | name | "…"
//! place    = number | name                                      a number without leading zeros
//! date     = year "-" month "-" day                             a day that there is
//! path     = segment { "/" segment }                            no empty one, no "." nor ".."
//! segment  = visible characters but " < > \ ^ ` { | } /         in normalisation form C
//! ```
//! The part behind the authority has at most 500 bytes. `…` is a part that was left out.

use std::fmt;

use crate::civil;
use crate::json::MAX_INTEGER;

const SCHEME: &str = "ucxl://";
/// The most bytes that temporal segment and path may have together.
const MOST_BYTES: usize = 500;
const ELLIPSIS: &str = "…";

/// The parts of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ucxl<'a> {
    pub agent: &'a str,
    pub role: &'a str,
    pub project: &'a str,
    pub task: Option<&'a str>,
    /// As of when; an address without it names the agent's work as a whole.
    pub temporal: Option<Temporal<'a>>,
    pub path: Option<&'a str>,
}

/// As of when an address is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temporal<'a> {
    /// `*`: at any time.
    Any,
    /// `*^`: the latest version.
    Latest,
    /// `*~`: the first version.
    First,
    /// `*~n`: version n.
    Version(u64),
    /// `~~n`: n versions back.
    Back(u64),
    /// `~~name`: back to the version of that name.
    BackTo(&'a str),
    /// `^^n`: n versions forward.
    Forward(u64),
    /// `^^name`: forward to the version of that name.
    ForwardTo(&'a str),
    /// `2025-10-19`: on that day (UTC).
    Day(&'a str),
    /// A name, of a beat, a release or whatever the project calls a time.
    Named(&'a str),
    /// `…`: left open.
    Open,
}

/// A fault of an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UcxlError {
    /// Another scheme.
    #[error("it does not begin with ucxl://")]
    Scheme,
    /// The authority has another form.
    #[error("{0:?} is not agent:role@project or agent:role@project:task")]
    Authority(String),
    /// A part is no name.
    #[error("the {part} {found:?} is not * or 1 to 63 characters of A-Z, a-z, 0-9, '.', '_', '-'")]
    Name {
        part: &'static str,
        /// The text found there.
        found: String,
    },
    /// The temporal segment is none.
    #[error("the temporal segment {0:?} is none of *, *^, *~, *~n, ~~n, ~~name, ^^n, ^^name, a date, a name")]
    Temporal(String),
    /// The path is none.
    #[error(
        "the path {0:?} has an empty segment, '.' or '..', a character that a path cannot have, or is not in form C"
    )]
    Path(String),
    /// Too long.
    #[error("temporal segment and path have {0} bytes together; {MOST_BYTES} is the most")]
    Long(usize),
}

impl<'a> Ucxl<'a> {
    /// Reads an address in its one spelling.
    pub fn parse(text: &'a str) -> Result<Ucxl<'a>, UcxlError> {
        let rest = text.strip_prefix(SCHEME).ok_or(UcxlError::Scheme)?;
        let (authority, tail) = cut(rest, '/');
        let malformed = || UcxlError::Authority(authority.chars().take(80).collect());
        let (who, place) = authority.split_once('@').ok_or_else(malformed)?;
        let (agent, role) = who.split_once(':').ok_or_else(malformed)?;
        let (project, task) = cut(place, ':');
        let parts = [("agent", Some(agent)), ("role", Some(role)), ("project", Some(project)), ("task", task)];
        for (part, found) in parts.into_iter().filter_map(|(part, found)| Some((part, found?))) {
            if !is_name_or_any(found) {
                return Err(UcxlError::Name { part, found: found.chars().take(80).collect() });
            }
        }
        let tail_bytes = tail.map_or(0, str::len);
        if tail_bytes > MOST_BYTES {
            return Err(UcxlError::Long(tail_bytes));
        }
        let (temporal, path) = tail.map_or((None, None), |tail| {
            let (temporal, path) = cut(tail, '/');
            (Some(temporal), path)
        });
        let temporal = temporal.map(Temporal::parse).transpose()?;
        match path.filter(|path| !is_path(path)) {
            Some(path) => Err(UcxlError::Path(path.chars().take(80).collect())),
            None => Ok(Ucxl { agent, role, project, task, temporal, path }),
        }
    }
}

impl<'a> Temporal<'a> {
    fn parse(text: &'a str) -> Result<Temporal<'a>, UcxlError> {
        let found = match text {
            "*" => Some(Temporal::Any),
            "*^" => Some(Temporal::Latest),
            "*~" => Some(Temporal::First),
            ELLIPSIS => Some(Temporal::Open),
            _ => Temporal::relative(text),
        };
        found.ok_or_else(|| UcxlError::Temporal(text.chars().take(80).collect()))
    }

    pub fn meaning(&self) -> String {
        match self {
            Temporal::Any => "at any time".to_owned(),
            Temporal::Latest => "the latest version".to_owned(),
            Temporal::First => "the first version".to_owned(),
            Temporal::Version(number) => format!("version {number}"),
            Temporal::Back(number) => format!("{number} versions back"),
            Temporal::BackTo(name) => format!("back to {name}"),
            Temporal::Forward(number) => format!("{number} versions forward"),
            Temporal::ForwardTo(name) => format!("forward to {name}"),
            Temporal::Day(day) => format!("on {day}, UTC"),
            Temporal::Named(name) => format!("the time that the project calls {name}"),
            Temporal::Open => "left open".to_owned(),
        }
    }

    fn relative(text: &'a str) -> Option<Temporal<'a>> {
        let place = |rest: &'a str, number: fn(u64) -> Temporal<'a>, name: fn(&'a str) -> Temporal<'a>| {
            let digits = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
            if digits { whole(rest).map(number) } else { is_name(rest).then(|| name(rest)) }
        };
        if let Some(rest) = text.strip_prefix("~~") {
            return place(rest, Temporal::Back, Temporal::BackTo);
        }
        if let Some(rest) = text.strip_prefix("^^") {
            return place(rest, Temporal::Forward, Temporal::ForwardTo);
        }
        if let Some(rest) = text.strip_prefix("*~") {
            return whole(rest).map(Temporal::Version);
        }
        match looks_like_a_day(text) {
            true => is_day(text).then_some(Temporal::Day(text)),
            false => is_name(text).then_some(Temporal::Named(text)),
        }
    }
}

impl fmt::Display for Temporal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Temporal::Any => f.write_str("*"),
            Temporal::Latest => f.write_str("*^"),
            Temporal::First => f.write_str("*~"),
            Temporal::Version(number) => write!(f, "*~{number}"),
            Temporal::Back(number) => write!(f, "~~{number}"),
            Temporal::BackTo(name) => write!(f, "~~{name}"),
            Temporal::Forward(number) => write!(f, "^^{number}"),
            Temporal::ForwardTo(name) => write!(f, "^^{name}"),
            Temporal::Day(text) | Temporal::Named(text) => f.write_str(text),
            Temporal::Open => f.write_str(ELLIPSIS),
        }
    }
}

impl fmt::Display for Ucxl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}:{}@{}", self.agent, self.role, self.project)?;
        self.task.map_or(Ok(()), |task| write!(f, ":{task}"))?;
        self.temporal.map_or(Ok(()), |temporal| write!(f, "/{temporal}"))?;
        self.path.map_or(Ok(()), |path| write!(f, "/{path}"))
    }
}

/// The one spelling of an address that was written another way: blanks around it, a scheme in capitals, empty
/// segments and a slash at the end, `.` and `..` in the path, leading zeros of a version, another normalisation form.
/// The meaning stays; an error names a fault that cannot be normalised.
pub fn normal_form(text: &str) -> Result<String, UcxlError> {
    use unicode_normalization::UnicodeNormalization as _;
    let text: String = text.trim().nfc().collect();
    let scheme = text.get(..SCHEME.len()).filter(|scheme| scheme.eq_ignore_ascii_case(SCHEME));
    let rest = scheme.and_then(|_| text.get(SCHEME.len()..)).ok_or(UcxlError::Scheme)?;
    let (authority, tail) = cut(rest, '/');
    let mut segments = tail.into_iter().flat_map(|tail| tail.split('/')).filter(|segment| !segment.is_empty());
    let temporal = segments.next();
    let mut path: Vec<&str> = Vec::new();
    for segment in segments {
        match segment {
            "." => {}
            ".." => drop(path.pop().ok_or_else(|| UcxlError::Path("..".to_owned()))?),
            _ => path.push(segment),
        }
    }
    let temporal = temporal.map(without_zeros);
    let tail: String = temporal.iter().map(String::as_str).chain(path).map(|segment| format!("/{segment}")).collect();
    let normal = format!("{SCHEME}{authority}{tail}");
    Ucxl::parse(&normal)?;
    Ok(normal)
}

/// `~~007` as `~~7`.
fn without_zeros(temporal: &str) -> String {
    for sign in ["~~", "^^", "*~"] {
        let digits = temporal.strip_prefix(sign).filter(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
        if let Some(digits) = digits.filter(|digits| !digits.is_empty()) {
            let short = digits.trim_start_matches('0');
            return format!("{sign}{}", if short.is_empty() { "0" } else { short });
        }
    }
    temporal.to_owned()
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

/// 1 to 63 of `A-Z a-z 0-9 . _ -`, and neither `.` nor `..`.
pub(super) fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && text != "."
        && text != ".."
}

fn is_name_or_any(text: &str) -> bool {
    text == "*" || is_name(text)
}

/// A number without leading zeros, up to 2^53−1.
fn whole(text: &str) -> Option<u64> {
    let canonical = text.len() == 1 || !text.starts_with('0');
    civil::number(text).filter(|&number| canonical && number <= MAX_INTEGER)
}

fn looks_like_a_day(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(n, b)| if n == 4 || n == 7 { b == b'-' } else { b.is_ascii_digit() })
}

fn is_day(text: &str) -> bool {
    let parts: Vec<u64> = text.split('-').filter_map(civil::number).collect();
    let [year, month, day] = parts[..] else { return false };
    civil::to_ms(year, month, day).is_some()
}

pub(super) fn is_path(text: &str) -> bool {
    let allowed = |c: char| !c.is_control() && !c.is_whitespace() && !"\"<>\\^`{|}".contains(c);
    text.len() <= MOST_BYTES
        && text.chars().all(allowed)
        && unicode_normalization::is_nfc(text)
        && text.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Ucxl<'_> {
        Ucxl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn every_part_of_an_address_is_read() {
        let address = read("ucxl://ann:reviewer@shop:checkout/~~3/src/pay/lib.rs");
        assert_eq!((address.agent, address.role, address.project), ("ann", "reviewer", "shop"));
        assert_eq!((address.task, address.temporal), (Some("checkout"), Some(Temporal::Back(3))));
        assert_eq!(address.path, Some("src/pay/lib.rs"));
        let short = read("ucxl://*:*@shop");
        assert_eq!((short.task, short.temporal, short.path), (None, None, None));
    }

    #[test]
    fn times_are_distinguished() {
        let temporal = |text: &'static str| Temporal::parse(text).ok();
        for (text, meant) in [
            ("*", Temporal::Any),
            ("*^", Temporal::Latest),
            ("*~", Temporal::First),
            ("*~4", Temporal::Version(4)),
            ("~~0", Temporal::Back(0)),
            ("~~latest", Temporal::BackTo("latest")),
            ("^^2", Temporal::Forward(2)),
            ("^^v2", Temporal::ForwardTo("v2")),
            ("2024-02-29", Temporal::Day("2024-02-29")),
            ("beat-7", Temporal::Named("beat-7")),
            ("…", Temporal::Open),
        ] {
            assert_eq!(temporal(text), Some(meant), "{text}");
            assert_eq!(meant.to_string(), text);
        }
        for text in ["", "~~", "^^", "~~01", "*~01", "*~x", "**", "2025-02-30", "~~9007199254740992", "a b", ".", "…x"]
        {
            assert_eq!(temporal(text), None, "{text}");
        }
    }

    #[test]
    fn another_spelling_is_refused_and_has_a_normal_form() {
        for (text, normal) in [
            (" UCXL://a:b@c/*^/x/ ", "ucxl://a:b@c/*^/x"),
            ("ucxl://a:b@c/", "ucxl://a:b@c"),
            ("ucxl://a:b@c//~~007//x/./y/../z", "ucxl://a:b@c/~~7/x/z"),
            ("ucxl://a:b@c/now/e\u{301}", "ucxl://a:b@c/now/\u{e9}"),
            ("ucxl://a:b@c/~~000", "ucxl://a:b@c/~~0"),
        ] {
            assert!(Ucxl::parse(text).is_err(), "{text}");
            assert_eq!(normal_form(text).as_deref(), Ok(normal), "{text}");
        }
        assert_eq!(normal_form("ucxl://a:b@c/now/../x"), Err(UcxlError::Path("..".into())));
        assert_eq!(normal_form("http://a:b@c"), Err(UcxlError::Scheme));
        assert!(matches!(normal_form("ucxl://a b:c@d"), Err(UcxlError::Name { part: "agent", .. })));
    }

    #[test]
    fn an_error_names_the_part_that_is_wrong() {
        let error = |text: &str| Ucxl::parse(text).unwrap_err();
        assert!(matches!(error("ucxl://a:b@"), UcxlError::Name { part: "project", .. }));
        assert!(matches!(error("ucxl://a:b@c:/x"), UcxlError::Name { part: "task", .. }));
        assert!(matches!(error("ucxl://a@c"), UcxlError::Authority(_)));
        assert!(matches!(error("ucxl://a:b@c/*!/x"), UcxlError::Temporal(_)));
        assert!(matches!(error("ucxl://a:b@c/now/x y"), UcxlError::Path(_)));
        assert_eq!(error(&format!("ucxl://a:b@c/now/{}", "x".repeat(500))), UcxlError::Long(504));
    }

    prop_compose! {
        fn address()(
            names in proptest::array::uniform3("[A-Za-z0-9_-]{1,12}"),
            task in proptest::option::of("[a-z0-9._-]{0,5}[a-z]"),
            temporal in "\\*|\\*\\^|\\*~|\\*~[1-9][0-9]{0,3}|~~[0-9]|~~[a-z]{1,8}|\\^\\^[1-9]|20[0-9]{2}-0[1-9]-1[0-9]|[a-z]{1,9}|…",
            path in proptest::option::of("[a-zA-Z0-9é~:@!$&'()*+,;=%?#-]{1,9}(/[a-zA-Z0-9é_]{1,9}){0,3}"),
        ) -> String {
            let [agent, role, project] = names;
            let task = task.map(|task| format!(":{task}")).unwrap_or_default();
            let path = path.map(|path| format!("/{path}")).unwrap_or_default();
            format!("ucxl://{agent}:{role}@{project}{task}/{temporal}{path}")
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_printed_as_it_was(text in address()) {
            prop_assert_eq!(read(&text).to_string(), text);
        }

        #[test]
        fn whatever_is_accepted_is_printed_as_it_was_and_is_its_own_normal_form(text in "ucxl://[a:b@*/~^….0-9 -]{0,24}") {
            if let Ok(address) = Ucxl::parse(&text) {
                prop_assert_eq!(address.to_string(), text.clone());
                prop_assert_eq!(normal_form(&text), Ok(text));
            }
        }

        #[test]
        fn a_normal_form_is_an_address_and_stays_as_it_is(text in address(), blanks in " {0,2}", slashes in "/{0,3}") {
            let spelled = format!("{blanks}{}{slashes}{blanks}", text.replacen("ucxl", "UcXl", 1).replace('/', "//").replacen("////", "//", 1));
            let normal = normal_form(&spelled).unwrap();
            prop_assert_eq!(&normal, &text);
            prop_assert_eq!(normal_form(&normal), Ok(normal.clone()));
        }
    }
}
