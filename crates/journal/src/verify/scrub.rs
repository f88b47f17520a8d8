//! Reading everything that is stored, to find damage before a proposal or a restore needs the row. It checks no
//! signature and reduces nothing, so it costs a small part of a verification.

use std::collections::BTreeSet;

use crate::error::ReadError;
use crate::layout::Family;
use crate::store::Scan;
use crate::{BoundKey, Inner, Journal, fingerprint};
use swoosh_types::hash::Hash;
use swoosh_types::record::Record;
use swoosh_types::text::ProjectName;

/// Facts that are remembered as read; many records name the same ones.
const REMEMBERED_FACTS: usize = 65_536;
/// Findings that are kept of one scrub.
const MOST_FINDINGS: usize = 1_024;

/// Damage, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The project; `None` where the table does not tell.
    pub project: Option<ProjectName>,
    pub table: &'static str,
    pub what: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.project {
            Some(project) => write!(f, "project {project}: in the table {}: {}", self.table, self.what),
            None => write!(f, "in the table {}: {}", self.table, self.what),
        }
    }
}

/// Reads the rows of every record, project by project, and then the tables that no record refers to. Asks `goes_on`
/// between any two records. A damaged snapshot that an older one can replace is no finding.
pub fn scrub(journal: &Journal, goes_on: &dyn Fn() -> bool) -> Vec<Finding> {
    let mut scrub = Scrub { journal, goes_on, facts: BTreeSet::new(), findings: Vec::new() };
    let (projects, hidden) = journal.readable_projects();
    if let Some(error) = hidden {
        scrub.note(None, Family::Decisions, &error);
    }
    projects.iter().for_each(|project| scrub.project(project));
    [Family::Outbox, Family::Meta, Family::Snapshots].into_iter().for_each(|family| scrub.table(family));
    scrub.findings
}

struct Scrub<'a> {
    journal: &'a Journal,
    goes_on: &'a dyn Fn() -> bool,
    facts: BTreeSet<Hash>,
    findings: Vec<Finding>,
}

impl Scrub<'_> {
    fn inner(&self) -> &Inner {
        &self.journal.0
    }

    /// Notes damage; an error that may pass is none.
    fn note(&mut self, project: Option<&ProjectName>, family: Family, error: &ReadError) {
        if error.is_damage() && self.findings.len() < MOST_FINDINGS {
            let (project, table) = (project.cloned(), family.name());
            let finding = Finding { project, table, what: error.to_string() };
            // One row may be read for many records.
            if self.findings.last() != Some(&finding) {
                self.findings.push(finding);
            }
        }
    }

    fn project(&mut self, project: &ProjectName) {
        let from = self.journal.first_index();
        for index in self.journal.project_indexes(project, from) {
            if !(self.goes_on)() {
                return;
            }
            match index {
                Ok(index) => self.record(project, index),
                Err(error) => self.note(Some(project), Family::Decisions, &error),
            }
        }
        if let Err(error) = self.journal.latest_head(project).map_err(|error| error.to_string()) {
            let known = self.findings.iter().any(|finding| finding.project.as_ref() == Some(project));
            if !known {
                let (project, table) = (Some(project.clone()), Family::Wal.name());
                self.findings.push(Finding { project, table, what: error });
            }
        }
    }

    fn record(&mut self, project: &ProjectName, index: u64) {
        let record = match self.inner().proven_record(index) {
            Ok((record, _)) if record.project == *project => record,
            Ok((record, _)) => {
                let family = Family::Decisions;
                let what = format!("record {index} is listed, and is of project {}", record.project);
                return self.findings.push(Finding { project: Some(project.clone()), table: family.name(), what });
            }
            // Pruned meanwhile.
            Err(ReadError::Pruned { .. }) => return,
            Err(error) => return self.note(Some(project), Family::Wal, &error),
        };
        if let Err(error) = self.journal.decision(project, index) {
            self.note(Some(project), Family::Decisions, &error);
        }
        self.key(project, &record);
        self.object(Some(project), index, record.inputs_hash);
        for fact in record.facts() {
            if self.facts.len() >= REMEMBERED_FACTS {
                self.facts.clear();
            }
            if self.facts.insert(fact) {
                self.object(None, index, fact);
            }
        }
    }

    fn key(&mut self, project: &ProjectName, record: &Record) {
        match self.journal.bound_key(project, &record.idem_key) {
            Ok(Some(bound)) => self.receipt(project, record, bound),
            Ok(None) => self.unbound(project, record),
            Err(error) => self.note(Some(project), Family::Idem, &error),
        }
    }

    /// The key must be bound to its own record, which must give the receipt that was answered.
    fn receipt(&mut self, project: &ProjectName, record: &Record, bound: BoundKey) {
        let expected = fingerprint(record.transition, &record.inputs_hash, &record.signer);
        if (bound.index, bound.fingerprint) != (record.index, expected) {
            let what = format!("the idempotency key of record {} is bound to something else", record.index);
            return self.findings.push(Finding { project: Some(project.clone()), table: Family::Idem.name(), what });
        }
        if let Err(error) = self.journal.receipt(project, &record.idem_key, bound) {
            self.note(Some(project), Family::Idem, &error);
        }
    }

    /// Keys below the floor of their project are forgotten. While the floor cannot be read, that is the damage.
    fn unbound(&mut self, project: &ProjectName, record: &Record) {
        match self.journal.key_floor(project) {
            Ok(floor) if record.idem_key.beat < floor => {}
            Ok(_) => {
                let what = format!("the idempotency key of record {} is not bound", record.index);
                self.findings.push(Finding { project: Some(project.clone()), table: Family::Idem.name(), what });
            }
            Err(error) => self.note(Some(project), Family::Meta, &error),
        }
    }

    fn object(&mut self, project: Option<&ProjectName>, index: u64, hash: Hash) {
        match self.journal.object(&hash) {
            Ok(Some(_)) => {}
            Ok(None) => self.note(project, Family::Objects, &ReadError::InputsMissing { index, hash }),
            Err(error) => self.note(project, Family::Objects, &error),
        }
    }

    /// Walks a table to its end.
    fn table(&mut self, family: Family) {
        let found = {
            let inner = self.inner();
            let mut rows = inner.db.walk(inner.family(family), Scan { once: true, ..Scan::default() });
            rows.seek_to_first();
            loop {
                match rows.item() {
                    Ok(Some(_)) if (self.goes_on)() => rows.next(),
                    Ok(_) => break None,
                    Err(error) => break Some(ReadError::Storage(error)),
                }
            }
        };
        if let Some(error) = found {
            self.note(None, family, &error);
        }
    }
}
