//! The width of the terminal, its colours, and how much is shown.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, Ordering};

/// The width where none is known.
const USUAL: usize = 80;
/// Narrower terminals are not served.
const NARROWEST: usize = 40;

static WIDE: AtomicBool = AtomicBool::new(false);
static VERBOSE: AtomicBool = AtomicBool::new(false);

/// Shows lists in full, as wide as they are.
pub fn set_wide(wide: bool) {
    WIDE.store(wide, Ordering::Relaxed);
}

/// Shows the details of results.
pub fn set_verbose(verbose: bool) {
    VERBOSE.store(verbose, Ordering::Relaxed);
}

/// Whether the details of results are shown.
pub fn is_verbose() -> bool {
    VERBOSE.load(Ordering::Relaxed)
}

/// The width of lists: of the terminal, as `COLUMNS` says, or 80. None with `--wide`, and for a pipe where `COLUMNS` is not set.
pub(super) fn width() -> Option<usize> {
    if WIDE.load(Ordering::Relaxed) {
        return None;
    }
    let terminal = console::Term::stdout();
    let of_terminal = terminal.size_checked().map(|(_, columns)| usize::from(columns)).filter(|width| *width > 0);
    let columns = || std::env::var("COLUMNS").ok()?.trim().parse().ok().filter(|width| *width > 0);
    let usual = || terminal.is_term().then_some(USUAL);
    of_terminal.or_else(columns).or_else(usual).map(|width| width.max(NARROWEST))
}

/// Whether a stream shows colours: a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
fn has_colours(is_terminal: bool) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    is_terminal && !refused && !dumb
}

/// A text for standard output: ✓ green and ✗ red where it is a terminal.
pub fn coloured(text: &str) -> String {
    marked(text, has_colours(std::io::stdout().is_terminal()))
}

/// The same for standard error.
pub fn coloured_error(text: &str) -> String {
    marked(text, has_colours(std::io::stderr().is_terminal()))
}

fn marked(text: &str, colours: bool) -> String {
    match colours {
        true => text.replace('✓', "\x1b[32m✓\x1b[0m").replace('✗', "\x1b[31m✗\x1b[0m"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_have_colours_on_terminals_alone() {
        assert_eq!(marked("✓ a ✗ b", false), "✓ a ✗ b");
        assert_eq!(marked("✓ a ✗ b", true), "\x1b[32m✓\x1b[0m a \x1b[31m✗\x1b[0m b");
        assert!(!has_colours(false));
    }
}
