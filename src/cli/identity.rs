//! `swoosh identity`: keys that may propose to a project, and their changes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::connect::{NodeArgs, ProjectArg, SignerArgs};
use super::output::{Output, Table};
use super::propose::{hint_cluster, propose_once};
use super::time::{Span, now};
use super::{keys, source};
use crate::client::Draft;
use crate::machine::state::{Boot, Identity};
use crate::types::council::{rotation_proof, verify_rotation};
use crate::types::inputs::{Delegation, IdentityGrant};
use crate::types::keys::{PublicKey, Signature};
use crate::types::names::{OpClass, Role, Transition};
use crate::types::text::{Name, ProjectName, Rationale};
use swoosh_terminal::failure::Usage;

/// Arguments of `swoosh identity`.
#[derive(Debug, clap::Args)]
#[command(
    about = "List, grant, revoke and rotate the identities of a project",
    long_about = "List, grant, revoke and rotate the identities of a project.\n\n\
        A project's identities stand in its boot section; an operator changes them. Beside them count the identities \
        of the node's settings, in every project. docs/identities.md has the whole story.",
    after_help = "A key is rotated without a gap:\n  \
        swoosh keygen --out new.key\n  \
        swoosh identity agree OLD --new-key new.key > agreement.json      # the holder of the new key\n  \
        swoosh identity rotate agreement.json --overlap 1h --key operator.key"
)]
pub struct IdentityCommand {
    #[command(subcommand)]
    action: IdentityAction,
}

#[derive(Debug, clap::Subcommand)]
enum IdentityAction {
    /// List who may propose to a project, and who no longer may
    #[command(after_help = "Example:\n  swoosh identity list --project alpha")]
    List {
        #[command(flatten)]
        project: ProjectArg,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Add an identity, or replace the roles of one; a key that was revoked or rotated stays so
    ///
    /// With --op-class it becomes a delegate: it acts for others, within those classes of transitions, and is never
    /// human, operator or voter.
    #[command(
        after_help = "Examples:\n  swoosh identity grant hmmm:pubkey:… --name ci --role worker --key operator.key\n  \
        swoosh identity grant hmmm:pubkey:… --name shim --role agent --op-class council --key operator.key"
    )]
    Grant(GrantArgs),
    /// Take an identity's right to propose
    #[command(
        after_help = "Example:\n  swoosh identity revoke hmmm:pubkey:… --rationale 'Left the team.' --key operator.key"
    )]
    Revoke {
        /// Public key
        #[arg(value_name = "KEY")]
        subject: PublicKey,
        /// Why
        #[arg(long, value_name = "TEXT")]
        rationale: Rationale,
        #[command(flatten)]
        project: ProjectArg,
        #[command(flatten)]
        signer: SignerArgs,
    },
    /// Print the new key's agreement to take over from an old one
    #[command(after_help = "Example:\n  swoosh identity agree hmmm:pubkey:… --new-key new.key > agreement.json")]
    Agree {
        /// Public key that is to be replaced
        #[arg(value_name = "OLD")]
        old: PublicKey,
        /// Secret key that takes over
        #[arg(long, value_name = "FILE")]
        new_key: PathBuf,
        #[command(flatten)]
        project: ProjectArg,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Pass an identity to a new key that agreed
    ///
    /// The new key counts from the very record that accepts it. With --overlap the old one counts beside it for that
    /// long, so that what it signed meanwhile is not lost. An elected member keeps its seat.
    #[command(after_help = "Example:\n  swoosh identity rotate agreement.json --overlap 1h --key operator.key")]
    Rotate {
        /// File with the agreement, or - for standard input
        #[arg(value_name = "FILE")]
        agreement: PathBuf,
        /// How long both keys count, at most 7d; left out, the old one ends at once
        #[arg(long, value_name = "SPAN")]
        overlap: Option<Span>,
        #[command(flatten)]
        signer: SignerArgs,
    },
}

/// Arguments of `swoosh identity grant`.
#[derive(Debug, clap::Args)]
struct GrantArgs {
    /// Public key
    #[arg(value_name = "KEY")]
    subject: PublicKey,
    /// Its name for people
    #[arg(long, value_name = "NAME")]
    name: Name,
    /// Its role: operator, agent, voter, worker, human or reader; may be given many times
    #[arg(long = "role", value_name = "ROLE", required = true)]
    roles: Vec<Role>,
    /// Class of transitions that it may propose as a delegate; may be given many times
    #[arg(long = "op-class", value_name = "CLASS")]
    op_classes: Vec<OpClass>,
    #[command(flatten)]
    project: ProjectArg,
    #[command(flatten)]
    signer: SignerArgs,
}

/// The new key's consent, as `agree` prints it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Agreement {
    project: ProjectName,
    old: PublicKey,
    new: PublicKey,
    proof: Signature,
}

impl IdentityCommand {
    /// Does what was asked.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        match self.action {
            IdentityAction::List { project, node } => list(output, &project.project, &node),
            IdentityAction::Grant(args) => {
                let inputs = json!({"key": args.subject, "identity": grant(&args)?});
                post(output, &args.signer, &args.project.project, Transition::BootIdentityGranted, &inputs)
            }
            IdentityAction::Revoke { subject, rationale, project, signer } => {
                let inputs = json!({"key": subject, "rationale": rationale});
                post(output, &signer, &project.project, Transition::BootIdentityRevoked, &inputs)
            }
            IdentityAction::Agree { old, new_key, project, node } => {
                let new = keys::load(&new_key)?;
                // With the cluster named, no node is needed.
                let cluster = node
                    .named_cluster()
                    .cloned()
                    .map_or_else(|| node.signs_for().map(|signs_for| signs_for.cluster), Ok)?;
                let proof = rotation_proof(&cluster, &project.project, &old, &new);
                output.document(&Agreement { project: project.project, old, new: new.public(), proof })?;
                hint_cluster(&cluster);
                Ok(ExitCode::SUCCESS)
            }
            IdentityAction::Rotate { agreement, overlap, signer } => rotate(output, &agreement, overlap, &signer),
        }
    }
}

fn post(
    output: Output,
    signer: &SignerArgs,
    project: &ProjectName,
    transition: Transition,
    inputs: &Value,
) -> anyhow::Result<ExitCode> {
    propose_once(output, &signer.signer()?, &Draft::new(transition, inputs)?.to(project.clone()))
}

fn grant(args: &GrantArgs) -> anyhow::Result<IdentityGrant> {
    let op_classes: BTreeSet<OpClass> = args.op_classes.iter().copied().collect();
    let delegate = (!op_classes.is_empty()).then(|| Delegation { op_classes, projects: BTreeSet::new() });
    let grant = IdentityGrant { name: args.name.clone(), roles: args.roles.iter().copied().collect(), delegate };
    let faults = grant.delegation_faults();
    if faults.is_empty() { Ok(grant) } else { Err(Usage(faults.join("; ")).into()) }
}

fn rotate(
    output: Output,
    file: &std::path::Path,
    overlap: Option<Span>,
    signer: &SignerArgs,
) -> anyhow::Result<ExitCode> {
    let mut agreements: Vec<Agreement> = source::documents(file, "agreement of `swoosh identity agree`")?;
    let agreement = agreements.pop().filter(|_| agreements.is_empty());
    let Agreement { project, old, new, proof } =
        agreement.ok_or_else(|| Usage("the file must hold exactly one agreement".to_owned()))?;
    let node = signer.signer()?;
    let cluster = node.client().cluster().context("the client has no cluster")?;
    anyhow::ensure!(
        verify_rotation(cluster, &project, &old, &new, &proof),
        "the agreement is not {new}'s for project {project} of cluster {cluster}; run `swoosh identity agree` again"
    );
    let mut inputs = json!({"old": old, "new": new, "proof": proof});
    if let Some(Span(overlap_ms)) = overlap {
        inputs["overlap_ms"] = json!(overlap_ms);
    }
    propose_once(output, &node, &Draft::new(Transition::BootIdentityRotated, &inputs)?.to(project))
}

fn list(output: Output, project: &ProjectName, node: &NodeArgs) -> anyhow::Result<ExitCode> {
    let node = node.reader()?;
    let view = node.ask(node.client().state(project, Some("Boot")))?;
    let section = view.section("boot").cloned().unwrap_or_default();
    let boot: Boot = serde_json::from_value(section)
        .context("the node's boot section is of another form; use the node's own version of this program")?;
    output.say(&json!({"project": project, "identities": boot.identities}), || {
        let mut table = Table::with(&["name", "roles", "counts", "limits", "key"]);
        let mut identities: Vec<_> = boot.identities.iter().collect();
        identities.sort_by(|a, b| a.1.name.cmp(&b.1.name));
        for (key, identity) in identities {
            let roles = identity.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" ");
            table.row([identity.name.to_string(), roles, standing(identity), limits(identity), key.to_string()]);
        }
        let note = "the identities of the node's settings count as well, in every project";
        if boot.identities.is_empty() { note.to_owned() } else { format!("{}\n({note})", table.text(0)) }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn standing(identity: &Identity) -> String {
    match identity.retires_at {
        _ if identity.revoked => "no: revoked".to_owned(),
        Some(end) if identity.counts(now()) => format!("until {end}: rotated"),
        Some(_) => "no: rotated".to_owned(),
        None => "yes".to_owned(),
    }
}

fn limits(identity: &Identity) -> String {
    let Some(delegation) = &identity.delegate else { return "-".to_owned() };
    let classes: Vec<&str> = delegation.op_classes.iter().map(|class| class.as_str()).collect();
    format!("delegate for {}", classes.join(" "))
}
