//! Keys and hashes as people read them, and lines that fit the terminal.

use std::collections::BTreeMap;

/// The widest line of the story, in characters.
const WIDTH: usize = 110;
/// How many digits of a hash are shown.
const DIGITS: usize = 8;

/// Who is behind which key.
#[derive(Clone, Debug, Default)]
pub(super) struct Wording {
    names: BTreeMap<String, String>,
}

impl Wording {
    /// Calls a key by a name from now on.
    pub fn call(&mut self, key: impl ToString, name: &str) {
        self.names.insert(key.to_string(), name.to_owned());
    }

    /// A text with names in place of keys, and hashes cut short.
    pub fn plain(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (key, name) in &self.names {
            text = text.replace(key, name);
        }
        shorten(&text, "sha256-", |c| c.is_ascii_hexdigit())
    }
}

/// Cuts what follows each `prefix`, as long as it is of one piece.
fn shorten(text: &str, prefix: &str, belongs: fn(char) -> bool) -> String {
    let mut pieces = text.split(prefix);
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece.find(|c| !belongs(c)).unwrap_or(piece.len());
        let (digits, rest) = piece.split_at(end);
        let kept = digits.get(..DIGITS).unwrap_or(digits);
        let more = if digits.len() > kept.len() { "…" } else { "" };
        out.push_str(&format!("{kept}{more}{rest}"));
    }
    out
}

/// A text in lines that fit, each after the first one indented by `indent` blanks more than the first.
pub(super) fn wrap(text: &str, first: usize, indent: usize) -> String {
    let mut lines = vec![" ".repeat(first)];
    let mut used = first;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        let begins = used == first && lines.len() == 1 || used == indent && lines.len() > 1;
        if !begins && used + 1 + length > WIDTH {
            lines.push(" ".repeat(indent));
            used = indent;
        } else if !begins {
            push(&mut lines, " ");
            used += 1;
        }
        push(&mut lines, word);
        used += length;
    }
    lines.join("\n")
}

fn push(lines: &mut [String], text: &str) {
    if let Some(line) = lines.last_mut() {
        line.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_names_and_hashes_short() {
        let mut wording = Wording::default();
        wording.call("hmmm:pubkey:abc", "ada");
        let hash = crate::types::hash::Hash::of(b"x");
        let said = wording.plain(&format!("hmmm:pubkey:abc names {hash}, not {hash}"));
        assert_eq!(said, format!("ada names {0}…, not {0}…", hash.short(DIGITS)));
        assert_eq!(wording.plain("a sha256- of nothing"), "a  of nothing");
    }

    #[test]
    fn lines_fit_and_lose_no_word() {
        let text = "word ".repeat(100);
        let wrapped = wrap(&text, 4, 6);
        assert!(wrapped.lines().all(|line| line.chars().count() <= WIDTH));
        assert!(wrapped.starts_with("    word") && wrapped.lines().nth(1).unwrap().starts_with("      word"));
        assert_eq!(wrapped.split_whitespace().count(), 100);
    }
}
