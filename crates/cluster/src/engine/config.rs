//! The engine's types, filled with ours.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use futures::channel::oneshot;
use openraft::OptionalSend;
use swoosh_types::cluster::{Barrier, Batch, Body, Member, MemberId};

use crate::Runtime;

pub(super) type LeaderId = openraft::impls::leader_id_std::LeaderId<u64, MemberId>;
pub(super) type Term = openraft::vote::leader_id_std::CommittedLeaderId<u64>;
pub(super) type Vote = openraft::impls::Vote<LeaderId>;
pub(super) type LogId = openraft::LogId<Term>;
pub(super) type Payload = openraft::EntryPayload<Command, MemberId, Member>;
pub(super) type Entry = openraft::Entry<Term, Payload>;
pub(super) type Membership = openraft::Membership<MemberId, Member>;
pub(super) type StoredMembership = openraft::StoredMembership<Term, MemberId, Member>;

/// The engine's configuration of types, for one runtime.
pub struct Types<R>(PhantomData<fn() -> R>);

impl<R: Runtime> openraft::RaftTypeConfig for Types<R> {
    type D = Command;
    type R = ();
    type NodeId = MemberId;
    type Node = Member;
    type Term = u64;
    type LeaderId = LeaderId;
    type Vote = Vote;
    type Payload = Payload;
    type Entry = Entry;
    type AsyncRuntime = R;
    type Responder<T>
        = Answer<T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

// Derived, these would ask the same of the runtime.
impl<R> Clone for Types<R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<R> Copy for Types<R> {}
impl<R> Default for Types<R> {
    fn default() -> Self {
        Types(PhantomData)
    }
}
impl<R> fmt::Debug for Types<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Types")
    }
}
impl<R> PartialEq for Types<R> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl<R> Eq for Types<R> {}
impl<R> PartialOrd for Types<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<R> Ord for Types<R> {
    fn cmp(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }
}

/// What is submitted: a barrier of our own, or a batch of the sequencer.
#[derive(Clone, Debug)]
pub struct Command {
    pub(super) content: Content,
    ticket: Option<Arc<Ticket>>,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    Barrier(Barrier),
    Batch(Arc<Batch>),
}

/// Reports that a submission was appended. The engine has no such notice.
#[derive(Debug)]
struct Ticket(Mutex<Option<oneshot::Sender<()>>>);

impl Command {
    /// The receiver ends with a value once the command is appended, and without one if it is refused.
    pub(super) fn submitted(content: Content) -> (Command, oneshot::Receiver<()>) {
        let (sender, appended) = oneshot::channel();
        let ticket = Some(Arc::new(Ticket(Mutex::new(Some(sender)))));
        (Command { content, ticket }, appended)
    }

    /// A command out of a row: no caller waits for it.
    pub(super) fn of_row(content: Content) -> Command {
        Command { content, ticket: None }
    }

    pub(super) fn note_appended(&self) {
        let Some(ticket) = &self.ticket else { return };
        if let Some(sender) = ticket.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // The submitter may have gone away.
            let _ = sender.send(());
        }
    }

    pub(super) fn into_body(self) -> Body {
        match self.content {
            Content::Barrier(barrier) => Body::Barrier(barrier),
            Content::Batch(batch) => Body::Batch(batch),
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.clone().into_body().fmt(f)
    }
}

type Hook<T> = Box<dyn FnOnce(Option<T>) + Send>;

/// The engine's answer to a submission. The engine drops it without an answer when it ends; then the hook gets `None`.
pub struct Answer<T: OptionalSend + 'static>(Option<Hook<T>>);

impl<T: OptionalSend + 'static> Answer<T> {
    pub(super) fn new(hook: impl FnOnce(Option<T>) + Send + 'static) -> Answer<T> {
        Answer(Some(Box::new(hook)))
    }
}

impl<T: OptionalSend + 'static> Drop for Answer<T> {
    fn drop(&mut self) {
        if let Some(hook) = self.0.take() {
            hook(None);
        }
    }
}

impl<R: Runtime, T: OptionalSend + 'static> openraft::raft::responder::Responder<Types<R>, T> for Answer<T> {
    fn on_complete(mut self, result: T) {
        if let Some(hook) = self.0.take() {
            hook(Some(result));
        }
    }
}
