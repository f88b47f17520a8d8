//! Takes user info, queries and fragments out of the URLs in a text: tokens are passed in all three.
//!
//! The text may be a sentence, an error chain, or a JSON line whose strings are escaped. Where it is unclear how far a URL reaches, more
//! is taken out, not less.

use std::borrow::Cow;

/// What is put in the place of what was taken out.
const MARK: &str = "[redacted]";
const BEFORE_AUTHORITY: &str = "://";

/// The text whose URLs hold scheme, host, port and path alone.
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    if !text.contains(BEFORE_AUTHORITY) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(BEFORE_AUTHORITY) {
        let (before, after) = rest.split_at(at + BEFORE_AUTHORITY.len());
        out.push_str(before);
        let (url, following) = after.split_at(end(after));
        append(url, &mut out);
        rest = following;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Where a URL ends: at white space, a quotation mark, an escape that means one of them, or the authority of a URL in its path.
fn end(after: &str) -> usize {
    let end = quoted_end(after);
    match (after[..end].find(BEFORE_AUTHORITY), after[..end].find(['?', '#'])) {
        (Some(next), query) if query.is_none_or(|query| next < query) => next,
        _ => end,
    }
}

fn quoted_end(after: &str) -> usize {
    let mut escaped = false;
    for (at, c) in after.char_indices() {
        match c {
            '\\' => escaped = !escaped,
            '"' | 'n' | 'r' | 't' | 'u' if escaped => return at - 1,
            '"' => return at,
            c if c.is_whitespace() || c.is_control() => return at,
            _ => escaped = false,
        }
    }
    after.len()
}

/// Appends what follows the scheme, without its secrets. Punctuation at the end belongs to the sentence.
fn append(url: &str, out: &mut String) {
    let bare = url.trim_end_matches([',', ';', ':', '.', ')', ']', '}', '>', '\'', '`']);
    // A mark of an earlier cleaning is no punctuation.
    let marked = MARK.trim_end_matches(']').len();
    let bare = if bare.ends_with(&MARK[..marked]) && url.len() > bare.len() { &url[..=bare.len()] } else { bare };
    let (authority, path) = bare.split_at(bare.find(['/', '?', '#']).unwrap_or(bare.len()));
    let host = authority.rfind('@').map(|sign| &authority[sign + 1..]);
    let (is_host, later) = (is_host(host.unwrap_or(authority)), path.rfind('@'));
    match (host, later) {
        // A password may hold what ends an authority; then what is before it is no host with a port.
        (_, Some(sign)) if !is_host => {
            let rest = &path[sign + 1..];
            let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
            append_host(Some(host), "", path, out);
        }
        (_, Some(_)) if !path.starts_with('/') => out.push_str(MARK),
        _ => append_host(host, authority, path, out),
    }
    out.push_str(&url[bare.len()..]);
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
            ("ssh://git@host/a.git", "ssh://[redacted]@host/a.git"),
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
}
