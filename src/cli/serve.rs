//! `swoosh serve`: assembles a node and runs it until it is told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// What `swoosh serve` takes.
#[derive(Debug, clap::Args)]
#[command(
    about = "Run the daemon",
    long_about = "Run the daemon.\n\nWithout any flag it uses the embedded default settings: it listens on 127.0.0.1:7400, keeps \
        everything in ./data, and makes a node key there at the first start. SIGTERM and SIGINT drain: what was \
        accepted is answered, then the process ends. SIGHUP reads the fact file again."
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
        anyhow::bail!("not assembled yet: {:?} {:?} {:?}", self.config, self.data, self.listen)
    }
}
