//! `GET /wal/feed`: the log for those who follow it, with everything that proves it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::Uri;
use serde_json::Value;
use utoipa::ToSchema;

use super::asker::Asker;
use super::fault::{Answer, Fault};
use super::query::Query;
use super::reads::Right;
use super::{AppState, schema};
use swoosh_sequencer::queries::{Journal, ReadError, Stop};
use swoosh_types::feed::{FeedFact, FeedPage, FeedRecord};
use swoosh_types::hash::Hash;
use swoosh_types::json::{Json, MAX_INTEGER};

/// Bytes of a page, of its records, their inputs, their proofs and all facts, after which it ends early. It holds one record
/// more than fits, and always one.
const PAGE_BYTES: usize = 8 << 20;
/// About as many bytes as JSON takes to write what proves a record: names, seal, and a line for each hash of its path.
const PROOF_BYTES: usize = 512;
const HASH_BYTES: usize = 80;
/// Interval at which a waiting request looks for new records.
const LOOK: Duration = Duration::from_millis(20);

/// A stretch of the log.
#[derive(Clone, Debug, ToSchema)]
#[expect(dead_code, reason = "it describes FeedPage")]
pub(super) struct FeedAnswer {
    /// The cluster.
    #[schema(value_type = schema::ClusterId)]
    cluster: String,
    /// The node, which sealed the records.
    #[schema(value_type = schema::PublicKey)]
    node: String,
    /// How the incarnations of the log after the first one began.
    incarnations: Vec<Value>,
    /// Index of the first record that is not pruned.
    first_index: u64,
    /// Index of the last durable record.
    last_index: u64,
    /// Records by rising index.
    records: Vec<FeedEntry>,
    /// Every fact that they name, each once: its hash and the fact.
    facts: Vec<Value>,
}

/// One record, and what proves it.
#[derive(Clone, Debug, ToSchema)]
#[expect(dead_code, reason = "it describes FeedRecord")]
pub(super) struct FeedEntry {
    /// The record.
    #[schema(value_type = schema::Record)]
    record: Value,
    /// Its link in the chain.
    #[schema(value_type = schema::Hash)]
    chain: String,
    /// The inputs that it names by hash.
    inputs: Value,
    /// The signed root of the batch that it was committed in.
    #[schema(value_type = schema::BatchSeal)]
    seal: Value,
    /// Path from its leaf to that root.
    #[schema(value_type = Vec<schema::Hash>)]
    path: Vec<String>,
}

/// Follow the write-ahead log.
///
/// Records with what proves them: inputs, facts, the batch's seal and the path to it, and how the log's incarnations
/// began. A page ends after 8 MiB, so it may hold fewer records than `limit`; ask on from the last one. With `wait_ms` the
/// answer waits until there is a record to give; it counts as a listener meanwhile (`limits.listeners`). `swoosh follow` reads
/// this.
#[utoipa::path(get, path = "/wal/feed", tag = "records",
    params(
        ("from" = Option<u64>, Query, minimum = 1, description = "Index of the first record wanted; 1 when left out."),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "Most records, 1 to 1000; 100 when left out."),
        ("wait_ms" = Option<u64>, Query, minimum = 0, maximum = 10000,
            description = "How long to wait for a record, 0 to 10000; 0 when left out."),
    ),
    responses(
        (status = 200, description = "Records by rising index; none where the log ends before.", body = FeedAnswer),
        (status = 400, description = "`bad_query`.",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 410, description = "`pruned`.",
            body = schema::Problem, content_type = "application/problem+json"),
        (status = 429, description = "`too_many_requests`: this peer has its share of the listeners.",
            body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn feed(State(state): State<AppState>, asker: Asker, right: Right, uri: Uri) -> Answer {
    let query = Query::read(&uri, &["from", "limit", "wait_ms"])?;
    let from = query.number("from", 1..=MAX_INTEGER)?.unwrap_or(1);
    let limit = query.number("limit", 1..=1_000)?.unwrap_or(100) as usize;
    let patience = Duration::from_millis(query.number("wait_ms", 0..=10_000)?.unwrap_or(0));
    wait(&state, &asker, from, patience).await?;
    right.reach(&state)?;
    state.show(&asker, move |state, stop| page(state, from, limit, stop)).await
}

/// Waits for a record as a listener, without a place of a read.
async fn wait(state: &AppState, asker: &Asker, from: u64, patience: Duration) -> Answer<()> {
    if patience.is_zero() || !is_worth_waiting(state, from) {
        return Ok(());
    }
    let _place = state.gate.listen(asker.peer())?;
    let began = Instant::now();
    while is_worth_waiting(state, from) && began.elapsed() < patience {
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Whether the record may still come.
fn is_worth_waiting(state: &AppState, from: u64) -> bool {
    state.handle.last_index() < from && state.handle.may_grow()
}

fn page(state: &AppState, from: u64, limit: usize, stop: &Stop) -> Answer<FeedPage> {
    let last_index = state.handle.last_index();
    let journal = state.handle.journal();
    let identity = journal.identity().clone();
    let mut page = FeedPage {
        cluster: identity.cluster,
        node: identity.node,
        incarnations: journal.incarnations().to_vec(),
        first_index: journal.first_index(),
        last_index,
        records: Vec::new(),
        facts: Vec::new(),
    };
    let (mut bytes, mut named) = (0, BTreeSet::new());
    // Nothing past the last durable index is shown.
    let wanted = if from > last_index { None } else { Some(journal.records_from(from)) };
    for stored in wanted.into_iter().flatten() {
        stop.check()?;
        let stored = stored?;
        let index = stored.record.index;
        if index > last_index || page.records.len() == limit || bytes >= PAGE_BYTES {
            break;
        }
        for hash in stored.record.facts() {
            if named.insert(hash) {
                let (size, fact) = object(&journal, index, &hash)?;
                bytes += size + PROOF_BYTES;
                page.facts.push(FeedFact { hash, fact });
            }
        }
        let inputs = object(&journal, index, &stored.record.inputs_hash)?;
        bytes += stored.encoded.len() + inputs.0 + PROOF_BYTES + stored.path.len() * HASH_BYTES;
        let (record, chain, seal, path) = (stored.record, stored.chain, stored.seal, stored.path);
        page.records.push(FeedRecord { record, chain, inputs: inputs.1, seal, path });
    }
    Ok(page)
}

/// A stored document, and how many bytes it has.
fn object(journal: &Journal, index: u64, hash: &Hash) -> Answer<(usize, Json)> {
    let bytes = journal.object(hash)?.ok_or(ReadError::InputsMissing { index, hash: *hash })?;
    let parsed = Json::parse(&bytes).map_err(|error| Fault::internal(&error))?;
    Ok((bytes.len(), parsed))
}
