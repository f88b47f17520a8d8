//! PROVISION, HEALTHCHECK and the release of what was provisioned, by `hybridcore::prepare` and `hybridcore::packer`.
//!
//! Each project has its own folder `environment/`. The record of a build (its run) is there, so that after a failure
//! half-way, a crash, or before a release the assets to verify and to remove are known.

use std::fs;
use std::io;
use std::path::Path;

use super::{Build, Done, Workshop, on_disk, release};
use crate::outcome::{Outcomes, Report};
use crate::task::{Executor, Place};
use crate::worker::{Failed, Job, Step, Work};
use swoosh_hybridcore::logs::{Logger, Redactor, Rotation, now_ms};
use swoosh_hybridcore::packer::{self, BuildError, BuildRequest, Event, RunReport, Session, Status, Tool};
use swoosh_hybridcore::prepare::{self, Desk, Prepared};
use swoosh_hybridcore::retry::Sleep;
use swoosh_hybridcore::sources::Workspace;
use swoosh_hybridcore::sources::session::without_name;
use swoosh_machine::state::State;
use swoosh_types::canonical::canonical_hash;
use swoosh_types::inputs::{Allocation, AssetHealth, AssetOutcomes, Assets, BuildChoice};
use swoosh_types::names::{EffectName, Transition};
use swoosh_types::words::count;

/// How long an attempt waits for a command-line build in the same folder.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Context of the builds of one attempt.
struct Yard<'a> {
    session: &'a Session<'a>,
    workshop: &'a Workshop,
    allocation: &'a Allocation,
}

/// Makes the environment's assets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provision {
    /// The project's builds; empty where it leaves them to the node.
    pub builds: Vec<Build>,
    /// The allocation of the environment.
    pub allocation: Allocation,
}

impl Executor for Provision {
    const EFFECT: EffectName = EffectName::Provision;
    const PLACE: Place = Place::Environment;
    /// It runs builders with effects that are not known here.
    const IDEMPOTENT: bool = false;

    fn task(state: &State) -> Provision {
        let environment = &state.environment;
        let builds = environment.builds.iter().map(chosen).collect();
        Provision { builds, allocation: environment.allocation.clone() }
    }

    /// Builds one after the other. The first failure ends it; assets made by then are reported with the failure.
    fn run(&self, workshop: &Workshop, job: &Job, work: &Work<'_>) -> Done {
        let builds = if self.builds.is_empty() { &workshop.builds } else { &self.builds };
        workshop.in_environment(job, work, |session| {
            packer::recover_all(session).map_err(Failed::passing)?;
            let yard = Yard { session, workshop, allocation: &self.allocation };
            let mut assets = Assets::new();
            for (number, build) in builds.iter().enumerate() {
                let (done, total) = (number as u64, builds.len() as u64);
                (work.tell)(Step { text: format!("building {}", build.builder), done, total });
                if let Err(mut failed) = yard.build(build, &mut assets) {
                    failed.report.assets = (!assets.is_empty()).then_some(assets);
                    return Err(failed);
                }
            }
            let manifest_hash = Some(canonical_hash(&assets));
            Ok((Transition::EnvironmentInstalled, Report { assets: Some(assets), manifest_hash, ..Report::default() }))
        })
    }
}

fn chosen(build: &BuildChoice) -> Build {
    let BuildChoice { environment, builder, variant } = build.clone();
    Build { environment, builder: builder.to_string(), variant }
}

/// Verifies the assets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healthcheck {
    /// Their hashes.
    pub assets: Assets,
}

impl Executor for Healthcheck {
    const EFFECT: EffectName = EffectName::Healthcheck;
    const PLACE: Place = Place::Environment;
    const IDEMPOTENT: bool = true;

    fn task(state: &State) -> Healthcheck {
        Healthcheck { assets: state.environment.assets.clone() }
    }

    /// Hashes everything again: an asset that is missing or has other bytes failed. An asset that others report is no
    /// better than they report it.
    fn run(&self, workshop: &Workshop, job: &Job, work: &Work<'_>) -> Done {
        let verified = workshop.in_environment(job, work, |session| verify(session, &self.assets, work));
        let (mut outcomes, mut faults) = verified?;
        workshop.outside.say_health(&job.id.project, &outcomes).map_err(Failed::passing)?;
        faults.extend(take_worse(&mut outcomes, &workshop.outside.reported_health(&job.id.project)));
        let is_degraded = outcomes.values().any(|health| *health == AssetHealth::Degraded);
        let report = Report { outcomes: Some(Outcomes::Assets(outcomes)), ..Report::default() };
        if faults.is_empty() {
            let passed = if is_degraded { Transition::EnvironmentAmber } else { Transition::EnvironmentGreen };
            return Ok((passed, report));
        }
        Err(Failed { reason: faults.join("; "), again: false, report: report.into() })
    }
}

/// Takes down what was provisioned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    pub assets: Assets,
}

impl Executor for Release {
    const EFFECT: EffectName = EffectName::Release;
    const PLACE: Place = Place::Environment;
    const IDEMPOTENT: bool = true;

    fn task(state: &State) -> Release {
        Release { assets: state.environment.assets.clone() }
    }

    /// Takes down what every run made, also what is on no record of the project. Again after a crash takes down the rest.
    /// An asset on record that no run here made is somewhere else, and the failure names it: a restored or promoted
    /// node has the record without the workspace, and an external worker built elsewhere.
    fn run(&self, workshop: &Workshop, job: &Job, work: &Work<'_>) -> Done {
        work.say(format!("taking down {}", count(self.assets.len() as u64, "asset")));
        let folder = workshop.folder(&job.id.project);
        let taken_down = release::read(&folder.released())?;
        let (mut reasons, stray) = workshop.in_environment(job, work, |session| {
            packer::recover_all(session).map_err(Failed::passing)?;
            let runs = packer::runs::all(session, None).map_err(Failed::passing)?;
            let stray = release::stray(&self.assets, &runs, &taken_down);
            let mut kept = Vec::new();
            for run in runs {
                let (_, removal) = packer::remove(session, &run.name, Some(&run.run_id)).map_err(build_failed)?;
                kept.extend(removal.kept);
            }
            Ok((kept, stray))
        })?;
        reasons.extend(release::not_ours(&stray));
        if !reasons.is_empty() {
            let reason = format!("some of it must be taken down by hand: {}", reasons.join("; "));
            return Err(Failed { reason, again: false, report: Box::default() });
        }
        release::note(&folder.released(), &self.assets)?;
        let environment = folder.environment();
        match fs::remove_dir_all(&environment) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(on_disk(&environment, &error)),
            _ => Ok((Transition::EnvironmentReleased, Report::default())),
        }
    }
}

impl Workshop {
    fn in_environment<T>(
        &self,
        job: &Job,
        work: &Work<'_>,
        act: impl FnOnce(&Session<'_>) -> Result<T, Failed>,
    ) -> Result<T, Failed> {
        let root = self.folder(&job.id.project).environment();
        fs::create_dir_all(&root).map_err(|error| on_disk(&root, &error))?;
        let workspace = Workspace::new(root);
        let command_id = format!("{}#{}", job.id, job.attempt);
        let log = logger(&workspace.logs()).with("effect", &command_id);
        let events = |event: &Event| hear(work, event);
        act(&Session {
            workspace,
            // Attempts are the engine's to count: it tells each of them.
            tool: Tool {
                retry: swoosh_hybridcore::retry::RetryPolicy { attempts: 1, ..Default::default() },
                ..self.tool.clone()
            },
            leave: work.leave,
            events: &events,
            log,
            operator: "node".to_owned(),
            command_id,
            patience: PATIENCE,
            waiter: &Sleep,
            now_ms,
        })
    }
}

fn logger(folder: &Path) -> Logger {
    let redactor = Redactor::new(Vec::<String>::new());
    let log = Logger::to_folder(folder, "packer", Rotation::default(), redactor.clone());
    log.unwrap_or_else(|_| Logger::silent("packer", redactor))
}

fn hear(work: &Work<'_>, event: &Event) {
    match event {
        Event::Begun { name, .. } => work.say(format!("{name}: begun")),
        Event::Phase { name, phase } => work.say(format!("{name}: {phase:?}").to_lowercase()),
        Event::Said { name, text, .. } => work.say(format!("{name}: {}", text.chars().take(200).collect::<String>())),
        Event::Retrying { name, error: text, .. } | Event::Ended { name, text, .. } => {
            work.say(format!("{name}: {}", without_name(name.as_str(), text)));
        }
    }
}

impl Yard<'_> {
    fn build(&self, build: &Build, assets: &mut Assets) -> Result<(), Failed> {
        let prepared = self.prepare(build)?;
        let report = packer::build(self.session, &request(prepared)?).map_err(build_failed)?;
        for (asset, hash) in report.assets() {
            assets.insert(asset, hash);
        }
        match report.status {
            Status::Failed => Err(run_failed(&report)),
            Status::Running | Status::Succeeded | Status::Skipped | Status::Removed => Ok(()),
        }
    }

    fn prepare(&self, build: &Build) -> Result<Prepared, Failed> {
        let desk = Desk {
            root: self.session.workspace.root(),
            definitions: &self.workshop.definitions,
            overwrite: true,
            leave: self.session.leave,
            log: &self.session.log,
        };
        let request = prepare::BuildRequest {
            environment: build.environment.clone(),
            builder: build.builder.clone(),
            variant: build.variant.clone(),
            answers: Vec::new(),
            allocation: self.allocation.clone(),
        };
        prepare::prepare(&desk, &request).map_err(Failed::lasting)
    }
}

fn request(prepared: Prepared) -> Result<BuildRequest, Failed> {
    let name = prepared.name.parse().map_err(Failed::lasting)?;
    let secrets = prepared.secrets.from_environment().map_err(Failed::lasting)?;
    Ok(BuildRequest::of_prepared(name, prepared, &secrets))
}

fn build_failed(error: BuildError) -> Failed {
    Failed { again: error.is_transient(), reason: error.to_string(), report: Box::default() }
}

/// A build that made something is reported at once, so that it can be taken down.
fn run_failed(report: &RunReport) -> Failed {
    let (detail, transient) = match &report.failure {
        Some(failure) => (format!("{}; {}", failure.detail, failure.remedy), failure.transient),
        None => (report.errors.join("; "), false),
    };
    let reason = format!("{}: {detail}; the log is {} in its environment", report.name, report.log);
    Failed { reason, again: transient && !report.is_partial(), report: Box::default() }
}

/// Takes the reported health where it is the worse one; says which assets are reported as failed.
fn take_worse(outcomes: &mut AssetOutcomes, reported: &AssetOutcomes) -> Vec<String> {
    let worse: Vec<_> = outcomes
        .iter()
        .filter_map(|(asset, health)| {
            reported.get(asset).filter(|found| *found > health).map(|found| (asset.clone(), *found))
        })
        .collect();
    let mut faults = Vec::new();
    for (asset, health) in worse {
        if health == AssetHealth::Failed {
            faults.push(format!("{asset}: the health fact says that it failed"));
        }
        outcomes.insert(asset, health);
    }
    faults
}

fn verify(session: &Session<'_>, assets: &Assets, work: &Work<'_>) -> Result<(AssetOutcomes, Vec<String>), Failed> {
    let runs = packer::runs::all(session, None).map_err(Failed::passing)?;
    let mut outcomes: AssetOutcomes = assets.keys().map(|asset| (asset.clone(), AssetHealth::Failed)).collect();
    let mut faults = Vec::new();
    for run in &runs {
        let made = run.assets();
        let ours: Vec<_> = made.iter().filter(|(asset, hash)| assets.get(*asset) == Some(hash)).collect();
        if ours.is_empty() {
            continue;
        }
        work.say(format!("hashing what {} made", run.name));
        let verification = packer::verify_artifacts(session.workspace.root(), run, session.leave);
        let health = verification.health();
        for (asset, _) in ours {
            outcomes.insert(asset.clone(), health.get(asset).copied().unwrap_or(AssetHealth::Failed));
        }
        faults.extend(verification.faults());
    }
    for (asset, _) in outcomes.iter().filter(|(_, health)| **health == AssetHealth::Failed) {
        if !runs.iter().any(|run| run.assets().contains_key(asset)) {
            faults.push(format!("{asset}: no build made it here"));
        }
    }
    if faults.is_empty() && outcomes.values().any(|health| *health == AssetHealth::Failed) {
        faults.push("some assets are other ones than were recorded; provision again".to_owned());
    }
    Ok((outcomes, faults))
}
