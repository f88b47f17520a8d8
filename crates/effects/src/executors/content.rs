//! A session of `hybridcore::sources` for one attempt: sources and upstreams each in their own workspace.

use std::collections::BTreeMap;

use super::workspace::ProjectFolder;
use super::{Workshop, on_disk};
use crate::task::Wanted;
use crate::worker::{Failed, Job, Step, Work};
use swoosh_hybridcore::logs::{Logger, Redactor, Rotation, now_ms};
use swoosh_hybridcore::sources::documents::{self, MIRRORS_FILE};
use swoosh_hybridcore::sources::mirrors::MirrorTable;
use swoosh_hybridcore::sources::retry::{RetryPolicy, Sleep};
use swoosh_hybridcore::sources::session::{Event, Rules, without_name};
use swoosh_hybridcore::sources::{Session, Workspace};
use swoosh_types::inputs::SourceSet;
use swoosh_types::text::{GitRef, Name};

/// How long an attempt waits for a command-line user of the same folder.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Context of one attempt.
pub(super) struct Bench<'a> {
    workshop: &'a Workshop,
    job: &'a Job,
    /// The project's repositories, where the task names them.
    wanted: Option<&'a Wanted>,
    pub work: &'a Work<'a>,
    pub folder: ProjectFolder,
}

impl<'a> Bench<'a> {
    pub fn new(
        workshop: &'a Workshop,
        job: &'a Job,
        wanted: Option<&'a Wanted>,
        work: &'a Work<'a>,
    ) -> Result<Bench<'a>, Failed> {
        let folder = workshop.folder(&job.id.project);
        folder.make().map_err(|error| on_disk(folder.root(), &error))?;
        Ok(Bench { workshop, job, wanted, work, folder })
    }

    /// The workspace that a source or an upstream lies in.
    fn workspace_of(&self, name: &Name) -> Workspace {
        let upstream = match self.wanted {
            Some(wanted) => wanted.upstreams.contains_key(name),
            None => self.folder.upstreams().tree(name).is_dir() && !self.folder.sources().tree(name).is_dir(),
        };
        if upstream { self.folder.upstreams() } else { self.folder.sources() }
    }

    /// Does something in the workspace of one source.
    pub fn with<T>(&self, name: &Name, work: impl FnOnce(&Session<'_>) -> T) -> T {
        self.session(self.workspace_of(name), &SourceSet::new(), work)
    }

    /// Does something with each non-empty set of a project, and puts together what comes of it.
    pub fn each<T: Extend<I> + IntoIterator<Item = I> + Default, I>(
        &self,
        wanted: &Wanted,
        mut work: impl FnMut(&Session<'_>, &SourceSet) -> Result<T, Failed>,
    ) -> Result<T, Failed> {
        let mut all = T::default();
        let sets = [(self.folder.sources(), &wanted.sources), (self.folder.upstreams(), &wanted.upstreams)];
        for (workspace, set) in sets.into_iter().filter(|(_, set)| !set.is_empty()) {
            all.extend(self.session(workspace, set, |session| work(session, set))?);
        }
        Ok(all)
    }

    fn session<T>(&self, workspace: Workspace, set: &SourceSet, work: impl FnOnce(&Session<'_>) -> T) -> T {
        let wallet = self.workshop.wallet.clone();
        let redactor = Redactor::new(wallet.secrets());
        let log = Logger::to_folder(&workspace.logs(), "sources", Rotation::default(), redactor.clone());
        let log = log.unwrap_or_else(|_| Logger::silent("sources", redactor));
        let command_id = format!("{}#{}", self.job.id, self.job.attempt);
        let inventory = documents::read(&workspace.state(), MIRRORS_FILE).unwrap_or_default();
        let events = |event: &Event| self.hear(event);
        work(&Session {
            workspace,
            git: &self.workshop.git,
            leave: self.work.leave,
            events: &events,
            log: log.with("effect", &command_id),
            operator: "node".to_owned(),
            command_id,
            rules: self.rules(set),
            mirrors: MirrorTable::from_environment(inventory),
            wallet,
            waiter: &Sleep,
            now_ms,
        })
    }

    fn rules(&self, set: &SourceSet) -> Rules {
        let floats = |(name, spec): (&Name, &swoosh_types::inputs::SourceSpec)| {
            let listed = self.workshop.floating.contains(&format!("{}#{}", spec.url, spec.reference));
            listed.then(|| (name.clone(), spec.reference.clone()))
        };
        let floating: BTreeMap<Name, GitRef> = set.iter().filter_map(floats).collect();
        // Attempts are the engine's to count: it tells each of them.
        let retry = RetryPolicy { attempts: 1, ..RetryPolicy::default() };
        let fence = Some(self.workshop.fence.clone());
        Rules { floating, limits: self.workshop.limits, retry, patience: PATIENCE, fence }
    }

    fn hear(&self, event: &Event) {
        let (text, done, total) = match event {
            Event::Begun { name } => (name.to_string(), 0, 0),
            Event::Progress { name, progress } => {
                (format!("{name}: {}", progress.phase), progress.done, progress.total)
            }
            Event::Retrying { name, error: text, .. }
            | Event::Noted { name, text }
            | Event::Ended { name, text, .. } => (format!("{name}: {}", without_name(name.as_str(), text)), 0, 0),
        };
        (self.work.tell)(Step { text, done, total });
    }
}
