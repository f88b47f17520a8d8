//! Why a proposal is not accepted: stable codes, one entry each in `docs/rejections.md`.

use serde::{Deserialize, Serialize};

use super::canonical::DecodeError;
use super::hash::Hash;
use super::hlc::Hlc;
use super::json::JsonError;
use super::names::GuardName;
use super::record::GuardOutcome;
use super::text::ProjectName;

macro_rules! codes {
    ($($variant:ident = $text:literal, $title:literal;)*) => {
        /// A stable code of the rejection.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
            /// A guard of the transition does not let it pass; written `guard_<name>`.
            Guard(GuardName),
        }

        impl Code {
            /// All codes that are not a guard's.
            pub const PLAIN: &[Code] = &[$(Code::$variant,)*];

            /// The code in words, for people.
            pub fn title(self) -> &'static str {
                match self {
                    $(Code::$variant => $title,)*
                    Code::Guard(_) => "A guard does not let the transition pass",
                }
            }
        }

        impl std::fmt::Display for Code {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Code::$variant => f.write_str($text),)*
                    Code::Guard(guard) => write!(f, "guard_{guard}"),
                }
            }
        }

        impl std::str::FromStr for Code {
            type Err = CodeError;
            fn from_str(text: &str) -> Result<Code, CodeError> {
                let guard = |name: &str| name.parse().map(Code::Guard).ok();
                match text {
                    $($text => Ok(Code::$variant),)*
                    _ => text.strip_prefix("guard_").and_then(guard).ok_or_else(|| CodeError(text.chars().take(80).collect())),
                }
            }
        }
    };
}

/// There is no such code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a rejection code")]
pub struct CodeError(String);

codes! {
    BadJson = "bad_json", "The body is not strict JSON";
    DuplicateKey = "duplicate_key", "A key occurs twice in one object";
    TooDeep = "too_deep", "The document is nested too deeply";
    BadNumber = "bad_number", "A number is not a whole number from 0 to 2^53−1";
    BadText = "bad_text", "A text is not UTF-8 in normalisation form C";
    Schema = "schema", "The document is not of the form that was asked for";
    HeaderConflict = "header_conflict", "A header contradicts the body or occurs twice";
    UnsupportedMediaType = "unsupported_media_type", "The body must be application/json without content encoding";
    ContentTooLarge = "content_too_large", "The body is too large";
    MethodNotAllowed = "method_not_allowed", "The method is not allowed here";
    NotFound = "not_found", "There is nothing at this address";
    WrongHost = "wrong_host", "The request names a host that this node does not answer to";
    CrossSite = "cross_site", "The request comes from a page of another site";
    CertificateRefused = "certificate_refused", "The client certificate has none of the names that are allowed";
    RequestTimeout = "request_timeout", "The request took too long to arrive";
    TooManyRequests = "too_many_requests", "This caller sends too much";
    InputsHashMismatch = "inputs_hash_mismatch", "inputs_hash is not the hash of inputs";
    SignatureInvalid = "signature_invalid", "The signature is not the signer's over this document";
    IdentityUnknown = "identity_unknown", "The signer is not known";
    IdentityRevoked = "identity_revoked", "The signer's identity is revoked";
    RoleNotAllowed = "role_not_allowed", "The signer holds no role that may propose this transition";
    ReservedGoal = "reserved_goal", "Goals that begin with swoosh. are the node's own";
    OpClassMismatch = "op_class_mismatch", "The key's op class is not the transition's";
    IdemKeyConflict = "idem_key_conflict", "The key is bound to a different proposal";
    IdemKeyExpired = "idem_key_expired", "The key's beat is too old or too far ahead";
    BeatsUnknown = "beats_unknown", "Beats cannot be counted: there is no valid windows fact";
    StaleHead = "stale_head", "The project has moved on";
    HlcNotAfter = "hlc_not_after", "The clock reading is not after the project's last one";
    HlcAhead = "hlc_ahead", "The clock reading is too far ahead";
    HlcBehind = "hlc_behind", "The clock reading is too far behind";
    NotEnabled = "not_enabled", "The transition is not enabled in this state";
    Blocked = "blocked", "The project is blocked";
    OutcomeHeld = "outcome_held", "The project is blocked; the outcome is kept until it goes on";
    Terminated = "terminated", "The project is terminated";
    NotLicensed = "not_licensed", "The project has not passed its license check";
    PolicyBreach = "policy_breach", "The proposal breaches a policy";
    BoundExceeded = "bound_exceeded", "A list of the state would grow past its bound";
    InvariantViolated = "invariant_violated", "The transition would break an invariant";
    UnknownProject = "unknown_project", "There is no such project";
    UnknownProjection = "unknown_projection", "There is no such section of the state";
    UnknownIndex = "unknown_index", "There is no record at this index";
    Pruned = "pruned", "The record is pruned";
    UnknownDecision = "unknown_decision", "There is no such decision record";
    BadQuery = "bad_query", "A query parameter cannot be read";
    FactSource = "fact_source", "The source may not say facts of this kind";
    FactAhead = "fact_ahead", "The fact was seen in the node's future";
    FactBody = "fact_body", "The fact's body cannot be used";
    FactSerial = "fact_serial", "The policy bundle does not follow the one that is held";
    FactsFull = "facts_full", "The node keeps no more pushed facts";
    ReadsClosed = "reads_closed", "Reads are closed on this address";
    CallerUnknown = "caller_unknown", "The migration knows no such caller";
    LegacyUnreachable = "legacy_unreachable", "WHOOSH cannot be reached";
    LegacyTimeout = "legacy_timeout", "WHOOSH did not answer in time";
    MigrationOff = "migration_off", "This node migrates nothing";
    OrderStale = "order_stale", "The migration was switched meanwhile";
    MigrationDiverged = "migration_diverged", "WHOOSH and SWOOSH differ";
    ClockUnsafe = "clock_unsafe", "The node's clock cannot be trusted; it accepts nothing until it can";
    Overloaded = "overloaded", "The node has more to do than it can hold";
    Draining = "draining", "The node is shutting down";
    NotDurable = "not_durable", "The node could not make the transition durable";
    ProjectDamaged = "project_damaged", "Stored rows of the project are damaged; what reads them is refused";
    ReadOnly = "read_only", "The node accepts no transitions";
    Follower = "follower", "The node follows another one and accepts nothing itself";
}

super::text::serde_as_text!(Code);

/// Why a proposal was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub code: Code,
    /// Reasons, one sentence each: the finding, and the remedy.
    pub reasons: Vec<String>,
    /// How the guards judged, where it came to them.
    pub guard_outcomes: Vec<GuardOutcome>,
}

impl Rejection {
    pub fn new(code: Code, reason: impl Into<String>) -> Rejection {
        Rejection { code, reasons: vec![reason.into()], guard_outcomes: Vec::new() }
    }

    /// The guard that failed, by the order of checks.
    pub fn guard(&self) -> Option<GuardName> {
        match self.code {
            Code::Guard(guard) => Some(guard),
            Code::SignatureInvalid => Some(GuardName::Signature),
            Code::IdentityUnknown | Code::IdentityRevoked | Code::RoleNotAllowed => Some(GuardName::Identity),
            Code::StaleHead => Some(GuardName::Head),
            Code::HlcNotAfter | Code::HlcAhead | Code::HlcBehind => Some(GuardName::Clock),
            Code::PolicyBreach => Some(GuardName::Policy),
            Code::NotLicensed => Some(GuardName::License),
            _ => None,
        }
    }
}

impl From<JsonError> for Rejection {
    fn from(error: JsonError) -> Rejection {
        let code = match &error {
            JsonError::Empty | JsonError::ByteOrderMark | JsonError::Syntax(_) => Code::BadJson,
            JsonError::NotUtf8(_) | JsonError::NotNormalized(_) => Code::BadText,
            JsonError::DuplicateKey(_) => Code::DuplicateKey,
            JsonError::TooDeep => Code::TooDeep,
            JsonError::Number(_) => Code::BadNumber,
            JsonError::Null => Code::Schema,
        };
        Rejection::new(code, error.to_string())
    }
}

impl From<DecodeError> for Rejection {
    fn from(error: DecodeError) -> Rejection {
        match error {
            DecodeError::Json(error) => error.into(),
            DecodeError::Schema(reason) => Rejection::new(Code::Schema, reason),
        }
    }
}

/// The problem document of an answer that is no success (RFC 9457), `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `/docs/rejections#<code>`, relative to the node.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code in words.
    pub title: String,
    pub status: u16,
    pub code: Code,
    /// All reasons in one sentence.
    pub detail: String,
    /// Every reason by itself.
    pub reasons: Vec<String>,
    /// The guard that failed first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardName>,
    /// How the guards judged, where it came to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guard_outcomes: Vec<GuardOutcome>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// The project's head now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Hash>,
    /// The last clock reading that the project accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hlc_last: Option<Hlc>,
    /// How long to wait before trying again, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../docs/rejections.md");

    /// Guards whose failures have codes of their own.
    const OWN_CODES: [GuardName; 4] = [GuardName::Signature, GuardName::Identity, GuardName::Head, GuardName::Clock];

    /// The entries of the page: code, and the text below it.
    fn entries() -> Vec<(&'static str, &'static str)> {
        let below = |entry: &'static str| entry.split_once('\n').unwrap();
        PAGE.split("\n## ").skip(1).map(below).map(|(code, text)| (code.trim(), text)).collect()
    }

    fn codes() -> Vec<Code> {
        let guards = GuardName::ALL.iter().filter(|guard| !OWN_CODES.contains(guard));
        Code::PLAIN.iter().copied().chain(guards.copied().map(Code::Guard)).collect()
    }

    #[test]
    fn the_page_has_one_entry_for_each_code_and_no_other() {
        let mut written: Vec<String> = entries().iter().map(|(code, _)| (*code).to_owned()).collect();
        let mut known: Vec<String> = codes().iter().map(Code::to_string).collect();
        written.sort();
        known.sort();
        assert_eq!(written, known);
    }

    #[test]
    fn every_entry_tells_status_example_remedy_and_rule() {
        for (code, text) in entries() {
            let status = text.trim_start().strip_prefix("**").and_then(|rest| rest.split_once(".**"));
            let status: u16 = status.and_then(|(status, _)| status.parse().ok()).unwrap_or_default();
            assert!((400..=504).contains(&status), "{code}: the status comes first");
            for part in ["\n    ", "\n**What to do:** ", "\nRule: "] {
                assert!(text.contains(part), "{code}: {part:?} is missing");
            }
        }
    }

    #[test]
    fn codes_survive_their_text() {
        for code in codes() {
            assert_eq!(code.to_string().parse::<Code>().unwrap(), code);
        }
        assert!("guard_nonsense".parse::<Code>().is_err() && "".parse::<Code>().is_err());
    }
}
