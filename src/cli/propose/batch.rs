//! `swoosh propose --batch`: posts signed proposals, many in a request.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::super::connect::{Node, exit};
use super::super::output::{Output, print, print_text};
use super::super::source;
use crate::client::{Accepted, Prepared, ProposeError};
use crate::types::json::Json;
use crate::types::proposal::SignedProposal;
use swoosh_terminal::failure::Usage;

/// Posts them in their order, and prints the answer to each.
pub(super) fn propose(output: Output, node: &Node, file: &Path) -> anyhow::Result<ExitCode> {
    let proposals = read(file)?;
    let mut failed = 0_usize;
    let mut written = Ok(());
    let mut answers = |place: usize, answer: Result<Accepted, ProposeError>| {
        failed += usize::from(answer.is_err());
        if written.is_ok() {
            written = tell(output, place + 1, &proposals[place], &answer);
        }
    };
    node.ask(node.client().submit_all(&proposals, &mut answers))?;
    written?;
    if !output.is_json() {
        print_text(&format!("{} of {} accepted", proposals.len() - failed, proposals.len()))?;
    }
    Ok(exit(failed == 0))
}

/// The proposals of a file, all of which must be in the form of one.
fn read(file: &Path) -> anyhow::Result<Vec<Prepared>> {
    let bytes = source::read(file)?;
    let lines = bytes.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.trim_ascii().is_empty());
    let proposals: Vec<Prepared> = lines.map(|(n, line)| prepared(n + 1, line)).collect::<Result<_, Usage>>()?;
    if proposals.is_empty() {
        return Err(Usage(format!("{} has no proposal; write one on each line", file.display())).into());
    }
    Ok(proposals)
}

fn prepared(line: usize, text: &[u8]) -> Result<Prepared, Usage> {
    let wrong = |why: String| {
        Usage(format!("line {line} is no signed proposal: {why}; `swoosh propose … --print` prints one on a line"))
    };
    let json = Json::parse(text).map_err(|error| wrong(error.to_string()))?;
    let signed = SignedProposal::from_json(json).map_err(|error| wrong(error.to_string()))?;
    Prepared::of(signed).map_err(|error| wrong(error.to_string()))
}

/// Tells the answer to one of them.
fn tell(
    output: Output,
    number: usize,
    prepared: &Prepared,
    answer: &Result<Accepted, ProposeError>,
) -> anyhow::Result<()> {
    if output.is_json() {
        return print(&document(number, answer)?.to_string());
    }
    let proposal = &prepared.signed().proposal;
    let (transition, project) = (proposal.transition, proposal.project());
    let text = match answer {
        Ok(accepted) => {
            let again = if accepted.replayed { " (accepted before under this key)" } else { "" };
            format!("{number}: accepted: {transition} in project {project}, record {}{again}", accepted.receipt.index)
        }
        Err(error) => format!("{number}: refused: {transition} in project {project}: {error}"),
    };
    print_text(&text)
}

/// One line of the output: the number, and the receipt or the problem.
fn document(number: usize, answer: &Result<Accepted, ProposeError>) -> anyhow::Result<Value> {
    Ok(match answer {
        Ok(accepted) => {
            let receipt: Value = serde_json::from_slice(&accepted.body)?;
            json!({"line": number, "accepted": true, "replayed": accepted.replayed, "receipt": receipt})
        }
        Err(error) => {
            json!({"line": number, "accepted": false, "error": error.to_string(), "problem": error.problem()})
        }
    })
}
