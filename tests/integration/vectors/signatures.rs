//! `signatures.json`: what is signed, by which seed, and signatures that must not count.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};
use swoosh::types::hash::Hash;
use swoosh::types::keys::{PublicKey, SecretKey, Signature, domain, message};
use swoosh::types::receipt::BatchRoot;
use swoosh::types::text::ClusterId;

use super::{hex, items, read, text, unhex};
use crate::support::{outside, strict};

const CLUSTER: &str = "test";

/// The order of the group, little-endian: adding it to `S` gives another `S` for the same signature.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

fn key() -> SecretKey {
    SecretKey::from_bytes(&[7; 32])
}

/// A key out of a domain's name, the document that is signed under it, and whether it names its signer.
fn documents() -> [(&'static str, &'static str, Value); 6] {
    let (public, other) = (key().public(), SecretKey::from_bytes(&[8; 32]).public());
    let inputs = json!({"rationale": "the reviewers are on holiday"});
    let proposal = json!({
        "current_state_hash": Hash::of(b"head"), "transition": "Control_Pause", "inputs": inputs,
        "inputs_hash": Hash::of(&strict(&inputs).canonical()), "signer": public,
        "idem_key": "goal-7:42:control:0b8e7a52", "hlc": "2025-10-19T01:23:45.678+00:00#1234",
        "evidence": ["ucxl://chorus:spec@council/\u{2026}"],
    });
    let mut full = proposal.clone();
    full["project"] = json!("default");
    full["window_id"] = json!("backbeat:W-2025-10-19-02");
    let fact = json!({
        "kind": "windows", "project": "default", "source": public, "observed_at": "2025-10-19T01:00:00.000+00:00#0",
        "valid_until": "2025-10-20T01:00:00.000+00:00#0", "body": outside::hourly(),
    });
    let vote = json!({"project": "default", "council_epoch": 3, "member_set_hash": Hash::of(b"members")});
    let batch = json!(BatchRoot { first: 5, last: 9, root: Hash::of(b"root"), term: None });
    [
        ("proposal that leaves project out", domain::TRANSITION, proposal),
        ("proposal", domain::TRANSITION, full),
        ("vote", domain::VOTE, vote),
        ("fact", domain::FACT, fact),
        ("rotation", domain::ROTATION, json!({"project": "default", "old": other, "new": public})),
        ("batch", domain::BATCH, batch),
    ]
}

fn bytes_of(domain: &str, cluster: &str, document: &Value) -> Vec<u8> {
    message(domain, &cluster.parse::<ClusterId>().unwrap(), &strict(document).canonical())
}

fn signature(bytes: &[u8; 64]) -> Signature {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    format!("ed25519:{encoded}").parse().unwrap()
}

/// The same signature with `S + L` for `S`.
fn malleated(original: &Signature) -> Signature {
    let mut bytes = *original.as_bytes();
    let mut carry = 0u16;
    for (byte, order) in bytes[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    signature(&bytes)
}

/// The neutral point with the coordinate p + 1 for 1, which no canonical encoding has.
fn respelled_neutral() -> PublicKey {
    PublicKey::from_bytes(std::array::from_fn(|n| match n {
        0 => 0xee,
        31 => 0x7f,
        _ => 0xff,
    }))
}

/// A number below the order of the group, in bits from the highest.
type Scalar = [bool; 256];

fn order() -> Scalar {
    bits(&ORDER)
}

fn bits(little_endian: &[u8; 32]) -> Scalar {
    std::array::from_fn(|n| little_endian[31 - n / 8] >> (7 - n % 8) & 1 == 1)
}

fn bytes(number: &Scalar) -> [u8; 32] {
    std::array::from_fn(|n| number[(31 - n) * 8..][..8].iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit)))
}

/// The sum, less the order where it is not below it. Both are below the order, which is below 2^253.
fn add(left: &Scalar, right: &Scalar) -> Scalar {
    let (mut sum, mut carry) = ([false; 256], false);
    for n in (0..256).rev() {
        let ones = u8::from(left[n]) + u8::from(right[n]) + u8::from(carry);
        (sum[n], carry) = (ones & 1 == 1, ones > 1);
    }
    let order = order();
    if sum < order {
        return sum;
    }
    let mut borrow = false;
    for n in (0..256).rev() {
        let (bit, taken) = (sum[n], u8::from(order[n]) + u8::from(borrow));
        (sum[n], borrow) = ((u8::from(bit) + taken) & 1 == 1, u8::from(bit) < taken);
    }
    sum
}

/// The product of a little-endian number of any length with one below the order.
fn times(little_endian: &[u8], factor: &Scalar) -> Scalar {
    let mut product = [false; 256];
    for bit in little_endian.iter().rev().flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1 == 1)) {
        product = add(&product, &product);
        if bit {
            product = add(&product, factor);
        }
    }
    product
}

/// A signature by the key with the neutral point for R: `S = k·a` satisfies the equation, and only a strict check refuses it.
fn small_r(message: &[u8]) -> Signature {
    let mut secret: [u8; 32] = Sha512::digest([7u8; 32])[..32].try_into().unwrap();
    secret[0] &= 248;
    secret[31] = (secret[31] & 127) | 64;
    let one: Scalar = std::array::from_fn(|n| n == 255);
    let neutral: [u8; 32] = std::array::from_fn(|n| u8::from(n == 0));
    let challenge = Sha512::digest([&neutral[..], key().public().as_bytes(), message].concat());
    let answer = bytes(&times(&challenge, &times(&secret, &one)));
    signature(&std::array::from_fn(|n| if n < 32 { neutral[n] } else { answer[n - 32] }))
}

/// Signatures that must not count, each over the first proposal or the vote.
fn refused() -> Vec<Value> {
    let [(_, domain, document), _, (_, vote_domain, vote), ..] = documents();
    let public = key().public();
    let good = key().sign(&bytes_of(domain, CLUSTER, &document));
    let one = |name: &str, cluster: &str, domain: &str, document: &Value, signer: PublicKey, signature: Signature| {
        json!({
            "name": name, "cluster": cluster, "domain": domain, "document": document, "signer": signer,
            "message_hex": hex(&bytes_of(domain, cluster, document)), "signature": signature,
        })
    };
    let mut flipped = *good.as_bytes();
    flipped[3] ^= 1;
    let mut changed = document.clone();
    changed["hlc"] = json!("2025-10-19T01:23:45.678+00:00#1235");
    // The neutral point as key and as R, and S = 0: any message verifies where small orders are let in.
    let neutral = PublicKey::from_bytes(std::array::from_fn(|n| u8::from(n == 0)));
    let empty = signature(&std::array::from_fn(|n| u8::from(n == 0)));
    let signed_by = |signer: PublicKey| {
        let mut other = document.clone();
        other["signer"] = json!(signer);
        other
    };
    let (small, respelled) = (signed_by(neutral), signed_by(respelled_neutral()));
    vec![
        one("another cluster", "prod", domain, &document, public, good),
        one("another domain", CLUSTER, vote_domain, &document, public, good),
        one(
            "a vote's signature under a proposal",
            CLUSTER,
            domain,
            &document,
            public,
            key().sign(&bytes_of(vote_domain, CLUSTER, &vote)),
        ),
        one("another document", CLUSTER, domain, &changed, public, good),
        one("another key", CLUSTER, domain, &document, SecretKey::from_bytes(&[8; 32]).public(), good),
        one("a flipped bit", CLUSTER, domain, &document, public, signature(&flipped)),
        one("S + L for S", CLUSTER, domain, &document, public, malleated(&good)),
        one("a key of small order", CLUSTER, domain, &small, neutral, empty),
        one("a key of small order in another spelling", CLUSTER, domain, &respelled, respelled_neutral(), empty),
        one("R of small order", CLUSTER, domain, &document, public, small_r(&bytes_of(domain, CLUSTER, &document))),
    ]
}

pub(super) fn make() -> Value {
    let signed = documents().map(|(name, domain, document)| {
        let message = bytes_of(domain, CLUSTER, &document);
        json!({
            "name": name, "cluster": CLUSTER, "domain": domain, "document": document, "message_hex": hex(&message),
            "seed_hex": hex(&[7; 32]), "signer": key().public(), "signature": key().sign(&message),
        })
    });
    json!({"signed": signed, "refused": refused()})
}

fn verifies(vector: &Value) -> bool {
    let message = bytes_of(text(&vector["domain"]), text(&vector["cluster"]), &vector["document"]);
    assert_eq!(hex(&message), text(&vector["message_hex"]), "{}", vector["name"]);
    let signer: PublicKey = text(&vector["signer"]).parse().unwrap();
    signer.verify(&message, &text(&vector["signature"]).parse().unwrap())
}

#[test]
fn signatures_count_or_not_as_the_vectors_say() {
    let vectors = read("signatures.json");
    for vector in items(&vectors, "signed") {
        let seed: [u8; 32] = unhex(text(&vector["seed_hex"])).try_into().unwrap();
        let key = SecretKey::from_bytes(&seed);
        assert_eq!(key.public().to_string(), text(&vector["signer"]));
        assert_eq!(key.sign(&unhex(text(&vector["message_hex"]))).to_string(), text(&vector["signature"]));
        assert!(verifies(vector), "{vector}");
    }
    for vector in items(&vectors, "refused") {
        assert!(!verifies(vector), "{}", vector["name"]);
    }
}

#[test]
fn typed_documents_sign_the_messages_of_the_vectors() {
    use swoosh::types::canonical::from_canonical;
    use swoosh::types::fact::FactClaim;
    use swoosh::types::proposal::Proposal;
    let (vectors, cluster) = (read("signatures.json"), CLUSTER.parse().unwrap());
    for vector in items(&vectors, "signed") {
        let canonical = strict(&vector["document"]).canonical();
        let signature = match text(&vector["domain"]) {
            domain::TRANSITION => from_canonical::<Proposal>(&canonical).unwrap().sign(&cluster, &key()).signature,
            domain::FACT => from_canonical::<FactClaim>(&canonical).unwrap().sign(&cluster, &key()).signature,
            _ => continue,
        };
        assert_eq!(signature.to_string(), text(&vector["signature"]), "{}", vector["name"]);
    }
}
