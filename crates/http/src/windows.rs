//! `GET /windows`: the window schedule in force, its current beat, and the next windows.

use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::asker::Asker;
use super::fault::Answer;
use super::query::Query;
use super::{AppState, schema};
use swoosh_sequencer::Handle;
use swoosh_sequencer::queries::FactBody;
use swoosh_types::backbeat::{Outlook, Schedule};
use swoosh_types::fact::FactKind;
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::keys::PublicKey;
use swoosh_types::text::ProjectName;

/// Default of `count`.
const NEXT: u64 = 6;
/// How many may be asked for.
const MOST: u64 = 1_000;

/// The window schedule of a project.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct WindowsAnswer {
    /// The project.
    #[schema(value_type = schema::ProjectName)]
    project: ProjectName,
    /// The node's clock.
    #[schema(value_type = schema::Hlc)]
    time: Hlc,
    /// The schedule; left out where the node knows none that is valid at the time asked for.
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    known: Option<Known>,
}

/// A schedule that is valid.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Known {
    /// Signer of the schedule: the node's key, or that of another source.
    #[schema(value_type = schema::PublicKey)]
    source: PublicKey,
    /// Address of the fact.
    #[schema(value_type = schema::Hash)]
    fact: Hash,
    /// The schedule as config/backbeat.yaml has it, with `live` where a live source leads.
    #[schema(value_type = Object)]
    schedule: Schedule,
    /// Its state at the requested time, and the next windows, as `swoosh windows` shows them.
    #[schema(value_type = Object)]
    outlook: Outlook,
}

/// Show the window schedule.
///
/// Shows the state of a project's BACKBEAT schedule, now or at another time, and the next windows.
#[utoipa::path(get, path = "/windows", tag = "state",
    params(
        ("project" = Option<schema::ProjectName>, Query, description = "The project; `default` when left out."),
        ("at" = Option<schema::Hlc>, Query, description = "The time asked about; the node's when left out."),
        ("count" = Option<u64>, Query, minimum = 0, maximum = 1000,
            description = "Number of next windows; default 6."),
    ),
    responses(
        (status = 200, description = "The schedule.", body = WindowsAnswer),
        (status = 400, description = "`bad_query`.",
            body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn windows(State(state): State<AppState>, asker: Asker, uri: Uri) -> Answer {
    let asked = Asked::read(&uri)?;
    state.show(&asker, move |state, _| Ok(asked.answer(&state.handle))).await
}

/// The parameters of a request.
pub(super) struct Asked {
    project: ProjectName,
    at: Option<Hlc>,
    count: u64,
}

impl Asked {
    pub fn read(uri: &Uri) -> Answer<Asked> {
        let query = Query::read(uri, &["project", "at", "count"])?;
        let (project, at) = (query.project()?, query.parsed::<Hlc>("at")?);
        Ok(Asked { project, at, count: query.number("count", 0..=MOST)?.unwrap_or(NEXT) })
    }

    /// The schedule; also for the clients of WHOOSH.
    pub fn answer(self, handle: &Handle) -> WindowsAnswer {
        let Asked { project, at, count } = self;
        let time = handle.now();
        let facts = handle.facts();
        let fact = facts.set().get(FactKind::Windows, &project).filter(|fact| fact.is_valid(time));
        let known = fact.and_then(|fact| {
            let FactBody::Windows(schedule) = &fact.body else { return None };
            Some(Known {
                source: fact.fact.claim.source,
                fact: fact.hash,
                schedule: schedule.clone(),
                outlook: schedule.outlook(at.unwrap_or(time), usize::try_from(count).unwrap_or(0)),
            })
        });
        WindowsAnswer { project, time, known }
    }
}
