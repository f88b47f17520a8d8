//! `swoosh policy`: check, explain and sign Cedar policies (SHHH).

mod check;
mod explain;
mod members;
mod schema;
mod sign;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use super::output::Output;
use super::source;
use crate::settings::{Overrides, Settings};
use crate::types::canonical::from_json;
use crate::types::fact::{Fact, FactKind, PolicyBundle};
use crate::types::keys::PublicKey;
use crate::types::text::ProjectName;

/// Arguments of `swoosh policy`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Check, explain and sign policies",
    long_about = "Check, explain and sign policies.\n\nEvery proposal must pass the Cedar policies of the node (docs/policies.md). The \
        statechart says first which roles may sign a transition at all; policies take away from that, and never add."
)]
pub struct PolicyCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Validate policies, and list who may do what under them
    ///
    /// Finds misspelt roles, transitions and members, and conditions that never hold. Exits with 1 when there is an
    /// error.
    #[command(after_help = "Examples:\n  swoosh policy check                          # the built-in policies\n  \
        swoosh policy check policies/\n  swoosh policy check bundle.json --project payments")]
    Check {
        #[command(flatten)]
        from: From,
        /// Project that is asked about
        #[arg(long, value_name = "PROJECT", default_value = "default")]
        project: ProjectName,
    },
    /// Show whether a signer may propose a transition, and by which policies
    ///
    /// Exits with 0 when it is allowed and with 1 when it is not. Whether the project's state lets it pass,
    /// `swoosh transitions` tells.
    #[command(after_help = explain::HELP)]
    Explain(explain::ExplainArgs),
    /// Sign a bundle, for policies.bundle, a fact file or POST /facts
    ///
    /// Validates first. A node takes a bundle whose serial is higher than that of the one in force, signed by a key
    /// under facts.sources.policy of its settings.
    #[command(
        after_help = "Example:\n  swoosh policy sign policies/ --serial 8 --key shhh.key --cluster swoosh --out bundle.json"
    )]
    Sign(sign::SignArgs),
}

/// Where policies come from.
#[derive(Debug, clap::Args)]
struct From {
    /// A .cedar file, a directory of them, or a signed bundle (.json); left out, those of the settings
    #[arg(value_name = "POLICIES")]
    policies: Option<PathBuf>,
    /// Settings file; left out, the built-in settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// A bundle, and where it is from.
struct Bundle {
    policies: PolicyBundle,
    origin: String,
    signer: Option<PublicKey>,
}

impl From {
    fn settings(&self) -> anyhow::Result<Settings> {
        Ok(Settings::load(self.config.as_deref(), Overrides::default())?)
    }

    fn bundle(&self) -> anyhow::Result<Bundle> {
        let mut settings = self.settings()?;
        let signed = |path: &Path| path.extension().is_some_and(|extension| extension == "json");
        if let Some(path) = self.policies.as_deref().filter(|path| signed(path)) {
            return signed_bundle(path, &settings);
        }
        if self.policies.is_some() {
            settings.policies.path = self.policies.clone();
        }
        let origin = settings
            .policies
            .path
            .as_ref()
            .map_or_else(|| "the built-in policies".to_owned(), |path| path.display().to_string());
        Ok(Bundle { policies: settings.policy_bundle()?, origin, signer: None })
    }
}

fn signed_bundle(path: &Path, settings: &Settings) -> anyhow::Result<Bundle> {
    let facts: Vec<Fact> = source::documents(path, "signed fact")?;
    let fact = facts.iter().find(|fact| fact.claim.kind == FactKind::Policy);
    let fact = fact.with_context(|| format!("{} holds no policy fact", path.display()))?;
    let cluster = &settings.cluster;
    anyhow::ensure!(
        fact.verify(cluster),
        "{} is not signed for cluster {cluster}; name the settings with --config",
        path.display()
    );
    let policies = from_json(&fact.claim.body).with_context(|| format!("{} holds no bundle", path.display()))?;
    Ok(Bundle { policies, origin: path.display().to_string(), signer: Some(fact.claim.source) })
}

impl PolicyCommand {
    /// Does what was asked.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::Check { from, project } => check::check(output, &from.bundle()?, &project),
            Action::Explain(args) => explain::explain(output, &args),
            Action::Sign(args) => sign::sign(output, &args),
        }
    }
}
