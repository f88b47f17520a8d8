//! Handles of tasks.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::lock;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinError {
    pub(super) is_panic: bool,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_panic { "the task panicked" } else { "the task was killed" })
    }
}

struct Slot<T> {
    value: Option<Result<T, JoinError>>,
    is_over: bool,
    waker: Option<Waker>,
}

/// The task's half: it reports a task that is dropped before its end.
pub(super) struct Outcome<T>(Arc<Mutex<Slot<T>>>);

pub struct JoinHandle<T>(Arc<Mutex<Slot<T>>>);

impl<T> Outcome<T> {
    pub(super) fn new() -> (Outcome<T>, JoinHandle<T>) {
        let slot = Arc::new(Mutex::new(Slot { value: None, is_over: false, waker: None }));
        (Outcome(slot.clone()), JoinHandle(slot))
    }

    pub(super) fn set(self, value: T) {
        self.end(Ok(value));
    }

    fn end(&self, value: Result<T, JoinError>) {
        let mut slot = lock(&self.0);
        if slot.is_over {
            return;
        }
        slot.is_over = true;
        slot.value = Some(value);
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Drop for Outcome<T> {
    fn drop(&mut self) {
        self.end(Err(JoinError { is_panic: std::thread::panicking() }));
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = lock(&self.0);
        match slot.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                slot.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
