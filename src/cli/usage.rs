//! The usage line of an error.

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

/// Replaces the usage line by the one of the command's help. clap's own line lists every argument that has a value, also those with a
/// value of the environment, as if they were required.
pub(super) fn without_environment(error: &mut Error, mut command: Command, arguments: &[std::ffi::OsString]) {
    if error.get(ContextKind::Usage).is_none() {
        return;
    }
    command.build();
    let mut at = &mut command;
    for word in arguments.iter().skip(1).filter_map(|argument| argument.to_str()) {
        if at.find_subcommand(word).is_none() {
            continue;
        }
        match at.find_subcommand_mut(word) {
            Some(below) => at = below,
            None => return,
        }
        if !at.has_subcommands() {
            break;
        }
    }
    let usage = at.render_usage();
    error.insert(ContextKind::Usage, ContextValue::StyledStr(usage));
    if lacks_key(error) {
        let tip = "`swoosh keygen --out FILE` makes a key; SWOOSH_KEY names it for every command that signs";
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
}

/// Whether the key to sign with is missing.
fn lacks_key(error: &Error) -> bool {
    let is_key = |name: &String| name.starts_with("--key ");
    matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::Strings(names)) if names.iter().any(is_key))
        && error.kind() == ErrorKind::MissingRequiredArgument
}

/// Ends the process: prints help or a version, or the error, which is JSON where JSON is asked for.
pub(super) fn exit(error: &Error, arguments: &[std::ffi::OsString]) -> ! {
    let json = arguments.iter().skip(1).take_while(|word| *word != "--").any(|word| word == "--json");
    if json && error.use_stderr() {
        let text = error.render().to_string();
        let text = text.trim().trim_start_matches("error: ");
        eprintln!("{}", serde_json::json!({ "error": text }));
        std::process::exit(error.exit_code());
    }
    error.exit()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        let node = clap::Arg::new("node").long("node").env("PATH").value_name("URL");
        let wait = Command::new("wait").arg(clap::Arg::new("goal").required(true).value_name("EXPRESSION")).arg(node);
        Command::new("swoosh").subcommand(wait)
    }

    /// A missing key was a missing argument alone: not how to make one, nor where commands look for it.
    #[test]
    fn a_missing_key_leads_to_keygen_and_the_variable() {
        let key = clap::Arg::new("key").long("key").required(true).value_name("FILE");
        let command = Command::new("swoosh").subcommand(Command::new("propose").arg(key));
        let arguments: Vec<std::ffi::OsString> = ["swoosh", "propose"].map(Into::into).into();
        let mut error = command.clone().try_get_matches_from(&arguments).unwrap_err();
        without_environment(&mut error, command, &arguments);
        let said = error.to_string();
        assert!(said.contains("swoosh keygen") && said.contains("SWOOSH_KEY"), "{said}");
    }

    /// With `.envrc` loaded, the usage line named --project and --node as if they were required.
    #[test]
    fn a_usage_line_does_not_list_what_the_environment_gives() {
        let arguments: Vec<std::ffi::OsString> = ["swoosh", "wait"].map(Into::into).into();
        let mut error = command().try_get_matches_from(&arguments).unwrap_err();
        assert!(error.to_string().contains("--node <URL>"), "clap lists it: {error}");
        without_environment(&mut error, command(), &arguments);
        let said = error.to_string();
        assert!(said.contains("Usage: swoosh wait [OPTIONS] <EXPRESSION>") && !said.contains("--node"), "{said}");
    }
}
