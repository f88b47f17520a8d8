//! `swoosh nodes`: the nodes that are known by their addresses.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::connect::exit;
use super::known_nodes::{KnownNodes, Pin, spelling};
use super::output::{Output, Table};
use crate::types::keys::PublicKey;
use crate::types::text::ClusterId;

/// Arguments of `swoosh nodes`.
#[derive(Debug, clap::Args)]
#[command(
    about = "List, keep and forget the nodes that you sign for",
    long_about = "List, keep and forget the nodes that you sign for.\n\nA command that signs keeps the cluster and the key of \
        the node when its address is first used, and refuses to sign when another node answers there. They are kept in \
        known_nodes, in swoosh/ of your configuration directory, or in the file that SWOOSH_KNOWN_NODES names.",
    after_help = "Examples:\n  swoosh nodes list\n  swoosh nodes forget https://node-1.example:7400\n  \
        swoosh nodes pin https://node-1.example:7400 --cluster swoosh --node-key hmmm:pubkey:…"
)]
pub struct NodesCommand {
    /// File with the nodes that are known, in place of the usual one
    #[arg(long, global = true, value_name = "FILE", env = "SWOOSH_KNOWN_NODES")]
    known_nodes: Option<PathBuf>,
    #[command(subcommand)]
    action: NodesAction,
}

#[derive(Debug, clap::Subcommand)]
enum NodesAction {
    /// List them
    #[command(after_help = "Example:\n  swoosh nodes list")]
    List,
    /// Keep a node before its address is first used, or in the place of the one that is known
    #[command(
        after_help = "Example:\n  swoosh nodes pin http://127.0.0.1:7400 --cluster swoosh --node-key hmmm:pubkey:…"
    )]
    Pin {
        /// Address of the node
        #[arg(value_name = "URL")]
        address: String,
        /// Its cluster
        #[arg(long, value_name = "CLUSTER", env = "SWOOSH_CLUSTER")]
        cluster: ClusterId,
        /// Its key
        #[arg(long, value_name = "KEY")]
        node_key: PublicKey,
    },
    /// Forget the node at an address; the next use keeps the one that answers then
    #[command(after_help = "Example:\n  swoosh nodes forget http://127.0.0.1:7400")]
    Forget {
        /// Address of the node
        #[arg(value_name = "URL")]
        address: String,
    },
}

impl NodesCommand {
    /// Does what was asked.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let known = KnownNodes::of_user(self.known_nodes.as_deref())
            .context("neither XDG_CONFIG_HOME nor HOME names a directory; name a file with --known-nodes")?;
        match self.action {
            NodesAction::List => list(output, &known)?,
            NodesAction::Pin { address, cluster, node_key } => {
                let pin = Pin { address: spelling(&address), cluster, node: node_key };
                known.pin(pin.clone())?;
                output.say(&pin, || format!("{} is node {} of cluster {}", pin.address, pin.node, pin.cluster))?;
            }
            NodesAction::Forget { address } => {
                let gone = known.forget(&address)?;
                output.say(&json!({"forgotten": gone}), || match &gone {
                    Some(pin) => format!("forgot node {} of cluster {} at {}", pin.node, pin.cluster, pin.address),
                    None => format!("no node is known at {}", spelling(&address)),
                })?;
                return Ok(exit(gone.is_some()));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn list(output: Output, known: &KnownNodes) -> anyhow::Result<()> {
    let pins = known.list()?;
    output.say(&json!({"file": known.path(), "nodes": pins}), || {
        let mut table = Table::with(&["address", "cluster", "node"]);
        pins.iter().for_each(|pin| table.row([pin.address.clone(), pin.cluster.to_string(), pin.node.to_string()]));
        if pins.is_empty() { format!("no node is known in {}", known.path().display()) } else { table.text(0) }
    })
}
