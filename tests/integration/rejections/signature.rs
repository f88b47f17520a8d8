//! Signatures that are not the signer's over this document in this cluster.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use swoosh::types::keys::{PublicKey, domain, message};
use swoosh::types::names::{Region, Transition};
use swoosh::types::proposal::{Proposal, SignedProposal};

use super::Table;
use crate::support::driver::{Project, bytes};
use crate::support::http::proposal;
use crate::support::world::Ask;

fn pause(project: &Project<'_>) -> Proposal {
    project.proposal(&Ask::new(Transition::ControlPause))
}

/// The document with another signature.
fn signed_as(signed: &SignedProposal, signature: &str) -> Vec<u8> {
    let mut document: Value = serde_json::from_slice(&bytes(signed)).unwrap();
    document["signature"] = json!(signature);
    document.to_string().into_bytes()
}

fn signature(bytes: &[u8]) -> String {
    format!("ed25519:{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// The order of the group, little end first (RFC 8032 §5.1).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The same signature with S + L in the place of S.
fn malleated(good: &[u8; 64]) -> [u8; 64] {
    let mut bytes = *good;
    let mut carry = 0;
    for (byte, order) in bytes[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    bytes
}

/// The identity of the group as key and R, S = 0: right by the plain equation for every message.
fn of_small_order(project: &Project<'_>) -> Vec<u8> {
    let mut identity = [0; 32];
    identity[0] = 1;
    let body = Proposal { signer: PublicKey::from_bytes(identity), ..pause(project) };
    let mut zero = [0; 64];
    zero[0] = 1;
    let any = body.sign(&project.site.cluster, &project.site.hands.get("operator").secret);
    signed_as(&any, &signature(&zero))
}

pub(super) fn rows(table: &mut Table<'_>) {
    let project = table.project("signed", Region::Boot, "LICENSED");
    let (cluster, hands) = (&project.site.cluster, &project.site.hands);
    let operator = &hands.get("operator").secret;
    let good = project.sign(pause(&project));
    let raw = *good.signature.as_bytes();
    let mut flipped = raw;
    flipped[10] ^= 4;
    let flipped_body = String::from_utf8(bytes(&good)).unwrap().replace("because", "becauze");
    let vote =
        operator.sign(&message(domain::VOTE, cluster, &swoosh::types::canonical::canonical_bytes(&good.proposal)));
    let rows: Vec<(&str, Vec<u8>, &str)> = vec![
        ("bad base64", signed_as(&good, "ed25519:!!!!"), "signature_invalid"),
        ("padded base64", signed_as(&good, &format!("{}==", signature(&raw))), "signature_invalid"),
        ("no scheme", signed_as(&good, &URL_SAFE_NO_PAD.encode(raw)), "signature_invalid"),
        ("empty signature", signed_as(&good, ""), "signature_invalid"),
        ("63 bytes", signed_as(&good, &signature(&raw[..63])), "signature_invalid"),
        ("65 bytes", signed_as(&good, &signature(&[&raw[..], &[0]].concat())), "signature_invalid"),
        ("flipped bit in the signature", signed_as(&good, &signature(&flipped)), "signature_invalid"),
        ("flipped bit in the inputs", flipped_body.into_bytes(), "inputs_hash_mismatch"),
        ("malleated S", signed_as(&good, &signature(&malleated(&raw))), "signature_invalid"),
        ("small-order key", of_small_order(&project), "signature_invalid"),
        ("wrong key", bytes(&pause(&project).sign(cluster, &hands.get("human").secret)), "signature_invalid"),
        ("another cluster", bytes(&pause(&project).sign(&"other".parse().unwrap(), operator)), "signature_invalid"),
        ("another domain", signed_as(&good, &vote.to_string()), "signature_invalid"),
    ];
    for (name, body, code) in rows {
        table.refused(name, &proposal(&body, &[]), 400, code);
    }
    let mut other = serde_json::from_slice::<Value>(&bytes(&good)).unwrap();
    other["project"] = json!("plain");
    table.refused("signed for another project", &proposal(other.to_string().as_bytes(), &[]), 400, "signature_invalid");
    let mut unhashed = pause(&project);
    unhashed.inputs_hash = swoosh::types::hash::Hash::of(b"something else");
    let body = bytes(&unhashed.sign(cluster, operator));
    table.refused("inputs_hash mismatch", &proposal(&body, &[]), 400, "inputs_hash_mismatch");
}
