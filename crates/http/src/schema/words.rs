//! Words: texts with a pattern, and names of the statechart.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::events::KINDS;
use swoosh_sequencer::queries::Section;
use swoosh_types::fact;
use swoosh_types::names;
use swoosh_types::rejection;

/// Declares the description of a text.
macro_rules! word {
    ($name:ident, $doc:literal, $pattern:expr, $example:expr) => {
        #[doc = $doc]
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let text = ObjectBuilder::new().schema_type(Type::String).description(Some($doc));
                text.pattern(Some($pattern)).examples([$example]).into()
            }
        }
        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    };
}

/// Declares the description of a text that is one of many.
macro_rules! choice {
    ($name:ident, $doc:literal, $values:expr) => {
        #[doc = $doc]
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let values: Vec<String> = $values;
                let text = ObjectBuilder::new().schema_type(Type::String).description(Some($doc));
                text.enum_values(Some(values)).into()
            }
        }
        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    };
}

/// All names of a kind, as they are written.
macro_rules! all {
    ($type:ty) => {
        <$type>::ALL.iter().map(ToString::to_string).collect::<Vec<String>>()
    };
}

word!(Hash, "A SHA-256 hash.", "^sha256-[0-9a-f]{64}$", format!("sha256-{}", "0123456789abcdef".repeat(4)));
word!(
    Hlc,
    "A reading of a hybrid logical clock: RFC 3339 with milliseconds, `#`, the logical part from 0 to 65535. Any \
     offset is read; UTC is written and signed.",
    r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,3})?([Zz]|[+-]\d{2}:\d{2})#(0|[1-9]\d{0,4})$",
    "2025-10-19T01:23:45.678+00:00#1234"
);
word!(
    PublicKey,
    "An ed25519 public key, in unpadded base64url.",
    "^hmmm:pubkey:[A-Za-z0-9_-]{43}$",
    "hmmm:pubkey:6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw"
);
word!(
    Signature,
    "An ed25519 signature, in unpadded base64url.",
    "^ed25519:[A-Za-z0-9_-]{86}$",
    format!("ed25519:{}", "A".repeat(86))
);
word!(
    IdemKey,
    "An idempotency key, `goalId:beatIndex:opClass:uuid`, scoped to its project. The op class is the transition's. \
     Goals that begin with `swoosh.` are the node's own.",
    "^[A-Za-z0-9._-]{1,100}:(0|[1-9][0-9]{0,15}):(boot|control|council|environment|execution|ingestion|policy):\
     [A-Za-z0-9_-]{8,64}$",
    "goal-7:42:council:0b8e7a52-6f0c-4d3b-9a51-2c8f4e1d7b60"
);
word!(
    WindowId,
    "A BACKBEAT window: the UTC day on which a cycle begins, and its number within that day.",
    r"^backbeat:W-\d{4}-\d{2}-\d{2}-\d{2,}$",
    "backbeat:W-2025-10-19-02"
);
word!(
    EvidenceRef,
    "A UCXL or BUBBLE address. It is stored and never dereferenced while judging.",
    r"^(ucxl://[^:@/\s]+:[^:@/\s]+@[^/\s]+(/\S*)?|bubble://[^/\s]+(/\S*)?)$",
    "ucxl://chorus:spec@council/…"
);
word!(ProjectName, "The name of a project.", "^[a-z0-9][a-z0-9._-]{0,62}$", "default");
word!(ClusterId, "The name of a cluster: part of every signed message.", "^[a-z0-9][a-z0-9._-]{0,62}$", "local");
word!(
    DecisionId,
    "The address of a decision record.",
    r"^bubble://dr/[a-z0-9][a-z0-9._-]{0,62}/\d+-[0-9a-f]{16}$",
    "bubble://dr/default/17-0123456789abcdef"
);
word!(
    EffectId,
    "The id of an effect: project, index and digest of the record that opened it, and its name. Effects that were opened \
     under statechart version 1 have no digest.",
    format!(
        "^[a-z0-9][a-z0-9._-]{{0,62}}/(0|[1-9][0-9]{{0,15}})(-[0-9a-f]{{16}})?/({})$",
        all!(names::EffectName).join("|")
    ),
    "default/17-0123456789abcdef/fetch"
);
word!(
    Projection,
    "Sections of the state in any case, separated by commas.",
    list_of(Section::ALL.map(|section| in_any_case(section.as_str()))),
    "Council,Ingestion"
);
word!(EventKinds, "Kinds of events, separated by commas.", list_of(KINDS), "transition,effect");

choice!(FactKind, "What a fact is about.", all!(fact::FactKind));
choice!(Transition, "A transition of the statechart.", all!(names::Transition));
choice!(GuardName, "A pure condition on a transition.", all!(names::GuardName));
choice!(WindowClass, "A class of BACKBEAT window.", all!(names::WindowClass));
choice!(OpClass, "The kind of operation that an idempotency key is for.", all!(names::OpClass));
choice!(Region, "A parallel region of the statechart.", all!(names::Region));
choice!(Role, "What an identity may do.", all!(names::Role));
choice!(
    Phase,
    "The top-level phase, which follows from the regions.",
    ["BOOT", "PROJECT_LIFECYCLE", "EXECUTION", "TERMINATED"].map(str::to_owned).into()
);
choice!(Code, "A stable code; `GET /docs/rejections` has an entry for each.", codes());

/// Some of these, separated by commas.
fn list_of<const N: usize>(words: [impl AsRef<str>; N]) -> String {
    let one = words.iter().map(AsRef::as_ref).collect::<Vec<_>>().join("|");
    format!("^({one})(,({one}))*$")
}

/// Letters of a pattern stand for themselves in both cases.
fn in_any_case(word: &str) -> String {
    let letter = |letter: char| match letter.is_ascii_alphabetic() {
        true => format!("[{}{}]", letter.to_ascii_uppercase(), letter.to_ascii_lowercase()),
        false => letter.to_string(),
    };
    word.chars().map(letter).collect()
}

/// Guards with rejection codes of their own instead of `guard_<name>`.
const WITH_OWN_CODES: [names::GuardName; 4] =
    [names::GuardName::Signature, names::GuardName::Identity, names::GuardName::Head, names::GuardName::Clock];

/// Every code there is: the plain ones, and one for each guard that has none of its own.
pub(crate) fn codes() -> Vec<String> {
    let guards = names::GuardName::ALL.iter().filter(|guard| !WITH_OWN_CODES.contains(guard));
    let guards = guards.map(|&guard| rejection::Code::Guard(guard));
    rejection::Code::PLAIN.iter().copied().chain(guards).map(|code| code.to_string()).collect()
}
