//! One attempt to connect to a member.

use std::sync::Arc;
use std::sync::{Mutex, PoisonError};

use rustls::{CertificateError, Error};
use swoosh_types::keys::PublicKey;
use tokio::io::{ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::admission::Memory;
use super::backoff::Backoff;
use super::connection::{ConnectionError, Reader, Writer, never};
use super::tls::{KeyError, NodeKey, key_of, server_name};
use super::{Identity, Limits, Local, Standing};
use crate::ports::Target;
use crate::wire::{
    Handshake, Hello, HelloRefusal, MAX_HANDSHAKE, Purpose, WireError, decode_handshake, encode_handshake,
};

/// Why a member is not reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    #[error("no connection to {address}: {cause}")]
    Connect { address: String, cause: String },
    #[error("{address} takes too long to connect")]
    Late { address: String },
    #[error("{address} answers with another key than {expected}")]
    WrongKey { address: String, expected: PublicKey },
    #[error("the TLS handshake with {address} failed: {cause}")]
    Tls { address: String, cause: String },
    #[error("{address} refuses this member: {why}")]
    RefusedByPeer { address: String, why: HelloRefusal },
    #[error("this member refuses {address}: {why}")]
    RefusedByUs { address: String, why: HelloRefusal },
    #[error("the handshake with {address} failed: {cause}")]
    Handshake { address: String, cause: ConnectionError },
    #[error("the next attempt to connect comes later; the last one: {0}")]
    BackingOff(String),
    #[error("this member is not ready or stops")]
    NotReady,
    #[error(transparent)]
    Key(#[from] KeyError),
}

pub(super) type DialedReader = Reader<ReadHalf<TlsStream<TcpStream>>>;
pub(super) type DialedWriter = Writer<WriteHalf<TlsStream<TcpStream>>>;

pub(super) struct Dialed {
    pub(super) reader: DialedReader,
    pub(super) writer: DialedWriter,
}

/// What all connections to other members share.
pub(super) struct Shared {
    pub(super) key: NodeKey,
    pub(super) local: Arc<dyn Local>,
    pub(super) memory: Arc<Memory>,
    pub(super) limits: Limits,
}

/// The way to one member. Attempts of all its connections share the back-off.
pub(super) struct Way {
    pub(super) target: Target,
    pub(super) shared: Arc<Shared>,
    backoff: Mutex<Backoff>,
}

impl Way {
    pub(super) fn new(target: Target, shared: Arc<Shared>) -> Way {
        Way { target, shared, backoff: Mutex::default() }
    }

    pub(super) async fn dial(&self, purpose: Purpose) -> Result<Dialed, DialError> {
        let limits = &self.shared.limits;
        if let Some(why) = self.backoff().blocks(Instant::now()) {
            return Err(DialError::BackingOff(why.to_owned()));
        }
        let dialed = self.attempt(purpose).await;
        let mut backoff = self.backoff();
        match &dialed {
            Ok(_) => backoff.succeeded(),
            Err(error) => backoff.failed(Instant::now(), error.to_string(), limits.backoff, limits.backoff_most),
        }
        drop(backoff);
        dialed
    }

    fn backoff(&self) -> std::sync::MutexGuard<'_, Backoff> {
        self.backoff.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn address(&self) -> String {
        self.target.member.address.clone()
    }

    async fn attempt(&self, purpose: Purpose) -> Result<Dialed, DialError> {
        let identity = self.shared.local.identity().ok_or(DialError::NotReady)?;
        let tcp = self.connect().await?;
        let handshake = timeout(self.shared.limits.handshake, self.shake_hands(tcp, identity, purpose));
        handshake.await.unwrap_or_else(|_| Err(DialError::Late { address: self.address() }))
    }

    #[expect(clippy::disallowed_methods, reason = "members of a cluster are reached without the network gate, by key")]
    async fn connect(&self) -> Result<TcpStream, DialError> {
        let failed = |cause: std::io::Error| DialError::Connect { address: self.address(), cause: cause.to_string() };
        let connected = timeout(self.shared.limits.connect, TcpStream::connect(&self.target.member.address)).await;
        let tcp = connected.map_err(|_| DialError::Late { address: self.address() })?.map_err(failed)?;
        tcp.set_nodelay(true).map_err(failed)?;
        Ok(tcp)
    }

    async fn shake_hands(&self, tcp: TcpStream, me: Identity, purpose: Purpose) -> Result<Dialed, DialError> {
        let config = self.shared.key.client(self.target.member.key)?;
        let tls =
            TlsConnector::from(config).connect(server_name()?, tcp).await.map_err(|error| self.tls_error(&error))?;
        let key = key_of(tls.get_ref().1.peer_certificates());
        let (read, write) = split(tls);
        let limits = self.shared.limits;
        let mut reader = Reader::new(read, MAX_HANDSHAKE, limits.frame);
        let mut writer = Writer::new(write, limits.frame);
        let failed = |cause| DialError::Handshake { address: self.address(), cause };
        let hello = Handshake::Hello(hello(&me, self.target.id, purpose));
        let frame = encode_handshake(&hello).map_err(|error| failed(error.into()))?;
        writer.frame(&frame).await.map_err(failed)?;
        let answer = reader.frame(never()).await.map_err(failed)?;
        let refused = |why| DialError::RefusedByUs { address: self.address(), why };
        match decode_handshake(&answer).map_err(|error: WireError| failed(error.into()))? {
            Handshake::Welcome(other) => {
                let standing = Standing::Member(self.target.member.clone());
                let key = key.ok_or_else(|| refused(HelloRefusal::WrongKey))?;
                if other.member != self.target.id || other.purpose != purpose {
                    return Err(refused(HelloRefusal::OtherMember));
                }
                self.shared.memory.admit(&me, &standing, &key, &other).map_err(refused)?;
            }
            Handshake::Refused { why } => return Err(DialError::RefusedByPeer { address: self.address(), why }),
            Handshake::Hello(_) => return Err(failed(ConnectionError::Unexpected)),
        }
        reader.set_most(limits.frame_of(purpose));
        Ok(Dialed { reader, writer })
    }

    fn tls_error(&self, error: &std::io::Error) -> DialError {
        let (address, expected) = (self.address(), self.target.member.key);
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match inner {
            Some(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadEncoding)) => {
                DialError::WrongKey { address, expected }
            }
            _ => DialError::Tls { address, cause: error.to_string() },
        }
    }
}

/// The hello of this member to another one.
pub(super) fn hello(me: &Identity, to: swoosh_types::cluster::MemberId, purpose: Purpose) -> Hello {
    Hello {
        cluster: me.cluster.clone(),
        incarnation: me.incarnation,
        founded: me.founded,
        member: me.member,
        to,
        directory: me.directory,
        boot: me.boot,
        ballot: me.ballot,
        last: me.last,
        versions: me.versions,
        purpose,
    }
}
