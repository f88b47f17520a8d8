//! Text output of `swoosh sources`.

use std::path::Path;

use swoosh_hybridcore::sources::doctor::Diagnosis;
use swoosh_hybridcore::sources::documents::ScanStatus;
use swoosh_hybridcore::sources::mirrors::MirrorTable;
use swoosh_hybridcore::sources::pin::PinRequest;
use swoosh_hybridcore::sources::scan::Scanned;
use swoosh_hybridcore::sources::status::{Overview, ScanState, SourceStatus};
use swoosh_hybridcore::sources::sync::{SyncReport, Synced};
use swoosh_terminal::output::{Table, count};

/// As much of a commit as people read.
const SHORT: usize = 12;

fn short(commit: &str) -> String {
    commit.chars().take(SHORT).collect()
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    match bytes {
        0 => "-".to_owned(),
        _ if bytes < MIB => format!("{} KiB", bytes.div_ceil(KIB)),
        _ => format!("{}.{} MiB", bytes / MIB, bytes % MIB * 10 / MIB),
    }
}

/// A word of an enum as people write it.
fn word(value: impl std::fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}

/// The result of a sync.
pub fn report(report: &SyncReport) -> String {
    let mut table = Table::new();
    for Synced { name, commit_sha, changed, override_id, .. } in &report.synced {
        let forced = override_id.as_ref().map(|id| format!("forced by {id}")).unwrap_or_default();
        let what = if *changed { "brought to" } else { "already at" };
        table.row(["✓".into(), name.to_string(), what.into(), short(commit_sha.as_str()), forced]);
    }
    let mut lines = vec![table.text(2)];
    lines.extend(report.failed.iter().map(|failed| format!("  ✗  {}", failed.error)));
    lines.extend(report.pending.iter().map(|name| format!("  …  {name} was not reached")));
    let done = count(report.synced.len() as u64, "source");
    lines.push(match report.is_complete() {
        true => format!("{done} at their commits"),
        false => format!("{done} at their commits; `swoosh sources resume` goes on with the others"),
    });
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

/// The result of a pin.
pub fn pinned(synced: &Synced, request: &PinRequest) -> String {
    let audit_id = synced.override_id.as_deref().unwrap_or_default();
    format!(
        "{} is at {} until {}\n{audit_id}: request {}, approved by {}; `swoosh sources audit export` shows it",
        synced.name, synced.commit_sha, request.expires_at, request.request_id, request.approver
    )
}

/// How everything is.
pub fn overview(overview: &Overview) -> String {
    let mut table = Table::with(&["source", "ref", "commit", "condition", "size", "updated", "by", "scan"]);
    for source in &overview.sources {
        table.row(row(source));
    }
    let mut lines = vec![table.text(0)];
    for source in &overview.sources {
        lines.extend(source.detail.iter().map(|detail| format!("{}: {detail}", source.name)));
        if let Some((request, until)) = source.override_request.as_ref().zip(source.override_expires_at.as_ref()) {
            lines.push(format!("{}: forced by request {request} until {until}", source.name));
        }
        let findings = source.scan_status.iter().flat_map(ScanStatus::lines);
        lines.extend(findings.map(|finding| format!("{}: scan: {finding}", source.name)));
    }
    lines.extend(overview.unfinished.iter().map(|marker| {
        let left = count(marker.pending.len() as u64, "source");
        format!("unfinished: the sync of {} left {left}; run `swoosh sources resume`", marker.started_at)
    }));
    let unscanned = overview.sources.iter().filter(|s| matches!(s.scan_state, ScanState::Stale | ScanState::Missing));
    match unscanned.count() as u64 {
        0 => {}
        number => lines
            .push(format!("warning: {} without a scan of late; run `swoosh sources scan`", count(number, "source"))),
    }
    lines.join("\n")
}

fn row(source: &SourceStatus) -> [String; 8] {
    let recorded = source.recorded.as_ref();
    let condition = word(source.condition);
    let scan = match (source.scan_state, &source.scan_status) {
        (ScanState::Missing, _) => "MISSING".to_owned(),
        (ScanState::Stale, Some(scan)) => format!("STALE ({})", scan.scanned_at),
        (state, Some(scan)) => format!("{} ({})", word(state), scan.scanned_at),
        (state, None) => word(state),
    };
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    [
        source.name.to_string(),
        or_dash(recorded.map(|entry| entry.reference.to_string())),
        or_dash(source.head.as_ref().map(|head| short(head.as_str()))),
        if source.configured { condition } else { format!("{condition}, not configured") },
        size(source.stored_bytes),
        or_dash(recorded.map(|entry| entry.updated_at.clone())),
        or_dash(recorded.map(|entry| entry.updated_by.clone())),
        scan,
    ]
}

/// The results of scans.
pub fn scanned(scanned: &[Scanned]) -> String {
    let mut lines = Vec::new();
    for Scanned { name, status } in scanned {
        let survey = &status.survey;
        let (files, kib) = (count(survey.files, "file"), survey.bytes.div_ceil(1024));
        lines.push(format!("{name}: {} ({files}, {kib} KiB, by {})", word(status.outcome), status.scanner));
        lines.extend(status.lines().iter().map(|finding| format!("  {finding}")));
    }
    if lines.is_empty() { "nothing to scan: no source was synced yet".to_owned() } else { lines.join("\n") }
}

/// Mirrors and who named them.
pub fn mirrors(mirrors: &MirrorTable) -> String {
    let mut table = Table::with(&["replaces", "mirror", "named by", "when", "request"]);
    for (kind, list) in [("", &mirrors.inventory.mirrors), (" (a variable)", &mirrors.inventory.seen)] {
        for (upstream, mirror) in list {
            table.row([
                upstream.clone(),
                mirror.mirror_url.clone(),
                format!("{}{kind}", mirror.added_by),
                mirror.added_at.clone(),
                mirror.request_id.clone().unwrap_or_else(|| "-".to_owned()),
            ]);
        }
    }
    let variables: Vec<&str> = mirrors.environment.keys().map(String::as_str).collect();
    match variables.is_empty() {
        true => table.text(0),
        false => format!("{}\nset now: {}", table.text(0), variables.join(", ")),
    }
}

/// The findings of the doctor.
pub fn diagnosis(diagnosis: &Diagnosis, bundle: Option<&Path>) -> String {
    let mut lines = Vec::new();
    for finding in &diagnosis.findings {
        lines.push(format!(
            "{:8}  {}: {}\n          → {}",
            word(finding.severity),
            finding.about,
            finding.found,
            finding.remedy
        ));
    }
    if lines.is_empty() {
        lines.push("all is as it should be".to_owned());
    }
    let sources = diagnosis.overview.iter().flat_map(|overview| &overview.sources);
    let stored: Vec<&SourceStatus> = sources.filter(|source| source.stored_bytes > 0).collect();
    lines.extend(
        stored.iter().map(|source| format!("{}: its repository takes {}", source.name, size(source.stored_bytes))),
    );
    if stored.len() > 1 {
        lines.push(format!("all repositories take {}", size(stored.iter().map(|source| source.stored_bytes).sum())));
    }
    lines.extend(bundle.map(|path| format!("all that is known, without secrets, is in {}", path.display())));
    lines.join("\n")
}
