//! `swoosh serve`: assembles a node and runs it until it is told to stop.

mod growth;
pub(super) mod node;
mod ports;
mod upkeep;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::ingress;
use crate::platform::shutdown::{StopSignal, StopSignals};
use crate::settings::{LogFormat, Overrides, Settings};
use crate::telemetry::log;
use node::Node;

/// What `swoosh serve` takes.
#[derive(Debug, clap::Args)]
#[command(
    about = "Run the daemon",
    long_about = "Run the daemon.\n\nWithout any flag it uses the embedded default settings: it listens on \
        127.0.0.1:7400, keeps everything in ./data, and makes a node key there at the first start. SIGTERM and \
        SIGINT drain: what was accepted is answered, then the process ends; a second one ends it at once. SIGHUP \
        reads the fact file again.\n\nLog lines (JSON) go to standard output, what people should see to standard \
        error. The first line on standard error that begins with `listening on` names the address.",
    after_help = "Examples:\n  swoosh serve\n  swoosh serve --config swoosh.yaml\n  \
        swoosh serve --data /var/lib/swoosh --listen 127.0.0.1:0"
)]
pub struct ServeCommand {
    /// Settings file (see `swoosh config check`)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory, in place of the settings' one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address to listen on, in place of the settings' one; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

impl ServeCommand {
    /// Runs the daemon.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let overrides = Overrides { data: self.data, listen: self.listen };
        let settings = Settings::load(self.config.as_deref(), overrides).context("the settings cannot be used")?;
        let format = match settings.log.format {
            LogFormat::Json => log::Format::Json,
            LogFormat::Text => log::Format::Text,
        };
        let _guard = log::open(&settings.log.level, format)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(run(&settings))?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn run(settings: &Settings) -> anyhow::Result<()> {
    let mut signals = StopSignals::listen().context("cannot listen for signals")?;
    let node = Node::start(settings)?;
    let listener = tokio::net::TcpListener::bind(settings.listen).await;
    let listener =
        listener.with_context(|| format!("cannot listen on {}; is another node running there?", settings.listen))?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    tracing::info!(address = %listener.local_addr()?, node = %node.key(), "serving");
    let upkeep = upkeep::spawn(&node, settings)?;
    let handle = node.handle().clone();
    let stop = async {
        loop {
            match signals.next().await {
                StopSignal::HangUp => upkeep.reload(),
                signal => {
                    tracing::info!(?signal, "draining");
                    return handle.drain();
                }
            }
        }
    };
    ingress::serve(listener, ingress::router(node.app_state(settings)), node::limits(settings), stop).await?;
    upkeep.stop();
    let handle = node.handle().clone();
    tokio::task::spawn_blocking(move || handle.stop()).await?;
    tracing::info!("stopped");
    Ok(())
}
