//! Names of keys in the lists of a node: its own, and those of its projects' identities.

use serde_json::json;

use super::connect::Node;
use super::output::{self, Output, has_room, name_keys};
use super::state;
use crate::client::ProjectView;
use crate::types::rejection::Code;
use crate::types::text::ProjectName;

/// Likeness from which a project may be what a slip meant.
const NEAR: f64 = 0.8;

/// What is said of a project that has no record: its name may be a slip.
pub(super) fn absence(node: &Node, project: &ProjectName) -> String {
    let none = format!("there is no project {project} yet");
    let known = node.wait(node.client().projects()).unwrap_or_default();
    let likeness = |view: &ProjectView| strsim::jaro_winkler(view.project.as_str(), project.as_str());
    match known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))) {
        None => none,
        Some(nearest) if likeness(nearest) > NEAR => format!("{none}; did you mean {}?", nearest.project),
        Some(_) => format!("{none}; `swoosh projects` lists those that are there"),
    }
}

/// Notes that a project has no record, for a command that shows something of such a project too.
pub(super) fn note_absence(node: &Node, project: &ProjectName) {
    let read = node.wait(node.client().state(project, None));
    if read.is_err_and(|error| error.problem().is_some_and(|problem| problem.code == Code::UnknownProject)) {
        output::note(&json!({"no_project": project}), || format!("note: {}", absence(node, project)));
    }
}

/// Projects whose identities are read for their names.
const MOST_PROJECTS: usize = 20;

/// Names the keys of a project's identities, and the node's. A name that cannot be read leaves its key.
pub(super) fn of_project(output: Output, node: &Node, project: &ProjectName) {
    if is_wanted(output) {
        of_node(node);
        of_identities(node, project);
    }
}

/// The same of the first projects of a node.
pub(super) fn of_projects(output: Output, node: &Node) {
    if !is_wanted(output) {
        return;
    }
    of_node(node);
    let projects = node.ask(node.client().projects()).unwrap_or_default();
    projects.iter().take(MOST_PROJECTS).for_each(|view| of_identities(node, &view.project));
}

/// Only lists that shorten keys show their names.
fn is_wanted(output: Output) -> bool {
    !output.is_json() && !has_room(usize::MAX)
}

fn of_node(node: &Node) {
    if let Ok(health) = node.ask(node.client().health()) {
        name_keys([(health.node, "node".to_owned())]);
    }
}

fn of_identities(node: &Node, project: &ProjectName) {
    let view = node.ask(node.client().state(project, None));
    if let Ok(state) = view.and_then(|view| state::full(&view)) {
        state::name_identities(&state);
    }
}
