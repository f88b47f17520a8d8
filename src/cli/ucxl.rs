//! `swoosh ucxl`: the parts of an address, its errors, and its right spelling.

use std::process::ExitCode;

use serde_json::json;

use super::connect::exit;
use super::output::{Output, fields};
use crate::types::ucxl::{Ucxl, normal_form};

/// Arguments of `swoosh ucxl`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Read a UCXL address",
    long_about = "Read a UCXL address.\n\nTells its parts. An address has one spelling; for another one the right spelling is shown, and \
        the exit code is 1. The grammar is in docs/ucxl.md.",
    after_help = "Examples:\n  swoosh ucxl ucxl://chorus:spec@council/~~2/roles.md\n  swoosh ucxl 'UCXL://ann:dev@shop//*^/src/'"
)]
pub struct UcxlCommand {
    /// The address: ucxl://agent:role@project[:task]/temporal/path
    #[arg(value_name = "ADDRESS")]
    address: String,
}

impl UcxlCommand {
    /// Tells it.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let text = &self.address;
        match Ucxl::parse(text) {
            Ok(parts) => {
                let temporal = parts.temporal.map(|temporal| temporal.to_string());
                let document = json!({
                    "ok": true, "address": text, "agent": parts.agent, "role": parts.role, "project": parts.project,
                    "task": parts.task, "temporal": temporal, "path": parts.path,
                });
                output.say(&document, || parts_text(&parts))?;
                Ok(exit(true))
            }
            Err(error) => {
                let normal = normal_form(text).ok();
                output.say(
                    &json!({"ok": false, "address": text, "error": error.to_string(), "normal": normal}),
                    || {
                        let remedy = normal.as_ref().map(|normal| format!("; write {normal}")).unwrap_or_default();
                        format!("{text} is not a UCXL address: {error}{remedy}")
                    },
                )?;
                Ok(exit(false))
            }
        }
    }
}

fn parts_text(parts: &Ucxl<'_>) -> String {
    let none = || "(none)".to_owned();
    fields(&[
        ("agent", parts.agent.to_owned()),
        ("role", parts.role.to_owned()),
        ("project", parts.project.to_owned()),
        ("task", parts.task.map_or_else(none, str::to_owned)),
        ("time", parts.temporal.map_or_else(none, |temporal| format!("{temporal} ({})", temporal.meaning()))),
        ("path", parts.path.map_or_else(none, str::to_owned)),
    ])
}
