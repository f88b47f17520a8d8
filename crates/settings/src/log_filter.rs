//! Checks `log.level`. The subscriber takes almost any word for the name of a module and then logs nothing else: a typo
//! would silence the node.

/// Levels by name; numbers are read too, as the subscriber does.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Modules of this program whose lines have levels of their own.
const MODULES: [&str; 20] = [
    "cli",
    "client",
    "cluster",
    "decisions",
    "effects",
    "facts",
    "http",
    "hybridcore",
    "ingress",
    "journal",
    "lab",
    "machine",
    "migration",
    "node",
    "platform",
    "refusal",
    "sequencer",
    "settings",
    "transition",
    "upstreams",
];

/// The error in a filter, and its correction.
pub(super) fn check(filter: &str) -> Result<(), String> {
    let directives: Vec<&str> = filter.split(',').map(str::trim).collect();
    directives.iter().try_for_each(|directive| check_directive(directive))?;
    let for_all = |directive: &&str| is_level(directive) || directive.starts_with("swoosh=");
    match directives.iter().any(for_all) {
        true => Ok(()),
        false => Err(format!("{filter:?} sets no level for the whole program, so only the named modules would log")),
    }
}

fn check_directive(directive: &str) -> Result<(), String> {
    let Some((target, level)) = directive.split_once('=') else {
        let what = format!("{directive:?} is no level; there are {}", LEVELS.join(", "));
        return if is_level(directive) { Ok(()) } else { Err(what) };
    };
    if !is_level(level) {
        return Err(format!("{level:?} is no level; there are {}", LEVELS.join(", ")));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "_:-".contains(c);
    if target.is_empty() || !target.chars().all(plain) {
        return Err(format!("{target:?} is no module; write one such as swoosh::sequencer"));
    }
    let inner = target.strip_prefix("swoosh::").or_else(|| target.strip_prefix("swoosh_"));
    let Some(inner) = inner else {
        return if target.starts_with("swoosh:") { Err(format!("{target:?} is no module")) } else { Ok(()) };
    };
    let module = inner.split("::").next().unwrap_or_default();
    match MODULES.contains(&module) {
        true => Ok(()),
        false => Err(format!("there is no module swoosh::{module}; there are {}", MODULES.join(", "))),
    }
}

fn is_level(word: &str) -> bool {
    LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_levels_by_module_pass() {
        for filter in [
            "info",
            "OFF",
            "info,swoosh::sequencer=debug",
            "warn, swoosh::transition=off ,hyper_util=trace",
            "swoosh=debug",
            "info,swoosh::facts::kaching=debug",
            "info,swoosh_facts::kaching=debug",
        ] {
            assert_eq!(check(filter), Ok(()), "{filter}");
        }
    }

    #[test]
    fn what_would_silence_the_node_or_mean_nothing_is_refused() {
        for filter in [
            "",
            "loud",
            "infos",
            "info,",
            "swoosh",
            "swoosh::facts",
            "hyper=debug",
            "swoosh::facts=debug",
            "info,swoosh::fcts=debug",
            "info,swoosh:facts=debug",
            "info,swoosh_fcts=debug",
            "info,=debug",
            "info,swoosh=loud",
            "info,[span{id}]=trace",
            "info debug",
        ] {
            assert!(check(filter).is_err(), "{filter}");
        }
    }

    #[test]
    fn every_crate_that_logs_can_be_named() {
        let folders = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).unwrap();
        let names = folders.map(|entry| entry.unwrap().path().file_name().unwrap().to_str().unwrap().to_owned());
        let silent = [
            "chart",
            "features",
            "files",
            "fuzz",
            "simulation",
            "standins",
            "terminal",
            "types",
            "telemetry",
            "testkit",
        ];
        for name in names.filter(|name| !silent.contains(&name.as_str())) {
            assert!(MODULES.contains(&name.as_str()), "crates/{name} is missing");
        }
    }
}
