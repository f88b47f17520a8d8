//! How a command says why it failed.

use std::process::ExitCode;

use swoosh_types::url_text;

use crate::output::prose;

/// An argument that a command cannot use: wrong usage, exit code 2.
#[derive(Debug)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// The exit code of a failure: 2 for wrong usage, else 1.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    let usage = error.chain().any(|cause| cause.is::<Usage>());
    if usage { ExitCode::from(2) } else { ExitCode::FAILURE }
}

/// Prints an error on standard error: as text, or as JSON where JSON was asked for.
pub fn print(error: &anyhow::Error, json: bool) {
    match json {
        true => eprintln!("{}", serde_json::json!({ "error": chain(error) })),
        false => eprintln!("{}", prose(&format!("error: {}", chain(error)))),
    }
}

/// An error and its causes. A cause that the text has already is left out, and URLs lose their secrets: the standard error of a daemon is
/// a log too.
pub fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    url_text::without_secrets(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_printed_once() {
        let error =
            anyhow::anyhow!("the disk is full").context("cannot write (the disk is full)").context("no snapshot");
        assert_eq!(chain(&error), "no snapshot: cannot write (the disk is full)");
    }
}
