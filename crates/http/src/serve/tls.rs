//! TLS and mutual TLS: files in, an acceptor out, and the same again when the files change.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::certificate::{self, Validity};
use crate::fault::Answer;
use crate::readers::{Reach, SharedReaders};
use swoosh_types::civil::rfc3339;

/// Where TLS comes from.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The node's certificate chain in PEM, its own first.
    pub certificate: PathBuf,
    /// Its private key in PEM.
    pub key: PathBuf,
    /// Authorities of client certificates in PEM.
    pub client_ca: Option<PathBuf>,
    /// Whether every connection needs a client certificate.
    pub require_client_certificate: bool,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{key}: cannot read {}: {source}", .path.display())]
    Read {
        /// The setting that names it.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{key}: {} holds no {what} in PEM; {remedy}", .path.display())]
    Empty {
        /// The setting that names it.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        what: &'static str,
        remedy: &'static str,
    },
    /// The private key is readable by other users.
    #[error("tls.key: all users may read {} (mode {mode:04o}); chmod 0600 it, and make a new key if others had it", .path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        mode: u32,
    },
    /// The key is another certificate's.
    #[error("tls.key: {} is not the key of the first certificate in {}; that file must begin with the node's own", .key.display(), .certificate.display())]
    Mismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// The certificate's time is not now.
    #[error("tls.certificate: {} is valid from {} until {} and it is {}; put a valid one there", .path.display(), rfc3339(*.from_ms), rfc3339(*.until_ms), rfc3339(*.now_ms))]
    Expired {
        /// Which file.
        path: PathBuf,
        /// Since when it is valid, in milliseconds since 1970.
        from_ms: u64,
        /// Until when.
        until_ms: u64,
        /// When that was found.
        now_ms: u64,
    },
    /// Something else that rustls does not take.
    #[error("{key}: {} cannot be used: {detail}", .path.display())]
    Unusable {
        /// The setting that names it.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        detail: String,
    },
}

struct Loaded {
    config: Arc<ServerConfig>,
    until_ms: u64,
}

/// TLS as it is set up now.
pub struct Tls {
    files: TlsFiles,
    loaded: ArcSwap<Loaded>,
    readers: SharedReaders,
}

impl Tls {
    /// Reads the files; `now_ms` is the wall clock, in milliseconds since 1970. `readers` says which client certificates open what.
    pub fn load(files: TlsFiles, readers: SharedReaders, now_ms: u64) -> Result<Tls, TlsError> {
        let loaded = load(&files, now_ms)?;
        Ok(Tls { files, loaded: ArcSwap::from_pointee(loaded), readers })
    }

    /// Current rights of a client certificate with these names. Checked for each request, so that removing a name from
    /// the settings also affects open connections and resumed sessions.
    pub(super) fn reach(&self, names: &[String]) -> Answer<Reach> {
        self.readers.load().of_certificate(names)
    }

    /// Reads the files again. Connections that are open keep what they began with; when something is wrong,
    /// new ones do as well.
    pub fn reload(&self, now_ms: u64) -> Result<(), TlsError> {
        self.loaded.store(Arc::new(load(&self.files, now_ms)?));
        Ok(())
    }

    /// Until when the certificate is valid, in milliseconds since 1970.
    pub fn valid_until_ms(&self) -> u64 {
        self.loaded.load().until_ms
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.loaded.load().config.clone())
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

const CERTIFICATE: &str = "tls.certificate";
const CLIENT_CA: &str = "tls.client_ca";
const KEY: &str = "tls.key";

fn load(files: &TlsFiles, now_ms: u64) -> Result<Loaded, TlsError> {
    let chain = certificates(CERTIFICATE, &files.certificate)?;
    let until_ms = check_time(&files.certificate, &chain, now_ms)?;
    let key = private_key(&files.key)?;
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(CERTIFICATE, &files.certificate, &error))?;
    let builder = match client_verifier(files)? {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::Mismatch { key: files.key.clone(), certificate: files.certificate.clone() }
        }
        other => unusable(KEY, &files.key, &other),
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Loaded { config: Arc::new(config), until_ms })
}

fn unusable(key: &'static str, path: &Path, error: &dyn std::fmt::Display) -> TlsError {
    TlsError::Unusable { key, path: path.to_owned(), detail: error.to_string() }
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    swoosh_files::read(path).map_err(|source| TlsError::Read { key, path: path.to_owned(), source })
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(key, path)?;
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = parsed.map_err(|error| unusable(key, path, &error))?;
    if found.is_empty() {
        let remedy = "a certificate begins with -----BEGIN CERTIFICATE-----";
        return Err(TlsError::Empty { key, path: path.to_owned(), what: "certificate", remedy });
    }
    Ok(found)
}

fn check_time(path: &Path, chain: &[CertificateDer<'_>], now_ms: u64) -> Result<u64, TlsError> {
    let validity = chain.first().and_then(|first| certificate::validity(first));
    let Some(Validity { from_ms, until_ms }) = validity else {
        return Err(unusable(CERTIFICATE, path, &"its first certificate is not X.509"));
    };
    if (from_ms..=until_ms).contains(&now_ms) {
        return Ok(until_ms);
    }
    Err(TlsError::Expired { path: path.to_owned(), from_ms, until_ms, now_ms })
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = read(KEY, path)?;
    let metadata = std::fs::metadata(path);
    let mode = metadata.map_err(|source| TlsError::Read { key: KEY, path: path.to_owned(), source })?;
    let mode = mode.permissions().mode() & 0o7777;
    if mode & 0o007 != 0 {
        return Err(TlsError::Exposed { path: path.to_owned(), mode });
    }
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            let remedy = "it must not be encrypted; `openssl pkey -in KEY -out PLAIN` takes the passphrase off";
            TlsError::Empty { key: KEY, path: path.to_owned(), what: "private key", remedy }
        }
        other => unusable(KEY, path, &other),
    })
}

fn client_verifier(files: &TlsFiles) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let Some(path) = &files.client_ca else { return Ok(None) };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(CLIENT_CA, path)? {
        roots.add(certificate).map_err(|error| unusable(CLIENT_CA, path, &error))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()));
    let builder = if files.require_client_certificate { builder } else { builder.allow_unauthenticated() };
    builder.build().map(Some).map_err(|error| unusable(CLIENT_CA, path, &error))
}
