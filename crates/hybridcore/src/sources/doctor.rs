//! `doctor`: reports all problems, their severity and the remedies. Its bundle for support holds all that is known,
//! without secrets.

use std::collections::BTreeMap;
use std::fs;

use serde::Serialize;
use serde_json::Value;

use super::documents::{
    self, MARKER_FILE, MIRRORS_FILE, Marker, OVERRIDES_FILE, OverridesDocument, PINS_FILE, PinsDocument, SOURCES_FILE,
    SourcesDocument,
};
use super::doubled::doubled;
use super::mirrors::{BASE_VARIABLE, MirrorInventory};
use super::session::Session;
use super::status::{self, Condition, Overview, ScanState, SourceStatus};
use crate::logs::Redactor;
use crate::state::catalogue::Catalogue;
use crate::state::check::{self, Condition as DocumentCondition, Finding as DocumentFinding};
use crate::state::{CATALOGUE_FILE, files};
use swoosh_types::inputs::SourceSet;
use swoosh_types::text::Name;

/// How many lines of the log the bundle holds.
const LOG_LINES: usize = 200;

/// How bad a finding is, with the response time that governance asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Within 24 hours.
    Critical,
    /// Within three days.
    High,
    /// Within a week.
    Medium,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A source or a file.
    pub about: String,
    pub found: String,
    pub remedy: String,
}

/// All that is known.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnosis {
    /// The version of this program.
    pub version: String,
    /// When, RFC 3339.
    pub diagnosed_at: String,
    /// Findings, the worst first.
    pub findings: Vec<Finding>,
    /// Every source.
    pub overview: Option<Overview>,
    /// Current content of every state document.
    pub documents: BTreeMap<String, Value>,
    /// Names of variables that are set and have a bearing; never their values.
    pub variables: Vec<String>,
    /// The end of the log.
    pub log: Vec<String>,
}

impl Diagnosis {
    /// Whether anything is worse than medium.
    pub fn is_bad(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity < Severity::Medium)
    }
}

/// Looks at everything; nothing is changed.
pub fn diagnose(session: &Session<'_>, set: &SourceSet, max_scan_age_days: u64) -> Diagnosis {
    let mut findings = damaged_documents(session);
    let overview = status::overview(session, set, max_scan_age_days).ok();
    if let Some(overview) = &overview {
        findings.extend(overview.sources.iter().flat_map(|source| of_tree(source, max_scan_age_days)));
        findings.extend(overview.sources.iter().filter_map(|source| of_packs(session, &source.name)));
        findings.extend(overview.unfinished.iter().map(of_marker));
    }
    findings.extend(of_overrides(session));
    findings.extend(of_mirrors(session, set));
    let leftovers = files::leftovers(&session.workspace.state()).unwrap_or_default();
    findings.extend(leftovers.iter().map(|path| {
        let about = path.display().to_string();
        finding(Severity::Medium, about, "a killed writer left it", "run `swoosh documents check --repair`")
    }));
    findings.sort_by_key(|finding| finding.severity);
    let redactor = Redactor::new(session.wallet.secrets());
    for finding in &mut findings {
        finding.found = redactor.clean(&finding.found);
    }
    Diagnosis {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        diagnosed_at: session.now(),
        findings,
        overview,
        documents: raw_documents(session, &redactor),
        variables: variables(),
        log: log_tail(session, &redactor),
    }
}

fn finding(severity: Severity, about: impl ToString, found: impl ToString, remedy: impl ToString) -> Finding {
    Finding { severity, about: about.to_string(), found: found.to_string(), remedy: remedy.to_string() }
}

fn damaged_documents(session: &Session<'_>) -> Vec<Finding> {
    let state = session.workspace.state();
    let looked = [
        check::document::<SourcesDocument>(&state.join(SOURCES_FILE)),
        check::document::<PinsDocument>(&state.join(PINS_FILE)),
        check::document::<OverridesDocument>(&state.join(OVERRIDES_FILE)),
        check::document::<MirrorInventory>(&state.join(MIRRORS_FILE)),
        check::document::<Marker>(&state.join(MARKER_FILE)),
        check::document::<Catalogue>(&state.join(CATALOGUE_FILE)),
    ];
    let bad = |looked: DocumentFinding| match looked.condition {
        DocumentCondition::Bad { detail } => {
            Some(finding(Severity::Critical, looked.path.display(), detail, "put back a copy of it"))
        }
        DocumentCondition::Absent | DocumentCondition::Good { .. } | DocumentCondition::Older { .. } => None,
    };
    looked.into_iter().filter_map(bad).collect()
}

fn of_tree(source: &SourceStatus, max_scan_age_days: u64) -> Vec<Finding> {
    let detail = source.detail.clone().unwrap_or_default();
    let tree = match source.condition {
        Condition::Clean => None,
        Condition::Dirty => {
            Some((Severity::High, "keep the changes elsewhere, then `git reset --hard` and `git clean -fdx`"))
        }
        Condition::Diverged => {
            Some((Severity::High, "check the recorded commit out, or force-pin this one with its approval"))
        }
        Condition::Unusable => Some((Severity::High, "move it away and sync again")),
        Condition::Unfinished => Some((Severity::Medium, "run `swoosh sources resume`")),
        Condition::Missing => Some((Severity::Medium, "run `swoosh sources sync`")),
    };
    let tree = tree.map(|(severity, remedy)| {
        // The detail names files, whose case counts.
        let found = format!("its working tree is {}: {detail}", lower(source.condition));
        finding(severity, &source.name, found, remedy)
    });
    let scan = match source.scan_state {
        ScanState::Clean => None,
        ScanState::Findings => Some((Severity::High, "look at its findings in `swoosh sources status --json`")),
        ScanState::Failed => Some((Severity::High, "see that the scanner works, and scan again")),
        ScanState::Stale | ScanState::Missing => Some((Severity::Medium, "run `swoosh sources scan`")),
    };
    let why = match source.scan_state {
        ScanState::Stale => format!(": of another commit, or older than scan.max_age_days ({max_scan_age_days})"),
        ScanState::Clean | ScanState::Findings | ScanState::Failed | ScanState::Missing => String::new(),
    };
    let scan = scan.map(|(severity, remedy)| {
        finding(severity, &source.name, format!("its scan is {}{why}", lower(source.scan_state)), remedy)
    });
    tree.into_iter().chain(scan).collect()
}

fn of_packs(session: &Session<'_>, name: &Name) -> Option<Finding> {
    let tree = session.workspace.tree(name);
    let doubled = doubled(&tree.join(".git"));
    let found = format!(
        "{} pack(s) of its repository, {} KiB, hold objects that its other packs hold too; an earlier version copied them",
        doubled.packs,
        doubled.bytes >> 10
    );
    let remedy = format!("run `git -C {} repack -a -d`, or move the tree away and sync again", tree.display());
    (doubled.packs > 0).then(|| finding(Severity::Medium, name, found, remedy))
}

/// A state's name in a sentence.
fn lower(state: impl std::fmt::Debug) -> String {
    format!("{state:?}").to_lowercase()
}

fn of_marker(marker: &Marker) -> Finding {
    let names: Vec<&str> = marker.pending.iter().map(|name| name.as_str()).collect();
    let found = format!("the sync of {} left {}", marker.started_at, names.join(", "));
    finding(Severity::Medium, MARKER_FILE, found, "run `swoosh sources resume`")
}

/// Every commit that is not the locked one must have an approval on record.
fn of_overrides(session: &Session<'_>) -> Vec<Finding> {
    let (state, now_ms) = (session.workspace.state(), (session.now_ms)());
    let sources = documents::read::<SourcesDocument>(&state, SOURCES_FILE).unwrap_or_default().sources;
    let pins = documents::read::<PinsDocument>(&state, PINS_FILE).unwrap_or_default().pins;
    let overrides = documents::read::<OverridesDocument>(&state, OVERRIDES_FILE).unwrap_or_default();
    let capture = "capture its metadata: run `swoosh sources pin` with request id, approver, expiry and reason, or go \
                   back with `swoosh sources sync`";
    let one = |entry: &documents::SourceEntry| match &entry.override_id {
        Some(id) => match overrides.overrides.iter().find(|known| known.audit_id == *id) {
            None => {
                let found = format!("it is at {} by {id}, of which {OVERRIDES_FILE} has no record", entry.commit_sha);
                Some(finding(Severity::Critical, &entry.name, found, capture))
            }
            Some(known) if !known.is_active(now_ms) => {
                let found = format!("{id} is over ({}), and its commit is still there", known.expires_at);
                Some(finding(Severity::High, &entry.name, found, "renew it, or run `swoosh sources sync`"))
            }
            Some(_) => None,
        },
        None => pins.get(&entry.name).filter(|pin| pin.commit_sha != entry.commit_sha).map(|pin| {
            let found =
                format!("it is at {}, {} is locked, and no override says why", entry.commit_sha, pin.commit_sha);
            finding(Severity::Critical, &entry.name, found, capture)
        }),
    };
    sources.values().filter_map(one).collect()
}

fn of_mirrors(session: &Session<'_>, set: &SourceSet) -> Vec<Finding> {
    let sources = documents::read::<SourcesDocument>(&session.workspace.state(), SOURCES_FILE).unwrap_or_default();
    let inventory = &session.mirrors.inventory;
    let is_known = |url: &str| {
        let known = |mirror: &str| url == mirror || url.starts_with(mirror);
        inventory.mirrors.values().chain(inventory.seen.values()).any(|mirror| known(&mirror.mirror_url))
    };
    let unknown = sources.sources.values().filter_map(|entry| {
        let url = entry.mirror_url.as_deref().filter(|url| !is_known(url))?;
        let found = format!("it came from the mirror {url}, of which {MIRRORS_FILE} has no record");
        let remedy = format!("capture its metadata: `swoosh sources mirrors add {} {url}`", entry.repo_url);
        Some(finding(Severity::High, &entry.name, found, remedy))
    });
    let routes = set.iter().filter_map(|(name, spec)| {
        let error = session.mirrors.route(name.as_str(), spec.url.as_str()).err()?;
        Some(finding(Severity::High, name, error, "mend that address"))
    });
    let shared = session.mirrors.refuse_shared(set.iter().map(|(name, spec)| (name.as_str(), spec.url.as_str())));
    let shared = shared.err().map(|error| finding(Severity::High, "mirrors", error, "see there"));
    unknown.chain(routes).chain(shared).collect()
}

fn raw_documents(session: &Session<'_>, redactor: &Redactor) -> BTreeMap<String, Value> {
    let names = [SOURCES_FILE, PINS_FILE, OVERRIDES_FILE, MIRRORS_FILE, MARKER_FILE, CATALOGUE_FILE];
    let read = |name: &str| {
        let text = redactor.clean(&fs::read_to_string(session.workspace.state().join(name)).ok()?);
        // Redaction may break a document; then its text says more than nothing.
        Some((name.to_owned(), serde_json::from_str(&text).unwrap_or(Value::String(text))))
    };
    names.into_iter().filter_map(read).collect()
}

fn variables() -> Vec<String> {
    let ours = |name: &str| {
        name.starts_with(BASE_VARIABLE) || name.starts_with("SWOOSH_GIT_") || super::child::INHERITED.contains(&name)
    };
    let mut names: Vec<String> =
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(|name| ours(name)).collect();
    names.sort();
    names
}

fn log_tail(session: &Session<'_>, redactor: &Redactor) -> Vec<String> {
    let text = fs::read_to_string(session.workspace.logs().join("sources.log")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(LOG_LINES)).map(|line| redactor.clean(line)).collect()
}
