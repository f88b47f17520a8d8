//! The chart as a list for a terminal, whose lines fit its width.

use super::model::{Chart, Effect, Passes, Transition};
use super::tables::{always, effects_of, guards_of};
use crate::cli::output::wrapped;

/// Everything that the Markdown tables have, but for the types of inputs.
pub fn list(chart: &Chart) -> String {
    let mut parts = vec![block(
        "Regions",
        chart.regions.iter().map(|(name, region)| {
            let ends = region.terminal.join(", ");
            let ends = if ends.is_empty() { ends } else { format!("; ends in {ends}") };
            (name.clone(), vec![region.doc.clone(), format!("{}{ends}", region.states.join(", "))])
        }),
    )];
    for region in chart.regions.keys() {
        let of = chart.transitions.iter().filter(|(_, transition)| transition.region == *region);
        let listed = block(&format!("Transitions of {region}"), of.map(|(name, found)| transition(name, found)));
        let (title, rest) = listed.split_once('\n').unwrap_or((&listed, ""));
        let guards = wrapped(&format!("  each also carries the guards {}", always(chart, region)));
        parts.push(format!("{title}\n{guards}\n{rest}"));
    }
    parts.push(block("Guards", chart.guards.iter().map(|(name, guard)| (name.clone(), vec![guard.doc.clone()]))));
    parts.push(block("Effects", chart.effects.iter().map(|(name, found)| effect(name, found))));
    let named = [("Roles", &chart.roles), ("Window classes", &chart.window_classes), ("Op classes", &chart.op_classes)];
    for (title, words) in named {
        parts.push(block(title, words.iter().map(|(name, doc)| (name.clone(), vec![doc.clone()]))));
    }
    let blocked = chart.blocked.iter().map(|(name, passes)| blocked(name, passes));
    parts.push(block("What passes while a project is blocked", blocked));
    let bounds =
        chart.bounds.iter().map(|(name, most)| (format!("{}: at most {most}", name.replace('_', " ")), vec![]));
    parts.push(block("Bounds of the state's lists", bounds));
    parts.push(wrapped("`swoosh inputs TRANSITION` has the inputs of each transition; a pipe gets Markdown."));
    parts.join("\n\n")
}

/// A title, and entries with lines below each.
fn block(title: &str, entries: impl Iterator<Item = (String, Vec<String>)>) -> String {
    let mut lines = vec![format!("{title}:")];
    for (entry, below) in entries {
        lines.push(wrapped(&format!("  {entry}")));
        let below = below.into_iter().filter(|line| !line.trim().is_empty());
        lines.extend(below.map(|line| wrapped(&format!("      {}", line.trim().replace('\n', " ")))));
    }
    lines.join("\n")
}

fn transition(name: &str, found: &Transition) -> (String, Vec<String>) {
    let to = if found.stays() { "stays".to_owned() } else { found.to.join(" or ") };
    let inputs: Vec<&str> = found.inputs.keys().map(String::as_str).collect();
    let compensation = if found.compensation { "a compensation" } else { "" };
    let parts = [
        ("signed by ", found.signers.join(", ")),
        ("guards ", guards_of(found)),
        ("window ", found.window.clone().unwrap_or_default()),
        ("", effects_of(found)),
        ("", compensation.to_owned()),
        ("inputs ", inputs.join(", ")),
    ];
    let parts = parts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(word, text)| format!("{word}{text}"));
    let about = parts.collect::<Vec<_>>().join("; ");
    (format!("{name}: {} → {to}", found.from.join(" or ")), vec![found.doc.clone(), about])
}

fn effect(name: &str, found: &Effect) -> (String, Vec<String>) {
    let outcomes = format!(
        "success {}; failure {}; unknown result {}",
        found.success.join(", "),
        found.failure.join(", "),
        found.unknown
    );
    (format!("{name}, open in {} {}", found.region, found.state), vec![found.doc.clone(), outcomes])
}

fn blocked(name: &str, passes: &Passes) -> (String, Vec<String>) {
    let compensations = if passes.compensations { "compensations" } else { "" };
    let regions = match &passes.regions[..] {
        [] => String::new(),
        regions => format!("every transition of {}", regions.join(", ")),
    };
    let parts = [regions, passes.transitions.join(", "), compensations.to_owned()];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    (name.to_owned(), vec![parts.join("; ")])
}
