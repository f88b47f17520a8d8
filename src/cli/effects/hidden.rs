//! Projects whose open effects a node cannot list, because their rows are damaged.

use serde_json::{Value, json};

use crate::cli::connect::Node;
use crate::client::{Health, ReadError};

/// A project, or a part of the list, that cannot be read.
pub(super) struct Hidden {
    /// Absent if it is not known which projects are missing.
    project: Option<String>,
    reason: String,
}

impl Hidden {
    pub fn text(&self) -> String {
        match &self.project {
            Some(project) => format!("{project}: its effects cannot be read: {}", self.reason),
            None => format!("effects may be missing: {}", self.reason),
        }
    }

    pub fn document(&self) -> Value {
        json!({"project": self.project, "reason": self.reason})
    }
}

/// What a list of all effects leaves out. The node's health says whether there is any damage at all; a caller who may not read that asks
/// for the projects.
pub(super) fn hidden(node: &Node) -> anyhow::Result<Vec<Hidden>> {
    let health: Result<Health, ReadError> = node.wait(node.client().health());
    if health.is_ok_and(|health| health.projects_damaged + health.tables_damaged == 0) {
        return Ok(Vec::new());
    }
    let list = node.ask(node.client().project_list())?;
    let damaged = list.damaged.into_iter();
    let projects = damaged.map(|row| Hidden { project: Some(row.project.to_string()), reason: row.reason });
    let unknown = list.incomplete.into_iter().map(|reason| Hidden { project: None, reason });
    Ok(projects.chain(unknown).collect())
}
