//! Which HTTP status a code is answered with: the only place that knows.
//!
//! A proposal is never answered 401 or 403 for its signer, and nothing answers 500.

use axum::http::StatusCode;

use swoosh_types::rejection::Code;

/// The status of a problem with this code.
pub(super) fn status(code: Code) -> StatusCode {
    match code {
        Code::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::ContentTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        Code::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        Code::WrongHost => StatusCode::MISDIRECTED_REQUEST,
        Code::ReadsClosed | Code::CallerUnknown | Code::CrossSite | Code::CertificateRefused => StatusCode::FORBIDDEN,
        Code::LegacyUnreachable => StatusCode::BAD_GATEWAY,
        Code::LegacyTimeout => StatusCode::GATEWAY_TIMEOUT,
        Code::OrderStale | Code::MigrationDiverged => StatusCode::CONFLICT,
        Code::NotFound | Code::MigrationOff | Code::UnknownProject | Code::UnknownIndex | Code::UnknownDecision => {
            StatusCode::NOT_FOUND
        }
        Code::Pruned => StatusCode::GONE,
        Code::ClockUnsafe
        | Code::Overloaded
        | Code::Draining
        | Code::NotDurable
        | Code::ProjectDamaged
        | Code::ReadOnly
        | Code::Follower => StatusCode::SERVICE_UNAVAILABLE,
        Code::BadJson
        | Code::DuplicateKey
        | Code::TooDeep
        | Code::BadNumber
        | Code::BadText
        | Code::Schema
        | Code::HeaderConflict
        | Code::InputsHashMismatch
        | Code::SignatureInvalid
        | Code::IdentityUnknown
        | Code::IdentityRevoked
        | Code::RoleNotAllowed
        | Code::ReservedGoal
        | Code::OpClassMismatch
        | Code::IdemKeyConflict
        | Code::IdemKeyExpired
        | Code::BeatsUnknown
        | Code::StaleHead
        | Code::HlcNotAfter
        | Code::HlcAhead
        | Code::HlcBehind
        | Code::NotEnabled
        | Code::Blocked
        | Code::OutcomeHeld
        | Code::Terminated
        | Code::NotLicensed
        | Code::PolicyBreach
        | Code::BoundExceeded
        | Code::InvariantViolated
        | Code::UnknownProjection
        | Code::BadQuery
        | Code::FactSource
        | Code::FactAhead
        | Code::FactBody
        | Code::FactSerial
        | Code::FactsFull
        | Code::Guard(_) => StatusCode::BAD_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swoosh_types::names::GuardName;

    fn of(text: &str) -> u16 {
        status(text.parse().unwrap()).as_u16()
    }

    #[test]
    fn codes_of_the_connection_have_the_status_that_http_users_expect() {
        let expected = [
            ("unsupported_media_type", 415),
            ("content_too_large", 413),
            ("method_not_allowed", 405),
            ("not_found", 404),
            ("request_timeout", 408),
            ("too_many_requests", 429),
            ("unknown_project", 404),
            ("unknown_index", 404),
            ("unknown_decision", 404),
            ("pruned", 410),
            ("wrong_host", 421),
            ("cross_site", 403),
            ("certificate_refused", 403),
            ("reads_closed", 403),
            ("caller_unknown", 403),
            ("legacy_unreachable", 502),
            ("legacy_timeout", 504),
            ("migration_off", 404),
            ("order_stale", 409),
            ("migration_diverged", 409),
            ("clock_unsafe", 503),
            ("overloaded", 503),
            ("draining", 503),
            ("not_durable", 503),
            ("project_damaged", 503),
            ("read_only", 503),
            ("follower", 503),
        ];
        expected.iter().for_each(|&(code, status)| assert_eq!(of(code), status, "{code}"));
        let other = Code::PLAIN.iter().filter(|code| !expected.iter().any(|(text, _)| *text == code.to_string()));
        other.for_each(|&code| assert_eq!(status(code).as_u16(), 400, "{code}"));
    }

    /// Clients decide by the status, where a proxy may have answered: both must agree.
    #[test]
    fn the_same_bytes_may_be_sent_again_where_the_status_says_so() {
        use swoosh_types::rejection::Retry;
        for &code in Code::PLAIN {
            let by_status = matches!(status(code).as_u16(), 408 | 429 | 502 | 503 | 504);
            assert_eq!(matches!(code.retry(), Retry::Node | Retry::Resend), by_status, "{code}");
        }
    }

    #[test]
    fn guards_are_refused_with_400() {
        GuardName::ALL.iter().for_each(|&guard| assert_eq!(status(Code::Guard(guard)), StatusCode::BAD_REQUEST));
    }

    #[test]
    fn nothing_is_an_internal_error() {
        assert!(Code::PLAIN.iter().all(|&code| !matches!(status(code).as_u16(), 401 | 500)));
    }
}
