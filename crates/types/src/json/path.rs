//! Paths of values inside a document, for messages: `document.roles.lead.seats`, `votes[2].voter`.

/// The most characters of a key or a text in a message.
const MOST_KEY: usize = 80;
/// The most characters of a path in a message.
const MOST_PATH: usize = 200;

/// A step from a value to one inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Member(String),
    Entry(usize),
}

/// The path of steps that are listed from the innermost value outwards.
pub(crate) fn outwards(steps: &[Step]) -> String {
    let whole = steps.iter().rev().fold(String::new(), |path, step| match step {
        Step::Member(name) => join(&path, name),
        Step::Entry(number) => format!("{path}[{number}]"),
    });
    match whole.char_indices().nth(MOST_PATH) {
        Some((end, _)) => format!("{}…", &whole[..end]),
        None => whole,
    }
}

/// The path of a member.
pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { cut(name) } else { format!("{path}.{}", cut(name)) }
}

/// The beginning of a key or a text, without control characters.
pub(crate) fn cut(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST_KEY).collect()
}
