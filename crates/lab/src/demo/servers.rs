//! The servers outside that the node talks to: stand-ins for KACHING, BACKBEAT and BUBBLE, and two MCP servers.
//! They speak the real wire formats on sockets of their own, live in the demo's process and go with it.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::beats::Beats;
use super::ship;
use swoosh_client::Identity;
use swoosh_standins::bubble::{self, Bubble};
use swoosh_standins::kaching::{self, Kaching};
use swoosh_standins::mcp::McpStandIn;
use swoosh_types::text::ClusterId;

/// The version that both MCP servers are pinned at.
pub(super) const PINNED: &str = "1.2.0";
/// The version that the search server begins with.
pub(super) const OUTDATED: &str = "1.1.0";

/// All of them.
#[derive(Debug)]
pub(super) struct Servers {
    /// Grants licenses; denies at first.
    pub kaching: Kaching,
    /// Takes decision records.
    pub bubble: Bubble,
    /// Leads the window schedule.
    pub beats: Beats,
    /// An MCP server, at first of the wrong version.
    pub search: McpStandIn,
    /// An MCP server that goes away and comes back.
    pub archive: McpStandIn,
}

impl Servers {
    /// Starts them, each on a free port of this machine.
    pub async fn start(cluster: &ClusterId) -> anyhow::Result<Servers> {
        let context = "cannot start a server on a free port of this machine";
        let beats = Beats::start(cluster.clone(), &ship::schedule()?, Identity::generate()?).context(context)?;
        let denies = kaching::Mood::Status(403);
        Ok(Servers {
            kaching: Kaching::start(Identity::generate()?.key().clone(), denies).context(context)?,
            bubble: Bubble::start(bubble::Mood::Take, None).await.context(context)?,
            beats,
            search: McpStandIn::start("search", OUTDATED).context(context)?,
            archive: McpStandIn::start("archive", PINNED).context(context)?,
        })
    }

    /// What the project document pins.
    pub fn pins(&self) -> Value {
        let pin = |name: &str, server: &McpStandIn| json!({"url": server.url(), "server": name, "version": PINNED});
        json!({"search": pin("search", &self.search), "archive": pin("archive", &self.archive)})
    }
}
