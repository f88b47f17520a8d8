//! A deterministic runtime for asynchronous code: one thread, virtual time, a seeded scheduler.
//!
//! Each task belongs to a process. [`kill`] drops all tasks of one, as the end of a process does. The channels are this module's own:
//! others wake their receivers in an order that no seed decides.

mod channel;
mod executor;
mod join;
mod random;
mod time;
mod watch;

use std::fmt;
use std::future::Future;
use std::io;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openraft_rt::AsyncRuntime;

pub(crate) use executor::{Panic, Process, below, digest, kill, lines, now, panics, process, spawn_in, trace, turns};
pub(crate) use join::JoinHandle;
pub(crate) use time::SimInstant;

use channel::{SimMpsc, SimOneshot};
use executor::Executor;
use join::JoinError;
use random::SimRng;
use time::{Elapsed, Sleep, Timeout};
use watch::SimWatch;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a world to the end of `main`. Tasks that still run then are dropped. `main` itself need not be `Send`.
pub(crate) fn run<T>(seed: u64, keeps_lines: bool, main: impl Future<Output = T>) -> T {
    SimRuntime { executor: Executor::new(seed, keeps_lines) }.block_on(main)
}

pub(crate) async fn sleep(duration: Duration) {
    SimRuntime::sleep(duration).await;
}

pub(crate) async fn sleep_ms(ms: u64) {
    sleep(Duration::from_millis(ms)).await;
}

pub(crate) async fn sleep_us(us: u64) {
    sleep(Duration::from_micros(us)).await;
}

/// The runtime as the engine sees it.
pub struct SimRuntime {
    executor: Rc<Executor>,
}

impl fmt::Debug for SimRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimRuntime")
    }
}

impl AsyncRuntime for SimRuntime {
    type JoinError = JoinError;
    type JoinHandle<T: Send + 'static> = JoinHandle<T>;
    type Sleep = Sleep;
    type Instant = SimInstant;
    type TimeoutError = Elapsed;
    type Timeout<R, T: Future<Output = R> + Send> = Timeout<T>;
    type ThreadLocalRng = SimRng;
    type Mpsc = SimMpsc;
    type Watch = SimWatch;
    type Oneshot = SimOneshot;
    type Mutex<T: Send + 'static> = SimMutex<T>;

    fn spawn<T>(future: T) -> JoinHandle<T::Output>
    where
        T: Future + Send + 'static,
        T::Output: Send + 'static,
    {
        spawn_in(process(), future)
    }

    fn sleep(duration: Duration) -> Sleep {
        Sleep::until(now() + duration)
    }

    fn sleep_until(deadline: SimInstant) -> Sleep {
        Sleep::until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + Send>(duration: Duration, future: F) -> Timeout<F> {
        Timeout::new(future, Self::sleep(duration))
    }

    fn timeout_at<R, F: Future<Output = R> + Send>(deadline: SimInstant, future: F) -> Timeout<F> {
        Timeout::new(future, Self::sleep_until(deadline))
    }

    fn is_panic(error: &JoinError) -> bool {
        error.is_panic
    }

    fn thread_rng() -> SimRng {
        SimRng
    }

    fn new(_threads: usize) -> Self {
        SimRuntime { executor: Executor::new(0, false) }
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.executor.run(future)
    }

    /// There is one thread: the work is done at once.
    fn spawn_blocking<F, T>(work: F) -> impl Future<Output = Result<T, io::Error>> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let value = work();
        async move { Ok(value) }
    }
}

/// A lock that is waited for in order.
pub struct SimMutex<T>(futures::lock::Mutex<T>);

pub struct SimGuard<'a, T>(futures::lock::MutexGuard<'a, T>);

impl<T> Deref for SimGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for SimGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Send + 'static> openraft_rt::Mutex<T> for SimMutex<T> {
    type Guard<'a> = SimGuard<'a, T>;

    fn new(value: T) -> Self {
        SimMutex(futures::lock::Mutex::new(value))
    }

    async fn lock(&self) -> SimGuard<'_, T> {
        SimGuard(self.0.lock().await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_passes_the_suite_of_the_engine() {
        openraft_rt::testing::Suite::<SimRuntime>::test_all();
    }

    fn digest_of(seed: u64) -> u64 {
        run(seed, false, async {
            let tasks: Vec<_> =
                (0..20).map(|task| spawn_in(task % 3, async move { sleep_us(below(50)).await })).collect();
            sleep_us(20).await;
            kill(2);
            for task in tasks {
                drop(task.await);
            }
            digest()
        })
    }

    #[test]
    fn a_seed_decides_the_order_of_tasks() {
        assert_eq!(digest_of(7), digest_of(7));
        assert_ne!(digest_of(7), digest_of(8));
    }

    #[test]
    fn a_killed_process_runs_nothing_more() {
        run(1, false, async {
            let alive = std::sync::Arc::new(());
            let held = alive.clone();
            let task = spawn_in(5, async move {
                sleep_ms(1000).await;
                drop(held);
            });
            sleep_ms(1).await;
            assert_eq!(kill(5), 1);
            assert_eq!(std::sync::Arc::strong_count(&alive), 1, "what its tasks held is dropped");
            assert!(task.await.is_err());
        });
    }

    #[test]
    fn a_panic_ends_its_task_alone_and_is_recorded() {
        run(1, false, async {
            let task = spawn_in(3, async { panic!("a bug") });
            assert!(task.await.is_err_and(|error| SimRuntime::is_panic(&error)));
            assert_eq!(panics(), [Panic { process: 3, text: "a bug".to_owned() }]);
        });
    }
}
