//! `ids.json`: names, keys, hashes and addresses, and what is none.

use serde_json::{Value, json};
use swoosh::types::hash::Hash;
use swoosh::types::ids::{DecisionId, EffectId, IdemKey, WindowId};
use swoosh::types::keys::{PublicKey, Signature};
use swoosh::types::text::{AssetName, Capability, GitId, GitRef, Name, ProjectName, Rationale, Url};
use swoosh::types::ucxl::EvidenceRef;

use super::{items, read, text};

/// Whether a text is of a kind; if so, it must be written back unchanged.
fn is(kind: &str, text: &str) -> bool {
    fn read<T: std::str::FromStr + std::fmt::Display>(text: &str) -> bool {
        text.parse::<T>().is_ok_and(|it| {
            assert_eq!(it.to_string(), text);
            true
        })
    }
    match kind {
        "idem_key" => read::<IdemKey>(text),
        "window_id" => read::<WindowId>(text),
        "effect_id" => read::<EffectId>(text),
        "decision_id" => read::<DecisionId>(text),
        "hash" => read::<Hash>(text),
        "signer" => read::<PublicKey>(text),
        "signature" => read::<Signature>(text),
        "project" => read::<ProjectName>(text),
        "name" => read::<Name>(text),
        "asset" => read::<AssetName>(text),
        "capability" => read::<Capability>(text),
        "commit" => read::<GitId>(text),
        "reference" => read::<GitRef>(text),
        "url" => read::<Url>(text),
        "rationale" => read::<Rationale>(text),
        "evidence" => read::<EvidenceRef>(text),
        _ => panic!("there is no kind {kind}"),
    }
}

fn long(count: usize) -> String {
    "a".repeat(count)
}

/// A kind, texts that are of it, and texts that are not.
type Row = (&'static str, Vec<String>, Vec<String>);

fn own(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn with(texts: &[&str], more: String) -> Vec<String> {
    [own(texts), vec![more]].concat()
}

fn keys_and_windows() -> Vec<Row> {
    vec![
        (
            "idem_key",
            with(
                &[
                    "goal-7:42:council:0b8e7a52-11",
                    "swoosh.license:0:control:abcdefgh",
                    "G_1.x:9007199254740991:boot:ABCDEFGH",
                ],
                format!("{}:0:policy:{}", long(100), long(64)),
            ),
            with(
                &[
                    "",
                    "goal:1:council",
                    "goal:01:council:abcdefgh",
                    "goal:-1:council:abcdefgh",
                    "goal:+1:council:abcdefgh",
                    "goal:9007199254740992:council:abcdefgh",
                    "goal:1:dance:abcdefgh",
                    "goal:1:Council:abcdefgh",
                    "goal:1:council:short",
                    ":1:council:abcdefgh",
                    "go al:1:council:abcdefgh",
                    "go\u{0}al:1:council:abcdefgh",
                    "g\u{f6}al:1:council:abcdefgh",
                    "goal:1:council:abcdefgh:more",
                ],
                format!("{}:0:policy:abcdefgh", long(101)),
            ),
        ),
        (
            "window_id",
            own(&[
                "backbeat:W-2025-10-19-02",
                "backbeat:W-2024-02-29-00",
                "backbeat:W-2025-10-19-1439",
                "backbeat:W-2025-10-19-86399999",
            ]),
            own(&[
                "",
                "W-2025-10-19-02",
                "backbeat:W-2025-10-19",
                "backbeat:W-2025-10-19-2",
                "backbeat:W-2025-10-19-002",
                "backbeat:W-2025-02-29-00",
                "backbeat:W-2025-13-01-00",
                "backbeat:W-2025-1-1-00",
                "backbeat:W-2025-10-19--1",
                "backbeat:W-2025-10-19-86400000",
                "backbeat:w-2025-10-19-02",
            ]),
        ),
    ]
}

fn effects_and_hashes() -> Vec<Row> {
    vec![
        (
            "effect_id",
            own(&["default/17/fetch", "a.b_c-1/0/release", "default/17-0123456789abcdef/fetch"]),
            own(&[
                "",
                "default/17",
                "default/017/fetch",
                "default/17/dance",
                "Default/17/fetch",
                "default/17/fetch/1",
                "default/17-/fetch",
                "default/17-0123/fetch",
                "default/17-0123456789ABCDEF/fetch",
                "default/17-0123456789abcdef-1/fetch",
            ]),
        ),
        (
            "decision_id",
            own(&["bubble://dr/default/17-0123456789abcdef"]),
            own(&[
                "bubble://dr/default/17-0123456789ABCDEF",
                "bubble://dr/default/17-0123",
                "bubble://dr/default/017-0123456789abcdef",
                "bubble://default/17-0123456789abcdef",
            ]),
        ),
        (
            "hash",
            own(&["sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]),
            own(&[
                "",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "sha256-E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
                "sha256-e3b0",
                "sha512-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ]),
        ),
    ]
}

fn signatures() -> Vec<Row> {
    let key = |tail: &str| format!("hmmm:pubkey:{}{tail}", "A".repeat(42));
    let signature = |tail: &str| format!("ed25519:{}{tail}", "A".repeat(85));
    vec![
        // The last character holds two bits that belong to no byte; they must be zero.
        (
            "signer",
            vec![key("A"), key("E")],
            vec![
                key(""),
                key("AA"),
                key("B"),
                key("A="),
                key("+"),
                key("A").replace("hmmm", "HMMM"),
                key("A").replace("pubkey:", ""),
            ],
        ),
        (
            "signature",
            vec![signature("A"), signature("Q")],
            vec![
                signature(""),
                signature("AA"),
                signature("B"),
                signature("A=="),
                signature("/"),
                signature("A").replace("ed25519", "ed448"),
            ],
        ),
    ]
}

fn names() -> Vec<Row> {
    vec![
        (
            "project",
            with(&["default", "a", "0.b_c-d"], long(63)),
            with(&["", "Default", "-a", ".a", "a b", "a/b", "\u{e4}"], long(64)),
        ),
        ("name", with(&["app", "a.b"], long(63)), with(&["", "App", "_a"], long(64))),
        (
            "asset",
            with(&["image/base", "A.b-c_d/e"], long(200)),
            with(&["", "/a", "a/", "a//b", "../a", "a/./b", "a b"], long(201)),
        ),
        ("capability", own(&["review", ":a", "mcp:search"]), own(&["", "Review", "a b"])),
        ("commit", vec![long(40), long(64)], vec![long(39), "A".repeat(40), "g".repeat(40), String::new()]),
        (
            "reference",
            with(&["main", "refs/tags/v1", "v1.0.0"], long(200)),
            with(&["", "-x", "a..b", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b"], long(201)),
        ),
    ]
}

fn addresses_and_prose() -> Vec<Row> {
    vec![
        (
            "url",
            own(&["https://git.example/app", "ssh://git@git.example/app", "file:///srv/app"]),
            own(&[
                "",
                "git.example/app",
                "https://",
                "https://user:secret@git.example/app",
                "HTTPS://git.example/app",
                "https://git.example/a b",
            ]),
        ),
        (
            "rationale",
            with(&["because", "two\nlines"], long(2000)),
            with(&["", "  ", "bell\u{7}", "nul\u{0}"], long(2001)),
        ),
        (
            "evidence",
            own(&[
                "ucxl://chorus:spec@council/\u{2026}",
                "bubble://dr/\u{2026}",
                "ucxl://a:b@c:task/~~latest/src/main.rs",
                "ucxl://*:*@c",
            ]),
            own(&[
                "",
                "ucxl://",
                "ucxl://agent@project/x",
                "ucxl://a:b/x",
                "ucxl://a:b@c d/x",
                "https://a:b@c/x",
                "bubble://",
                "ucxl://a:b@c/\u{0}",
            ]),
        ),
    ]
}

fn table() -> Vec<Row> {
    [keys_and_windows(), effects_and_hashes(), signatures(), names(), addresses_and_prose()].concat()
}

pub(super) fn make() -> Value {
    let kind = |(kind, accepted, refused): (&str, Vec<String>, Vec<String>)| json!({"kind": kind, "accepted": accepted, "refused": refused});
    let beats = ["goal:1:boot:abcdefgh", "goal-7:42:council:0b8e7a52-11"].map(|text| {
        let key: IdemKey = text.parse().unwrap();
        json!({"text": text, "goal": key.goal, "beat": key.beat, "op_class": key.op_class, "uuid": key.uuid})
    });
    json!({"kinds": table().into_iter().map(kind).collect::<Vec<_>>(), "idem_key_parts": beats})
}

#[test]
fn names_are_read_or_refused_as_the_vectors_say() {
    let vectors = read("ids.json");
    for vector in items(&vectors, "kinds") {
        let kind = text(&vector["kind"]);
        items(vector, "accepted").iter().for_each(|it| assert!(is(kind, text(it)), "{it} is a {kind}"));
        items(vector, "refused").iter().for_each(|it| assert!(!is(kind, text(it)), "{it} is no {kind}"));
    }
    for vector in items(&vectors, "idem_key_parts") {
        let key: IdemKey = text(&vector["text"]).parse().unwrap();
        assert_eq!((key.goal.as_str(), key.op_class.as_str()), (text(&vector["goal"]), text(&vector["op_class"])));
        assert_eq!((key.beat, key.uuid.as_str()), (vector["beat"].as_u64().unwrap(), text(&vector["uuid"])));
    }
}
