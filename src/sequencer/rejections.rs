//! The last rejections, for `GET /rejections`: bounded in number and in bytes, since a caller chooses what a reason
//! quotes.

use std::collections::VecDeque;

use serde::Serialize;

use crate::types::hlc::Hlc;
use crate::types::names::Transition;
use crate::types::rejection::{Code, Rejection};
use crate::types::text::ProjectName;

/// Rejections that are remembered.
const MOST: usize = 1_000;
/// Bytes that they may take together.
const MOST_BYTES: usize = 1 << 20;
/// Reasons that are remembered of one.
const MOST_REASONS: usize = 16;
/// Characters that are remembered of one reason.
const MOST_CHARS: usize = 500;

/// A rejection that is remembered.
#[derive(Clone, Debug, Serialize)]
pub struct RejectionEntry {
    /// When, by the node's clock.
    pub at: Hlc,
    /// The project.
    pub project: ProjectName,
    /// The proposed transition.
    pub transition: Transition,
    /// Why not.
    pub code: Code,
    /// Why not, in words. Long texts and long lists are cut.
    pub reasons: Vec<String>,
}

/// The last rejections, oldest first.
#[derive(Debug, Default)]
pub(super) struct Rejections {
    entries: VecDeque<RejectionEntry>,
    bytes: usize,
}

impl Rejections {
    /// Remembers one; the oldest go as soon as there are too many, or they take too many bytes.
    pub fn note(&mut self, project: &ProjectName, transition: Transition, rejection: &Rejection, at: Hlc) {
        let (code, reasons) = (rejection.code, cut(&rejection.reasons));
        let entry = RejectionEntry { at, project: project.clone(), transition, code, reasons };
        self.bytes += weight(&entry);
        self.entries.push_back(entry);
        while self.entries.len() > MOST || self.bytes > MOST_BYTES {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= weight(&oldest);
        }
    }

    /// The newest of a project, or of all, newest first.
    pub fn newest(&self, project: Option<&ProjectName>, limit: usize) -> Vec<RejectionEntry> {
        let wanted = self.entries.iter().rev().filter(|entry| project.is_none_or(|project| entry.project == *project));
        wanted.take(limit).cloned().collect()
    }
}

/// Bytes that an entry takes, about.
fn weight(entry: &RejectionEntry) -> usize {
    let texts: usize = entry.reasons.iter().map(|reason| reason.len() + size_of::<String>()).sum();
    size_of::<RejectionEntry>() + entry.project.as_str().len() + texts
}

fn cut(reasons: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = reasons.iter().take(MOST_REASONS).map(|reason| shorten(reason)).collect();
    if let Some(more) = reasons.len().checked_sub(MOST_REASONS).filter(|more| *more > 0) {
        kept.push(format!("and {more} more reasons"));
    }
    kept
}

fn shorten(reason: &str) -> String {
    match reason.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => format!("{}…", &reason[..end]),
        None => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(rejections: &mut Rejections, reasons: Vec<String>) {
        let rejection = Rejection { code: Code::Schema, reasons, guard_outcomes: Vec::new() };
        let project = "default".parse().unwrap();
        rejections.note(&project, Transition::ControlPause, &rejection, Hlc::default());
    }

    /// 150 refused proposals of 240 KB took 48 MiB, since their reasons quoted them.
    #[test]
    fn rejections_take_no_more_than_their_bytes_whatever_their_reasons_quote() {
        let mut rejections = Rejections::default();
        for _ in 0..2_000 {
            note(&mut rejections, vec!["é".repeat(240_000); 40]);
        }
        let held: usize = rejections.entries.iter().map(weight).sum();
        assert_eq!(held, rejections.bytes);
        assert!(held <= MOST_BYTES, "{held}");
        let newest = rejections.newest(None, 1).remove(0);
        assert_eq!(newest.reasons.len(), MOST_REASONS + 1);
        assert_eq!(newest.reasons[MOST_REASONS], "and 24 more reasons");
        assert_eq!(newest.reasons[0].chars().count(), MOST_CHARS + 1);
    }

    #[test]
    fn short_rejections_are_remembered_in_full_up_to_their_number() {
        let mut rejections = Rejections::default();
        (0..1_500).for_each(|n| note(&mut rejections, vec![format!("reason {n}")]));
        assert_eq!(rejections.entries.len(), MOST);
        assert_eq!(rejections.newest(None, 2)[1].reasons, ["reason 1498"]);
        assert!(rejections.newest(Some(&"other".parse().unwrap()), 5).is_empty());
    }
}
