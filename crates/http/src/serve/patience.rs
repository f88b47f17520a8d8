//! Bounds how long an answer is awaited.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::activity::Activity;

/// Awaits the work of one request. On an HTTP/1 connection the sweeper keeps the deadline; elsewhere a timer does.
#[derive(Clone, Default)]
pub(crate) struct Patience(Option<Arc<Activity>>);

/// The work did not end in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Late;

/// An answer that is awaited, until this is dropped.
struct Awaiting<'a>(&'a Activity);

impl Drop for Awaiting<'_> {
    fn drop(&mut self) {
        self.0.end_await();
    }
}

impl Patience {
    /// Of a request that the connection's own task awaits.
    pub(super) fn of(activity: Arc<Activity>) -> Patience {
        Patience(Some(activity))
    }

    /// The result of work that ends within the limit.
    pub async fn within<F: Future>(&self, limit: Duration, work: F) -> Result<F::Output, Late> {
        let mut work = pin!(work);
        if let Poll::Ready(done) = futures::poll!(work.as_mut()) {
            return Ok(done);
        }
        match &self.0 {
            Some(activity) => swept(activity, limit, work).await,
            None => timed(limit, work).await,
        }
    }
}

async fn swept<F: Future>(activity: &Activity, limit: Duration, mut work: Pin<&mut F>) -> Result<F::Output, Late> {
    let turn = poll_fn(|cx| Poll::Ready(activity.await_answer(limit, cx.waker()))).await;
    let Some(turn) = turn else { return timed(limit, work).await };
    let _awaiting = Awaiting(activity);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Ok(done)),
        Poll::Pending if activity.is_late(turn) => Poll::Ready(Err(Late)),
        Poll::Pending => Poll::Pending,
    })
    .await
}

async fn timed<F: Future>(limit: Duration, work: Pin<&mut F>) -> Result<F::Output, Late> {
    tokio::time::timeout(limit, work).await.map_err(|_| Late)
}

/// The same for any work: no timer is made for work that is done at once.
pub(crate) async fn within<F: Future>(limit: Duration, work: F) -> Result<F::Output, Late> {
    Patience::default().within(limit, work).await
}
