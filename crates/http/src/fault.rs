//! Answers that are no success: problem documents (RFC 9457).

use std::any::Any;

use axum::Json;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::status::status;
use swoosh_sequencer::Refusal;
use swoosh_sequencer::queries::{FoldError, ReadError};
use swoosh_types::hash::Hash;
use swoosh_types::names::GuardName;
use swoosh_types::rejection::{Code, Problem, Rejection, Retry};
use swoosh_types::text::ProjectName;

/// Media type of problem documents.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";
/// Default `Retry-After` of a node that cannot answer now.
const PATIENCE_MS: u64 = 1_000;

/// Why a request gets no success.
#[derive(Clone, Debug)]
pub(super) struct Fault(Box<Problem>);

/// The result of a handler.
pub(super) type Answer<T = Response> = Result<T, Fault>;

impl Fault {
    /// A fault for one reason.
    pub fn new(code: Code, reason: impl Into<String>) -> Fault {
        Rejection::new(code, reason).into()
    }

    /// The problem document of the answer.
    pub fn problem(&self) -> &Problem {
        &self.0
    }

    /// Names the guard that is not passed, where the code does not say it.
    pub fn failing(mut self, guard: GuardName) -> Fault {
        self.0.guard.get_or_insert(guard);
        self
    }

    /// The refusal that it answers.
    pub fn rejection(&self) -> Rejection {
        let Problem { code, reasons, guard_outcomes, .. } = &*self.0;
        Rejection { code: *code, reasons: reasons.clone(), guard_outcomes: guard_outcomes.clone() }
    }

    /// Tells whose head it is.
    pub fn about(mut self, project: &ProjectName, head: Hash) -> Fault {
        self.0.project = Some(project.clone());
        self.0.head = Some(head);
        self
    }

    /// Tells how long to wait.
    pub fn after_ms(mut self, wait_ms: u64) -> Fault {
        self.0.retry_after_ms = Some(wait_ms);
        self
    }

    /// Something inside the node failed, which is no fault of the caller's.
    pub fn internal(error: &dyn std::fmt::Display) -> Fault {
        tracing::error!(error = %error, "a request could not be answered");
        Fault::new(Code::NotDurable, format!("the node cannot read its stored data: {error}"))
    }

    /// The problem document.
    pub fn into_problem(self) -> Problem {
        *self.0
    }

    /// The problem's code.
    pub fn code(&self) -> Code {
        self.0.code
    }
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Fault {
        let code = rejection.code;
        let status = status(code);
        Fault(Box::new(Problem {
            kind: format!("/docs/rejections#{code}"),
            title: code.title().to_owned(),
            status: status.as_u16(),
            code,
            detail: rejection.reasons.join("; "),
            guard: rejection.guard(),
            reasons: rejection.reasons,
            guard_outcomes: rejection.guard_outcomes,
            project: None,
            head: None,
            hlc_last: None,
            retry_after_ms: (code.retry() == Retry::Node).then_some(PATIENCE_MS),
        }))
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        let mut fault = Fault::from(refusal.rejection);
        let problem = &mut *fault.0;
        problem.project = Some(refusal.project);
        problem.head = refusal.head;
        problem.hlc_last = refusal.hlc_last;
        problem.retry_after_ms = refusal.retry_after_ms.or(problem.retry_after_ms);
        fault
    }
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Fault {
        match error {
            ReadError::Pruned { .. } => Fault::new(Code::Pruned, error.to_string()),
            ReadError::Abandoned => Fault::new(Code::Overloaded, error.to_string()),
            _ if error.is_damage() => damaged(&error),
            _ => Fault::internal(&error),
        }
    }
}

impl From<FoldError> for Fault {
    fn from(error: FoldError) -> Fault {
        if let FoldError::Read(error @ (ReadError::Pruned { .. } | ReadError::Abandoned)) = error {
            return error.into();
        }
        // Damage is its project's alone.
        if error.is_damage() { damaged(&error) } else { Fault::internal(&error) }
    }
}

/// The answer to a request that needs a damaged row.
fn damaged(error: &dyn std::fmt::Display) -> Fault {
    tracing::error!(%error, "a stored row is damaged");
    Fault::new(Code::ProjectDamaged, format!("{error}; see runbooks/corrupt-journal.md"))
}

/// Whole seconds, rounded up, at least one (RFC 9110 §10.2.3).
fn retry_after(problem: &Problem) -> Option<HeaderValue> {
    let asked = matches!(problem.status, 429 | 503);
    let wait_ms = problem.retry_after_ms.filter(|_| asked)?;
    Some(HeaderValue::from(wait_ms.div_ceil(1000).max(1)))
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let problem = *self.0;
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
        let retry = retry_after(&problem);
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        retry.into_iter().for_each(|seconds| drop(headers.insert(RETRY_AFTER, seconds)));
        response
    }
}

/// The answer to a request on which a handler panicked.
pub(super) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    tracing::error!(panic = text, "a request handler panicked");
    let reason = "the node failed on this request and logged why; whether it was applied shows when it is sent again";
    Fault::new(Code::NotDurable, reason).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: Code, retry_after_ms: Option<u64>) -> Refusal {
        let rejection = Rejection::new(code, "because");
        Refusal { rejection, project: "p".parse().unwrap(), head: Some(Hash::ZERO), hlc_last: None, retry_after_ms }
    }

    fn header(fault: Fault) -> Option<String> {
        fault.into_response().headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn retry_after_is_in_whole_seconds_rounded_up() {
        assert_eq!(header(refusal(Code::Overloaded, Some(500)).into()).as_deref(), Some("1"));
        assert_eq!(header(refusal(Code::Draining, Some(1001)).into()).as_deref(), Some("2"));
        assert_eq!(header(refusal(Code::NotDurable, None).into()).as_deref(), Some("1"));
        assert_eq!(header(Fault::new(Code::TooManyRequests, "x")).as_deref(), Some("1"));
        assert_eq!(header(refusal(Code::StaleHead, Some(20)).into()), None);
    }

    #[test]
    fn a_problem_names_its_entry_its_guard_and_its_project() {
        let problem = Fault::from(refusal(Code::StaleHead, Some(20))).into_problem();
        assert_eq!(problem.kind, "/docs/rejections#stale_head");
        assert_eq!(problem.guard.map(|guard| guard.as_str()), Some("head"));
        assert_eq!((problem.status, problem.retry_after_ms), (400, Some(20)));
        assert_eq!(problem.project.unwrap().as_str(), "p");
    }

    #[test]
    fn a_panic_is_answered_as_a_node_that_cannot_say() {
        let response = panicked(Box::new("boom"));
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[CONTENT_TYPE], PROBLEM_JSON);
    }
}
