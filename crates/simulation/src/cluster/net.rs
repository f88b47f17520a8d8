//! Links between members: delay, loss, duplicates, and cuts in each direction.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use openraft_rt::AsyncRuntime as _;
use swoosh_cluster::messages::{Append, Reply, Request};
use swoosh_cluster::ports::{AppendReplies, AppendRequests, PeerError, Peers, Target};
use swoosh_cluster::types::{Ballot, DirectoryId, MemberId};

use super::world::World;
use super::{stream, transfer};
use crate::runtime::{self, SimRuntime};

pub(super) struct SimPeers {
    pub(super) world: Arc<World>,
    pub(super) from: MemberId,
}

/// A lost message keeps its sender waiting until its time is over.
const LOST_MS: u64 = 60_000;

pub(super) fn unreachable(why: &str) -> PeerError {
    PeerError::Unreachable(why.to_owned())
}

impl Peers for SimPeers {
    fn ask(&self, to: &Target, request: Request, within: Duration) -> BoxFuture<'static, Result<Reply, PeerError>> {
        let path = Path { world: self.world.clone(), from: self.from, to: to.id, directory: to.member.directory };
        async move {
            let (sender, receiver) = oneshot::channel();
            let question = Arc::new(Question { path, request, reply: Mutex::new(Some(sender)) });
            question.send();
            let in_time = SimRuntime::timeout(within, receiver).await;
            // The question keeps the reply's sender, so that a lost message is a silence and no closed channel.
            drop(question);
            in_time.ok().and_then(Result::ok).ok_or_else(|| unreachable("no answer in time"))
        }
        .boxed()
    }

    fn stream(&self, to: &Target, requests: AppendRequests) -> AppendReplies {
        let path = Path { world: self.world.clone(), from: self.from, to: to.id, directory: to.member.directory };
        stream::open(path, requests)
    }

    fn send_state(&self, to: &Target, ballot: Ballot) -> BoxFuture<'static, Result<Ballot, PeerError>> {
        transfer::send(self.world.clone(), self.from, to.id, ballot).boxed()
    }
}

/// From one member to the directory of another.
#[derive(Clone)]
pub(super) struct Path {
    pub(super) world: Arc<World>,
    pub(super) from: MemberId,
    pub(super) to: MemberId,
    pub(super) directory: DirectoryId,
}

struct Question {
    path: Path,
    request: Request,
    reply: Mutex<Option<oneshot::Sender<Reply>>>,
}

impl Question {
    /// Sends it once or twice.
    fn send(self: &Arc<Self>) {
        let Path { world, from, to, .. } = &self.path;
        runtime::trace(|| format!("member {from} asks member {to}: {}", brief(&self.request)));
        let copies = 1 + u64::from(runtime::below(1000) < world.link(*from, *to).doubled);
        for _ in 0..copies {
            runtime::spawn_in(0, self.clone().travel());
        }
    }

    async fn travel(self: Arc<Self>) {
        let Path { world, from, to, directory } = &self.path;
        if !fly(world, *from, *to).await {
            return runtime::sleep_ms(LOST_MS).await;
        }
        let Some((engine, process)) = world.reach(*to, *directory) else { return };
        let question = self.clone();
        // It is answered in the receiver's process, and ends with it.
        runtime::spawn_in(process, async move {
            if let Ok(reply) = engine.hear(question.request.clone()).await {
                runtime::spawn_in(0, question.clone().travel_back(reply));
            }
        });
    }

    async fn travel_back(self: Arc<Self>, reply: Reply) {
        let Path { world, from, to, .. } = &self.path;
        if !fly(world, *to, *from).await {
            return runtime::sleep_ms(LOST_MS).await;
        }
        runtime::trace(|| format!("member {to} answers member {from}: {reply:?}"));
        let sender = self.reply.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // The asker may have gone. A second copy of an answer finds no sender.
            let _ = sender.send(reply);
        }
    }
}

/// One message over one link. False if it is lost, at its start or by a cut meanwhile.
async fn fly(world: &World, from: MemberId, to: MemberId) -> bool {
    let Some(us) = world.flight_us(from, to) else { return false };
    runtime::sleep_us(us).await;
    !world.link(from, to).is_cut
}

pub(super) fn brief(request: &Request) -> String {
    match request {
        Request::Append(append) => brief_append(append),
        other => format!("{other:?}"),
    }
}

pub(super) fn brief_append(append: &Append) -> String {
    let Append { ballot, previous, rows, committed } = append;
    format!("append of {ballot}: {} rows after {previous:?}, committed {committed:?}", rows.len())
}
