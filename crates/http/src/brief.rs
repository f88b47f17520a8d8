//! `GET /records`: records without their inputs, newest first.

use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::asker::Asker;
use super::fault::Answer;
use super::query::Query;
use super::{AppState, schema};
use swoosh_sequencer::queries::{Journal, ReadError, Stop, chart};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::{IdemKey, WindowId};
use swoosh_types::json::MAX_INTEGER;
use swoosh_types::keys::PublicKey;
use swoosh_types::names::{Region, Transition};
use swoosh_types::record::Record;
use swoosh_types::text::ProjectName;

/// Records that one call looks at.
const MOST_SCANNED: u64 = 20_000;

/// A record without inputs, guard outcomes, evidence and signature.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct BriefRecord {
    /// Its index in the log.
    index: u64,
    /// The project.
    #[schema(value_type = schema::ProjectName)]
    project: ProjectName,
    /// Which transition.
    #[schema(value_type = schema::Transition)]
    transition: Transition,
    /// The transition's region.
    #[schema(value_type = schema::Region)]
    region: Region,
    /// The signer of the proposal.
    #[schema(value_type = schema::PublicKey)]
    signer: PublicKey,
    /// When the node accepted it.
    #[schema(value_type = schema::Hlc)]
    timestamp: Hlc,
    /// The proposal's clock.
    #[schema(value_type = schema::Hlc)]
    hlc: Hlc,
    /// The proposal's idempotency key.
    #[schema(value_type = schema::IdemKey)]
    idem_key: IdemKey,
    /// The window that the proposal named.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::WindowId>, nullable = false)]
    window_id: Option<WindowId>,
    /// Number of guards that judged it.
    guards: u64,
    /// The head after it.
    #[schema(value_type = schema::Hash)]
    state_post_hash: Hash,
}

/// A record that cannot be read.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct DamagedRecord {
    /// Its index in the log.
    index: u64,
    /// The reason.
    reason: String,
}

/// A page of records, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct RecordsAnswer {
    /// The records that match.
    records: Vec<BriefRecord>,
    /// Value of `before` for the next page, even of a page that is not full; left out at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<u64>,
    /// Number of records that this call looked at, at most 20000.
    scanned: u64,
    /// Index of the first record that is not pruned.
    first_index: u64,
    /// Index of the last durable record.
    last_index: u64,
    /// Records that this call could not read. Left out where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    damaged: Vec<DamagedRecord>,
}

/// Which records are asked for.
#[derive(Clone, Debug)]
struct Filter {
    project: Option<ProjectName>,
    transition: Option<Transition>,
    region: Option<Region>,
    signer: Option<PublicKey>,
    since: Option<Hlc>,
    until: Option<Hlc>,
    before: u64,
    limit: usize,
}

impl Filter {
    fn read(uri: &Uri) -> Answer<Filter> {
        let known = ["project", "transition", "region", "signer", "since", "until", "before", "limit"];
        let query = Query::read(uri, &known)?;
        Ok(Filter {
            project: query.parsed("project")?,
            transition: query.parsed("transition")?,
            region: query.parsed("region")?,
            signer: query.parsed("signer")?,
            since: query.parsed("since")?,
            until: query.parsed("until")?,
            before: query.number("before", 1..=MAX_INTEGER)?.unwrap_or(MAX_INTEGER),
            limit: query.number("limit", 1..=1_000)?.unwrap_or(100) as usize,
        })
    }

    fn fits(&self, record: &Record) -> bool {
        self.transition.is_none_or(|transition| record.transition == transition)
            && self.region.is_none_or(|region| chart::spec(record.transition).region == region)
            && self.signer.is_none_or(|signer| record.signer == signer)
            && self.since.is_none_or(|since| record.timestamp >= since)
            && self.until.is_none_or(|until| record.timestamp <= until)
    }

    /// Whether it and all records before it are too old. Stamps rise with the index.
    fn ends_at(&self, record: &Record) -> bool {
        self.since.is_some_and(|since| record.timestamp < since)
    }
}

impl From<Record> for BriefRecord {
    fn from(record: Record) -> BriefRecord {
        BriefRecord {
            index: record.index,
            project: record.project,
            transition: record.transition,
            region: chart::spec(record.transition).region,
            signer: record.signer,
            timestamp: record.timestamp,
            hlc: record.hlc,
            idem_key: record.idem_key,
            window_id: record.window_id,
            guards: record.guard_outcomes.len() as u64,
            state_post_hash: record.state_post_hash,
        }
    }
}

/// List records, newest first.
///
/// Records without inputs, guard outcomes and evidence. A call looks at 20000 records at most; `next` goes on from there.
#[utoipa::path(get, path = "/records", tag = "records",
    params(
        ("project" = Option<schema::ProjectName>, Query, description = "Only this project's records."),
        ("transition" = Option<schema::Transition>, Query, description = "Only records of this transition."),
        ("region" = Option<schema::Region>, Query, description = "Only records of this region's transitions."),
        ("signer" = Option<schema::PublicKey>, Query, description = "Only records that this key signed."),
        ("since" = Option<schema::Hlc>, Query, description = "Only records that were accepted at this time or later."),
        ("until" = Option<schema::Hlc>, Query, description = "Only records that were accepted at this time or earlier."),
        ("before" = Option<u64>, Query, minimum = 1, description = "Only records with a lower index; the newest ones when left out."),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "Most records, 1 to 1000; 100 when left out."),
    ),
    responses(
        (status = 200, description = "Records by falling index.", body = RecordsAnswer),
        (status = 400, description = "`bad_query`.",
            body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn records(State(state): State<AppState>, asker: Asker, uri: Uri) -> Answer {
    let filter = Filter::read(&uri)?;
    state.show(&asker, move |state, stop| page(state, &filter, stop)).await
}

/// Indexes below one, falling: of all records, or of one project's.
fn indexes<'a>(
    journal: &'a Journal,
    filter: &Filter,
    before: u64,
) -> Box<dyn Iterator<Item = Result<u64, ReadError>> + 'a> {
    match &filter.project {
        None => Box::new((journal.first_index()..before).rev().map(Ok)),
        Some(project) => Box::new(journal.project_indexes_before(project, before)),
    }
}

fn page(state: &AppState, filter: &Filter, stop: &Stop) -> Answer<RecordsAnswer> {
    let (journal, last_index) = (state.handle.journal(), state.handle.last_index());
    let first_index = journal.first_index();
    let mut answer =
        RecordsAnswer { records: Vec::new(), next: None, scanned: 0, first_index, last_index, damaged: Vec::new() };
    let failed = |error: &ReadError| state.handle.read_failed(filter.project.as_ref(), error);
    for index in indexes(&journal, filter, filter.before.min(last_index + 1)) {
        stop.check()?;
        let index = index.inspect_err(failed)?;
        if index < first_index {
            break;
        }
        if answer.scanned == MOST_SCANNED || answer.records.len() == filter.limit {
            answer.next = Some(index + 1);
            break;
        }
        answer.scanned += 1;
        let found = journal.record(index).and_then(|stored| stored.ok_or(ReadError::Missing { index }));
        match found {
            Ok(stored) if filter.ends_at(&stored.record) => break,
            Ok(stored) if filter.fits(&stored.record) => answer.records.push(stored.record.into()),
            Ok(_) => {}
            // Pruned since the page began.
            Err(ReadError::Pruned { .. }) => break,
            Err(error) if error.is_damage() => {
                failed(&error);
                answer.damaged.push(DamagedRecord { index, reason: error.to_string() });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(answer)
}
