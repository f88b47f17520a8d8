//! The damage that was found in the journal since the start: which projects and tables, and how.
//!
//! Damage stays local. A project whose head cannot be loaded is refused, the others go on; a damaged row that no
//! proposal reads refuses nothing. Both are shown until the head loads again, or the process ends: the journal is put
//! right while the node is down.

use std::collections::BTreeMap;

use super::handle::{Handle, Shared};
use swoosh_journal::{FoldError, ReadError};
use swoosh_types::rejection::{Code, Rejection};
use swoosh_types::text::ProjectName;

/// Damaged projects that are listed at most.
const MOST_PROJECTS: usize = 1_024;

/// The damage that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Damaged projects and the reason; at most 1,024.
    pub projects: BTreeMap<ProjectName, DamagedProject>,
    /// Damaged tables where the project is not known, and the reason.
    pub tables: BTreeMap<&'static str, String>,
}

/// How a project is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedProject {
    /// The error of the read that found it.
    pub reason: String,
    /// Whether its head cannot be loaded, so that its proposals are refused.
    pub refused: bool,
}

impl Damage {
    /// Whether nothing is known to be damaged.
    pub fn is_empty(&self) -> bool {
        self.projects.is_empty() && self.tables.is_empty()
    }

    /// One sentence for an operator; `None` without damage.
    pub fn summary(&self) -> Option<String> {
        if self.is_empty() {
            return None;
        }
        let named: Vec<&str> = self.projects.keys().take(5).map(ProjectName::as_str).collect();
        let more = self.projects.len() - named.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let projects = (!named.is_empty()).then(|| format!("damaged projects: {}{more}", named.join(", ")));
        let tables: Vec<&str> = self.tables.keys().copied().collect();
        let tables = (!tables.is_empty()).then(|| format!("damaged tables: {}", tables.join(", ")));
        let said: Vec<String> = projects.into_iter().chain(tables).collect();
        Some(format!("the journal is damaged ({}); see {RUNBOOK}", said.join("; ")))
    }

    /// Adds a project; whether it is new.
    fn add(&mut self, project: &ProjectName, reason: &str, refused: bool) -> bool {
        if let Some(known) = self.projects.get_mut(project) {
            known.refused |= refused;
            return false;
        }
        if self.projects.len() < MOST_PROJECTS {
            let damaged = DamagedProject { reason: reason.to_owned(), refused };
            self.projects.insert(project.clone(), damaged);
        }
        true
    }
}

/// The runbook for a damaged journal.
const RUNBOOK: &str = "runbooks/corrupt-journal.md";

impl Shared {
    /// The rejection of a proposal whose project cannot be read. Damage is listed; other errors may pass.
    pub fn unreadable(&self, project: &ProjectName, error: &FoldError) -> Rejection {
        let reason = format!("project {project}: {error}");
        if !error.is_damage() {
            return Rejection::new(Code::NotDurable, reason);
        }
        self.damaged_head(project, error);
        Rejection::new(Code::ProjectDamaged, format!("{reason}; nothing was skipped or changed, see {RUNBOOK}"))
    }

    /// The rejection of a proposal whose key cannot be looked up: it may be bound, so it is not judged.
    pub fn unreadable_key(&self, project: &ProjectName, error: &ReadError) -> Rejection {
        let reason = format!("project {project}: {error}");
        self.damaged_read(Some(project), error);
        match error.is_damage() {
            true => Rejection::new(Code::ProjectDamaged, format!("{reason}; see {RUNBOOK}")),
            false => Rejection::new(Code::NotDurable, reason),
        }
    }

    /// Lists a project whose head cannot be loaded.
    pub fn damaged_head(&self, project: &ProjectName, error: &FoldError) {
        if error.is_damage() {
            self.damaged_project(project, &error.to_string(), true);
        }
    }

    /// Lists a project, and logs it once.
    pub fn damaged_project(&self, project: &ProjectName, reason: &str, refused: bool) {
        let is_new = self.damage_mut().add(project, reason, refused);
        if is_new {
            self.ports.observer.project_damaged(project, reason);
        }
    }

    /// Lists a table, and logs it once.
    pub fn damaged_table(&self, table: &'static str, reason: &str) {
        let is_new = self.damage_mut().tables.insert(table, reason.to_owned()).is_none();
        if is_new {
            self.ports.observer.table_damaged(table, reason);
        }
    }

    /// Lists what a failed read found, under its project where that is known.
    pub fn damaged_read(&self, project: Option<&ProjectName>, error: &ReadError) {
        match project {
            _ if !error.is_damage() => {}
            Some(project) => self.damaged_project(project, &error.to_string(), false),
            None => self.damaged_table("journal", &error.to_string()),
        }
    }

    /// The head of a project was loaded: an earlier failure to load it has passed.
    pub fn head_loads(&self, project: &ProjectName) {
        let mut damage = self.damage_mut();
        if damage.projects.get(project).is_some_and(|damaged| damaged.refused) {
            damage.projects.remove(project);
        }
    }
}

impl Handle {
    /// The damage to the journal that is known.
    pub fn damage(&self) -> Damage {
        self.shared.damage_mut().clone()
    }

    /// Forgets damage that refuses no project: every row was read just now, and what is damaged is listed again.
    pub fn forget_passed_damage(&self) {
        let mut damage = self.shared.damage_mut();
        damage.projects.retain(|_, damaged| damaged.refused);
        damage.tables.clear();
    }

    /// Lists a project that was found damaged outside of the pipeline.
    pub fn found_damaged(&self, project: &ProjectName, reason: &str) {
        self.shared.damaged_project(project, reason, false);
    }

    /// Lists a table with damage of no known project, found outside of the pipeline.
    pub fn found_damaged_table(&self, table: &'static str, reason: &str) {
        self.shared.damaged_table(table, reason);
    }

    /// Lists what a failed read found, under its project where that is known. Errors that may pass are not listed.
    pub fn read_failed(&self, project: Option<&ProjectName>, error: &ReadError) {
        self.shared.damaged_read(project, error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_summed_up_in_one_sentence_and_each_project_counts_once() {
        let mut damage = Damage::default();
        assert_eq!(damage.summary(), None);
        for name in ["a", "b", "c", "d", "e", "f", "g", "a"] {
            damage.add(&name.parse().unwrap(), "record 1 is missing", false);
        }
        damage.tables.insert("outbox", "it cannot be read".into());
        let said = damage.summary().unwrap();
        assert!(said.contains("damaged projects: a, b, c, d, e and 2 more; damaged tables: outbox"), "{said}");
        assert!(damage.add(&"h".parse().unwrap(), "record 2 is missing", true));
        assert!(!damage.add(&"a".parse().unwrap(), "record 1 is missing", true));
        assert!(damage.projects.values().filter(|project| project.refused).count() == 2);
    }
}
