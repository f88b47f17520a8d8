//! The names of members in policies: what may be a key of a map with free names.

use std::collections::BTreeSet;

/// Longest name that is taken for a member's.
const MOST_BYTES: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'t> {
    Word(&'t str),
    /// Without its quotes.
    Text(&'t str),
    Sign(u8),
    /// `::`
    Path,
}

/// Words and quoted texts where a name of a member can be: after `.` and `has`, in `["\u{2026}"]`, before the colon of a record. Not the
/// strings of a set: a policy may hold tens of thousands.
pub(super) fn named(policies: &str) -> BTreeSet<String> {
    let tokens = tokens(policies);
    let none = Token::Sign(b' ');
    let at = |place: Option<usize>| place.and_then(|place| tokens.get(place)).copied().unwrap_or(none);
    let mut found = BTreeSet::new();
    for (place, token) in tokens.iter().enumerate() {
        let (Token::Word(name) | Token::Text(name)) = *token else { continue };
        let (before, after) = (at(place.checked_sub(1)), at(place.checked_add(1)));
        let is_member = matches!(before, Token::Sign(b'.') | Token::Word("has"));
        let is_index = before == Token::Sign(b'[') && after == Token::Sign(b']');
        let is_key = after == Token::Sign(b':') && matches!(before, Token::Sign(b'{' | b','));
        let is_plain = !name.is_empty() && name.len() <= MOST_BYTES && !name.contains(['\\', '*', '\n']);
        if is_plain && (is_member || is_index || is_key) {
            found.insert(name.to_owned());
        }
    }
    found
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let (mut tokens, mut rest) = (Vec::new(), text);
    while let Some(first) = rest.bytes().next() {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii();
        let (token, length) = match first {
            b'/' if rest.starts_with("//") => (None, rest.find(['\n', '\r']).unwrap_or(rest.len())),
            b'"' => {
                let inside = inside(rest);
                (Some(Token::Text(inside)), (inside.len() + 2).min(rest.len()))
            }
            b':' if rest.starts_with("::") => (Some(Token::Path), 2),
            byte if is_word(&byte) => {
                let length = rest.bytes().take_while(is_word).count();
                (rest.get(..length).map(Token::Word), length)
            }
            byte if byte.is_ascii_whitespace() => (None, 1),
            byte => (Some(Token::Sign(byte)), 1),
        };
        tokens.extend(token);
        rest = rest.get(length..).unwrap_or_default();
    }
    tokens
}

/// A text up to its closing quote, as it is written.
fn inside(quoted: &str) -> &str {
    let mut at = 1;
    while let Some(byte) = quoted.as_bytes().get(at) {
        at += match byte {
            b'"' => return quoted.get(1..at).unwrap_or_default(),
            b'\\' => 2,
            _ => 1,
        };
    }
    quoted.get(1..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(policies: &str) -> Vec<String> {
        named(policies).into_iter().collect()
    }

    #[test]
    fn names_are_taken_where_members_are_named_and_nowhere_else() {
        for (policies, expected) in [
            (
                "// .hidden has \"hidden\"\nforbid when { context.inputs.assets has \".env\" };",
                vec![".env", "assets", "inputs"],
            ),
            ("context.inputs.has_x has a.b", vec!["a", "b", "has_x", "inputs"]),
            ("context[\"inputs\"][\"a b\"]", vec!["a b", "inputs"]),
            ("context.x == {a: 1, \"b c\": Action::\"z\"}", vec!["a", "b c", "x"]),
            ("[\"one\", \"two\"].contains(\"three\")", vec!["contains"]),
            ("principal in [Identity::\"k\", Identity::\"l\"]", vec![]),
            ("x like \"*\" && y has \"q\\\"uote\"", vec![]),
            ("\"// no comment .a\" == context.b", vec!["b"]),
            ("x has\n// why\n  \"late\"", vec!["late"]),
            ("x . spaced", vec!["spaced"]),
            ("m\u{fc}ll.\u{e9}", vec!["\u{e9}"]),
            ("\"open", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(of(policies), expected, "{policies}");
        }
    }
}
