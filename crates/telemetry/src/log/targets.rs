//! Names of modules in a filter, as the crates of the workspace have them.

/// Modules that a filter may name as `swoosh::NAME`, and the module paths that their lines come from.
const MODULES: [(&str, &str); 16] = [
    ("client", "swoosh_client"),
    ("decisions", "swoosh_decisions"),
    ("effects", "swoosh_effects"),
    ("facts", "swoosh_facts"),
    ("http", "swoosh_http"),
    ("hybridcore", "swoosh_hybridcore"),
    ("ingress", "swoosh_http"),
    ("journal", "swoosh_journal"),
    ("lab", "swoosh_lab"),
    ("machine", "swoosh_machine"),
    ("migration", "swoosh_migration"),
    ("node", "swoosh_node"),
    ("platform", "swoosh_platform"),
    ("sequencer", "swoosh_sequencer"),
    ("settings", "swoosh_settings"),
    ("upstreams", "swoosh_hybridcore::upstreams"),
];

/// Crates that were modules of `cli`, where the node and the laboratory began.
const ONCE_CLI: [&str; 2] = ["swoosh_node", "swoosh_lab"];

/// The filter with the module paths that lines have: `swoosh::facts::kaching=debug` is `swoosh_facts::kaching=debug`.
pub(super) fn by_crate(filter: &str) -> String {
    let directives: Vec<String> = filter.split(',').map(|directive| translate(directive.trim())).collect();
    directives.join(",")
}

fn translate(directive: &str) -> String {
    let Some(rest) = directive.strip_prefix("swoosh::") else { return directive.to_owned() };
    let end = rest.find([':', '=']).unwrap_or(rest.len());
    let (module, tail) = rest.split_at(end);
    if module == "cli" && tail.starts_with('=') {
        let others = ONCE_CLI.map(|name| format!("{name}{tail}"));
        return format!("{directive},{}", others.join(","));
    }
    if let Some(inner) = rest.strip_prefix("cli::serve") {
        return format!("swoosh_node{inner}");
    }
    match MODULES.iter().find(|(name, _)| *name == module) {
        Some((_, path)) => format!("{path}{tail}"),
        None => directive.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_found_in_their_crates_and_other_targets_stay() {
        let filter = "info, swoosh::facts::kaching=debug,swoosh::ingress=off,swoosh::upstreams=warn";
        let found = "info,swoosh_facts::kaching=debug,swoosh_http=off,swoosh_hybridcore::upstreams=warn";
        assert_eq!(by_crate(filter), found);
        let same = "warn,swoosh=debug,swoosh::transition=off,hyper_util=info,swoosh_facts=debug";
        assert_eq!(by_crate(same), same);
    }

    /// The node's own lines came from `swoosh::cli` before it was a crate; a filter that names them keeps its meaning.
    #[test]
    fn a_level_for_the_command_line_is_one_for_the_node_and_the_lab_too() {
        assert_eq!(by_crate("info,swoosh::cli=debug"), "info,swoosh::cli=debug,swoosh_node=debug,swoosh_lab=debug");
        assert_eq!(by_crate("info,swoosh::cli::serve=off"), "info,swoosh_node=off");
        assert_eq!(by_crate("info,swoosh::cli::serve::node=off"), "info,swoosh_node::node=off");
        assert_eq!(by_crate("info,swoosh::cli::windows=off"), "info,swoosh::cli::windows=off");
    }
}
