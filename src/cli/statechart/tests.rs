//! Defects planted in the chart, each of which the check must find, and what the commands answer.

use super::*;

/// The embedded chart with one piece of text replaced, which must be there exactly once.
fn planted(old: &str, new: &str) -> Vec<String> {
    assert_eq!(EMBEDDED.matches(old).count(), 1, "the defect must be planted in exactly one place: {old}");
    let chart = Statechart::read("planted", &EMBEDDED.replace(old, new));
    chart.err().map(|error| error.problems()).unwrap_or_default()
}

/// Plants a defect and looks for a problem.
fn finds(old: &str, new: &str, problem: &str) {
    let problems = planted(old, new);
    assert!(problems.iter().any(|found| found.contains(problem)), "no {problem:?} among {problems:#?}");
}

/// One transition's block, from its name to the blank line or the next name.
fn block(name: &str) -> String {
    let from = EMBEDDED.find(&format!("\n  {name}:\n")).unwrap() + 1;
    let lines = EMBEDDED[from..].split_inclusive('\n');
    let own = |line: &&str| line.starts_with("    ");
    EMBEDDED[from..].split_inclusive('\n').take(1).chain(lines.skip(1).take_while(own)).collect()
}

/// Replaces text within one transition.
fn finds_in(name: &str, old: &str, new: &str, problem: &str) {
    let block = block(name);
    assert!(block.contains(old), "{name} has no {old}");
    finds(&block, &block.replacen(old, new, 1), problem);
}

#[test]
fn the_embedded_chart_is_well_formed_and_hashes_as_the_machine_was_built() {
    let chart = Statechart::embedded().unwrap();
    assert_eq!(chart.version(), crate::machine::chart::VERSION);
    assert_eq!(chart.schema_hash(), crate::machine::chart::SCHEMA_HASH);
}

#[test]
fn prose_does_not_change_the_schema_hash_and_structure_does() {
    let hash = |old: &str, new: &str| Statechart::read("t", &EMBEDDED.replacen(old, new, 1)).unwrap().schema_hash();
    let own = hash("", "");
    assert_eq!(hash("doc: The license is good", "doc: The license is very good"), own);
    assert_eq!(hash("doc: The proposal's signature", "doc: A proposal's signature"), own);
    assert_eq!(hash("remedy: Flatten the inputs.", "remedy: Nest them less."), own);
    assert_eq!(hash("summary: \"The license is good; ", "summary: \"The license is fine; "), own);
    assert_ne!(hash("  submissions: 64", "  submissions: 65"), own);
    assert_ne!(hash("version: 2", "version: 3"), own);
    assert_ne!(hash("    since: {ready: 2}\n", ""), own);
}

#[test]
fn an_unreachable_state_is_found() {
    let states = "[ACTIVE, TERMINATED]";
    finds(states, "[ACTIVE, LIMBO, TERMINATED]", "region control: LIMBO cannot be reached");
}

#[test]
fn a_dead_end_is_found() {
    finds("    resting: [LICENSED]\n", "", "region boot: LICENSED has no way out");
    finds(&block("Council_ProfilesLoaded"), "", "region council: PLAN_ROLES has no way out");
}

#[test]
fn a_way_out_of_a_terminal_state_is_found() {
    let policy = "states: [CLEAR, QUARANTINED, TERMINATED]\n    terminal: [TERMINATED]";
    let more = "states: [CLEAR, QUARANTINED, TERMINATED]\n    terminal: [TERMINATED, CLEAR]";
    finds(policy, more, "region policy: CLEAR is terminal but has a way out");
}

#[test]
fn a_state_named_twice_is_found() {
    finds("[ACTIVE, TERMINATED]", "[ACTIVE, TERMINATED, ACTIVE]", "region control: a state is named twice");
}

#[test]
fn a_region_without_states_or_op_class_is_found() {
    finds("states: [ACTIVE, TERMINATED]", "states: []", "region control: has no states");
    finds("  policy: Quarantine and release.\n", "", "region policy: there is no op class of its name");
}

#[test]
fn a_terminal_or_resting_state_that_is_none_of_the_region_is_found() {
    finds("resting: [LICENSED]", "resting: [LICENSED, LIMBO]", "region boot: LIMBO is not one of its states");
}

#[test]
fn unknown_names_in_a_transition_are_found() {
    let name = "Execution_PlanLocked";
    finds_in(name, "region: execution", "region: executing", "there is no region executing");
    finds_in(name, "from: [PLAN]", "from: [PLANS]", "there is no state PLANS");
    finds_in(name, "to: [WORK]", "to: [WORKS]", "there is no state WORKS");
    finds_in(name, "[pin]", "[pins]", "there is no guard pins");
    finds_in(name, "voter]", "elector]", "there is no role elector");
    finds_in(name, "window: plan", "window: plans", "there is no window class plans");
    finds_in("Boot_Licensed", "opens: [resolve, ", "opens: [solve, ", "there is no effect solve");
    finds_in("Council_Eject", "cancels: [probe]", "cancels: [probes]", "there is no effect probes");
    finds_in("Council_McpGreen", "closes: probe", "closes: probes", "there is no effect probes");
}

#[test]
fn a_transition_without_states_or_signers_is_found() {
    finds_in("Control_Pause", "to: [ACTIVE]", "to: []", "transition Control_Pause: leads nowhere");
    finds_in("Control_Pause", "signers: [operator]", "signers: []", "transition Control_Pause: it has no signers");
}

#[test]
fn a_later_guard_that_no_project_could_be_asked_for_is_found() {
    let name = "Execution_Submit";
    finds_in(name, "{ready: 2}", "{pin: 2}", "since names pin, which is not one of its guards");
    finds_in(name, "{ready: 2}", "{ready: 3}", "ready cannot be asked since version 3");
    finds_in(name, "{ready: 2}", "{ready: 1}", "ready cannot be asked since version 1");
}

#[test]
fn an_unused_guard_is_found() {
    finds(
        "  chart:\n    doc: The chart's version",
        "  spare:\n    doc: Unused.\n  chart:\n    doc: The chart's version",
        "guard spare: no transition",
    );
}

#[test]
fn an_effect_without_an_unknown_outcome_is_found() {
    finds("unknown: Council_McpRed, ", "", "missing field `unknown`");
    finds("unknown: Council_McpRed", "unknown: Council_Gone", "effect probe: Council_Gone does not close it");
    finds("unknown: Council_McpRed", "unknown: Council_ReElect", "effect probe: Council_ReElect does not close it");
}

#[test]
fn an_effect_without_success_or_failure_is_found() {
    finds("success: [Council_McpGreen]", "success: []", "effect probe: names no success or no failure");
    finds("failure: [Council_McpRed]", "failure: []", "effect probe: names no success or no failure");
}

#[test]
fn an_effect_that_nothing_opens_or_that_belongs_nowhere_is_found() {
    let opens = "    opens: [healthcheck]\n";
    let unopened = EMBEDDED.replace(opens, "");
    let problems = Statechart::read("planted", &unopened).err().unwrap().problems();
    assert_eq!(problems, ["effect healthcheck: no transition opens it"]);
    finds("region: council, state: TOOLING_SYNC", "region: council, state: SYNC", "there is no state council/SYNC");
}

#[test]
fn an_outcome_that_its_effect_does_not_name_is_found() {
    finds(
        "failure: [Ingestion_ValidateFailed, Ingestion_PolicyViolation]",
        "failure: [Ingestion_ValidateFailed]",
        "transition Ingestion_PolicyViolation: effect validate does not name it as an outcome",
    );
}

#[test]
fn an_outcome_that_does_not_name_its_effect_is_found() {
    let problem = "an outcome needs the guard and the input `effect`";
    finds_in("Council_McpRed", "guards: [effect, coverage]", "guards: []", problem);
    finds_in("Council_McpRed", "effect: EffectId, ", "", problem);
}

#[test]
fn an_outcome_that_starts_where_its_effect_is_not_open_is_found() {
    let problem = "transition Council_McpRed: must start from council/TOOLING_SYNC, where probe is open";
    finds_in("Council_McpRed", "from: [TOOLING_SYNC]", "from: [TOOLING_SYNC, READY]", problem);
}

#[test]
fn unknown_names_in_what_passes_are_found() {
    finds("expired: {regions: [control, policy]", "expired: {regions: [control, police]", "there is no region police");
    finds(
        "recovery: {regions: [control, policy, council], transitions: [Boot_IdentityGranted",
        "recovery: {regions: [control, policy, council], transitions: [Boot_IdentityGiven",
        "there is no transition Boot_IdentityGiven",
    );
    finds("  paused: {", "  halted: {", "blocked: must be exactly");
}

#[test]
fn a_repeated_name_is_found_everywhere() {
    finds(&block("Control_Pause"), &block("Control_Pause").repeat(2), "duplicate entry");
    finds("    doc: No release of", "    doc: A.\n    doc: No release of", "duplicate entry");
    finds("  health:\n    doc:", "  health:\n    doc: A.\n  health:\n    doc:", "duplicate entry");
    finds_in("Control_Pause", "{rationale: Rationale}", "{rationale: Rationale, rationale: Hash}", "duplicate entry");
}

#[test]
fn unknown_and_mistyped_members_are_found() {
    finds_in("Control_Pause", "guards: []", "guards: []\n    colour: red", "unknown field `colour`");
    finds("version: 2\n", "version: one\n", "version: invalid type");
    finds("version: 2\n", "version: 9007199254740992\n", "9007199254740992 is not a whole number");
    finds_in("Control_Pause", "rationale: Rationale", "Rationale: Rationale", "input Rationale is not in snake case");
}

#[test]
fn all_problems_are_reported_together() {
    let block = block("Control_Pause");
    let worse = block.replace("to: [ACTIVE]", "to: [LIMBO]").replace("signers: [operator]", "signers: [stranger]");
    let problems = planted(&block, &worse);
    assert_eq!(problems.len(), 2, "{problems:?}");
}

#[test]
fn every_transition_and_every_state_is_in_the_diagram_and_in_the_tables() {
    let chart = Statechart::embedded().unwrap();
    let (diagram, tables) = (chart.diagram(), chart.tables());
    for name in chart.chart.transitions.keys() {
        assert!(diagram.contains(name.as_str()), "{name} is not in the diagram");
        assert!(tables.contains(&format!("\n| `{name}` | ")), "{name} has no row");
    }
    for (region, spec) in &chart.chart.regions {
        for state in &spec.states {
            assert!(diagram.contains(&format!("state \"{state}\" as {region}_{state}\n")), "{region}/{state}");
        }
    }
    let names = chart.chart.guards.keys().chain(chart.chart.effects.keys()).chain(chart.chart.roles.keys());
    names.for_each(|name| assert!(tables.contains(&format!("\n| `{name}` | ")), "{name} has no row"));
}

#[test]
fn braces_of_the_diagram_match_and_every_arrow_joins_declared_states() {
    let diagram = Statechart::embedded().unwrap().diagram();
    assert_eq!(diagram.matches('{').count(), diagram.matches('}').count());
    let declared = |id: &str| id == "[*]" || diagram.contains(&format!("\" as {id}"));
    for line in diagram.lines().filter(|line| line.contains(" --> ")) {
        let (from, rest) = line.trim().split_once(" --> ").unwrap();
        let to = rest.split(" : ").next().unwrap();
        assert!(declared(from) && declared(to), "{line}");
    }
}

#[test]
fn rows_have_as_many_cells_as_their_heading() {
    let tables = Statechart::embedded().unwrap().tables();
    let mut width = 0;
    for line in tables.lines() {
        let cells = line.replace("\\|", "").matches('|').count();
        assert!(width == 0 || cells == 0 || cells == width, "{line}");
        width = cells;
    }
}

fn command(action: Action) -> Answer {
    StatechartCommand { action }.answer()
}

#[test]
fn check_answers_with_the_version_and_the_hash() {
    let answer = command(Action::Check(Source { file: None }));
    assert!(answer.ok && answer.text.starts_with("The statechart is well formed: version 2, 7 regions"), "{answer:?}");
    assert_eq!(answer.json["ok"], true);
    assert_eq!(answer.json["problems"], json!([]));
    assert_eq!(answer.json["version"], 2);
    assert_eq!(answer.json["schema_hash"], crate::machine::chart::SCHEMA_HASH.to_string());
}

#[test]
fn every_command_refuses_a_bad_chart_and_a_missing_file() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.yaml");
    std::fs::write(&bad, EMBEDDED.replace("[ACTIVE, TERMINATED]", "[ACTIVE, LIMBO, LIMBO, TERMINATED]")).unwrap();
    for action in [Action::Check, Action::Render, Action::Table] {
        let answer = command(action(Source { file: Some(bad.clone()) }));
        assert!(!answer.ok);
        assert!(answer.text.lines().count() >= 2 && answer.text.contains("a state is named twice"), "{answer:?}");
        assert_eq!(answer.json["problems"].as_array().unwrap().len(), answer.text.lines().count());
        let missing = command(action(Source { file: Some(folder.path().join("none.yaml")) }));
        assert!(!missing.ok && missing.text.contains("none.yaml cannot be read"), "{missing:?}");
    }
}

/// The command as the top level mounts it.
#[derive(Debug, clap::Parser)]
enum Probe {
    Statechart(StatechartCommand),
}

fn help(arguments: &[&str]) -> String {
    use clap::Parser as _;
    Probe::try_parse_from(arguments).unwrap_err().to_string()
}

#[test]
fn the_command_line_is_consistent_and_reads_its_file() {
    use clap::{CommandFactory as _, Parser as _};
    Probe::command().debug_assert();
    let Probe::Statechart(none) = Probe::try_parse_from(["swoosh", "statechart", "check"]).unwrap();
    assert!(none.answer().ok);
    let Probe::Statechart(named) = Probe::try_parse_from(["swoosh", "statechart", "table", "none.yaml"]).unwrap();
    assert!(named.answer().text.starts_with("none.yaml cannot be read"));
}

#[test]
fn help_says_what_is_checked_and_shows_examples() {
    assert!(help(&["swoosh", "statechart", "--help"]).contains("Without FILE every command works on that copy"));
    let check = help(&["swoosh", "statechart", "check", "--help"]);
    assert!(check.contains("every state can be reached") && check.contains("exits with 1"), "{check}");
    assert!(check.contains("swoosh statechart check statechart.yaml"), "{check}");
}
