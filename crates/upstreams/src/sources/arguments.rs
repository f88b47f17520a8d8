//! The actions of `swoosh sources` and what each takes.

use std::path::PathBuf;

use super::commit;
use swoosh_hybridcore::logs::now_ms;
use swoosh_terminal::time::{Span, parse_time};
use swoosh_types::civil::{parse_rfc3339, rfc3339};
use swoosh_types::text::{GitId, Name};

#[derive(Debug, clap::Subcommand)]
pub enum Action {
    /// Bring sources to their commits
    ///
    /// Clones what is missing and moves what is behind. The locked commit (state/sources.lock) is brought, or what the
    /// reference means when none is locked yet; branches move with --update only. A dirty or diverged working tree stops
    /// everything first; a source that fails later does not hold the others back, and `resume` goes on with it.
    #[command(
        after_help = "Examples:\n  swoosh sources sync\n  swoosh sources sync packer-plugin-azure\n  swoosh sources sync --update     \
        # branches move on\n  swoosh sources sync --locked     # only what is locked, as in CI"
    )]
    Sync {
        /// Only these; all when left out
        #[arg(value_name = "NAME")]
        names: Vec<Name>,
        /// Move branches on to where they are now, and lock that
        #[arg(long, conflicts_with = "locked")]
        update: bool,
        /// Refuse a source whose commit is not locked yet
        #[arg(long)]
        locked: bool,
    },
    /// Show how every source is: commit, condition, override, scan
    ///
    /// Reads only, also while another command is at work. Ends with 1 when anything is not as it should be.
    #[command(after_help = "Examples:\n  swoosh sources status\n  swoosh --json sources status")]
    Status,
    /// Finish what an interrupted sync left
    #[command(after_help = "Example:\n  swoosh sources resume")]
    Resume,
    /// Force a commit, for a time, with its approval; or take that back
    ///
    /// Goes against configuration and lock, so governance asks for the request, the approver, an expiry and a reason. They are
    /// recorded for good in state/sources-overrides.json before the working tree moves. After the expiry, or after --release,
    /// the next sync goes back to the locked commit.
    #[command(
        after_help = "Examples:\n  swoosh sources pin packer-plugin-azure 3f1c…(40 digits) --request-id GOV-118 --approver dana \\\n    \
        --expires 30d --reason 'hotfix for the token refresh' --incident INC-77\n  \
        swoosh sources pin packer-plugin-azure --release --reason 'fixed upstream in v2.2.1'"
    )]
    Pin {
        /// The source
        #[arg(value_name = "NAME")]
        name: Name,
        /// The commit: all of its 40 digits
        #[arg(value_name = "COMMIT", value_parser = commit, required_unless_present = "release", conflicts_with = "release")]
        commit: Option<GitId>,
        /// The governance request that asks for it
        #[arg(long, value_name = "ID", required_unless_present = "release", conflicts_with = "release")]
        request_id: Option<String>,
        /// The recorded approver
        #[arg(long, value_name = "NAME", required_unless_present = "release", conflicts_with = "release")]
        approver: Option<String>,
        /// Until when: a time (2030-01-31T00:00:00Z) or a length of time from now (30d)
        #[arg(long, value_name = "TIME", value_parser = expiry, required_unless_present = "release", conflicts_with = "release")]
        expires: Option<String>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// An incident that it has to do with, once for each
        #[arg(long = "incident", value_name = "ID", conflicts_with = "release")]
        incidents: Vec<String>,
        /// Take the override that is in force back
        #[arg(long)]
        release: bool,
    },
    /// List, record or remove mirrors, for places without a network
    ///
    /// A mirror replaces one address or all that begin with it. Where several match, a
    /// variable goes before the inventory (state/sources-mirrors.json), and a longer address before
    /// a shorter one. What a variable led to is recorded. Mirrors are https://, ssh://, file://, or
    /// http:// on a loopback address. The variables:
    ///
    ///   SWOOSH_SOURCES_MIRROR=file:///media   https://h/a/b.git is file:///media/h/a/b.git; what is
    ///                                         file:// itself stays where it is
    ///   SWOOSH_SOURCES_MIRROR_NAME=file:///x  for the source NAME: upper case, _ for . and -
    ///   SWOOSH_SOURCES_OFFLINE=1              nothing but mirrors and files is asked
    #[command(verbatim_doc_comment)]
    Mirrors {
        #[command(subcommand)]
        action: Option<MirrorAction>,
    },
    /// Export the overrides there ever were, with their approvals
    Audit {
        #[command(subcommand)]
        action: AuditAction,
    },
    /// Scan working trees, and record what was found
    ///
    /// Built-in: links that lead out of the tree, submodules, private keys. `scan.command` in the configuration adds a scanner
    /// of yours. Ends with 1 when anything was found.
    #[command(after_help = "Examples:\n  swoosh sources scan\n  swoosh sources scan packer-plugin-azure")]
    Scan {
        /// Only these; all that were synced when left out
        #[arg(value_name = "NAME")]
        names: Vec<Name>,
    },
    /// Find everything that is not as it should be, and say what to do
    ///
    /// Severities: critical (answer within 24 hours), high (three days), medium (a week). Ends with 1 when anything is
    /// critical or high.
    #[command(after_help = "Examples:\n  swoosh sources doctor\n  swoosh sources doctor --bundle diagnostics.json   \
        # all that is known, without secrets")]
    Doctor {
        /// File to write all that is known to, without secrets; an existing one is never overwritten
        #[arg(long, value_name = "FILE")]
        bundle: Option<PathBuf>,
    },
}

#[derive(Debug, clap::Subcommand)]
pub enum MirrorAction {
    /// List mirrors
    #[command(after_help = "Example:\n  swoosh sources mirrors list")]
    List,
    /// Record a mirror, or replace the one of the same address
    #[command(
        after_help = "Example:\n  swoosh sources mirrors add https://github.com/hashicorp file:///media/mirror/hashicorp \\\n    \
        --request-id GOV-12 --reason 'air-gapped site'"
    )]
    Add {
        /// The address to replace, or a prefix of addresses
        #[arg(value_name = "UPSTREAM")]
        upstream: String,
        /// Its address
        #[arg(value_name = "MIRROR")]
        mirror: String,
        /// The governance request that approved it
        #[arg(long, value_name = "ID")]
        request_id: Option<String>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Remove a mirror
    #[command(after_help = "Example:\n  swoosh sources mirrors remove https://github.com/hashicorp")]
    Remove {
        /// The replaced address or prefix
        #[arg(value_name = "UPSTREAM")]
        upstream: String,
    },
}

#[derive(Debug, clap::Subcommand)]
pub enum AuditAction {
    /// Write overrides with approvals, expiries and incidents as JSON
    #[command(
        after_help = "Examples:\n  swoosh sources audit export > overrides.json\n  swoosh sources audit export --source packer-plugin-azure --since 2026-01-01T00:00:00Z"
    )]
    Export {
        /// Of this source only
        #[arg(long, value_name = "NAME")]
        source: Option<Name>,
        /// Made at or after this time
        #[arg(long, value_name = "TIME", value_parser = since)]
        since: Option<u64>,
    },
}

impl Action {
    /// Whether it changes anything, so that it keeps a log.
    pub fn writes(&self) -> bool {
        let reads = matches!(
            self,
            Action::Status
                | Action::Doctor { .. }
                | Action::Audit { .. }
                | Action::Mirrors { action: None | Some(MirrorAction::List) }
        );
        !reads
    }
}

fn since(text: &str) -> Result<u64, String> {
    parse_time(text).map(|time| time.physical_ms())
}

/// A time, or a length of time from now.
fn expiry(text: &str) -> Result<String, String> {
    let at_ms = match text.parse::<Span>() {
        Ok(Span(span_ms)) => now_ms().saturating_add(span_ms),
        Err(_) => parse_rfc3339(text).ok_or_else(|| {
            format!("{text:?} is neither a time such as 2030-01-31T00:00:00Z nor a length such as 30d")
        })?,
    };
    Ok(rfc3339(at_ms))
}
