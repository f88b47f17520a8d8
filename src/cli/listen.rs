//! Addresses to listen on, as arguments.

use std::net::SocketAddr;

/// An address and a port. The error has the form to write.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let form = "write an IP address and a port, such as 127.0.0.1:7400 or [::1]:7400";
        match text.strip_prefix("localhost") {
            Some(port) => format!("localhost is a name, and names are not looked up; write 127.0.0.1{port}"),
            None => form.to_owned(),
        }
    })
}

/// An address that others are given, so that its port cannot be one that is chosen later.
pub(super) fn fixed(text: &str) -> Result<SocketAddr, String> {
    match address(text)? {
        address if address.port() == 0 => {
            Err("port 0 is chosen at each start, so no command would find the node; name a port".to_owned())
        }
        address => Ok(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `invalid socket address syntax` did not say what to write, and the exports of port 0 led nowhere.
    #[test]
    fn an_address_is_numbers_and_the_one_of_a_new_node_has_a_port() {
        assert!(address("127.0.0.1:0").is_ok() && fixed("[::1]:7400").is_ok());
        assert!(address("localhost:19009").unwrap_err().contains("127.0.0.1:19009"));
        assert!(address("7400").unwrap_err().contains("such as 127.0.0.1:7400"));
        assert!(fixed("[::1]:0").unwrap_err().contains("name a port"));
    }
}
