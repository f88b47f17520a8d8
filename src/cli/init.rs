//! `swoosh init`: a directory in which a node of one's own runs a project from its first record to REVERB.

mod files;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::output::{self, Output};
use crate::hybridcore::sources::made;
use crate::types::text::{ClusterId, ProjectName};

/// Arguments of `swoosh init`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Make a directory to try a node in: keys, settings, facts, a project",
    long_about = "Make a directory to try a node in.\n\nIt has all that a project needs from its first record to REVERB on this \
        machine alone:\n  \
        keys/            secret keys: operator, agent, and ada, ben and cleo, who are the council\n  \
        swoosh.yaml      settings: the node does the work of all effects itself\n  \
        backbeat.yaml    a schedule whose windows are always open, in cycles of five minutes\n  \
        facts.json       a trial license for 30 days, and capacity for a day\n  \
        project.json     the project document: one source, one role, packer's `file` build\n  \
        repositories/    the source, a git repository on this disk\n  \
        plan.md          a plan to lock\n  \
        .envrc           the variables that name all of it to commands\n\n\
        The variables are printed too, as shell exports. Nothing outside of the directory is written or asked. A \
        directory that has something in it is left as it is. Provisioning needs packer. The \
        settings are for a trial: any user of this machine may read the node.",
    after_help = "Example, with a second terminal for the node:\n  \
        swoosh init try && cd try && . ./.envrc\n  \
        cd try && swoosh serve --config swoosh.yaml           # in the second terminal\n  \
        swoosh propose ConfigOk --inputs @project.json\n  \
        swoosh propose Licensed --wait 'ingestion == READY and environment == READY'\n  \
        swoosh council elect --key keys/ada.key --key keys/ben.key --key keys/cleo.key\n  \
        swoosh propose AllReady\n  \
        swoosh propose PlanLocked --plan plan.md --wait 5m\n  \
        swoosh propose BeatReviewGate --wait 5m\n  \
        swoosh approve --key keys/ada.key --key keys/ben.key --finish\n\n\
        docs/quick-start.sh runs these commands. `swoosh state` shows where the project is after each of them, and\n\
        `swoosh transitions` what may follow."
)]
pub struct InitCommand {
    /// Directory to make; an empty one will do
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Cluster, which every signature names
    #[arg(long, value_name = "CLUSTER", default_value = "swoosh")]
    cluster: ClusterId,
    /// Project that the variables name
    #[arg(long, value_name = "PROJECT", default_value = "default")]
    project: ProjectName,
    /// Address of the node
    #[arg(long, value_name = "ADDR", value_parser = super::listen::fixed, default_value = "127.0.0.1:7400")]
    listen: SocketAddr,
}

impl InitCommand {
    /// Makes the directory.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let (root, is_new) = place(&self.directory)?;
        let trial = files::Trial { root: &root, cluster: &self.cluster, project: &self.project, listen: self.listen };
        let made = trial.write().inspect_err(|_| take_back(&root, is_new));
        let made = made.with_context(|| format!("{} was not made, and nothing is left of it", root.display()))?;
        if !packer_is_there() {
            output::note(&json!({"missing": "packer"}), || {
                "packer is not in PATH: install it, or the environment is never READY (`swoosh effects` will say so)"
                    .to_owned()
            });
        }
        let exports: serde_json::Map<_, _> =
            made.variables.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let document = json!({"directory": root, "variables": exports, "identities": made.identities});
        output.say(&document, || files::exports(&made.variables))?;
        output::note(&json!({"made": root}), || next_steps(&self.directory, &root));
        Ok(ExitCode::SUCCESS)
    }
}

fn next_steps(directory: &Path, root: &Path) -> String {
    let (directory, root) = (directory.display(), root.display());
    format!(
        "made {directory}. In another terminal:\n  cd {root} && swoosh serve --config swoosh.yaml\nHere:\n  \
         cd {directory} && . ./.envrc\n  swoosh propose ConfigOk --inputs @project.json\n`swoosh init --help` has the way from there to REVERB"
    )
}

/// The directory by its whole path, made if it is missing, and whether it was. Refused where there is something in it.
fn place(directory: &Path) -> anyhow::Result<(PathBuf, bool)> {
    let name = directory.display();
    // A link whose target is missing is no free name.
    if directory.is_symlink() && !directory.exists() {
        bail!(
            "{name} is a link to something that is missing; nothing was changed. Name a new directory, or remove the link"
        );
    }
    let is_new = match std::fs::read_dir(directory) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                bail!("{name} is not empty; nothing was changed. Name a new directory, or empty this one first");
            }
            false
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            std::fs::create_dir_all(directory).with_context(|| {
                format!("{name} cannot be made; nothing was changed. Name a directory whose parents are directories that you may write")
            })?;
            true
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            bail!("{name} is a file; nothing was changed. Name a new directory")
        }
        Err(error) => return Err(error).with_context(|| format!("{name} cannot be read; nothing was changed")),
    };
    let root = std::fs::canonicalize(directory).with_context(|| format!("the path of {name} cannot be found"))?;
    // Guards take no address of file:// with an escape, and shells would split such a path.
    if made::address(&root).contains('%') {
        take_back(&root, is_new);
        bail!(
            "{} has blanks, quotes or other characters that an address of file:// cannot have on a node; choose a place whose path has \
             letters, digits and . _ - ~ + alone. Nothing was changed",
            root.display()
        );
    }
    Ok((root, is_new))
}

/// Empties a directory that was new or empty before.
fn take_back(root: &Path, is_new: bool) {
    // The failure that led here is the one to report.
    if is_new {
        let _ = std::fs::remove_dir_all(root);
        return;
    }
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let path = entry.path();
        let _ = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
    }
}

fn packer_is_there() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| swoosh_terminal::programs::is_program(&folder.join("packer")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The serve command of the next steps failed in a terminal that was not in the directory.
    #[test]
    fn the_next_steps_of_both_terminals_begin_in_the_directory() {
        let said = next_steps(Path::new("try"), Path::new("/home/me/try"));
        assert!(said.contains("cd /home/me/try && swoosh serve --config swoosh.yaml"), "{said}");
        assert!(said.contains("cd try && . ./.envrc"), "{said}");
    }

    /// "cannot be made: File exists (os error 17)" named no next step.
    #[test]
    fn a_link_to_nothing_is_refused_with_the_next_step_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("dangling");
        std::os::unix::fs::symlink(directory.path().join("missing"), &link).unwrap();
        let said = place(&link).unwrap_err().to_string();
        assert!(said.contains("is a link to something that is missing") && said.contains("remove the link"), "{said}");
        let below = format!("{:#}", place(&link.join("try")).unwrap_err());
        assert!(below.contains("nothing was changed"), "{below}");
        assert!(link.is_symlink() && !directory.path().join("missing").exists());
    }
}
