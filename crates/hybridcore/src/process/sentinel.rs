//! A process that outlives ours for one purpose: to end the process group of a child when we die before it.
//!
//! We hold the other end of its input. A word on it says that all ended well; an end without it says that we
//! were killed, and then the group is asked to end, and killed after its grace.

use std::io::{self, Read as _, Write as _};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use super::Program;

/// The hidden command of our program that serves as one.
pub const COMMAND: &str = "__sentinel";
/// Says that the child ended before us.
const ALL_WELL: &[u8] = b"done";
/// Between two looks at a group that was asked to end.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Our end of a sentinel; dropped when the child has ended.
#[derive(Debug)]
pub(super) struct Sentinel(Child);

impl Sentinel {
    /// Starts a sentinel over the process group `group`.
    pub(super) fn start(program: &std::ffi::OsStr, group: u32, grace: Duration) -> io::Result<Sentinel> {
        let sentinel =
            Program::new(program).argument(COMMAND).argument(group.to_string()).argument(grace.as_millis().to_string());
        sentinel.spawn().map(Sentinel)
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        if let Some(mut input) = self.0.stdin.take() {
            // One that is gone already guards nothing any more.
            let _ = input.write_all(ALL_WELL);
        }
        let _ = self.0.wait();
    }
}

/// Serves as a sentinel until the other side says that all is well, or is gone.
pub fn serve(group: i32, grace: Duration) {
    let mut heard = Vec::new();
    let _ = io::stdin().lock().take(ALL_WELL.len() as u64).read_to_end(&mut heard);
    let Some(group) = Pid::from_raw(group).filter(|group| *group != Pid::INIT) else { return };
    if heard == ALL_WELL {
        return;
    }
    let asked = Instant::now();
    let _ = kill_process_group(group, Signal::INT);
    while asked.elapsed() < grace && test_kill_process_group(group).is_ok() {
        thread::sleep(LOOK_AGAIN);
    }
    let _ = kill_process_group(group, Signal::KILL);
}
