//! TLS in front of a plain server on this machine, with the test certificate, whose authority no other system trusts.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/serving/tls").join(name)
}

/// The authority that signed the certificate.
pub fn authority() -> PathBuf {
    fixture("ca.pem")
}

/// Another one.
pub fn other_authority() -> PathBuf {
    fixture("other-ca.pem")
}

/// Takes TLS connections for `localhost` and passes what they carry to a plain server, until the test's process ends.
pub fn start(plain: SocketAddr) -> SocketAddr {
    let certificates = CertificateDer::pem_file_iter(fixture("node.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(fixture("node.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_no_client_auth().with_single_cert(certificates, key).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            let acceptor = TlsAcceptor::from(Arc::new(config));
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                tokio::spawn(pass(acceptor.clone(), stream, plain));
            }
        });
    });
    receiver.recv().unwrap()
}

/// One connection; a client that does not believe the certificate hangs up.
async fn pass(acceptor: TlsAcceptor, stream: TcpStream, plain: SocketAddr) -> std::io::Result<()> {
    let mut secure = acceptor.accept(stream).await?;
    let mut behind = TcpStream::connect(plain).await?;
    tokio::io::copy_bidirectional(&mut secure, &mut behind).await.map(drop)
}
