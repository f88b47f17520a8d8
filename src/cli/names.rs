//! Names of keys in the lists of a node: its own, and those of its projects' identities.

use super::connect::Node;
use super::output::{Output, has_room, name_keys};
use super::state;
use crate::types::text::ProjectName;

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
