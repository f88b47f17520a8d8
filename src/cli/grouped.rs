//! The help of `swoosh` itself: its commands in groups, each with a heading.

use clap::builder::{StyledStr, Styles};
use clap::{Command, CommandFactory as _};

use super::Cli;

/// Commands by group, in the order of the help.
const GROUPS: &[(&str, &[&str])] = &[
    (
        "Node",
        &["init", "serve", "follow", "promote", "health", "clock", "nodes", "settings", "license", "mcp", "migration"],
    ),
    (
        "Propose and read",
        &[
            "propose",
            "inputs",
            "approve",
            "wait",
            "keygen",
            "key",
            "identity",
            "council",
            "fact",
            "policy",
            "projects",
            "state",
            "transitions",
            "windows",
            "effects",
            "rejections",
        ],
    ),
    ("Evidence", &["receipt", "decision", "decisions", "wal", "replay", "statechart", "ucxl"]),
    ("Work", &["sources", "upstreams", "config", "templates", "provisioners", "packer", "documents", "secrets"]),
    ("Data", &["backup", "restore", "snapshot"]),
    ("Lab", &["demo", "bench", "chaos"]),
    ("This program", &["version", "completions", "man", "help"]),
];

/// The command line, whose help has the groups.
pub(super) fn command() -> Command {
    let command = Cli::command();
    let header = *Styles::styled().get_header();
    let list = list(&command);
    command.help_template(StyledStr::from(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{list}{header}Options:{header:#}\n{{options}}{{after-help}}"
    )))
}

/// The groups, each with an empty line after it. clap renders the entries for the width of the terminal; a template has no tag for
/// a part of them.
fn list(command: &Command) -> String {
    let entries = entries(command);
    let styles = Styles::styled();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let mut list = String::new();
    for (heading, names) in GROUPS {
        list += &format!("{header}{heading}:{header:#}\n");
        for (name, rest) in names.iter().filter_map(|name| entries.iter().find(|(entry, _)| entry == name)) {
            list += &format!("  {literal}{name}{literal:#}{rest}");
        }
        list.push('\n');
    }
    list
}

/// The name of each visible command, and the rest of its entry with its line ends.
fn entries(command: &Command) -> Vec<(String, String)> {
    let visible = command.get_subcommands().filter(|below| !below.is_hide_set()).cloned();
    let mut rendering = Command::new("swoosh").help_template("{subcommands}").subcommands(visible);
    let mut entries: Vec<(String, String)> = Vec::new();
    for line in rendering.render_help().to_string().lines() {
        // Other lines of an entry are indented further.
        match line.strip_prefix("  ").filter(|line| !line.starts_with(' ')) {
            Some(entry) => {
                let end = entry.find([' ', ',']).unwrap_or(entry.len());
                entries.push((entry[..end].to_owned(), format!("{}\n", &entry[end..])));
            }
            None => {
                if let Some((_, rest)) = entries.last_mut().filter(|_| !line.trim().is_empty()) {
                    *rest += &format!("{line}\n");
                }
            }
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_visible_command_is_in_one_group() {
        let mut visible: Vec<String> = entries(&Cli::command()).into_iter().map(|(name, _)| name).collect();
        let mut grouped: Vec<String> =
            GROUPS.iter().flat_map(|(_, names)| names.iter()).map(|&name| name.to_owned()).collect();
        visible.sort();
        grouped.sort();
        assert_eq!(visible, grouped);
    }
}
