//! Hashes, keys and times in lists: as short as a reader needs to tell them apart.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use swoosh_types::hash::Hash;
use swoosh_types::keys::PublicKey;

/// Digits of a hash or key that is shown in a list.
const DIGITS: usize = 8;
/// Digits of a key beside its name.
const BESIDE_NAME: usize = 4;
const HASH: &str = "sha256-";
const KEY: &str = "hmmm:pubkey:";

/// The names of known keys.
static NAMES: Mutex<BTreeMap<PublicKey, String>> = Mutex::new(BTreeMap::new());

/// Names keys: lists show `ada (3Bvy…)` in place of the key. The last name of a key stays.
pub fn name_keys(names: impl IntoIterator<Item = (PublicKey, String)>) {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner).extend(names);
}

/// A key as lists show it: its name and four digits, or eight digits.
fn key(key: &PublicKey) -> String {
    let digits: String = key.to_string().chars().skip(KEY.len()).take(DIGITS).collect();
    match NAMES.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
        Some(name) => format!("{name} ({}…)", &digits[..BESIDE_NAME]),
        None => format!("{digits}…"),
    }
}

/// A key as fields show it: in full with `--wide`.
pub fn short_key(public: &PublicKey) -> String {
    if super::style::width().is_none() { public.to_string() } else { key(public) }
}

/// A cell whose hashes, keys and times are shortened.
pub(super) fn shortened(cell: &str) -> String {
    let plain = !cell.contains(HASH) && !cell.contains(KEY) && !cell.contains('T');
    if plain {
        return cell.to_owned();
    }
    cell.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn word(word: &str) -> String {
    if let Some(time) = time(word) {
        return time;
    }
    let hashes = replaced(word, HASH, 64, |text| text.parse::<Hash>().ok().map(|hash| hash.short(DIGITS)));
    replaced(&hashes, KEY, 43, |text| text.parse::<PublicKey>().ok().map(|public| key(&public)))
}

/// Replaces each text that begins with a prefix and has so many characters after it.
fn replaced(word: &str, prefix: &str, after: usize, short: impl Fn(&str) -> Option<String>) -> String {
    let (mut out, mut rest) = (String::new(), word);
    while let Some(at) = rest.find(prefix) {
        let end = at + prefix.len() + after;
        let Some(found) = rest.get(at..end).and_then(&short) else {
            let (passed, left) = rest.split_at(at + prefix.len());
            out.push_str(passed);
            rest = left;
            continue;
        };
        out.push_str(&rest[..at]);
        out.push_str(&found);
        rest = &rest[end..];
    }
    out + rest
}

/// `2026-11-30T14:37:40.123+00:00#0` as `2026-11-30 14:37:40Z`, which narrow columns break at the blank.
fn time(word: &str) -> Option<String> {
    let (clock, logical) = word.split_once('#').unwrap_or((word, "0"));
    let digits = !logical.is_empty() && logical.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = clock.strip_suffix("+00:00").filter(|_| digits)?.split_once('.')?.0;
    let shaped = seconds.len() == 19
        && seconds.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            10 => byte == b'T',
            13 | 16 => byte == b':',
            _ => byte.is_ascii_digit(),
        });
    shaped.then(|| format!("{}Z", seconds.replace('T', " ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_keys_and_times_are_shortened_and_nothing_else() {
        let hash = Hash::of(b"head").to_string();
        let digits: String = hash.chars().skip(7).take(8).collect();
        assert_eq!(shortened(&hash), digits);
        assert_eq!(
            shortened(&format!("the head is {hash}, not {hash}")),
            format!("the head is {digits}, not {digits}")
        );
        assert_eq!(shortened("sha256-12"), "sha256-12");
        assert_eq!(shortened("2026-11-30T14:37:40.123+00:00#17"), "2026-11-30 14:37:40Z");
        assert_eq!(shortened("Tooling 2026-11-30T14:37"), "Tooling 2026-11-30T14:37");
    }

    #[test]
    fn a_key_with_a_name_is_shown_by_it() {
        let text = "hmmm:pubkey:6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw";
        let other = "hmmm:pubkey:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        name_keys([(text.parse().unwrap(), "agent".to_owned())]);
        assert_eq!(shortened(text), "agent (6kps…)");
        assert_eq!(shortened(&format!("{text},{other}")), "agent (6kps…),AAAAAAAA…");
    }
}
