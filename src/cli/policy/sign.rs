//! `swoosh policy sign`: a signed bundle.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::check::findings;
use crate::cli::keys;
use crate::cli::output::{self, Output};
use crate::cli::time::{Span, after, now};
use crate::files;
use crate::machine::facts::KnownFact;
use crate::machine::policy::CompiledPolicies;
use crate::settings::{Overrides, Settings};
use crate::types::canonical::to_json;
use crate::types::fact::{FactClaim, FactKind};
use crate::types::hash::Hash;
use crate::types::text::{ClusterId, ProjectName};

/// Arguments of `swoosh policy sign`.
#[derive(Debug, clap::Args)]
pub(super) struct SignArgs {
    /// A .cedar file or a directory of them
    #[arg(value_name = "POLICIES")]
    policies: PathBuf,
    /// Number of the bundle: higher than that of any before
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=9_007_199_254_740_991))]
    serial: u64,
    /// Secret key; its public half is listed under facts.sources.policy
    #[arg(long, value_name = "FILE|env:NAME|fd:N", env = "SWOOSH_KEY")]
    key: PathBuf,
    /// Cluster to sign for, as `swoosh health` tells it
    #[arg(long, value_name = "CLUSTER", env = "SWOOSH_CLUSTER")]
    cluster: ClusterId,
    /// Project it is for; left out, all projects of the cluster
    #[arg(long, value_name = "PROJECT")]
    project: Option<ProjectName>,
    /// How long it holds, such as 90d; left out, ten years. A node without a valid bundle accepts nothing but pauses, quarantines, ends and revocations
    #[arg(long, value_name = "SPAN")]
    valid_for: Option<Span>,
    /// File to write, exchanged whole; left out, standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Signs.
pub(super) fn sign(output: Output, args: &SignArgs) -> anyhow::Result<ExitCode> {
    let mut settings = Settings::load(None, Overrides::default())?;
    (settings.policies.path, settings.policies.serial) = (Some(args.policies.clone()), args.serial);
    let bundle = settings.policy_bundle()?;
    CompiledPolicies::compile(bundle.clone())?;
    let found = findings(&bundle.policies)?;
    anyhow::ensure!(found.errors.is_empty(), "the policies are not signed:\n  {}", found.errors.join("\n  "));
    for warning in &found.warnings {
        output::note(&json!({"warning": warning}), || format!("warning: {warning}"));
    }
    let hash = Hash::of(bundle.policies.as_bytes());
    let key = keys::load(&args.key)?;
    let observed_at = now();
    let lifetime_ms = args.valid_for.map_or(FactKind::Policy.max_lifetime_ms(), |span| span.0);
    let claim = FactClaim {
        kind: FactKind::Policy,
        project: args.project.clone(),
        source: key.public(),
        observed_at,
        valid_until: after(observed_at, lifetime_ms),
        body: to_json(&bundle)?,
    };
    let fact = claim.sign(&args.cluster, &key);
    KnownFact::admit(fact.clone())?;
    let Some(path) = &args.out else {
        output.document(&[&fact])?;
        return Ok(ExitCode::SUCCESS);
    };
    // A node reads the old file or the new one.
    let content = serde_json::to_string_pretty(&[&fact])? + "\n";
    let written = files::replace(path, content.as_bytes(), files::PRIVATE);
    written.with_context(|| format!("{} cannot be written", path.display()))?;
    let document = json!({"file": path, "serial": args.serial, "hash": hash, "signer": key.public()});
    output.say(&document, || {
        format!("{}: bundle {} with {hash}, signed by {}", path.display(), args.serial, key.public())
    })?;
    Ok(ExitCode::SUCCESS)
}
