//! Virtual time.

use std::fmt;
use std::future::Future;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::executor::{TimerKey, now, remove_timer, set_timer};

/// Nanoseconds of virtual time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SimInstant(u64);

impl SimInstant {
    /// The beginning of each world. Far from zero, because the engine subtracts from instants.
    pub(super) const START: SimInstant = SimInstant(1_000_000_000_000_000);

    pub(crate) fn nanos(self) -> u64 {
        self.0
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4)
}

impl fmt::Debug for SimInstant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", *self - SimInstant::START)
    }
}

impl Add<Duration> for SimInstant {
    type Output = SimInstant;
    fn add(self, duration: Duration) -> SimInstant {
        SimInstant(self.0.saturating_add(nanos(duration)))
    }
}

impl AddAssign<Duration> for SimInstant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for SimInstant {
    type Output = SimInstant;
    fn sub(self, duration: Duration) -> SimInstant {
        SimInstant(self.0.saturating_sub(nanos(duration)))
    }
}

impl Sub for SimInstant {
    type Output = Duration;
    fn sub(self, earlier: SimInstant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl SubAssign<Duration> for SimInstant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl openraft_rt::Instant for SimInstant {
    fn now() -> SimInstant {
        now()
    }
}

pub struct Sleep {
    at: SimInstant,
    key: Option<TimerKey>,
}

impl Sleep {
    pub(super) fn until(at: SimInstant) -> Sleep {
        Sleep { at, key: None }
    }

    fn forget(&mut self) {
        if let Some(key) = self.key.take() {
            remove_timer(key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if now() >= self.at {
            self.forget();
            return Poll::Ready(());
        }
        let (key, replaced) = set_timer(self.key, self.at, cx.waker().clone());
        drop(replaced);
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.forget();
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time is over")
    }
}

pub struct Timeout<F> {
    future: Pin<Box<F>>,
    sleep: Sleep,
}

impl<F> Timeout<F> {
    pub(super) fn new(future: F, sleep: Sleep) -> Timeout<F> {
        Timeout { future: Box::pin(future), sleep }
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(value) = self.future.as_mut().poll(cx) {
            return Poll::Ready(Ok(value));
        }
        Pin::new(&mut self.sleep).poll(cx).map(|()| Err(Elapsed))
    }
}
