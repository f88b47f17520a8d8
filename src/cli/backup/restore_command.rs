//! `swoosh restore`: put a backup back.

use std::path::PathBuf;
use std::process::ExitCode;

use super::command::OwnerArgs;
use crate::cli::age_identities;
use crate::cli::output::{Output, count, fields};
use crate::cli::time;
use swoosh_node::backup::Repository;
use swoosh_node::backup::restore::{Order, Restored, restore};

/// Arguments of `swoosh restore`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Put a backup back into a new data directory",
    long_about = "Put a backup back into a new data directory.\n\nThe node must have signed the backup: name its key with \
        --from-node, or compare the key that is printed. Every file is checked against its hash, the log is checked as by `swoosh \
        wal verify`, and every record is reduced again, before the directory takes its name; existing files are never \
        overwritten. What a node answered for after the backup is not in it. So the log goes on as another \
        incarnation, which is a link of its chain: followers of the old one refuse it. With --index the records after \
        that one are left out as well.\n\nWith --follow nothing of the log changes: the copy is a follower's, to begin \
        where the log of a node is pruned. runbooks/restore-backup.md leads through it.",
    after_help = "Examples:\n  swoosh restore --from /backup/swoosh --to /var/lib/swoosh --identity key.txt --reason \"ops: the disk died\"\n  \
        swoosh restore --from /backup/swoosh --to ./then --index 4711 --reason \"ops: undo the import of Monday\"\n  \
        swoosh restore --from /backup/swoosh --to ./standby --follow https://node-1.example:7400"
)]
pub struct RestoreCommand {
    /// The directory of backups
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The data directory to make; it must be empty or not there
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Which backup; left out, the one with the latest records, or the latest one that holds the record of --index
    #[arg(long, value_name = "ID")]
    backup: Option<String>,
    /// The last record that is kept
    #[arg(long, value_name = "N", conflicts_with = "follow")]
    index: Option<u64>,
    /// Restore although the log is damaged, and list the damage
    #[arg(long)]
    with_damage: bool,
    /// A file with age secret keys, for an encrypted backup
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    #[command(flatten)]
    owner: OwnerArgs,
    /// Make a follower's directory, of the node at this address
    #[arg(long, value_name = "URL")]
    follow: Option<String>,
    /// Your name, and the reason; kept in the chain
    #[arg(long, value_name = "TEXT", value_parser = said, required_unless_present = "follow")]
    reason: Option<String>,
}

/// A reason, which must say something.
pub(in crate::cli) fn said(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("give your name, and the reason".to_owned()) } else { Ok(text.to_owned()) }
}

impl RestoreCommand {
    /// Does what was asked.
    pub(in crate::cli) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let repository = Repository::at(&self.from);
        let keys = age_identities(self.identity.as_deref())?;
        let known = self.owner.known();
        let restored = restore(&Order {
            repository: &repository,
            backup: self.backup.as_deref(),
            index: self.index,
            to: &self.to,
            keys: &keys,
            follow: self.follow.as_deref(),
            at: time::now(),
            reason: self.reason.as_deref().unwrap_or_default(),
            wanted: self.owner.wanted(known.as_ref()),
            with_damage: self.with_damage,
        })?;
        output.say(&restored, || self.text(&restored))?;
        Ok(ExitCode::SUCCESS)
    }

    fn text(&self, restored: &Restored) -> String {
        let to = self.to.display();
        let about = fields(&[
            ("backup", restored.backup.clone()),
            ("of node", restored.node.to_string()),
            ("cluster", restored.cluster.to_string()),
            (
                "signed",
                if restored.signed { "by the node" } else { "not signed: its origin was not proven" }.to_owned(),
            ),
            ("last record", format!("{}, chain {}", restored.last_index, restored.last_chain)),
            ("left out", count(restored.dropped, "record")),
            ("incarnation", restored.incarnation.to_string()),
            ("projects", format!("{}, each reduced again", restored.projects.len())),
        ]);
        let next = match (&self.follow, restored.has_node_key) {
            (Some(url), _) => format!("next: swoosh follow {url} --data {to}"),
            (None, true) => format!("next: swoosh serve --data {to}, with the settings of the node"),
            (None, false) => {
                format!(
                    "next: put the node's key back as {to}/node.key (mode 0600); it is not in the backup. Then start the node"
                )
            }
        };
        let warnings: String = warnings(restored).iter().map(|warning| format!("warning: {warning}\n")).collect();
        format!("restored to {to}\n{about}\n{warnings}{next}")
    }
}

/// Warnings about a restored directory.
fn warnings(restored: &Restored) -> Vec<String> {
    let mut warnings = Vec::new();
    if !restored.named_later.is_empty() {
        warnings.push(format!(
            "backups with later names hold older records, because a clock was ahead when they were made: {}",
            restored.named_later.join(", ")
        ));
    }
    warnings.extend(restored.damage.iter().map(|damage| format!("damage is left: {damage}")));
    warnings
}
