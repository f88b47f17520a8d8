//! Which faults this machine allows.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::disk;
use super::faults::Fault;
use super::tracer;

/// Where distributions put libfaketime.
const FAKETIME: [&str; 6] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
    "/opt/homebrew/lib/faketime/libfaketimeMT.so.1",
];

/// The library that shifts clocks.
pub(super) fn faketime() -> Option<PathBuf> {
    FAKETIME.iter().map(Path::new).find(|path| path.is_file()).map(Path::to_path_buf)
}

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
        Fault::ClockShift | Fault::ClockJump if faketime().is_none() => {
            Some("there is no libfaketime; Debian: apt-get install faketime".to_owned())
        }
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
