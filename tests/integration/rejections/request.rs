//! Malformed requests: framing, headers, JSON, schema.

use serde_json::Value;
use swoosh::types::names::{Region, Transition};

use super::Table;
use crate::support::driver::bytes;
use crate::support::http::{proposal, request};
use crate::support::world::Ask;

/// A good proposal, member by member, each as it is written.
struct Document(Vec<(String, String)>);

impl Document {
    fn good(table: &Table<'_>) -> Document {
        let project = table.project("plain", Region::Boot, "LICENSED");
        let body = bytes(&project.signed(&Ask::new(Transition::ControlPause)));
        let Value::Object(members) = serde_json::from_slice(&body).unwrap() else { panic!("no object") };
        Document(members.into_iter().map(|(name, value)| (name, value.to_string())).collect())
    }

    fn write(members: &[(String, String)]) -> Vec<u8> {
        let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(",")).into_bytes()
    }

    fn bytes(&self) -> Vec<u8> {
        Document::write(&self.0)
    }

    /// With a member written as this.
    fn with(&self, name: &str, value: &str) -> Vec<u8> {
        let mut members: Vec<_> = self.0.iter().filter(|(known, _)| known != name).cloned().collect();
        members.push((name.to_owned(), value.to_owned()));
        Document::write(&members)
    }

    fn without(&self, name: &str) -> Vec<u8> {
        Document::write(&self.0.iter().filter(|(known, _)| known != name).cloned().collect::<Vec<_>>())
    }

    /// With one more member at the end, whether or not it is there already.
    fn and(&self, name: &str, value: &str) -> Vec<u8> {
        let mut members = self.0.clone();
        members.push((name.to_owned(), value.to_owned()));
        Document::write(&members)
    }

    /// A member's value as it is written.
    fn text(&self, name: &str) -> &str {
        &self.0.iter().find(|(known, _)| known == name).unwrap().1
    }
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// Bodies that are no strict JSON, and what is strict JSON but no proposal.
pub(super) fn bodies(table: &mut Table<'_>) {
    let good = Document::good(table);
    let whole = good.bytes();
    let cut = |bytes: &[u8]| bytes[..bytes.len() - 1].to_vec();
    let around = |before: &[u8], after: &[u8]| [before, &whole, after].concat();
    let rows: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", Vec::new(), "bad_json"),
        ("white space", b" \r\n\t ".to_vec(), "bad_json"),
        ("truncated", cut(&whole), "bad_json"),
        ("trailing data", around(b"", b" {}"), "bad_json"),
        ("a second document", around(b"", &whole), "bad_json"),
        ("byte-order mark", around(b"\xef\xbb\xbf", b""), "bad_json"),
        (
            "invalid UTF-8",
            good.with("inputs", "{\"rationale\":\"caf\u{1}\"}")
                .iter()
                .map(|&b| if b == 1 { 0xff } else { b })
                .collect(),
            "bad_text",
        ),
        (
            "UTF-16",
            String::from_utf8(whole.clone()).unwrap().encode_utf16().flat_map(u16::to_le_bytes).collect(),
            "bad_json",
        ),
        ("lone surrogate", good.with("inputs", r#"{"rationale":"\ud800"}"#), "bad_json"),
        ("lone low surrogate", good.with("inputs", r#"{"rationale":"\udc00 tea"}"#), "bad_json"),
        ("NaN", good.with("inputs", r#"{"n":NaN}"#), "bad_json"),
        ("Infinity", good.with("inputs", r#"{"n":Infinity}"#), "bad_json"),
        ("leading zero", good.with("inputs", r#"{"n":01}"#), "bad_json"),
        ("raw NUL in a text", good.with("project", "\"pla\u{0}in\""), "bad_json"),
        ("a comment", around(b"/* x */", b""), "bad_json"),
        ("single quotes", b"{'a':1}".to_vec(), "bad_json"),
        ("depth 33", good.with("inputs", &nested(32)), "too_deep"),
        ("depth 200,000", nested(100_000).into_bytes(), "too_deep"),
        ("duplicate key", good.and("signer", good.text("signer")), "duplicate_key"),
        ("duplicate key, escaped", good.and(r"\u0073igner", good.text("signer")), "duplicate_key"),
        ("duplicate key within inputs", good.with("inputs", r#"{"rationale":"a","rationale":"b"}"#), "duplicate_key"),
        ("negative", good.with("inputs", r#"{"n":-1}"#), "bad_number"),
        ("minus zero", good.with("inputs", r#"{"n":-0}"#), "bad_number"),
        ("over 2^53-1", good.with("inputs", r#"{"n":9007199254740992}"#), "bad_number"),
        ("over 2^64", good.with("inputs", r#"{"n":18446744073709551616}"#), "bad_number"),
        ("float", good.with("inputs", r#"{"n":1.5}"#), "bad_number"),
        ("float that is whole", good.with("inputs", r#"{"n":1.0}"#), "bad_number"),
        ("exponent", good.with("inputs", r#"{"n":1e3}"#), "bad_number"),
        ("huge exponent", good.with("inputs", r#"{"n":1e999}"#), "bad_number"),
        ("non-NFC id", good.with("project", "\"e\u{301}\""), "bad_text"),
        ("non-NFC id, escaped", good.with("project", r#""e\u0301""#), "bad_text"),
        ("non-NFC key", good.and("e\u{301}", "1"), "bad_text"),
    ];
    for (name, body, code) in rows {
        table.refused(name, &proposal(&body, &[]), 400, code);
    }
    forms(table, &good);
}

/// Strict JSON that is not of a proposal's form.
fn forms(table: &mut Table<'_>, good: &Document) {
    let sixty_four = format!("\"{}\"", "a".repeat(64));
    let evidence = vec!["\"bubble://dr/x\""; 33].join(",");
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("depth 32 is read", good.with("inputs", &nested(31))),
        ("top-level array", [b"[".as_slice(), &good.bytes(), b"]"].concat()),
        ("top-level text", b"\"hello\"".to_vec()),
        ("top-level number", b"7".to_vec()),
        ("array for object", good.with("inputs", "[]")),
        ("unknown member", good.and("extra", "true")),
        ("unknown member of the inputs", good.with("inputs", r#"{"rationale":"tea","extra":1}"#)),
        ("missing member of the inputs", good.with("inputs", "{}")),
        ("number for text", good.with("idem_key", "7")),
        ("text for array", good.with("evidence", "\"bubble://dr/x\"")),
        ("number for text in the inputs", good.with("inputs", r#"{"rationale":7}"#)),
        ("object for signature", good.with("signature", "{}")),
        ("null", good.with("window_id", "null")),
        ("null in the inputs", good.with("inputs", r#"{"rationale":null}"#)),
        ("null document", b"null".to_vec()),
        ("NUL in an id", good.with("project", r#""pla\u0000in""#)),
        ("NUL in a key", good.with("idem_key", r#""goal:1:control:abcd\u0000efgh""#)),
        ("project with blanks", good.with("project", "\"Not A Name\"")),
        ("project with a path", good.with("project", "\"../plain\"")),
        ("empty project", good.with("project", "\"\"")),
        ("project of 64 characters", good.with("project", &sixty_four)),
        ("project that begins with a dot", good.with("project", "\".plain\"")),
        ("transition that is none", good.with("transition", "\"Control_Panic\"")),
        ("transition in another case", good.with("transition", "\"control_pause\"")),
        ("hash in upper case", good.with("current_state_hash", &good.text("current_state_hash").to_uppercase())),
        ("hash too short", good.with("current_state_hash", "\"sha256-00\"")),
        ("key without a uuid", good.with("idem_key", "\"goal:1:control\"")),
        ("key with a leading zero", good.with("idem_key", "\"goal:01:control:abcdefgh\"")),
        ("key of no op class", good.with("idem_key", "\"goal:1:dance:abcdefgh\"")),
        ("clock without a logical part", good.with("hlc", "\"2025-10-19T01:23:45.678+00:00\"")),
        ("clock overflow", good.with("hlc", "\"2025-10-19T01:23:45.678+00:00#65536\"")),
        ("clock far overflow", good.with("hlc", "\"2025-10-19T01:23:45.678+00:00#18446744073709551616\"")),
        ("clock on no day", good.with("hlc", "\"2025-02-30T01:23:45.678+00:00#0\"")),
        ("window that is none", good.with("window_id", "\"W-2025-10-19-02\"")),
        ("signer in bad base64", good.with("signer", "\"hmmm:pubkey:!!!\"")),
        ("signer of another scheme", good.with("signer", "\"ssh-ed25519 AAAA\"")),
        ("bad UCXL", good.with("evidence", "[\"ucxl://incomplete\"]")),
        ("bad UCXL with a blank", good.with("evidence", "[\"ucxl://a:b@c d/x\"]")),
        ("evidence of another scheme", good.with("evidence", "[\"https://example.org\"]")),
        ("33 addresses", good.with("evidence", &format!("[{evidence}]"))),
        ("blank rationale", good.with("inputs", r#"{"rationale":"  "}"#)),
    ];
    for (name, body) in rows {
        table.refused(name, &proposal(&body, &[]), 400, "schema");
    }
    let members = [
        "current_state_hash",
        "transition",
        "inputs",
        "inputs_hash",
        "signer",
        "idem_key",
        "hlc",
        "evidence",
        "signature",
    ];
    for member in members {
        let problem = table.refused(&format!("without {member}"), &proposal(&good.without(member), &[]), 400, "schema");
        if !problem["detail"].as_str().unwrap_or_default().contains(member) {
            table.wrong.push(format!("without {member}: the answer does not name it: {problem}"));
        }
    }
}

/// Headers, sizes, methods and media types.
pub(super) fn frames(table: &mut Table<'_>) {
    let good = Document::good(table);
    let body = good.bytes();
    let key = good.text("idem_key").trim_matches('"').to_owned();
    let twice = format!("idempotency-key: {key}");
    let conflicts: Vec<(&str, Vec<&str>)> = vec![
        ("two Idempotency-Key headers", vec![&twice, &twice]),
        ("Idempotency-Key against the body", vec!["idempotency-key: goal:1:control:abcdefgh"]),
        ("X-Swoosh-Hlc against the body", vec!["x-swoosh-hlc: 2025-10-19T01:23:45.678+00:00#0"]),
        ("X-Hmmm-Signature against the body", vec!["x-hmmm-signature: ed25519:AAAA"]),
        ("two X-Swoosh-Hlc headers", vec!["x-swoosh-hlc: 2025-10-19T01:23:45.678+00:00#0"; 2]),
    ];
    for (name, headers) in conflicts {
        table.refused(name, &proposal(&body, &headers), 400, "header_conflict");
    }
    let window = good.with("window_id", "\"backbeat:W-2025-10-19-02\"");
    let headers = ["x-swoosh-window-id: backbeat:W-2025-10-19-03"];
    table.refused("X-Swoosh-Window-Id against the body", &proposal(&window, &headers), 400, "header_conflict");
    media_types(table, &body);
    sizes(table, &good);
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        table.refused(method, &request(method, "/transition", &[], b""), 405, "method_not_allowed");
    }
    table.refused("POST to a read", &request("POST", "/state", &["content-length: 0"], b""), 405, "method_not_allowed");
    table.refused("unknown address", &request("GET", "/transistion", &[], b""), 404, "not_found");
}

fn media_types(table: &mut Table<'_>, body: &[u8]) {
    let length = format!("content-length: {}", body.len());
    let rows: Vec<(&str, Vec<&str>)> = vec![
        ("no media type", vec![]),
        ("text/plain", vec!["content-type: text/plain"]),
        ("a form", vec!["content-type: application/x-www-form-urlencoded"]),
        ("a problem document", vec!["content-type: application/problem+json"]),
        ("two media types", vec!["content-type: application/json", "content-type: application/json"]),
        ("gzip", vec!["content-type: application/json", "content-encoding: gzip"]),
        ("brotli", vec!["content-type: application/json", "content-encoding: br"]),
    ];
    for (name, mut headers) in rows {
        headers.push(&length);
        table.refused(name, &request("POST", "/transition", &headers, body), 415, "unsupported_media_type");
    }
}

/// The default limit is 256 KiB.
fn sizes(table: &mut Table<'_>, good: &Document) {
    let limit = 256 << 10;
    let large = good.with("inputs", &format!("{{\"rationale\":\"{}\"}}", "x".repeat(limit)));
    table.refused("oversize", &proposal(&large, &[]), 413, "content_too_large");
    let json = "content-type: application/json";
    let announced = request("POST", "/transition", &[json, "content-length: 99999999999", "expect: 100-continue"], b"");
    table.refused("oversize by its length alone", &announced, 413, "content_too_large");
    let chunks: Vec<u8> = large
        .chunks(8000)
        .flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())
        .collect();
    let chunked =
        request("POST", "/transition", &[json, "transfer-encoding: chunked"], &[&chunks[..], b"0\r\n\r\n"].concat());
    table.refused("oversize in chunks", &chunked, 413, "content_too_large");
    let torn = request("POST", "/transition", &[json, "transfer-encoding: chunked"], b"zz\r\n{}\r\n0\r\n\r\n");
    table.refused("chunks that are none", &torn, 400, "bad_json");
    for query in ["?dry_run=maybe", "?dryrun=true", "?dry_run=true&dry_run=true"] {
        let length = format!("content-length: {}", good.bytes().len());
        let asked = request("POST", &format!("/transition{query}"), &[json, &length], &good.bytes());
        table.refused(query, &asked, 400, "bad_query");
    }
}

/// Reads that cannot be answered.
pub(super) fn reads(table: &mut Table<'_>) {
    let rows = [
        ("/state?project=missing", 404, "unknown_project"),
        ("/state?project=plain&projection=Counsel", 400, "unknown_projection"),
        ("/state?project=plain&at=99999", 404, "unknown_index"),
        ("/state?project=plain&at=-1", 400, "bad_query"),
        ("/state?project=Not%20A%20Name", 400, "bad_query"),
        ("/state?project=plain&project=plain", 400, "bad_query"),
        ("/state?projct=plain", 400, "bad_query"),
        ("/wal?from=x", 400, "bad_query"),
        ("/wal?limit=0", 400, "bad_query"),
        ("/decisions/plain/99999", 404, "unknown_decision"),
        ("/decisions/nonsense", 404, "unknown_decision"),
        ("/decisions/bubble://dr/plain/1-0000000000000000", 404, "unknown_decision"),
    ];
    for (target, status, code) in rows {
        table.refused(target, &request("GET", target, &[], b""), status, code);
    }
}
