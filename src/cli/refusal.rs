//! How a command tells that something was refused or failed.

use super::connect::Refused;
use super::output::{self, Table, paragraph};
use crate::types::record::GuardOutcome;
use crate::types::rejection::Problem;
use crate::types::text::ClusterId;
use swoosh_terminal::failure;

/// Tells why a command failed: on standard error for people; a node's own answer also as JSON on standard
/// output, because it is what a program asked for. After several attempts, standard error says how many.
pub(super) fn tell(error: &anyhow::Error, json: bool) {
    match error.chain().find_map(|cause| cause.downcast_ref::<Refused>()) {
        Some(refused) if json => {
            if let Some(why) = &refused.gave_up {
                eprintln!("{}", serde_json::json!({"error": why}));
            }
            let document = document(refused).unwrap_or_else(|error| error.to_string());
            let _ = output::print(&document);
        }
        Some(Refused { gave_up: Some(why), .. }) => failure::print(&anyhow::Error::msg(why.clone()), json),
        Some(refused) => {
            let text = text(&refused.node, refused.cluster.as_ref(), &refused.problem);
            eprintln!("{}", output::coloured_error(&text));
        }
        None => failure::print(error, json),
    }
}

/// The node's problem document, with the cluster that was signed for.
fn document(refused: &Refused) -> serde_json::Result<String> {
    let mut document = serde_json::to_value(&refused.problem)?;
    if let (Some(cluster), Some(members)) = (&refused.cluster, document.as_object_mut()) {
        members.insert("cluster".to_owned(), serde_json::to_value(cluster)?);
    }
    serde_json::to_string_pretty(&document)
}

/// A refusal for people: code, reasons, guards, where to read more.
pub(super) fn text(node: &str, cluster: Option<&ClusterId>, problem: &Problem) -> String {
    let mut lines = vec![paragraph(&format!("refused: {}: {}", problem.code, problem.title))];
    lines.extend(reasons(problem).iter().map(|reason| paragraph(reason)));
    if !problem.guard_outcomes.is_empty() {
        lines.push(format!("guards:\n{}", guards(&problem.guard_outcomes)));
    }
    let mut about = Vec::new();
    about.extend(cluster.map(|cluster| ("cluster", cluster.to_string())));
    about.extend(problem.head.map(|head| ("head", head.to_string())));
    about.extend(problem.hlc_last.map(|hlc| ("last clock", hlc.to_string())));
    about.extend(problem.retry_after_ms.map(|ms| ("try again", format!("in {}", super::time::spell(ms)))));
    about.push(("read more", format!("{node}{}", problem.kind)));
    lines.push(output::fields(&about));
    lines.join("\n")
}

/// The reasons, unless the guards' table says the same.
fn reasons(problem: &Problem) -> Vec<String> {
    let failed = |reason: &String| {
        let said = |outcome: &GuardOutcome| {
            let why = reason.strip_prefix(outcome.guard.as_str()).and_then(|rest| rest.strip_prefix(": "));
            !outcome.ok && why.is_some_and(|why| outcome.reasons.iter().any(|known| known == why))
        };
        problem.guard_outcomes.iter().any(said)
    };
    problem.reasons.iter().filter(|reason| !failed(reason)).map(|reason| format!("  {reason}")).collect()
}

/// How guards judged, one reason a line.
pub(super) fn guards(outcomes: &[GuardOutcome]) -> String {
    let mut table = Table::new();
    for outcome in outcomes {
        let mut mark = (if outcome.ok { "✓" } else { "✗" }, outcome.guard.as_str());
        for reason in outcome.reasons.iter().map(String::as_str).chain(outcome.reasons.is_empty().then_some("")) {
            table.row([mark.0.to_owned(), mark.1.to_owned(), reason.to_owned()]);
            mark = ("", "");
        }
    }
    table.text(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::names::GuardName;
    use crate::types::rejection::Code;

    fn outcome(guard: GuardName, ok: bool, reason: &str) -> GuardOutcome {
        GuardOutcome { guard, ok, reasons: vec![reason.to_owned()], facts: Vec::new(), grant: None }
    }

    #[test]
    fn a_refusal_names_its_code_its_guards_and_the_page_to_read() {
        let problem = Problem {
            kind: "/docs/rejections#guard_capacity".into(),
            title: "A guard does not let the transition pass".into(),
            status: 400,
            code: Code::Guard(GuardName::Capacity),
            detail: "capacity: there is no capacity fact".into(),
            reasons: vec!["capacity: there is no capacity fact".into()],
            guard: Some(GuardName::Capacity),
            guard_outcomes: vec![
                outcome(GuardName::Head, true, "the proposal names the head"),
                outcome(GuardName::Capacity, false, "there is no capacity fact"),
            ],
            project: None,
            head: None,
            hlc_last: None,
            retry_after_ms: Some(1_500),
        };
        assert_eq!(
            text("http://node:7400", Some(&"test".parse().unwrap()), &problem),
            "refused: guard_capacity: A guard does not let the transition pass\n\
             guards:\n  \
               ✓  head      the proposal names the head\n  \
               ✗  capacity  there is no capacity fact\n  \
             cluster    test\n  \
             try again  in 1s 500ms\n  \
             read more  http://node:7400/docs/rejections#guard_capacity"
        );
    }
}
