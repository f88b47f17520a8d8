//! `GET /health`: how the node is.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::fault::{Answer, Fault};
use super::query::Query;
use super::readers::Reach;
use super::{AppState, json, schema};
use swoosh_sequencer::{Damage, Mode, Status};
use swoosh_types::hlc::Hlc;
use swoosh_types::keys::PublicKey;
use swoosh_types::rejection::Code;
use swoosh_types::text::{ClusterId, ProjectName};

/// How the node is, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum HealthStatus {
    /// All is well.
    Ok,
    /// Its clock cannot be trusted, so it accepts nothing; its disk does not answer, so nothing becomes durable; its
    /// journal is damaged, so it refuses the damaged projects; or the node that it follows does not answer. `reason` says
    /// which, and the remedy.
    Degraded,
    /// It is shutting down.
    Draining,
    /// Its log failed: it accepts nothing. `reason` says whether it goes on by itself or needs a restart.
    Refusing,
}

/// How an exporter of decision records is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ExportView {
    /// Which exporter: `jsonl` or `bubble`.
    pub exporter: &'static str,
    /// Index of the last record that it delivered.
    pub position: u64,
    /// Records that wait for it.
    pub lag: u64,
    /// Failures since the start.
    pub failures: u64,
    /// Why it does not come on, while it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub problem: Option<String>,
}

/// How the node is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct HealthAnswer {
    /// In a word.
    status: HealthStatus,
    /// `single`: one node without replication. `follower`: it holds the log of another one and takes no proposals.
    #[schema(example = "single")]
    consensus: &'static str,
    /// The clock of the newest snapshot; null before the first.
    #[serde(rename = "lastSnapshotHLC")]
    #[schema(value_type = Option<schema::Hlc>, required = true)]
    last_snapshot_hlc: Option<Hlc>,
    /// Records judged but not yet durable.
    #[serde(rename = "walLag")]
    wal_lag: u64,
    /// Age of the oldest record that is not durable yet, or of the journal work that the sequencer waits for, in
    /// milliseconds; 0 where there is none.
    uncommitted_ms: u64,
    /// Index of the last durable record.
    last_index: u64,
    /// Proposals that wait.
    queue: usize,
    /// The exporters of decision records; a stalled one holds nothing back but shows as lag.
    decision_export: Vec<ExportView>,
    /// Whether it takes proposals: `accepting`, `following` (another node, which `reason` names), `draining`, `refusing` (it goes on by itself once there is room on
    /// its disk) or `read_only` (it must be restarted).
    mode: &'static str,
    /// Why all is not well.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// Damage to the journal that is known: at most 100 projects, then tables whose damage is of no known project. It lists
    /// what the caller may read.
    damaged: Vec<DamageView>,
    /// Projects that are known to be damaged, all of them.
    projects_damaged: usize,
    /// Tables that are known to be damaged where the project is not known.
    tables_damaged: usize,
    /// The cluster, which every signature names.
    #[schema(value_type = schema::ClusterId)]
    cluster: ClusterId,
    /// The node's key, which signs receipts.
    #[schema(value_type = schema::PublicKey)]
    node: PublicKey,
    /// The program's version.
    version: String,
    /// The node's clock.
    #[schema(value_type = schema::Hlc)]
    time: Hlc,
}

/// Damage to the journal.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct DamageView {
    /// The damaged project.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::ProjectName>, nullable = false)]
    project: Option<ProjectName>,
    /// The damaged table, where the project is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    table: Option<&'static str>,
    /// Whether the project's proposals are refused; else only reads of the damaged row fail.
    refused: bool,
    /// The error of the read that found it.
    reason: String,
}

/// Damaged projects that are listed at most.
const MOST_DAMAGED: usize = 100;

fn damaged(damage: &Damage, reach: &Reach) -> Vec<DamageView> {
    let projects = damage.projects.iter().filter(|(project, _)| reach.holds(project)).take(MOST_DAMAGED);
    let projects = projects.map(|(project, damaged)| DamageView {
        project: Some(project.clone()),
        table: None,
        refused: damaged.refused,
        reason: damaged.reason.clone(),
    });
    let tables = damage.tables.iter().filter(|_| *reach == Reach::All).map(|(table, reason)| DamageView {
        project: None,
        table: Some(table),
        refused: false,
        reason: reason.clone(),
    });
    projects.chain(tables).collect()
}

fn judge(status: &Status) -> (HealthStatus, &'static str, Option<String>) {
    let stalled = &status.stalled;
    match (&status.mode, &status.clock_unsafe) {
        (Mode::Refusing(reason), _) => (HealthStatus::Refusing, "refusing", Some(reason.clone())),
        (Mode::ReadOnly(reason), _) => (HealthStatus::Refusing, "read_only", Some(reason.clone())),
        (Mode::Following(reason), _) => match stalled {
            Some(stalled) => (HealthStatus::Degraded, "following", Some(format!("{reason}; {stalled}"))),
            None if status.cut_off => (HealthStatus::Degraded, "following", Some(reason.clone())),
            None => (HealthStatus::Ok, "following", Some(reason.clone())),
        },
        (Mode::Draining, _) => (HealthStatus::Draining, "draining", Some("the node is shutting down".to_owned())),
        (Mode::Accepting, Some(reason)) => (HealthStatus::Degraded, "accepting", Some(reason.clone())),
        (Mode::Accepting, None) => match stalled.clone().or_else(|| status.damage.summary()) {
            Some(reason) => (HealthStatus::Degraded, "accepting", Some(reason)),
            None => (HealthStatus::Ok, "accepting", None),
        },
    }
}

/// The judgement for a caller: paths, addresses and names of projects are for those alone who may read all.
fn judge_for(status: &Status, reach: &Reach) -> (HealthStatus, &'static str, Option<String>) {
    let (health, mode, reason) = judge(status);
    let shown = reason.map(|reason| if *reach == Reach::All { reason } else { guarded(status, reason) });
    (health, mode, shown)
}

/// The reason without what an error or the settings say.
fn guarded(status: &Status, reason: String) -> String {
    let said = match (&status.mode, &status.clock_unsafe, &status.stalled) {
        (Mode::Refusing(_), ..) => "the log cannot be written; the node goes on by itself when it can",
        (Mode::ReadOnly(_), ..) => "the log cannot be written until the node is restarted",
        (Mode::Following(_), ..) if status.cut_off => "it follows a node that does not answer",
        (Mode::Following(_), ..) => "it follows another node",
        // Their words name nothing of the machine.
        (Mode::Draining, ..) | (Mode::Accepting, Some(_), _) | (Mode::Accepting, None, Some(_)) => return reason,
        (Mode::Accepting, None, None) => {
            let (projects, tables) = (status.damage.projects.len(), status.damage.tables.len());
            return format!("the journal is damaged (projects: {projects}, tables: {tables}); readers see which");
        }
    };
    let stalled = status.stalled.as_ref().map_or(String::new(), |stalled| format!("; {stalled}"));
    format!("{said}{stalled}; readers see more")
}

/// Exporters without what their servers said.
fn exports(views: Vec<ExportView>, reach: &Reach) -> Vec<ExportView> {
    let guarded = |view: ExportView| match (&view.problem, reach) {
        (Some(_), Reach::Nothing | Reach::Projects(_)) => {
            ExportView { problem: Some("it makes no progress; readers see why".to_owned()), ..view }
        }
        _ => view,
    };
    views.into_iter().map(guarded).collect()
}

/// How the node is, in brief, and whether it is shutting down.
pub(super) fn brief(now: &Status, reach: &Reach) -> (serde_json::Value, bool) {
    let (status, mode, reason) = judge_for(now, reach);
    (serde_json::json!({"status": status, "mode": mode, "reason": reason}), now.mode == Mode::Draining)
}

/// See how the node is.
///
/// Always 200 while the process answers; `status` tells the rest. Which projects are damaged, and paths and addresses in reasons, are shown
/// to callers who may read them.
#[utoipa::path(get, path = "/health", tag = "health", responses(
    (status = 200, description = "How the node is.", body = HealthAnswer),
))]
pub(super) async fn health(State(state): State<AppState>, reach: Reach, uri: Uri) -> Answer {
    Query::read(&uri, &[])?;
    let now = state.handle.status();
    let (status, mode, reason) = judge_for(&now, &reach);
    json(&HealthAnswer {
        status,
        consensus: if mode == "following" { "follower" } else { "single" },
        last_snapshot_hlc: state.queries.last_snapshot_hlc(),
        wal_lag: state.queries.wal_lag(),
        uncommitted_ms: u64::try_from(now.busy.as_millis()).unwrap_or(u64::MAX),
        last_index: now.last_index,
        queue: now.queue,
        decision_export: exports(state.queries.exports(), &reach),
        mode,
        reason,
        projects_damaged: now.damage.projects.len(),
        tables_damaged: now.damage.tables.len(),
        damaged: damaged(&now.damage, &reach),
        cluster: state.meta.cluster.clone(),
        node: state.meta.node,
        version: state.meta.version.clone(),
        time: state.handle.now(),
    })
}

/// Check that the node works.
///
/// Asks the sequencer for a sign of life. Work that takes long is one until it is older than `sequencer.silence_ms`.
#[utoipa::path(get, path = "/health/live", tag = "health", responses(
    (status = 200, description = "It works."),
    (status = 503, description = "The sequencer is stuck or gone, and a restart may help; the problem says why.",
        body = schema::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn live(State(state): State<AppState>, uri: Uri) -> Answer {
    Query::read(&uri, &[])?;
    let sign = state.handle.sign_of_life().await;
    sign.map(|()| (StatusCode::OK, "live\n").into_response()).map_err(|why| Fault::new(Code::NotDurable, why))
}

/// Check that the node accepts proposals.
///
/// Damaged projects leave the node ready for the others; the text names them to callers who may read all. A node whose oldest record waits for the
/// disk longer than `sequencer.stall_ms` is not ready.
#[utoipa::path(get, path = "/health/ready", tag = "health", responses(
    (status = 200, description = "It accepts proposals."),
    (status = 503, description = "It does not; the problem says why.",
        body = schema::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn ready(State(state): State<AppState>, reach: Reach, uri: Uri) -> Answer {
    Query::read(&uri, &[])?;
    let now = state.handle.status();
    let (_, _, reason) = judge_for(&now, &reach);
    let code = match (&now.mode, &now.clock_unsafe) {
        (Mode::Accepting, None) if now.stalled.is_some() => Code::NotDurable,
        (Mode::Accepting, None) => {
            let but = reason.map_or(String::new(), |reason| format!(" for all other projects: {reason}"));
            return Ok((StatusCode::OK, format!("ready{but}\n")).into_response());
        }
        (Mode::Accepting, Some(_)) => Code::ClockUnsafe,
        (Mode::Draining, _) => Code::Draining,
        (Mode::Refusing(_), _) => Code::NotDurable,
        (Mode::ReadOnly(_), _) => Code::ReadOnly,
        (Mode::Following(_), _) => Code::Follower,
    };
    Err(Fault::new(code, reason.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_log_outweighs_a_shutdown_and_a_shutdown_an_unsafe_clock() {
        let judged = |mode, clock: Option<&str>| {
            judge(&Status {
                mode,
                queue: 0,
                last_index: 0,
                wal_lag: 0,
                busy: std::time::Duration::ZERO,
                stalled: None,
                cut_off: false,
                last_snapshot: None,
                clock_unsafe: clock.map(str::to_owned),
                damage: Damage::default(),
                heads: 0,
                heads_bytes: 0,
            })
            .0
        };
        assert_eq!(judged(Mode::Accepting, None), HealthStatus::Ok);
        assert_eq!(judged(Mode::Accepting, Some("it jumped")), HealthStatus::Degraded);
        assert_eq!(judged(Mode::Draining, Some("it jumped")), HealthStatus::Draining);
        assert_eq!(judged(Mode::Following("follows a".into()), Some("it jumped")), HealthStatus::Ok);
        assert_eq!(judged(Mode::Refusing("disk".into()), Some("it jumped")), HealthStatus::Refusing);
        assert_eq!(judged(Mode::ReadOnly("disk".into()), Some("it jumped")), HealthStatus::Refusing);
    }
}
