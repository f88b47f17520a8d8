//! Metrics of repositories in the workspaces of projects. Series of single repositories name projects, so they are shown to readers only.

use std::sync::{Mutex, PoisonError};

use prometheus::proto::MetricFamily;
use prometheus::{Gauge, GaugeVec, IntGauge, Opts, Registry};

use super::register::{gauge, gauges, keep, set};
use super::{Metrics, Name, labelled, metric};

/// Conditions of a working tree, as `swoosh sources status` names them.
pub const CONDITIONS: [&str; 6] = ["clean", "dirty", "diverged", "missing", "unfinished", "unusable"];
/// Most repositories that have series of their own.
pub const MOST_SOURCES: usize = 100;
/// Repositories after which the next project is counted and not measured.
pub const MEASURED_SOURCES: usize = 200;

const SOURCES: Name =
    labelled("swoosh_sources", "condition", "Measured repositories, by the condition of their working trees.");
const UNLISTED: Name = metric(
    "swoosh_sources_unlisted",
    "Repositories beyond the first 100, which alone have series of their own. Those of the projects after the first 200 repositories are \
     counted here from their documents, and not measured.",
);
const UNREADABLE: Name = metric(
    "swoosh_sources_unreadable",
    "Workspaces whose source documents are damaged, so that no repository is measured.",
);
const MEASURED: Name =
    metric("swoosh_sources_measured_seconds", "When the repositories were last measured, since 1970; 0 before.");
const INFO: Name = labelled(
    "swoosh_source_info",
    "source",
    "1 for each repository, with its pinned reference, its commit, and who synced it.",
);
const DIRTY: Name =
    labelled("swoosh_source_dirty", "source", "1 while a working tree differs from its record, else 0.");
const SYNCED: Name = labelled(
    "swoosh_source_synced_seconds",
    "source",
    "When a repository was last brought to another commit, since 1970.",
);
const SCANNED: Name =
    labelled("swoosh_source_scanned_seconds", "source", "When a repository was last scanned, since 1970.");
const OVERRIDE_ENDS: Name =
    labelled("swoosh_source_override_ends_seconds", "source", "When the override of a pin expires, since 1970.");
const STORED: Name = labelled("swoosh_source_stored_bytes", "source", "Size of a repository without its working tree.");

/// A repository of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceStanding {
    /// The project, a slash, and the source's name.
    pub source: String,
    /// The reference that is pinned.
    pub reference: String,
    /// The commit that is checked out.
    pub commit: String,
    /// The operator of the last sync.
    pub updated_by: String,
    /// One of [`CONDITIONS`].
    pub condition: &'static str,
    /// Time of the last sync to another commit, in milliseconds since 1970.
    pub synced_ms: Option<u64>,
    /// Time of the last scan, in milliseconds since 1970.
    pub scanned_ms: Option<u64>,
    /// When its override expires, in milliseconds since 1970.
    pub override_ends_ms: Option<u64>,
    /// Bytes of its `.git`.
    pub stored_bytes: u64,
}

/// The metrics of repositories.
pub struct Sources {
    conditions: Box<[IntGauge]>,
    unlisted: IntGauge,
    unreadable: IntGauge,
    measured: Gauge,
    info: GaugeVec,
    dirty: GaugeVec,
    synced: GaugeVec,
    scanned: GaugeVec,
    override_ends: GaugeVec,
    stored: GaugeVec,
    shown: Mutex<Vec<SourceStanding>>,
}

impl Sources {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Sources> {
        let family = |name: &Name, labels: &[&str]| -> prometheus::Result<GaugeVec> {
            keep(registry, GaugeVec::new(Opts::new(name.name, name.help), labels)?)
        };
        let by_source = |name: &Name| family(name, &[name.label]);
        Ok(Sources {
            conditions: gauges(registry, &SOURCES, &CONDITIONS)?,
            unlisted: gauge(registry, &UNLISTED)?,
            unreadable: gauge(registry, &UNREADABLE)?,
            measured: keep(registry, Gauge::new(MEASURED.name, MEASURED.help)?)?,
            info: family(&INFO, &["source", "ref", "commit", "updated_by"])?,
            dirty: by_source(&DIRTY)?,
            synced: by_source(&SYNCED)?,
            scanned: by_source(&SCANNED)?,
            override_ends: by_source(&OVERRIDE_ENDS)?,
            stored: by_source(&STORED)?,
            shown: Mutex::default(),
        })
    }

    /// Replaces all series by those of these repositories. The ones beyond [`MOST_SOURCES`], and `counted` others, are only counted.
    pub fn show(&self, mut sources: Vec<SourceStanding>, counted: usize, unreadable: usize, now_ms: u64) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for (condition, gauge) in CONDITIONS.iter().zip(&self.conditions) {
            set(gauge, sources.iter().filter(|source| source.condition == *condition).count() as u64);
        }
        set(&self.unlisted, (sources.len().saturating_sub(MOST_SOURCES) + counted) as u64);
        set(&self.unreadable, unreadable as u64);
        sources.truncate(MOST_SOURCES);
        for source in &sources {
            self.show_one(source);
        }
        for gone in shown.iter() {
            self.remove_old(gone, sources.iter().find(|source| source.source == gone.source));
        }
        *shown = sources;
        self.measured.set(seconds(now_ms));
    }

    fn show_one(&self, source: &SourceStanding) {
        let label = [source.source.as_str()];
        self.info.with_label_values(&info_labels(source)).set(1.0);
        self.dirty.with_label_values(&label).set(if source.condition == "clean" { 0.0 } else { 1.0 });
        self.stored.with_label_values(&label).set(source.stored_bytes as f64);
        for (vec, at_ms) in self.times(source) {
            match at_ms {
                Some(at_ms) => vec.with_label_values(&label).set(seconds(at_ms)),
                // An error says that there was no such series.
                None => drop(vec.remove_label_values(&label)),
            }
        }
    }

    fn times(&self, source: &SourceStanding) -> [(&GaugeVec, Option<u64>); 3] {
        [
            (&self.synced, source.synced_ms),
            (&self.scanned, source.scanned_ms),
            (&self.override_ends, source.override_ends_ms),
        ]
    }

    /// Removes the series of a removed repository, or of its earlier commit.
    fn remove_old(&self, old: &SourceStanding, now: Option<&SourceStanding>) {
        if now.is_none_or(|now| info_labels(now) != info_labels(old)) {
            let _ = self.info.remove_label_values(&info_labels(old));
        }
        if now.is_none() {
            for vec in [&self.dirty, &self.stored, &self.synced, &self.scanned, &self.override_ends] {
                let _ = vec.remove_label_values(&[&old.source]);
            }
        }
    }
}

impl Metrics {
    /// The metrics of repositories.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }
}

fn info_labels(source: &SourceStanding) -> [&str; 4] {
    [&source.source, &source.reference, &source.commit, &source.updated_by]
}

/// Removes series of repositories whose project may not be shown.
pub(super) fn hide(families: &mut Vec<MetricFamily>, may_show: &dyn Fn(&str) -> bool) {
    for family in families.iter_mut().filter(|family| family.name().starts_with("swoosh_source_")) {
        let kept = family.take_metric().into_iter().filter(|metric| {
            let source = metric.get_label().iter().find(|label| label.name() == INFO.label);
            source.and_then(|label| label.value().split_once('/')).is_some_and(|(project, _)| may_show(project))
        });
        let kept: Vec<_> = kept.collect();
        family.set_metric(kept);
    }
    families.retain(|family| !family.get_metric().is_empty());
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, commit: &str) -> SourceStanding {
        let (source, reference, commit) = (name.to_owned(), "v1".to_owned(), commit.to_owned());
        SourceStanding {
            source,
            reference,
            commit,
            condition: "clean",
            synced_ms: Some(5_000),
            ..SourceStanding::default()
        }
    }

    fn series(metrics: &Metrics) -> Vec<String> {
        let text = String::from_utf8(metrics.render()).unwrap();
        text.lines().filter(|line| line.starts_with("swoosh_source_")).map(str::to_owned).collect()
    }

    #[test]
    fn a_source_shows_its_present_commit_and_a_removed_one_nothing() {
        let metrics = Metrics::default();
        let forced = SourceStanding { override_ends_ms: Some(9_000), condition: "dirty", ..source("p/a", "c1") };
        metrics.sources().show(vec![forced, source("p/b", "c1")], 0, 0, 6_000);
        assert!(series(&metrics).contains(&"swoosh_source_override_ends_seconds{source=\"p/a\"} 9".to_owned()));
        assert!(series(&metrics).contains(&"swoosh_source_dirty{source=\"p/a\"} 1".to_owned()));
        metrics.sources().show(vec![source("p/a", "c2")], 0, 0, 7_000);
        let found = series(&metrics);
        let info: Vec<&String> = found.iter().filter(|line| line.starts_with("swoosh_source_info")).collect();
        assert_eq!(info, ["swoosh_source_info{commit=\"c2\",ref=\"v1\",source=\"p/a\",updated_by=\"\"} 1"]);
        assert!(!found.iter().any(|line| line.contains("override_ends") || line.contains("p/b")), "{found:?}");
    }

    /// A project chooses the names of its sources, so the number of series needs a bound.
    #[test]
    fn sources_beyond_the_bound_are_only_counted() {
        let metrics = Metrics::default();
        let many = (0..MOST_SOURCES + 7).map(|n| source(&format!("p/{n:04}"), "c"));
        metrics.sources().show(many.collect(), 30, 2, 1_000);
        let text = String::from_utf8(metrics.render()).unwrap();
        assert!(
            text.contains("swoosh_sources_unlisted 37\n")
                && text.contains("swoosh_sources_unreadable 2\n")
                && text.contains("swoosh_sources{condition=\"clean\"} 107\n")
        );
        assert_eq!(series(&metrics).iter().filter(|line| line.starts_with("swoosh_source_info")).count(), MOST_SOURCES);
    }

    /// `/metrics` is open to strangers on every address, and names no project to them.
    #[test]
    fn series_of_repositories_are_shown_to_readers_of_their_project_only() {
        let metrics = Metrics::default();
        metrics.sources().show(vec![source("p/a", "c1"), source("q/b", "c2")], 0, 0, 6_000);
        let text = |may: &dyn Fn(&str) -> bool| String::from_utf8(metrics.render_for(may)).unwrap();
        let own = text(&|project| project == "p");
        assert!(own.contains("source=\"p/a\"") && !own.contains("q/b"), "{own}");
        let none = text(&|_| false);
        assert!(!none.contains("swoosh_source_") && none.contains("swoosh_sources{condition=\"clean\"} 2\n"), "{none}");
    }
}
