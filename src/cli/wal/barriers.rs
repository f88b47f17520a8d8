//! `swoosh wal barriers`: since when which versions hold.

use std::process::ExitCode;

use serde_json::json;

use crate::cli::connect::exit;
use crate::cli::data::{self, DataArgs};
use crate::cli::output::{Output, Table};
use crate::journal::{Barrier, VersionChange};

pub(super) fn list(output: Output, args: &DataArgs) -> anyhow::Result<ExitCode> {
    let journal = args.open()?;
    let found = journal.barriers(&mut data::progress(journal.last().0));
    data::progress_done();
    let found = found?;
    let backwards = found.iter().filter(|barrier| barrier.change.goes_back()).count();
    let document = json!({"ok": backwards == 0, "barriers": found, "last_index": journal.last().0});
    output.say(&document, || text(&found, backwards, journal.last().0))?;
    Ok(exit(backwards == 0))
}

fn text(found: &[Barrier], backwards: usize, last_index: u64) -> String {
    if found.is_empty() {
        return format!("no record names a version; the log ends at record {last_index}");
    }
    let mut table = Table::with(&["record", "accepted at", "version of", "before", "from here on", "project"]);
    for barrier in found {
        let [what, before, after, project] = cells(&barrier.change);
        table.row([barrier.index.to_string(), barrier.at.to_string(), what, before, after, project]);
    }
    let ends = format!("the log ends at record {last_index}");
    let ends = match backwards {
        0 => ends,
        some => format!("{ends}; {some} of these went back: `swoosh replay --reguard` judges every record again"),
    };
    format!("{}\n\n{ends}", table.text(0))
}

fn cells(change: &VersionChange) -> [String; 4] {
    let all = || "all".to_owned();
    let begins = || "(the log begins)".to_owned();
    match change {
        VersionChange::Statechart { project, from, to, schema_hash } => {
            ["statechart".to_owned(), from.to_string(), format!("{to} ({})", schema_hash.short(8)), project.to_string()]
        }
        VersionChange::Policies { project, from, to, hash } => [
            "policies".to_owned(),
            from.map_or_else(begins, |from| format!("bundle {from}")),
            format!("bundle {to} ({})", hash.short(8)),
            project.as_ref().map_or_else(all, ToString::to_string),
        ],
        VersionChange::PolicyEngine { from, to } => {
            ["policy engine".to_owned(), from.clone().unwrap_or_else(begins), to.clone(), all()]
        }
    }
}
