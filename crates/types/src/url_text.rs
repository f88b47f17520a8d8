//! Takes user info, queries and fragments out of the URLs in a text: tokens are passed in all three.
//!
//! The text may be a sentence, an error chain, or a JSON line whose strings are escaped. Where it is unclear how far a URL reaches, more
//! is taken out, not less.

use std::borrow::Cow;

/// Replaces removed parts.
const MARK: &str = "[redacted]";
const BEFORE_AUTHORITY: &str = "://";
/// Before a path that no user info can precede.
const FILE: &str = "file://";
/// Before a login name, which is no secret; a password after it is one.
const SSH: &str = "ssh://";

/// The text whose URLs hold scheme, host, port and path alone.
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    if !text.contains(BEFORE_AUTHORITY) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let (mut done, mut stretch) = (0, Stretch::default());
    while let Some(found) = text[done..].find(BEFORE_AUTHORITY) {
        let start = done + found + BEFORE_AUTHORITY.len();
        out.push_str(&text[done..start]);
        if start > stretch.end {
            stretch = Stretch::at(text, start);
        }
        done = stretch.url_end(text, start);
        append(&text[start..done], Scheme::before(&text[..start]), &mut out);
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}

/// Text up to white space, a quotation mark, or an escape that means one of them. It may hold several URLs, and is
/// scanned once for all of them: a new scan at each `://` takes quadratic time.
#[derive(Default)]
struct Stretch {
    end: usize,
    /// Where its first query or fragment begins; its end where there is none.
    query: usize,
}

impl Stretch {
    fn at(text: &str, start: usize) -> Stretch {
        let stretch = &text[start..start + quoted_end(&text[start..])];
        let query = stretch.find(['?', '#']).unwrap_or(stretch.len());
        Stretch { end: start + stretch.len(), query: start + query }
    }

    /// Where a URL that begins at `start` ends: at the authority of a URL in its path, or with the stretch.
    fn url_end(&self, text: &str, start: usize) -> usize {
        // Not further than the query: after it, nothing begins another URL.
        let next = text[start..self.query].find(BEFORE_AUTHORITY);
        next.map_or(self.end, |next| start + next)
    }
}

/// The schemes whose user info differs from that of others.
#[derive(Clone, Copy, PartialEq)]
enum Scheme {
    File,
    Ssh,
    Other,
}

impl Scheme {
    fn before(text: &str) -> Scheme {
        let ends_with = |scheme: &str| {
            let end = text.len().checked_sub(scheme.len()).and_then(|at| text.get(at..));
            end.is_some_and(|end| end.eq_ignore_ascii_case(scheme))
        };
        if ends_with(FILE) {
            Scheme::File
        } else if ends_with(SSH) {
            Scheme::Ssh
        } else {
            Scheme::Other
        }
    }
}

fn quoted_end(after: &str) -> usize {
    let mut escaped = false;
    for (at, c) in after.char_indices() {
        match c {
            '\\' => escaped = !escaped,
            '"' | 'n' | 'r' | 't' if escaped => return at - 1,
            'u' if escaped && escaped_char(&after[at + 1..]).is_some_and(is_end) => return at - 1,
            c if is_end(c) => return at,
            _ => escaped = false,
        }
    }
    after.len()
}

fn is_end(c: char) -> bool {
    c == '"' || c.is_whitespace() || c.is_control()
}

/// The character that the four digits of a `\u` escape mean.
fn escaped_char(digits: &str) -> Option<char> {
    let digits = digits.get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)
}

/// Whether the parts of a URL are separated by escaped characters. Writers of JSON may escape any character.
fn has_escaped_sign(url: &str) -> bool {
    url.match_indices("\\u")
        .any(|(at, escape)| matches!(escaped_char(&url[at + escape.len()..]), Some('@' | '?' | '#')))
}

/// Appends what follows the scheme, without its secrets. Punctuation at the end belongs to the sentence.
fn append(url: &str, scheme: Scheme, out: &mut String) {
    let bare = url.trim_end_matches([',', ';', ':', '.', ')', ']', '}', '>', '\'', '`']);
    // A mark of an earlier cleaning is no punctuation.
    let marked = MARK.trim_end_matches(']').len();
    let bare = if bare.ends_with(&MARK[..marked]) && url.len() > bare.len() { &url[..=bare.len()] } else { bare };
    if has_escaped_sign(bare) {
        out.push_str(MARK);
    } else {
        append_parts(bare, scheme, out);
    }
    out.push_str(&url[bare.len()..]);
}

fn append_parts(bare: &str, scheme: Scheme, out: &mut String) {
    let (authority, path) = bare.split_at(bare.find(['/', '?', '#']).unwrap_or(bare.len()));
    let host = authority.rfind('@').map(|sign| &authority[sign + 1..]);
    let later = path.rfind('@');
    let of_password = if is_host(host.unwrap_or(authority)) {
        sign_in_path(host.unwrap_or(authority), path).filter(|_| scheme != Scheme::File)
    } else {
        later
    };
    match (of_password, later) {
        // A password may hold what ends an authority; then what is before it is no host.
        (Some(sign), _) => {
            let rest = &path[sign + 1..];
            let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
            append_host(Some(host), "", path, out);
        }
        (None, Some(_)) if !path.starts_with('/') => out.push_str(MARK),
        (None, _) if scheme == Scheme::Ssh && is_login(authority) => append_path(authority, path, out),
        _ => append_host(host, authority, path, out),
    }
}

/// The last `@` of a path that ends user info, of which the authority is then the beginning.
fn sign_in_path(authority: &str, path: &str) -> Option<usize> {
    let path = &path[..path.find(['?', '#']).unwrap_or(path.len())];
    path.rmatch_indices('@').map(|(at, _)| at).find(|at| ends_user_info(authority, &path[..*at], &path[at + 1..]))
}

/// Whether an `@` of a path ends user info. It does not before a digest, before a version where the authority is the name of a host, and at
/// the beginning of the scope of a package.
fn ends_user_info(authority: &str, before: &str, after: &str) -> bool {
    let part = &after[..after.find('/').unwrap_or(after.len())];
    let (name, port) = authority.split_once(':').unwrap_or((authority, ""));
    let is_plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte));
    let is_known = authority.starts_with('[') || (is_plain && (name.contains('.') || name == "localhost"));
    if before.ends_with('/') {
        let is_scope = is_known || (is_plain && (!port.is_empty() || !is_address(part)));
        return !is_scope;
    }
    let is_name = is_digest(part) || (is_known && is_version(part));
    !is_name
}

/// Whether it can be nothing but a host: a name with dots, a port, or this machine.
fn is_address(part: &str) -> bool {
    part.starts_with("localhost") || part.contains(['.', ':', '['])
}

/// Such as `v4` or `1.2.3`; four numbers are an address.
fn is_version(part: &str) -> bool {
    let numbers: Vec<&str> = part.strip_prefix('v').unwrap_or(part).split('.').collect();
    numbers.len() < 4 && numbers.iter().all(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_digest(part: &str) -> bool {
    let digits = ["sha256:", "sha384:", "sha512:"].iter().find_map(|name| part.strip_prefix(name));
    digits.is_some_and(|digits| digits.len() >= 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Whether it is a login name and a host.
fn is_login(authority: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    authority.split_once('@').is_some_and(|(name, host)| name.chars().all(plain) && !host.contains('@'))
}

/// Whether it can be a host with or without a port.
fn is_host(authority: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    authority.starts_with('[') || authority.split_once(':').is_none_or(|(_, port)| is_port(port))
}

/// Appends the host that follows user info, or else the authority, and the path without query and fragment.
fn append_host(host: Option<&str>, authority: &str, path: &str, out: &mut String) {
    match host {
        Some(host) => {
            out.push_str(MARK);
            out.push('@');
            append_path(host, path, out);
        }
        None => append_path(authority, path, out),
    }
}

fn append_path(host: &str, path: &str, out: &mut String) {
    out.push_str(host);
    let shown = path.find(['?', '#']);
    out.push_str(&path[..shown.unwrap_or(path.len())]);
    if let Some(at) = shown {
        out.push_str(&path[at..=at]);
        out.push_str(MARK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_info_queries_and_fragments_are_taken_out() {
        for (text, cleaned) in [
            ("no address at all?", "no address at all?"),
            ("https://host", "https://host"),
            ("https://host:8443/a/b", "https://host:8443/a/b"),
            ("https://host/a?token=hunter2", "https://host/a?[redacted]"),
            ("https://host/a?token=hunter2#more", "https://host/a?[redacted]"),
            ("https://host/a#hunter2", "https://host/a#[redacted]"),
            ("https://host?hunter2", "https://host?[redacted]"),
            ("https://me:hunter2@host/a", "https://[redacted]@host/a"),
            ("https://hunter2@host:1/a?hunter2", "https://[redacted]@host:1/a?[redacted]"),
            ("ssh://git@host/a.git", "ssh://git@host/a.git"),
            ("ssh://git:pass@host/a.git", "ssh://[redacted]@host/a.git"),
            ("https://git@host/a.git", "https://[redacted]@host/a.git"),
            ("HTTP+UNIX://me:hunter2@[::1]:80/x", "HTTP+UNIX://[redacted]@[::1]:80/x"),
            ("https://host/@scope/package", "https://host/@scope/package"),
            ("https://[::1]:80/@scope", "https://[::1]:80/@scope"),
            ("https://me:hunter2@host/@scope/package", "https://[redacted]@host/@scope/package"),
            ("mirror+://a://me:hunter2@host/x", "mirror+://a://[redacted]@host/x"),
            ("https://proxy/https://me:hunter2@host/x", "https://proxy/https://[redacted]@host/x"),
            ("https://proxy/?url=https://me:hunter2@host/x", "https://proxy/?[redacted]"),
            ("file:///srv/a.git?hunter2", "file:///srv/a.git?[redacted]"),
        ] {
            assert_eq!(without_secrets(text), cleaned);
            assert_eq!(without_secrets(cleaned), cleaned);
        }
    }

    #[test]
    fn the_sentence_around_a_url_stays() {
        for (text, cleaned) in [
            ("error for url (https://h/x?t=hunter2): refused", "error for url (https://h/x?[redacted]): refused"),
            ("'https://h/x?t=hunter2' and <https://me@i/y>", "'https://h/x?[redacted]' and <https://[redacted]@i/y>"),
            (r#"{"a":"GET https://h/?t=hunter2","b":1}"#, r#"{"a":"GET https://h/?[redacted]","b":1}"#),
            (r#"{"a":"\"https://h/?t=hunter2\", b"}"#, r#"{"a":"\"https://h/?[redacted]\", b"}"#),
            (r#"{"a":"https://h/?t=hunter2\nnext"}"#, r#"{"a":"https://h/?[redacted]\nnext"}"#),
            (r#"{"a":"https://h/?t=x\\hunter2"}"#, r#"{"a":"https://h/?[redacted]"}"#),
            ("https://h/?a=hunter2, https://h/?b=hunter2.", "https://h/?[redacted], https://h/?[redacted]."),
        ] {
            assert_eq!(without_secrets(text), cleaned);
        }
    }

    #[test]
    fn a_password_that_breaks_its_url_leaks_no_part() {
        for text in [
            "https://me:hun/ter2@host/a",
            "https://me:hun?ter2@host/a",
            "https://me:hun#ter2@host/a?x=ter2",
            "https://hun?ter2@host",
            "https://hun#ter2@host",
            "https://me:hun@ter2@host",
        ] {
            let cleaned = without_secrets(text);
            assert!(!cleaned.contains("hun") && !cleaned.contains("ter2"), "{text}: {cleaned}");
        }
    }

    /// Go writes `&` as an escape in JSON; the escape once ended the URL, so that the rest of the query was shown.
    #[test]
    fn an_escaped_character_ends_a_url_only_where_it_means_a_blank_or_a_quotation_mark() {
        for (text, cleaned) in [
            (r#"{"a":"https://h/?t=x\u0026sig=hunter2"}"#, r#"{"a":"https://h/?[redacted]"}"#),
            (r#"{"a":"https://h/?t=x\u003dhunter2 b"}"#, r#"{"a":"https://h/?[redacted] b"}"#),
            (r#"{"a":"https://h/?t=\ud83d\ude00hunter2"}"#, r#"{"a":"https://h/?[redacted]"}"#),
            (r#"{"a":"https://me\u0026hunter2@h/x"}"#, r#"{"a":"https://[redacted]@h/x"}"#),
            (r#"{"a":"https://me:hunter2\u0040h/x b"}"#, r#"{"a":"https://[redacted] b"}"#),
            (r#"{"a":"https://h/x\u003Ft=hunter2"}"#, r#"{"a":"https://[redacted]"}"#),
            (r#"{"a":"https://h/?t=x\u0022, b"}"#, r#"{"a":"https://h/?[redacted]\u0022, b"}"#),
            (r#"{"a":"https://h/?t=x\u0020b"}"#, r#"{"a":"https://h/?[redacted]\u0020b"}"#),
            (r#"{"a":"https://h/?t=x\u000ab"}"#, r#"{"a":"https://h/?[redacted]\u000ab"}"#),
            (r#"{"a":"https://h/?t=x\u2028b"}"#, r#"{"a":"https://h/?[redacted]\u2028b"}"#),
        ] {
            assert_eq!(without_secrets(text), cleaned, "{text}");
            assert_eq!(without_secrets(cleaned), cleaned);
        }
    }

    /// A token that holds a slash looks like a host with a path.
    #[test]
    fn a_sign_in_a_path_ends_user_info_unless_a_slash_is_before_it() {
        for (text, cleaned) in [
            ("https://tok/en@host", "https://[redacted]@host"),
            ("https://me:1234/abc@host/x?t=1", "https://[redacted]@host/x?[redacted]"),
            ("https://me:1234/abc@host/@scope/package", "https://[redacted]@host/@scope/package"),
            ("https://me:hun@t/er@host", "https://[redacted]@host"),
            ("https://[::1]:80/t/en@host", "https://[redacted]@host"),
            ("https://host/@scope/package", "https://host/@scope/package"),
            ("https://host/a?x=b@c", "https://host/a?[redacted]"),
            ("file:///srv/a@b.git", "file:///srv/a@b.git"),
        ] {
            assert_eq!(without_secrets(text), cleaned, "{text}");
            assert_eq!(without_secrets(cleaned), cleaned);
        }
    }

    /// The digest of an image and the version of an action were taken for hosts, and a token before `/@` for one.
    #[test]
    fn digests_versions_and_scopes_stay_and_a_token_before_a_host_does_not() {
        for (text, cleaned) in [
            (
                "https://registry/team/image@sha256:0123456789abcdef0123456789abcdef.",
                "https://registry/team/image@sha256:0123456789abcdef0123456789abcdef.",
            ),
            ("https://github.com/actions/checkout@v4", "https://github.com/actions/checkout@v4"),
            ("https://me@git.example/x@1.2.3/y", "https://[redacted]@git.example/x@1.2.3/y"),
            ("https://my.pass/word@10.0.0.1/x", "https://[redacted]@10.0.0.1/x"),
            ("https://tok/en@v4", "https://[redacted]@v4"),
            ("https://my.pass/word@sha256:80", "https://[redacted]@sha256:80"),
            ("https://token/@127.0.0.1:8443/a", "https://[redacted]@127.0.0.1:8443/a"),
            ("https://token/@git.example/a/@scope/b", "https://[redacted]@git.example/a/@scope/b"),
            ("https://ghp_Token/@host/a", "https://[redacted]@host/a"),
            ("https://to/ken/@localhost/a", "https://[redacted]@localhost/a"),
            ("https://medium.com/@user.name/a", "https://medium.com/@user.name/a"),
            ("https://host:80/@my.scope/a", "https://host:80/@my.scope/a"),
        ] {
            assert_eq!(without_secrets(text), cleaned, "{text}");
            assert_eq!(without_secrets(cleaned), cleaned);
        }
    }

    /// Each `://` once looked through the rest of its line: hours for the output of a hostile build.
    #[test]
    fn a_line_of_nothing_but_schemes_is_cleaned_in_one_pass() {
        let line = "a://".repeat(1 << 18);
        assert_eq!(without_secrets(&line), line);
        let line = format!("{line}?");
        assert_eq!(without_secrets(&line), format!("{line}[redacted]"));
    }
}
