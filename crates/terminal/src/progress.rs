//! Progress of long work on standard error: bars on a terminal, plain lines elsewhere, nothing of either in
//! standard output.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use swoosh_hybridcore::sources::Event;
use swoosh_hybridcore::sources::git::Progress;
use swoosh_hybridcore::sources::session::without_name;

/// Says on standard error which record of how many a long check has reached; silent where standard error is no terminal.
pub fn progress(total: u64) -> impl FnMut(u64) {
    let shown = std::io::stderr().is_terminal();
    move |index| {
        if shown && index > 0 {
            eprint!("\r{}", record_of(index, total));
        }
    }
}

/// `record 50 of 200 (25 %)`, as wide at every index.
fn record_of(index: u64, total: u64) -> String {
    let width = total.to_string().len();
    match index.saturating_mul(100).checked_div(total) {
        Some(share) => format!("record {index:>width$} of {total} ({:>3} %) ", share.min(100)),
        None => format!("record {index} "),
    }
}

/// Ends the line that [`progress`] wrote.
pub fn progress_done() {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}

/// Shows what happens to several things at once.
pub struct Bars {
    shown: Option<MultiProgress>,
    quiet: bool,
    by_name: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Bars {
    /// Bars on a terminal; with `quiet` (JSON was asked for) not even lines elsewhere.
    pub fn new(quiet: bool) -> Bars {
        let shown = std::io::stderr().is_terminal().then(MultiProgress::new);
        Bars { shown, quiet, by_name: Mutex::default() }
    }

    pub fn show(&self, event: &Event) {
        match event {
            Event::Begun { name } => self.bar(name.as_str(), |bar| bar.set_message("begun")),
            Event::Progress { name, progress } => self.bar(name.as_str(), |bar| advance(bar, progress)),
            Event::Retrying { name, error, delay_ms } => {
                self.say(name.as_str(), &format!("{error}; trying again in {}", super::time::spell(*delay_ms)));
            }
            Event::Noted { name, text } => self.say(name.as_str(), text),
            Event::Ended { name, text, .. } => {
                let text = without_name(name.as_str(), text);
                self.bar(name.as_str(), |bar| bar.finish_with_message(short(text)));
            }
        }
    }

    fn say(&self, name: &str, text: &str) {
        let text = without_name(name, text);
        match &self.shown {
            Some(bars) => drop(bars.println(format!("{name}: {text}"))),
            None if self.quiet => {}
            None => eprintln!("{name}: {text}"),
        }
    }

    fn bar(&self, name: &str, show: impl FnOnce(&ProgressBar)) {
        let Some(bars) = &self.shown else { return };
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = by_name.entry(name.to_owned()).or_insert_with(|| {
            let bar = bars.add(ProgressBar::no_length()).with_prefix(name.to_owned());
            bar.set_style(style("{spinner} {prefix:24} {msg}"));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        show(bar);
    }
}

fn advance(bar: &ProgressBar, progress: &Progress) {
    if progress.total > 0 {
        bar.set_style(style("{spinner} {prefix:24} {bar:30} {percent:>3} % {msg}"));
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    }
    let bytes = if progress.bytes > 0 { format!(", {} KiB", progress.bytes >> 10) } else { String::new() };
    bar.set_message(format!("{}{bytes}", progress.phase));
}

fn style(template: &str) -> ProgressStyle {
    // A template that is no good would only look worse.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn short(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_has_a_total() {
        assert_eq!(record_of(50, 200), "record  50 of 200 ( 25 %) ");
        assert_eq!(record_of(7, 0), "record 7 ");
    }
}
