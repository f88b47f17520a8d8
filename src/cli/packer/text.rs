//! Text output of `swoosh packer`.

use std::path::Path;

use crate::cli::output::{Table, count};
use crate::hybridcore::packer::inputs::{Change, Difference};
use crate::hybridcore::packer::status::{BuildCondition, BuildStatus, Overview};
use crate::hybridcore::packer::{CheckReport, CheckStatus, Condition, Removal, RunReport, Status, Verification};

/// How many changed inputs of a build are listed.
const CHANGES: usize = 12;

/// The artifacts of a build, or its failure.
pub(super) fn run(report: &RunReport) -> String {
    let mut lines = Vec::new();
    if let Some(failure) = &report.failure {
        lines.push(format!("✗ {} failed: {}", report.name, failure.detail));
        lines.extend(report.errors.iter().flat_map(|error| error.lines()).map(|line| format!("    {line}")));
        lines.push(format!("  → {}", failure.remedy));
    }
    let mut table = Table::new();
    for artifact in &report.artifacts {
        if artifact.files.is_empty() {
            table.row(["  ✓".into(), artifact.build.clone(), artifact.id.clone(), String::new()]);
        }
        for file in &artifact.files {
            let size = format!("{} B {}", file.bytes, file.hash);
            table.row(["  ✓".into(), artifact.build.clone(), file.path.clone(), size]);
        }
    }
    for file in &report.leftovers {
        table.row(["  ✗".into(), "(left over)".into(), file.path.clone(), format!("{} B {}", file.bytes, file.hash)]);
    }
    lines.push(table.text(0));
    lines.extend(report.warnings.iter().map(|warning| format!("warning: {warning}")));
    lines.push(summary(report));
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

fn summary(report: &RunReport) -> String {
    let made = count(report.artifacts.len() as u64, "artifact");
    match report.status {
        Status::Skipped => format!(
            "{}: nothing changed since {}, and its {made} verify; --force builds all the same",
            report.name, report.run_id
        ),
        Status::Succeeded => format!("{}: {made} by {}", report.name, report.run_id),
        _ if report.is_partial() => format!(
            "part of it was made; `swoosh packer remove {} --run {}` takes that away; log: {}",
            report.name, report.run_id, report.log
        ),
        _ => format!("nothing was made; log: {}", report.log),
    }
}

/// The results of checks.
pub(super) fn checks(reports: &[CheckReport]) -> String {
    let mut lines = Vec::new();
    for report in reports {
        let (mark, what) = match (report.status, report.command) {
            (CheckStatus::Succeeded, "fmt") if report.changed.is_empty() => ("✓", "is formatted"),
            (CheckStatus::Succeeded, "fmt") => ("✓", "was formatted"),
            (CheckStatus::Succeeded, _) => ("✓", "is valid"),
            (CheckStatus::Unformatted, _) => ("✗", "is not formatted"),
            (CheckStatus::Failed, _) => ("✗", "failed"),
        };
        lines.push(format!("{mark} {} {what}", report.template.display()));
        lines.extend(report.changed.iter().map(|path| format!("    {}", shown(path))));
        lines.extend(report.errors.iter().flat_map(|error| error.lines()).map(|line| format!("    {line}")));
        lines.extend(report.failure.iter().map(|failure| format!("  → {}", failure.remedy)));
        lines.extend(report.warnings.iter().map(|warning| format!("warning: {warning}")));
    }
    lines.join("\n")
}

fn shown(path: &str) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    Path::new(path).strip_prefix(here).map_or_else(|_| path.to_owned(), |path| path.display().to_string())
}

/// How builds are.
pub(super) fn overview(overview: &Overview) -> String {
    let mut lines = Vec::new();
    let mut table = Table::with(&["build", "condition", "run", "built"]);
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    for build in &overview.builds {
        table.row([build.name.to_string(), condition(build.condition), dash(&build.run_id), dash(&build.built_at)]);
    }
    match overview.builds.is_empty() {
        true => lines.push("nothing was built yet; `swoosh packer build TEMPLATE` does".to_owned()),
        false => lines.push(table.text(0)),
    }
    lines.extend(overview.builds.iter().flat_map(details));
    match (&overview.packer_version, &overview.packer_failure) {
        (Some(version), _) => {
            let plugins: Vec<String> = overview.plugins.iter().map(|(name, v)| format!("{name} {v}")).collect();
            let with = if plugins.is_empty() { String::new() } else { format!(" with {}", plugins.join(", ")) };
            lines.push(format!("packer {version}{with}"));
        }
        (None, Some(failure)) => lines.push(format!("warning: {failure}")),
        (None, None) => {}
    }
    lines.join("\n")
}

fn condition(condition: BuildCondition) -> String {
    format!("{condition:?}").to_lowercase()
}

fn details(build: &BuildStatus) -> Vec<String> {
    let name = &build.name;
    let mut lines: Vec<String> =
        build.changes.iter().take(CHANGES).map(|change| format!("{name}: {}", spelled(change))).collect();
    if let Some(more) = build.changes.len().checked_sub(CHANGES).filter(|more| *more > 0) {
        lines.push(format!("{name}: and {}", count(more as u64, "more change")));
    }
    lines.extend(build.damage.iter().filter_map(|finding| Some(format!("{name}: {}", finding.detail.as_ref()?))));
    lines.extend(build.notes.iter().map(|note| format!("{name}: {note}")));
    if let (Some(id), Some(status)) = (&build.last_run_id, build.last_status) {
        lines.push(match (build.abandoned, &build.last_failure) {
            (true, _) => format!("{name}: {id} was abandoned; the next build ends it and lists its artifacts"),
            (false, Some(failure)) => format!("{name}: {id} failed: {failure}"),
            (false, None) => format!("{name}: {id} is {}", format!("{status:?}").to_lowercase()),
        });
    }
    lines
}

fn spelled(change: &Change) -> String {
    let what = match change.difference {
        Difference::Added => "is new",
        Difference::Removed => "is gone",
        Difference::Changed => "changed",
    };
    format!("{} {what}", change.input)
}

/// How artifacts were found.
pub(super) fn verified(report: &RunReport, verification: &Verification) -> String {
    let mut table = Table::new();
    for finding in &verification.findings {
        let mark = if matches!(finding.condition, Condition::Good | Condition::Elsewhere) { "✓" } else { "✗" };
        let condition = format!("{:?}", finding.condition).to_lowercase();
        table.row([mark.to_owned(), finding.artifact.clone(), condition]);
    }
    let verdict = match verification.is_good() {
        true => format!("{} is as {} made it", report.name, report.run_id),
        false => format!("{} is not as {} made it; build again", report.name, report.run_id),
    };
    let mut lines = vec![table.text(2)];
    lines.extend(verification.faults());
    lines.push(verdict);
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

/// The result of a removal.
pub(super) fn removed(of: &str, removal: &Removal) -> String {
    let mut lines: Vec<String> = removal.removed.iter().map(|path| format!("  removed  {path}")).collect();
    lines.extend(removal.kept.iter().map(|kept| format!("  kept     {kept}")));
    lines.push(match removal.kept.is_empty() {
        true => format!("all artifacts of {of} are removed"),
        false => format!("{} of {of} stays", count(removal.kept.len() as u64, "artifact")),
    });
    lines.join("\n")
}
