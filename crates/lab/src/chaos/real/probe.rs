//! Which faults this machine allows.

use std::process::{Command, Stdio};

use super::faults::Fault;
use super::{clock, disk, tracer};

/// Why a fault cannot be made here; none where it can.
pub(super) fn skipped(fault: Fault) -> Option<String> {
    match fault {
        Fault::Descriptors => answers("prlimit", "--version", "util-linux").err(),
        Fault::FullDisk => disk::namespace().err().map(|why| format!("{why}, so no disk can be filled")),
        Fault::SlowDisk | Fault::FailingDisk => tracer::is_possible().err(),
        Fault::ReadOnlyDisk => {
            let why = disk::namespace().and_then(|()| tracer::is_possible());
            why.err().map(|why| format!("{why}, so nothing can be made read-only"))
        }
        Fault::ClockShift | Fault::ClockJump => clock::is_possible().err(),
        _ => None,
    }
}

fn answers(program: &str, argument: &str, package: &str) -> Result<(), String> {
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!("there is no {program}; Debian: apt-get install {package}")),
    }
}
