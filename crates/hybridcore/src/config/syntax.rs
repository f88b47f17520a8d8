//! Reads HCL files, and remembers on which line each attribute and block begins.

use hcl::Body;
use hcl::edit::Span as _;
use hcl::edit::parser::parse_body;
use hcl::edit::structure;
use hcl::edit::visit::Visit as _;
use hcl::expr::Expression;
use serde::Serialize;
use thiserror::Error;

use super::exact::Lossy;
use super::value::ValueError;

/// The most bytes of one HCL file.
const MOST_BYTES: usize = 1 << 20;

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The file, relative to the definitions; or what else gave the value.
    pub file: String,
    /// The line, from 1; 0 when there are no lines.
    pub line: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.line == 0 { f.write_str(&self.file) } else { write!(f, "{}:{}", self.file, self.line) }
    }
}

/// A file that is no HCL.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {detail}; see the HCL syntax of packer's documentation")]
pub struct SyntaxError {
    pub place: Place,
    pub detail: String,
}

/// `name = expression`.
#[derive(Clone, Debug)]
pub struct Assignment {
    pub name: String,
    pub expression: Expression,
    pub place: Place,
}

/// `identifier "label" { … }`.
#[derive(Clone, Debug)]
pub struct Block {
    /// The first word.
    pub identifier: String,
    pub labels: Vec<String>,
    pub body: Body,
    /// Where it begins.
    pub place: Place,
}

/// The content of a file, in its order.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// Attributes.
    pub assignments: Vec<Assignment>,
    pub blocks: Vec<Block>,
    /// Numbers that lose digits, as they are written, and where.
    pub lossy: Vec<(Place, String)>,
}

/// Reads a file's text. A byte-order mark before it is passed over.
pub fn parse(file: &str, text: &str) -> Result<Parsed, SyntaxError> {
    let at = |line: usize| Place { file: file.to_owned(), line };
    if text.len() > MOST_BYTES {
        return Err(SyntaxError { place: at(0), detail: format!("it has more than {MOST_BYTES} bytes; split it") });
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let body = parse_body(text)
        .map_err(|error| SyntaxError { place: at(error.location().line()), detail: error.message().to_owned() })?;
    let mut lossy = Lossy::of(text);
    lossy.visit_body(&body);
    let lossy = lossy.found.into_iter().map(|(offset, written)| (at(line_of(text, Some(offset))), written));
    let mut parsed = Parsed { lossy: lossy.collect(), ..Parsed::default() };
    for part in body {
        match part {
            structure::Structure::Attribute(attribute) => {
                let place = at(line_of(text, attribute.span().map(|span| span.start)));
                let attribute = hcl::Attribute::from(attribute);
                let name = attribute.key.as_str().to_owned();
                if let Some(first) = parsed.assignments.iter().find(|earlier| earlier.name == name) {
                    let detail = format!("{name} is given twice, first on line {}; keep one", first.place.line);
                    return Err(SyntaxError { place, detail });
                }
                parsed.assignments.push(Assignment { name, expression: attribute.expr, place });
            }
            structure::Structure::Block(block) => {
                let place = at(line_of(text, block.span().map(|span| span.start)));
                let block = hcl::Block::from(block);
                let labels = block.labels.iter().map(|label| label.as_str().to_owned()).collect();
                parsed.blocks.push(Block {
                    identifier: block.identifier.as_str().to_owned(),
                    labels,
                    body: block.body,
                    place,
                });
            }
        }
    }
    Ok(parsed)
}

/// Reads a file that may hold attributes alone, and no number that loses digits.
pub fn parse_assignments(file: &str, text: &str) -> Result<Vec<Assignment>, SyntaxError> {
    let parsed = parse(file, text)?;
    if let Some((place, written)) = parsed.lossy.into_iter().next() {
        return Err(SyntaxError { place, detail: ValueError::Inexact(written).to_string() });
    }
    match parsed.blocks.into_iter().next() {
        None => Ok(parsed.assignments),
        Some(block) => Err(SyntaxError {
            place: block.place,
            detail: format!(
                "found a block {}, and only `name = value` is allowed here; an object needs a =",
                block.identifier
            ),
        }),
    }
}

/// The line, from 1, of a byte.
fn line_of(text: &str, offset: Option<usize>) -> usize {
    let before = offset.and_then(|offset| text.get(..offset)).unwrap_or_default();
    before.bytes().filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_attribute_and_block_knows_its_line() {
        let text = "# first\na = 1\n\nvariable \"x\" {\n  type = string\n}\nb = [\n  2,\n]\n";
        let parsed = parse("f.hcl", text).unwrap();
        let lines: Vec<_> = parsed.assignments.iter().map(|a| (a.name.as_str(), a.place.line)).collect();
        assert_eq!(lines, [("a", 2), ("b", 7)]);
        let block = &parsed.blocks[0];
        assert_eq!((block.identifier.as_str(), block.labels.as_slice()), ("variable", ["x".to_owned()].as_slice()));
        assert_eq!(block.place.to_string(), "f.hcl:4");
    }

    #[test]
    fn syntax_errors_are_reported_with_file_and_line() {
        let message = |text: &str| parse_assignments("overlays/default.pkrvars.hcl", text).unwrap_err().to_string();
        assert!(message("a = 1\nb = = 2\n").starts_with("overlays/default.pkrvars.hcl:2: "));
        assert!(message("a = 1\na = 2\n").contains("first on line 1") || message("a = 1\na = 2\n").contains(":2"));
        assert!(message("a {\n}\n").contains("found a block a"));
        assert!(message(&format!("a = {}1", "[".repeat(100_000))).contains("default.pkrvars.hcl"));
        assert!(message(&format!("a = {}1", "!".repeat(100_000))).contains("default.pkrvars.hcl"));
        assert!(message(&"#".repeat(MOST_BYTES + 1)).contains("split it"));
    }

    proptest! {
        #[test]
        fn text_of_any_kind_is_read_or_refused_without_a_panic(text in "(\\PC|=|\\{|\\}|\"|\\$\\{|\n|<<EOT){0,60}") {
            let _ = parse("f.hcl", &text);
        }
    }
}
