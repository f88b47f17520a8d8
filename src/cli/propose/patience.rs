//! `--wait` of `swoosh propose`: waits for a window, or for a later cycle, and proposes again.

use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{say_accepted, tell};
use crate::cli::connect::Node;
use crate::cli::output::{self, Output};
use crate::cli::refusal;
use crate::cli::time::{Span, spell};
use crate::cli::wait::{self, Expression};
use crate::client::{Accepted, Draft, ProposeError, RetryPolicy};
use crate::machine::chart;
use crate::types::names::{GuardName, Transition};
use crate::types::rejection::{Code, Problem};

/// Further time after a window opens, so that a clock that is a little behind does not meet it closed.
const MARGIN_MS: u64 = 20;

/// What `--wait` names: how long a proposal may wait, or what is waited for after it.
#[derive(Clone, Debug)]
pub(in crate::cli) enum WaitFor {
    Span(Span),
    Goal(Expression),
}

impl FromStr for WaitFor {
    type Err = String;

    fn from_str(text: &str) -> Result<WaitFor, String> {
        if let Ok(span) = text.parse() {
            return Ok(WaitFor::Span(span));
        }
        text.parse().map(WaitFor::Goal).map_err(|error: String| {
            if text.starts_with(|first: char| first.is_ascii_digit()) {
                let span: Result<Span, String> = text.parse();
                span.err().unwrap_or(error)
            } else {
                error
            }
        })
    }
}

/// Retries that end with the wait: a node that does not answer is not asked for longer than that.
pub(in crate::cli) fn within(most: Option<Span>) -> RetryPolicy {
    let usual = RetryPolicy::default();
    RetryPolicy { patience_ms: most.map_or(usual.patience_ms, |most| most.0.min(usual.patience_ms)), ..usual }
}

/// How a proposal that may wait ended.
pub(in crate::cli) enum Ended {
    Accepted,
    /// Neither accepted nor worth a further attempt: the exit code.
    Not(ExitCode),
}

/// Proposes; while time alone keeps the transition from being accepted, waits, as long as `most` allows.
pub(in crate::cli) fn propose(output: Output, node: &Node, draft: &Draft, most: Option<Span>) -> anyhow::Result<Ended> {
    let began = Instant::now();
    loop {
        let error = match node.wait(node.client().propose_observed(draft, &mut |event| tell(&event))) {
            Ok(accepted) => return say_accepted(output, node, &accepted).map(|_| Ended::Accepted),
            Err(error) => error,
        };
        let Some(opening) = opening(&error, draft.transition()) else {
            let is_over = most.is_some() && gave_up_in_time(&error, node.client().retry_policy());
            let refused = explained(node, error);
            if !is_over {
                return Err(refused);
            }
            refusal::tell(&refused, output.is_json());
            return Ok(Ended::Not(ExitCode::from(wait::TIME_OVER)));
        };
        let Some(most) = most else {
            refusal::tell(&explained(node, error), output.is_json());
            let document = json!({"opens": opening.cause, "opens_in_ms": opening.wait_ms, "wait_with": "--wait"});
            output::note(&document, || {
                format!("{} in {}; `--wait SPAN` waits for it", opening.cause, spell(opening.wait_ms))
            });
            return Ok(Ended::Not(ExitCode::FAILURE));
        };
        let (waited, wait) = (began.elapsed(), Duration::from_millis(opening.wait_ms + MARGIN_MS));
        let document = json!({"waiting_for": opening.cause, "opens_in_ms": opening.wait_ms});
        if waited + wait > Duration::from_millis(most.0) {
            refusal::tell(&explained(node, error), output.is_json());
            output::note(&document, || {
                format!("{} in {}, after the end of --wait {}", opening.cause, spell(opening.wait_ms), spell(most.0))
            });
            return Ok(Ended::Not(ExitCode::from(wait::TIME_OVER)));
        }
        output::note(&document, || format!("{} in {}; waiting for that", opening.cause, spell(opening.wait_ms)));
        std::thread::sleep(wait);
    }
}

/// Proposes once, for a command that does its next step by the state: none where another proposal moved the project first.
pub(in crate::cli) fn attempt(node: &Node, draft: &Draft) -> anyhow::Result<Option<Accepted>> {
    match node.wait(node.client().propose_observed(draft, &mut |event| tell(&event))) {
        Ok(accepted) => Ok(Some(accepted)),
        Err(error) if error.problem().is_some_and(|problem| was_overtaken(problem.code)) => Ok(None),
        Err(error) => Err(explained(node, error)),
    }
}

fn was_overtaken(code: Code) -> bool {
    matches!(code, Code::StaleHead | Code::NotEnabled)
}

/// The error as it is reported: a refusal names its node.
fn explained(node: &Node, error: ProposeError) -> anyhow::Error {
    let unexplained = || anyhow::anyhow!("the proposal was refused without a reason");
    node.ask::<(), ProposeError>(async { Err(error) }).err().unwrap_or_else(unexplained)
}

/// Whether the wait ended the retries, and not their number.
fn gave_up_in_time(error: &ProposeError, policy: RetryPolicy) -> bool {
    let is_shorter = policy.patience_ms < RetryPolicy::default().patience_ms;
    matches!(error, ProposeError::GaveUp { attempts, .. } if is_shorter && *attempts < policy.attempts)
}

/// What time alone brings about, and when.
struct Opening {
    /// A sentence without its end, such as "the plan window opens".
    cause: String,
    wait_ms: u64,
}

/// The opening that a refused proposal may wait for; none where another guard refuses it as well.
fn opening(error: &ProposeError, transition: Transition) -> Option<Opening> {
    let ProposeError::Rejected(problem) = error else { return None };
    let wait_ms = problem.retry_after_ms.filter(|_| time_helps(problem))?;
    let class = chart::spec(transition).window?;
    let cause = match problem.code {
        Code::Guard(GuardName::FreshWindow) => format!("the {class} window of the next cycle opens"),
        _ => format!("the {class} window opens"),
    };
    Some(Opening { cause, wait_ms })
}

fn time_helps(problem: &Problem) -> bool {
    let is_time = |guard: GuardName| matches!(guard, GuardName::Window | GuardName::FreshWindow);
    let failed = problem.guard_outcomes.iter().filter(|outcome| !outcome.ok);
    matches!(problem.code, Code::Guard(guard) if is_time(guard))
        && failed.into_iter().all(|outcome| is_time(outcome.guard))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Cause;
    use crate::types::record::GuardOutcome;

    fn refused(code: Code, failed: &[GuardName], retry_after_ms: Option<u64>) -> ProposeError {
        let outcome = |&guard: &GuardName| GuardOutcome {
            guard,
            ok: false,
            reasons: vec!["no".into()],
            facts: Vec::new(),
            grant: None,
        };
        ProposeError::Rejected(Box::new(Problem {
            kind: String::new(),
            title: "x".into(),
            status: 400,
            code,
            detail: "x".into(),
            reasons: Vec::new(),
            guard: None,
            guard_outcomes: failed.iter().map(outcome).collect(),
            project: None,
            head: None,
            hlc_last: None,
            retry_after_ms,
        }))
    }

    #[test]
    fn only_what_time_alone_brings_about_is_waited_for() {
        let (window, fresh, pin) = (GuardName::Window, GuardName::FreshWindow, GuardName::Pin);
        let found =
            |error: ProposeError| opening(&error, Transition::ExecutionNextWindow).map(|o| (o.cause, o.wait_ms));
        let closed = found(refused(Code::Guard(window), &[window], Some(5_000)));
        assert_eq!(closed, Some(("the plan window opens".to_owned(), 5_000)));
        let used = found(refused(Code::Guard(fresh), &[fresh], Some(5_000)));
        assert_eq!(used, Some(("the plan window of the next cycle opens".to_owned(), 5_000)));
        assert_eq!(found(refused(Code::Guard(window), &[window, pin], Some(5_000))), None);
        assert_eq!(found(refused(Code::Guard(GuardName::Capacity), &[GuardName::Capacity], Some(5_000))), None);
        assert_eq!(found(refused(Code::Guard(window), &[window], None)), None);
    }

    /// `propose --wait 2s` on a node that was down took ten attempts.
    #[test]
    fn a_short_wait_bounds_the_retries_and_its_end_is_no_other_failure() {
        assert_eq!(within(Some(Span(2_000))).patience_ms, 2_000);
        assert_eq!(within(Some(Span(3_600_000))), RetryPolicy::default());
        assert_eq!(within(None), RetryPolicy::default());
        let gave_up = |attempts| {
            let cause = Box::new(Cause::Busy { status: 503, retry_after_ms: None, problem: None });
            ProposeError::GaveUp { attempts, cause, key: None }
        };
        assert!(gave_up_in_time(&gave_up(4), within(Some(Span(2_000)))));
        assert!(!gave_up_in_time(&gave_up(10), within(Some(Span(2_000)))), "the attempts ended it");
        assert!(!gave_up_in_time(&gave_up(4), RetryPolicy::default()));
    }

    #[test]
    fn a_wait_is_a_length_of_time_or_an_expression() {
        assert!(matches!("5m".parse(), Ok(WaitFor::Span(Span(300_000)))));
        assert!(matches!("execution == WORK".parse(), Ok(WaitFor::Goal(_))));
        assert!("5 minutes".parse::<WaitFor>().unwrap_err().contains("length of time"));
        assert!("execution = WORK".parse::<WaitFor>().unwrap_err().contains("=="));
    }
}
