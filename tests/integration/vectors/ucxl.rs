//! UCXL addresses: their parts, and other spellings with their normal form.

use serde_json::{Value, json};
use swoosh::types::ucxl::{Ucxl, normal_form};

use super::{items, read, text};

const ACCEPTED: &[&str] = &[
    "ucxl://chorus:spec@council/…",
    "ucxl://chorus:spec@council/*^/roles.md",
    "ucxl://ann:reviewer@shop:checkout/~~2/src/pay/lib.rs",
    "ucxl://*:*@shop",
    "ucxl://a:b@c:*/*",
    "ucxl://a:b@c/*~",
    "ucxl://a:b@c/*~0/x",
    "ucxl://a:b@c/*~9007199254740991",
    "ucxl://a:b@c/~~latest/src/main.rs",
    "ucxl://a:b@c/^^1/x",
    "ucxl://a:b@c/^^v1.2/x",
    "ucxl://a:b@c/2024-02-29/x",
    "ucxl://a:b@c/beat-7/report",
    "ucxl://swoosh:orchestrator@a.b-c_d/2025-10-19/wal/17",
    "ucxl://a:b@c/now/\u{e9}/x:y@z~?#%20",
];

const RESPELLED: &[&str] = &[
    " ucxl://a:b@c/now ",
    "UCXL://a:b@c/now",
    "ucxl://a:b@c/",
    "ucxl://a:b@c//now//x/",
    "ucxl://a:b@c/now/./x/../y",
    "ucxl://a:b@c/~~007",
    "ucxl://a:b@c/now/e\u{301}",
];

const REFUSED: &[&str] = &[
    "",
    "ucxl://",
    "http://a:b@c",
    "ucxl://a@c/now",
    "ucxl://a:b/now",
    "ucxl://:b@c/now",
    "ucxl://a:b@c:/now",
    "ucxl://a:b@c d/now",
    "ucxl://a:b@../now",
    "ucxl://a:b@c/2025-02-30",
    "ucxl://a:b@c/~~",
    "ucxl://a:b@c/*~x",
    "ucxl://a:b@c/*~9007199254740992",
    "ucxl://a:b@c/now/../..",
    "ucxl://a:b@c/now/x\ny",
    "ucxl://a:b@c/now/<x>",
];

fn parts(address: &str) -> Value {
    let parts = Ucxl::parse(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    let temporal = parts.temporal.map(|temporal| temporal.to_string());
    json!({
        "text": address, "agent": parts.agent, "role": parts.role, "project": parts.project, "task": parts.task,
        "temporal": temporal, "path": parts.path,
    })
}

pub(super) fn make() -> Value {
    let respelled = |text: &&str| json!({"text": text, "normal": normal_form(text).unwrap()});
    json!({
        "accepted": ACCEPTED.iter().map(|text| parts(text)).collect::<Vec<_>>(),
        "respelled": RESPELLED.iter().map(respelled).collect::<Vec<_>>(),
        "refused": REFUSED,
    })
}

#[test]
fn addresses_are_read_as_the_vectors_say() {
    let vectors = read("ucxl.json");
    for vector in items(&vectors, "accepted") {
        let address = text(&vector["text"]);
        assert_eq!(parts(address), *vector);
        assert_eq!(Ucxl::parse(address).unwrap().to_string(), address);
        assert_eq!(normal_form(address).as_deref(), Ok(address));
    }
    for vector in items(&vectors, "respelled") {
        assert!(Ucxl::parse(text(&vector["text"])).is_err(), "{vector}");
        assert_eq!(normal_form(text(&vector["text"])).as_deref(), Ok(text(&vector["normal"])));
    }
    for vector in items(&vectors, "refused") {
        assert!(Ucxl::parse(text(vector)).is_err() && normal_form(text(vector)).is_err(), "{vector}");
    }
}
