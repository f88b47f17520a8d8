//! Commands whose names changed: the old spelling works, and a line on standard error names the new one.

use std::ffi::OsString;

use serde_json::json;

/// A command and its action as they were spelled, and the command that has the action now.
const RENAMED: &[(&str, &str, &str)] =
    &[("state", "check", "documents"), ("config", "check", "settings"), ("config", "show", "settings")];

/// Options of every command.
const GLOBAL: [&str; 4] = ["--json", "--wide", "--verbose", "-v"];

/// The arguments with the present names.
pub(super) fn present(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let is_json = arguments.iter().any(|argument| argument == "--json");
    // Only these options may be before a command or its action; `help` takes both as arguments.
    let words = arguments.iter().enumerate().skip(1);
    let words = words.filter(|(_, word)| !GLOBAL.iter().any(|option| word == option));
    let mut words = words.skip_while(|(_, word)| *word == "help");
    let (Some((at, command)), Some((_, action))) = (words.next(), words.next()) else { return arguments };
    let renamed = RENAMED.iter().find(|(old, known, _)| command == old && action == known);
    if let Some((old, action, new)) = renamed {
        arguments[at] = (*new).into();
        let (old, new) = (format!("swoosh {old} {action}"), format!("swoosh {new} {action}"));
        match is_json {
            true => eprintln!("{}", json!({"note": "the command has another name now", "old": old, "new": new})),
            false => eprintln!("note: `{old}` is `{new}` now; the old spelling still works"),
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(line: &str) -> String {
        let arguments = present(line.split(' ').map(OsString::from).collect());
        arguments.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn old_spellings_become_the_present_ones_wherever_json_is_asked_for() {
        for (old, new) in [
            ("swoosh state check --repair", "swoosh documents check --repair"),
            ("swoosh --json state check", "swoosh --json documents check"),
            ("swoosh state --json check", "swoosh documents --json check"),
            ("swoosh config check swoosh.yaml", "swoosh settings check swoosh.yaml"),
            ("swoosh config show", "swoosh settings show"),
            ("swoosh help config show", "swoosh help settings show"),
        ] {
            assert_eq!(renamed(old), new);
        }
    }

    #[test]
    fn other_commands_keep_their_words() {
        for line in [
            "swoosh",
            "swoosh state",
            "swoosh state --project check",
            "swoosh config render check --builder show",
            "swoosh statechart check",
            "swoosh policy check state",
        ] {
            assert_eq!(renamed(line), line);
        }
    }
}
