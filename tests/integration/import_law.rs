//! The import law (docs/architecture.md#the-import-law): which module of `src/` may import which.
//!
//! Read from the source itself: every `use` and every path in the code, outside of `#[cfg(test)]`. A new
//! top-level module must be entered here before it may exist.

use std::path::Path;

use super::source::{SourceFile, file, files, paths};

/// Every top-level module and what it may import. `machine::facts` allows that submodule alone.
const LAW: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("machine", &["types"]),
    ("verify", &["types"]),
    // The table of facts holds `machine::facts::FactSet`, which guards read.
    ("facts", &["types", "platform", "machine::facts"]),
    ("journal", &["types", "machine"]),
    ("sequencer", &["types", "verify", "machine", "facts", "journal"]),
    ("decisions", &["types", "journal"]),
    ("effects", &["types", "journal", "hybridcore", "upstreams"]),
    ("hybridcore", &["types"]),
    // Fetches with the one implementation of git that there is.
    ("upstreams", &["types", "hybridcore"]),
    ("cluster", &["types", "machine", "journal"]),
    // Of the sequencer its handle and its queries, which are what it exports.
    ("ingress", &["types", "sequencer"]),
    ("migration", &["types", "client"]),
    ("client", &["types"]),
    ("telemetry", &["types"]),
    ("platform", &["types"]),
    ("settings", &["types"]),
    ("cli", ANY),
    ("simulation", ANY),
    ("main", &["cli"]),
    ("bin", &["cli"]),
];

/// Everything but `simulation`, which `cli::chaos` alone imports.
const ANY: &[&str] = &["*"];

/// Breaches of the law in one file, as `path:line: what is wrong`.
fn breaches(file: &SourceFile) -> Vec<String> {
    let Some(module) = file.module.first() else { return Vec::new() };
    let Some((_, allowed)) = LAW.iter().find(|(name, _)| name == module) else {
        return vec![format!("{}:1: the import law knows no module {module}; enter it in LAW", file.path)];
    };
    // One command runs the simulation.
    let runs_it = file.module.starts_with(&["cli".to_owned(), "chaos".to_owned()]);
    let ours = paths(&file.module, &file.shipped).into_iter().filter_map(|named| {
        let root = named.path.first()?;
        let of_us = root == "crate" || (module == "main" && root == "swoosh");
        of_us.then(|| (named.line, named.path[1..].to_vec()))
    });
    ours.filter(|(_, path)| path.first() != Some(module) && !is_allowed(allowed, path))
        .filter(|(_, path)| !(runs_it && path.first().is_some_and(|first| first == "simulation")))
        .map(|(line, path)| {
            let path = path.join("::");
            format!("{}:{line}: {module} may not import {path}; it may import {allowed:?}", file.path)
        })
        .collect()
}

fn is_allowed(allowed: &[&str], path: &[String]) -> bool {
    let known = path.first().is_some_and(|first| LAW.iter().any(|(name, _)| name == first && *name != "main"));
    let prefix = |rule: &str| {
        let rule: Vec<&str> = rule.split("::").collect();
        path.len() >= rule.len() && rule.iter().zip(path).all(|(rule, own)| rule == own)
    };
    let any = allowed == ANY && path.first().is_some_and(|first| first != "simulation");
    known && (any || allowed.iter().any(|rule| prefix(rule)))
}

#[test]
fn no_module_imports_what_the_law_does_not_allow() {
    let breaches: Vec<String> = files().iter().flat_map(breaches).collect();
    assert!(breaches.is_empty(), "the import law is broken:\n{}", breaches.join("\n"));
}

fn breaches_of(path: &str, text: &str) -> Vec<String> {
    breaches(&file(Path::new(path), text))
}

#[test]
fn breaches_are_found_in_whatever_form_they_are_written() {
    for text in [
        "use crate::journal::Journal;",
        "use crate::{types::hash::Hash, journal};",
        "use crate::{\n    types::{hash::Hash, hlc},\n    journal::{Journal as J},\n};",
        "pub(crate) use super::super::journal;",
        "use super::{chart, super::journal::Journal};",
        "fn f() -> crate::journal::Journal { panic!() }",
        "mod inner { use super::super::super::journal::Journal; }",
        "macro_rules! m { () => { $crate::journal::open() } }",
        "use crate::*;",
        "use crate::unheard_of::Thing;",
        "#[cfg(test)] mod tests { fn f() {} } use crate::journal::Journal;",
        "const QUOTE: char = '\"'; use crate::journal::Journal; const OTHER: char = '\"';",
    ] {
        let found = breaches_of("src/machine/guards.rs", text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
    }
}

#[test]
fn what_the_law_allows_and_what_is_no_import_passes() {
    for text in [
        "use crate::types::hash::Hash; use super::chart::{self, spec}; use self::inner::x;",
        "// use crate::journal::Journal;\n/* crate::journal /* nested */ crate::journal */",
        "const TEXT: &str = \"use crate::journal;\"; const RAW: &str = r#\"crate::journal::\"x\"#;",
        "#[cfg(test)]\nmod tests { use crate::journal::Journal; }",
        "#[cfg(test)]\nuse crate::journal::{Journal, Wal};\nfn f<'a>(c: &'a char) -> bool { *c == '\\'' }",
        "pub(crate) fn journal() { let journal = std::cmp::max(1, 2); serde::journal::x() }",
        "mod inner { use super::super::chart; }",
    ] {
        assert_eq!(breaches_of("src/machine/guards.rs", text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn a_rule_for_a_submodule_allows_that_submodule_alone() {
    assert!(breaches_of("src/facts/table.rs", "use crate::machine::facts::FactSet;").is_empty());
    assert_eq!(breaches_of("src/facts.rs", "use crate::machine::state::State;").len(), 1);
    assert_eq!(breaches_of("src/facts.rs", "use crate::machine;").len(), 1);
}

#[test]
fn a_module_that_the_law_does_not_know_is_a_breach() {
    assert_eq!(breaches_of("src/novelty.rs", "fn f() {}").len(), 1);
    assert_eq!(breaches_of("src/novelty/inner.rs", "").len(), 1);
}

#[test]
fn nobody_but_the_simulation_remembers_signatures() {
    let may = |module: &[String]| {
        let starts = |with: &[&str]| module.len() >= with.len() && with.iter().zip(module).all(|(a, b)| a == b);
        starts(&["types", "keys"]) || starts(&["simulation"])
    };
    let named = files().into_iter().filter(|file| file.shipped.iter().any(|token| token.text == "Remembering"));
    let (allowed, breaches): (Vec<_>, Vec<_>) = named.partition(|file| may(&file.module));
    assert_eq!(breaches.into_iter().map(|file| file.path).collect::<Vec<_>>(), Vec::<String>::new());
    assert!(allowed.len() > 1, "the name is looked for that it has");
}

#[test]
fn one_command_imports_the_simulation_and_main_imports_the_command_line_alone() {
    assert_eq!(breaches_of("src/cli/demo.rs", "use crate::simulation::World;").len(), 1);
    assert!(breaches_of("src/cli/chaos/sim.rs", "use crate::simulation::run;").is_empty());
    assert!(breaches_of("src/simulation/world.rs", "use crate::journal::Journal;").is_empty());
    assert!(breaches_of("src/main.rs", "fn main() { swoosh::cli::main() }").is_empty());
    assert_eq!(breaches_of("src/main.rs", "use swoosh::journal::Journal;").len(), 1);
}

#[test]
fn a_breach_is_told_with_its_file_and_line() {
    let found = breaches_of("src/types/hash.rs", "//! Hashes.\n\nuse crate::{\n    machine,\n};\n");
    assert_eq!(found, ["src/types/hash.rs:4: types may not import machine; it may import []"]);
}
