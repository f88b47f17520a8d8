//! The chart as Markdown tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::model::{Chart, Effect, Passes, Transition};

/// All tables, each under a heading of the third level.
pub fn tables(chart: &Chart) -> String {
    let mut out = String::new();
    push_regions(&mut out, chart);
    chart.regions.keys().for_each(|region| push_transitions(&mut out, chart, region));
    push_guards(&mut out, chart);
    push_effects(&mut out, chart);
    push_roles(&mut out, chart);
    push_windows(&mut out, chart);
    push_words(&mut out, "Op classes", ["op class", "of keys for"], &chart.op_classes);
    push_blocked(&mut out, chart);
    push_bounds(&mut out, chart);
    out.trim_start().to_owned()
}

fn push_regions(out: &mut String, chart: &Chart) {
    let rows = chart.regions.iter().map(|(name, region)| {
        let (first, rest) = (region.states.first().map(String::as_str).unwrap_or_default(), region.states.get(1..));
        [code(name), region.doc.clone(), code(first), codes(rest), codes(Some(&region.terminal))]
    });
    push_table(out, "Regions", ["region", "purpose", "begins in", "then", "ends in"], rows);
}

fn push_transitions(out: &mut String, chart: &Chart, region: &str) {
    let _ = writeln!(out, "\n### Transitions of {region}\n\nEach also carries the guards {}.", always(chart, region));
    let rows = chart.transitions.iter().filter(|(_, t)| t.region == region).map(|(name, t)| {
        [
            code(name),
            t.doc.clone(),
            codes(Some(&t.from)),
            if t.stays() { "stays".into() } else { codes(Some(&t.to)) },
            t.signers.join(", "),
            or_none(guards_of(t)),
            or_none(t.window.clone().unwrap_or_default()),
            or_none(effects_of(t)),
            (if t.compensation { "yes" } else { "–" }).to_owned(),
            inputs_of(t),
        ]
    });
    let heads =
        ["transition", "meaning", "from", "to", "signers", "guards", "window", "effects", "compensation", "inputs"];
    push_rows(out, heads, rows);
}

/// The guards that every transition of a region carries.
pub(super) fn always(chart: &Chart, region: &str) -> String {
    let licensed = chart.licensed_regions.iter().any(|name| name == region);
    let extra: &[String] = if licensed { &chart.licensed_guards } else { &[] };
    let names: Vec<_> = chart.base_guards.iter().chain(extra).map(String::as_str).collect();
    let boot = if licensed { ", and boot must be LICENSED" } else { "" };
    let windowed = chart.transitions.values().any(|t| t.region == region && t.window.is_some());
    let window = if windowed { "; one with a window carries `window` too" } else { "" };
    format!("{}{boot}{window}", names.join(", "))
}

/// The guards of a transition, and since which version of the chart those are asked that came later.
pub(super) fn guards_of(transition: &Transition) -> String {
    let shown = transition.guards.iter().map(|guard| match transition.since.get(guard) {
        Some(version) => format!("{guard} (since version {version})"),
        None => guard.clone(),
    });
    shown.collect::<Vec<_>>().join(", ")
}

pub(super) fn effects_of(transition: &Transition) -> String {
    let part = |verb: &str, names: &[String]| match names {
        [] => None,
        names => Some(format!("{verb} {}", names.join(", "))),
    };
    let closes: Vec<String> = transition.closes.iter().cloned().collect();
    let parts = [part("closes", &closes), part("opens", &transition.opens), part("cancels", &transition.cancels)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn inputs_of(transition: &Transition) -> String {
    let inputs = transition.inputs.iter().map(|(name, kind)| match kind.strip_suffix('?') {
        Some(kind) => format!("`{name}`: {}, optional", words(kind)),
        None => format!("`{name}`: {}", words(kind)),
    });
    or_none(inputs.collect::<Vec<_>>().join("<br>"))
}

/// The name of a type in words: `EffectId` is "effect id".
fn words(kind: &str) -> String {
    let spaced = kind.char_indices().flat_map(|(at, c)| {
        let space = (c.is_ascii_uppercase() && at > 0).then_some(' ');
        space.into_iter().chain(c.to_lowercase())
    });
    spaced.collect()
}

fn push_guards(out: &mut String, chart: &Chart) {
    let rows = chart.guards.iter().map(|(name, guard)| {
        let users: Vec<String> =
            chart.transitions.iter().filter(|(_, t)| chart.guards_of(t).contains(name)).map(|(n, _)| code(n)).collect();
        let used_by = if chart.base_guards.contains(name) {
            "every transition".to_owned()
        } else if chart.licensed_guards.contains(name) {
            [format!("every transition of {}", chart.licensed_regions.join(", "))]
                .into_iter()
                .chain(outside(chart, name))
                .collect::<Vec<_>>()
                .join("; ")
        } else {
            users.join(", ")
        };
        [code(name), guard.doc.clone(), used_by]
    });
    push_table(out, "Guards", ["guard", "passes when", "used by"], rows);
}

/// The transitions that name a guard of the licensed regions although they are outside of them.
fn outside<'a>(chart: &'a Chart, guard: &'a str) -> impl Iterator<Item = String> + 'a {
    chart.transitions.iter().filter(move |(_, t)| t.guards.iter().any(|own| own == guard)).map(|(name, _)| code(name))
}

fn push_effects(out: &mut String, chart: &Chart) {
    let openers = |name: &String| {
        chart.transitions.iter().filter(|(_, t)| t.opens.contains(name)).map(|(n, _)| n.clone()).collect::<Vec<_>>()
    };
    let row = |(name, effect): (&String, &Effect)| {
        [
            code(name),
            effect.doc.clone(),
            code(&format!("{}/{}", effect.region, effect.state)),
            codes(Some(&openers(name))),
            codes(Some(&effect.success)),
            codes(Some(&effect.failure)),
            code(&effect.unknown),
        ]
    };
    let heads = ["effect", "work", "open in", "opened by", "success", "failure", "unknown result"];
    push_table(out, "Effects", heads, chart.effects.iter().map(row));
}

fn push_roles(out: &mut String, chart: &Chart) {
    let rows = chart.roles.iter().map(|(name, doc)| {
        let signs = chart.transitions.iter().filter(|(_, t)| t.signers.contains(name)).map(|(n, _)| n.clone());
        [code(name), doc.clone(), codes(Some(&signs.collect::<Vec<_>>()))]
    });
    push_table(out, "Roles", ["role", "rights", "may sign"], rows);
}

fn push_windows(out: &mut String, chart: &Chart) {
    let rows = chart.window_classes.iter().map(|(name, doc)| {
        let needs = chart.transitions.iter().filter(|(_, t)| t.window.as_ref() == Some(name)).map(|(n, _)| n.clone());
        [code(name), doc.clone(), codes(Some(&needs.collect::<Vec<_>>()))]
    });
    push_table(out, "Window classes", ["class", "open for", "needed by"], rows);
}

fn push_words(out: &mut String, title: &str, heads: [&str; 2], words: &BTreeMap<String, String>) {
    push_table(out, title, heads, words.iter().map(|(name, doc)| [code(name), doc.clone()]));
}

fn push_blocked(out: &mut String, chart: &Chart) {
    let row = |(name, passes): (&String, &Passes)| {
        let compensations = if passes.compensations { "pass" } else { "do not pass" };
        [code(name), passes.regions.join(", "), codes(Some(&passes.transitions)), compensations.to_owned()]
    };
    let heads = ["while", "every transition of", "these transitions", "compensations"];
    push_table(out, "What passes while a project is blocked", heads, chart.blocked.iter().map(row));
}

fn push_bounds(out: &mut String, chart: &Chart) {
    let rows = chart.bounds.iter().map(|(name, most)| [name.replace('_', " "), most.to_string()]);
    push_table(out, "Bounds", ["list of the state", "most entries"], rows);
}

fn push_table<const N: usize>(
    out: &mut String,
    title: &str,
    heads: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) {
    let _ = writeln!(out, "\n### {title}");
    push_rows(out, heads, rows);
}

fn push_rows<const N: usize>(out: &mut String, heads: [&str; N], rows: impl Iterator<Item = [String; N]>) {
    let _ = writeln!(out, "\n| {} |\n|{}", heads.join(" | "), " --- |".repeat(N));
    for row in rows {
        let cells = row.map(|cell| cell.trim().replace('|', "\\|").replace('\n', " "));
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
}

fn code(name: &str) -> String {
    format!("`{name}`")
}

fn codes(names: Option<&[String]>) -> String {
    or_none(names.unwrap_or_default().iter().map(|name| code(name)).collect::<Vec<_>>().join(", "))
}

fn or_none(text: String) -> String {
    if text.is_empty() { "–".to_owned() } else { text }
}
