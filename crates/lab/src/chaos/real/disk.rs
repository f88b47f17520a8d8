//! The disk of the data directory: a small tmpfs in a mount namespace of the run's own, where the machine allows one,
//! so that it can be filled and made read-only without harm to anybody else.
//!
//! The whole run moves into that namespace: the command starts itself again under `unshare`, as root of a user
//! namespace, with process ids of its own. When it ends, however it ends, every process and mount of it is gone.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context as _;

/// Says that the run is in its namespace already.
const INSIDE: &str = "SWOOSH_CHAOS_NAMESPACE";
/// How `unshare` makes one.
const NAMESPACE: [&str; 5] = ["-rm", "--pid", "--fork", "--mount-proc", "--kill-child"];
/// The disk's size, while it is not full. It takes memory only as it is written.
const SIZE: &str = "4g";
/// How often a new size is tried. The node writes at most some files between two tries.
const SHRINK_TRIES: u32 = 50;

/// Where the data directory is.
pub(super) struct Disk {
    root: PathBuf,
}

/// Whether this process is in a namespace of its own, or why there is none.
pub(super) fn namespace() -> Result<(), String> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    Err("this machine gives no mount namespace (`unshare -rm --pid --fork --mount-proc`)".to_owned())
}

/// Runs this command again in a namespace of its own; none where it is in one already or the machine gives none.
pub(super) fn moved() -> anyhow::Result<Option<ExitCode>> {
    if std::env::var_os(INSIDE).is_some() || !gives_namespaces() {
        return Ok(None);
    }
    let mut command = Command::new("unshare");
    command.args(NAMESPACE).arg("--").arg(std::env::current_exe()?).args(std::env::args_os().skip(1));
    let status = command.env(INSIDE, "1").status().context("cannot run unshare")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(Some(ExitCode::from(code)))
}

fn gives_namespaces() -> bool {
    let mut command = Command::new("unshare");
    command.args(NAMESPACE).args(["--", "mount", "-t", "tmpfs", "-o", "size=1m", "swoosh", "/mnt"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Disk {
    /// Makes the disk's directory, and mounts a disk of its own there where that is possible.
    pub fn open(folder: &Path) -> anyhow::Result<Disk> {
        let root = folder.join("disk");
        std::fs::create_dir_all(&root)?;
        let disk = Disk { root };
        if namespace().is_ok() {
            disk.mount(&["-t", "tmpfs", "-o", &format!("size={SIZE}"), "swoosh-chaos"])?;
        }
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Takes all room away but for so many bytes.
    ///
    /// The kernel refuses a size below the bytes in use, and the node writes between the measurement and the remount:
    /// a refused size is measured again.
    pub fn shrink(&self, left_bytes: u64) -> anyhow::Result<()> {
        let shrunk = || self.remount(&format!("size={}", self.used_bytes()? + left_bytes));
        for _ in 1..SHRINK_TRIES {
            if shrunk().is_ok() {
                return Ok(());
            }
        }
        shrunk()
    }

    fn used_bytes(&self) -> anyhow::Result<u64> {
        let found = rustix::fs::statvfs(&self.root)?;
        Ok(found.f_blocks.saturating_sub(found.f_bfree).saturating_mul(found.f_frsize))
    }

    /// Gives all room back.
    pub fn grow(&self) -> anyhow::Result<()> {
        self.remount(&format!("size={SIZE}"))
    }

    /// Takes writes, or none.
    pub fn remount(&self, option: &str) -> anyhow::Result<()> {
        self.mount(&["-o", &format!("remount,{option}")])
    }

    fn mount(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let output = Command::new("mount").args(arguments).arg(&self.root).output().context("cannot run mount")?;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "mount {} failed: {}", arguments.join(" "), said.trim());
        Ok(())
    }
}
