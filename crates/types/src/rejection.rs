//! Why a proposal is not accepted: stable codes, one entry each in `docs/rejections.md`. Codes and entries are generated
//! from `statechart.yaml`.

use serde::{Deserialize, Serialize};

use super::canonical::DecodeError;
use super::hash::Hash;
use super::hlc::Hlc;
use super::json::JsonError;
use super::names::GuardName;
use super::record::GuardOutcome;
use super::text::ProjectName;

macro_rules! codes {
    ($($variant:ident = $text:literal, $title:literal, $guard:expr, $entry:expr;)*) => {
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

            /// The guard whose failure it reports.
            pub const fn guard(self) -> Option<GuardName> {
                match self {
                    $(Code::$variant => $guard,)*
                    Code::Guard(guard) => Some(guard),
                }
            }

            /// Its entry on the page of rejections; absent for guards whose failures have codes of their own.
            pub const fn entry(self) -> Option<&'static Entry> {
                match self {
                    $(Code::$variant => Some(&$entry),)*
                    Code::Guard(guard) => guard.entry(),
                }
            }

            /// How trying again can help.
            pub const fn retry(self) -> Retry {
                match self.entry() {
                    Some(entry) => entry.retry,
                    None => Retry::Never,
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

/// An entry of the page of rejections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Why the node answers with the code.
    pub cause: &'static str,
    /// Reasons of an answer, one on each line.
    pub example: &'static str,
    /// What the caller does next.
    pub remedy: &'static str,
    /// Sections of docs/design.md and RFCs.
    pub rule: &'static str,
    pub retry: Retry,
}

/// Codes under one heading of the page of rejections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    pub title: &'static str,
    pub intro: &'static str,
    pub codes: &'static [Code],
}

/// How trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Not at all, while the request is the same.
    Never,
    /// After the project's head is read again, with a new signature.
    Head,
    /// After a short wait, with a later reading and a new signature.
    Clock,
    /// At once, with the time of sending and a new signature.
    Restamp,
    /// Once the BACKBEAT window is open.
    Window,
    /// Once something outside of the node has changed.
    Outside,
    /// Once the node can take it: the same bytes, after the wait that it names.
    Node,
    /// At once, with the same bytes.
    Resend,
}

/// There is no such code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a rejection code")]
pub struct CodeError(String);

include!(concat!(env!("OUT_DIR"), "/rejections.rs"));

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
        self.code.guard()
    }
}

impl From<JsonError> for Rejection {
    fn from(error: JsonError) -> Rejection {
        let code = match error.fault() {
            JsonError::Empty | JsonError::ByteOrderMark | JsonError::Syntax(_) => Code::BadJson,
            JsonError::NotUtf8(_) | JsonError::NotNormalized(_) => Code::BadText,
            JsonError::DuplicateKey(_) => Code::DuplicateKey,
            JsonError::TooDeep => Code::TooDeep,
            JsonError::Number(_) => Code::BadNumber,
            JsonError::Null | JsonError::At { .. } => Code::Schema,
        };
        Rejection::new(code, error.to_string())
    }
}

impl From<DecodeError> for Rejection {
    fn from(error: DecodeError) -> Rejection {
        match error {
            DecodeError::Json(error) => error.into(),
            DecodeError::Schema { .. } => Rejection::new(Code::Schema, error.to_string()),
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
