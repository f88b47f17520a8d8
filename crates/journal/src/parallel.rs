//! One function over many items on all cores, in order.

use std::cell::Cell;
use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};

/// Fewer items than this are not worth a thread.
const WORTH_A_THREAD: usize = 32;

/// Applies `work` to every item; results are in the order of the items.
pub(super) fn map<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let cores = cores();
    if cores == 1 || items.len() < 2 * WORTH_A_THREAD {
        return items.into_iter().map(work).collect();
    }
    spread(items, cores, &work)
}

/// Applies `work` to each of a few large items, each on a thread of its own; results are in the order of the items.
pub(super) fn each<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let share = items.len().max(1);
    spread(items, share, &work)
}

thread_local! {
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// From here on the calling thread does all journal work itself, always in the same order: a simulated disk draws its
/// faults in the order of the requests.
pub fn stay_in_this_thread() {
    ALONE.set(true);
}

/// How many threads are worth starting.
pub(super) fn cores() -> usize {
    if ALONE.get() {
        return 1;
    }
    thread::available_parallelism().map_or(1, NonZero::get)
}

fn spread<T: Send, R: Send>(mut items: Vec<T>, cores: usize, work: &(impl Fn(T) -> R + Sync)) -> Vec<R> {
    let share = items.len().div_ceil(cores);
    thread::scope(|scope| {
        let mut workers = Vec::with_capacity(cores);
        while items.len() > share {
            let tail = items.split_off(items.len() - share);
            workers.push(scope.spawn(move || tail.into_iter().map(work).collect::<Vec<R>>()));
        }
        let mut done: Vec<R> = items.into_iter().map(work).collect();
        for worker in workers.into_iter().rev() {
            done.extend(joined(worker));
        }
        done
    })
}

/// Applies `work` to every item, in any order; for few items of very different sizes.
pub(super) fn map_uneven<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let cores = cores().min(items.len());
    if cores <= 1 {
        return items.into_iter().map(work).collect();
    }
    let queue = Mutex::new(items.into_iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let drain = || std::iter::from_fn(next).map(&work).collect::<Vec<R>>();
    thread::scope(|scope| {
        let workers: Vec<_> = (1..cores).map(|_| scope.spawn(drain)).collect();
        let mut done = drain();
        workers.into_iter().for_each(|worker| done.extend(joined(worker)));
        done
    })
}

fn joined<R>(worker: ScopedJoinHandle<'_, R>) -> R {
    worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_keep_the_order_of_their_items() {
        for size in [0, 1, 63, 64, 65, 1000] {
            let doubled: Vec<usize> = super::map((0..size).collect(), |n| n * 2);
            assert_eq!(doubled, (0..size).map(|n| n * 2).collect::<Vec<_>>());
            assert_eq!(super::each((0..size.min(9)).collect(), |n: usize| n * 2), doubled[..size.min(9)]);
            assert_eq!(super::spread((0..size).collect(), 7, &|n: usize| n * 2), doubled);
            let mut uneven = super::map_uneven((0..size).collect(), |n| n * 2);
            uneven.sort_unstable();
            assert_eq!(uneven, doubled);
        }
    }
}
