//! The accepting side: proves who dials, then serves the connection.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use swoosh_types::cluster::MemberId;
use swoosh_types::keys::PublicKey;
use tokio::io::{ReadHalf, WriteHalf, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::admission::Memory;
use super::connection::{ConnectionError, Reader, Writer, never};
use super::dial::hello;
use super::tls::{KeyError, NodeKey, key_of};
use super::{Identity, Limits, Local, Service, serve};
use crate::wire::{Handshake, Hello, HelloRefusal, MAX_HANDSHAKE, Purpose, decode_handshake, encode_handshake};

/// A member cannot accept connections.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the socket has no address: {0}")]
    Socket(#[from] std::io::Error),
}

/// What happened to a connection that another member dialed, for logs and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// No TLS handshake, or no first frame in time.
    Unproved {
        from: SocketAddr,
        why: String,
    },
    /// So many connections have not proved who dials that another one is closed at once.
    Crowded {
        from: SocketAddr,
    },
    Refused {
        from: SocketAddr,
        key: PublicKey,
        member: Option<MemberId>,
        why: HelloRefusal,
    },
    Opened {
        member: MemberId,
        purpose: Purpose,
    },
    Ended {
        member: MemberId,
        purpose: Purpose,
        why: ConnectionError,
    },
}

/// Called for each [`Notice`]. It must not block.
pub type Notices = Arc<dyn Fn(Notice) + Send + Sync>;

pub(super) type AcceptedReader = Reader<ReadHalf<TlsStream<TcpStream>>>;
pub(super) type AcceptedWriter = Writer<WriteHalf<TlsStream<TcpStream>>>;

/// A proved connection.
pub(super) struct Accepted {
    pub(super) from: MemberId,
    pub(super) purpose: Purpose,
    pub(super) reader: AcceptedReader,
    pub(super) writer: AcceptedWriter,
}

/// The accepting side of one member. Dropping it ends all connections at once; [`Listener::stop`] ends them in order.
pub struct Listener {
    host: Arc<Host>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

struct Host {
    acceptor: TlsAcceptor,
    local: Arc<dyn Local>,
    service: Arc<dyn Service>,
    memory: Arc<Memory>,
    limits: Limits,
    notices: Notices,
    /// The newest connection of each member and purpose.
    newest: Mutex<BTreeMap<(MemberId, Purpose), Arc<Token>>>,
}

/// Ends one connection.
#[derive(Default)]
struct Token {
    end: Notify,
    is_removed: AtomicBool,
}

impl Listener {
    /// Accepts on a bound socket. Must be called on a tokio runtime; its tasks run there.
    pub fn start(
        socket: TcpListener,
        key: &NodeKey,
        local: Arc<dyn Local>,
        service: Arc<dyn Service>,
        memory: Arc<Memory>,
        limits: Limits,
        notices: Notices,
    ) -> Result<Listener, ListenError> {
        let address = socket.local_addr()?;
        let acceptor = TlsAcceptor::from(key.server()?);
        let newest = Mutex::default();
        let host = Arc::new(Host { acceptor, local, service, memory, limits, notices, newest });
        let (stop, stopped) = watch::channel(false);
        let accepting = tokio::spawn(accept(host.clone(), socket, stopped));
        Ok(Listener { host, address, stop, accepting })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the connections of members that are not in the newest configuration: a hello is checked once, at the beginning.
    pub fn retain(&self, is_member: impl Fn(MemberId) -> bool) {
        for (_, token) in self.host.newest().iter().filter(|((member, _), _)| !is_member(*member)) {
            token.is_removed.store(true, Ordering::SeqCst);
            token.end.notify_one();
        }
    }

    /// Accepts no more, lets answers under way end within [`Limits::grace`], says that the member stops, and returns when no connection
    /// is left.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        drop((&mut self.accepting).await);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Ends when the member stops, and with it all connections, which are in the set.
async fn accept(host: Arc<Host>, socket: TcpListener, mut stopped: watch::Receiver<bool>) {
    /// Without a free file descriptor, the next attempt would fail at once.
    const PAUSE: Duration = Duration::from_millis(100);
    let unproved = Arc::new(Semaphore::new(host.limits.unproved));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => break,
            accepted = socket.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        let Ok((tcp, from)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        match unproved.clone().try_acquire_owned() {
            Ok(permit) => drop(connections.spawn(connection(host.clone(), tcp, from, permit, stopped.clone()))),
            Err(_) => (host.notices)(Notice::Crowded { from }),
        }
    }
    drop(socket);
    // Each connection ends by itself within its own grace; this is for one that does not.
    let whole = host.limits.grace * 8 + host.limits.handshake;
    drop(timeout(whole, async { while connections.join_next().await.is_some() {} }).await);
}

async fn connection(
    host: Arc<Host>,
    tcp: TcpStream,
    from: SocketAddr,
    permit: OwnedSemaphorePermit,
    mut stopped: watch::Receiver<bool>,
) {
    let proved = tokio::select! {
        _ = stopped.wait_for(|stopped| *stopped) => return,
        proved = timeout(host.limits.handshake, host.prove(tcp, from)) => proved,
    };
    drop(permit);
    let accepted = match proved {
        Ok(Ok(accepted)) => accepted,
        Ok(Err(notice)) => return (host.notices)(notice),
        Err(_) => {
            let why = format!("no handshake within {:?}", host.limits.handshake);
            return (host.notices)(Notice::Unproved { from, why });
        }
    };
    let (member, purpose) = (accepted.from, accepted.purpose);
    (host.notices)(Notice::Opened { member, purpose });
    let mine = host.register(member, purpose);
    let ending = Ending { stopped, token: mine.clone() };
    let why = serve::serve(accepted, host.service.as_ref(), &host.limits, ending).await;
    host.forget(member, purpose, &mine);
    (host.notices)(Notice::Ended { member, purpose, why });
}

/// Why a connection is to end although it works.
pub(super) struct Ending {
    stopped: watch::Receiver<bool>,
    token: Arc<Token>,
}

impl Ending {
    pub(super) async fn wait(&mut self) -> ConnectionError {
        tokio::select! {
            _ = self.stopped.wait_for(|stopped| *stopped) => ConnectionError::Stopping,
            () = self.token.end.notified() => match self.token.is_removed.load(Ordering::SeqCst) {
                true => ConnectionError::NoMember,
                false => ConnectionError::Replaced,
            },
        }
    }
}

impl Host {
    fn newest(&self) -> MutexGuard<'_, BTreeMap<(MemberId, Purpose), Arc<Token>>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A member that restarted dials again before this side notices that the old connection is dead.
    fn register(&self, member: MemberId, purpose: Purpose) -> Arc<Token> {
        let mine = Arc::new(Token::default());
        if let Some(older) = self.newest().insert((member, purpose), mine.clone()) {
            older.end.notify_one();
        }
        mine
    }

    fn forget(&self, member: MemberId, purpose: Purpose, mine: &Arc<Token>) {
        let mut newest = self.newest();
        if newest.get(&(member, purpose)).is_some_and(|newest| Arc::ptr_eq(newest, mine)) {
            newest.remove(&(member, purpose));
        }
    }

    async fn prove(&self, tcp: TcpStream, from: SocketAddr) -> Result<Accepted, Notice> {
        let unproved = |why: String| Notice::Unproved { from, why };
        tcp.set_nodelay(true).map_err(|error| unproved(error.to_string()))?;
        let tls = self.acceptor.accept(tcp).await.map_err(|error| unproved(format!("no TLS handshake: {error}")))?;
        let key = key_of(tls.get_ref().1.peer_certificates()).ok_or_else(|| unproved("no key".to_owned()))?;
        let (read, write) = split(tls);
        let mut reader = Reader::new(read, MAX_HANDSHAKE, self.limits.frame);
        let mut writer = Writer::new(write, self.limits.frame);
        let first = reader.frame(never()).await.map_err(|error| unproved(format!("no hello: {error}")));
        let first = match first {
            Ok(first) => first,
            Err(notice) => {
                self.refuse(writer, reader, HelloRefusal::NoHello).await;
                return Err(notice);
            }
        };
        match self.admit(&first, &key) {
            Ok((hello, welcome)) => {
                let sent = match encode_handshake(&Handshake::Welcome(welcome)) {
                    Ok(frame) => writer.frame(&frame).await,
                    Err(error) => Err(error.into()),
                };
                sent.map_err(|error| unproved(error.to_string()))?;
                reader.set_most(self.limits.frame_of(hello.purpose));
                Ok(Accepted { from: hello.member, purpose: hello.purpose, reader, writer })
            }
            Err((member, why)) => {
                self.refuse(writer, reader, why).await;
                Err(Notice::Refused { from, key, member, why })
            }
        }
    }

    /// The hello of the dialer, and the answer.
    fn admit(&self, frame: &[u8], key: &PublicKey) -> Result<(Hello, Hello), (Option<MemberId>, HelloRefusal)> {
        let Ok(Handshake::Hello(other)) = decode_handshake(frame) else { return Err((None, HelloRefusal::NoHello)) };
        let refused = |why| (Some(other.member), why);
        let me: Identity = self.local.identity().ok_or_else(|| refused(HelloRefusal::NotReady))?;
        let standing = self.local.standing(other.member);
        self.memory.admit(&me, &standing, key, &other).map_err(refused)?;
        let welcome = hello(&me, other.member, other.purpose);
        Ok((other, welcome))
    }

    async fn refuse(&self, mut writer: AcceptedWriter, reader: AcceptedReader, why: HelloRefusal) {
        if let Ok(frame) = encode_handshake(&Handshake::Refused { why }) {
            drop(timeout(self.limits.grace, writer.frame(&frame)).await);
        }
        writer.end(self.limits.grace).await;
        reader.drain(self.limits.grace).await;
    }
}
