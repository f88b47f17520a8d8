//! TLS 1.3 by raw public keys (RFC 7250): the node key itself is the identity, so there are no certificates, names or expiry dates.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
};
use swoosh_types::keys::{PublicKey, SecretKey};

/// PKCS#8 of an ed25519 seed, and the public key as SubjectPublicKeyInfo (RFC 8410): fixed bytes, then the 32 of the key.
const PKCS8_HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
const SPKI_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// The name that TLS asks for and that means nothing here.
const NAME: &str = "member.swoosh";

/// The node key cannot be used for TLS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node key cannot be used for TLS: {0}")]
pub struct KeyError(String);

/// A node's key, ready for TLS.
#[derive(Clone, Debug)]
pub struct NodeKey {
    public: PublicKey,
    certified: Arc<CertifiedKey>,
}

impl NodeKey {
    /// The key of a seed of 32 bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Result<NodeKey, KeyError> {
        let error = |error: Error| KeyError(error.to_string());
        let pkcs8 = PrivatePkcs8KeyDer::from([&PKCS8_HEAD[..], seed].concat());
        let key = ring::sign::any_eddsa_type(&pkcs8).map_err(error)?;
        let public = SecretKey::from_bytes(seed).public();
        let spki = [&SPKI_HEAD[..], public.as_bytes()].concat();
        let certified = Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki)], key));
        Ok(NodeKey { public, certified })
    }

    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The accepting side. It takes any key that the dialer proves to hold; the handshake after it decides who that is, and can say
    /// why it refuses.
    pub(super) fn server(&self) -> Result<Arc<ServerConfig>, KeyError> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| KeyError(error.to_string()))?;
        let resolver = rustls::server::AlwaysResolvesServerRawPublicKeys::new(self.certified.clone());
        let mut config = builder.with_client_cert_verifier(Arc::new(AnyKey)).with_cert_resolver(Arc::new(resolver));
        // A resumed session would not prove the key again.
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// The dialing side: only this key may answer.
    pub(super) fn client(&self, expected: PublicKey) -> Result<Arc<ClientConfig>, KeyError> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| KeyError(error.to_string()))?;
        let resolver = rustls::client::AlwaysResolvesClientRawPublicKeys::new(self.certified.clone());
        let mut config = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(OneKey(expected)))
            .with_client_cert_resolver(Arc::new(resolver));
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

pub(super) fn server_name() -> Result<ServerName<'static>, KeyError> {
    ServerName::try_from(NAME).map_err(|error| KeyError(error.to_string()))
}

/// The key of a peer that has completed the TLS handshake.
pub(super) fn key_of(certificates: Option<&[CertificateDer<'_>]>) -> Option<PublicKey> {
    certificates.and_then(|certificates| certificates.first()).and_then(read_key)
}

fn read_key(spki: &CertificateDer<'_>) -> Option<PublicKey> {
    let key = spki.as_ref().strip_prefix(&SPKI_HEAD)?;
    <[u8; 32]>::try_from(key).ok().map(PublicKey::from_bytes)
}

/// An ed25519 key to which a secret key can belong.
fn usable_key(certificate: &CertificateDer<'_>) -> Result<PublicKey, Error> {
    let key = read_key(certificate).filter(|key| key.weakness().is_none());
    key.ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))
}

fn verify_tls13(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let spki = SubjectPublicKeyInfoDer::from(certificate.as_ref());
    verify_tls13_signature_with_raw_key(
        message,
        &spki,
        signature,
        &ring::default_provider().signature_verification_algorithms,
    )
}

fn refuse_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::General("members speak TLS 1.3 alone".to_owned()))
}

#[derive(Debug)]
struct OneKey(PublicKey);

impl ServerCertVerifier for OneKey {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if usable_key(certificate)? != self.0 {
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        refuse_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct AnyKey;

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        usable_key(certificate).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        refuse_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
