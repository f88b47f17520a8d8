//! `swoosh backup`: make, list, check and prune backups.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use crate::cli::connect::exit;
use crate::cli::data::DataArgs;
use crate::cli::known_nodes::KnownNodes;
use crate::cli::output::{Output, Table, count};
use crate::cli::time::{self, Span};
use crate::cli::{age_identities, data};
use crate::settings::{Overrides, Settings};
use crate::types::keys::PublicKey;
use swoosh_node::backup::checkpoint::{Staged, tidy};
use swoosh_node::backup::origin::{Origin, Wanted};
use swoosh_node::backup::prune::{Keep, prune};
use swoosh_node::backup::repository::readable;
use swoosh_node::backup::{Job, Repository, check, control, create, create::Made};
use swoosh_terminal::failure::Usage;

/// Arguments of `swoosh backup`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Make, list, check and prune backups of a data directory",
    long_about = "Make, list, check and prune backups of a data directory.\n\nA backup is consistent, taken while the node runs or \
        not, and holds the journal with its watermark, fetched and pushed facts, the reports of builds, and, where it \
        is encrypted, the node's key. It holds neither artifacts nor the workspaces' trees. Files that an earlier backup holds are not written again. A node makes \
        backups by itself with backup.directory set. `swoosh restore` puts one back; docs/backup.md tells the whole story."
)]
pub struct BackupCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a backup
    ///
    /// While a node runs on the data directory, it makes a checkpoint (asked over DATA/control.sock, which its own user
    /// alone can open) and goes on; this command copies, encrypts and checks it. Every file is read back, and the chain
    /// of the copy is followed from its first record to its last.
    #[command(
        after_help = "Examples:\n  swoosh backup create --data /var/lib/swoosh --to /backup/swoosh --recipient age1…\n  \
        swoosh backup create --config swoosh.yaml      # data, backup.directory and backup.recipients of the settings"
    )]
    Create(CreateArgs),
    /// List backups, the oldest first
    #[command(after_help = "Example:\n  swoosh backup list --from /backup/swoosh")]
    List {
        /// The directory of backups
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
    },
    /// Check every file of every backup, and the newest one's log record by record
    ///
    /// Exits with 1 when something is wrong, and names the backups and files. Of an encrypted backup the log is checked
    /// when --identity is given. Each manifest must be signed by the node whose backups they are.
    #[command(after_help = "Examples:\n  swoosh backup verify --from /backup/swoosh --identity key.txt\n  \
        swoosh backup verify --from /backup/swoosh --backup 20261121T102151.123Z-4711")]
    Verify {
        /// The directory of backups
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// This one alone
        #[arg(long, value_name = "ID")]
        backup: Option<String>,
        /// A file with age secret keys
        #[arg(long, value_name = "FILE")]
        identity: Option<PathBuf>,
        #[command(flatten)]
        owner: OwnerArgs,
    },
    /// Remove old backups, and the files that no other one needs
    ///
    /// A backup stays when it is one of the newest or young enough; the newest always stays.
    #[command(after_help = "Examples:\n  swoosh backup prune --from /backup/swoosh --keep 30\n  \
        swoosh backup prune --from /backup/swoosh --keep 7 --younger-than 30d")]
    Prune {
        /// The directory of backups
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// How many of the newest stay
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        keep: u64,
        /// Those that are younger stay as well, such as 30d
        #[arg(long, value_name = "TIME")]
        younger_than: Option<Span>,
    },
}

/// The node whose backups are wanted.
#[derive(Debug, clap::Args)]
pub(super) struct OwnerArgs {
    /// The node that must have made them; left out, the one whose backups were used from there before
    #[arg(long, value_name = "KEY")]
    from_node: Option<PublicKey>,
    /// Take also backups that no node signed: of older programs, or made without the node's key
    #[arg(long)]
    accept_unsigned: bool,
    /// File with the nodes that are known (see `swoosh nodes`); left out, the user's own
    #[arg(long, value_name = "FILE", env = "SWOOSH_KNOWN_NODES")]
    known_nodes: Option<PathBuf>,
}

impl OwnerArgs {
    /// The file of nodes that are known.
    pub fn known(&self) -> Option<KnownNodes> {
        KnownNodes::of_user(self.known_nodes.as_deref())
    }

    /// The node whose backups are wanted.
    pub fn wanted<'a>(&self, known: Option<&'a KnownNodes>) -> Wanted<'a> {
        Wanted { node: self.from_node, unsigned: self.accept_unsigned, known }
    }
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// Data directory of a node, running or not; in place of the settings' one, or ./data without settings
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The directory of backups, in place of the settings' one; it is made when it is missing
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    to: Option<PathBuf>,
    /// An age public key to encrypt for, in place of those of the settings; may be given several times
    #[arg(long = "recipient", value_name = "KEY")]
    recipients: Vec<String>,
    /// Settings file that names data directory, backup directory and recipients; the other options win
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl BackupCommand {
    /// Does what was asked.
    pub(in crate::cli) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::Create(args) => make(output, &args),
            Action::List { from } => list(output, &from),
            Action::Verify { from, backup, identity, owner } => {
                verify(output, &from, (backup.as_deref(), identity.as_deref()), &owner)
            }
            Action::Prune { from, keep, younger_than } => {
                let keep = Keep { newest: keep, younger_than_ms: younger_than.map_or(0, |span| span.0) };
                remove(output, &from, keep)
            }
        }
    }
}

struct Places {
    data: PathBuf,
    workspaces: PathBuf,
    node_key: PathBuf,
    to: PathBuf,
    recipients: Vec<String>,
}

impl CreateArgs {
    fn places(&self) -> anyhow::Result<Places> {
        let Some(config) = &self.config else {
            let data = self.data.clone().unwrap_or_else(|| PathBuf::from("./data"));
            let to = self.to.clone().ok_or_else(|| Usage("name the directory of backups with --to".to_owned()))?;
            let (workspaces, node_key) = (data.join("workspaces"), data.join("node.key"));
            return Ok(Places { workspaces, node_key, data, to, recipients: self.recipients.clone() });
        };
        let overrides = Overrides { data: self.data.clone(), listen: None };
        let settings = Settings::load(Some(config), overrides)?;
        let none = "the settings name no backup.directory; name one with --to";
        let to = self.to.clone().or(settings.backup.directory.clone()).ok_or_else(|| Usage(none.to_owned()))?;
        let named = if self.recipients.is_empty() { &settings.backup.recipients } else { &self.recipients };
        let (workspaces, node_key) = (settings.workspaces_path(), settings.node_key_path());
        Ok(Places { workspaces, node_key, recipients: named.clone(), data: settings.data, to })
    }
}

fn make(output: Output, args: &CreateArgs) -> anyhow::Result<ExitCode> {
    let places = args.places()?;
    let to = std::path::absolute(&places.to)?;
    let inside = "the directory of backups lies in the data directory; name one on another disk";
    if to.starts_with(std::path::absolute(&places.data)?) {
        return Err(Usage(inside.to_owned()).into());
    }
    let running = control::ask(&places.data)?;
    let made = match &running {
        Some(lent) => copy(&places, lent.path()),
        None => {
            let journal = DataArgs::at(&places.data).open_to_write()?;
            // This process owns the directory now, so no other process uses its content.
            tidy(&places.data)?;
            let staged = Staged::of(&journal, &places.data)?;
            drop(journal);
            copy(&places, staged.path())
        }
    }?;
    if running.is_none() {
        tidy(&places.data)?;
    }
    let document = json!({
        "backup": made.manifest, "written_files": made.written, "written_bytes": made.written_bytes,
        "mended": made.mended, "while_running": running.is_some(),
    });
    output.say(&document, || made_text(&made, &places.to))?;
    Ok(ExitCode::SUCCESS)
}

fn copy(places: &Places, checkpoint: &Path) -> anyhow::Result<Made> {
    create(&Job {
        checkpoint,
        data: &places.data,
        workspaces: &places.workspaces,
        node_key: &places.node_key,
        repository: &Repository::at(&places.to),
        recipients: &places.recipients,
        taken_at: time::now(),
        goes_on: &|| true,
    })
}

fn made_text(made: &Made, to: &Path) -> String {
    let manifest = &made.manifest;
    let mut lines = vec![format!(
        "backup {} in {}: records {} to {}, {} of {} written ({} bytes), all read back, the chain followed",
        manifest.id,
        to.display(),
        manifest.first_index,
        manifest.last_index,
        made.written,
        count(manifest.files.len() as u64, "file"),
        made.written_bytes
    )];
    if !manifest.has_node_key() {
        lines.push(
            "the node's key is not in it, because it is not encrypted (--recipient): keep node.key elsewhere, safely"
                .to_owned(),
        );
    }
    if manifest.origin() != Origin::Signed {
        lines.push(
            "it is not signed, because the node's key is not there: a restore takes it with --accept-unsigned alone"
                .to_owned(),
        );
    }
    lines.extend(made.mended.iter().map(|object| {
        format!("{object}, which earlier backups name, was damaged; `swoosh backup verify` tells which of them suffer")
    }));
    lines.join("\n")
}

fn list(output: Output, from: &Path) -> anyhow::Result<ExitCode> {
    let listed = Repository::at(from).list()?;
    anyhow::ensure!(from.is_dir(), "there is no directory {}; name one with backups", from.display());
    let good = listed.iter().all(|listed| listed.found.is_ok());
    let mut table =
        Table::with(&["backup", "records", "incarnation", "files", "bytes", "encrypted", "node key", "signed", "node"]);
    let mut documents = Vec::new();
    for listed in &listed {
        match &listed.found {
            Ok(manifest) => {
                let bytes: u64 = manifest.files.iter().map(|file| file.object_bytes).sum();
                table.row([
                    manifest.id.clone(),
                    format!("{}–{}", manifest.first_index, manifest.last_index),
                    manifest.incarnation.to_string(),
                    manifest.files.len().to_string(),
                    bytes.to_string(),
                    if manifest.recipients.is_empty() { "no" } else { "yes" }.to_owned(),
                    if manifest.has_node_key() { "yes" } else { "no" }.to_owned(),
                    manifest.origin().as_str().to_owned(),
                    manifest.node.to_string(),
                ]);
                documents.push(json!(manifest));
            }
            Err(error) => {
                let problem = format!("{error:#}");
                table.row([listed.id.clone(), problem]);
                documents.push(json!({"id": listed.id, "problem": format!("{error:#}")}));
            }
        }
    }
    output.say(&json!({"ok": good, "backups": documents}), || match listed.len() {
        0 => format!("there is no backup in {}", from.display()),
        _ => table.text(0),
    })?;
    Ok(exit(good))
}

fn verify(
    output: Output,
    from: &Path,
    (backup, identity): (Option<&str>, Option<&Path>),
    owner: &OwnerArgs,
) -> anyhow::Result<ExitCode> {
    let known = owner.known();
    let wanted = owner.wanted(known.as_ref());
    let checked = check::check(&Repository::at(from), backup, &age_identities(identity)?, &wanted)?;
    data::progress_done();
    let good = checked.problems.is_empty();
    output.say(&checked, || {
        let looked = match checked.opened {
            0 => "the log was not looked into".to_owned(),
            _ => format!("{} of the newest one checked", count(checked.records, "record")),
        };
        let said = format!("{} in {}, {looked}", count(checked.files, "file"), count(checked.backups, "backup"));
        let problems: Vec<String> = checked.problems.iter().map(|problem| format!("  {problem}")).collect();
        let whose = match (&checked.node, &checked.cluster) {
            (Some(node), Some(cluster)) => {
                format!("\n  of node {node} in cluster {cluster}; {} signed by it", count(checked.signed, "backup"))
            }
            _ => String::new(),
        };
        match good {
            true => format!("the backups are good: {said}{whose}"),
            false => format!("damaged: {said}\n{}", problems.join("\n")),
        }
    })?;
    Ok(exit(good))
}

fn remove(output: Output, from: &Path, keep: Keep) -> anyhow::Result<ExitCode> {
    readable(from)?;
    if !from.is_dir() {
        return Err(Usage(format!("there is no directory {}; name one with backups", from.display())).into());
    }
    let pruned = prune(&Repository::at(from), keep, time::now())?;
    output.say(&pruned, || {
        let gone = count(pruned.backups.len() as u64, "backup");
        format!("{gone} and {} removed, {} kept", count(pruned.files, "file"), count(pruned.kept, "backup"))
    })?;
    Ok(ExitCode::SUCCESS)
}
