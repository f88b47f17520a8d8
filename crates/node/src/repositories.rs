//! Measures the repositories of all projects once a minute, for their metrics.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::growth::Growth;
use swoosh_hybridcore::leave::{Leave, Stop};
use swoosh_hybridcore::logs::{Logger, Redactor, now_ms};
use swoosh_hybridcore::sources::child::ChildGit;
use swoosh_hybridcore::sources::documents::{self, SOURCES_FILE, SourcesDocument};
use swoosh_hybridcore::sources::mirrors::MirrorTable;
use swoosh_hybridcore::sources::retry::Sleep;
use swoosh_hybridcore::sources::status::{self, Condition, SourceStatus};
use swoosh_hybridcore::sources::{Event, Rules, Session, Wallet, Workspace};
use swoosh_hybridcore::state::document::DocumentError;
use swoosh_telemetry::metrics::{MEASURED_SOURCES, Metrics, SourceStanding};
use swoosh_types::civil::parse_rfc3339;
use swoosh_types::inputs::SourceSet;

/// Time between two measurements: git reads every file of a working tree whose time changed.
pub const INTERVAL: Duration = Duration::from_secs(60);
/// Most projects whose repositories are measured or counted.
const MOST_PROJECTS: usize = 1_000;

/// Leave until the node stops. To look at a tree reaches nothing outside, so the network gate may be closed.
struct UntilStop(Growth);

impl Leave for UntilStop {
    fn stop(&self) -> Option<Stop> {
        (!self.0.goes_on()).then_some(Stop::Cancelled)
    }
}

/// The workspaces below one folder, and the metrics of their repositories.
pub struct Repositories {
    root: PathBuf,
    git: ChildGit,
    metrics: Arc<Metrics>,
    leave: UntilStop,
    /// Workspaces whose documents could not be read at the last measurement; each is logged once.
    unreadable: Mutex<BTreeSet<PathBuf>>,
}

impl Repositories {
    /// `None` where this program cannot find itself to run git.
    pub fn new(root: PathBuf, metrics: Arc<Metrics>, growth: Growth) -> Option<Repositories> {
        let git = ChildGit::of_this_program()
            .inspect_err(|error| tracing::warn!(%error, "repositories have no metrics: git cannot be run"))
            .ok()?;
        Some(Repositories { root, git, metrics, leave: UntilStop(growth), unreadable: Mutex::default() })
    }

    /// Measures them and publishes the result. Beyond [`MEASURED_SOURCES`] repositories are counted from their documents alone.
    pub fn measure(&self) {
        let (mut measured, mut counted, mut unreadable) = (Vec::new(), 0, BTreeSet::new());
        for (project, workspace) in workspaces(&self.root) {
            // A half of a measurement would show the other repositories as removed.
            if self.leave.stop().is_some() {
                return;
            }
            let path = workspace.state().to_owned();
            let found = if measured.len() < MEASURED_SOURCES {
                self.look(&project, workspace).map(|sources| measured.extend(sources))
            } else {
                count(&workspace).map(|sources| counted += sources)
            };
            if let Err(error) = found {
                self.warn_once(&path, &error);
                unreadable.insert(path);
            }
        }
        self.metrics.sources().show(measured, counted, unreadable.len(), now_ms());
        *self.unreadable.lock().unwrap_or_else(PoisonError::into_inner) = unreadable;
    }

    fn look(&self, project: &str, workspace: Workspace) -> Result<Vec<SourceStanding>, DocumentError> {
        let overview = self.session(workspace, |session| status::overview(session, &SourceSet::new(), u64::MAX))?;
        Ok(overview.sources.iter().map(|source| standing(project, source)).collect())
    }

    fn warn_once(&self, state: &Path, error: &DocumentError) {
        if !self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).contains(state) {
            let state = state.display();
            tracing::warn!(%state, %error, "repositories cannot be measured; `swoosh sources doctor` says more");
        }
    }

    fn session<T>(&self, workspace: Workspace, work: impl FnOnce(&Session<'_>) -> T) -> T {
        let wallet = Wallet::default();
        let log = Logger::silent("sources", Redactor::new(wallet.secrets()));
        let events = |_: &Event| {};
        work(&Session {
            workspace,
            git: &self.git,
            leave: &self.leave,
            events: &events,
            log,
            operator: "swoosh".to_owned(),
            command_id: "metrics".to_owned(),
            rules: Rules::default(),
            mirrors: MirrorTable::default(),
            wallet,
            waiter: &Sleep,
            now_ms,
        })
    }
}

/// The workspaces with sources in them, by project.
fn workspaces(root: &Path) -> Vec<(String, Workspace)> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names.truncate(MOST_PROJECTS);
    let both = names.into_iter().flat_map(|project| {
        let folder = root.join(&project);
        [Workspace::new(&folder), Workspace::new(folder.join("upstreams"))]
            .map(|workspace| (project.clone(), workspace))
    });
    both.filter(|(_, workspace)| workspace.state().join(SOURCES_FILE).is_file()).collect()
}

/// Repositories that a workspace records.
fn count(workspace: &Workspace) -> Result<usize, DocumentError> {
    let known: SourcesDocument = documents::read(&workspace.state(), SOURCES_FILE)?;
    Ok(known.sources.len())
}

fn standing(project: &str, source: &SourceStatus) -> SourceStanding {
    let recorded = source.recorded.as_ref();
    let condition = match source.condition {
        Condition::Clean => "clean",
        Condition::Dirty => "dirty",
        Condition::Diverged => "diverged",
        Condition::Missing => "missing",
        Condition::Unfinished => "unfinished",
        Condition::Unusable => "unusable",
    };
    SourceStanding {
        source: format!("{project}/{}", source.name),
        reference: recorded.map(|entry| entry.reference.to_string()).unwrap_or_default(),
        updated_by: recorded.map(|entry| entry.updated_by.clone()).unwrap_or_default(),
        commit: source.head.as_ref().map(ToString::to_string).unwrap_or_default(),
        condition,
        synced_ms: recorded.and_then(|entry| parse_rfc3339(&entry.updated_at)),
        scanned_ms: source.scan_status.as_ref().and_then(|scan| parse_rfc3339(&scan.scanned_at)),
        override_ends_ms: source.override_expires_at.as_deref().and_then(parse_rfc3339),
        stored_bytes: source.stored_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swoosh_telemetry::metrics::CONDITIONS;

    #[test]
    fn every_condition_has_its_metric() {
        let all = [
            Condition::Clean,
            Condition::Dirty,
            Condition::Diverged,
            Condition::Missing,
            Condition::Unfinished,
            Condition::Unusable,
        ];
        assert_eq!(all.map(|condition| format!("{condition:?}").to_lowercase()), CONDITIONS);
    }
}
