//! `swoosh documents`: the state documents of a workspace.

use std::path::PathBuf;
use std::process::ExitCode;

use super::connect::exit;
use super::interrupt;
use super::output::Output;
use crate::hybridcore::documents::{self, Repaired, Report};
use crate::hybridcore::state::check::{Condition, Finding};
use swoosh_terminal::failure::Usage;

/// The arguments of `swoosh documents`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Check and repair the state documents of a workspace",
    long_about = "Check and repair the state documents of a workspace.\n\nSources, builds and provisioners keep their state in \
        state/*.json of a workspace. The state of a project is another thing: see `swoosh state`."
)]
pub struct DocumentsCommand {
    #[command(subcommand)]
    action: DocumentsAction,
}

#[derive(Debug, clap::Subcommand)]
enum DocumentsAction {
    /// Check the state documents of a workspace (state/*.json), without a node
    ///
    /// Reads every document and reports unusable documents with the cause, files of killed writers, and files that no part of
    /// this program writes. With --repair, left-over files are removed, documents of older versions are rewritten (the old one is
    /// kept as NAME.vN), and damaged documents that commands can make again are moved away; others stay unchanged. A document of
    /// a newer release is never touched.
    #[command(
        after_help = "Examples:\n  swoosh documents check\n  swoosh documents check --root /srv/builds --repair\n\n\
            Exits with 1 if any document is unusable."
    )]
    Check {
        /// Folder that holds state/ and configs/
        #[arg(long, value_name = "FOLDER", default_value = ".")]
        root: PathBuf,
        /// Repair documents where possible, and say how
        #[arg(long)]
        repair: bool,
    },
}

impl DocumentsCommand {
    /// Runs the check.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let DocumentsAction::Check { root, repair } = self.action;
        check(root, repair, output)
    }
}

fn check(root: PathBuf, repair: bool, output: Output) -> anyhow::Result<ExitCode> {
    let root = std::path::absolute(root)?;
    if !root.is_dir() {
        return Err(Usage(format!("{} is no folder; name the workspace's with --root", root.display())).into());
    }
    let report = if repair { documents::repair(&root, &interrupt::leave())? } else { documents::check(&root)? };
    output.say(&report, || text(&report, repair))?;
    Ok(exit(report.is_good()))
}

fn text(report: &Report, repair: bool) -> String {
    let mut lines = Vec::new();
    for Finding { path, condition } in &report.documents {
        lines.extend(match condition {
            Condition::Absent => None,
            Condition::Good { version } => Some(format!("  ✓  {}: version {version}", path.display())),
            Condition::Older { version, current } => {
                Some(format!("  ✓  {}: version {version}; --repair rewrites it as version {current}", path.display()))
            }
            Condition::Bad { detail } => Some(format!("  ✗  {detail}")),
        });
    }
    let left = report.leftovers.iter();
    lines.extend(
        left.map(|path| format!("  ✗  {}: a writer was killed and left this; --repair removes it", path.display())),
    );
    let strangers = report.strangers.iter();
    lines.extend(strangers.map(|path| format!("  -  {}: no part of swoosh writes this", path.display())));
    for Repaired { path, how } in &report.repaired {
        lines.push(format!("  repaired  {}: {how}", path.display()));
    }
    lines.push(match (report.is_good(), repair) {
        (true, _) => "all state documents can be used".to_owned(),
        (false, true) => "some cannot be repaired by a program; see above".to_owned(),
        (false, false) => {
            "not all is well; `swoosh documents check --repair` repairs what a program can repair".to_owned()
        }
    });
    lines.join("\n")
}
