//! The program `swoosh`, which the lab starts as a node.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use swoosh_terminal::programs;

/// Names the program. `swoosh demo` sets it to its own file, so that the lab shows the program that the user ran.
const VARIABLE: &str = "SWOOSH";

/// The file that `SWOOSH` names, else `swoosh` beside this program, else the first one in `PATH`.
pub(crate) fn swoosh() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("the path of this program is unknown")?;
    let named = std::env::var_os(VARIABLE).filter(|name| !name.is_empty());
    find(named.as_deref(), &own, std::env::var_os("PATH").as_deref())
}

fn find(named: Option<&OsStr>, own: &Path, path: Option<&OsStr>) -> anyhow::Result<PathBuf> {
    if let Some(named) = named {
        let file = std::path::absolute(named).with_context(|| format!("{VARIABLE} names no file: {named:?}"))?;
        anyhow::ensure!(programs::is_program(&file), "{VARIABLE} names {}, which is no program", file.display());
        return Ok(file);
    }
    programs::find("swoosh", own, path).with_context(|| {
        format!(
            "there is no program `swoosh` beside {} and none in PATH, and the lab runs it as the node. Build it with `cargo build \
             --locked --package swoosh --package swoosh-lab`, or name it with {VARIABLE}=FILE",
            own.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_program_counts_before_the_one_beside_the_lab() {
        let own = std::env::current_exe().unwrap();
        assert_eq!(find(Some(own.as_os_str()), Path::new("/nowhere/swoosh-lab"), None).unwrap(), own);
    }

    /// A typing error must not run another program than the one that was meant.
    #[test]
    fn a_named_file_that_is_no_program_is_refused_and_no_other_one_is_searched() {
        let folder = tempfile::tempdir().unwrap();
        let refused = find(Some(folder.path().as_os_str()), &std::env::current_exe().unwrap(), None).unwrap_err();
        assert!(refused.to_string().contains("which is no program"), "{refused}");
    }

    #[test]
    fn a_missing_program_is_named_with_the_command_that_builds_it() {
        let refused = find(None, Path::new("/nowhere/swoosh-lab"), None).unwrap_err().to_string();
        assert!(refused.contains("beside /nowhere/swoosh-lab") && refused.contains("cargo build"), "{refused}");
    }
}
