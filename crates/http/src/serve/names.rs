//! The names of a certificate: common names of its subject, and subject alternative names (RFC 5280 §4.1.2.6, §4.2.1.6).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::validity::{after_issuer, any, element};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const BOOLEAN: u8 = 0x01;
const OCTETS: u8 = 0x04;
const EXTENSIONS: u8 = 0xa3;
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
/// Kinds of text that hold ASCII or UTF-8.
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];
/// Alternative names: mail address, DNS name, URI, IP address.
const MAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;
const IP: u8 = 0x87;

/// Every name that an authority confirmed, as it is written there; DNS names in lower case. Empty where it is no certificate.
pub(super) fn read(certificate: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    if let Some(body) = after_issuer(certificate) {
        collect(body, &mut names);
    }
    names.dedup();
    names
}

/// Goes through what follows the issuer: validity, subject, key, and the extensions.
fn collect(body: &[u8], names: &mut Vec<String>) -> Option<()> {
    let (_, rest) = element(body, SEQUENCE)?;
    let (subject, mut rest) = element(rest, SEQUENCE)?;
    common_names(subject, names);
    while let Some((tag, content, following)) = any(rest) {
        if tag == EXTENSIONS {
            alternative_names(element(content, SEQUENCE)?.0, names);
        }
        rest = following;
    }
    Some(())
}

/// A subject is a sequence of sets of pairs of a kind and a text.
fn common_names(mut subject: &[u8], names: &mut Vec<String>) {
    while let Some((mut set, rest)) = element(subject, SET) {
        while let Some((pair, others)) = element(set, SEQUENCE) {
            if let Some((COMMON_NAME, value)) = element(pair, OID)
                && let Some((tag, text, _)) = any(value)
                && TEXTS.contains(&tag)
            {
                push(text, names);
            }
            set = others;
        }
        subject = rest;
    }
}

/// An extension is a kind, a mark whether it is critical, and its content in octets.
fn alternative_names(mut extensions: &[u8], names: &mut Vec<String>) {
    while let Some((extension, rest)) = element(extensions, SEQUENCE) {
        if let Some((ALTERNATIVE_NAMES, value)) = element(extension, OID) {
            let value = element(value, BOOLEAN).map_or(value, |(_, value)| value);
            let general = element(value, OCTETS).and_then(|(octets, _)| element(octets, SEQUENCE));
            general.iter().for_each(|(general, _)| general_names(general, names));
        }
        extensions = rest;
    }
}

fn general_names(mut general: &[u8], names: &mut Vec<String>) {
    while let Some((tag, content, rest)) = any(general) {
        match tag {
            MAIL | URI => push(content, names),
            DNS => push(&content.to_ascii_lowercase(), names),
            IP => names.extend(address(content)),
            _ => {}
        }
        general = rest;
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(bytes).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).to_string())
}

fn push(text: &[u8], names: &mut Vec<String>) {
    names.extend(std::str::from_utf8(text).ok().map(str::to_owned));
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    fn fixture(name: &str) -> CertificateDer<'static> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/integration/serving/tls/");
        CertificateDer::from_pem_file(format!("{folder}{name}")).unwrap()
    }

    #[test]
    fn common_and_alternative_names_are_read() {
        assert_eq!(read(&fixture("reader.pem")), ["reader", "localhost", "127.0.0.1"]);
        assert_eq!(
            read(&fixture("named.pem")),
            ["billing", "billing.example", "spiffe://example/billing", "ops@example", "192.0.2.7", "2001:db8::7"]
        );
    }

    #[test]
    fn a_damaged_certificate_has_the_names_before_the_damage_and_never_panics() {
        let whole = fixture("named.pem");
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), Vec::<String>::new());
        }
        for at in 0..whole.len() {
            let mut bytes = whole.to_vec();
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                read(&bytes);
                bytes[at] ^= 1 << bit;
            }
        }
    }
}
