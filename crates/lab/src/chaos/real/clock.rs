//! A wall clock that can be shifted under a running node: a library of a page of C, made by the machine's compiler.
//!
//! libfaketime would do the same, but ends this program before its first line: it asks the loader for symbols that are
//! not there while it is loaded, the loader frees what it said about that, and the allocator that is built into the
//! program knows nothing of that memory.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

const SOURCE: &str = include_str!("clock.c");

/// A clock for one node.
pub(super) struct Clock {
    library: PathBuf,
    shift: PathBuf,
}

impl Clock {
    /// Makes the library in a folder; the clock is right.
    pub fn make(folder: &Path) -> anyhow::Result<Clock> {
        let clock = Clock { library: folder.join("clock.so"), shift: folder.join("clock.shift") };
        clock.set(0)?;
        if !clock.library.exists() {
            let source = folder.join("clock.c");
            std::fs::write(&source, SOURCE)?;
            let mut command = Command::new("cc");
            command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&clock.library).arg(&source);
            let output = command.output().context("cannot run cc")?;
            anyhow::ensure!(output.status.success(), "cc failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(clock)
    }

    /// What a node is started with.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let path = |path: &Path| path.display().to_string();
        vec![("LD_PRELOAD", path(&self.library)), ("SWOOSH_CHAOS_CLOCK", path(&self.shift))]
    }

    /// The clock is so many seconds ahead from now on.
    pub fn set(&self, ahead_s: i64) -> anyhow::Result<()> {
        use std::os::unix::fs::FileExt as _;
        // Never shorter than it is mapped.
        let file = std::fs::File::options().create(true).truncate(false).write(true).open(&self.shift)?;
        Ok(file.write_all_at(&ahead_s.to_ne_bytes(), 0)?)
    }
}

/// Whether a clock can be made here, or why not.
pub(super) fn is_possible() -> Result<(), String> {
    if !cfg!(target_os = "linux") {
        return Err("clocks are shifted on Linux alone".to_owned());
    }
    let tried = Command::new("cc").arg("--version").stdin(Stdio::null()).output();
    match tried {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err("there is no C compiler (cc); Debian: apt-get install gcc libc6-dev".to_owned()),
    }
}
