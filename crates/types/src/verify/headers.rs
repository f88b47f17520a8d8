//! Header forms for callers that cannot change their body (docs/design.md#header-forms).

use std::collections::BTreeMap;

use crate::hlc::Hlc;
use crate::json::Json;
use crate::rejection::{Code, Rejection};

/// The headers that may replace members of the body, each with all of its values.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    /// `Idempotency-Key`, for `idem_key`.
    pub idempotency_key: Vec<String>,
    /// `X-Swoosh-Hlc`, for `hlc`.
    pub hlc: Vec<String>,
    /// `X-Swoosh-Window-Id`, for `window_id`.
    pub window_id: Vec<String>,
    /// `X-Hmmm-Signature`, for `signature`.
    pub signature: Vec<String>,
}

impl Headers {
    /// Merges the headers into the document. A header that contradicts it, or occurs twice, is rejected.
    pub(super) fn merge_into(&self, document: &mut BTreeMap<String, Json>) -> Result<(), Rejection> {
        merge(document, "Idempotency-Key", "idem_key", &self.idempotency_key)?;
        merge(document, "X-Swoosh-Hlc", "hlc", &self.hlc)?;
        merge(document, "X-Swoosh-Window-Id", "window_id", &self.window_id)?;
        merge(document, "X-Hmmm-Signature", "signature", &self.signature)
    }
}

fn merge(
    document: &mut BTreeMap<String, Json>,
    header: &str,
    member: &str,
    values: &[String],
) -> Result<(), Rejection> {
    let value = match values {
        [] => return Ok(()),
        [value] => value.trim(),
        _ => {
            return Err(Rejection::new(
                Code::HeaderConflict,
                format!("the header {header} occurs {} times", values.len()),
            ));
        }
    };
    match document.get(member) {
        None => {
            document.insert(member.to_owned(), Json::String(value.to_owned()));
            Ok(())
        }
        Some(Json::String(body)) if body == value || same_clock(member, body, value) => Ok(()),
        Some(_) => {
            let reason = format!("the header {header} says {value:?}, the body's {member} another; send one of them");
            Err(Rejection::new(Code::HeaderConflict, reason))
        }
    }
}

/// Two clock readings may be the same moment in different offsets.
fn same_clock(member: &str, body: &str, header: &str) -> bool {
    let read = |text: &str| text.parse::<Hlc>().ok();
    member == "hlc" && read(body).is_some() && read(body) == read(header)
}
