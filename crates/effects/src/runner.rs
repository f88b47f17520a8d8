//! The engine's shell: a thread that keeps notes, starts workers, and tells how things stand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::board::Board;
use super::engine::{Command, Engine, Rules};
use super::host::{Answer, Host, Point};
use super::note::Note;
use super::worker::{Ended, Execute, Failed, Job, Step, Work, WorkLeave};
use swoosh_hybridcore::leave::{Cancellable, Stop};
use swoosh_journal::{OpenRow, ReadError};
use swoosh_types::ids::EffectId;
use swoosh_types::names::EffectName;
use swoosh_types::text::ProjectName;

/// The longest that the thread sleeps.
const SLEEP: Duration = Duration::from_secs(60);
/// How often it looks whether the network gate opened.
const LOOK_AT_GATE: Duration = Duration::from_millis(500);
/// How long attempts may take to stop when the node does.
const STOP_PATIENCE: Duration = Duration::from_secs(45);
/// How many open effects are read at once.
const PAGE: usize = 1_000;

/// Why nothing is run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Notes of effects cannot be read.
    #[error("open effects cannot be read: {0}")]
    Read(#[from] ReadError),
    /// The operating system gives no thread.
    #[error("cannot start the effects thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// Messages to the thread.
#[derive(Default)]
struct News {
    moved: BTreeSet<ProjectName>,
    ended: Vec<(EffectId, u32, Ended)>,
    answered: Vec<(EffectId, Answer)>,
    stopping: bool,
}

impl News {
    fn is_empty(&self) -> bool {
        self.moved.is_empty() && self.ended.is_empty() && self.answered.is_empty() && !self.stopping
    }
}

#[derive(Default)]
struct Inbox {
    news: Mutex<News>,
    wake: Condvar,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, put: impl FnOnce(&mut News)) {
        put(&mut self.lock());
        self.wake.notify_one();
    }

    fn take(&self, patience: Duration) -> News {
        let news = self.lock();
        let waited = self.wake.wait_timeout_while(news, patience, |news| news.is_empty());
        let (mut news, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *news)
    }
}

/// Runs effects. Clones share it.
#[derive(Clone)]
pub struct Runner {
    inbox: Arc<Inbox>,
    board: Board,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Runner {
    /// Looks at what earlier processes left, and begins.
    pub fn start(rules: Rules, host: Arc<dyn Host>, executor: Arc<dyn Execute>) -> Result<Runner, StartError> {
        let (inbox, board) = (Arc::new(Inbox::default()), Board::default());
        let left = left(&*host)?;
        inbox.lock().moved = open_projects(&*host)?;
        // Also of effects that workers do now.
        inbox.lock().moved.extend(left.keys().map(|id| id.project.clone()));
        let engine = Engine::new(rules, left);
        inbox.lock().moved.extend(host.journal().held_outcomes()?.into_iter().map(|id| id.project));
        let shell = Shell {
            engine,
            host,
            executor,
            inbox: inbox.clone(),
            board: board.clone(),
            workers: BTreeMap::new(),
            again: BTreeMap::new(),
            stopping: false,
            stop_by: None,
        };
        let thread = std::thread::Builder::new().name("effects".to_owned()).spawn(move || shell.run())?;
        Ok(Runner { inbox, board, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Something happened to a project that may concern its effects.
    pub fn moved(&self, project: &ProjectName) {
        self.inbox.put(|news| {
            news.moved.insert(project.clone());
        });
    }

    /// Progress of all effects.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Tells every attempt to stop, and waits until it did.
    pub fn stop(&self) {
        self.inbox.put(|news| news.stopping = true);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // The panic hook has reported a panic there.
            let _ = thread.join();
        }
    }
}

/// Notes of earlier processes about effects that are still open; other notes are deleted.
fn left(host: &dyn Host) -> Result<BTreeMap<EffectId, Note>, ReadError> {
    let (mut left, mut useless) = (BTreeMap::new(), Vec::new());
    let journal = host.journal();
    for (id, bytes) in journal.effect_notes()? {
        let is_open = journal.open_effects(&id.project)?.iter().any(|open| open.id == id);
        if !is_open {
            useless.push(id);
            continue;
        }
        let note = Note::decode(&bytes).unwrap_or_else(|error| {
            tracing::error!(%id, %error, "what was noted of an effect cannot be read; it counts as begun");
            Note::unreadable()
        });
        left.insert(id, note);
    }
    if let Err(error) = journal.forget_effects(&useless) {
        tracing::warn!(%error, "notes of closed effects could not be removed; it is tried again at the next start");
    }
    Ok(left)
}

fn open_projects(host: &dyn Host) -> Result<BTreeSet<ProjectName>, ReadError> {
    let mut projects = BTreeSet::new();
    if !EffectName::ALL.iter().any(|effect| host.runs(*effect)) {
        return Ok(projects);
    }
    let mut after: Option<EffectId> = None;
    loop {
        let page = host.journal().open_effects_after(after.as_ref(), PAGE)?;
        let Some(OpenRow { id, .. }) = page.last() else { return Ok(projects) };
        after = Some(id.clone());
        projects.extend(page.into_iter().map(|row| row.id).filter(|id| host.runs(id.effect)).map(|id| id.project));
    }
}

struct Shell {
    engine: Engine,
    host: Arc<dyn Host>,
    executor: Arc<dyn Execute>,
    inbox: Arc<Inbox>,
    board: Board,
    workers: BTreeMap<EffectId, Cancellable>,
    /// Projects that could not be looked at, and when to look again.
    again: BTreeMap<ProjectName, u64>,
    stopping: bool,
    /// Until when attempts may take to stop.
    stop_by: Option<Instant>,
}

/// When a project that could not be looked at is looked at again.
const LOOK_AGAIN_MS: u64 = 60_000;

impl Shell {
    fn run(mut self) {
        loop {
            let news = self.inbox.take(self.patience());
            let now_ms = self.host.now_ms();
            for (id, attempt, ended) in news.ended {
                self.workers.remove(&id);
                if let Ended::Failed(failed) = &ended {
                    self.host.failed(&id, &failed.reason);
                }
                self.engine.ended(&id, attempt, ended, now_ms);
            }
            for (id, answer) in news.answered {
                self.engine.answered(&id, answer, now_ms);
            }
            if news.stopping {
                self.stopping = true;
                self.stop_by.get_or_insert(Instant::now() + STOP_PATIENCE);
            }
            if self.stopping {
                self.engine.stop();
            } else {
                self.look(news.moved, now_ms);
                self.engine.hold(self.host.leave().stop());
                self.engine.tick(now_ms);
            }
            self.obey(now_ms);
            self.tell();
            let gave_up = self.stop_by.is_some_and(|by| Instant::now() >= by);
            if self.stopping && gave_up {
                return tracing::error!(
                    running = self.workers.len(),
                    "attempts at effects do not stop; they end with the node"
                );
            }
            if self.stopping && self.workers.is_empty() {
                return;
            }
        }
    }

    fn patience(&self) -> Duration {
        let again = self.again.values().min().copied();
        let next = self.engine.wakes_at_ms().into_iter().chain(again).min();
        // Nothing wakes the thread when the network gate opens. The engine's word counts: the gate may have opened since.
        let most = if self.stopping || self.engine.is_held() { LOOK_AT_GATE } else { SLEEP };
        next.map_or(most, |at_ms| Duration::from_millis(at_ms.saturating_sub(self.host.now_ms()))).min(most)
    }

    fn look(&mut self, moved: BTreeSet<ProjectName>, now_ms: u64) {
        let due: Vec<_> =
            self.again.iter().filter(|(_, at_ms)| **at_ms <= now_ms).map(|(name, _)| name.clone()).collect();
        for project in moved.into_iter().chain(due) {
            self.again.remove(&project);
            match self.host.open(&project) {
                Ok(open) => self.engine.found(&project, &open, now_ms),
                Err(error) => {
                    tracing::warn!(%project, error, "its effects cannot be looked at; it is tried again");
                    self.again.insert(project, now_ms + LOOK_AGAIN_MS);
                }
            }
        }
    }

    /// Does what the engine says, until it says nothing more.
    fn obey(&mut self, now_ms: u64) {
        loop {
            let commands = self.engine.take_commands();
            if commands.is_empty() {
                return;
            }
            let mut unkept = BTreeSet::new();
            for command in commands {
                self.obey_one(command, &mut unkept, now_ms);
            }
        }
    }

    fn obey_one(&mut self, command: Command, unkept: &mut BTreeSet<EffectId>, now_ms: u64) {
        match command {
            Command::Note { id, note } => {
                if !note.ended && !self.may_begin(&id, now_ms) {
                    unkept.insert(id);
                    return;
                }
                if let Err(error) = self.keep(&id, &note) {
                    tracing::error!(%id, error, "what is noted of an effect cannot be kept; it waits");
                    self.engine.note_failed(&id, &note, &error, now_ms);
                    unkept.insert(id);
                }
            }
            Command::Start { id, attempt } if !unkept.contains(&id) => self.begin(id, attempt, now_ms),
            Command::Propose { id, outcome } if !unkept.contains(&id) => {
                self.host.reached(Point::Record, &id);
                let (inbox, named) = (self.inbox.clone(), id.clone());
                let reply = Box::new(move |answer| inbox.put(|news| news.answered.push((named, answer))));
                self.host.propose(&id, outcome, reply);
            }
            Command::Start { .. } | Command::Propose { .. } => {}
            Command::Interrupt { id } => self.workers.get(&id).into_iter().for_each(Cancellable::cancel),
            Command::Forget { id } => {
                if let Err(error) = self.host.journal().forget_effects(std::slice::from_ref(&id)) {
                    tracing::warn!(%id, %error, "the note of a closed effect could not be removed");
                }
            }
        }
    }

    /// Asks before an attempt is noted, so that one that may not begin leaves no trace.
    fn may_begin(&mut self, id: &EffectId, now_ms: u64) -> bool {
        let Some(stop) = self.host.leave().stop() else {
            self.host.reached(Point::Start, id);
            return true;
        };
        self.engine.not_begun(id, &stop.to_string(), now_ms);
        false
    }

    fn keep(&self, id: &EffectId, note: &Note) -> Result<(), String> {
        if note.outcome.is_some() {
            self.host.reached(Point::Note, id);
        }
        self.host.journal().note_effect(id, &note.encode()).map_err(|error| error.to_string())
    }

    fn begin(&mut self, id: EffectId, attempt: u32, now_ms: u64) {
        self.host.reached(Point::Work, &id);
        let task = match self.host.task(&id) {
            Ok(Some(task)) => task,
            // It was closed a moment ago; the engine hears of it soon.
            Ok(None) => return self.engine.ended(&id, attempt, Ended::Stopped(Stop::Cancelled), now_ms),
            Err(error) => return self.engine.ended(&id, attempt, Ended::Failed(Failed::passing(error)), now_ms),
        };
        tracing::info!(%id, attempt, "an effect begins");
        let cancelled = Cancellable::default();
        self.workers.insert(id.clone(), cancelled.clone());
        // A step is shown of running work only, and the first one may come at once.
        self.tell();
        let leave = WorkLeave { cancelled, outside: self.host.leave() };
        let job = Job { id: id.clone(), attempt, task };
        let (executor, inbox) = (self.executor.clone(), self.inbox.clone());
        let (board, host) = (self.board.clone(), self.host.clone());
        let work = move || {
            let tell = |step: Step| board.step(&job.id, step).iter().for_each(|progress| host.changed(progress));
            let run = || executor.run(&job, &Work { leave: &leave, tell: &tell });
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
            let ended = ended
                .unwrap_or_else(|_| Ended::Failed(Failed::passing("the work panicked; the node's log says where")));
            inbox.put(|news| news.ended.push((job.id, job.attempt, ended)));
        };
        if let Err(error) = std::thread::Builder::new().name("effect".to_owned()).spawn(work) {
            self.workers.remove(&id);
            let failed = Failed::passing(format!("cannot start a thread: {error}"));
            self.engine.ended(&id, attempt, Ended::Failed(failed), now_ms);
        }
    }

    fn tell(&mut self) {
        for progress in self.engine.take_changes() {
            if self.board.put(&progress) {
                self.host.changed(&progress);
            }
        }
    }
}
