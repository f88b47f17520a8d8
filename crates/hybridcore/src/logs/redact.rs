//! Takes secrets out of text that people will read: those that are known, and those that look like one.

use std::fmt;
use std::sync::Arc;

use swoosh_types::url_text;

/// Replacement for a secret.
const MARK: &str = "[redacted]";
/// A known secret shorter than this would take too much else with it.
const SHORTEST_SECRET: usize = 4;
/// Prefixes that mark a secret in any text: our key files, age identities, tokens of servers.
const BEGINNINGS: &[&str] = &["hmmm:secret:", "AGE-SECRET-KEY-", "Bearer ", "bearer "];
/// A word that follows one of them and is shorter than this is prose.
const SHORTEST_KEY: usize = 8;
/// Names whose value is a secret when it follows as `name=value` or `name: value`.
const NAMES: &[&str] = &["password", "passwd", "secret", "token", "api_key", "apikey", "access_key", "authorization"];

/// Takes secrets out of lines.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, so that a secret within another leaves no rest.
    known: Arc<[String]>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} secrets)", self.known.len())
    }
}

impl Redactor {
    /// A redactor that knows these secrets; those under four bytes are left out.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Redactor {
        let mut known: Vec<String> = secrets.into_iter().filter(|secret| secret.len() >= SHORTEST_SECRET).collect();
        known.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        known.dedup();
        Redactor { known: known.into() }
    }

    /// The line without secrets.
    pub fn clean(&self, line: &str) -> String {
        let mut line = line.to_owned();
        for secret in self.known.iter() {
            if line.contains(secret.as_str()) {
                line = line.replace(secret.as_str(), MARK);
            }
        }
        without_assignments(&without_keys(&url_text::without_secrets(&line)))
    }
}

/// Keys and tokens that are known by how they begin, without what follows.
fn without_keys(line: &str) -> String {
    let mut line = line.to_owned();
    for beginning in BEGINNINGS {
        if line.contains(beginning) {
            line = without_key(&line, beginning);
        }
    }
    line
}

fn without_key(line: &str, beginning: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(beginning) {
        let (before, after) = rest.split_at(at + beginning.len());
        out.push_str(before);
        let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.+/=~".contains(c))).unwrap_or(after.len());
        // Prose may itself be the beginning of a secret.
        let is_key = end >= SHORTEST_KEY;
        out.push_str(if is_key { MARK } else { "" });
        rest = if is_key { &after[end..] } else { after };
    }
    out.push_str(rest);
    out
}

/// `token=…`, `password: …` and the like without the value.
fn without_assignments(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let mut names = Names { lower: &lower, next: [Some(0); NAMES.len()] };
    let mut out = String::with_capacity(line.len());
    let mut done = 0;
    while let Some((start, end)) = names.next_value(done) {
        out.push_str(&line[done..start]);
        out.push_str(MARK);
        done = end;
    }
    out.push_str(&line[done..]);
    out
}

/// Finds the names of secrets in a line. Each name is searched on from where it was found last, so that a line takes linear time.
struct Names<'a> {
    lower: &'a str,
    /// Where each name is next, or is searched for next; `None` where it does not follow.
    next: [Option<usize>; NAMES.len()],
}

impl Names<'_> {
    /// Where the next value of a secret's name is at or after `from`. Offsets are those of ASCII
    /// characters, so they are boundaries in the original as well.
    fn next_value(&mut self, mut from: usize) -> Option<(usize, usize)> {
        loop {
            from = self.next_name_end(from)?;
            if let Some(value) = value_after(self.lower, from) {
                return Some(value);
            }
        }
    }

    fn next_name_end(&mut self, from: usize) -> Option<usize> {
        for (next, name) in self.next.iter_mut().zip(NAMES) {
            let is_known = |at: &usize| *at >= from && self.lower[*at..].starts_with(name);
            if next.is_some() && next.filter(is_known).is_none() {
                *next = self.lower[from..].find(name).map(|at| from + at);
            }
        }
        let found = self.next.iter().zip(NAMES).filter_map(|(next, name)| next.map(|at| (at, name.len())));
        found.min().map(|(at, length)| at + length)
    }
}

/// The value that is assigned right after a name which ends at `name_end`.
fn value_after(lower: &str, name_end: usize) -> Option<(usize, usize)> {
    let rest = &lower[name_end..];
    let skipped = rest.find(|c: char| !matches!(c, '"' | '\'' | ' ' | '=' | ':')).unwrap_or(rest.len());
    let start = name_end + skipped;
    let scheme = ["bearer ", "basic "].iter().find(|scheme| lower[start..].starts_with(**scheme));
    let value = &lower[start + scheme.map_or(0, |scheme| scheme.len())..];
    // Before the end of the value is searched for, which may be far away.
    if !rest[..skipped].contains(['=', ':']) || value.starts_with(MARK) {
        return None;
    }
    let length = value.find(|c: char| c.is_whitespace() || "\"',;&".contains(c)).unwrap_or(value.len());
    (length > 0).then(|| (start, lower.len() - value.len() + length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn clean(line: &str) -> String {
        Redactor::new(["s3cr3t".to_owned(), "s3cr3t-and-more".to_owned(), "no".to_owned()]).clean(line)
    }

    #[test]
    fn known_secrets_go_the_longest_first() {
        assert_eq!(clean("x s3cr3t-and-more y s3cr3t no"), "x [redacted] y [redacted] no");
    }

    #[test]
    fn credentials_in_addresses_go_and_the_address_stays() {
        assert_eq!(
            clean("get https://u:p@h.example/a?b and ssh://git@h/x"),
            "get https://[redacted]@h.example/a?[redacted] and ssh://git@h/x"
        );
        assert_eq!(clean("https://h.example/@a/b"), "https://h.example/@a/b");
        assert_eq!(clean("https://h.example/a@b"), "https://[redacted]@b");
        assert_eq!(clean("mirror+://a://u:p@h/x"), "mirror+://a://[redacted]@h/x");
        let once = clean("://token://&://@");
        assert_eq!(clean(&once), once);
    }

    #[test]
    fn what_is_named_like_a_secret_goes_and_prose_stays() {
        for (line, cleaned) in [
            ("TOKEN=abc next", "TOKEN=[redacted] next"),
            ("{\"password\": \"abc\"}", "{\"password\": \"[redacted]\"}"),
            ("Authorization: Bearer abc.def", "Authorization: [redacted]"),
            ("a=1&access_key=k&b=2", "a=1&access_key=[redacted]&b=2"),
            ("the token is missing", "the token is missing"),
            ("token=", "token="),
        ] {
            assert_eq!(clean(line), cleaned, "{line}");
        }
    }

    /// Each name once looked for all others, and for the end of its value, in the rest of the line.
    #[test]
    fn a_line_of_nothing_but_names_is_cleaned_in_one_pass() {
        for part in ["token", "token ", "token=,", "token=[redacted]"] {
            let line = part.repeat((1 << 20) / part.len());
            assert_eq!(clean(&line), line);
        }
        assert_eq!(clean(&"token=x;".repeat(1 << 17)), "token=[redacted];".repeat(1 << 17));
    }

    #[test]
    fn keys_go_wherever_they_stand_and_what_only_looks_like_their_beginning_stays() {
        for (line, cleaned) in [
            ("read hmmm:secret:AbCd_efGh-1234 from x", "read hmmm:secret:[redacted] from x"),
            ("AGE-SECRET-KEY-1QQQQQQQQQQ.", "AGE-SECRET-KEY-[redacted]"),
            ("said Bearer abc.def-ghi, then", "said Bearer [redacted], then"),
            ("the Bearer of it", "the Bearer of it"),
            ("Bearer Bearer tokentoken", "Bearer Bearer [redacted]"),
            ("hmmm:pubkey:AbCd_efGh-1234", "hmmm:pubkey:AbCd_efGh-1234"),
        ] {
            assert_eq!(clean(line), cleaned, "{line}");
            assert_eq!(clean(cleaned), cleaned);
        }
    }

    proptest! {
        #[test]
        fn no_known_secret_survives_in_any_text(before in "\\PC{0,20}", after in "\\PC{0,20}") {
            let line = format!("{before}s3cr3t{after}");
            prop_assert!(!clean(&line).contains("s3cr3t"));
        }

        #[test]
        fn text_of_any_kind_is_cleaned_without_a_panic_and_once_is_enough(line in "(\\PC|token|=|:|://|@|\"|hmmm:secret:|Bearer ){0,40}") {
            let once = clean(&line);
            prop_assert_eq!(clean(&once), once);
        }
    }
}
