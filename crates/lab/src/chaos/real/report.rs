//! The report: what happened how often, how long the node took to heal, and what was checked.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use super::check::INVARIANTS;
use super::faults::Fault;
use super::run::{Outcome, Plan, by_name};
use super::tally::Violation;
use super::watch::Watched;

/// What the clients check while they run, and what each says.
const WATCHED: [(&str, &str); 14] = [
    ("receipts-never-change", "a repeat gets the first receipt, byte for byte, and says that it is one"),
    ("receipts-prove-themselves", "each receipt leads to a root that the node signed"),
    ("receipts-are-of-what-was-asked", "project, key and transition are those of the proposal"),
    ("reduces-again", "each receipt's head is what the client itself reduces to"),
    ("history-goes-on", "a new key gets a later record"),
    ("acknowledged-is-kept", "the node never shows a project state older than a receipt that a client holds"),
    ("reads-prove-themselves", "each state read hashes to the head that it names"),
    ("reads-are-of-the-log", "the heads shown at the end are the log's"),
    ("good-proposals-pass", "nothing is refused but for a reason that passes"),
    ("answers-are-known", "each answer is a receipt or a problem document"),
    ("starts, heals", "the node starts where nothing is wrong, and accepts again after each fault"),
    ("damage-is-noticed", "damaged files are refused or found, or nothing promised is gone"),
    ("refuses-what-it-cannot-write, refuses-for-a-reason", "a start is refused where it must be, and only there"),
    ("tools-find-the-log-whole, tools-agree", "`wal verify`, `replay --reguard` and the checker tell the same log"),
];

/// One kind of fault.
#[derive(Clone, Debug, Serialize)]
pub(super) struct FaultRow {
    #[serde(serialize_with = "by_name")]
    pub fault: Fault,
    pub what: &'static str,
    /// How often it must happen.
    pub least: u64,
    /// How often it did.
    pub fired: u64,
    /// Episodes with a heal.
    pub heals: usize,
    pub heal_p50_ms: Option<u64>,
    pub heal_p99_ms: Option<u64>,
    /// Why it cannot happen here.
    pub skipped: Option<String>,
}

/// The whole report.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub plan: Plan,
    pub rows: Vec<FaultRow>,
    pub outcome: Outcome,
    /// What `swoosh --json chaos sim` said, where it ran.
    pub simulation: Option<Value>,
}

impl Report {
    /// The rows of all faults that were asked for.
    pub fn new(plan: Plan, skipped: &[(Fault, String)], outcome: Outcome, simulation: Option<Value>) -> Report {
        let can = plan.faults.iter().map(|fault| row(&plan, *fault, &outcome, None));
        let cannot = skipped.iter().map(|(fault, why)| row(&plan, *fault, &outcome, Some(why.clone())));
        let mut rows: Vec<FaultRow> = can.chain(cannot).collect();
        rows.sort_by_key(|row| row.fault);
        Report { plan, rows, outcome, simulation }
    }

    /// What keeps the run from counting.
    pub fn failures(&self) -> Vec<String> {
        let short = self.rows.iter().filter(|row| row.skipped.is_none() && row.fired < row.least);
        let mut failures: Vec<String> = short
            .map(|row| {
                format!("{} happened {} times, and must happen {} times at the least", row.fault, row.fired, row.least)
            })
            .collect();
        if self.outcome.accepted < self.plan.transitions {
            let (accepted, wanted) = (self.outcome.accepted, self.plan.transitions);
            failures.push(format!("{accepted} transitions were accepted, and {wanted} were wanted"));
        }
        if self.simulation.as_ref().is_some_and(|said| said["good"] != true) {
            failures.push("the simulation found something; its script is in the JSON".to_owned());
        }
        if let Some(watched) = self.outcome.watched.as_ref().filter(|watched| !watched.still_firing.is_empty()) {
            failures.push(format!("alerts fire where nothing is wrong any more: {}", watched.still_firing.join(", ")));
        }
        if self.outcome.violation_count > 0 {
            failures.push(format!("{} violations", self.outcome.violation_count));
        }
        failures
    }

    /// For programs.
    pub fn document(&self) -> Value {
        let outcome = &self.outcome;
        json!({
            "ok": self.failures().is_empty(),
            "failures": self.failures(),
            "seed": self.plan.seed,
            "clients": self.plan.clients,
            "seconds": outcome.seconds,
            "transitions": outcome.accepted,
            "repeats": outcome.repeated,
            "answers_to_copies": outcome.copied,
            "reads": outcome.read,
            "requests_without_answer": outcome.broken,
            "refusals": outcome.refusals,
            "faults": self.rows,
            "history": outcome.checked,
            "wal_verify": outcome.verified["ok"],
            "replay": outcome.replayed["ok"],
            "reguarded": outcome.replayed["reguard"]["judged"],
            "invariants": INVARIANTS.iter().chain(&WATCHED).map(|(name, _)| *name).collect::<Vec<_>>(),
            "violations": outcome.violations,
            "violation_count": outcome.violation_count,
            "steps": outcome.steps,
            "alerts": outcome.watched,
            "simulation": self.simulation,
        })
    }

    /// For people.
    pub fn markdown(&self) -> String {
        let mut text = String::from("# Chaos report\n\nWritten by `make chaos`; docs/chaos-real.md explains it.\n");
        let failures = self.failures();
        let verdict =
            if failures.is_empty() { "Passed".to_owned() } else { format!("FAILED: {}", failures.join("; ")) };
        let _ = write!(text, "\n**{verdict}.**\n");
        self.counts(&mut text);
        self.faults(&mut text);
        self.invariants(&mut text);
        if let Some(watched) = &self.outcome.watched {
            alerts(&mut text, watched);
        }
        if let Some(said) = &self.simulation {
            simulation(&mut text, said);
        }
        violations(&mut text, &self.outcome.violations, self.outcome.violation_count);
        text
    }

    fn counts(&self, text: &mut String) {
        let outcome = &self.outcome;
        let simulated = self.simulation.as_ref().map(|simulation| simulation["transitions"].to_string());
        let rows = [
            ("seed", self.plan.seed.to_string()),
            ("clients", self.plan.clients.to_string()),
            ("seconds", outcome.seconds.to_string()),
            ("simulated transitions", simulated.unwrap_or_else(|| "none: the simulation was not asked for".to_owned())),
            ("real transitions accepted", outcome.accepted.to_string()),
            ("records in the log", outcome.checked.records.to_string()),
            ("of them the node's own", outcome.checked.own_records.to_string()),
            ("receipts held against the log", outcome.checked.receipts.to_string()),
            ("repeats with the same receipt", outcome.repeated.to_string()),
            ("receipts for the proxy's copies", outcome.copied.to_string()),
            ("requests without an answer", outcome.broken.to_string()),
            ("keys never answered for", outcome.checked.unanswered.to_string()),
            ("records judged again", outcome.replayed["reguard"]["judged"].to_string()),
            ("refusals", outcome.refusals.values().sum::<u64>().to_string()),
        ];
        text.push_str("\n## Real processes\n\n| what | how many |\n| --- | --- |\n");
        for (what, many) in rows {
            let _ = writeln!(text, "| {what} | {many} |");
        }
        let refusals = outcome.refusals.iter().map(|(code, count)| format!("`{code}` {count}"));
        let _ = write!(text, "\nRefusals: {}.\n", refusals.collect::<Vec<_>>().join(", "));
    }

    fn faults(&self, text: &mut String) {
        text.push_str(
            "\n## Faults\n\nHeal: from the end of the fault to the first acceptance of a proposal sent after it.\n\n",
        );
        text.push_str("| fault | what happens | at least | fired | heal p50 | heal p99 |\n| --- | --- | --- | --- | --- | --- |\n");
        for row in &self.rows {
            let heal = |ms: Option<u64>| ms.map_or_else(|| "–".to_owned(), |ms| format!("{ms} ms"));
            let fired = row.skipped.as_ref().map_or_else(|| row.fired.to_string(), |why| format!("SKIPPED: {why}"));
            let (p50, p99) = (heal(row.heal_p50_ms), heal(row.heal_p99_ms));
            let _ = writeln!(text, "| {} | {} | {} | {fired} | {p50} | {p99} |", row.fault, row.what, row.least);
        }
    }

    fn invariants(&self, text: &mut String) {
        text.push_str("\n## Invariants\n\nFrom the clients' logs and the log:\n\n");
        for (name, says) in INVARIANTS {
            let _ = writeln!(text, "- {name}: {says}");
        }
        text.push_str("\nAt every answer and start:\n\n");
        for (name, says) in WATCHED {
            let _ = writeln!(text, "- {name}: {says}");
        }
    }
}

/// What the operators' rules said during a soak.
fn alerts(text: &mut String, watched: &Watched) {
    text.push_str(
        "\n## Alerts\n\nBy a Prometheus that watched through the proxy.\n\n| alert | fired for |\n| --- | --- |\n",
    );
    for (alert, seconds) in &watched.fired_s {
        let _ = writeln!(text, "| {alert} | {seconds} s |");
    }
    let still = if watched.still_firing.is_empty() { "none".to_owned() } else { watched.still_firing.join(", ") };
    let _ = write!(text, "\nStill firing when nothing was wrong any more: {still}.\n");
}

/// What `swoosh --json chaos sim` said, in short.
fn simulation(text: &mut String, said: &Value) {
    let _ = write!(
        text,
        "\n## Simulation\n\nSeed {}: {} transitions in {} worlds, {} of them lived twice, {} s; trace `{}`. Heals in simulated milliseconds.\n\n",
        said["seed"],
        said["transitions"],
        said["worlds"],
        said["worlds_lived_again"],
        said["took_ms"].as_u64().unwrap_or(0) / 1_000,
        said["trace"].as_str().unwrap_or_default(),
    );
    text.push_str("| fault | fired | heal p50 | heal p99 |\n| --- | --- | --- | --- |\n");
    for (fault, fired) in said["fired"].as_object().into_iter().flatten() {
        let heal = &said["heal_ms"][fault];
        let _ = writeln!(text, "| {fault} | {fired} | {} | {} |", heal["p50"], heal["p99"]);
    }
    let names = said["invariants"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let _ = write!(text, "\nInvariants: {}.\n", names.collect::<Vec<_>>().join(", "));
}

fn violations(text: &mut String, violations: &[Violation], count: u64) {
    if count == 0 {
        text.push_str("\n## Violations\n\nNone.\n");
        return;
    }
    let _ = write!(text, "\n## Violations\n\n{count}; the first ones:\n");
    for violation in violations {
        let _ = write!(text, "\n```text\n{violation}\n```\n");
    }
}

fn row(plan: &Plan, fault: Fault, outcome: &Outcome, skipped: Option<String>) -> FaultRow {
    let steps: Vec<_> = outcome.steps.iter().filter(|step| step.fault == fault).collect();
    let mut heals: Vec<u64> = steps.iter().filter_map(|step| step.healed_ms).collect();
    heals.sort_unstable();
    let network = outcome.network.get(&fault).copied();
    FaultRow {
        fault,
        what: fault.what(),
        least: plan.least(fault),
        fired: network.unwrap_or_else(|| steps.iter().map(|step| step.fired).sum()),
        heals: heals.len(),
        heal_p50_ms: quantile(&heals, 50),
        heal_p99_ms: quantile(&heals, 99),
        skipped,
    }
}

/// The smallest value that so many per cent of sorted ones do not exceed.
fn quantile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_there() {
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!((quantile(&hundred, 50), quantile(&hundred, 99)), (Some(50), Some(99)));
        assert_eq!((quantile(&[7], 50), quantile(&[7], 99)), (Some(7), Some(7)));
        assert_eq!(quantile(&[], 50), None);
    }
}
