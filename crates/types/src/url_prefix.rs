//! The beginning of addresses: scheme, host, port, and whole parts of the path.

use std::fmt;

use thiserror::Error;

/// The beginning of addresses, in one spelling: `https://host:port/part/part`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UrlPrefix {
    host: String,
    port: u16,
    parts: Vec<String>,
}

/// Why an address is no prefix that a credential may be bound to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PrefixError {
    /// A password is for the encrypted transport alone.
    #[error("it does not begin with https://, and a token goes over that alone")]
    Scheme,
    /// It holds a user or a password.
    #[error("it holds a user before the host; write scheme, host and path alone")]
    User,
    /// It is a prefix of every address, or of those of several hosts.
    #[error("it names no single host; a credential is bound to one host, such as https://git.example/team")]
    Host,
    /// Its port is none.
    #[error("its port is no number from 1 to 65535")]
    Port,
    /// Its path can be read in several ways.
    #[error("its path holds '%', '\\', '?', '#', blanks, or parts that are empty, '.' or '..'; write a plain path")]
    Path,
}

/// The parts of an address that are compared.
struct Parts {
    host: String,
    port: u16,
    /// `None` where the path may mean another one to the server than to us.
    parts: Option<Vec<String>>,
}

const HTTPS_PORT: u16 = 443;

fn parse(text: &str) -> Result<Parts, PrefixError> {
    let (scheme, rest) = text.split_once("://").ok_or(PrefixError::Scheme)?;
    if !scheme.eq_ignore_ascii_case("https") {
        return Err(PrefixError::Scheme);
    }
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        return Err(PrefixError::User);
    }
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of an address in brackets are no port.
        Some((host, port)) if !port.contains(']') => {
            let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            (host, port.parse().ok().filter(|port| digits && *port > 0).ok_or(PrefixError::Port)?)
        }
        _ => (authority, HTTPS_PORT),
    };
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_host = match bracketed {
        Some(address) => {
            address.contains(':') && address.bytes().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(&byte))
        }
        None => {
            let label = |label: &str| {
                !label.is_empty()
                    && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            };
            host.split('.').all(label)
        }
    };
    if !is_host {
        return Err(PrefixError::Host);
    }
    Ok(Parts { host: host.to_ascii_lowercase(), port, parts: plain(path) })
}

/// The parts of a path that every server reads in the same way.
fn plain(path: &str) -> Option<Vec<String>> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Some(Vec::new());
    }
    let is_plain = |part: &str| {
        let byte = |byte: u8| byte.is_ascii_graphic() && !b"%\\?#;\"".contains(&byte);
        !part.is_empty() && part != "." && part != ".." && part.bytes().all(byte)
    };
    path.split('/').all(is_plain).then(|| path.split('/').map(str::to_owned).collect())
}

impl UrlPrefix {
    /// How many parts of the path it names.
    pub fn depth(&self) -> usize {
        self.parts.len()
    }

    /// Whether an address lies below the prefix. One that can be read in several ways lies below none.
    pub fn covers(&self, url: &str) -> bool {
        let Ok(Parts { host, port, parts: Some(parts) }) = parse(url) else { return false };
        (host, port) == (self.host.clone(), self.port) && parts.starts_with(&self.parts)
    }
}

impl std::str::FromStr for UrlPrefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<UrlPrefix, PrefixError> {
        let Parts { host, port, parts } = parse(text)?;
        Ok(UrlPrefix { host, port, parts: parts.ok_or(PrefixError::Path)? })
    }
}

impl fmt::Display for UrlPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.host)?;
        if self.port != HTTPS_PORT {
            write!(f, ":{}", self.port)?;
        }
        self.parts.iter().try_for_each(|part| write!(f, "/{part}"))
    }
}

super::text::serde_as_text!(UrlPrefix);

impl fmt::Debug for UrlPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> UrlPrefix {
        text.parse().unwrap()
    }

    #[test]
    fn a_prefix_covers_whole_parts_of_addresses_on_its_own_host_and_port() {
        let team = prefix("https://git.example/team");
        for url in ["https://git.example/team", "https://git.example/team/app.git", "https://GIT.example:443/team/a/b"]
        {
            assert!(team.covers(url), "{url}");
        }
        for url in [
            "https://git.example/team-evil/app",
            "https://git.example/teams",
            "https://git.example/Team/app",
            "https://git.example/",
            "https://git.example.evil/team/app",
            "https://evil.example/git.example/team",
            "https://git.example@evil.example/team/app",
            "https://evil@git.example/team/app",
            "https://git.example:8443/team/app",
            "https://git.example:443@evil.example/team/app",
            "https://git.example\\@evil.example/team/app",
            "https://git.example./team/app",
            "https://xgit.example/team/app",
            "http://git.example/team/app",
            "ssh://git.example/team/app",
            "https://git.example/team/../other/app",
            "https://git.example/team/./app",
            "https://git.example//team/app",
            "https://git.example/team//app",
            "https://git.example/team/%2e%2e/other",
            "https://git.example/%74eam/app",
            "https://git.example/team/..;/other",
            "https://git.example/team/app?x=1",
            "https://git.example/team/app#x",
            "https://git.example",
            "git.example/team/app",
        ] {
            assert!(!team.covers(url), "{url}");
        }
        assert!(prefix("https://git.example").covers("https://git.example/a/b"));
        assert!(prefix("https://[::1]:9/").covers("https://[::1]:9/a"));
    }

    #[test]
    fn prefixes_that_would_catch_more_than_one_host_are_refused() {
        for (text, error) in [
            ("https://", PrefixError::Host),
            ("https:///team", PrefixError::Host),
            ("https://*", PrefixError::Host),
            ("https://*.example/", PrefixError::Host),
            ("https://git..example", PrefixError::Host),
            ("https://[::1", PrefixError::Host),
            ("https://git.example:/x", PrefixError::Port),
            ("https://git.example:0/x", PrefixError::Port),
            ("https://git.example:99999/x", PrefixError::Port),
            ("https://bob@git.example/x", PrefixError::User),
            ("http://git.example/x", PrefixError::Scheme),
            ("git.example/x", PrefixError::Scheme),
            ("*", PrefixError::Scheme),
            ("", PrefixError::Scheme),
            ("https://git.example/a/../b", PrefixError::Path),
            ("https://git.example/%61", PrefixError::Path),
            ("https://git.example/a//b", PrefixError::Path),
            ("https://git.example?x", PrefixError::Path),
        ] {
            assert_eq!(text.parse::<UrlPrefix>(), Err(error), "{text}");
        }
        assert_eq!(prefix("HTTPS://Git.Example:443/team/").to_string(), "https://git.example/team");
    }
}
