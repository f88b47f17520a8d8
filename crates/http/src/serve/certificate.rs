//! The names and the validity of a certificate (RFC 5280 §4.1.2). rustls has checked its signatures.

use std::net::{Ipv4Addr, Ipv6Addr};

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

/// When a certificate is valid, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub from_ms: u64,
    pub until_ms: u64,
}

/// `None` if it is not a certificate. Times before 1970 count as 1970.
pub(super) fn validity(der: &[u8]) -> Option<Validity> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let validity = certificate.validity();
    Some(Validity { from_ms: milliseconds(validity.not_before), until_ms: milliseconds(validity.not_after) })
}

fn milliseconds(time: ASN1Time) -> u64 {
    u64::try_from(time.timestamp()).unwrap_or(0).saturating_mul(1_000)
}

/// Common names of the subject, then alternative names: mail addresses, DNS names in lower case, URIs, IP addresses. Empty if it is not a
/// certificate. Several extensions of alternative names contradict RFC 5280 §4.2; none of their names counts.
pub(super) fn names(der: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Vec::new() };
    let common_names = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    let mut names: Vec<String> = common_names.map(str::to_owned).collect();
    if let Ok(Some(extension)) = certificate.subject_alternative_name() {
        names.extend(extension.value.general_names.iter().filter_map(alternative_name));
    }
    names.dedup();
    names
}

fn alternative_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::RFC822Name(text) | GeneralName::URI(text) => Some((*text).to_owned()),
        GeneralName::DNSName(text) => Some(text.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => address(bytes),
        GeneralName::OtherName(..)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(bytes).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).to_string())
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    use swoosh_types::civil;

    use super::*;

    fn fixture(name: &str) -> CertificateDer<'static> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/integration/serving/tls/");
        CertificateDer::from_pem_file(format!("{folder}{name}")).unwrap()
    }

    fn at(text: &str) -> u64 {
        civil::parse_rfc3339(text).unwrap()
    }

    /// A copy of a certificate with another text in the place of one of the same length.
    fn with(certificate: &[u8], text: &str, other: &str) -> Vec<u8> {
        let found = certificate.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
        let mut changed = certificate.to_vec();
        changed[found..found + text.len()].copy_from_slice(other.as_bytes());
        changed
    }

    #[test]
    fn common_and_alternative_names_are_read() {
        assert_eq!(names(&fixture("reader.pem")), ["reader", "localhost", "127.0.0.1"]);
        assert_eq!(
            names(&fixture("named.pem")),
            ["billing", "billing.example", "spiffe://example/billing", "ops@example", "192.0.2.7", "2001:db8::7"]
        );
    }

    /// Years up to 2049 are UTCTime, later ones are GeneralizedTime (RFC 5280 §4.1.2.5).
    #[test]
    fn both_forms_of_time_are_read() {
        let certificate = fixture("reader.pem");
        let (from_ms, until_ms) = (at("2020-01-01T00:00:00+00:00"), at("2125-01-01T00:00:00+00:00"));
        assert_eq!(validity(&certificate), Some(Validity { from_ms, until_ms }));
        let from = |text: &str| validity(&with(&certificate, "200101000000Z", text)).map(|validity| validity.from_ms);
        assert_eq!(from("491231235959Z"), Some(at("2049-12-31T23:59:59+00:00")));
        assert_eq!(from("500101000000Z"), Some(0), "1950");
        assert_eq!(from("209901000000Z"), None, "month 99");
        assert_eq!(from("2001010000000"), None, "no zone");
    }

    #[test]
    fn a_certificate_with_two_sets_of_alternative_names_has_none_of_them() {
        // The extension of the usages (2.5.29.37) becomes a second one of alternative names (2.5.29.17).
        let mut doubled = fixture("named.pem").to_vec();
        let usages = doubled.windows(5).position(|window| window == [0x06, 0x03, 0x55, 0x1d, 0x25]).unwrap();
        doubled[usages + 4] = 0x11;
        assert_eq!(names(&doubled), ["billing"]);
    }

    #[test]
    fn a_damaged_certificate_is_refused_or_read_and_never_panics() {
        let whole = fixture("named.pem");
        for length in 0..whole.len() {
            assert_eq!((names(&whole[..length]), validity(&whole[..length])), (Vec::new(), None));
        }
        for at in 0..whole.len() {
            let mut bytes = whole.to_vec();
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                names(&bytes);
                validity(&bytes);
                bytes[at] ^= 1 << bit;
            }
        }
        for nonsense in [[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x30].as_slice(), &[0x30, 0x80, 0x30], &[0x30, 0x89, 1]] {
            assert_eq!(validity(nonsense), None);
        }
    }
}
