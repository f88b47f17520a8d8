//! `swoosh policy explain`: why a signer may or may not propose a transition.

use std::collections::BTreeSet;
use std::process::ExitCode;

use serde_json::json;

use super::From;
use crate::cli::connect::exit;
use crate::cli::output::{Output, fields};
use crate::cli::source;
use crate::machine::chart;
use crate::machine::policy::{CompiledPolicies, Question, Ruling};
use crate::settings::Settings;
use crate::types::keys::{PublicKey, SecretKey};
use crate::types::names::{Role, Transition};
use crate::types::text::ProjectName;
use swoosh_terminal::failure::Usage;

/// Examples.
pub(super) const HELP: &str = "Examples:\n  swoosh policy explain --role worker --transition Execution_Approve\n  \
    swoosh policy explain --config swoosh.yaml --signer hmmm:pubkey:… --transition Control_Pause --project payments\n  \
    swoosh policy explain --role agent --transition Execution_Submit --inputs @inputs.json";

/// Arguments of `swoosh policy explain`.
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    from: From,
    /// The signer; left out, a key that no policy names
    #[arg(long, value_name = "KEY")]
    signer: Option<PublicKey>,
    /// A role of the signer, once for each; left out, the roles that the settings grant the signer
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<Role>,
    /// The proposed transition
    #[arg(long, value_name = "TRANSITION")]
    transition: Transition,
    /// To which project
    #[arg(long, value_name = "PROJECT", default_value = "default")]
    project: ProjectName,
    /// With which inputs: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON", default_value = "{}")]
    inputs: String,
}

impl ExplainArgs {
    fn roles(&self, settings: &Settings) -> anyhow::Result<BTreeSet<Role>> {
        if !self.roles.is_empty() {
            return Ok(self.roles.iter().copied().collect());
        }
        let signer =
            self.signer.ok_or_else(|| Usage("name a --signer of the settings, or at least one --role".to_owned()))?;
        let grant = settings.identities.get(&signer);
        let grant =
            grant.ok_or_else(|| Usage(format!("the settings grant {signer} no roles; name them with --role")))?;
        Ok(grant.roles.clone())
    }
}

/// Explains; exits with 1 when it is not allowed.
pub(super) fn explain(output: Output, args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let bundle = args.from.bundle()?;
    let roles = args.roles(&args.from.settings()?)?;
    let policies = CompiledPolicies::compile(bundle.policies)?;
    let (transition, spec) = (args.transition, chart::spec(args.transition));
    let inputs = source::json_of(&args.inputs, "inputs")?;
    let signer = args.signer.unwrap_or_else(|| SecretKey::from_bytes(&[0; 32]).public());
    let ruling = policies.ask(Question {
        signer: &signer,
        roles: &roles,
        transition,
        region: spec.region,
        project: &args.project,
        inputs: &inputs,
    });
    let by_chart: Vec<&str> =
        spec.signers.iter().filter(|role| roles.contains(role)).map(|role| role.as_str()).collect();
    let (word, reasons) = match &ruling {
        Ruling::Permit(names) => ("permit", names),
        Ruling::Deny(reasons) => ("deny", reasons),
        Ruling::Breach(reasons) => ("breach", reasons),
    };
    let allowed = word == "permit" && !by_chart.is_empty();
    let document = json!({
        "allowed": allowed, "transition": transition, "project": args.project, "roles": roles,
        "chart": {"signers": spec.signers, "of_the_signer": by_chart},
        "policies": {"ruling": word, "reasons": reasons, "serial": policies.serial(), "hash": policies.hash()},
    });
    let who = roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
    output.say(&document, || {
        let verdict = if allowed { "allowed" } else { "not allowed" };
        let signers = spec.signers.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
        let chart = match by_chart.as_slice() {
            [] => format!("no: {transition} is for {signers}"),
            by => format!("yes, as {}", by.join(", ")),
        };
        let about =
            fields(&[("statechart", chart), ("policies", describe(&ruling)), ("bundle", bundle_text(&policies))]);
        format!("{transition} by {who} to {}: {verdict}\n{about}", args.project)
    })?;
    Ok(exit(allowed))
}

fn bundle_text(policies: &CompiledPolicies) -> String {
    format!("serial {}, hash {}", policies.serial(), policies.hash())
}

fn describe(ruling: &Ruling) -> String {
    match ruling {
        Ruling::Permit(names) => format!("yes, by {}", names.join(", ")),
        Ruling::Deny(reasons) => format!("no: {}", reasons.join("; ")),
        Ruling::Breach(reasons) => format!("no, and the project is quarantined: {}", reasons.join("; ")),
    }
}
