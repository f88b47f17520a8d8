//! Forms of texts, numbers and choices.

use std::str::FromStr;

use super::{Form, Named, Text};
use crate::hash::Hash;
use crate::ids::EffectId;
use crate::inputs::UcxlAddress;
use crate::json::MAX_INTEGER;
use crate::keys::{PublicKey, Signature};
use crate::names::{EffectName, OpClass, Role, Transition};
use crate::text::{
    AssetName, Capability, Detail, GitId, GitRef, LicenceId, Name, ProjectName, Rationale, ServerName, Url, Version,
};
use crate::{hlc, ids, ucxl};

fn fault<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Option<String> {
    text.parse::<T>().err().map(|error| error.to_string())
}

/// A text whose pattern bounds its length.
const fn text<T: FromStr<Err: std::fmt::Display>>(
    name: &'static str,
    doc: &'static str,
    pattern: fn() -> String,
    example: &'static str,
) -> Named {
    let form = Form::Text(Text { pattern, most_bytes: None, example, fault: fault::<T> });
    Named { name, doc, form, bound: None }
}

/// A text of so many bytes at most.
const fn bounded<T: FromStr<Err: std::fmt::Display>>(
    name: &'static str,
    doc: &'static str,
    pattern: fn() -> String,
    most_bytes: usize,
    example: &'static str,
) -> Named {
    let form = Form::Text(Text { pattern, most_bytes: Some(most_bytes), example, fault: fault::<T> });
    Named { name, doc, form, bound: None }
}

const fn choice(name: &'static str, doc: &'static str, words: fn() -> Vec<&'static str>) -> Named {
    Named { name, doc, form: Form::Choice(words), bound: None }
}

const KEY: &str = "hmmm:pubkey:6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw";
const NAME: &str = "^[a-z0-9][a-z0-9._-]{0,62}$";

/// Texts, numbers and choices.
pub(super) const TEXTS: &[Named] = &[
    text::<Name>(
        "Name",
        "A short name inside a project: of a source, a role, a server, a resource.",
        || NAME.into(),
        "main",
    ),
    text::<ProjectName>("ProjectName", "The name of a project.", || NAME.into(), "default"),
    bounded::<Rationale>(
        "Rationale",
        "Why a caller does something: 1 to 2,000 bytes of text, kept in the state and the decision record.",
        || prose(r"\x00-\x08\x0b-\x1f\x7f-\x9f"),
        2000,
        "The disk is being replaced.",
    ),
    bounded::<Detail>(
        "Detail",
        "One line about a check, a failure or a probe: 1 to 500 bytes.",
        || prose(r"\x00-\x08\x0b-\x1f\x7f-\x9f"),
        500,
        "The mirror answers 503.",
    ),
    bounded::<Version>(
        "Version",
        "A version as a tool or server reports it: one line of 1 to 100 bytes.",
        || prose(r"\x00-\x1f\x7f-\x9f"),
        100,
        "1.4.2",
    ),
    bounded::<ServerName>(
        "ServerName",
        "The name that a server reports: 1 to 100 bytes.",
        || prose(r"\x00-\x08\x0b-\x1f\x7f-\x9f"),
        100,
        "search",
    ),
    bounded::<AssetName>(
        "AssetName",
        "The name of a provisioned asset: a relative path of at most 200 characters.",
        asset_name,
        200,
        "web/image.qcow2",
    ),
    text::<GitId>(
        "GitId",
        "A git object id: 40 (SHA-1) or 64 (SHA-256) lowercase hexadecimal digits.",
        || "^([0-9a-f]{40}|[0-9a-f]{64})$".into(),
        "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    ),
    bounded::<GitRef>("GitRef", "A git reference or commit, as a caller names it.", git_ref, 200, "v1.4.2"),
    bounded::<Url>(
        "Url",
        "The address of a repository or a server, `scheme://…`, without a password.",
        url,
        500,
        "https://git.example.org/app.git",
    ),
    text::<Capability>(
        "Capability",
        "A capability of a candidate or a role.",
        || "^[a-z0-9._:-]{1,63}$".into(),
        "lang:rust",
    ),
    text::<LicenceId>("LicenceId", "An SPDX licence id.", || "^[A-Za-z0-9.+-]{1,64}$".into(), "Apache-2.0"),
    text::<Hash>(
        "Hash",
        "A SHA-256 hash.",
        || "^sha256-[0-9a-f]{64}$".into(),
        "sha256-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    ),
    text::<PublicKey>(
        "PublicKey",
        "An ed25519 public key: 32 bytes in unpadded base64url.",
        || "^hmmm:pubkey:[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$".into(),
        KEY,
    ),
    text::<Signature>(
        "Signature",
        "An ed25519 signature: 64 bytes in unpadded base64url.",
        || "^ed25519:[A-Za-z0-9_-]{85}[AQgw]$".into(),
        "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ),
    text::<EffectId>(
        "EffectId",
        "The id of an effect: project, index and digest of the record that opened it, and its name. Effects that were \
         opened under statechart version 1 have no digest.",
        effect_id,
        "default/17-0123456789abcdef/fetch",
    ),
    bounded::<UcxlAddress>(
        "UcxlAddress",
        "A UCXL address, `ucxl://agent:role@project[:task]/temporal/path`. docs/ucxl.md has its grammar, which refuses some \
         addresses that this pattern admits.",
        || r"^ucxl://[^:@/\s]+:[^:@/\s]+@[^/\s]+(/\S*)?$".into(),
        765,
        "ucxl://ann:builder@default/*^/result.json",
    ),
    Named { name: "Count", doc: "A whole number from 0 to 2^53−1.", form: Form::Whole, bound: None },
    Named { name: "Flag", doc: "`true` or `false`.", form: Form::Flag, bound: None },
    Named {
        name: "Json",
        doc: "Any strict JSON: no null, no fraction, no negative number.",
        form: Form::Any,
        bound: None,
    },
    choice("AssetHealth", "The health of an asset: `degraded` works, `failed` does not.", || {
        vec!["ok", "degraded", "failed"]
    }),
    choice(
        "QuorumRule",
        "The size of a quorum: `majority` is ⌊n/2⌋+1 of n candidates, `bft` ⌊2n/3⌋+1.",
        || vec!["majority", "bft"],
    ),
    choice("Role", "What an identity may do.", || Role::ALL.iter().map(|name| name.as_str()).collect()),
    choice("OpClass", "The kind of operation that an idempotency key is for.", || {
        OpClass::ALL.iter().map(|name| name.as_str()).collect()
    }),
    choice("Transition", "A transition of the statechart.", || {
        Transition::ALL.iter().map(|name| name.as_str()).collect()
    }),
    // Of proposals alone.
    text::<hlc::Hlc>("Hlc", "A reading of a hybrid logical clock.", String::new, "2025-10-19T01:23:45.678+00:00#1234"),
    text::<ids::IdemKey>("IdemKey", "An idempotency key.", String::new, "goal-7:42:council:0b8e7a52"),
    text::<ids::WindowId>("WindowId", "A BACKBEAT window.", String::new, "backbeat:W-2025-10-19-02"),
    text::<ucxl::EvidenceRef>("EvidenceRef", "A UCXL or BUBBLE address.", String::new, "bubble://dr/default"),
];

/// A text that is not blank and has none of these characters.
fn prose(without: &str) -> String {
    // ECMA-262 counts the byte-order mark as a blank; Unicode does not.
    format!(r"^[^{without}]*([^\s{without}]|\uFEFF)[^{without}]*$")
}

/// A path whose parts are neither empty nor `.` nor `..`.
fn asset_name() -> String {
    let part = r"([A-Za-z0-9_-]|\.[A-Za-z0-9_-]|\.\.[A-Za-z0-9._-])[A-Za-z0-9._-]*";
    format!("^{part}(/{part})*$")
}

/// Visible ASCII without `~^:?*[\`, without `..`, not after a leading `-`.
fn git_ref() -> String {
    let (any, first) = (r"[!-)+,\-/-9;->@-Z\]_-}]", r"[!-)+,/-9;->@-Z\]_-}]");
    format!(r"^({first}(\.?{any})*\.?|\.({any}(\.?{any})*\.?)?)$")
}

/// A scheme, and an authority without a password.
fn url() -> String {
    let (path, host, user) = ("/[!-~]*", "[!-.0-?A-~]", "[!-.0-9;-?A-~]");
    format!("^[a-z0-9+.-]+://({path}|{host}+({path})?|{user}*@[!-.0-~]*({path})?)$")
}

fn effect_id() -> String {
    let effects: Vec<&str> = EffectName::ALL.iter().map(|name| name.as_str()).collect();
    format!("^[a-z0-9][a-z0-9._-]{{0,62}}/{}(-[0-9a-f]{{16}})?/({})$", whole(MAX_INTEGER), effects.join("|"))
}

/// The whole numbers from 0 to a bound, without leading zeros.
fn whole(most: u64) -> String {
    let digits = most.to_string();
    let mut choices = vec!["0".to_owned(), format!("[1-9][0-9]{{0,{}}}", digits.len().saturating_sub(2))];
    for (at, digit) in digits.bytes().enumerate() {
        let least = if at == 0 { b'1' } else { b'0' };
        if digit > least {
            let (before, left) = (&digits[..at], digits.len() - at - 1);
            choices.push(format!("{before}[{}-{}][0-9]{{{left}}}", char::from(least), char::from(digit - 1)));
        }
    }
    choices.push(digits);
    format!("({})", choices.join("|"))
}
