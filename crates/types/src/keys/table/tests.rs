use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use ed25519_dalek::Verifier as _;
use proptest::prelude::*;

use super::*;
use crate::keys::SecretKey;

/// The order of the group, little-endian: 2^252 + 27742317777372353535851937790883648493.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// What `verify_strict` says; a key that is no point verifies nothing.
fn strict(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(signature);
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

/// What the check without the demands on small order says.
fn lax(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(signature);
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify(message, &signature).is_ok())
}

/// What the table says; a key without a table verifies nothing here.
fn by_table(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    KeyTable::of(PublicKey::from_bytes(*key))
        .is_some_and(|table| table.check(message, &Signature::from_bytes(*signature)))
}

/// Asserts that both agree; returns their result.
#[track_caller]
fn agreed(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let (strict, by_table) = (strict(key, message, signature), by_table(key, message, signature));
    assert_eq!(
        strict, by_table,
        "verify_strict and the table differ on key {key:02x?}, {message:02x?}, {signature:02x?}"
    );
    strict
}

fn hex<const N: usize>(text: &str) -> [u8; N] {
    let digit = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
    assert_eq!(text.len(), 2 * N);
    std::array::from_fn(digit)
}

fn joined(r: [u8; 32], s: [u8; 32]) -> [u8; 64] {
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&r);
    signature[32..].copy_from_slice(&s);
    signature
}

fn challenge(r: &[u8; 32], key: &[u8; 32], message: &[u8]) -> Scalar {
    let hash = Sha512::new().chain_update(r).chain_update(key).chain_update(message).finalize();
    Scalar::from_bytes_mod_order_wide(&hash.into())
}

/// A point with a known discrete logarithm and a part of small order: `secret·B + torsion`.
fn mixed(secret: &Scalar, torsion: usize) -> EdwardsPoint {
    ED25519_BASEPOINT_POINT * secret + EIGHT_TORSION[torsion]
}

/// All encodings of the eight points of small order that decode: the canonical ones, those of 0 and 1 plus the prime, and
/// those of x = 0 with the sign bit.
fn small_order_encodings() -> Vec<[u8; 32]> {
    let mut all: Vec<[u8; 32]> = EIGHT_TORSION.iter().map(|point| point.compress().to_bytes()).collect();
    for (low, sign) in [(0xed, 0x7f), (0xed, 0xff), (0xee, 0x7f), (0xee, 0xff), (0xec, 0xff)] {
        let mut encoding = [0xff; 32];
        (encoding[0], encoding[31]) = (low, sign);
        all.push(encoding);
    }
    let mut one = [0; 32];
    (one[0], one[31]) = (1, 0x80);
    all.push(one);
    all
}

/// Vectors of "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko, 2020): `cases.txt` of
/// <https://github.com/novifinancial/ed25519-speccheck>, as message, key and signature. Strict checks accept case 3 alone.
const SPECCHECK: [(&str, &str, &str); 12] = [
    // 0: S = 0, small A, small R.
    (
        "8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a0000000000000000000000000000000000000000000000000000000000000000",
    ),
    // 1: small A, mixed R.
    (
        "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
    ),
    // 2: mixed A, small R.
    (
        "aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e",
    ),
    // 3: mixed A, mixed R.
    (
        "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
        "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        "9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009",
    ),
    // 4: mixed A, mixed R; passes with the cofactor only.
    (
        "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
        "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        "160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed5125ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09",
    ),
    // 5: mixed A, R of full order; passes with the cofactor only, if 8·k is not reduced first.
    (
        "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
        "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        "21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405",
    ),
    // 6: S over the order.
    (
        "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
        "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
        "e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514",
    ),
    // 7: S far over the order.
    (
        "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
        "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
        "8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa19427e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22",
    ),
    // 8: mixed A, small R whose encoding is not canonical; reduced before it is hashed.
    (
        "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff03be9678ac102edcd92b0210bb34d7428d12ffc5df5f37e359941266a4e35f0f",
    ),
    // 9: the same, hashed as it is.
    (
        "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffca8c5b64cd208982aa38d4936621a4775aa233aa0505711d8fdcfdaa943d4908",
    ),
    // 10: small A whose encoding is not canonical, mixed R; reduced before it is hashed.
    (
        "e96b7021eb39c1a163b6da4e3093dcd3f21387da4cc4572be588fafae23c155b",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dca5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
    ),
    // 11: the same, hashed as it is.
    (
        "39a591f5321bbe07fd5a23dc2f39d025d74526615746727ceefd6e82ae65c06f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dca5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
    ),
];

#[test]
fn the_table_judges_the_speccheck_vectors_as_verify_strict_does() {
    let judged: Vec<bool> = SPECCHECK
        .iter()
        .map(|(message, key, signature)| agreed(&hex(key), &hex::<32>(message), &hex(signature)))
        .collect();
    let accepted: Vec<usize> = (0..12).filter(|&case| judged[case]).collect();
    assert_eq!(accepted, [3]);
    let lax: Vec<bool> = SPECCHECK
        .iter()
        .map(|(message, key, signature)| lax(&hex(key), &hex::<32>(message), &hex(signature)))
        .collect();
    assert_eq!(
        lax.iter().filter(|passed| **passed).count(),
        5,
        "the demands on small order refuse four of the vectors"
    );
}

#[test]
fn every_flipped_bit_of_a_signature_its_message_or_its_key_is_refused() {
    let secret = SecretKey::from_bytes(&[9; 32]);
    let (key, message) = (*secret.public().as_bytes(), *b"a message of a project");
    let signature = *secret.sign(&message).as_bytes();
    assert!(agreed(&key, &message, &signature));
    for bit in 0..512 {
        let mut flipped = signature;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!agreed(&key, &message, &flipped), "bit {bit} of the signature");
    }
    for bit in 0..message.len() * 8 {
        let mut flipped = message;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!agreed(&key, &flipped, &signature), "bit {bit} of the message");
    }
    for bit in 0..256 {
        let mut flipped = key;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!agreed(&flipped, &message, &signature), "bit {bit} of the key");
    }
}

/// `S` plus multiples of the order gives the same point; only the `S` below it counts.
#[test]
fn a_malleated_s_is_refused() {
    let secret = SecretKey::from_bytes(&[4; 32]);
    let key = *secret.public().as_bytes();
    for n in 0..40_u8 {
        let signature = *secret.sign(&[n]).as_bytes();
        let mut s: [u8; 32] = signature[32..].try_into().unwrap();
        let mut sums = 0;
        // Fifteen multiples of the order fit into 32 bytes beside any S.
        while let Some(sum) = plus_order(s) {
            s = sum;
            sums += 1;
            let malleated = joined(signature[..32].try_into().unwrap(), s);
            assert!(!agreed(&key, &[n], &malleated), "S plus {sums} times the order");
        }
        assert!(sums >= 14, "{sums}");
        assert!(agreed(&key, &[n], &signature));
    }
    assert!(!agreed(&key, b"", &joined(key, ORDER)), "S is the order");
}

/// The sum with the order, if 32 bytes hold it.
fn plus_order(mut s: [u8; 32]) -> Option<[u8; 32]> {
    let mut carry = 0;
    for (byte, order) in s.iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
    (carry == 0).then_some(s)
}

/// With a key of small order, `S·B - k·A` is one of eight points for every message, so a lax check accepts forgeries.
#[test]
fn a_key_of_small_order_gets_no_table_and_verifies_nothing() {
    let mut forged = 0;
    for key in small_order_encodings() {
        assert!(KeyTable::of(PublicKey::from_bytes(key)).is_none(), "{key:02x?}");
        for r in small_order_encodings() {
            for message in [&b"Send 100"[..], b"Send 100000"] {
                let signature = joined(r, [0; 32]);
                assert!(!agreed(&key, message, &signature));
                forged += u32::from(lax(&key, message, &signature));
            }
        }
    }
    assert!(forged > 0, "a lax check accepts none of these, so they try nothing");
}

/// The key's holder can make signatures whose `R` is of small order: `R' = S·B - k·A` with `S = k·a`.
#[test]
fn an_r_of_small_order_is_refused_in_every_encoding() {
    let secret = Scalar::from_bytes_mod_order([7; 32]);
    let mut passes_lax = 0;
    for torsion in 0..8 {
        let key = mixed(&secret, torsion).compress().to_bytes();
        for r in small_order_encodings() {
            for message in 0..32_u8 {
                let s = challenge(&r, &key, &[message]) * secret;
                let signature = joined(r, s.to_bytes());
                assert!(!agreed(&key, &[message], &signature));
                passes_lax += u32::from(lax(&key, &[message], &signature));
            }
        }
    }
    assert!(passes_lax > 0, "a lax check accepts none of these, so they try nothing");
}

/// Key and `R` with parts of small order: the parts must cancel as they are, without the cofactor.
#[test]
fn points_of_mixed_order_are_judged_alike() {
    let (secret, nonce) = (Scalar::from_bytes_mod_order([5; 32]), Scalar::from_bytes_mod_order([6; 32]));
    let (mut accepted, mut refused) = (0, 0);
    for of_key in 0..8 {
        let key = mixed(&secret, of_key).compress().to_bytes();
        for of_r in 0..8 {
            let r = mixed(&nonce, of_r).compress().to_bytes();
            for message in 0..16_u8 {
                let s = nonce + challenge(&r, &key, &[message]) * secret;
                match agreed(&key, &[message], &joined(r, s.to_bytes())) {
                    true => accepted += 1,
                    false => refused += 1,
                }
            }
        }
    }
    assert!(accepted > 50 && refused > 500, "{accepted} accepted, {refused} refused");
}

/// Coordinates from the prime to 2^255: encodings of points that have a smaller one too.
#[test]
fn encodings_that_are_not_canonical_are_judged_alike() {
    let secret = SecretKey::from_bytes(&[8; 32]);
    let mut points = 0;
    for low in 0xed..=0xff_u8 {
        for high in [0x7f, 0xff] {
            let mut encoding = [0xff; 32];
            (encoding[0], encoding[31]) = (low, high);
            points += u32::from(PublicKey::from_bytes(encoding).point().is_some());
            let signature = *secret.sign(b"m").as_bytes();
            let s: [u8; 32] = signature[32..].try_into().unwrap();
            assert!(!agreed(&encoding, b"m", &signature), "as the key");
            assert!(!agreed(&encoding, b"m", &joined(encoding, [0; 32])), "as both");
            assert!(!agreed(secret.public().as_bytes(), b"m", &joined(encoding, s)), "as R");
        }
    }
    assert!(points > 10, "{points}");
}

/// One change to a good signature.
#[derive(Clone, Debug)]
enum Change {
    None,
    Bit(usize),
    Message(Vec<u8>),
    OtherKey([u8; 32]),
    R([u8; 32]),
    S([u8; 32]),
    PlusOrder,
    Torsion(usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(Change::None),
        (0..512_usize).prop_map(Change::Bit),
        prop::collection::vec(any::<u8>(), 0..80).prop_map(Change::Message),
        any::<[u8; 32]>().prop_map(Change::OtherKey),
        any::<[u8; 32]>().prop_map(Change::R),
        prop::sample::select(small_order_encodings()).prop_map(Change::R),
        any::<[u8; 32]>().prop_map(Change::S),
        Just(Change::PlusOrder),
        (1..8_usize).prop_map(Change::Torsion),
    ]
}

proptest! {
    #[test]
    fn the_table_agrees_with_verify_strict(
        seed in any::<[u8; 32]>(),
        message in prop::collection::vec(any::<u8>(), 0..200),
        change in change(),
    ) {
        let secret = SecretKey::from_bytes(&seed);
        let (mut key, mut signed) = (*secret.public().as_bytes(), message.clone());
        let mut signature = *secret.sign(&message).as_bytes();
        let is_good = matches!(change, Change::None) || matches!(&change, Change::Message(other) if *other == message);
        match change {
            Change::None => {}
            Change::Bit(bit) => signature[bit / 8] ^= 1 << (bit % 8),
            Change::Message(other) => signed = other,
            Change::OtherKey(other) => key = other,
            Change::R(r) => signature[..32].copy_from_slice(&r),
            Change::S(s) => signature[32..].copy_from_slice(&s),
            Change::PlusOrder => {
                let s = plus_order(signature[32..].try_into().unwrap()).unwrap();
                signature[32..].copy_from_slice(&s);
            }
            // The same key with a part of small order, whose holder signs for it.
            Change::Torsion(torsion) => {
                let point = VerifyingKey::from_bytes(&key).unwrap().to_edwards() + EIGHT_TORSION[torsion];
                key = point.compress().to_bytes();
            }
        }
        prop_assert_eq!(agreed(&key, &signed, &signature), is_good);
    }
}

#[test]
fn a_table_takes_thirty_kibibytes_and_knows_its_key() {
    let key = SecretKey::from_bytes(&[1; 32]).public();
    let table = KeyTable::of(key).unwrap();
    assert_eq!(table.key(), key);
    const { assert!(KeyTable::BYTES <= 31 << 10) };
    let no_point = (0..=u8::MAX).map(|n| PublicKey::from_bytes([n; 32])).find(|key| key.point().is_none()).unwrap();
    assert!(KeyTable::of(no_point).is_none());
}
