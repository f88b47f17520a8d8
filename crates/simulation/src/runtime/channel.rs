//! Bounded queues, and channels for one value.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use openraft_rt::{Mpsc, MpscReceiver, MpscSender, MpscWeakSender, Oneshot, OneshotSender, SendError, TryRecvError};

use super::lock;

fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}

struct Queue<T> {
    items: VecDeque<T>,
    bound: usize,
    senders: usize,
    has_receiver: bool,
    receiver: Option<Waker>,
    /// Senders that wait for room.
    waiting: Vec<Waker>,
}

pub struct SimMpsc;
pub struct Sender<T>(Arc<Mutex<Queue<T>>>);
pub struct Receiver<T>(Arc<Mutex<Queue<T>>>);
pub struct WeakSender<T>(Arc<Mutex<Queue<T>>>);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        lock(&self.0).senders += 1;
        Sender(self.0.clone())
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        WeakSender(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut queue = lock(&self.0);
        queue.senders -= 1;
        let waker = if queue.senders == 0 { queue.receiver.take() } else { None };
        drop(queue);
        wake_all(waker);
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut queue = lock(&self.0);
        queue.has_receiver = false;
        let (items, waiting) = (std::mem::take(&mut queue.items), std::mem::take(&mut queue.waiting));
        drop(queue);
        drop(items);
        wake_all(waiting);
    }
}

impl Mpsc for SimMpsc {
    type Sender<T: Send> = Sender<T>;
    type Receiver<T: Send> = Receiver<T>;
    type WeakSender<T: Send> = WeakSender<T>;

    fn channel<T: Send>(bound: usize) -> (Sender<T>, Receiver<T>) {
        let queue = Queue {
            items: VecDeque::new(),
            bound: bound.max(1),
            senders: 1,
            has_receiver: true,
            receiver: None,
            waiting: Vec::new(),
        };
        let queue = Arc::new(Mutex::new(queue));
        (Sender(queue.clone()), Receiver(queue))
    }
}

impl<T> Sender<T> {
    fn poll_send(&self, item: &mut Option<T>, cx: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        let mut queue = lock(&self.0);
        if queue.has_receiver && queue.items.len() >= queue.bound {
            queue.waiting.push(cx.waker().clone());
            return Poll::Pending;
        }
        let Some(item) = item.take() else { return Poll::Ready(Ok(())) };
        if !queue.has_receiver {
            return Poll::Ready(Err(SendError(item)));
        }
        queue.items.push_back(item);
        let receiver = queue.receiver.take();
        drop(queue);
        wake_all(receiver);
        Poll::Ready(Ok(()))
    }
}

impl<T: Send> MpscSender<SimMpsc, T> for Sender<T> {
    fn send(&self, item: T) -> impl Future<Output = Result<(), SendError<T>>> + Send {
        let mut item = Some(item);
        poll_fn(move |cx| self.poll_send(&mut item, cx))
    }

    fn downgrade(&self) -> WeakSender<T> {
        WeakSender(self.0.clone())
    }
}

impl<T: Send> MpscWeakSender<SimMpsc, T> for WeakSender<T> {
    fn upgrade(&self) -> Option<Sender<T>> {
        let mut queue = lock(&self.0);
        if queue.senders == 0 {
            return None;
        }
        queue.senders += 1;
        Some(Sender(self.0.clone()))
    }
}

impl<T> Receiver<T> {
    fn pop(&self) -> Result<T, TryRecvError> {
        let mut queue = lock(&self.0);
        let item = match queue.items.pop_front() {
            Some(item) => item,
            None if queue.senders == 0 => return Err(TryRecvError::Disconnected),
            None => return Err(TryRecvError::Empty),
        };
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);
        wake_all(waiting);
        Ok(item)
    }
}

impl<T: Send> MpscReceiver<T> for Receiver<T> {
    fn recv(&mut self) -> impl Future<Output = Option<T>> + Send {
        poll_fn(|cx| match self.pop() {
            Ok(item) => Poll::Ready(Some(item)),
            Err(TryRecvError::Disconnected) => Poll::Ready(None),
            Err(TryRecvError::Empty) => {
                lock(&self.0).receiver = Some(cx.waker().clone());
                Poll::Pending
            }
        })
    }

    fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.pop()
    }
}

struct Slot<T> {
    value: Option<T>,
    has_sender: bool,
    has_receiver: bool,
    waker: Option<Waker>,
}

pub struct SimOneshot;
pub struct ValueSender<T>(Arc<Mutex<Slot<T>>>);
pub struct ValueReceiver<T>(Arc<Mutex<Slot<T>>>);

/// The sender was dropped without a value.
#[derive(Debug, thiserror::Error)]
#[error("the channel is closed")]
pub struct Closed;

impl<T> Drop for ValueSender<T> {
    fn drop(&mut self) {
        let mut slot = lock(&self.0);
        slot.has_sender = false;
        let waker = slot.waker.take();
        drop(slot);
        wake_all(waker);
    }
}

impl<T> Drop for ValueReceiver<T> {
    fn drop(&mut self) {
        let mut slot = lock(&self.0);
        slot.has_receiver = false;
        let value = slot.value.take();
        drop(slot);
        drop(value);
    }
}

impl<T> Future for ValueReceiver<T> {
    type Output = Result<T, Closed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = lock(&self.0);
        if let Some(value) = slot.value.take() {
            return Poll::Ready(Ok(value));
        }
        if !slot.has_sender {
            return Poll::Ready(Err(Closed));
        }
        slot.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Oneshot for SimOneshot {
    type Sender<T: Send> = ValueSender<T>;
    type Receiver<T: Send> = ValueReceiver<T>;
    type ReceiverError = Closed;

    fn channel<T: Send>() -> (ValueSender<T>, ValueReceiver<T>) {
        let slot = Slot { value: None, has_sender: true, has_receiver: true, waker: None };
        let slot = Arc::new(Mutex::new(slot));
        (ValueSender(slot.clone()), ValueReceiver(slot))
    }
}

impl<T: Send> OneshotSender<T> for ValueSender<T> {
    fn send(self, value: T) -> Result<(), T> {
        let mut slot = lock(&self.0);
        if !slot.has_receiver {
            return Err(value);
        }
        slot.value = Some(value);
        // The receiver is woken when `self` is dropped.
        Ok(())
    }
}
