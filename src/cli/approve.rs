//! `swoosh approve`: approves the locked plan as members of the council.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::connect::{NodeArgs, ProjectArg};
use super::output::{self, Output};
use super::propose::fill;
use super::propose::patience::{self, Ended};
use super::time::Span;
use super::{source, state};
use crate::client::Draft;
use crate::machine::state::Execution;
use crate::types::hash::Hash;
use crate::types::json::Json;
use crate::types::keys::PublicKey;
use crate::types::names::Transition;
use crate::types::ucxl::EvidenceRef;

/// Arguments of `swoosh approve`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Approve the plan under review, as a member of the council",
    long_about = "Approve the plan under review, as a member of the council.\n\nProposes Execution_Approve. An approval is bound to \
        the plan, the beat, the round of rework and the council's epoch; all four are read from the project's state, which \
        is proven against its head. A member that approved already is skipped, so the command may be repeated.",
    after_help = "Examples:\n  \
        swoosh approve --key ada.key\n  \
        swoosh approve --key ada.key --key ben.key --plan plan.md --wait 5m\n  \
        SWOOSH_KEY=env:ADA_KEY swoosh approve --project alpha\n\n\
        Then: swoosh propose ApprovalsThreshold\n\n\
        Exit codes: 0 approved, 1 refused, 2 wrong usage, 3 --wait is over. With --json each approval prints its receipt."
)]
pub struct ApproveCommand {
    /// A member's secret key; may be given many times
    #[arg(long, value_name = "FILE|env:NAME|fd:N", env = "SWOOSH_KEY", required = true)]
    key: Vec<PathBuf>,
    /// Approve this plan and no other: its SHA-256 must be the one that was locked
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Wait this long for the reverb window
    #[arg(long, value_name = "SPAN")]
    wait: Option<Span>,
    /// Seat of the member that a grant names
    #[arg(long, value_name = "KEY")]
    seat: Option<PublicKey>,
    /// Address that backs the approval (ucxl://…); may be given up to 32 times
    #[arg(long, value_name = "ADDRESS")]
    evidence: Vec<EvidenceRef>,
    #[command(flatten)]
    project: ProjectArg,
    #[command(flatten)]
    node: NodeArgs,
}

impl ApproveCommand {
    /// Approves with each key.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let plan = self.plan.as_deref().map(source::read).transpose()?.map(|bytes| Hash::of(&bytes));
        for key in &self.key {
            if let Ended::Not(code) = self.approve(output, key, plan)? {
                return Ok(code);
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn approve(&self, output: Output, key: &std::path::Path, plan: Option<Hash>) -> anyhow::Result<Ended> {
        let node = self.node.signer(key)?;
        let project = &self.project.project;
        let (_, head) = state::proven(&node, project)?;
        let execution = &head.state().execution;
        let given = match &self.seat {
            Some(seat) => Json::parse(json!({"seat": seat}).to_string().as_bytes())?,
            None => Json::parse(b"{}")?,
        };
        let inputs = fill::filled(Transition::ExecutionApprove, &given, head.state())?;
        check_plan(execution, plan)?;
        let member = self.seat.or_else(|| node.client().identity().map(|identity| identity.public()));
        if let Some(member) = member.filter(|member| execution.approvals.contains_key(member)) {
            output::note(&json!({"approved_before": member}), || format!("{member} approved this plan already"));
            return Ok(Ended::Accepted);
        }
        let draft = Draft::new(Transition::ExecutionApprove, &inputs)?.to(project.clone());
        let draft = draft.with_evidence(self.evidence.clone())?;
        let ended = patience::propose(output, &node, &draft, self.wait)?;
        if matches!(ended, Ended::Accepted) {
            let (have, needed) = (execution.approvals.len() as u64 + 1, execution.approval_threshold);
            output::hint(&json!({"approvals": have, "threshold": needed}), || next_step(have, needed));
        }
        Ok(ended)
    }
}

fn check_plan(execution: &Execution, plan: Option<Hash>) -> anyhow::Result<()> {
    let Some((wanted, locked)) = plan.zip(execution.plan_hash) else { return Ok(()) };
    anyhow::ensure!(
        wanted == locked,
        "the plan under review is {locked}, and the file of --plan is {wanted}; nothing was signed"
    );
    Ok(())
}

fn next_step(have: u64, needed: u64) -> String {
    let so_far = format!("{have} of {needed} approvals");
    if have >= needed { format!("{so_far}; next: swoosh propose ApprovalsThreshold") } else { so_far }
}
