//! `nfc.json`: texts that are in Unicode normalisation form C, and texts that are not. The characters are of Unicode 14.0 or
//! earlier, so that libraries of different ages agree.

use serde_json::{Value, json};
use swoosh::types::json::Json;
use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::{items, read, text};

/// Blocks whose characters were all there in Unicode 14.0 and have decompositions or marks.
const BLOCKS: [(u32, u32); 16] = [
    (0xc0, 0x17e),
    (0x300, 0x370),
    (0x374, 0x3d0),
    (0x591, 0x5f4),
    (0x610, 0x6e8),
    (0x928, 0x964),
    (0x9bc, 0x9df),
    (0xb47, 0xb5e),
    (0xf43, 0xfbd),
    (0x1100, 0x1200),
    (0x1e00, 0x2000),
    (0x2126, 0x212c),
    (0x304b, 0x30ff),
    (0xac00, 0xac20),
    (0xf900, 0xfb50),
    (0x1d15e, 0x1d1c1),
];

/// Texts whose form depends on order and neighbours.
const NEIGHBOURS: [&str; 14] = [
    "",
    "ASCII",
    "a\u{323}\u{301}",
    "a\u{301}\u{323}",
    "\u{1ea1}\u{301}",
    "\u{e1}\u{323}",
    "a\u{316}\u{301}",
    "\u{1100}\u{1161}",
    "\u{ac00}\u{11a8}",
    "\u{1100}\u{301}\u{1161}",
    "\u{9c7}\u{9be}",
    "\u{9c7}\u{301}\u{9be}",
    "\u{301}",
    "\u{2f801}\u{338}",
];

fn texts() -> Vec<String> {
    let mut texts: Vec<String> = NEIGHBOURS.map(str::to_owned).into();
    let mut chars: Vec<char> = BLOCKS.iter().flat_map(|(from, to)| (*from..*to).filter_map(char::from_u32)).collect();
    chars.retain(|found| found.nfd().count() > 1 || !is_nfc(&found.to_string()) || !is_nfc(&format!("a{found}")));
    for (at, found) in chars.into_iter().enumerate().filter(|(at, _)| at % 8 == 0) {
        texts.push(found.to_string());
        // The same decomposed, and behind a letter.
        texts.push(if at % 16 == 0 { found.nfd().collect() } else { format!("a{found}") });
    }
    texts
}

pub(super) fn make() -> Value {
    let texts: Vec<Value> = texts()
        .into_iter()
        .map(|text| {
            let normal: String = text.nfc().collect();
            json!({"text": text, "is_nfc": is_nfc(&text), "nfc": normal})
        })
        .collect();
    json!({"texts": texts})
}

#[test]
fn texts_are_accepted_in_their_normal_form_alone() {
    let vectors = read("nfc.json");
    let texts = items(&vectors, "texts");
    assert!(texts.len() >= 300, "{} texts", texts.len());
    let is_read = |text: &str| Json::parse(&serde_json::to_vec(text).unwrap()).is_ok();
    for vector in texts {
        assert_eq!(json!(is_read(text(&vector["text"]))), vector["is_nfc"], "{vector}");
        assert!(is_read(text(&vector["nfc"])), "{vector}");
    }
    let normal = texts.iter().filter(|vector| vector["is_nfc"] == json!(true)).count();
    assert!(normal > 50 && texts.len() - normal > 50, "{normal} of {} are normal", texts.len());
}
