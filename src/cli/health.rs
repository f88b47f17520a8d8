//! `swoosh health`: how a node is, and what to read where it is not well.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::connect::{Node, NodeArgs, exit};
use super::output::{Output, fields};
use super::time::{now, spell};
use crate::client::{ExportHealth, Health, HealthStatus, LinkError, ProposeError, ReadError};
use crate::types::fact::FactKind;
use crate::types::hlc::Hlc;
use crate::types::rejection::{Code, Problem};

/// Differences between the clocks of node and caller that are shown, in milliseconds.
const CLOCKS_APART_MS: u64 = 1_000;

/// Arguments of `swoosh health`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Show how the node is",
    long_about = "Show how the node is.\n\nExits with 0 while it accepts proposals, and for a follower that is level with its node. Exits \
        with 1 when it accepts none: it drains, its log cannot be written, its disk does not answer, or its clock is unsafe. The line \
        `see` names what to read.",
    after_help = "Examples:\n  swoosh health\n  swoosh health --node https://node-2.example:7400\n  \
        swoosh --json health | jq .reason"
)]
pub struct HealthCommand {
    #[command(flatten)]
    node: NodeArgs,
}

/// Everything that is shown.
struct Report {
    health: Health,
    /// Why it accepts no proposal.
    unready: Option<Box<Problem>>,
    license: Option<License>,
}

/// The license of all projects.
#[derive(Clone, Copy)]
struct License {
    valid_until: Hlc,
    grace_until: Option<Hlc>,
}

impl HealthCommand {
    /// Shows it.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let node = self.node.reader()?;
        let health = node.ask(node.client().health()).map_err(with_page)?;
        let unready = node.ask(node.client().unready())?;
        let report = Report { license: license(&node), health, unready };
        output.say(&report.document()?, || report.text())?;
        Ok(exit(report.is_good()))
    }
}

/// Why the node takes no proposals; none for a follower, and for a node that does not answer.
pub(super) fn refusal(node: &Node) -> Option<String> {
    let problem = node.wait(node.client().unready()).ok()??;
    (problem.code != Code::Follower)
        .then(|| format!("the node takes no proposals now: {}: {}", problem.code, problem.detail))
}

/// Refuses to go on with a follower, for a command that reads the state before it proposes. The node itself says which one to ask.
pub(super) fn refuse_follower(node: &Node) -> anyhow::Result<()> {
    match node.wait(node.client().unready()) {
        Ok(Some(problem)) if problem.code == Code::Follower => node.ask(async { Err(ProposeError::Rejected(problem)) }),
        _ => Ok(()),
    }
}

/// The failure to get an answer, with the page to read.
fn with_page(error: anyhow::Error) -> anyhow::Error {
    let link = match error.downcast_ref::<ProposeError>() {
        Some(ProposeError::Read(ReadError::Link(link)) | ProposeError::Link(link)) => link,
        _ => return error,
    };
    let page = match link {
        LinkError::Connect { .. } => "runbooks/recovery.md, if the node does not run",
        LinkError::Timeout { .. } => "runbooks/overload.md and runbooks/stuck-disk.md, if it is not the network",
        _ => return error,
    };
    error.context(format!("the node gives no answer; see {page}"))
}

/// The license that all projects have; none where the node shows its facts to readers alone.
fn license(node: &Node) -> Option<License> {
    let facts = node.wait(node.client().beliefs(Some(FactKind::License), None)).ok()?.facts;
    let time = |fact: &Value, member: &str| fact[member].as_str().and_then(|text| text.parse().ok());
    let of_all = facts.iter().filter(|fact| fact["project"].is_null());
    let licenses = of_all.filter_map(|fact| {
        Some(License { valid_until: time(fact, "valid_until")?, grace_until: time(fact, "grace_until") })
    });
    licenses.max_by_key(|license| license.valid_until)
}

impl License {
    fn text(self, at: Hlc) -> String {
        let left = |until: Hlc| spell(until.physical_ms().saturating_sub(at.physical_ms()) / 1_000 * 1_000);
        match self.grace_until {
            _ if at <= self.valid_until => format!("valid until {}", self.valid_until),
            Some(end) if at <= end => {
                format!("ran out at {}; grace until {end} ({} left)", self.valid_until, left(end))
            }
            _ => format!("ran out at {}, and grace is over", self.valid_until),
        }
    }
}

impl Report {
    fn follows(&self) -> bool {
        self.health.mode == "following"
    }

    fn is_good(&self) -> bool {
        if self.follows() { self.health.status == HealthStatus::Ok } else { self.unready.is_none() }
    }

    fn document(&self) -> anyhow::Result<Value> {
        let mut document = serde_json::to_value(&self.health)?;
        document["ready"] = json!(self.unready.is_none());
        document["license"] = self.license.map_or(
            Value::Null,
            |license| json!({"valid_until": license.valid_until, "grace_until": license.grace_until}),
        );
        document["see"] = json!(self.pages());
        Ok(document)
    }

    fn text(&self) -> String {
        let health = &self.health;
        let mut lines = vec![("status", self.status())];
        lines.extend(health.reason.iter().map(|reason| ("reason", reason.clone())));
        lines.extend([
            ("mode", health.mode.clone()),
            ("cluster", health.cluster.to_string()),
            ("node", health.node.to_string()),
            ("consensus", health.consensus.clone()),
            ("last record", health.last_index.to_string()),
            ("queue", health.queue.to_string()),
            ("log lag", self.lag()),
            ("last snapshot", health.last_snapshot_hlc.map_or("none".to_owned(), |hlc| hlc.to_string())),
            ("license", self.license.map_or("not shown, or none".to_owned(), |license| license.text(health.time))),
            ("clock", self.clock()),
            ("version", health.version.clone()),
        ]);
        if health.projects_damaged + health.tables_damaged > 0 {
            lines
                .push(("damaged", format!("projects: {}, tables: {}", health.projects_damaged, health.tables_damaged)));
        }
        lines.extend(health.decision_export.iter().map(|export| ("decisions", export_text(export))));
        lines.extend(self.pages().into_iter().map(|page| ("see", page.to_owned())));
        fields(&lines)
    }

    fn status(&self) -> String {
        let code = self.unready.as_ref().map(|problem| problem.code);
        match (self.health.status, code) {
            (HealthStatus::Ok, _) if self.follows() => "ok: a follower; it takes no proposals".to_owned(),
            (HealthStatus::Degraded, _) if self.follows() => {
                "degraded: a follower that is cut off from its node".to_owned()
            }
            (HealthStatus::Degraded, Some(_)) => "degraded: it accepts no proposals now".to_owned(),
            (HealthStatus::Ok, None) => "ok".to_owned(),
            (HealthStatus::Degraded, None) => "degraded: it accepts proposals, but not as it should".to_owned(),
            (HealthStatus::Draining, _) => "draining: it is shutting down".to_owned(),
            (HealthStatus::Refusing, _) => "refusing: it accepts no proposals".to_owned(),
            (HealthStatus::Ok, Some(code)) => format!("ok, but it accepts no proposals now: {code}"),
        }
    }

    fn lag(&self) -> String {
        match (self.health.wal_lag, self.health.uncommitted_ms) {
            (lag, 0) => lag.to_string(),
            (lag, ms) => format!("{lag}, the oldest for {}", spell(ms)),
        }
    }

    /// The node's clock, and how far it is from the caller's.
    fn clock(&self) -> String {
        let (node_ms, here_ms) = (self.health.time.physical_ms(), now().physical_ms());
        let apart_ms = node_ms.abs_diff(here_ms);
        let side = if node_ms > here_ms { "ahead of" } else { "behind" };
        let apart = (apart_ms >= CLOCKS_APART_MS).then(|| format!(", {} {side} the clock here", spell(apart_ms)));
        format!("{}{}", self.health.time, apart.unwrap_or_default())
    }

    /// What to read.
    fn pages(&self) -> Vec<&'static str> {
        let health = &self.health;
        let mut pages = Vec::new();
        let code = self.unready.as_ref().map(|problem| problem.code);
        pages.extend(match (health.mode.as_str(), code) {
            ("following", _) if health.status == HealthStatus::Degraded => Some("runbooks/promote-follower.md"),
            ("following", _) => Some("docs/follower.md"),
            ("refusing", _) => Some("runbooks/disk-full.md"),
            ("read_only", _) => Some("runbooks/recovery.md"),
            (_, Some(Code::ClockUnsafe)) => Some("runbooks/clock.md"),
            (_, Some(Code::NotDurable)) => Some("runbooks/stuck-disk.md"),
            _ => None,
        });
        pages.extend((health.projects_damaged + health.tables_damaged > 0).then_some("runbooks/corrupt-journal.md"));
        let stalled = health.decision_export.iter().any(|export| export.problem.is_some());
        pages.extend(stalled.then_some("runbooks/stalled-exporter.md"));
        let expired = self.license.is_some_and(|license| health.time > license.valid_until);
        pages.extend(expired.then_some("runbooks/license-expiry.md"));
        pages
    }
}

/// How far an exporter is.
fn export_text(export: &ExportHealth) -> String {
    let so_far = format!("{} delivered up to record {}, {} wait", export.exporter, export.position, export.lag);
    export.problem.as_ref().map_or(so_far.clone(), |problem| format!("{so_far}: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(mode: &str, status: &str, code: Option<Code>) -> Report {
        let health = serde_json::from_value(json!({
            "status": status, "consensus": "single", "walLag": 0, "mode": mode, "reason": "the reason", "cluster": "c",
            "node": "hmmm:pubkey:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "version": "0.1.0", "queue": 3, "last_index": 17,
            "time": "2025-10-19T01:23:45.678+00:00#0",
        }))
        .unwrap();
        let unready = code.map(|code| {
            let problem = json!({
                "type": "/docs/rejections", "title": "x", "status": 503, "code": code, "detail": "x", "reasons": [],
                "guard_outcomes": [],
            });
            serde_json::from_value(problem).unwrap()
        });
        Report { health, unready, license: None }
    }

    /// An unsafe clock was shown as degraded, with exit code 0, and the runbook of another fault.
    #[test]
    fn each_state_has_its_runbook_and_a_node_that_accepts_nothing_is_not_good() {
        for (mode, status, code, good, page) in [
            ("accepting", "ok", None, true, None),
            ("accepting", "degraded", Some(Code::ClockUnsafe), false, Some("runbooks/clock.md")),
            ("accepting", "degraded", Some(Code::NotDurable), false, Some("runbooks/stuck-disk.md")),
            ("accepting", "degraded", None, true, None),
            ("refusing", "refusing", Some(Code::NotDurable), false, Some("runbooks/disk-full.md")),
            ("read_only", "refusing", Some(Code::ReadOnly), false, Some("runbooks/recovery.md")),
            ("draining", "draining", Some(Code::Draining), false, None),
            ("following", "ok", Some(Code::Follower), true, Some("docs/follower.md")),
            ("following", "degraded", Some(Code::Follower), false, Some("runbooks/promote-follower.md")),
        ] {
            let report = report(mode, status, code);
            assert_eq!(report.is_good(), good, "{mode} {code:?}");
            assert_eq!(report.pages().first().copied(), page, "{mode} {code:?}");
            let text = report.text();
            for part in ["reason       ", "the reason", "queue          3", "last record    17", mode] {
                assert!(text.contains(part), "{part}\n{text}");
            }
        }
        assert!(report("following", "ok", Some(Code::Follower)).text().contains("a follower"));
    }

    #[test]
    fn the_license_is_shown_with_its_grace() {
        let time = |text: &str| text.parse::<Hlc>().unwrap();
        let license = License {
            valid_until: time("2025-10-19T00:00:00.000+00:00#0"),
            grace_until: Some(time("2025-10-22T00:00:00.000+00:00#0")),
        };
        let valid = license.text(time("2025-10-18T00:00:00.000+00:00#0"));
        assert_eq!(valid, "valid until 2025-10-19T00:00:00.000+00:00#0");
        let grace = license.text(time("2025-10-19T12:00:00.000+00:00#0"));
        assert!(grace.contains("grace until 2025-10-22T00:00:00.000+00:00#0 (2d 12h left)"), "{grace}");
        assert!(license.text(time("2025-10-23T00:00:00.000+00:00#0")).contains("grace is over"));
        let mut late = report("accepting", "ok", None);
        late.license = Some(License { valid_until: time("2025-10-19T00:00:00.000+00:00#0"), grace_until: None });
        assert_eq!(late.pages(), ["runbooks/license-expiry.md"]);
    }
}
