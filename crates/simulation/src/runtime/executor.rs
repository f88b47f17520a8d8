//! The executor: which task runs next, and when the clock moves.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::hash::Hasher as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use swoosh_testkit::random::Random;

use super::join::{JoinHandle, Outcome};
use super::lock;
use super::time::SimInstant;

/// Number of a process; 0 is the world itself.
pub(crate) type Process = u64;
pub(super) type TimerKey = (SimInstant, u64);

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Task {
    /// Absent while it is polled.
    work: Option<Work>,
    process: Process,
}

/// A task that panicked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Panic {
    pub(crate) process: Process,
    pub(crate) text: String,
}

struct State {
    now: SimInstant,
    timers: BTreeMap<TimerKey, Waker>,
    next_timer: u64,
    tasks: BTreeMap<u64, Task>,
    next_task: u64,
    /// Of the task that is polled.
    process: Process,
    /// Who runs next.
    order: Random,
    /// What tasks ask for: timeouts of elections.
    entropy: Random,
    /// What the world asks for: faults and delays.
    chance: Random,
    hash: std::hash::DefaultHasher,
    turns: u64,
    panics: Vec<Panic>,
    lines: Option<Vec<String>>,
}

/// Tasks that were woken. A waker may be called while the executor's state is borrowed, so they are apart.
#[derive(Default)]
struct Ready {
    list: Vec<u64>,
    set: BTreeSet<u64>,
}

impl Ready {
    fn push(&mut self, id: u64) {
        if self.set.insert(id) {
            self.list.push(id);
        }
    }

    fn take(&mut self, at: usize) -> u64 {
        let id = self.list.swap_remove(at);
        self.set.remove(&id);
        id
    }

    /// Whether a task was woken; it is ready no more then.
    fn take_id(&mut self, id: u64) -> bool {
        let woken = self.set.remove(&id);
        self.list.retain(|ready| *ready != id);
        woken
    }
}

pub(super) struct Executor {
    state: RefCell<State>,
    ready: Arc<Mutex<Ready>>,
}

/// The future that [`Executor::run`] drives is no task; this is its number among the woken ones.
const MAIN: u64 = 0;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Executor>>> = const { RefCell::new(None) };
}

/// The executor of the world on this thread, or `None` outside of one.
fn try_current() -> Option<Rc<Executor>> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

#[expect(clippy::expect_used, reason = "only code of a world asks, and a world runs in `Executor::run`")]
fn current() -> Rc<Executor> {
    try_current().expect("a simulated world runs on this thread")
}

fn with<T>(use_state: impl FnOnce(&mut State) -> T) -> T {
    use_state(&mut current().state.borrow_mut())
}

struct TaskWaker {
    id: u64,
    ready: Arc<Mutex<Ready>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        lock(&self.ready).push(self.id);
    }
}

impl Executor {
    pub(super) fn new(seed: u64, keeps_lines: bool) -> Rc<Executor> {
        let state = State {
            now: SimInstant::START,
            timers: BTreeMap::new(),
            next_timer: 0,
            tasks: BTreeMap::new(),
            next_task: MAIN + 1,
            process: 0,
            order: Random::of(seed, 1),
            entropy: Random::of(seed, 2),
            chance: Random::of(seed, 3),
            hash: std::hash::DefaultHasher::new(),
            turns: 0,
            panics: Vec::new(),
            lines: keeps_lines.then(Vec::new),
        };
        Rc::new(Executor { state: RefCell::new(state), ready: Arc::default() })
    }

    pub(super) fn run<T>(self: &Rc<Self>, main: impl Future<Output = T>) -> T {
        let before = CURRENT.with(|current| current.replace(Some(self.clone())));
        let mut main = Box::pin(main);
        let waker = self.waker(MAIN);
        let mut context = Context::from_waker(&waker);
        let value = loop {
            if let Poll::Ready(value) = main.as_mut().poll(&mut context) {
                break value;
            }
            while !lock(&self.ready).take_id(MAIN) {
                assert!(self.turn(), "every task waits and no timer is set");
            }
        };
        drop(main);
        // What still runs is dropped while the world is there.
        let tasks = std::mem::take(&mut self.state.borrow_mut().tasks);
        drop(tasks);
        CURRENT.with(|current| current.replace(before));
        value
    }

    fn waker(&self, id: u64) -> Waker {
        Waker::from(Arc::new(TaskWaker { id, ready: self.ready.clone() }))
    }

    /// One turn: one poll of one woken task, or the clock moves to the next timer. False if nothing can happen any more.
    fn turn(&self) -> bool {
        let Some(id) = self.pick() else { return self.move_clock() };
        let Some(mut work) = self.begin(id) else { return true };
        let waker = self.waker(id);
        let mut context = Context::from_waker(&waker);
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(&mut context)));
        let over = self.finish(id, work, polled);
        // Dropping a task may wake and drop others, which borrow the state.
        drop(over);
        true
    }

    fn pick(&self) -> Option<u64> {
        let mut ready = lock(&self.ready);
        let length = ready.list.len();
        (length > 0).then(|| {
            let at = self.state.borrow_mut().order.index(length);
            ready.take(at)
        })
    }

    fn move_clock(&self) -> bool {
        let due = {
            let mut state = self.state.borrow_mut();
            let Some((at, _)) = state.timers.keys().next().copied() else { return false };
            state.now = state.now.max(at);
            let last = (state.now, u64::MAX);
            let later = state.timers.split_off(&last);
            std::mem::replace(&mut state.timers, later)
        };
        due.into_values().for_each(Waker::wake);
        true
    }

    fn begin(&self, id: u64) -> Option<Work> {
        let state = &mut *self.state.borrow_mut();
        let task = state.tasks.get_mut(&id)?;
        let work = task.work.take();
        state.process = task.process;
        state.turns += 1;
        let (now, turns) = (state.now.nanos(), state.turns);
        [id, now, turns].into_iter().for_each(|number| state.hash.write_u64(number));
        work
    }

    /// Keeps a task that goes on; returns one that is over, or was killed while it ran.
    fn finish(&self, id: u64, work: Work, polled: std::thread::Result<Poll<()>>) -> Option<Work> {
        let mut state = self.state.borrow_mut();
        let process = std::mem::take(&mut state.process);
        if let Err(panic) = &polled {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            state.panics.push(Panic { process, text: text.unwrap_or_default() });
        }
        if matches!(polled, Ok(Poll::Pending)) {
            let Some(task) = state.tasks.get_mut(&id) else { return Some(work) };
            task.work = Some(work);
            return None;
        }
        state.tasks.remove(&id);
        Some(work)
    }
}

pub(crate) fn now() -> SimInstant {
    with(|state| state.now)
}

pub(crate) fn turns() -> u64 {
    with(|state| state.turns)
}

/// A number below `bound`, from the world's chance.
pub(crate) fn below(bound: u64) -> u64 {
    with(|state| state.chance.below(bound))
}

pub(super) fn entropy() -> u64 {
    with(|state| state.entropy.number())
}

/// A hash of every turn and every traced event.
pub(crate) fn digest() -> u64 {
    with(|state| state.hash.finish())
}

/// Adds an event to the hash, and to the lines if they are kept.
pub(crate) fn trace(event: impl FnOnce() -> String) {
    let event = event();
    with(|state| {
        state.hash.write(event.as_bytes());
        let ms = (state.now - SimInstant::START).as_secs_f64() * 1000.0;
        if let Some(lines) = &mut state.lines {
            lines.push(format!("{ms:10.3} {event}"));
        }
    });
}

pub(crate) fn lines() -> Vec<String> {
    with(|state| state.lines.clone().unwrap_or_default())
}

pub(crate) fn panics() -> Vec<Panic> {
    with(|state| state.panics.clone())
}

/// The process of the running task.
pub(crate) fn process() -> Process {
    with(|state| state.process)
}

/// Ends a process: drops its tasks at the point that they have reached. Returns how many there were.
pub(crate) fn kill(process: Process) -> usize {
    let tasks: Vec<Task> = with(|state| {
        let ids: Vec<u64> = state.tasks.iter().filter(|(_, task)| task.process == process).map(|(id, _)| *id).collect();
        ids.iter().filter_map(|id| state.tasks.remove(id)).collect()
    });
    tasks.len()
}

pub(crate) fn spawn_in<F>(process: Process, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let (outcome, handle) = Outcome::new();
    let work: Work = Box::pin(async move {
        let value = future.await;
        outcome.set(value);
    });
    let executor = current();
    let id = {
        let mut state = executor.state.borrow_mut();
        let id = state.next_task;
        state.next_task += 1;
        state.tasks.insert(id, Task { work: Some(work), process });
        id
    };
    lock(&executor.ready).push(id);
    handle
}

/// Sets or renews a timer. The waker that it replaces is returned, to be dropped outside.
pub(super) fn set_timer(key: Option<TimerKey>, at: SimInstant, waker: Waker) -> (TimerKey, Option<Waker>) {
    with(|state| {
        let key = key.unwrap_or_else(|| {
            state.next_timer += 1;
            (at, state.next_timer)
        });
        (key, state.timers.insert(key, waker))
    })
}

/// Removes a timer. A timer may outlive its world; then there is nothing to remove.
pub(super) fn remove_timer(key: TimerKey) {
    let Some(executor) = try_current() else { return };
    let waker = executor.state.borrow_mut().timers.remove(&key);
    drop(waker);
}
