//! `swoosh propose`: builds, signs and posts a proposal, and tries again while that makes sense.

mod batch;
pub(super) mod fill;
pub(super) mod patience;
mod report;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;

use super::connect::{Node, NodeArgs, exit};
use super::output::{Output, print};
use super::time::{Span, parse_time};
use super::wait::{Expression, Waiting};
use super::{health, keys, output, source, state, transition_name};
use swoosh_terminal::failure::Usage;

use crate::client::{Accepted, Cause, Draft, Event, RetryPolicy};
use crate::machine::chart::Inputs;
use crate::types::forms;
use crate::types::hash::Hash;
use crate::types::hlc::Hlc;
use crate::types::ids::{GoalId, IdemKey, KeyUuid, WindowId};
use crate::types::json::Json;
use crate::types::names::Transition;
use crate::types::proposal::default_project;
use crate::types::text::{ClusterId, ProjectName};
use crate::types::ucxl::EvidenceRef;
use patience::{Ended, WaitFor};

/// Arguments of `swoosh propose`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Propose a transition",
    long_about = "Propose a transition.\n\n\
        Reads the project's head and the window of now from the node, signs the proposal with your key and posts it. \
        When another proposal was faster (stale_head) it is signed again on the new head; when the node is busy or does \
        not answer, the same bytes are sent again; always under the same idempotency key, so that it is accepted at \
        most once. Each retry is reported on standard error.\n\n\
        `swoosh transitions` lists the enabled transitions, `swoosh inputs` the inputs of each. The end of a name \
        is enough where no other name has it: ConfigOk is Boot_ConfigOk.\n\n\
        Inputs that follow from the project's state are filled in where they are left out: versions and hashes of AllReady, \
        PlanChange and Reaffirm, the binding of Approve. The state is proven against its head first.\n\n\
        `--wait 5m` waits while time alone keeps the transition from being accepted: for its window, or for the next cycle. \
        `--wait 'EXPRESSION'` waits after the proposal was accepted, as `swoosh wait` does. Both may be given.\n\n\
        `--batch FILE` posts proposals that are signed already, up to 256 in a request. Each is answered as if it was posted \
        alone, in its order: a refused one stops none of the others.",
    after_help = "Examples:\n  \
        swoosh propose ConfigOk --key operator.key --inputs @project.json\n  \
        swoosh propose PlanLocked --key operator.key --plan plan.md --wait 5m\n  \
        swoosh propose Licensed --wait 'ingestion == READY' --timeout 10m\n  \
        SWOOSH_KEY=env:CI_KEY swoosh propose BeatReviewGate --goal ci --uuid \"$RUN\" --beat-at \"$STARTED\"\n  \
        swoosh propose Control_Pause --key operator.key --inputs '{\"rationale\": \"New disk.\"}'\n  \
        swoosh propose Boot_Licensed --key operator.key --dry-run\n  \
        swoosh council certify --vote a.json --vote b.json |\n    \
        swoosh propose Council_QuorumCert --key operator.key --inputs -\n\n\
        By hand, with nothing but curl to post:\n  \
        swoosh propose Boot_Licensed --key operator.key --print > proposal.json\n  \
        curl -i -H 'content-type: application/json' --data @proposal.json \\\n    \
        http://127.0.0.1:7400/transition\n\n\
        Many in one request:\n  \
        swoosh propose Boot_Licensed --project a --key operator.key --print >> batch\n  \
        swoosh propose Boot_Licensed --project b --key operator.key --print >> batch\n  \
        swoosh propose --batch batch\n\n\
        Exits with 0 when accepted (of a batch, all of them), 1 when refused, 2 on wrong usage (also bad inputs), 3 when --wait or --timeout is over, 4 when the\n\
        expression cannot be reached any more. `swoosh --json propose …` prints the receipt, which\n\
        `swoosh receipt verify` checks, or the node's problem document."
)]
pub struct ProposeCommand {
    /// Transition, such as Control_Pause, or the end of its name, such as Pause
    #[arg(value_name = "TRANSITION", value_parser = transition_name::parse, required_unless_present = "batch")]
    transition: Option<Transition>,
    /// Signed proposals to post as they are, one on each line, as --print prints them; - for standard input
    #[arg(long, value_name = "FILE|-", conflicts_with_all = ["transition", "inputs", "plan", "wait", "timeout", "goal", "uuid",
        "beat_at", "idem_key", "window", "evidence", "head", "dry_run", "print"])]
    batch: Option<PathBuf>,
    /// Your secret key's file (see `swoosh keygen`); left out, keys/operator.key of a directory of `swoosh init`
    #[arg(long, value_name = "FILE|env:NAME|fd:N", env = "SWOOSH_KEY", required_unless_present_any = keys::required_unless("batch"))]
    key: Option<PathBuf>,
    /// Project; left out, the proposal names none, which means `default`
    #[arg(long, value_name = "PROJECT", env = "SWOOSH_PROJECT")]
    project: Option<ProjectName>,
    /// Inputs: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-", default_value = "{}")]
    inputs: String,
    /// Plan to lock: its SHA-256 is the input of PlanLocked
    #[arg(long, value_name = "FILE", conflicts_with = "inputs")]
    plan: Option<PathBuf>,
    /// Wait this long for a window or a cycle, or after acceptance for this expression (see `swoosh wait`)
    #[arg(long, value_name = "SPAN|EXPRESSION", conflicts_with_all = ["dry_run", "print"])]
    wait: Vec<WaitFor>,
    /// Longest wait for the expression
    #[arg(long, value_name = "SPAN", default_value = "15m", requires = "wait")]
    timeout: Span,
    /// Goal of the idempotency key; left out, `adhoc`
    #[arg(long, value_name = "GOAL")]
    goal: Option<GoalId>,
    /// Unique part of the idempotency key; left out, a random UUID
    #[arg(long, value_name = "UUID")]
    uuid: Option<KeyUuid>,
    /// Time whose beat the idempotency key names, RFC 3339; left out, now. With --goal and --uuid, the same time gives the same
    /// key, so that a step that is run again proposes nothing twice
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with = "idem_key")]
    beat_at: Option<Hlc>,
    /// Whole idempotency key of an earlier attempt, goalId:beatIndex:opClass:uuid, to send it again
    #[arg(long, value_name = "KEY", conflicts_with_all = ["goal", "uuid"])]
    idem_key: Option<IdemKey>,
    /// Window to name, or `none`; left out, the window of now where the transition needs one
    #[arg(long, value_name = "WINDOW|none")]
    window: Option<WindowChoice>,
    /// Address that backs the proposal (ucxl://…); may be given up to 32 times
    #[arg(long, value_name = "ADDRESS")]
    evidence: Vec<EvidenceRef>,
    /// Head to propose on and no other; left out, the project's head, read again when it is stale
    #[arg(long, value_name = "HASH")]
    head: Option<Hash>,
    #[command(flatten)]
    node: NodeArgs,
    /// Tell what would happen; change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the signed proposal instead of posting it
    #[arg(long, conflicts_with = "dry_run")]
    print: bool,
    /// Attempts in all
    #[arg(long, value_name = "N", default_value_t = RetryPolicy::default().attempts,
          value_parser = clap::value_parser!(u32).range(1..))]
    attempts: u32,
}

/// A window to name, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WindowChoice {
    None,
    Named(WindowId),
}

impl FromStr for WindowChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<WindowChoice, String> {
        if text == "none" {
            return Ok(WindowChoice::None);
        }
        text.parse().map(WindowChoice::Named).map_err(|error| format!("{error}, or none"))
    }
}

impl ProposeCommand {
    /// Proposes.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        if let Some(file) = &self.batch {
            return batch::propose(output, &self.poster()?, file);
        }
        let (most, goal) = self.waits();
        let inputs = self.given_inputs()?;
        let node = self.signer(most)?;
        let draft = self.draft(&node, inputs)?;
        if self.print {
            let prepared = node.ask(node.client().prepare(&draft))?;
            signed_for(&node);
            print(&String::from_utf8_lossy(prepared.body()))?;
            return Ok(ExitCode::SUCCESS);
        }
        if self.dry_run {
            let answer = node.ask(node.client().dry_run(&draft))?;
            let mut document = serde_json::to_value(&answer)?;
            document["cluster"] = serde_json::to_value(node.client().cluster())?;
            output.say(&document, || report::dry_run(&node, self.transition(), &answer))?;
            return Ok(exit(answer.accepted));
        }
        match (patience::propose(output, &node, &draft, most)?, goal) {
            (Ended::Not(code), _) => Ok(code),
            (Ended::Accepted, None) => Ok(ExitCode::SUCCESS),
            (Ended::Accepted, Some(goal)) => {
                Waiting::new(&node, draft.project(), vec![goal], self.timeout).run()?.report_aside()
            }
        }
    }

    /// The transition, which only a batch leaves out.
    #[expect(clippy::expect_used, reason = "the parser requires it where there is no batch")]
    fn transition(&self) -> Transition {
        self.transition.expect("the parser requires it where there is no batch")
    }

    /// The longest wait before acceptance, and the goal after it. A later one counts.
    fn waits(&self) -> (Option<Span>, Option<Expression>) {
        let (mut most, mut goal) = (None, None);
        for wait in &self.wait {
            match wait {
                WaitFor::Span(span) => most = Some(*span),
                WaitFor::Goal(expression) => goal = Some(expression.clone()),
            }
        }
        (most, goal)
    }

    /// A client that signs for the node's cluster.
    fn signer(&self, most: Option<Span>) -> anyhow::Result<Node> {
        let key = keys::load(self.key.as_deref().unwrap_or(Path::new(keys::OWN)))?;
        let retry = RetryPolicy { attempts: self.attempts, ..patience::within(most) };
        self.node.signing(self.node.builder().retry(retry), key)
    }

    /// A client for proposals that are signed already: it needs the node's cluster, to check receipts, and no key.
    fn poster(&self) -> anyhow::Result<Node> {
        let retry = RetryPolicy { attempts: self.attempts, ..RetryPolicy::default() };
        self.node.posting(self.node.builder().retry(retry))
    }

    /// The inputs as they were given. What is lacking and does not follow from the state is refused before a node is asked.
    fn given_inputs(&self) -> anyhow::Result<Json> {
        let inputs = match &self.plan {
            Some(plan) => locked(self.transition(), plan)?,
            None => source::json_of(&self.inputs, "inputs")?,
        };
        if !fill::lacks(self.transition(), &inputs) {
            check_inputs(self.transition(), &inputs)?;
        }
        Ok(inputs)
    }

    /// The inputs, with what follows from the state of the project.
    fn whole_inputs(&self, node: &Node, given: Json) -> anyhow::Result<Json> {
        if !fill::lacks(self.transition(), &given) {
            return Ok(given);
        }
        let project = self.project.clone().unwrap_or_else(default_project);
        health::refuse_follower(node)?;
        let (_, head) = state::proven(node, &project)?;
        let inputs = fill::filled(self.transition(), &given, head.state())?;
        check_inputs(self.transition(), &inputs)?;
        Ok(inputs)
    }

    fn draft(&self, node: &Node, given: Json) -> anyhow::Result<Draft> {
        let inputs = self.whole_inputs(node, given)?;
        let mut draft = Draft::new(self.transition(), &inputs)?.with_evidence(self.evidence.clone())?;
        if let Some(project) = &self.project {
            draft = draft.to(project.clone());
        }
        if let Some(goal) = &self.goal {
            draft = draft.for_goal(goal.clone());
        }
        if let Some(uuid) = &self.uuid {
            draft = draft.with_uuid(uuid.clone());
        }
        if let Some(at) = self.beat_at {
            let beat = beat_at(node, &draft.project(), at)?;
            draft = draft.at_beat(beat);
        }
        if let Some(key) = &self.idem_key {
            draft = draft.with_key(key);
        }
        if let Some(head) = self.head {
            draft = draft.only_on_head(head);
        }
        Ok(match self.window {
            None => draft,
            Some(WindowChoice::None) => draft.without_window(),
            Some(WindowChoice::Named(window)) => draft.in_window(window),
        })
    }
}

/// The inputs that lock the plan in a file.
fn locked(transition: Transition, plan: &Path) -> anyhow::Result<Json> {
    if transition != Transition::ExecutionPlanLocked {
        return Err(Usage(format!("--plan is for Execution_PlanLocked alone, not for {transition}")).into());
    }
    let hash = Hash::of(&source::plan(plan)?);
    Ok(Json::parse(serde_json::json!({"plan_hash": hash}).to_string().as_bytes())?)
}

/// The beat of a time, as the node's schedule counts it.
fn beat_at(node: &Node, project: &ProjectName, at: Hlc) -> anyhow::Result<u64> {
    let view = node.ask(node.client().windows(project, Some(at), 0))?;
    let known = view.known.context("the node knows no window schedule, so a time has no beat; leave --beat-at out")?;
    Ok(known.outlook.beat)
}

/// Proposes one transition, signed by the node's client, and reports retries.
pub(super) fn propose_once(output: Output, node: &Node, draft: &Draft) -> anyhow::Result<ExitCode> {
    let accepted = node.ask(node.client().propose_observed(draft, &mut |event: Event<'_>| tell(&event)))?;
    say_accepted(output, node, &accepted)
}

fn say_accepted(output: Output, node: &Node, accepted: &Accepted) -> anyhow::Result<ExitCode> {
    if output.is_json() {
        // The receipt stays as the node sent it, so that it can be verified.
        signed_for(node);
        print(&String::from_utf8_lossy(&accepted.body))?;
    } else {
        let cluster = node.client().cluster().map(ToString::to_string).unwrap_or_default();
        output::print_text(&report::accepted(&cluster, accepted))?;
        // The log of a script keeps the cluster; a person asks for it with `-v`.
        if !output::is_verbose() && !std::io::stdout().is_terminal() {
            eprintln!("cluster {cluster}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Tells for which cluster something was signed that is printed as it is.
pub(super) fn signed_for(node: &Node) {
    let Some(cluster) = node.client().cluster() else { return };
    output::note(&serde_json::json!({"cluster": cluster}), || format!("signed for cluster {cluster}"));
}

/// The same to a person, of a document that is signed and not proposed.
pub(super) fn hint_cluster(cluster: &ClusterId) {
    output::hint(&serde_json::json!({"cluster": cluster}), || format!("signed for cluster {cluster}"));
}

/// Refuses inputs that no node would take, before anything is signed.
fn check_inputs(transition: Transition, inputs: &Json) -> anyhow::Result<()> {
    let faults = match Inputs::decode(transition, &inputs.canonical()) {
        Ok(_) => forms::list_in_place_of_object(transition, inputs).into_iter().collect(),
        Err(_) => forms::faults(transition, inputs),
    };
    let Some(first) = faults.first() else { return Ok(()) };
    let others = faults.iter().skip(1).map(|fault| format!("\n  {fault}"));
    let others: String = others.collect();
    let advice = format!("`swoosh inputs {transition}` prints their form");
    Err(Usage(format!("the inputs are not those of {transition}; {advice}\n  {first}{others}")).into())
}

/// Tells of retries, which are the user's business only while they happen.
fn tell(event: &Event<'_>) {
    let Event::Retrying { attempt, cause, wait_ms } = event else { return };
    let why = match cause {
        Cause::StaleHead(problem) | Cause::Clock(problem) => format!("{}: {}", problem.code, problem.code.title()),
        other => other.to_string(),
    };
    static LAST: Mutex<String> = Mutex::new(String::new());
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let document = serde_json::json!({"attempt": attempt, "failed": why, "again_in_ms": wait_ms});
    output::note(&document, || output::paragraph(&retry_text(&mut last, *attempt, why, *wait_ms)));
}

/// A retry in a line. A reason that was printed last is not repeated.
fn retry_text(last: &mut String, attempt: u32, why: String, wait_ms: u64) -> String {
    if *last == why {
        return format!("again, attempt {attempt}; the next one in {wait_ms} ms");
    }
    let text = format!("attempt {attempt}: {why}; trying again in {wait_ms} ms");
    *last = why;
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An unsafe clock printed the same 300 letters nine times.
    #[test]
    fn a_reason_of_retries_is_printed_once() {
        let mut last = String::new();
        let mut text = |attempt, why: &str| retry_text(&mut last, attempt, why.to_owned(), 50);
        assert_eq!(text(1, "clock_unsafe"), "attempt 1: clock_unsafe; trying again in 50 ms");
        assert_eq!(text(2, "clock_unsafe"), "again, attempt 2; the next one in 50 ms");
        assert_eq!(text(3, "stale_head"), "attempt 3: stale_head; trying again in 50 ms");
    }

    #[test]
    fn a_window_is_named_or_none() {
        assert_eq!("none".parse(), Ok(WindowChoice::None));
        let named: WindowChoice = "backbeat:W-2025-10-19-02".parse().unwrap();
        assert!(matches!(named, WindowChoice::Named(window) if window.ordinal == 2));
        assert!("soon".parse::<WindowChoice>().unwrap_err().ends_with("or none"));
    }

    #[test]
    fn inputs_of_another_form_are_refused_with_the_form() {
        let inputs = Json::parse(br#"{"reason": "x"}"#).unwrap();
        let error = check_inputs(Transition::ControlPause, &inputs).unwrap_err().to_string();
        assert!(
            error.contains("\n  rationale: missing field `rationale`\n  reason: unknown field `reason`"),
            "{error}"
        );
        let good = Json::parse(br#"{"rationale": "x"}"#).unwrap();
        assert!(check_inputs(Transition::ControlPause, &good).is_ok());
    }
}
