//! The list of executors, and the task of an effect as its executor needs it.

use std::fmt::Debug;

use crate::executors::{Done, Workshop, index, ingestion, outside, provision};
use crate::worker::{Job, Work};
use swoosh_machine::state::State;
use swoosh_types::inputs::SourceSet;
use swoosh_types::names::EffectName;
use swoosh_types::text::Name;

/// The work of one effect: what an executor needs of the project, and how it does it.
pub trait Executor: Clone + Debug + Eq {
    const EFFECT: EffectName;
    const PLACE: Place;
    /// Whether repeating it after a crash does nothing twice. If not, an attempt with an unknown end is a failure.
    const IDEMPOTENT: bool;

    /// Reads the task from the project's durable head when work begins.
    fn task(state: &State) -> Self;

    /// Does the work. It may block; it asks `work.leave` about ten times a second.
    fn run(&self, workshop: &Workshop, job: &Job, work: &Work<'_>) -> Done;
}

/// The resource that an attempt uses. Two attempts of one project may not use it at once; that includes a stopping
/// attempt and the one that removes its results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Trees and indexes.
    Content,
    /// Facts alone.
    Nowhere,
    Environment,
}

/// Makes [`Task`] of the list: an effect without an executor does not compile.
macro_rules! executors {
    ($($effect:ident($executor:path),)*) => {
        /// The task of one effect.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Task {
            $($effect($executor),)*
        }

        $(const _: () = assert!(matches!(<$executor as Executor>::EFFECT, EffectName::$effect));)*

        impl Task {
            /// The task of an effect in this state.
            pub fn of(effect: EffectName, state: &State) -> Task {
                match effect {
                    $(EffectName::$effect => Task::$effect(<$executor>::task(state)),)*
                }
            }

            /// The effect that it is the work of.
            pub fn effect(&self) -> EffectName {
                match self {
                    $(Task::$effect(_) => EffectName::$effect,)*
                }
            }

            pub(super) fn run(&self, workshop: &Workshop, job: &Job, work: &Work<'_>) -> Done {
                match self {
                    $(Task::$effect(task) => task.run(workshop, job, work),)*
                }
            }
        }

        /// Where an effect works.
        pub(super) fn place(effect: EffectName) -> Place {
            match effect {
                $(EffectName::$effect => <$executor>::PLACE,)*
            }
        }

        /// Whether repeating an effect after a crash does nothing twice.
        pub fn is_idempotent(effect: EffectName) -> bool {
            match effect {
                $(EffectName::$effect => <$executor>::IDEMPOTENT,)*
            }
        }
    };
}

executors! {
    Resolve(ingestion::Resolve),
    Fetch(ingestion::Fetch),
    Validate(ingestion::Validate),
    Index(index::BuildIndex),
    Probe(outside::Probe),
    Allocate(outside::Allocate),
    Provision(provision::Provision),
    Healthcheck(provision::Healthcheck),
    Release(provision::Release),
}

/// One build of an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    pub environment: Name,
    /// The builder of the inventory.
    pub builder: String,
    pub variant: Option<Name>,
}

/// The repositories of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub sources: SourceSet,
    /// Its pinned upstreams.
    pub upstreams: SourceSet,
}

impl Wanted {
    pub(super) fn of(state: &State) -> Wanted {
        let ingestion = &state.ingestion;
        Wanted { sources: ingestion.sources.clone(), upstreams: ingestion.upstreams.clone() }
    }
}
