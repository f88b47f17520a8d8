//! How deep Cedar will recurse over a text, before Cedar reads it.
//!
//! Cedar's readers and its evaluator recurse: over brackets, and over chains such as `a || b || c`, whose expression leans to
//! the left. The depth here is an upper bound of theirs, counted without recursion from the tokens alone:
//!
//! ```text
//! policy    = tokens up to `;`          segment = tokens between commas of one bracket
//! segment   = ifs + `||`s + the deepest alternative
//! alternative = `&&`s + the deepest term
//! term      = operators, accesses and brackets + the deepest bracket of it
//! ```
//!
//! A text whose brackets do not match is refused here: Cedar's reader goes on after errors, and what it makes of such a text
//! could be deeper than its tokens say.

use super::PolicyError;

/// The most levels of one policy.
pub const MAX_DEPTH: usize = 600;
/// The most bytes of a bundle's text.
pub const MAX_BYTES: usize = 1 << 20;

/// The depth of the deepest policy; an error where the text is too large, too deep, or its brackets do not match.
pub(super) fn depth(text: &str) -> Result<usize, PolicyError> {
    if text.len() > MAX_BYTES {
        return Err(PolicyError::TooLarge(text.len()));
    }
    let mut scan =
        Scan { text: text.as_bytes(), at: 0, begun: None, frames: vec![Frame::new(Bracket::Policy, 0)], deepest: 0 };
    while let Some(token) = scan.token() {
        scan.take(token)?;
    }
    scan.end()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bracket {
    /// Around a whole policy; ends with `;`.
    Policy,
    Round,
    Square,
    /// Around a condition.
    Condition,
    /// Around the members of a record.
    Record,
}

enum Token {
    Open(u8),
    Close(u8),
    Comma,
    Semicolon,
    Colon,
    If,
    Or,
    And,
    Operator,
    Other,
}

/// One bracket that is open.
struct Frame {
    bracket: Bracket,
    at: usize,
    deepest: usize,
    segment: Segment,
}

/// The tokens between two commas.
#[derive(Default)]
struct Segment {
    is_empty: bool,
    has_colon: bool,
    ifs: usize,
    ors: usize,
    alternative: usize,
    ands: usize,
    term: usize,
    operators: usize,
    bracket: usize,
}

impl Segment {
    fn end_term(&mut self) {
        self.term = self.term.max(self.operators + self.bracket);
        (self.operators, self.bracket) = (0, 0);
    }

    fn end_alternative(&mut self) {
        self.end_term();
        self.alternative = self.alternative.max(self.ands + self.term);
        (self.ands, self.term) = (0, 0);
    }

    fn depth(&mut self) -> usize {
        self.end_alternative();
        self.ifs + self.ors + self.alternative
    }
}

impl Frame {
    fn new(bracket: Bracket, at: usize) -> Frame {
        Frame { bracket, at, deepest: 0, segment: Segment { is_empty: true, ..Segment::default() } }
    }

    fn end_segment(&mut self) {
        self.deepest = self.deepest.max(self.segment.depth());
        self.segment = Segment { is_empty: true, ..Segment::default() };
    }
}

struct Scan<'t> {
    text: &'t [u8],
    at: usize,
    /// Where the policy at hand begins.
    begun: Option<usize>,
    frames: Vec<Frame>,
    deepest: usize,
}

impl Scan<'_> {
    /// The next token, divided as by Cedar's lexer; an unknown one is refused.
    fn token(&mut self) -> Option<Token> {
        loop {
            let rest = self.text.get(self.at..)?;
            let (&first, second) = (rest.first()?, rest.get(1).copied());
            let (length, token) = match (first, second) {
                (b'/', Some(b'/')) => (rest.iter().take_while(|byte| !matches!(byte, b'\n' | b'\r')).count(), None),
                (byte, _) if byte.is_ascii_whitespace() || byte == 0x0b => (1, None),
                (b'"', _) => (string(rest), Some(Token::Other)),
                (b'(' | b'[' | b'{', _) => (1, Some(Token::Open(first))),
                (b')' | b']' | b'}', _) => (1, Some(Token::Close(first))),
                (b',', _) => (1, Some(Token::Comma)),
                (b';', _) => (1, Some(Token::Semicolon)),
                (b':', Some(b':')) => (2, Some(Token::Other)),
                (b':', _) => (1, Some(Token::Colon)),
                (b'|', Some(b'|')) => (2, Some(Token::Or)),
                (b'&', Some(b'&')) => (2, Some(Token::And)),
                (b'=' | b'!' | b'<' | b'>', Some(b'=')) => (2, Some(Token::Operator)),
                (b'=' | b'!' | b'<' | b'>' | b'+' | b'-' | b'*' | b'/' | b'%' | b'.', _) => (1, Some(Token::Operator)),
                (byte, _) if is_word(byte) => {
                    let length = rest.iter().take_while(|byte| is_word(**byte)).count();
                    (length, Some(word(&rest[..length])))
                }
                _ => (1, Some(Token::Other)),
            };
            self.at += length;
            if token.is_some() {
                return token;
            }
        }
    }

    fn take(&mut self, token: Token) -> Result<(), PolicyError> {
        let begun = *self.begun.get_or_insert(self.at.saturating_sub(1));
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        match token {
            Token::Close(_) | Token::Comma | Token::Semicolon => {}
            _ => frame.segment.is_empty = false,
        }
        match token {
            Token::Open(byte) => return self.open(byte, begun),
            Token::Close(byte) => return self.close(byte),
            Token::Semicolon => return self.end_policy(begun),
            Token::Comma => frame.end_segment(),
            Token::Colon => frame.segment.has_colon = true,
            Token::If => frame.segment.ifs += 1,
            Token::Or => {
                frame.segment.end_alternative();
                frame.segment.ors += 1;
            }
            Token::And => {
                frame.segment.end_term();
                frame.segment.ands += 1;
            }
            Token::Operator => frame.segment.operators += 1,
            Token::Other => {}
        }
        Ok(())
    }

    fn open(&mut self, byte: u8, begun: usize) -> Result<(), PolicyError> {
        if self.frames.len() > MAX_DEPTH {
            return Err(self.too_deep(begun));
        }
        let is_outermost = self.frames.len() == 1;
        if let Some(frame) = self.frames.last_mut() {
            frame.segment.operators += 1;
        }
        let bracket = match byte {
            b'(' => Bracket::Round,
            b'[' => Bracket::Square,
            _ if is_outermost => Bracket::Condition,
            _ => Bracket::Record,
        };
        self.frames.push(Frame::new(bracket, self.at - 1));
        Ok(())
    }

    fn close(&mut self, byte: u8) -> Result<(), PolicyError> {
        let place = self.at - 1;
        let fits = |bracket| match byte {
            b')' => bracket == Bracket::Round,
            b']' => bracket == Bracket::Square,
            _ => matches!(bracket, Bracket::Condition | Bracket::Record),
        };
        let Some(mut frame) = self.frames.pop_if(|frame| fits(frame.bracket)) else {
            return Err(self.wrong(place, &format!("{:?} closes no bracket that is open", char::from(byte))));
        };
        // Cedar's reader would go on inside of such a record.
        if frame.bracket == Bracket::Record && !frame.segment.is_empty && !frame.segment.has_colon {
            return Err(self.wrong(place, "a member of a record has no value; write {name: value}"));
        }
        frame.end_segment();
        if let Some(outer) = self.frames.last_mut() {
            outer.segment.bracket = outer.segment.bracket.max(frame.deepest);
        }
        Ok(())
    }

    fn end_policy(&mut self, begun: usize) -> Result<(), PolicyError> {
        if let [_, .., open] = self.frames.as_slice() {
            return Err(self.wrong(open.at, "this bracket is not closed before the policy ends"));
        }
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        frame.end_segment();
        let depth = std::mem::take(&mut frame.deepest);
        self.deepest = self.deepest.max(depth);
        self.begun = None;
        if depth > MAX_DEPTH { Err(self.too_deep(begun)) } else { Ok(()) }
    }

    /// The end of the text; Cedar parses an unfinished policy as deep as a finished one.
    fn end(mut self) -> Result<usize, PolicyError> {
        self.end_policy(self.begun.unwrap_or(self.at))?;
        Ok(self.deepest)
    }

    fn line(&self, at: usize) -> usize {
        1 + self.text.iter().take(at).filter(|byte| **byte == b'\n').count()
    }

    fn wrong(&self, at: usize, reason: &str) -> PolicyError {
        PolicyError::Parse(format!("line {}: {reason}", self.line(at)))
    }

    fn too_deep(&self, begun: usize) -> PolicyError {
        PolicyError::TooDeep { line: self.line(begun) }
    }
}

/// Bytes of a string literal; where it has no end, all that is left.
fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = rest.get(at) {
        at += match byte {
            b'"' => return at + 1,
            b'\\' => 2,
            _ => 1,
        };
    }
    rest.len()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn word(word: &[u8]) -> Token {
    match word {
        b"if" => Token::If,
        b"in" | b"has" | b"like" | b"is" => Token::Operator,
        _ => Token::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(condition: &str) -> usize {
        let whole = depth(&format!("permit (principal, action, resource) when {{ {condition} }};")).unwrap();
        whole - depth("permit (principal, action, resource) when { 1 };").unwrap()
    }

    fn refusal(text: &str) -> String {
        depth(text).unwrap_err().to_string()
    }

    #[test]
    fn siblings_count_once_and_chains_count_by_their_length() {
        assert_eq!((of("true"), of("a == 1"), of("a || b || c"), of("a && b || c && d || e")), (0, 1, 2, 3));
        assert_eq!((of("1 + 1 + 1 > 2"), of("context.a.b.c"), of("!!true"), of("((true))")), (3, 3, 2, 2));
        assert_eq!((of("[1, 2, 3, 4, 5, 6]"), of("[[1], [2]]"), of("{a: 1, b: {c: 1}}")), (1, 2, 2));
        assert_eq!(of("if a then b else if c then d else e"), 2);
        assert_eq!(of(r#"context["a"]["b"]["c"]"#), 3);
        assert_eq!(of("a.contains(b).contains(c)"), 4);
    }

    #[test]
    fn texts_and_comments_hold_no_tokens_and_a_comment_ends_with_its_line() {
        assert_eq!(of(r#""(((((" == "\"((((\\""#), 1);
        assert_eq!(of("true // ((((((\n"), 0);
        assert_eq!(of("// ((((((\r((true))"), 2);
        assert_eq!(of("context.then.then.then"), 3);
    }

    #[test]
    fn the_deepest_policy_counts_and_the_line_of_one_that_is_too_deep_is_named() {
        let chain =
            |n: usize| format!("permit (principal, action, resource) when {{ {} }};", vec!["true"; n].join(" || "));
        let around = depth(&chain(1)).unwrap();
        assert_eq!(depth(&format!("{}\n{}", chain(7), chain(3))).unwrap(), around + 6);
        assert_eq!(depth(&chain(MAX_DEPTH - around + 1)).unwrap(), MAX_DEPTH);
        let found = refusal(&format!("{}\n\n{}", chain(3), chain(MAX_DEPTH - around + 2)));
        assert!(found.contains("line 3") && found.contains("600"), "{found}");
        assert!(refusal(&"(".repeat(1 << 19)).contains("line 1"));
        assert!(refusal(&" ".repeat(MAX_BYTES + 1)).contains("1048577 bytes"));
    }

    /// Cedar's reader recovers from these and would nest what follows.
    #[test]
    fn brackets_that_do_not_match_are_refused_by_their_line() {
        for text in [
            "permit (\n[);",
            "permit (\n(;",
            "permit (principal) when {\n",
            "permit ()\n};",
            "x {[{\n1}]};",
            "({\na: 1, b});",
        ] {
            let found = refusal(text);
            assert!(found.contains("line 1") || found.contains("line 2"), "{text:?}: {found}");
        }
        assert_eq!(depth("").unwrap(), 0);
    }
}
