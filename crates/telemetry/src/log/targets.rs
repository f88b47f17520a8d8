//! Names of modules in a filter, as the crates of the workspace have them.

/// Modules that a filter may name as `swoosh::NAME`, and the module paths that their lines come from.
const MODULES: [(&str, &str); 14] = [
    ("client", "swoosh_client"),
    ("decisions", "swoosh_decisions"),
    ("effects", "swoosh_effects"),
    ("facts", "swoosh_facts"),
    ("http", "swoosh_http"),
    ("hybridcore", "swoosh_hybridcore"),
    ("ingress", "swoosh_http"),
    ("journal", "swoosh_journal"),
    ("machine", "swoosh_machine"),
    ("migration", "swoosh_migration"),
    ("platform", "swoosh_platform"),
    ("sequencer", "swoosh_sequencer"),
    ("settings", "swoosh_settings"),
    ("upstreams", "swoosh_hybridcore::upstreams"),
];

/// The filter with the module paths that lines have: `swoosh::facts::kaching=debug` is `swoosh_facts::kaching=debug`.
pub(super) fn by_crate(filter: &str) -> String {
    let directives: Vec<String> = filter.split(',').map(|directive| translate(directive.trim())).collect();
    directives.join(",")
}

fn translate(directive: &str) -> String {
    let Some(rest) = directive.strip_prefix("swoosh::") else { return directive.to_owned() };
    let end = rest.find([':', '=']).unwrap_or(rest.len());
    let (module, tail) = rest.split_at(end);
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
        let same = "warn,swoosh=debug,swoosh::transition=off,swoosh::cli=trace,hyper_util=info,swoosh_facts=debug";
        assert_eq!(by_crate(same), same);
    }
}
