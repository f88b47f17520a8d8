//! Flap damping: the state in force from a server's last probes. Pure.

use std::collections::VecDeque;

use swoosh_types::text::{ServerName, Version};

/// A server's name and version, as it reports them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    pub server: ServerName,
    pub version: Version,
}

/// How many probes it takes. `up + down > window`, or a server that fails every other time would flap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DampingRules {
    /// How many of the last probes count, at least 1.
    pub window: usize,
    /// How many of them must agree before the server counts as up.
    pub up: usize,
    /// How many of them must fail or differ before it counts as down.
    pub down: usize,
}

/// The last probes of one server, and what counts.
///
/// A server that counts as up does so until `down` of its last `window` probes failed or found something else;
/// then it counts as down until `up` of them agree on what it is. One that never failed counts at its first answer.
#[derive(Clone, Debug)]
pub struct Damping {
    rules: DampingRules,
    last: VecDeque<Option<Identity>>,
    counts: Option<Identity>,
    /// Whether it failed or changed at any time, so that it must prove itself.
    suspect: bool,
}

impl Damping {
    /// A server that was not probed yet.
    pub fn new(rules: DampingRules) -> Damping {
        Damping { rules, last: VecDeque::new(), counts: None, suspect: false }
    }

    /// Takes a probe's outcome.
    pub fn take(&mut self, seen: Option<Identity>) {
        self.suspect |= seen.is_none();
        if self.last.len() >= self.rules.window {
            self.last.pop_front();
        }
        self.last.push_back(seen);
        let Some(counts) = &self.counts else {
            self.counts = self.proven().cloned();
            return;
        };
        let against = self.last.iter().filter(|seen| seen.as_ref() != Some(counts)).count();
        if against >= self.rules.down {
            self.suspect = true;
            self.counts = self.proven().cloned();
        }
    }

    /// The identity in force; `None` if the server counts as down.
    pub fn counts(&self) -> Option<&Identity> {
        self.counts.as_ref()
    }

    /// Whether the last probes all agree with what counts, so that there is no hurry with the next.
    pub fn is_settled(&self) -> bool {
        self.last.iter().all(|seen| seen.as_ref() == self.counts.as_ref())
    }

    /// How many of the last probes agree with the newest answer, and how many must.
    pub fn progress(&self) -> (usize, usize) {
        let newest = self.last.iter().rev().flatten().next();
        let agree = self.last.iter().filter(|seen| newest.is_some() && seen.as_ref() == newest).count();
        (agree, if self.suspect { self.rules.up } else { 1 })
    }

    /// The identity that enough of the last probes agree on.
    fn proven(&self) -> Option<&Identity> {
        let newest = self.last.back()?.as_ref()?;
        let (agree, needed) = self.progress();
        (agree >= needed).then_some(newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: DampingRules = DampingRules { window: 5, up: 4, down: 3 };

    /// `.` is a failure, a letter an identity. Gives what counts after each probe.
    fn run(probes: &str) -> String {
        let mut damping = Damping::new(RULES);
        let mut counted = String::new();
        for probe in probes.chars() {
            let identity =
                |probe: char| Identity { server: "s".parse().unwrap(), version: probe.to_string().parse().unwrap() };
            damping.take((probe != '.').then(|| identity(probe)));
            counted.push_str(damping.counts().map_or(".", |identity| identity.version.as_str()));
        }
        counted
    }

    #[test]
    fn a_server_that_never_failed_counts_at_its_first_answer() {
        assert_eq!(run("aaa"), "aaa");
        assert_eq!(run("...."), "....");
    }

    #[test]
    fn single_failures_do_not_matter_and_three_of_five_do() {
        assert_eq!(run("aaaa.aaaa.aaaa"), "aaaaaaaaaaaaaa");
        assert_eq!(run("aaaa.a.aaaa"), "aaaaaaaaaaa");
        assert_eq!(run("aaaa..."), "aaaaaa.");
    }

    #[test]
    fn a_server_that_went_away_counts_again_after_four_of_five() {
        assert_eq!(run("aaaaa.....aaa"), "aaaaaaa......");
        assert_eq!(run("aaaaa.....aaaa"), "aaaaaaa......a");
        assert_eq!(run("aaaaa.....aa.aa"), "aaaaaaa.......a");
    }

    #[test]
    fn whatever_alternates_stays_down() {
        let flapping = run(&"a.".repeat(50));
        assert_eq!(flapping.matches("a.").count(), 1, "it went down once: {flapping}");
        let two_faces = run(&"ab".repeat(50));
        assert!(two_faces.starts_with("aaaaa.") && two_faces.ends_with("..."), "{two_faces}");
    }

    #[test]
    fn another_version_counts_once_it_stays() {
        assert_eq!(run("aaaaabbbbb"), "aaaaaaa.bb");
    }

    #[test]
    fn a_settled_server_is_in_no_hurry() {
        let mut damping = Damping::new(RULES);
        damping.take(None);
        assert!(damping.is_settled());
        let identity = Identity { server: "s".parse().unwrap(), version: "1".parse().unwrap() };
        (0..3).for_each(|_| damping.take(Some(identity.clone())));
        assert!(!damping.is_settled());
        assert_eq!(damping.progress(), (3, 4));
        (0..2).for_each(|_| damping.take(Some(identity.clone())));
        assert!(damping.is_settled() && damping.counts() == Some(&identity));
    }
}
