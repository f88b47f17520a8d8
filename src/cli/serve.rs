//! `swoosh serve`: runs a node until it is stopped.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use swoosh_node::{logging, run};

use crate::platform::descriptors;
use crate::settings::{Overrides, Settings, SettingsError};

/// Arguments of `swoosh serve`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Run the daemon",
    long_about = "Run the daemon.\n\nWithout any flag it uses the embedded default settings: it listens on \
        127.0.0.1:7400, keeps everything in ./data, and makes a node key there at the first start. SIGTERM and \
        SIGINT drain: accepted requests are answered, then the process ends; a second one does not wait for \
        callers. SIGHUP reads the fact file, the policies and their bundle, the identities, the readers, the TLS files and log.level again, and asks \
        for the license. Under systemd (NOTIFY_SOCKET) it says when it is ready, reloads and stops, how it is, and \
        answers the watchdog.\n\n\
        Log lines go to standard output: text on a terminal, JSON elsewhere (log.format). Messages for people go to standard \
        error. The first line on standard error that begins with `listening on` names the address.",
    after_help = "Examples:\n  swoosh serve\n  swoosh serve --config swoosh.yaml\n  \
        swoosh serve --data /var/lib/swoosh --listen 127.0.0.1:0"
)]
pub struct ServeCommand {
    /// Settings file (see `swoosh settings check`)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory, in place of the settings' one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address to listen on, in place of the settings' one; port 0 takes a free one
    #[arg(long, value_name = "ADDR", value_parser = super::listen::address)]
    listen: Option<SocketAddr>,
    /// For tests: die where SWOOSH_CRASH_AT says
    #[cfg(feature = "crash-points")]
    #[arg(long, hide = true)]
    allow_crash_points: bool,
}

impl ServeCommand {
    /// Runs the daemon. Every error of a start names a runbook.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        self.start().map_err(|error| {
            if let Some(wrong) = error.chain().find_map(|cause| cause.downcast_ref::<SettingsError>()) {
                return anyhow::anyhow!("{wrong}; {}", page(&wrong.to_string()));
            }
            let names_runbook = error.chain().any(|cause| cause.to_string().contains("runbooks/"));
            if names_runbook {
                error
            } else {
                error.context("the node does not run; runbooks/recovery.md says where to look")
            }
        })
    }

    fn start(self) -> anyhow::Result<ExitCode> {
        let overrides = Overrides { data: self.data, listen: self.listen };
        let settings = Settings::load(self.config.as_deref(), overrides.clone())?;
        let _guard = logging::open(&settings)?;
        #[cfg(feature = "crash-points")]
        if self.allow_crash_points {
            swoosh_node::allow_crash_points();
        }
        descriptors::raise();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(run(&settings, self.config, overrides))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The pages on a setting that is wrong.
fn page(wrong: &str) -> &'static str {
    if wrong.contains("tls.") {
        "docs/settings.md explains every key, runbooks/certificate.md certificates"
    } else if wrong.contains("identities") {
        "docs/settings.md explains every key, runbooks/settings-identities.md identities"
    } else {
        "docs/settings.md explains every key, runbooks/recovery.md a node that does not start"
    }
}
