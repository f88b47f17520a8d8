//! Builds with a packer that is a script: its output is recorded, and its actions are known.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use super::status::BuildCondition;
use super::*;
use crate::leave::{Cancellable, Leave};
use crate::logs::{Logger, Redactor};
use crate::retry::{RetryPolicy, Waiter};
use crate::sources::Workspace;
use crate::state::catalogue;
use swoosh_types::inputs::AssetHealth;
use swoosh_types::secret::Secret;

mod builds;
mod damage;

/// A workspace with a template, and a packer that runs a given script.
struct Desk {
    folder: tempfile::TempDir,
    leave: Cancellable,
    waits: Mutex<Vec<Duration>>,
    events: Mutex<Vec<Event>>,
}

impl Waiter for Desk {
    fn wait(&self, delay: Duration, _: &dyn Leave) {
        self.waits.lock().unwrap().push(delay);
    }
}

/// A build that succeeds: one file, reported by packer and by its manifest.
const GOOD: &str = r#"printf 'hello' > "$PKR_VAR_swoosh_output/web.txt"
cat > "$PKR_VAR_swoosh_manifest" <<END
{"builds": [{"name": "web", "builder_type": "file", "files": [{"name": "$PKR_VAR_swoosh_output/web.txt", "size": 5}],
 "artifact_id": "File", "packer_run_uuid": "u", "custom_data": {"run": "$PKR_VAR_swoosh_run"}}], "last_run_uuid": "u"}
END
echo "1,file.web,artifact,0,builder-id,packer.file"
echo "1,file.web,artifact,0,id,File"
echo "1,file.web,artifact,0,file,0,$PKR_VAR_swoosh_output/web.txt"
echo "1,file.web,artifact,0,end""#;

impl Desk {
    /// A packer 1.6.6 whose build does `script`.
    fn new(script: &str) -> Desk {
        let desk = Desk {
            folder: tempfile::tempdir().unwrap(),
            leave: Cancellable::default(),
            waits: Mutex::default(),
            events: Mutex::default(),
        };
        desk.write("templates/web.pkr.hcl", "build { sources = [\"source.file.web\"] }");
        desk.packer("1.6.6", script);
        desk
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Replaces packer. Every call is noted beside it.
    fn packer(&self, version: &str, build: &str) {
        let calls = self.calls_file();
        let text = format!(
            "#!/bin/sh\necho \"$*\" >> {}\ncase \"$1\" in\nversion) echo '1,,version,{version}' ;;\nbuild)\n{build}\n;;\nesac\n",
            calls.display()
        );
        let path = self.folder.path().join("fake-packer");
        crate::process::tests::write_program(&path, &text);
    }

    fn calls_file(&self) -> PathBuf {
        self.folder.path().join("calls")
    }

    /// How often packer was called with this command.
    fn calls(&self, command: &str) -> usize {
        let text = fs::read_to_string(self.calls_file()).unwrap_or_default();
        text.lines().filter(|line| line.split(' ').next() == Some(command)).count()
    }

    fn with<T>(&self, work: impl FnOnce(&Session<'_>) -> T) -> T {
        let tell = |event: &Event| self.events.lock().unwrap().push(event.clone());
        let mut tool = Tool { program: self.folder.path().join("fake-packer").into(), ..Tool::default() };
        tool.retry = RetryPolicy { attempts: 3, first_delay_ms: 100, max_delay_ms: 1000 };
        work(&Session {
            workspace: Workspace::new(self.root()),
            tool,
            leave: &self.leave,
            events: &tell,
            log: Logger::silent("packer", Redactor::default()),
            operator: "olga".to_owned(),
            command_id: "cmd-1".to_owned(),
            patience: Duration::from_secs(60),
            waiter: self,
            now_ms: crate::logs::now_ms,
        })
    }

    fn build(&self) -> RunReport {
        self.build_as(&request())
    }

    fn build_as(&self, request: &BuildRequest) -> RunReport {
        self.with(|session| build(session, request)).unwrap()
    }

    fn condition(&self) -> BuildCondition {
        self.with(|session| overview(session, None)).unwrap().builds[0].condition
    }
}

fn name() -> swoosh_types::text::Name {
    "web".parse().unwrap()
}

fn request() -> BuildRequest {
    BuildRequest::new(name(), "templates/web.pkr.hcl")
}

fn class(report: &RunReport) -> Option<FailureClass> {
    report.failure.as_ref().map(|failure| failure.class)
}

/// Content of all files below a folder.
fn everything(folder: &Path) -> String {
    let mut text = String::new();
    for entry in digest::walk(folder, Path::new("/"), &Cancellable::default()).unwrap() {
        if entry.kind == digest::EntryKind::File {
            text.push_str(&String::from_utf8_lossy(&fs::read(folder.join(entry.path)).unwrap()));
        }
    }
    text
}
