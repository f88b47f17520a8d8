//! `swoosh promote`: a follower's data directory becomes a node's.

use std::process::ExitCode;

use serde_json::json;

use super::backup::said;
use super::data::DataArgs;
use super::output::Output;
use super::time;
use crate::journal::Journal;

/// Arguments of `swoosh promote`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Take a follower's data directory over for a node that writes",
    long_about = "Take a follower's data directory over for a node that writes.\n\nWithout --yes it shows its steps and \
        changes nothing. With --yes the next incarnation begins after the last record that was followed, as a link of the chain, \
        and the directory follows no node any more. Whatever the old node accepted after that record is not in it, so the \
        old node must never run again: see runbooks/promote-follower.md. Refused while a process runs on the directory, and \
        where a node would not start: a directory that lost acknowledged records is not promoted (runbooks/recovery.md).",
    after_help = "Examples:\n  swoosh promote --data /var/lib/swoosh-follower\n  \
        swoosh promote --data /var/lib/swoosh-follower --yes --reason \"ops: node-1 is gone for good\""
)]
pub struct PromoteCommand {
    #[command(flatten)]
    data: DataArgs,
    /// Do it
    #[arg(long, requires = "reason")]
    yes: bool,
    /// Your name, and the reason; kept in the chain
    #[arg(long, value_name = "TEXT", value_parser = said)]
    reason: Option<String>,
}

impl PromoteCommand {
    /// Does what was asked.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let path = self.data.journal();
        let (last, node, primary) = {
            let journal = self.data.open()?;
            (journal.last().0, journal.identity().node, journal.follows().map(str::to_owned))
        };
        let data = self.data.path().display();
        let Some(reason) = self.reason.as_deref().filter(|_| self.yes) else {
            let Some(primary) = primary else {
                anyhow::bail!(
                    "{data} follows no other node, so there is nothing to promote; start it with `swoosh serve`. A promotion that \
                     was interrupted goes on with --yes and --reason"
                )
            };
            Journal::check_start(path.as_path())?;
            output.say(&json!({"promoted": false, "last_index": last, "follows": primary, "node": node}), || {
                format!(
                    "{data} follows {primary}, and holds its log up to record {last}\nwhat that node accepted after it would be \
                     lost, and it must never run again\nnothing was changed; runbooks/promote-follower.md leads through it:\n  \
                     swoosh promote --data {data} --yes --reason \"WHO: WHY\""
                )
            })?;
            return Ok(ExitCode::FAILURE);
        };
        let begun = Journal::promote(path.as_path(), time::now(), reason)?;
        output.say(&json!({"promoted": true, "incarnation": begun, "node": node}), || {
            format!(
                "incarnation {} began after record {}\nnext: put the key of node {node} into {data}/node.key (mode 0600), then\n  \
                 swoosh serve --data {data}",
                begun.number, begun.after
            )
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
