//! `swoosh follow`: holds the log of another node, checked record by record, and serves reads from it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use swoosh_node::follow::Source;
use swoosh_node::{follower, logging};

use super::connect::LinkArgs;
use crate::client::Client;
use crate::journal::{Durability, Journal, JournalOptions, Origin, StoreLimits};
use crate::platform::{descriptors, private};
use crate::settings::{Overrides, Settings};
use crate::types::feed::FeedPage;
use crate::types::incarnation;
use crate::types::keys::PublicKey;

/// Arguments of `swoosh follow`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Follow another node's log, check it, and serve reads from it",
    long_about = "Follow another node's log, check it, and serve reads from it.\n\nEvery record is checked before it is kept: its \
        link in the chain, its caller's signature, the node's seal, its inputs and facts, and the state that it leads to, which is \
        reduced again. Reads are served as by any node (GET /state, /wal, /health, /metrics); proposals are refused \
        with `follower`. It goes on where it was after a crash, and tries again for as long as the node does not answer. A \
        record that does not hold, another node, another incarnation of the log and two records at one place end it \
        with an error that names both.\n\nWhere the node's reads are closed, ask with a client certificate (--cert) or sign \
        (--read-as). docs/follower.md tells more; runbooks/promote-follower.md leads through taking over.",
    after_help = "Examples:\n  swoosh follow http://127.0.0.1:7400 --data ./follower --listen 127.0.0.1:7401\n  \
        swoosh follow https://node-1.example:7400 --ca ca.pem --read-as reader.id \\\n    \
        --node-key hmmm:pubkey:… --data /var/lib/swoosh-follower --config follower.yaml"
)]
pub struct FollowCommand {
    /// Address of the node to follow
    #[arg(value_name = "URL")]
    url: String,
    /// Data directory of the follower, a new one or one that has followed this node before
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Address to serve reads on; left out, that of the settings
    #[arg(long, value_name = "ADDR", value_parser = super::listen::address)]
    listen: Option<SocketAddr>,
    /// Settings file, for the server, the journal and who may read
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The node's key; left out, the key of the first answer is trusted, and no other afterwards
    #[arg(long, value_name = "KEY")]
    node_key: Option<PublicKey>,
    #[command(flatten)]
    link: LinkArgs,
}

impl FollowCommand {
    /// Follows until it is stopped or a received record fails verification.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let overrides = Overrides { data: Some(self.data.clone()), listen: self.listen };
        let mut settings = Settings::load(self.config.as_deref(), overrides)?;
        let _guard = logging::open(&settings)?;
        descriptors::raise();
        private::make_data_directory(&self.data).with_context(|| format!("cannot make {}", self.data.display()))?;
        let held = self.held()?;
        let client = self.link.to(&self.url).reads(held.as_ref().map(|source| source.cluster.clone()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let source = match held {
            Some(source) => source,
            None => runtime.block_on(first_contact(&client))?,
        };
        if let Some(expected) = self.node_key.filter(|expected| *expected != source.node) {
            anyhow::bail!(
                "the log is that of node {}, not of {expected}; check address, data directory and --node-key",
                source.node
            );
        }
        if let Some(expected) = self.link.cluster().filter(|expected| **expected != source.cluster) {
            anyhow::bail!(
                "the log is of cluster {}, not of {expected}; check the address and --cluster",
                source.cluster
            );
        }
        settings.cluster = source.cluster.clone();
        let journal = self.open(&settings, &source)?;
        let began = Instant::now();
        let recovered = journal.recover_tail()?;
        let took = began.elapsed();
        let primary = self.url.trim_end_matches('/').to_owned();
        runtime.block_on(follower::run((&settings, self.config), client, primary, (journal, recovered, took)))?;
        Ok(ExitCode::SUCCESS)
    }

    /// The node whose log the directory holds, if any.
    fn held(&self) -> anyhow::Result<Option<Source>> {
        let path = self.data.join("journal");
        if !path.join("CURRENT").is_file() {
            return Ok(None);
        }
        let journal = Journal::open_read_only(path)?;
        let identity = journal.identity().clone();
        let incarnations = journal.incarnations().to_vec();
        Ok(Some(Source { node: identity.node, cluster: identity.cluster, incarnations }))
    }

    fn open(&self, settings: &Settings, source: &Source) -> anyhow::Result<Journal> {
        let journal = &settings.journal;
        let wanted = JournalOptions {
            path: self.data.join("journal"),
            node: source.node,
            cluster: source.cluster.clone(),
            snapshot_every: journal.snapshot_every,
            durability: Durability::Sync,
            medium: None,
            store: StoreLimits {
                cache_bytes: usize::try_from(journal.cache_bytes)?,
                write_buffer_bytes: usize::try_from(journal.write_buffer_bytes)?,
                open_files: i32::try_from(journal.open_files)?,
                compacts: true,
            },
        };
        let origin = Origin { primary: self.url.clone(), incarnations: source.incarnations.clone() };
        Ok(Journal::open_following(wanted, &origin)?)
    }
}

/// Asks the node who it is. Nothing is kept of a node that cannot be reached at first.
async fn first_contact(client: &Client) -> anyhow::Result<Source> {
    let asked = tokio::time::timeout(Duration::from_secs(60), client.feed(1, 1, 0)).await;
    let page: FeedPage = match asked.context("the node does not answer")? {
        Ok(page) => page,
        Err(error) if error.problem().is_some_and(|problem| problem.code == crate::types::rejection::Code::Pruned) => {
            return Err(anyhow::Error::from(error).context(
                "the node's log is pruned, so that a follower cannot begin at record 1; begin with a backup of it: \
                 `swoosh restore --from BACKUPS --to DIR --follow URL` (docs/follower.md)",
            ));
        }
        Err(error) => return Err(error.into()),
    };
    let number = incarnation::number(&page.incarnations);
    let document = serde_json::json!({"following": page.node, "cluster": page.cluster, "incarnation": number});
    crate::cli::output::note(&document, || {
        format!("following node {} of cluster {}, incarnation {number}", page.node, page.cluster)
    });
    Ok(Source { node: page.node, cluster: page.cluster, incarnations: page.incarnations })
}
