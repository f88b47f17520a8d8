//! The remote end of a connection, as far as the network shows it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One peer: an IPv4 address, or the /64 network of an IPv6 one. A single site gets a /64 and can use any of its
/// addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer(IpAddr);

impl Peer {
    /// The peer that an address belongs to.
    pub fn of(address: IpAddr) -> Peer {
        match address.to_canonical() {
            IpAddr::V4(address) => Peer(address.into()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Peer(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

/// The caller of a request. A request that came over a connection has it in its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// From where.
    pub peer: Peer,
    /// Whether all reads are open to it: the node listens on a loopback address, or the caller showed a client
    /// certificate that is believed and not limited to projects.
    pub may_read: bool,
}

impl Default for Caller {
    /// A caller within the process.
    fn default() -> Caller {
        Caller { peer: Peer(Ipv4Addr::LOCALHOST.into()), may_read: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        Peer::of(text.parse().unwrap())
    }

    #[test]
    fn an_ipv6_site_is_one_peer_and_ipv4_is_the_same_in_either_form() {
        assert_eq!(peer("2001:db8:1:2::1"), peer("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(peer("2001:db8:1:2::1"), peer("2001:db8:1:3::1"));
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
        assert_eq!(peer("2001:db8:1:2::1").to_string(), "2001:db8:1:2::/64");
    }
}
