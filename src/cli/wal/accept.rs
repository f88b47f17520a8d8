//! `swoosh wal accept`: a person gives up the records that a journal lost.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::cli::connect::exit;
use crate::cli::data::DataArgs;
use crate::cli::output::{Output, count, fields};
use crate::cli::time;
use crate::journal::{AcceptError, Acceptance, Journal, Loss, RecoverError};

/// Projects that are listed for people; `--json` has them all.
const LISTED: usize = 20;

/// Arguments of `swoosh wal accept`.
#[derive(Debug, clap::Args)]
pub(super) struct AcceptArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Index of the last record that is left, as `swoosh wal verify` tells it
    #[arg(long, value_name = "N")]
    last: u64,
    /// Do it; without this, the command says what would be given up and changes nothing
    #[arg(long, requires = "reason")]
    yes: bool,
    /// Your name, and the reason; kept in the journal
    #[arg(long, value_name = "TEXT", value_parser = said)]
    reason: Option<String>,
}

fn said(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("say who accepts it, and why".to_owned()) } else { Ok(text.to_owned()) }
}

/// Tells what would be given up, or gives it up.
pub(super) fn accept(output: Output, args: &AcceptArgs) -> anyhow::Result<ExitCode> {
    let path = args.data.journal();
    let loss = Journal::loss(path.as_path())?;
    if loss.last != args.last {
        return Err(AcceptError::OtherEnd { named: args.last, found: loss.last }.into());
    }
    let reason = args.reason.as_deref().filter(|_| args.yes);
    let mark = reason.map(|reason| Journal::accept_end(path.as_path(), &loss, time::now(), reason)).transpose()?;
    let incarnation = mark.map(|mark| mark.incarnation);
    output.say(&document(&loss, incarnation), || text(args, &loss, incarnation))?;
    Ok(exit(reason.is_some()))
}

fn document(loss: &Loss, incarnation: Option<u64>) -> Value {
    json!({
        "accepted": incarnation.is_some(),
        "incarnation": incarnation,
        "problem": loss.problem.to_string(),
        "last": loss.last,
        "chain": loss.chain,
        "promised": loss.promised,
        "lost": loss.lost().map(|lost| json!({"first": lost.start(), "last": lost.end()})),
        "kept": loss.kept,
    })
}

fn text(args: &AcceptArgs, loss: &Loss, incarnation: Option<u64>) -> String {
    let about = fields(&[
        ("problem", loss.problem.to_string()),
        ("given up", given_up(loss)),
        ("last kept", format!("record {}, chain {}", loss.last, loss.chain)),
        ("projects", kept(loss)),
    ]);
    let data = args.data.path().display();
    if let Some(incarnation) = incarnation {
        return format!(
            "accepted: the journal ends at record {}; {}\n{about}\n\
             inform the holders of receipts for records after {}; `swoosh wal verify` shows this from now on",
            loss.last,
            next_step(loss, incarnation),
            loss.last
        );
    }
    format!(
        "accepting would give up what this journal lost\n{about}\n\
         receipts for records after {} will become void\n\
         nothing was changed; look for the lost files first (runbooks/recovery.md), then:\n  \
         swoosh wal accept --data {data} --last {} --yes --reason \"WHO: WHY\"",
        loss.last, loss.last
    )
}

fn next_step(loss: &Loss, incarnation: u64) -> String {
    match &loss.follows {
        Some(primary) => format!("it follows {primary} as before, and asks it for the lost records"),
        None => format!(
            "the node starts again, under incarnation {incarnation}. Give each follower an empty directory (docs/follower.md)"
        ),
    }
}

fn given_up(loss: &Loss) -> String {
    if let RecoverError::SidesLost(lost) = &loss.problem {
        return format!("{lost}; what was begun and is not noted is reported as unknown");
    }
    match (loss.lost(), loss.promised) {
        (Some(lost), _) if lost.start() == lost.end() => format!("record {}", lost.start()),
        (Some(lost), _) => {
            let number = lost.end() - lost.start() + 1;
            format!(
                "{}, {} to {}; whose they were, nothing shows any more",
                count(number, "record"),
                lost.start(),
                lost.end()
            )
        }
        (None, None) => format!("every record after {}, if there were any: the watermark no longer says it", loss.last),
        (None, Some(promised)) => format!("the watermark's promise of record {promised}, which is another one here"),
    }
}

/// Each project with the last record that it keeps, the newest first.
fn kept(loss: &Loss) -> String {
    let mut kept: Vec<_> = loss.kept.iter().collect();
    kept.sort_by_key(|(_, index)| std::cmp::Reverse(**index));
    let shown: Vec<_> = kept.iter().take(LISTED).map(|(name, index)| format!("{name} up to {index}")).collect();
    match kept.len().saturating_sub(LISTED) {
        _ if kept.is_empty() => "none".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// One line for each loss that was accepted.
pub(super) fn acceptances(accepted: &[Acceptance]) -> Vec<String> {
    let line = |acceptance: &Acceptance| {
        let Acceptance { at, last, promised, reason, .. } = acceptance;
        let lost = match promised {
            Some(promised) if *promised == last + 1 => format!("record {promised} was given up"),
            Some(promised) if promised > last => format!("records {} to {promised} were given up", last + 1),
            Some(_) => format!("another journal's end was given up for record {last}"),
            None => format!("record {last} was taken for the end"),
        };
        format!("a loss was accepted at {at}: {lost} ({reason})")
    };
    accepted.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::hash::Hash;

    fn acceptance(last: u64, promised: Option<u64>) -> Acceptance {
        let (chain, reason) = (Hash::ZERO, "ops: the disk is gone".to_owned());
        Acceptance { at: Default::default(), last, chain, promised, incarnation: None, problem: String::new(), reason }
    }

    #[test]
    fn every_kind_of_acceptance_says_what_was_given_up_and_why() {
        let all = [acceptance(4, Some(7)), acceptance(9, Some(9)), acceptance(9, None), acceptance(4, Some(5))];
        let lines = acceptances(&all);
        assert!(lines[0].ends_with("records 5 to 7 were given up (ops: the disk is gone)"), "{}", lines[0]);
        assert!(lines[1].contains("given up for record 9") && lines[2].contains("taken for the end"));
        assert!(lines[3].contains("record 5 was given up"), "{}", lines[3]);
    }

    #[test]
    fn a_reason_is_not_left_blank() {
        assert!(said("  ").is_err());
        assert_eq!(said(" ops: gone "), Ok("ops: gone".to_owned()));
    }
}
