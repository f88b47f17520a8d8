//! The last rejections, for `GET /rejections`: bounded in number and in bytes, since a caller chooses what a reason
//! quotes.

use std::collections::VecDeque;

use serde::Serialize;

use swoosh_types::hlc::Hlc;
use swoosh_types::names::{GuardName, Transition};
use swoosh_types::rejection::{Code, Rejection};
use swoosh_types::text::ProjectName;
use swoosh_types::words::count;

/// Rejections of known signers that are remembered, and bytes that they may take together.
const KNOWN: Bound = Bound { entries: 1_000, bytes: 1 << 20 };
/// The same of unknown or revoked signers. Anybody can make such keys, so they have a bound of their own.
const UNKNOWN: Bound = Bound { entries: 100, bytes: 64 << 10 };
/// The same of requests that were refused before their signatures were found good. Anybody can send those.
const UNVERIFIED: Bound = Bound { entries: 100, bytes: 64 << 10 };
/// Unknown signers and unverified requests take this part of a page together while there are others.
const STRANGERS_PART: usize = 4;
/// Reasons that are remembered of one.
const MOST_REASONS: usize = 16;
/// Characters that are remembered of one reason.
const MOST_CHARS: usize = 500;

/// A rejection that is remembered.
#[derive(Clone, Debug, Serialize)]
pub struct RejectionEntry {
    /// When, by the node's clock.
    pub at: Hlc,
    /// The project; none of a request whose signature does not vouch for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// The proposed transition; none where there is no project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transition: Option<Transition>,
    pub code: Code,
    /// The guard that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardName>,
    /// Why not, in words. Long texts and long lists are cut.
    pub reasons: Vec<String>,
}

/// How much is remembered.
#[derive(Clone, Copy, Debug)]
struct Bound {
    entries: usize,
    bytes: usize,
}

/// The last rejections.
#[derive(Debug, Default)]
pub(super) struct Rejections {
    known: Last,
    unknown: Last,
    unverified: Last,
    noted: u64,
}

/// The last rejections of one kind, oldest first, each with its number among all.
#[derive(Debug, Default)]
struct Last {
    entries: VecDeque<(u64, RejectionEntry)>,
    bytes: usize,
}

impl Rejections {
    /// Remembers one.
    pub fn note(&mut self, project: &ProjectName, transition: Transition, rejection: &Rejection, at: Hlc) {
        let about = Some((project.clone(), transition));
        let entry = RejectionEntry::new(about, rejection.guard(), rejection, at);
        self.noted += 1;
        match rejection.code {
            Code::IdentityUnknown | Code::IdentityRevoked => self.unknown.note(self.noted, entry, UNKNOWN),
            _ => self.known.note(self.noted, entry, KNOWN),
        }
    }

    /// Remembers a request that was refused before its signature was found good. Nothing that it says of a project is kept.
    pub fn note_unverified(&mut self, guard: GuardName, rejection: &Rejection, at: Hlc) {
        self.noted += 1;
        self.unverified.note(self.noted, RejectionEntry::new(None, Some(guard), rejection, at), UNVERIFIED);
    }

    /// The newest of a project, or of all, newest first. Unknown signers and unverified requests leave three quarters of the page to
    /// others, and half of their part to each other.
    pub fn newest(&self, project: Option<&ProjectName>, limit: usize) -> Vec<RejectionEntry> {
        let known = self.known.newest(project, limit);
        let most = (limit / STRANGERS_PART).max(limit - known.len());
        let mut unknown = self.unknown.newest(project, most);
        let unverified = self.unverified.newest(project, most.div_ceil(2).max(most - unknown.len()));
        unknown.truncate(most - unverified.len());
        let mut page = [known, unknown, unverified].concat();
        page.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        // The oldest known ones give way, so that all kinds are seen.
        page.truncate(limit);
        page.into_iter().map(|(_, entry)| entry).collect()
    }
}

impl RejectionEntry {
    fn new(
        about: Option<(ProjectName, Transition)>,
        guard: Option<GuardName>,
        rejection: &Rejection,
        at: Hlc,
    ) -> RejectionEntry {
        let (project, transition) = about.unzip();
        RejectionEntry { at, project, transition, code: rejection.code, guard, reasons: cut(&rejection.reasons) }
    }
}

impl Last {
    /// Remembers one; the oldest go as soon as there are too many, or they take too many bytes.
    fn note(&mut self, number: u64, entry: RejectionEntry, bound: Bound) {
        self.bytes += weight(&entry);
        self.entries.push_back((number, entry));
        while self.entries.len() > bound.entries || self.bytes > bound.bytes {
            let Some((_, oldest)) = self.entries.pop_front() else { break };
            self.bytes -= weight(&oldest);
        }
    }

    fn newest(&self, project: Option<&ProjectName>, limit: usize) -> Vec<(u64, RejectionEntry)> {
        let of = |entry: &RejectionEntry| project.is_none_or(|project| entry.project.as_ref() == Some(project));
        self.entries.iter().rev().filter(|(_, entry)| of(entry)).take(limit).cloned().collect()
    }
}

/// Bytes that an entry takes, about.
fn weight(entry: &RejectionEntry) -> usize {
    let texts: usize = entry.reasons.iter().map(|reason| reason.len() + size_of::<String>()).sum();
    size_of::<RejectionEntry>() + entry.project.as_ref().map_or(0, |project| project.as_str().len()) + texts
}

fn cut(reasons: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = reasons.iter().take(MOST_REASONS).map(|reason| shorten(reason)).collect();
    if let Some(more) = reasons.len().checked_sub(MOST_REASONS).filter(|more| *more > 0) {
        kept.push(format!("and {}", count(more as u64, "more reason")));
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
        note_as(rejections, Code::Schema, reasons);
    }

    fn note_as(rejections: &mut Rejections, code: Code, reasons: Vec<String>) {
        let rejection = Rejection { code, reasons, guard_outcomes: Vec::new() };
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
        let held: usize = rejections.known.entries.iter().map(|(_, entry)| weight(entry)).sum();
        assert_eq!(held, rejections.known.bytes);
        assert!(held <= KNOWN.bytes, "{held}");
        let newest = rejections.newest(None, 1).remove(0);
        assert_eq!(newest.reasons.len(), MOST_REASONS + 1);
        assert_eq!(newest.reasons[MOST_REASONS], "and 24 more reasons");
        assert_eq!(newest.reasons[0].chars().count(), MOST_CHARS + 1);
    }

    #[test]
    fn short_rejections_are_remembered_in_full_up_to_their_number() {
        let mut rejections = Rejections::default();
        (0..1_500).for_each(|n| note(&mut rejections, vec![format!("reason {n}")]));
        assert_eq!(rejections.known.entries.len(), KNOWN.entries);
        assert_eq!(rejections.newest(None, 2)[1].reasons, ["reason 1498"]);
        assert!(rejections.newest(Some(&"other".parse().unwrap()), 5).is_empty());
    }

    /// 1,200 proposals of made-up keys pushed everything else out of the list.
    #[test]
    fn rejections_of_unknown_signers_push_no_other_out() {
        let mut rejections = Rejections::default();
        (0..5).for_each(|n| note(&mut rejections, vec![format!("known {n}")]));
        (0..1_200).for_each(|n| note_as(&mut rejections, Code::IdentityUnknown, vec![format!("junk {n}")]));
        note_as(&mut rejections, Code::IdentityRevoked, vec!["barred".to_owned()]);
        assert_eq!(rejections.unknown.entries.len(), UNKNOWN.entries);
        for limit in [20, 100, 1_000] {
            let page = rejections.newest(None, limit);
            assert_eq!(page.iter().filter(|entry| entry.code == Code::Schema).count(), 5, "{limit}");
            assert_eq!(page[0].reasons, ["barred"], "{limit}");
            assert_eq!(page.len(), limit.min(105), "{limit}");
        }
    }

    /// Requests with bad signatures were counted and listed nowhere. 100,000 of them push out neither known nor unknown signers.
    #[test]
    fn unverified_requests_are_listed_apart_and_push_no_other_out() {
        let mut rejections = Rejections::default();
        (0..5).for_each(|n| note(&mut rejections, vec![format!("known {n}")]));
        (0..5).for_each(|n| note_as(&mut rejections, Code::IdentityUnknown, vec![format!("stranger {n}")]));
        for n in 0..100_000 {
            let rejection = Rejection::new(Code::SignatureInvalid, format!("{n} {}", "é".repeat(400)));
            rejections.note_unverified(GuardName::Signature, &rejection, Hlc::default());
        }
        assert!(rejections.unverified.bytes <= UNVERIFIED.bytes && rejections.unverified.entries.len() > 50);
        let codes = |limit| rejections.newest(None, limit).into_iter().map(|entry| entry.code).collect::<Vec<_>>();
        for limit in [20, 100, 1_000] {
            let count = |wanted| codes(limit).iter().filter(|code| **code == wanted).count();
            assert_eq!((count(Code::Schema), count(Code::IdentityUnknown)), (5, 5), "{limit}");
            assert!(count(Code::SignatureInvalid) >= 2 && codes(limit).len() <= limit, "{limit}");
        }
        assert_eq!(codes(4)[0], Code::SignatureInvalid);
        let project = "default".parse().unwrap();
        let of_project = rejections.newest(Some(&project), 1_000);
        assert_eq!(of_project.len(), 10, "an unverified request belongs to no project");
        assert!(of_project.iter().all(|entry| entry.project.as_ref() == Some(&project)));
    }
}
