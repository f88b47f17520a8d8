//! The engine's host: lists open effects, allows or blocks work, takes outcomes.

use std::sync::Arc;

use super::board::Progress;
use super::outcome::Outcome;
use super::task::Task;
use swoosh_hybridcore::leave::Leave;
use swoosh_journal::Journal;
use swoosh_types::ids::EffectId;
use swoosh_types::names::EffectName;
use swoosh_types::text::ProjectName;

/// An effect that the node is to run, or whose outcome it is to propose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    pub id: EffectId,
    /// When it was opened, in milliseconds since 1970.
    pub opened_at_ms: u64,
    /// Index of the project's last record: a rejected outcome may pass after it has moved.
    pub seen: u64,
    /// Why nothing is to be done about it now; its project is paused, say.
    pub blocked: Option<String>,
    /// Whether it was opened before the log's present incarnation began, so that another node, or this one before a
    /// restore, may have worked at it and left no note here.
    pub inherited: bool,
    pub doer: Doer,
    /// Failures of this work that are on record since its last success. Each one opened the effect again, under another id.
    pub failures: u32,
    /// The last one's reason.
    pub last_failure: Option<String>,
    /// The outcome that an external worker brought while the project was blocked; no work is left.
    pub held: Option<Outcome>,
}

/// The doer of an effect. Settings and orders of a migration change it while the effect is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doer {
    Node,
    /// The node, since a moment after the effect was opened: others may have begun it.
    NodeAfterOthers,
    /// Workers. The node reports only how far its own attempt came.
    Workers,
    /// Workers of WHOOSH, which decides the region: the node reports nothing and keeps its note.
    Whoosh,
}

/// Answer to a proposed outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is recorded.
    Accepted,
    /// It may pass later, as it is: the project is blocked, the node is busy.
    Later(String),
    /// It does not pass as it is.
    Refused(String),
}

/// Where an answer goes.
pub type Reply = Box<dyn FnOnce(Answer) + Send>;

/// A moment between two steps, at which a crash must not lead to work that is done twice unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Before an attempt is noted.
    Start,
    /// After it is noted, before the work begins.
    Work,
    /// After the work, before its outcome is noted.
    Note,
    /// After the outcome is noted, before it is proposed.
    Record,
}

impl Point {
    /// All of them, in their order.
    pub const ALL: [Point; 4] = [Point::Start, Point::Work, Point::Note, Point::Record];

    pub const fn as_str(self) -> &'static str {
        match self {
            Point::Start => "start",
            Point::Work => "work",
            Point::Note => "note",
            Point::Record => "record",
        }
    }
}

/// The node, as the engine sees it. Called from the engine's own thread, but for [`Host::reached`].
pub trait Host: Send + Sync + 'static {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;
    /// The journal as it is open now.
    fn journal(&self) -> Journal;
    /// Whether an effect is the node's to run.
    fn runs(&self, effect: EffectName) -> bool;
    /// Effects of a project that are open on its durable head. Those that workers do are among them where the node
    /// keeps an outcome or a note of them.
    fn open(&self, project: &ProjectName) -> Result<Vec<Open>, String>;
    /// The task of an effect; `None` when it is not open any more.
    fn task(&self, id: &EffectId) -> Result<Option<Task>, String>;
    /// Proposes an outcome, and says what became of it once that is durable. Does not block.
    fn propose(&self, id: &EffectId, outcome: Outcome, reply: Reply);
    /// Leave to go outside.
    fn leave(&self) -> Arc<dyn Leave>;
    /// The progress of an effect has changed.
    fn changed(&self, progress: &Progress);
    /// An attempt failed, whether it is reported or not.
    fn failed(&self, id: &EffectId, reason: &str);
    fn reached(&self, point: Point, id: &EffectId);
}
