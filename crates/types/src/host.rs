//! Hosts as URLs and the header `Host` write them (RFC 3986 §3.2.2, RFC 9110 §7.2).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Characters of a name (RFC 1035 §3.1).
const MOST_CHARACTERS: usize = 253;

/// A name in lower case without the dot of the root, or an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// An address; an IPv4 one that is written as IPv6 is IPv4.
    Address(IpAddr),
    Name(String),
}

/// A text is no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no host: write a name (node-1.example) or an address (10.1.2.3, ::1), without scheme, port and wildcard"
)]
pub struct HostError(String);

impl Host {
    /// The host of `name`, `name:port`, `address:port` or `[address]:port`; `None` where the text is malformed.
    pub fn of_authority(text: &str) -> Option<Host> {
        if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            let address: std::net::Ipv6Addr = address.parse().ok()?;
            return is_port(port).then(|| Host::Address(IpAddr::from(address).to_canonical()));
        }
        let (host, port) = text.find(':').map_or((text, ""), |colon| text.split_at(colon));
        if is_port(port) { Host::bare(host) } else { None }
    }

    /// A name or an IPv4 address.
    fn bare(text: &str) -> Option<Host> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if let Ok(address) = name.parse::<std::net::Ipv4Addr>() {
            return Some(Host::Address(address.into()));
        }
        let is_label = |label: &str| {
            let of_names = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            !label.is_empty() && label.len() <= 63 && label.bytes().all(of_names)
        };
        let is_name = name.len() <= MOST_CHARACTERS && name.split('.').all(is_label);
        is_name.then(|| Host::Name(name.to_ascii_lowercase()))
    }

    /// Whether it names the machine itself: `localhost`, 127.0.0.0/8 or `::1`.
    pub fn is_loopback(&self) -> bool {
        match self {
            Host::Address(address) => address.is_loopback(),
            Host::Name(name) => name == "localhost",
        }
    }
}

/// Nothing, or a colon with or without a port.
fn is_port(text: &str) -> bool {
    let Some(port) = text.strip_prefix(':') else { return text.is_empty() };
    port.bytes().all(|byte| byte.is_ascii_digit()) && (port.is_empty() || port.parse::<u16>().is_ok())
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Host, HostError> {
        let unbracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = unbracketed.parse::<std::net::Ipv6Addr>() {
            return Ok(Host::Address(IpAddr::from(address).to_canonical()));
        }
        Host::bare(text).ok_or_else(|| HostError(text.chars().take(MOST_CHARACTERS).collect()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Address(address) => address.fmt(f),
            Host::Name(name) => f.write_str(name),
        }
    }
}

super::text::serde_as_text!(Host);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_host_with_or_without_a_port() {
        let shown = |text: &str| Host::of_authority(text).map(|host| host.to_string());
        for (text, host) in [
            ("node", "node"),
            ("Node-1.Example.:7400", "node-1.example"),
            ("node:", "node"),
            ("10.1.2.3:80", "10.1.2.3"),
            ("127.0.0.1.", "127.0.0.1"),
            ("[::1]", "::1"),
            ("[2001:DB8::0]:7400", "2001:db8::"),
            ("[::ffff:127.0.0.1]:1", "127.0.0.1"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(host), "{text}");
        }
        for text in [
            "",
            ":80",
            ".",
            "a..b",
            "a:b",
            "a:80:80",
            "a:65536",
            "a:+1",
            "u@a",
            "::1",
            "[::1",
            "[::1]x",
            "[a]",
            "[::1%25lo]",
            "a b",
            "é",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn the_machine_itself_is_loopback_and_nothing_that_only_looks_like_it() {
        let is_loopback = |text: &str| Host::of_authority(text).is_some_and(|host| host.is_loopback());
        assert!(["localhost", "LOCALHOST.:1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]"].into_iter().all(is_loopback));
        let others =
            ["0.0.0.0", "[::]", "localhost.example", "a.localhost", "127.1", "127.0.0.1.example", "2130706433"];
        assert!(!others.into_iter().any(is_loopback));
    }

    #[test]
    fn a_host_of_the_settings_has_no_port() {
        assert_eq!("::1".parse(), "[::1]".parse::<Host>());
        assert_eq!("NODE.".parse(), Ok(Host::Name("node".to_owned())));
        for text in ["", "*", "*.example", "node:80", "[::1]:80", "http://node", "node/"] {
            assert!(text.parse::<Host>().is_err(), "{text}");
        }
    }
}
