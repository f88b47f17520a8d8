//! The chart as a Mermaid state diagram.
//!
//! The three phases follow one another; CONTROL and POLICY run beside them from beginning to end.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::model::{Chart, Region, Transition};

/// A flag of the control region. Flags live in the state beside ACTIVE, so the chart's states do not
/// show them; the transitions that set them do.
struct Flag {
    name: &'static str,
    values: &'static [&'static str],
    /// Transition and the value that it sets, from any value.
    set_by: &'static [(&'static str, &'static str)],
}

const FLAGS: &[Flag] = &[
    Flag { name: "paused", values: &["no", "yes"], set_by: &[("Control_Pause", "yes"), ("Control_Resume", "no")] },
    Flag {
        name: "recovery",
        values: &["no", "yes"],
        set_by: &[("Control_QuorumLost", "yes"), ("Control_Recovered", "no")],
    },
    Flag {
        name: "license",
        values: &["ok", "grace", "expired"],
        set_by: &[("License_GraceEntered", "grace"), ("License_Expired", "expired"), ("License_Renewed", "ok")],
    },
];

/// A transition that moves another region than its own as its action: transition, region, from, to.
const ACTIONS: &[(&str, &str, &str, &str)] = &[("Ingestion_PolicyViolation", "policy", "CLEAR", "QUARANTINED")];

/// Labels by edge; edges in the order of the states that they join.
type Edges = BTreeMap<(usize, usize), Vec<String>>;

/// `stateDiagram-v2` text.
pub fn diagram(chart: &Chart) -> String {
    let mut out = Writer { text: String::from("stateDiagram-v2\n"), depth: 1 };
    out.open("PROJECT", "a project");
    push_phases(&mut out, chart);
    for (name, region) in beside(chart) {
        out.line("--");
        out.open(&name.to_uppercase(), &name.to_uppercase());
        push_region(&mut out, chart, name, region);
        if name == "control" {
            push_flags(&mut out, chart);
        }
        out.close();
    }
    out.close();
    out.text
}

/// The regions that belong to no phase.
fn beside(chart: &Chart) -> impl Iterator<Item = (&String, &Region)> {
    chart.regions.iter().filter(|(name, _)| *name != "boot" && !chart.licensed_regions.contains(name))
}

/// The regions that work toward READY before the loop begins, and beside it afterwards.
fn lifecycle(chart: &Chart) -> Vec<(&String, &Region)> {
    chart.regions.iter().filter(|(name, _)| *name != "execution" && chart.licensed_regions.contains(name)).collect()
}

fn push_phases(out: &mut Writer, chart: &Chart) {
    let single = |out: &mut Writer, phase: &str, region: &str| {
        let Some(spec) = chart.regions.get(region) else { return };
        out.open(phase, phase);
        push_region(out, chart, region, spec);
        out.close();
    };
    out.line("[*] --> BOOT");
    out.line("BOOT --> PROJECT_LIFECYCLE : boot is LICENSED");
    out.line("PROJECT_LIFECYCLE --> EXECUTION : execution leaves INACTIVE");
    single(out, "BOOT", "boot");
    out.open("PROJECT_LIFECYCLE", "PROJECT_LIFECYCLE");
    for (n, (name, region)) in lifecycle(chart).into_iter().enumerate() {
        if n > 0 {
            out.line("--");
        }
        out.open(name, name);
        push_region(out, chart, name, region);
        out.close();
    }
    out.close();
    single(out, "EXECUTION", "execution");
}

fn push_region(out: &mut Writer, chart: &Chart, name: &str, region: &Region) {
    let id = |state: &str| format!("{name}_{state}");
    region.states.iter().for_each(|state| out.line(&format!("state \"{state}\" as {}", id(state))));
    region.states.first().into_iter().for_each(|first| out.line(&format!("[*] --> {}", id(first))));
    for ((from, to), labels) in edges(chart, name, region) {
        let (from, to) = (&region.states[from], &region.states[to]);
        out.line(&format!("{} --> {} : {}", id(from), id(to), labels.join("<br/>")));
    }
    region.terminal.iter().for_each(|state| out.line(&format!("{} --> [*]", id(state))));
}

fn edges(chart: &Chart, name: &str, region: &Region) -> Edges {
    let place = |state: &str| region.states.iter().position(|own| own == state);
    let mut edges = Edges::new();
    let mut add = |from: &str, to: &str, label: String| {
        let edge = place(from).zip(place(to));
        edge.into_iter().for_each(|edge| edges.entry(edge).or_default().push(label.clone()));
    };
    let sets_flag = |name: &str| FLAGS.iter().any(|flag| flag.set_by.iter().any(|(by, _)| *by == name));
    for (name, transition) in chart.transitions.iter().filter(|(other, t)| t.region == name && !sets_flag(other)) {
        transition.moves().for_each(|(from, to)| add(from, to, label(name, transition)));
    }
    for (by, other, from, to) in ACTIONS.iter().filter(|(by, ..)| chart.transitions.contains_key(*by)) {
        if *other == name {
            add(from, to, (*by).to_owned());
        }
    }
    edges
}

fn label(name: &str, transition: &Transition) -> String {
    transition.window.as_ref().map_or_else(|| name.to_owned(), |window| format!("{name} [{window} window]"))
}

fn push_flags(out: &mut Writer, chart: &Chart) {
    let known = |flag: &&Flag| flag.set_by.iter().all(|(by, _)| chart.transitions.contains_key(*by));
    for flag in FLAGS.iter().filter(known) {
        out.line("--");
        let id = |value: &str| format!("{}_{value}", flag.name);
        flag.values.iter().for_each(|value| out.line(&format!("state \"{} {value}\" as {}", flag.name, id(value))));
        flag.values.iter().take(1).for_each(|first| out.line(&format!("[*] --> {}", id(first))));
        for (by, to) in flag.set_by {
            let others = flag.values.iter().filter(|value| *value != to);
            others.for_each(|from| out.line(&format!("{} --> {} : {by}", id(from), id(to))));
        }
    }
}

struct Writer {
    text: String,
    depth: usize,
}

impl Writer {
    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{:1$}{line}", "", self.depth * 4);
    }

    fn open(&mut self, id: &str, title: &str) {
        self.line(&format!("state \"{title}\" as {id} {{"));
        self.depth += 1;
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.line("}");
    }
}
