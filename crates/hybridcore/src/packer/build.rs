//! `packer build`, once and whole: checked first, in a folder of its own, with what it made hashed and recorded.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::artifacts::{self, Collected, Place, verify_artifacts};
use super::call::{Called, Desk, RUN_VARIABLE, assignment, var_file};
use super::digest::DigestError;
use super::failure::{Failure, FailureClass, Phase};
use super::inputs::{self, Gathered, Inputs, Recipe};
use super::manifest;
use super::report::{RunReport, Status, found_path, kept_path};
use super::runs::{self, RunsError};
use super::session::{BuildRequest, Event, Session};
use super::tool::{self, Seen};
use crate::leave::Always;
use crate::logs::{Logger, Rotation};
use crate::state::catalogue::{self, LastRun, ManifestEntry, UpdateError};
use crate::state::{Lock, LockError};
use swoosh_types::canonical::try_canonical_bytes;
use swoosh_types::hash::Hash;
use swoosh_types::secret::Secret;
use swoosh_types::words::count;

/// Secret variables of a JSON template, readable by this user alone, while it is built.
pub(super) const SECRETS_FILE: &str = "secrets.json";
/// The run's downloads, while it is built.
pub(super) const CACHE_FOLDER: &str = "cache";
/// Names the folder of temporary files, while it is built.
pub(super) const SCRATCH_FILE: &str = "scratch";

/// Why nothing was built, or what was built could not be recorded. A packer that fails is no such error: its
/// report says so.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The template is not there.
    #[error("there is no template {}; name a .pkr.hcl or .json file, or a folder of .pkr.hcl files", .0.display())]
    NoTemplate(PathBuf),
    /// A path cannot be kept.
    #[error("the paths of template, folder, variables and assets must be UTF-8; rename the others")]
    NotText,
    /// Packer is missing, or cannot be used.
    #[error("{0}")]
    Packer(Failure),
    /// An input cannot be read.
    #[error(transparent)]
    Input(#[from] DigestError),
    /// Runs cannot be read or written.
    #[error(transparent)]
    Runs(#[from] RunsError),
    /// The catalogue cannot be written; the run itself is recorded.
    #[error(transparent)]
    Catalogue(#[from] UpdateError),
    /// Temporary files cannot be made.
    #[error("temporary files cannot be made ({0}); see that TMPDIR is there and has room")]
    Scratch(#[source] io::Error),
}

impl From<LockError> for BuildError {
    fn from(error: LockError) -> BuildError {
        BuildError::Runs(error.into())
    }
}

impl From<crate::state::document::DocumentError> for BuildError {
    fn from(error: crate::state::document::DocumentError) -> BuildError {
        BuildError::Runs(error.into())
    }
}

impl BuildError {
    /// Whether the same again may well succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            BuildError::Runs(RunsError::Lock(_)) | BuildError::Catalogue(UpdateError::Lock(_)) => true,
            BuildError::Packer(failure) => failure.transient,
            BuildError::NoTemplate(_)
            | BuildError::NotText
            | BuildError::Input(_)
            | BuildError::Runs(_)
            | BuildError::Catalogue(_)
            | BuildError::Scratch(_) => false,
        }
    }
}

/// Builds a template, unless nothing changed since the last good run of that name and its artifacts are still there.
/// Waits for another build of the name. The result is written to `state/runs/ID/run.json` and to the catalogue.
pub fn build(session: &Session<'_>, request: &BuildRequest) -> Result<RunReport, BuildError> {
    let recipe = Recipe::of(session, request).ok_or(BuildError::NotText)?;
    let template = found_path(session.workspace.root(), &recipe.template);
    if !template.exists() {
        return Err(BuildError::NoTemplate(template));
    }
    let mut work = Work::open(session, request, recipe)?;
    runs::recover(session, &request.name)?;
    let before = runs::all(session, Some(&request.name))?;
    let gathered = work.inputs(&before)?;
    let doubt = gathered.doubt();
    doubt.iter().for_each(|doubt| work.desk.log.warn(doubt));
    let mut inputs = gathered.inputs;
    let last = before.iter().rev().find(|run| run.status == Status::Succeeded);
    if let Some(last) = last.filter(|_| !request.force && doubt.is_none())
        && last.inputs.changes(&inputs).is_empty()
        && verify_artifacts(session.workspace.root(), last, session.leave).is_good()
    {
        let text = format!("nothing changed since {}", last.run_id);
        (session.events)(&Event::Ended { name: request.name.clone(), ok: true, text });
        return Ok(RunReport { status: Status::Skipped, ..last.clone() });
    }
    let (run_id, folder) = runs::make(session, &request.name)?;
    let mut report = work.begin(&run_id, &folder, &inputs).inspect_err(|_| runs::clean_up(&folder))?;
    let mut made = work.run(&folder, &run_id, &template);
    if made.installed {
        work.seen.plugins = tool::plugins(&[session.plugins(), session.packer_folder()], session.leave);
        // Plugins are inputs. When they cannot be hashed now, the next build finds drift.
        inputs = work.inputs(&before).map_or(inputs, |gathered| gathered.inputs);
    }
    report.warnings.extend(doubt);
    report.plugins = work.seen.plugins.clone();
    report.inputs = inputs;
    work.take_in(&folder, &mut report, &mut made);
    work.note_products(&before, &mut report);
    work.record(&folder, report)
}

/// A build that is under way.
struct Work<'a> {
    session: &'a Session<'a>,
    request: &'a BuildRequest,
    recipe: Recipe,
    desk: Desk,
    seen: Seen,
    _lock: Lock,
}

/// Result of one run of packer.
struct Made {
    called: Option<Called>,
    failure: Option<Failure>,
    attempts: u32,
    /// Whether plugins were installed, which are inputs.
    installed: bool,
}

impl<'a> Work<'a> {
    fn open(session: &'a Session<'a>, request: &'a BuildRequest, recipe: Recipe) -> Result<Work<'a>, BuildError> {
        let root = session.workspace.root();
        let folder = found_path(root, &recipe.folder);
        let log = session.log.clone().with("build", &request.name);
        let desk = Desk::of_request(session, request, folder, log).map_err(BuildError::Scratch)?;
        // First whether there is a packer at all: nothing is written when there is none.
        let seen = tool::probe(session, &desk).map_err(BuildError::Packer)?;
        let lock = runs::lock(session, &request.name, "build")?;
        Ok(Work { session, request, recipe, desk, seen, _lock: lock })
    }

    fn inputs(&self, before: &[RunReport]) -> Result<Gathered, DigestError> {
        let skip = runs::products(before);
        inputs::gather(self.session.workspace.root(), &self.recipe, &self.seen, &skip, self.session.leave)
    }

    /// Records that the run begins, and lays its folder and its environment out.
    fn begin(&mut self, run_id: &str, folder: &Path, inputs: &Inputs) -> Result<RunReport, BuildError> {
        let (session, request) = (self.session, self.request);
        let kept = |path: PathBuf| kept_path(session.workspace.root(), &path).ok_or(BuildError::NotText);
        let report = RunReport {
            run_id: run_id.to_owned(),
            name: request.name.clone(),
            operator: session.operator.clone(),
            command_id: session.command_id.clone(),
            status: Status::Running,
            failure: None,
            exit_code: None,
            signal: None,
            attempts: 0,
            started_at: session.now(),
            finished_at: None,
            manifest_path: None,
            manifest_hash: None,
            artifact_ids: Vec::new(),
            artifacts: Vec::new(),
            leftovers: Vec::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
            packer_version: self.seen.version.clone(),
            plugins: self.seen.plugins.clone(),
            recipe: self.recipe.clone(),
            inputs: inputs.clone(),
            products: Default::default(),
            output: kept(folder.join(runs::OUTPUT_FOLDER))?,
            log: kept(folder.join(runs::LOGS_FOLDER).join("packer.log"))?,
            process: std::process::id(),
        };
        runs::store(session, &report)?;
        let scratch = self.desk.scratch.path().as_os_str().as_encoded_bytes();
        fs::write(folder.join(SCRATCH_FILE), scratch).map_err(runs::folder_error(folder))?;
        self.write_secrets(folder).map_err(runs::folder_error(folder))?;
        self.lay_out(folder, run_id);
        (session.events)(&Event::Begun { name: request.name.clone(), run_id: run_id.to_owned() });
        Ok(report)
    }

    /// The environment of the run: the same names for both kinds of templates.
    fn lay_out(&mut self, folder: &Path, run_id: &str) {
        let logs = folder.join(runs::LOGS_FOLDER);
        let log = Logger::to_folder(&logs, "packer", Rotation::default(), self.desk.redactor.clone());
        match log {
            Ok(log) => self.desk.log = log.with("run", run_id),
            Err(error) => self.desk.log.warn(&format!("{} cannot hold the log ({error})", logs.display())),
        }
        let paths = [("output", folder.join(runs::OUTPUT_FOLDER)), ("manifest", folder.join(runs::MANIFEST_FILE))];
        let cache = self.session.tool.cache.as_ref().map(|path| self.session.absolute(path));
        let mut variables = vec![
            (OsString::from(RUN_VARIABLE), OsString::from(run_id)),
            ("PKR_VAR_swoosh_run".into(), run_id.into()),
            ("PACKER_CACHE_DIR".into(), cache.unwrap_or_else(|| folder.join(CACHE_FOLDER)).into()),
        ];
        for (name, path) in paths {
            variables.push((format!("PKR_VAR_swoosh_{name}").into(), path.clone().into()));
            variables.push((format!("SWOOSH_{}", name.to_ascii_uppercase()).into(), path.into()));
        }
        let secrets = self.request.secrets.iter();
        variables.extend(secrets.map(|(name, secret)| (format!("PKR_VAR_{name}").into(), secret.expose().into())));
        self.desk.environment.extend(variables);
    }

    fn write_secrets(&self, folder: &Path) -> io::Result<()> {
        if self.request.secrets.is_empty() || is_hcl(&self.recipe.template, &self.template()) {
            return Ok(());
        }
        write_secrets(&folder.join(SECRETS_FILE), &self.request.secrets)
    }

    fn template(&self) -> PathBuf {
        found_path(self.session.workspace.root(), &self.recipe.template)
    }

    /// Installs plugins where the template asks for some, checks the template, and builds.
    fn run(&self, folder: &Path, run_id: &str, template: &Path) -> Made {
        let mut made = Made { called: None, failure: None, attempts: 0, installed: false };
        for phase in [Phase::Init, Phase::Validate] {
            if phase == Phase::Init && !needs_init(&self.seen, template) {
                continue;
            }
            made.installed |= phase == Phase::Init;
            let called = self.check(phase, folder, template);
            made.failure = called.failure(phase);
            made.called = Some(called);
            if made.failure.is_some() {
                return made;
            }
        }
        let retry = self.session.tool.retry;
        loop {
            made.attempts += 1;
            let called = self.desk.call(self.session, Phase::Build, self.arguments(Phase::Build, folder, template));
            made.failure = called.failure(Phase::Build);
            let delay = retry.delay_after(made.attempts).filter(|_| self.may_retry(folder, run_id, &called, &made));
            made.called = Some(called);
            let (Some(delay), Some(failure)) = (delay, &made.failure) else { return made };
            let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            let error = failure.to_string();
            self.desk.log.warn(&format!("{error}; trying again in {delay_ms} ms"));
            (self.session.events)(&Event::Retrying { name: self.request.name.clone(), error, delay_ms });
            self.session.waiter.wait(delay, self.session.leave);
            if self.session.leave.stop().is_some() {
                return made;
            }
        }
    }

    fn check(&self, phase: Phase, folder: &Path, template: &Path) -> Called {
        let _lock = match phase {
            // Two that install plugins at once would trip over each other.
            Phase::Init => Lock::take(
                &self.session.packer_folder().join(".lock"),
                "packer init",
                self.session.patience,
                self.session.leave,
            )
            .ok(),
            Phase::Probe | Phase::Format | Phase::Validate | Phase::Build => None,
        };
        self.desk.call(self.session, phase, self.arguments(phase, folder, template))
    }

    /// Only transient failures are retried, and only if the attempt made nothing: its artifacts would never be removed.
    fn may_retry(&self, folder: &Path, run_id: &str, called: &Called, made: &Made) -> bool {
        if !made.failure.as_ref().is_some_and(|failure| failure.transient) {
            return false;
        }
        let manifest = manifest::read(&folder.join(runs::MANIFEST_FILE), run_id);
        let has_none = matches!(&manifest, Ok(None)) || matches!(&manifest, Ok(Some((m, _))) if m.builds.is_empty());
        let output = folder.join(runs::OUTPUT_FOLDER);
        let emptied = fs::remove_dir_all(&output).and_then(|()| fs::create_dir(&output));
        called.transcript.artifacts.is_empty() && has_none && emptied.is_ok()
    }

    fn arguments(&self, phase: Phase, folder: &Path, template: &Path) -> Vec<OsString> {
        let request = self.request;
        let mut arguments: Vec<OsString> = vec![phase.name().into(), "-machine-readable".into()];
        if phase == Phase::Init {
            arguments.push(template.into());
            return arguments;
        }
        if phase == Phase::Build {
            arguments.extend(["-color=false".into(), "-on-error=cleanup".into()]);
            arguments.push(format!("-parallel-builds={}", request.parallel).into());
        }
        for (flag, builds) in [("-only", &request.only), ("-except", &request.except)] {
            arguments.extend((!builds.is_empty()).then(|| assignment(flag, builds.join(","))));
        }
        let root = self.session.workspace.root();
        arguments.extend(self.recipe.var_files.iter().map(|path| var_file(&found_path(root, path))));
        let secrets = folder.join(SECRETS_FILE);
        arguments.extend(secrets.exists().then(|| var_file(&secrets)));
        for (name, value) in &request.variables {
            arguments.extend(["-var".into(), assignment(name, value)]);
        }
        arguments.push(template.into());
        arguments
    }

    /// Copies packer's result into the report.
    fn take_in(&self, folder: &Path, report: &mut RunReport, made: &mut Made) {
        let root = self.session.workspace.root();
        // Artifacts are recorded whether the build succeeded or not.
        let place = Place { root, folder: &self.desk.folder, redactor: &self.desk.redactor, leave: &Always };
        let path = folder.join(runs::MANIFEST_FILE);
        let found = manifest::read(&path, &report.run_id).unwrap_or_else(|error| {
            made.failure.get_or_insert_with(|| Failure::new(FailureClass::BadArtifacts, error.to_string()));
            None
        });
        if let Some((manifest, hash)) = &found {
            report.manifest_path = kept_path(root, &path);
            report.manifest_hash = Some(self.scrub(&path).unwrap_or(*hash));
            if manifest.foreign > 0 {
                report.warnings.push(format!("{} of the manifest name another run, or none", manifest.foreign));
            }
        }
        let transcript = made.called.as_ref().map(|called| called.transcript.clone()).unwrap_or_default();
        let collected = artifacts::collect(&place, &transcript, found.as_ref().map(|(manifest, _)| manifest));
        report.exit_code = made.called.as_ref().and_then(Called::exit_code);
        report.signal = made.called.as_ref().and_then(Called::signal);
        report.attempts = made.attempts;
        report.warnings.extend(transcript.warnings.iter().cloned());
        if found.is_none() && !transcript.artifacts.is_empty() {
            report.warnings.push(NO_MANIFEST.to_owned());
        }
        if made.failure.is_some() {
            report.errors = transcript.all_errors();
        }
        self.judge(report, made, collected);
        if made.failure.is_some() {
            let (leftovers, warnings) =
                artifacts::leftovers(&place, &folder.join(runs::OUTPUT_FOLDER), &report.artifacts);
            report.leftovers = leftovers;
            report.warnings.extend(warnings);
        }
        report.failure = made.failure.take();
        report.status = if report.failure.is_some() { Status::Failed } else { Status::Succeeded };
    }

    /// Takes secrets out of the manifest, which packer wrote as the template wanted it; its hash when there were any.
    fn scrub(&self, path: &Path) -> Option<Hash> {
        let text = fs::read_to_string(path).ok()?;
        let clean = self.desk.redactor.clean(&text);
        if clean == text {
            return None;
        }
        // A manifest that still held a secret would be worse than none.
        fs::write(path, &clean).or_else(|_| fs::remove_file(path)).ok()?;
        Some(Hash::of(clean.as_bytes()))
    }

    /// Packer's word that all is well is not enough.
    fn judge(&self, report: &mut RunReport, made: &mut Made, collected: Collected) {
        let Collected { artifacts, problems, warnings } = collected;
        report.artifact_ids = artifacts.iter().map(|artifact| artifact.id.clone()).collect();
        report.warnings.extend(warnings);
        if made.failure.is_none() {
            made.failure = if let Some(problem) = problems.first() {
                Some(Failure::new(FailureClass::BadArtifacts, problem.clone()))
            } else if artifacts.is_empty() {
                Some(Failure::new(FailureClass::NoArtifacts, "packer ended with 0 and made nothing"))
            } else {
                None
            };
        }
        report.artifacts = artifacts;
        report.errors.extend(problems);
    }

    /// Files that were not there before the build and are no artifacts: manifests of other places, checksums.
    fn note_products(&self, before: &[RunReport], report: &mut RunReport) {
        let mut known = before.to_vec();
        known.push(report.clone());
        let Ok(Gathered { inputs: after, .. }) = self.inputs(&known) else { return };
        report.products = report.inputs.new_files(&after).map(str::to_owned).collect();
        let changed = report.inputs.changes(&after).into_iter();
        let changed = changed.filter(|change| !report.products.contains(change.input.trim_start_matches("file ")));
        report.warnings.extend(
            changed.map(|change| format!("{} changed while it was built, so the next build runs again", change.input)),
        );
    }

    /// Records how the run came out, and tells.
    fn record(&self, folder: &Path, mut report: RunReport) -> Result<RunReport, BuildError> {
        runs::clean_up(folder);
        report.finished_at = Some(self.session.now());
        runs::store(self.session, &report)?;
        note(self.session, &report)?;
        let ok = report.status == Status::Succeeded;
        let text = match &report.failure {
            None => format!("made {}", count(report.artifacts.len() as u64, "artifact")),
            Some(failure) => failure.to_string(),
        };
        if ok {
            self.desk.log.info(&text)
        } else {
            self.desk.log.error(&text)
        }
        (self.session.events)(&Event::Ended { name: report.name.clone(), ok, text });
        Ok(report)
    }
}

const NO_MANIFEST: &str = "the template wrote no manifest for this run, so artifacts are known from packer's words alone; add \
    post-processor \"manifest\" { output = var.swoosh_manifest, custom_data = { run = var.swoosh_run } }";

/// Enters a run into the catalogue.
fn note(session: &Session<'_>, report: &RunReport) -> Result<(), UpdateError> {
    let last = LastRun {
        started_at: report.started_at.clone(),
        finished_at: report.finished_at.clone().unwrap_or_default(),
        ok: report.status == Status::Succeeded,
        detail: report.failure.as_ref().map(ToString::to_string),
    };
    let listed = || Hash::of(&try_canonical_bytes(&report.artifacts).unwrap_or_default());
    let entry = ManifestEntry {
        manifest_hash: report.manifest_hash.unwrap_or_else(listed),
        inputs_hash: report.inputs.hash,
        built_at: last.finished_at.clone(),
    };
    // Also when the work was interrupted: it must not be lost.
    catalogue::update(&session.workspace.state(), "packer build", &Always, |catalogue| {
        catalogue.plugins.insert("packer".to_owned(), report.packer_version.clone());
        catalogue.plugins.extend(report.plugins.clone());
        if last.ok {
            catalogue.manifests.insert(report.name.to_string(), entry);
        }
        catalogue.last_runs.insert(format!("packer build {}", report.name), last);
    })?;
    Ok(())
}

/// JSON templates ignore `PKR_VAR_` variables: they get a file that only this user can read.
pub(super) fn write_secrets(path: &Path, secrets: &BTreeMap<String, Secret>) -> io::Result<()> {
    let members = secrets.iter().map(|(name, secret)| (name.clone(), secret.expose().to_owned().into()));
    let document = serde_json::Value::Object(members.collect());
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(document.to_string().as_bytes())
}

/// Whether packer reads the template as HCL, which knows `PKR_VAR_` variables.
pub(super) fn is_hcl(name: &str, template: &Path) -> bool {
    template.is_dir() || name.ends_with(".hcl") || name.ends_with(".pkr.json")
}

/// Whether the template asks for plugins that this packer can install.
pub(super) fn needs_init(seen: &Seen, template: &Path) -> bool {
    let asks = |path: &PathBuf| fs::read_to_string(path).is_ok_and(|text| text.contains("required_plugins"));
    seen.has_init() && inputs::template_files(template).iter().any(asks)
}
