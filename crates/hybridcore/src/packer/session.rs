//! Context of every operation with packer: folders, the packer program, and the receiver of events.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::failure::Phase;
use super::machine::Loudness;
use crate::config::ResolvedSecrets;
use crate::leave::Leave;
use crate::logs::Logger;
use crate::prepare::Prepared;
use crate::process::Bounds;
use crate::retry::{RetryPolicy, Waiter};
use crate::sources::Workspace;
use swoosh_types::hash::Hash;
use swoosh_types::inputs::Allocation;
use swoosh_types::secret::Secret;
use swoosh_types::text::Name;

/// Which packer, and how long and how much of it.
#[derive(Clone, Debug)]
pub struct Tool {
    /// The program: a path, or a name that is looked up in `PATH`.
    pub program: OsString,
    /// The folder of plugins; `state/packer/plugins` in the workspace when left out.
    pub plugins: Option<PathBuf>,
    /// A folder for downloads that runs share; each run's own, removed after it, when left out.
    pub cache: Option<PathBuf>,
    /// Bounds on one call; four hours, half a minute of grace and 256 MiB by default.
    pub bounds: Bounds,
    /// Tries of a build; 2 by default.
    pub retry: RetryPolicy,
    /// A `swoosh` program whose `__sentinel` ends packer when this process dies; none by default, and then the
    /// next build of the same name does.
    pub sentinel: Option<PathBuf>,
}

impl Default for Tool {
    fn default() -> Tool {
        let bounds = Bounds {
            time_limit: Duration::from_secs(4 * 3600),
            grace: Duration::from_secs(30),
            output_bytes: 256 << 20,
            line_bytes: 1 << 20,
        };
        let retry = RetryPolicy { attempts: 2, first_delay_ms: 5_000, max_delay_ms: 60_000 };
        Tool { program: "packer".into(), plugins: None, cache: None, bounds, retry, sentinel: None }
    }
}

/// A build to run.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// The build's name: of its runs, its lock and its entry in the catalogue.
    pub name: Name,
    /// A template file (`.pkr.hcl`, `.pkr.json`, `.json`), or a folder of `.pkr.hcl` files. Relative paths
    /// are below the workspace.
    pub template: PathBuf,
    /// Where packer runs, so that relative paths of the template mean something; the workspace when left out.
    pub folder: Option<PathBuf>,
    /// Files of variables, in order.
    pub var_files: Vec<PathBuf>,
    /// Variables, which anybody may see.
    pub variables: BTreeMap<String, String>,
    /// Secret variables: in packer's environment, or for JSON templates in a file that only this user can read.
    pub secrets: BTreeMap<String, Secret>,
    /// More of packer's environment. Values of names that sound secret are redacted from all output.
    pub environment: BTreeMap<String, String>,
    /// Files and folders that count as inputs, beside those that the template names.
    pub assets: Vec<PathBuf>,
    /// Only these of the template's builds; all when empty.
    pub only: Vec<String>,
    /// All but these.
    pub except: Vec<String>,
    /// How many of the template's builds run at once; 0 for all.
    pub parallel: u32,
    /// Build although nothing changed.
    pub force: bool,
    /// A hash of inputs that the caller knows of; another one means drift.
    pub inputs_hash: Option<Hash>,
    /// Resources of the build, for the record.
    pub allocation: Allocation,
}

impl BuildRequest {
    /// A build of all of a template, without variables.
    pub fn new(name: Name, template: impl Into<PathBuf>) -> BuildRequest {
        BuildRequest {
            name,
            template: template.into(),
            folder: None,
            var_files: Vec::new(),
            variables: BTreeMap::new(),
            secrets: BTreeMap::new(),
            environment: BTreeMap::new(),
            assets: Vec::new(),
            only: Vec::new(),
            except: Vec::new(),
            parallel: 0,
            force: false,
            inputs_hash: None,
            allocation: Allocation::new(),
        }
    }

    /// The build of what configuration and templates prepared, with its secrets looked up.
    pub fn of_prepared(name: Name, prepared: Prepared, secrets: &ResolvedSecrets) -> BuildRequest {
        let secrets = secrets.environment().map(|(variable, secret)| {
            (variable.strip_prefix("PKR_VAR_").unwrap_or(&variable).to_owned(), secret.clone())
        });
        BuildRequest {
            var_files: prepared.var_files,
            secrets: secrets.collect(),
            inputs_hash: Some(prepared.inputs_hash),
            allocation: prepared.allocation,
            ..BuildRequest::new(name, prepared.folder)
        }
    }
}

/// Progress of a build. Texts hold no secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A run began.
    Begun {
        /// The build.
        name: Name,
        /// The run's id.
        run_id: String,
    },
    /// It went on to this.
    Phase {
        /// The build.
        name: Name,
        /// Packer's current phase.
        phase: Phase,
    },
    /// Packer said a line.
    Said {
        /// The build.
        name: Name,
        /// How loudly; `None` for what other programs write.
        loudness: Option<Loudness>,
        /// The line.
        text: String,
    },
    /// A try failed; there will be another.
    Retrying {
        /// The build.
        name: Name,
        error: String,
        /// The wait before the next, in milliseconds.
        delay_ms: u64,
    },
    /// The run ended.
    Ended {
        /// The build.
        name: Name,
        /// Whether it did what it should.
        ok: bool,
        text: String,
    },
}

/// One operator's work with packer.
pub struct Session<'a> {
    pub workspace: Workspace,
    /// Which packer.
    pub tool: Tool,
    /// May stop the work.
    pub leave: &'a dyn Leave,
    /// Receiver of events.
    pub events: &'a (dyn Fn(&Event) + Sync),
    pub log: Logger,
    /// In whose name: the person or program that is recorded.
    pub operator: String,
    /// The id of what asks for it, which reports carry.
    pub command_id: String,
    /// How long to wait for another build of the same name.
    pub patience: Duration,
    /// Waits between attempts.
    pub waiter: &'a dyn Waiter,
    /// The clock: milliseconds since 1970.
    pub now_ms: fn() -> u64,
}

impl Session<'_> {
    /// The time now, RFC 3339.
    pub fn now(&self) -> String {
        swoosh_types::civil::rfc3339((self.now_ms)())
    }

    /// A path as this workspace means it.
    pub fn absolute(&self, path: &std::path::Path) -> PathBuf {
        self.workspace.root().join(path)
    }

    /// Packer's own folder, with configuration and plugins.
    pub(super) fn packer_folder(&self) -> PathBuf {
        self.workspace.state().join("packer")
    }

    /// The folder of plugins.
    pub(super) fn plugins(&self) -> PathBuf {
        let given = self.tool.plugins.as_ref().map(|path| self.absolute(path));
        given.unwrap_or_else(|| self.packer_folder().join("plugins"))
    }
}
