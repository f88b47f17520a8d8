//! The log of commands that work on a workspace: `logs/COMPONENT.log`.

use std::path::Path;

use serde_json::json;
use swoosh_hybridcore::logs::{Logger, Redactor, Rotation};

use crate::output::note;

/// A log in the folder; without one the work goes on. `SWOOSH_LOGS_MAX_BYTES` and `SWOOSH_LOGS_KEEP` say how it rolls over.
pub fn open(folder: &Path, component: &str, redactor: &Redactor) -> Logger {
    let rotation = Rotation::from_environment().unwrap_or_else(|wrong| {
        note(&json!({"log": wrong}), || format!("{wrong}; until then the log rolls over as it does by default"));
        Rotation::default()
    });
    Logger::to_folder(folder, component, rotation, redactor.clone()).unwrap_or_else(|error| {
        note(&json!({"log": error.to_string()}), || {
            format!("{} cannot hold the log ({error}); the work goes on without one", folder.display())
        });
        Logger::silent(component, redactor.clone())
    })
}
