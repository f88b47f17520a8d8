//! The words and signs of an expression.

use std::collections::VecDeque;
use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    /// A text in quotes: a value, never a keyword.
    Quoted(String),
    Sign(&'static str),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Word(word) => f.write_str(word),
            Token::Quoted(text) => write!(f, "{text:?}"),
            Token::Sign(sign) => f.write_str(sign),
        }
    }
}

/// Signs, the longer ones first.
const SIGNS: [&str; 13] = ["==", "!=", ">=", "<=", "&&", "=", ">", "<", "[", "]", "(", ")", ","];

pub(super) struct Tokens(VecDeque<Token>);

/// Splits a text into tokens.
pub(super) fn read(text: &str) -> Result<Tokens, String> {
    let mut tokens = VecDeque::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match (sign(rest), first) {
            (Some("&&"), _) => (Token::Word("and".to_owned()), 2),
            (Some(sign), _) => (Token::Sign(sign), sign.len()),
            (None, '\'' | '"') => quoted(rest, first)?,
            (None, _) => word(rest),
        };
        tokens.push_back(token);
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    Ok(Tokens(tokens))
}

fn sign(rest: &str) -> Option<&'static str> {
    SIGNS.into_iter().find(|sign| rest.starts_with(sign))
}

fn quoted(rest: &str, quote: char) -> Result<(Token, usize), String> {
    let inner = rest.get(1..).unwrap_or_default();
    let end = inner.find(quote).ok_or_else(|| format!("the text {rest} is not closed by {quote}"))?;
    Ok((Token::Quoted(inner.get(..end).unwrap_or_default().to_owned()), end + 2))
}

fn word(rest: &str) -> (Token, usize) {
    let ends = |c: char| c.is_whitespace() || "=!<>&[](),'\"".contains(c);
    // A sign that begins nothing, such as a lone `!`, is a word of its own.
    let first = rest.chars().next().map_or(1, char::len_utf8);
    let end = rest.get(first..).and_then(|more| more.find(ends)).map_or(rest.len(), |end| end + first);
    (Token::Word(rest.get(..end).unwrap_or_default().to_owned()), end)
}

impl Tokens {
    pub fn next(&mut self) -> Option<Token> {
        self.0.pop_front()
    }

    /// A word; `what` says which one was expected.
    pub fn word(&mut self, what: &str) -> Result<String, String> {
        match self.next() {
            Some(Token::Word(word)) => Ok(word),
            Some(other) => Err(format!("found {other}, expected {what}")),
            None => Err(format!("the expression ends; expected {what}")),
        }
    }

    /// A value to compare with.
    pub fn value(&mut self) -> Result<String, String> {
        match self.next() {
            Some(Token::Word(text) | Token::Quoted(text)) => Ok(text),
            Some(other) => Err(format!("found {other}, expected a value")),
            None => Err("the expression ends; expected a value".to_owned()),
        }
    }

    pub fn number(&mut self) -> Result<u64, String> {
        let value = self.value()?;
        value.parse().map_err(|_| format!("{value} is no whole number"))
    }

    /// Values in brackets.
    pub fn list(&mut self) -> Result<Vec<String>, String> {
        let closing = match self.next() {
            Some(Token::Sign("[")) => "]",
            Some(Token::Sign("(")) => ")",
            _ => return Err("after `in` follow values in brackets, such as [WORK, REVIEW]".to_owned()),
        };
        let mut values = vec![self.value()?];
        while self.0.front() == Some(&Token::Sign(",")) {
            self.next();
            values.push(self.value()?);
        }
        if self.next() != Some(Token::Sign(closing)) {
            return Err(format!("the list is not closed by {closing}"));
        }
        Ok(values)
    }
}
