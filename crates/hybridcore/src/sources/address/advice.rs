//! The address that a text without one was probably meant to be. Each suggestion passes [`Address::parse`].

use super::{Address, AddressError, Role};

/// Schemes that are written with too few slashes.
const SCHEMES: [&str; 2] = ["https", "ssh"];
/// Words before a colon that are no host.
const SCHEME_WORDS: [&str; 6] = ["http", "https", "ssh", "git", "file", "ftp"];
/// Longest text that is repeated with a suggestion; no address is longer.
const MOST_BYTES: usize = 500;
const PATH: &str = "is a path";
const SLASHES: &str = "has too few slashes after its scheme";
const NO_SCHEME: &str = "has no scheme";

/// A fault, and the address without it.
type Meant = (&'static str, String);

/// Of a text without `://`.
pub(super) fn without_scheme(text: &str) -> AddressError {
    let plain = text.trim();
    if plain.is_empty() {
        return AddressError::Empty;
    }
    if let Some(host) = host_after_password(plain) {
        return AddressError::Credentials { host };
    }
    let otherwise = AddressError::NoScheme(text.chars().take(80).collect());
    suggested(text, file(plain).or_else(|| few_slashes(plain)).or_else(|| place(plain)), otherwise)
}

/// Of a text with characters that no address has.
pub(super) fn of_characters(text: &str) -> AddressError {
    let plain = text.trim();
    if plain != text && Address::parse(plain, Role::Source).is_ok() {
        return suggested(text, Some(("begins or ends with a blank", plain.to_owned())), AddressError::Characters);
    }
    let (scheme, rest) = plain.split_once("://").unwrap_or_default();
    let instead = format!("{scheme}://{}", escaped(&rest.replace('\\', "/"), "\""));
    let fault = "holds blanks or other characters that no address has (write a blank of a path as %20)";
    let meant = Some((fault, instead)).filter(|(_, instead)| instead != text && !instead.contains(['?', '#']));
    suggested(text, meant, AddressError::Characters)
}

/// Of a scheme that git allows, but in capitals.
pub(super) fn of_capitals(scheme: &str, text: &str) -> Option<AddressError> {
    let small = scheme.to_ascii_lowercase();
    let rest = text.get(scheme.len()..).filter(|_| small != scheme)?;
    let otherwise = AddressError::Scheme { scheme: scheme.to_owned() };
    Some(suggested(text, Some(("has a scheme in capitals", format!("{small}{rest}"))), otherwise))
}

fn suggested(text: &str, meant: Option<Meant>, otherwise: AddressError) -> AddressError {
    let Some((fault, instead)) = meant.filter(|(_, instead)| text.len().max(instead.len()) <= MOST_BYTES) else {
        return otherwise;
    };
    match Address::parse(&instead, Role::Source) {
        Ok(_) => AddressError::Meant { fault: format!("{text:?} {fault}").into(), instead: instead.into() },
        Err(credentials @ AddressError::Credentials { .. }) => credentials,
        Err(_) => otherwise,
    }
}

/// The host behind a user with a password, wherever such a thing may be: the text must not be repeated.
fn host_after_password(text: &str) -> Option<String> {
    let rest = text.split_once(":/").filter(|(scheme, _)| is_word(scheme)).map_or(text, |(_, rest)| rest);
    let authority = rest.trim_start_matches('/').split('/').next()?;
    let (user, host) = authority.rsplit_once('@').filter(|(user, _)| user.contains(':'))?;
    Some(host.split(':').next().unwrap_or_default().to_owned()).filter(|_| !user.starts_with(':'))
}

/// `file:/srv/a`, `file:a`
fn file(text: &str) -> Option<Meant> {
    let rest = text.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("file:")).and(text.get(5..))?;
    if rest.starts_with('/') {
        return Some((SLASHES, format!("file:///{}", escaped(rest.trim_start_matches('/'), "?#\"\\"))));
    }
    place(rest)
        .filter(|(_, instead)| instead.starts_with("file:"))
        .or_else(|| (!rest.is_empty()).then(|| relative(rest)))
}

/// `https:/h/a`, `ssh:git@h/a`
fn few_slashes(text: &str) -> Option<Meant> {
    let (scheme, rest) = text.split_once(':')?;
    let scheme = SCHEMES.into_iter().find(|known| scheme.eq_ignore_ascii_case(known))?;
    Some((SLASHES, format!("{scheme}://{}", escaped(rest.trim_start_matches('/'), "\"\\"))))
}

/// A folder, or a host.
fn place(text: &str) -> Option<Meant> {
    let folder = |path: &str| escaped(path, "%?#\"\\");
    if let Some(path) = windows(text) {
        return Some(("is a path of Windows", format!("file:///absolute/path/{}", folder(&path))));
    }
    if let Some(rest) = text.strip_prefix('~') {
        let (user, path) = rest.split_once('/').unwrap_or((rest, ""));
        let user = if user.is_empty() { "USER" } else { user };
        let home = format!("file:///home/{}", folder(&format!("{user}/{path}")));
        return Some(("begins with ~, which only a shell replaces", home.trim_end_matches('/').to_owned()));
    }
    if let Some(rest) = text.strip_prefix("//").filter(|rest| is_dotted_host(first_part(rest))) {
        return Some((NO_SCHEME, format!("https://{}", escaped(rest, "\"\\"))));
    }
    if text.starts_with('/') {
        return Some((PATH, format!("file:///{}", folder(text.trim_start_matches('/')))));
    }
    if text == "." || text == ".." || text.starts_with("./") || text.starts_with("../") {
        return Some(relative(text));
    }
    of_host(text)
        .or_else(|| (text.contains('/') && !text.contains(':') || text.ends_with(".git")).then(|| relative(text)))
}

fn relative(text: &str) -> Meant {
    let mut rest = text;
    while let Some(below) = ["../", "./"].iter().find_map(|up| rest.strip_prefix(up)) {
        rest = below.trim_start_matches('/');
    }
    let rest = if rest == "." || rest == ".." { "" } else { rest };
    let path = format!("file:///absolute/path/{}", escaped(rest, "%?#\"\\"));
    ("is a relative path", path.trim_end_matches('/').to_owned())
}

/// `git@h:a`, `h.example:a`, `h.example/a`
fn of_host(text: &str) -> Option<Meant> {
    if let Some((host, path)) = text.split_once(':').filter(|(host, _)| is_host(host)) {
        let path = path.trim();
        let is_port = path.split_once('/').is_some_and(|(port, _)| port.parse::<u16>().is_ok());
        if is_port && is_dotted_host(host) {
            return Some((NO_SCHEME, format!("https://{host}:{}", escaped(path, "\"\\"))));
        }
        let is_alias = !SCHEME_WORDS.contains(&host) && (path.contains('/') || path.ends_with(".git"));
        let is_known = host.contains(['@', '.']) || is_alias;
        let path = path.strip_prefix('/').unwrap_or(path);
        if !is_known || path.is_empty() || path.starts_with([':', '/']) {
            return None;
        }
        let user = if host.contains('@') { "" } else { "git@" };
        return Some(("is the short form of ssh", format!("ssh://{user}{host}/{}", escaped(path, "?#\"\\"))));
    }
    let host = first_part(text);
    let scheme = if host.contains('@') && is_host(host) { "ssh" } else { "https" };
    let is_host = scheme == "ssh" || is_dotted_host(host);
    (is_host && text.len() > host.len() + 1).then(|| (NO_SCHEME, format!("{scheme}://{}", escaped(text, "\"\\"))))
}

/// `C:\a`, `C:/a`, `\\server\a`: what follows the drive or the server's slashes, with plain slashes.
fn windows(text: &str) -> Option<String> {
    let of_drive = text.get(1..2).filter(|colon| *colon == ":" && text.starts_with(|c: char| c.is_ascii_alphabetic()));
    let rest = of_drive.and(text.get(2..)).or_else(|| text.strip_prefix(r"\\"))?;
    Some(rest.replace('\\', "/").trim_start_matches('/').to_owned())
}

fn first_part(text: &str) -> &str {
    text.split('/').next().unwrap_or_default()
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Whether this can be before the colon of ssh's short form.
fn is_host(host: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"@._-".contains(&byte);
    host.len() > 1 && !host.starts_with(['-', '.']) && host.bytes().all(allowed)
}

/// A name with a dot whose last label is of letters, such as `h.example`.
fn is_dotted_host(host: &str) -> bool {
    let end = host.rsplit_once('.').map_or("", |(_, end)| end);
    is_host(host)
        && !host.contains('@')
        && end.len() > 1
        && end != "git"
        && end.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// The text with these characters, and all that are not visible ASCII, as `%20` and the like.
fn escaped(text: &str, characters: &str) -> String {
    let escape = |byte: u8| {
        let is_plain = byte.is_ascii_graphic() && !characters.as_bytes().contains(&byte);
        if is_plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use swoosh_types::text::Url;

    /// A text, the fault that is named, and the address that is given instead.
    const ADVICE: [(&str, &str, &str); 42] = [
        ("/srv/a.git", "is a path", "file:///srv/a.git"),
        ("/srv/my disk/50%/a", "is a path", "file:///srv/my%20disk/50%25/a"),
        ("/srv/m\u{fc}ll", "is a path", "file:///srv/m%C3%BCll"),
        ("~/a.git", "only a shell replaces", "file:///home/USER/a.git"),
        ("~bob/a.git", "only a shell replaces", "file:///home/bob/a.git"),
        ("~", "only a shell replaces", "file:///home/USER"),
        ("./a", "is a relative path", "file:///absolute/path/a"),
        ("../../a/b.git", "is a relative path", "file:///absolute/path/a/b.git"),
        ("..", "is a relative path", "file:///absolute/path"),
        ("a/b", "is a relative path", "file:///absolute/path/a/b"),
        ("b.git", "is a relative path", "file:///absolute/path/b.git"),
        ("file:/srv/a", "too few slashes", "file:///srv/a"),
        ("FILE:/srv/a%20b", "too few slashes", "file:///srv/a%20b"),
        ("file:./a", "is a relative path", "file:///absolute/path/a"),
        ("file:a/b", "is a relative path", "file:///absolute/path/a/b"),
        ("file:h.example/a", "is a relative path", "file:///absolute/path/h.example/a"),
        ("file:~/a", "only a shell replaces", "file:///home/USER/a"),
        (r"file:C:\a", "is a path of Windows", "file:///absolute/path/a"),
        (r"C:\x", "is a path of Windows", "file:///absolute/path/x"),
        (r"c:/x/y.git", "is a path of Windows", "file:///absolute/path/x/y.git"),
        (r"\\server\share\my x", "is a path of Windows", "file:///absolute/path/server/share/my%20x"),
        ("https:/h.example/a", "too few slashes", "https://h.example/a"),
        ("https:h.example/a", "too few slashes", "https://h.example/a"),
        ("SSH://git@h.example/a", "in capitals", "ssh://git@h.example/a"),
        ("ssh:/git@h.example/a", "too few slashes", "ssh://git@h.example/a"),
        ("git@h.example: a/b", "is the short form of ssh", "ssh://git@h.example/a/b"),
        (" git@h.example:a b ", "is the short form of ssh", "ssh://git@h.example/a%20b"),
        ("git@h.example:/srv/a", "is the short form of ssh", "ssh://git@h.example/srv/a"),
        ("h.example:a/b.git", "is the short form of ssh", "ssh://git@h.example/a/b.git"),
        ("build:a/b.git", "is the short form of ssh", "ssh://git@build/a/b.git"),
        ("h.example/a/b", "has no scheme", "https://h.example/a/b"),
        ("h.example:8443/a", "has no scheme", "https://h.example:8443/a"),
        ("//h.example/a", "has no scheme", "https://h.example/a"),
        ("git@h.example/a", "has no scheme", "ssh://git@h.example/a"),
        (" https://h.example/a", "begins or ends with a blank", "https://h.example/a"),
        ("https://h.example/a\n", "begins or ends with a blank", "https://h.example/a"),
        ("\tfile:///srv/a ", "begins or ends with a blank", "file:///srv/a"),
        ("https://h.example/a b", "holds blanks", "https://h.example/a%20b"),
        ("file:///srv/m\u{fc}ll", "other characters", "file:///srv/m%C3%BCll"),
        (r"https://h.example\a", "other characters", "https://h.example/a"),
        ("HTTPS://h.example/a", "in capitals", "https://h.example/a"),
        ("File:///srv/a", "in capitals", "file:///srv/a"),
    ];

    /// Each of these got "write scheme://…", and the answer to `git@h.example: a/b` was no address.
    #[test]
    fn each_text_that_is_no_address_is_answered_with_one_that_is() {
        for (text, fault, instead) in ADVICE {
            let error = Address::parse(text, Role::Source).unwrap_err();
            let said = error.to_string();
            assert!(said.contains(fault) && said.ends_with(&format!("write {instead}")), "{text:?}: {said}");
            assert!(Address::parse(instead, Role::Source).is_ok() && instead.parse::<Url>().is_ok(), "{instead}");
        }
    }

    #[test]
    fn a_text_without_a_better_address_is_answered_with_the_forms() {
        for text in ["", " ", "\t\n"] {
            assert_eq!(Address::parse(text, Role::Source), Err(AddressError::Empty));
        }
        for text in [
            "nonsense",
            "ext::sh -c true",
            "C:",
            ":",
            "@",
            "h.example",
            "h.example/",
            "file:",
            "file:/",
            "http:/h.example/a",
            "http:h/a",
            "git:h/a",
            "/",
            "//",
            "a:b",
            "-x:a/b",
            "/a/../b",
        ] {
            let said = Address::parse(text, Role::Source).unwrap_err().to_string();
            assert!(said.contains("write scheme://") || said.contains("write file:///absolute/path"), "{text}: {said}");
        }
    }

    #[test]
    fn no_suggestion_repeats_a_password() {
        for text in [
            "bob:hunter2@h.example/a",
            "b.ob:hunter2@h.example/a",
            "b@ob:hunter2@h.example/a",
            "https:bob:hunter2@h.example/a",
            "https:/bob:hunter2@h.example/a",
            "https:/hunter2@h.example/a",
            "//bob:hunter2@h.example/a",
            " https://bob:hunter2@h.example/a",
            "https://bob:hunter2@h.example/a b",
            "HTTPS://bob:hunter2@h.example/a",
            "https://h.example/a b?token=hunter2",
            "bob:hunter2@h.example://a",
        ] {
            let said = Address::parse(text, Role::Source).unwrap_err().to_string();
            assert!(!said.contains("hunter2"), "{text}: {said}");
        }
    }
}
