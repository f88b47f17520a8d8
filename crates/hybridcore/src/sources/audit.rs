//! The audit of overrides: every one there ever was, with its approval and what became of it.

use serde::Serialize;

use super::documents::{self, OVERRIDES_FILE, Override, OverridesDocument};
use super::session::Session;
use crate::state::document::DocumentError;
use swoosh_types::civil::parse_rfc3339;
use swoosh_types::text::Name;

/// The status of an override.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OverrideStatus {
    /// It is in force.
    Active,
    /// Its time is over.
    Expired,
    /// It was taken back or replaced.
    Ended,
}

/// One override in the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    pub status: OverrideStatus,
    /// All that was recorded.
    #[serde(flatten)]
    pub entry: Override,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditExport {
    /// When, RFC 3339.
    pub exported_at: String,
    pub exported_by: String,
    /// The overrides, the oldest first.
    pub overrides: Vec<AuditEntry>,
}

/// Exports overrides: of one source or of all, made at or after a time in milliseconds since 1970.
pub fn export(session: &Session<'_>, name: Option<&Name>, since_ms: u64) -> Result<AuditExport, DocumentError> {
    let document: OverridesDocument = documents::read(&session.workspace.state(), OVERRIDES_FILE)?;
    let now_ms = (session.now_ms)();
    let wanted = |entry: &Override| {
        let made_ms = parse_rfc3339(&entry.created_at).unwrap_or(u64::MAX);
        made_ms >= since_ms && name.is_none_or(|name| *name == entry.name)
    };
    let entries = document.overrides.into_iter().filter(wanted);
    let overrides = entries.map(|entry| AuditEntry { status: status(&entry, now_ms), entry }).collect();
    Ok(AuditExport { exported_at: session.now(), exported_by: session.operator.clone(), overrides })
}

fn status(entry: &Override, now_ms: u64) -> OverrideStatus {
    if entry.ended_at.is_some() {
        OverrideStatus::Ended
    } else if entry.is_expired(now_ms) {
        OverrideStatus::Expired
    } else {
        OverrideStatus::Active
    }
}
