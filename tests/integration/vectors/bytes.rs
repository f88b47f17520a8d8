//! `canonical.json`: documents, their canonical bytes and hashes, and what is no document.

use serde_json::{Value, json};
use swoosh::types::canonical::{canonical_bytes, from_canonical};
use swoosh::types::hash::Hash;
use swoosh::types::json::{Json, JsonError};

use super::{hex, items, read, text, unhex};

const ACCEPTED: [(&str, &str); 13] = [
    ("empty object", "{}"),
    ("white space", " {\n\t\"b\" : [ 1 , 2 ] ,\r\n \"a\" : true } "),
    ("scalars stand alone", "9007199254740991"),
    ("zero", "[0,1,10]"),
    ("keys by UTF-16 code units, not by code points", "{\"\u{e000}\":2,\"\u{10000}\":1,\"a\":3}"),
    (
        "keys of RFC 8785 section 3.2.3",
        r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","1":"One","\u0080":"Control","\ud83d\ude00":"Emoji","\u00f6":"Latin"}"#,
    ),
    ("keys sort at every depth", r#"{"z":{"y":1,"x":[{"b":1,"a":2}]},"A":0,"a":0}"#),
    ("short and long escapes", r#""\u0000\u0001\u0008\u0009\u000a\u000b\u000c\u000d\u001f\u007f""#),
    ("escapes that are not needed", r#""\u0041\/\u00e9\u2028\ud83d\ude00""#),
    ("quote and backslash", r#""a\"b\\c""#),
    ("key order by prefix", r#"{"aa":1,"a":2,"":3,"ab":4}"#),
    ("text in normalisation form C", "\"\u{e9}\u{1e9b}\u{323}\""),
    ("depth 32", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"),
];

fn refused() -> Vec<(&'static str, Vec<u8>)> {
    let texts = [
        ("nothing", ""),
        ("white space only", " \n"),
        ("byte-order mark", "\u{feff}{}"),
        ("trailing data", "{} {}"),
        ("cut short", "{\"a\":"),
        ("not a number", "[NaN]"),
        ("leading zero", "[01]"),
        ("single quotes", "{'a':1}"),
        ("trailing comma", "[1,]"),
        ("lone surrogate", r#""\ud800""#),
        ("surrogates the wrong way round", r#""\udc00\ud800""#),
        ("control character in a text", "\"a\u{1}\""),
        ("key twice", r#"{"a":1,"a":2}"#),
        ("key twice, once escaped", r#"{"a":1,"\u0061":2}"#),
        ("key twice, deep", r#"[{"b":{"a":1,"a":1}}]"#),
        ("null", r#"{"a":null}"#),
        ("negative", "[-1]"),
        ("negative zero", "[-0]"),
        ("fraction", "[1.5]"),
        ("fraction that is whole", "[1.0]"),
        ("exponent", "[1e2]"),
        ("2^53", "9007199254740992"),
        ("2^64", "18446744073709551616"),
        ("text in normalisation form D", "\"e\u{301}\""),
        ("key in normalisation form D", "{\"e\u{301}\":1}"),
    ];
    let mut refused: Vec<_> = texts.map(|(name, text)| (name, text.as_bytes().to_vec())).into();
    refused.push(("not UTF-8", b"\"\xff\"".to_vec()));
    refused.push(("overlong UTF-8", b"\"\xc0\xaf\"".to_vec()));
    refused.push(("depth 33", [[b'['; 33], [b']'; 33]].concat()));
    refused.push(("depth 33 of objects", ["{\"a\":".repeat(33), "1".into(), "}".repeat(33)].concat().into_bytes()));
    refused
}

fn class(error: &JsonError) -> &'static str {
    match error {
        JsonError::Empty => "empty",
        JsonError::NotUtf8(_) => "not_utf8",
        JsonError::ByteOrderMark => "byte_order_mark",
        JsonError::Syntax(_) => "syntax",
        JsonError::DuplicateKey(_) => "duplicate_key",
        JsonError::TooDeep => "too_deep",
        JsonError::Number(_) => "number",
        JsonError::Null => "null",
        JsonError::NotNormalized(_) => "not_normalized",
        JsonError::At { fault, .. } => class(fault),
    }
}

pub(super) fn make() -> Value {
    let accepted = ACCEPTED.map(|(name, source)| {
        let canonical = Json::parse(source.as_bytes()).unwrap().canonical();
        let shown = String::from_utf8(canonical.clone()).unwrap();
        json!({"name": name, "source": source, "canonical": shown, "canonical_hex": hex(&canonical), "sha256": Hash::of(&canonical)})
    });
    let refused = refused().into_iter().map(|(name, bytes)| {
        let error = Json::parse(&bytes).unwrap_err();
        json!({"name": name, "bytes_hex": hex(&bytes), "reason": class(&error)})
    });
    json!({"accepted": accepted, "refused": refused.collect::<Vec<_>>()})
}

#[test]
fn documents_have_the_canonical_bytes_of_the_vectors() {
    for vector in items(&read("canonical.json"), "accepted") {
        let json = Json::parse(text(&vector["source"]).as_bytes()).unwrap();
        let canonical = unhex(text(&vector["canonical_hex"]));
        assert_eq!(json.canonical(), canonical, "{vector}");
        assert_eq!(canonical_bytes(&json), canonical, "both writers agree: {vector}");
        assert_eq!(from_canonical::<Json>(&canonical).unwrap(), json);
        assert_eq!(canonical, text(&vector["canonical"]).as_bytes());
        assert_eq!(Hash::of(&canonical).to_string(), text(&vector["sha256"]));
    }
}

#[test]
fn documents_are_refused_for_the_reason_of_the_vectors() {
    for vector in items(&read("canonical.json"), "refused") {
        let error = Json::parse(&unhex(text(&vector["bytes_hex"]))).unwrap_err();
        assert_eq!(class(&error), text(&vector["reason"]), "{vector}: {error}");
    }
}
