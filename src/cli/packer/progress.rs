//! Packer's output as it comes, on standard error; on a terminal with its phase and elapsed time below.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::time::spell;
use crate::hybridcore::packer::Event;
use crate::hybridcore::packer::machine::Loudness;

/// Shows lines and phases.
pub(super) struct Lines {
    bar: Option<ProgressBar>,
    quiet: bool,
}

impl Lines {
    /// A spinner on a terminal; with `quiet` (JSON was asked for) nothing at all.
    pub fn new(quiet: bool) -> Lines {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::no_length();
            let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar
        });
        Lines { bar, quiet }
    }

    /// Shows an event.
    pub fn show(&self, event: &Event) {
        match event {
            Event::Begun { run_id, .. } => self.say(&format!("run {run_id}")),
            Event::Phase { name, phase } => match &self.bar {
                Some(bar) => {
                    bar.enable_steady_tick(Duration::from_millis(120));
                    bar.set_message(format!("{name}: packer {}", phase.name()));
                }
                None => self.say(&format!("{name}: packer {}", phase.name())),
            },
            Event::Said { loudness: Some(Loudness::Error), text, .. } => self.say(&format!("  ! {text}")),
            Event::Said { text, .. } => self.say(&format!("  {text}")),
            Event::Retrying { error, delay_ms, .. } => {
                self.say(&format!("{error}; trying again in {}", spell(*delay_ms)));
            }
            Event::Ended { .. } => self.bar.iter().for_each(ProgressBar::finish_and_clear),
        }
    }

    fn say(&self, line: &str) {
        match &self.bar {
            _ if self.quiet => {}
            // Control characters of a build would repaint the terminal.
            Some(bar) => bar.println(plain(line)),
            None => eprintln!("{}", plain(line)),
        }
    }
}

fn plain(line: &str) -> String {
    line.chars().filter(|c| !c.is_control() || *c == '\t').collect()
}
