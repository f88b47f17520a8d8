//! The dialing side: [`Peers`] over TCP and TLS.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::channel::mpsc as replies;
use futures::future::BoxFuture;
use futures::{FutureExt as _, Stream};
use swoosh_types::cluster::{Ballot, MemberId};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::admission::Memory;
use super::control::{self, Ask};
use super::dial::{Shared, Way};
use super::{Limits, Local, NodeKey, rows, state, unreachable};
use crate::messages::{Appended, Reply, Request};
use crate::ports::{AppendReplies, AppendRequests, PeerError, Peers, Target};

/// Connections to other members. They are opened when they are needed. Dropping it closes the control connections in order.
pub struct Network {
    runtime: Handle,
    shared: Arc<Shared>,
    links: Mutex<BTreeMap<MemberId, Link>>,
}

/// The way to one member and its control connection.
#[derive(Clone)]
struct Link {
    way: Arc<Way>,
    asks: mpsc::Sender<Ask>,
}

impl Network {
    /// Its tasks run on this runtime; the [`Peers`] methods may be called from any other.
    pub fn new(runtime: Handle, key: NodeKey, local: Arc<dyn Local>, memory: Arc<Memory>, limits: Limits) -> Network {
        let shared = Arc::new(Shared { key, local, memory, limits });
        Network { runtime, shared, links: Mutex::default() }
    }

    /// Closes the connections to members that are not in the newest configuration.
    pub fn retain(&self, is_member: impl Fn(MemberId) -> bool) {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| is_member(*id));
    }

    /// A member's key, directory or address changes only with another configuration; then it gets another link.
    fn link(&self, to: &Target) -> Result<Link, PeerError> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = links.get(&to.id)
            && link.way.target == *to
        {
            return Ok(link.clone());
        }
        let limits = &self.shared.limits;
        if links.len() >= limits.members && !links.contains_key(&to.id) {
            return Err(unreachable(format!("connections to {} members are open", limits.members)));
        }
        let way = Arc::new(Way::new(to.clone(), self.shared.clone()));
        let (asks, asked) = mpsc::channel(limits.queued);
        self.runtime.spawn(control::run(way.clone(), asked));
        let link = Link { way, asks };
        links.insert(to.id, link.clone());
        Ok(link)
    }

    async fn answer(asks: mpsc::Sender<Ask>, request: Request, within: Duration) -> Result<Reply, PeerError> {
        let (answer, answered) = oneshot::channel();
        let full = |_| unreachable("too many requests to this member wait");
        asks.try_send(Ask { request, answer }).map_err(full)?;
        drop(asks);
        match tokio::time::timeout(within, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(unreachable("the connection ended")),
            Err(_) => Err(unreachable(format!("no answer within {within:?}"))),
        }
    }

    /// Runs on this network's runtime. Dropping the future ends the work.
    fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, PeerError>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, PeerError>> {
        let mut task = Task(self.runtime.spawn(work));
        async move { (&mut task.0).await.unwrap_or_else(|_| Err(unreachable("the work was interrupted"))) }.boxed()
    }
}

impl Peers for Network {
    fn ask(&self, to: &Target, request: Request, within: Duration) -> BoxFuture<'static, Result<Reply, PeerError>> {
        match self.link(to) {
            Ok(link) => self.spawn(Network::answer(link.asks, request, within)),
            Err(error) => std::future::ready(Err(error)).boxed(),
        }
    }

    fn stream(&self, to: &Target, requests: AppendRequests) -> AppendReplies {
        let link = match self.link(to) {
            Ok(link) => link,
            Err(error) => return Box::pin(futures::stream::iter([Err(error)])),
        };
        let (sender, receiver) = replies::channel(self.shared.limits.under_way);
        let task = Task(self.runtime.spawn(rows::run(link.way, requests, sender)));
        Box::pin(Replies { receiver, _task: task })
    }

    fn send_state(&self, to: &Target, ballot: Ballot) -> BoxFuture<'static, Result<Ballot, PeerError>> {
        match self.link(to) {
            Ok(link) => self.spawn(state::send(link.way, ballot)),
            Err(error) => std::future::ready(Err(error)).boxed(),
        }
    }
}

/// Ends its task when it is dropped.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Replies {
    receiver: replies::Receiver<Result<Appended, PeerError>>,
    _task: Task<()>,
}

impl Stream for Replies {
    type Item = Result<Appended, PeerError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.receiver).poll_next(cx)
    }
}
