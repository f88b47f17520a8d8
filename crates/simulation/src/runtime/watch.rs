//! A value that many tasks watch.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::task::{Poll, Waker};

use openraft_rt::watch::SendError;
use openraft_rt::{RecvError, Watch, WatchReceiver, WatchSender};

use super::lock;

struct Watched<T> {
    value: RwLock<T>,
    control: Mutex<Control>,
}

#[derive(Default)]
struct Control {
    version: u64,
    senders: usize,
    receivers: usize,
    /// By receiver, so that they are woken in an order that the seed decides.
    wakers: BTreeMap<u64, Waker>,
    next: u64,
}

impl<T> Watched<T> {
    fn read(&self) -> Ref<'_, T> {
        Ref(self.value.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.value.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn notify(&self) {
        let mut control = lock(&self.control);
        control.version += 1;
        let wakers = std::mem::take(&mut control.wakers);
        drop(control);
        wakers.into_values().for_each(Waker::wake);
    }

    /// A receiver that has seen this version; the present one for `None`.
    fn receiver(self: &Arc<Self>, seen: Option<u64>) -> Receiver<T> {
        let mut control = lock(&self.control);
        control.receivers += 1;
        control.next += 1;
        let (id, seen) = (control.next, seen.unwrap_or(control.version));
        drop(control);
        Receiver { watched: self.clone(), seen, id }
    }
}

pub struct SimWatch;
pub struct Sender<T>(Arc<Watched<T>>);
pub struct Receiver<T> {
    watched: Arc<Watched<T>>,
    seen: u64,
    id: u64,
}
pub struct Ref<'a, T>(RwLockReadGuard<'a, T>);

impl<T> Deref for Ref<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        lock(&self.0.control).senders += 1;
        Sender(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut control = lock(&self.0.control);
        control.senders -= 1;
        let wakers = if control.senders == 0 { std::mem::take(&mut control.wakers) } else { BTreeMap::new() };
        drop(control);
        wakers.into_values().for_each(Waker::wake);
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.watched.receiver(Some(self.seen))
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut control = lock(&self.watched.control);
        control.receivers -= 1;
        let waker = control.wakers.remove(&self.id);
        drop(control);
        drop(waker);
    }
}

impl Watch for SimWatch {
    type Sender<T: Send + Sync> = Sender<T>;
    type Receiver<T: Send + Sync> = Receiver<T>;
    type Ref<'a, T: Send + 'a> = Ref<'a, T>;

    fn channel<T: Send + Sync>(value: T) -> (Sender<T>, Receiver<T>) {
        let control = Mutex::new(Control { senders: 1, ..Control::default() });
        let watched = Arc::new(Watched { value: RwLock::new(value), control });
        let receiver = watched.receiver(None);
        (Sender(watched), receiver)
    }
}

impl<T: Send + Sync> WatchSender<SimWatch, T> for Sender<T> {
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        if lock(&self.0.control).receivers == 0 {
            return Err(SendError(value));
        }
        let replaced = std::mem::replace(&mut *self.0.write(), value);
        drop(replaced);
        self.0.notify();
        Ok(())
    }

    fn send_if_modified<F>(&self, modify: F) -> bool
    where
        F: FnOnce(&mut T) -> bool,
    {
        let modified = modify(&mut self.0.write());
        if modified {
            self.0.notify();
        }
        modified
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        self.0.read()
    }

    fn subscribe(&self) -> Receiver<T> {
        self.0.receiver(None)
    }
}

impl<T: Send + Sync> WatchReceiver<SimWatch, T> for Receiver<T> {
    async fn changed(&mut self) -> Result<(), RecvError> {
        poll_fn(|cx| {
            let mut control = lock(&self.watched.control);
            if control.version != self.seen {
                self.seen = control.version;
                return Poll::Ready(Ok(()));
            }
            if control.senders == 0 {
                return Poll::Ready(Err(RecvError(())));
            }
            let replaced = control.wakers.insert(self.id, cx.waker().clone());
            drop(control);
            drop(replaced);
            Poll::Pending
        })
        .await
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        self.watched.read()
    }

    fn borrow_and_update(&mut self) -> Ref<'_, T> {
        self.seen = lock(&self.watched.control).version;
        self.watched.read()
    }
}
