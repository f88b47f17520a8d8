//! `swoosh approve`: approves the locked plan as members of the council, and hands it on once enough have.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::connect::{NodeArgs, ProjectArg};
use super::output::{self, Output};
use super::propose::fill;
use super::propose::patience::{self, Ended};
use super::time::Span;
use super::{health, keys, source, state};
use crate::client::Draft;
use crate::machine::head::Head;
use crate::machine::state::{Approval, Execution, State};
use crate::types::hash::Hash;
use crate::types::json::Json;
use crate::types::keys::{PublicKey, SecretKey};
use crate::types::names::{ExecutionState, Transition};
use crate::types::ucxl::EvidenceRef;

/// Arguments of `swoosh approve`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Approve the plan under review, as a member of the council",
    long_about = "Approve the plan under review, as a member of the council.\n\nProposes Execution_Approve. An approval is bound to \
        the plan, the beat, the round of rework and the council's epoch; all four are read from the project's state, which \
        is proven against its head. All keys are checked against that state before the first approval is posted. A member that approved \
        already is skipped, also if another run of the command was faster, so the command may be repeated.\n\n\
        --finish proposes Execution_ApprovalsThreshold as soon as enough members approved, signed with the last key: of members who \
        run it on machines of their own, the last one moves the project to REVERB.",
    after_help = "Examples:\n  \
        swoosh approve --key ada.key\n  \
        swoosh approve --key ada.key --key ben.key --plan plan.md --wait 5m\n  \
        SWOOSH_KEY=env:ADA_KEY swoosh approve --project alpha --finish\n\n\
        Without --finish, then: swoosh propose ApprovalsThreshold\n\n\
        Exit codes: 0 approved, 1 refused, 2 wrong usage, 3 --wait is over. With --json each accepted proposal prints its receipt."
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
    /// Once enough members approved, propose ApprovalsThreshold too
    #[arg(long)]
    finish: bool,
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
        let plan = self.plan.as_deref().map(source::plan).transpose()?.map(|bytes| Hash::of(&bytes));
        let keys = self.key.iter().map(|file| keys::load(file)).collect::<anyhow::Result<Vec<SecretKey>>>()?;
        health::refuse_follower(&self.node.reader()?)?;
        if self.is_finished(&keys, plan)? {
            return Ok(ExitCode::SUCCESS);
        }
        self.check(&keys, plan)?;
        let last = keys.last().cloned();
        for key in keys {
            if let Ended::Not(code) = self.approve(output, key, plan)? {
                return Ok(code);
            }
        }
        match last.filter(|_| self.finish) {
            Some(key) => self.hand_on(output, key),
            None => Ok(ExitCode::SUCCESS),
        }
    }

    /// Whether a run with --finish is repeated after the project went on with these approvals.
    fn is_finished(&self, keys: &[SecretKey], plan: Option<Hash>) -> anyhow::Result<bool> {
        if !self.finish {
            return Ok(false);
        }
        let (_, head) = state::proven(&self.node.reader()?, &self.project.project)?;
        fill::check_not_over(head.state())?;
        let execution = &head.state().execution;
        let member = |key: &SecretKey| {
            let key_or_seat = self.seat.unwrap_or_else(|| key.public());
            head.state().member_behind(&key_or_seat).unwrap_or(key_or_seat)
        };
        let is_approved = |key: &SecretKey| execution.approvals.contains_key(&member(key));
        if execution.phase != ExecutionState::Reverb || !keys.iter().all(is_approved) {
            return Ok(false);
        }
        check_plan(execution, plan)?;
        say_finished(&head);
        Ok(true)
    }

    /// Proposes Execution_ApprovalsThreshold, if enough members approved.
    fn hand_on(&self, output: Output, key: SecretKey) -> anyhow::Result<ExitCode> {
        let node = self.node.signing(self.node.builder().retry(patience::within(self.wait)), key)?;
        let project = &self.project.project;
        let (_, head) = state::proven(&node, project)?;
        let execution = &head.state().execution;
        let (have, needed) = (execution.approvals.len() as u64, execution.approval_threshold);
        if execution.phase == ExecutionState::Review && have < needed {
            output::note(&json!({"approvals": have, "threshold": needed}), || {
                format!("{}; the last of them finishes with --finish", so_far(have, needed))
            });
            return Ok(ExitCode::SUCCESS);
        }
        let draft = Draft::new(Transition::ExecutionApprovalsThreshold, &json!({}))?.to(project.clone());
        match patience::propose(output, &node, &draft, self.wait) {
            Ok(Ended::Accepted) => Ok(ExitCode::SUCCESS),
            Ok(Ended::Not(code)) => Ok(code),
            Err(error) => {
                // Another run may have proposed it since the state was read.
                let now = state::proven(&node, project).ok().map(|(_, head)| head);
                let now = now.filter(|head| head.state().execution.phase == ExecutionState::Reverb).ok_or(error)?;
                say_finished(&now);
                Ok(ExitCode::SUCCESS)
            }
        }
    }

    /// Refuses a plan or a key that would fail, before anything is posted.
    fn check(&self, keys: &[SecretKey], plan: Option<Hash>) -> anyhow::Result<()> {
        let (_, head) = state::proven(&self.node.reader()?, &self.project.project)?;
        self.inputs(head.state())?;
        check_plan(&head.state().execution, plan)?;
        // The caller of a grant approves for the seat of another key.
        if self.seat.is_some() {
            return Ok(());
        }
        let members: Vec<PublicKey> = keys.iter().map(SecretKey::public).collect();
        check_members(head.state(), &members)
    }

    fn inputs(&self, state: &State) -> anyhow::Result<Json> {
        let given = match &self.seat {
            Some(seat) => Json::parse(json!({"seat": seat}).to_string().as_bytes())?,
            None => Json::parse(b"{}")?,
        };
        fill::filled(Transition::ExecutionApprove, &given, state)
    }

    fn approve(&self, output: Output, key: SecretKey, plan: Option<Hash>) -> anyhow::Result<Ended> {
        let key_or_seat = self.seat.unwrap_or_else(|| key.public());
        let builder = self.node.builder().retry(patience::within(self.wait));
        let node = self.node.signing(builder, key)?;
        let project = &self.project.project;
        let (_, head) = state::proven(&node, project)?;
        let execution = &head.state().execution;
        let inputs = self.inputs(head.state())?;
        check_plan(execution, plan)?;
        let member = head.state().member_behind(&key_or_seat).unwrap_or(key_or_seat);
        if execution.approvals.contains_key(&member) {
            approved_before(&member);
            return Ok(Ended::Accepted);
        }
        let draft = Draft::new(Transition::ExecutionApprove, &inputs)?.to(project.clone());
        let draft = draft.with_evidence(self.evidence.clone())?;
        let ended = match patience::propose(output, &node, &draft, self.wait) {
            Ok(ended) => ended,
            Err(error) => {
                // Another run may have posted this approval since the state was read.
                let now = state::proven(&node, project).map(|(_, head)| head.state().execution.clone());
                if !now.is_ok_and(|now| is_recorded(execution, &now, &member)) {
                    return Err(error);
                }
                approved_before(&member);
                return Ok(Ended::Accepted);
            }
        };
        if matches!(ended, Ended::Accepted) {
            let (have, needed) = (execution.approvals.len() as u64 + 1, execution.approval_threshold);
            if !self.finish {
                output::hint(&json!({"approvals": have, "threshold": needed}), || next_step(have, needed));
            }
        }
        Ok(ended)
    }
}

fn say_finished(head: &Head) {
    output::note(&json!({"finished_before": head.hash()}), || "the project is in REVERB already".to_owned());
}

fn approved_before(member: &PublicKey) {
    output::note(&json!({"approved_before": member}), || format!("{member} approved this plan already"));
}

/// Refuses keys of others than elected members.
fn check_members(state: &State, keys: &[PublicKey]) -> anyhow::Result<()> {
    let strangers = keys.iter().filter(|key| state.member_behind(key).is_none());
    let strangers: Vec<String> = strangers.map(ToString::to_string).collect();
    anyhow::ensure!(
        strangers.is_empty(),
        "no elected member of the council: {}; name the secret keys of members with --key. Nothing was signed",
        strangers.join(", ")
    );
    Ok(())
}

/// Whether a later state has the member's approval of the plan, beat and round that were under review before.
fn is_recorded(before: &Execution, now: &Execution, member: &PublicKey) -> bool {
    let same = |approval: &Approval| {
        Some(approval.plan_hash) == before.plan_hash
            && (approval.beat, approval.rework_round) == (before.beat, before.rework_round)
    };
    now.approvals.get(member).is_some_and(same)
}

fn check_plan(execution: &Execution, plan: Option<Hash>) -> anyhow::Result<()> {
    let Some((wanted, locked)) = plan.zip(execution.plan_hash) else { return Ok(()) };
    anyhow::ensure!(
        wanted == locked,
        "the plan under review is {locked}, and the file of --plan is {wanted}; nothing was signed"
    );
    Ok(())
}

fn so_far(have: u64, needed: u64) -> String {
    format!("{have} of {}", output::count(needed, "approval"))
}

fn next_step(have: u64, needed: u64) -> String {
    let so_far = so_far(have, needed);
    if have >= needed { format!("{so_far}; next: swoosh propose ApprovalsThreshold") } else { so_far }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn key(n: u8) -> PublicKey {
        SecretKey::from_bytes(&[n; 32]).public()
    }

    /// Of two runs at once, the slower one ended with "approved already" and did not try its next key.
    #[test]
    fn an_approval_that_another_run_posted_counts_as_recorded_for_the_same_plan_and_round_alone() {
        let project = "default".parse().unwrap();
        let before = Execution { plan_hash: Some(Hash::of(b"plan")), beat: 2, rework_round: 1, ..Execution::default() };
        let approval = Approval {
            plan_hash: Hash::of(b"plan"),
            beat: 2,
            rework_round: 1,
            council_epoch: State::genesis(&project).epoch.council,
            signer: None,
        };
        let mut now = before.clone();
        assert!(!is_recorded(&before, &now, &key(1)));
        now.approvals.insert(key(1), approval.clone());
        assert!(is_recorded(&before, &now, &key(1)));
        assert!(!is_recorded(&before, &now, &key(2)));
        now.approvals.insert(key(1), Approval { rework_round: 0, ..approval });
        assert!(!is_recorded(&before, &now, &key(1)), "an approval of an earlier round is another one");
    }

    /// The first of two approvals was recorded before the second key proved to be the agent's.
    #[test]
    fn keys_that_are_no_members_are_refused_together_with_the_remedy() {
        let mut state = State::genesis(&"default".parse().unwrap());
        Arc::make_mut(&mut state.council).members.insert(key(1), "reviewer".parse().unwrap());
        assert!(check_members(&state, &[key(1)]).is_ok());
        let said = check_members(&state, &[key(1), key(2), key(3)]).unwrap_err().to_string();
        assert!(said.contains(&key(2).to_string()) && said.contains(&key(3).to_string()), "{said}");
        assert!(!said.contains(&key(1).to_string()) && said.contains("--key"), "{said}");
    }
}
