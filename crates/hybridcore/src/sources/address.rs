//! Addresses of repositories: `https://`, `ssh://` and `file://`, without credentials, and nothing else.

mod advice;

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// An address that may be asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(String);

/// The use of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Configuration: the repository itself.
    Source,
    /// The mirrors: a stand-in for it. Plain `http://` is allowed on this machine's loopback addresses, since
    /// what is said there leaves the machine as little as a file does.
    Mirror,
}

/// Why an address is refused. The texts show nothing of an address that may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// There is no scheme.
    #[error("{0:?} has no scheme; write scheme://…: https://HOST/PATH, ssh://USER@HOST/PATH or file:///PATH")]
    NoScheme(String),
    /// Nothing is written.
    #[error("an address is empty; write https://HOST/PATH, ssh://USER@HOST/PATH or file:///PATH")]
    Empty,
    /// It is no address, but what it means is clear: a path, ssh's short form, a missing slash.
    #[error("{fault}; write {instead}")]
    Meant {
        /// The text, and why it is no address.
        fault: Box<str>,
        /// The same as an address.
        instead: Box<str>,
    },
    /// The scheme is not allowed.
    #[error(
        "{scheme}:// is not allowed for git; use https://, ssh:// or file:/// (plain http:// and git:// can be \
         forged on the way)"
    )]
    Scheme { scheme: String },
    /// There is no host, or it begins with `-`.
    #[error("{0:?} has no usable host; write {1}")]
    Host(String, &'static str),
    /// There is no path.
    #[error("{0:?} names no repository; write the path after the host")]
    Path(String),
    /// It holds credentials.
    #[error(
        "an address of {host} holds credentials; take them out, and bind them to it: sources.credentials in a node's \
         settings, SWOOSH_GIT_TOKEN with SWOOSH_GIT_URL_PREFIX for commands, or an ssh agent"
    )]
    Credentials { host: String },
    /// It holds what no address holds.
    #[error(
        "an address holds blanks, control characters or a query; write only scheme, host and path, and a blank of a path as %20"
    )]
    Characters,
    /// Something after a `%` is no character.
    #[error("{0:?} has a % that encodes no character; write %25 for the sign itself, and %20 for a blank")]
    Escape(String),
}

impl Address {
    /// Checks an address.
    pub fn parse(text: &str, role: Role) -> Result<Address, AddressError> {
        let is_scheme =
            |scheme: &str| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let split = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme.trim_start()));
        let Some((scheme, rest)) = split else { return Err(advice::without_scheme(text)) };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = authority.rsplit('@').next().unwrap_or_default();
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains(['?', '#', '\\', '"']) {
            return Err(advice::of_characters(text));
        }
        if let Some(error) = advice::of_capitals(scheme, text) {
            return Err(error);
        }
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        if user.is_some_and(|user| scheme != "ssh" || user.contains(':')) {
            return Err(AddressError::Credentials { host: host.to_owned() });
        }
        check(scheme, host, user, path, text, role)?;
        Ok(Address(text.to_owned()))
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before `://`.
    pub fn scheme(&self) -> &str {
        self.0.split_once("://").map_or("", |(scheme, _)| scheme)
    }

    /// Host and path, as a mirror's folders repeat them.
    pub fn host_and_path(&self) -> String {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        format!("{}{path}", authority.rsplit('@').next().unwrap_or_default())
    }

    /// Whether asking it leaves this machine.
    pub fn is_far(&self) -> bool {
        !matches!(self.scheme(), "file" | "http")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check(scheme: &str, host: &str, user: Option<&str>, path: &str, text: &str, role: Role) -> Result<(), AddressError> {
    let decoded = if scheme == "file" { decoded(path, text)? } else { path.as_bytes().to_vec() };
    let climbs = decoded.split(|byte| *byte == b'/').any(|part| part == b"..");
    let bad_path = climbs || path.len() < 2 || path.split('/').any(|part| part == "..") || path.starts_with("/-");
    let bad_host = host.is_empty() || host.starts_with('-') || user.is_some_and(|user| user.starts_with('-'));
    match scheme {
        "https" | "ssh" if bad_host => Err(AddressError::Host(text.to_owned(), "https://host/path")),
        "file" if !host.is_empty() => Err(AddressError::Host(text.to_owned(), "file:///absolute/path")),
        "https" | "ssh" | "file" if bad_path => Err(AddressError::Path(text.to_owned())),
        "https" | "ssh" | "file" => Ok(()),
        "http" if role == Role::Mirror && is_loopback(host) && !bad_path => Ok(()),
        _ => Err(AddressError::Scheme { scheme: scheme.to_owned() }),
    }
}

/// The path on this machine of a `file://` address. `%20` and the like stand for characters, as in every address.
pub fn path_of(url: &str) -> Result<PathBuf, AddressError> {
    use std::os::unix::ffi::OsStringExt as _;
    let bytes = decoded(url.strip_prefix("file://").unwrap_or(url), url)?;
    Ok(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

fn decoded(path: &str, text: &str) -> Result<Vec<u8>, AddressError> {
    let (mut bytes, mut rest) = (Vec::new(), path.as_bytes());
    while let [first, more @ ..] = rest {
        rest = more;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = more.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let value = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        // A NUL ends every path.
        let value = value.filter(|value| *value != 0).ok_or_else(|| AddressError::Escape(text.to_owned()))?;
        bytes.push(value);
        rest = more.get(2..).unwrap_or_default();
    }
    Ok(bytes)
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_transports_pass_and_a_loopback_mirror() {
        for text in ["https://h.example/a/b.git", "ssh://git@h.example:22/a", "file:///srv/git/a.git"] {
            assert_eq!(Address::parse(text, Role::Source).unwrap().as_str(), text);
        }
        for text in ["http://127.0.0.1:80/a", "http://localhost/a", "http://[::1]:9/a"] {
            assert!(!Address::parse(text, Role::Mirror).unwrap().is_far());
            assert!(Address::parse(text, Role::Source).is_err(), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_what_to_write_instead() {
        for (text, expected) in [
            ("git://h.example/a", "git:// is not allowed"),
            ("http://h.example/a", "http:// is not allowed"),
            ("http://127.0.0.1.evil.example/a", "http:// is not allowed"),
            ("ext::sh -c true", "has no scheme"),
            ("/srv/git/a", "write file:///srv/git/a"),
            ("h.example:a/b.git", "write ssh://git@h.example/a/b.git"),
            ("file:///a%zz", "write %25"),
            ("file:///a%2", "write %25"),
            ("file:///a%00b", "write %25"),
            ("file:///a/%2e%2E/b", "names no repository"),
            ("file:///media/my disk/a.git", "a blank of a path as %20"),
            ("git@h.example:a/b.git", "write ssh://git@h.example/a/b.git"),
            ("https:///a", "has no usable host"),
            ("ssh://-oProxyCommand=x/a", "has no usable host"),
            ("file://host/a", "write file:///absolute/path"),
            ("https://h.example", "names no repository"),
            ("file:///a/../b", "names no repository"),
            ("file://localhost/a", "write file:///absolute/path"),
            ("https://h.example/a b", "blanks"),
            ("https://h.example/a?x=1", "query"),
        ] {
            let error = Address::parse(text, Role::Mirror).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn escapes_of_a_file_address_stand_for_characters() {
        for (url, path) in [
            ("file:///media/my%20disk/a.git", "/media/my disk/a.git"),
            ("file:///a%25b", "/a%b"),
            ("file:///m%C3%BCll", "/m\u{fc}ll"),
        ] {
            Address::parse(url, Role::Source).unwrap();
            assert_eq!(path_of(url).unwrap(), PathBuf::from(path));
        }
    }

    #[test]
    fn credentials_in_an_address_are_refused_and_not_repeated() {
        for text in ["https://bob:hunter2@h.example/a", "https://hunter2@h.example/a", "ssh://bob:hunter2@h.example/a"]
        {
            let error = Address::parse(text, Role::Source).unwrap_err().to_string();
            assert!(error.contains("SWOOSH_GIT_TOKEN") && !error.contains("hunter2"), "{error}");
        }
    }
}
