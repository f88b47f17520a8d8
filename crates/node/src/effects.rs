//! The node as the engine of effects sees it: durable heads in, outcomes out.

#[cfg(not(feature = "crash-points"))]
mod no_points;
mod outside;
#[cfg(feature = "crash-points")]
mod points;

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;

use super::bus::{self, Bus};
use super::doers::Doers;
use super::node::Node;
#[cfg(not(feature = "crash-points"))]
pub use no_points::Points;
use outside::World;
#[cfg(feature = "crash-points")]
pub use points::{Points, allow as allow_crash_points};
use swoosh_effects::{
    Answer, Build, Doer, Host, Note, Open, Outcome, Phase, Point, Progress, ProjectFolder, Reply, Rules, Runner, Task,
    Workshop, settle_index,
};
use swoosh_http::{EffectFilter, EffectView, EffectsPage};
use swoosh_hybridcore::definitions::Definitions;
use swoosh_hybridcore::leave::{Leave, Stop};
use swoosh_hybridcore::packer::Tool;
use swoosh_hybridcore::sources::binding::LEGACY_TOKEN;
use swoosh_hybridcore::sources::child::ChildGit;
use swoosh_hybridcore::sources::config::ScanConfig;
use swoosh_hybridcore::sources::git::{Credentials, Limits};
use swoosh_hybridcore::sources::{Fence, Wallet};
use swoosh_journal::{HeldOutcome, Journal, ReadError};
use swoosh_machine::chart;
use swoosh_machine::judge;
use swoosh_machine::state::{LicenseStatus, State};
use swoosh_platform::entropy;
use swoosh_platform::gate::{GatePass, NetworkGate};
use swoosh_platform::secrets::Secrets;
use swoosh_sequencer::{self as sequencer, Handle, OwnOutcome};
use swoosh_settings::{EffectMode, Effects, Settings, SourceCredential};
use swoosh_telemetry::metrics::Metrics;
use swoosh_types::civil::rfc3339;
use swoosh_types::ids::EffectId;
use swoosh_types::names::{EffectName, GuardName, IngestionState, Region};
use swoosh_types::proposal::MAX_EVIDENCE;
use swoosh_types::rejection::Code;
use swoosh_types::text::ProjectName;
use swoosh_types::ucxl::EvidenceRef;

/// Starts the engine: it runs the effects that the settings have the node run, and proposes outcomes of others that came
/// while their projects were blocked.
pub fn start(node: &Node, settings: &Settings, secrets: &Secrets) -> anyhow::Result<Runner> {
    let points = Points::from_environment()?;
    let root = std::path::absolute(settings.workspaces_path())?;
    let any_builtin = settings.effects.any_builtin();
    if any_builtin {
        std::fs::create_dir_all(&root).with_context(|| format!("effects.workspace: cannot make {}", root.display()))?;
    }
    let host = NodeHost {
        handle: node.handle().clone(),
        gate: node.gate().clone(),
        bus: node.bus().clone(),
        metrics: node.metrics().clone(),
        runtime: tokio::runtime::Handle::current(),
        root: root.clone(),
        points,
        doers: node.doers().clone(),
        began: (Instant::now(), swoosh_hybridcore::logs::now_ms()),
    };
    node.doers().note(&node.handle().journal());
    let workshop = workshop(node, settings, secrets, root)?;
    let incarnation = node.handle().journal().identity().incarnation;
    let runner = Runner::start(rules(&settings.effects, incarnation)?, Arc::new(host), Arc::new(workshop))?;
    node.bus().connect(&runner, any_builtin);
    Ok(runner)
}

fn rules(effects: &Effects, incarnation: u64) -> anyhow::Result<Rules> {
    let token: [u8; 8] = entropy::random_bytes().context("no random numbers")?;
    Ok(Rules {
        workers: effects.workers,
        attempts: effects.attempts,
        retry_min_ms: effects.retry_min_ms,
        retry_max_ms: effects.retry_max_ms,
        lease_ms: effects.lease_ms,
        holder: format!("{}-{:016x}", std::process::id(), u64::from_be_bytes(token)),
        incarnation,
    })
}

fn workshop(node: &Node, settings: &Settings, secrets: &Secrets, root: std::path::PathBuf) -> anyhow::Result<Workshop> {
    let effects = &settings.effects;
    let scan = ScanConfig {
        command: effects.scan_command.clone(),
        credential_rules: effects.credential_rules.clone(),
        time_limit_s: effects.scan_timeout_ms.div_ceil(1_000),
        ..ScanConfig::default()
    };
    scan.credential_rules().context("effects.credential_rules")?;
    let definitions = match &effects.definitions {
        Some(folder) => Definitions::load(folder).context("effects.definitions")?,
        None => Definitions::built_in(),
    };
    let builds = effects.builds.iter().map(|build| Build {
        environment: build.environment.clone(),
        builder: build.builder.clone(),
        variant: build.variant.clone(),
    });
    let never =
        [Some(&settings.data), Some(&root), settings.backup.directory.as_ref(), settings.exports.directory.as_ref()];
    let never = never.into_iter().flatten().map(std::path::absolute).collect::<Result<_, _>>()?;
    let fence = Fence { within: Some(settings.file_prefixes()), never };
    Ok(Workshop {
        root,
        floating: settings.sources.floating_refs.clone(),
        git: ChildGit::of_this_program().context("this program cannot find itself")?,
        wallet: wallet(settings, secrets)?,
        fence,
        limits: Limits::default(),
        scan,
        tool: Tool { program: packer(), sentinel: own_program(), ..Tool::default() },
        definitions,
        builds: builds.collect(),
        outside: Box::new(World::new(node, settings, secrets)?),
    })
}

/// The credentials of the settings. Those of the environment, which an older version sent to every host, are never used.
fn wallet(settings: &Settings, secrets: &Secrets) -> anyhow::Result<Wallet> {
    let legacy = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in legacy.filter(|name| name.starts_with(LEGACY_TOKEN)) {
        let remedy = "bind the token to its addresses: sources.credentials: [{url_prefix: https://git.example/team, \
                      token: secret:NAME}]";
        eprintln!("{name} is ignored, since it names no address that may receive it; {remedy}");
        tracing::warn!(variable = name, remedy, "a token in the environment is ignored");
    }
    let one = |credential: &SourceCredential| {
        let token = secrets.find("sources.credentials", Some(&credential.token))?;
        let password = token.map(|token| token.expose().trim_end().to_owned()).unwrap_or_default();
        anyhow::Ok((credential.url_prefix.clone(), Credentials { user: credential.user.clone(), password }))
    };
    Ok(Wallet { bound: settings.sources.credentials.iter().map(one).collect::<anyhow::Result<_>>()? })
}

/// The packer that `swoosh packer` would take as well.
fn packer() -> std::ffi::OsString {
    let named = std::env::var_os("SWOOSH_PACKER").filter(|program| !program.is_empty());
    named.unwrap_or_else(|| Tool::default().program)
}

/// This very program, also where its file was replaced meanwhile.
fn own_program() -> Option<std::path::PathBuf> {
    let own = std::path::PathBuf::from("/proc/self/exe");
    if own.exists() { Some(own) } else { std::env::current_exe().ok() }
}

struct NodeHost {
    handle: Handle,
    gate: NetworkGate,
    bus: Arc<Bus>,
    metrics: Arc<Metrics>,
    runtime: tokio::runtime::Handle,
    root: std::path::PathBuf,
    points: Points,
    /// While WHOOSH decides a region, its workers work there.
    doers: Arc<Doers>,
    /// Waits must not depend on changes of the wall clock.
    began: (Instant, u64),
}

impl NodeHost {
    /// Keeps the READY index of a project the current one: a rollback opens no effect that could do it.
    fn settle(&self, state: &State) {
        let ingestion = &state.ingestion;
        let (true, Some(content_hash)) = (ingestion.phase == IngestionState::Ready, &ingestion.content_hash) else {
            return;
        };
        if !self.runs(EffectName::Index) {
            return;
        }
        let folder = ProjectFolder::new(&self.root, &state.meta.project);
        if let Err(error) = settle_index(&folder, ingestion.version, content_hash) {
            let (project, version) = (&state.meta.project, ingestion.version);
            tracing::error!(%project, version, error, "the index of the READY version is missing or differs from the record");
        }
    }
}

impl NodeHost {
    /// Whether an outcome of an effect that workers do now is of the node's own work before.
    fn is_own_work(&self, id: &EffectId, outcome: &Outcome) -> bool {
        let note = self.journal().effect_note(id).ok().flatten().and_then(|bytes| Note::decode(&bytes).ok());
        self.doers.of(id) == Doer::Workers && note.is_some_and(|note| note.outcome.as_ref() == Some(outcome))
    }

    fn is_open(&self, id: &EffectId) -> bool {
        let view = self.handle.view(&id.project);
        view.is_ok_and(|view| view.head.state().open_effects().any(|open| open.id == *id))
    }

    /// The outcome that a worker brought while the project was blocked. It was answered for, so it goes first, also where
    /// the node runs the effect itself by now.
    fn held(&self, journal: &Journal, id: &EffectId) -> Result<Option<HeldOutcome>, ReadError> {
        journal.held_outcome(id)
    }
}

/// Evidence in the record of a kept outcome: its attachments, and the signer of its proposal.
fn evidence(project: &ProjectName, held: &HeldOutcome) -> Vec<EvidenceRef> {
    let signer = held.signer.to_string();
    let key = signer.rsplit(':').next().unwrap_or_default();
    let date: String = rfc3339(held.at.physical_ms()).chars().take(10).collect();
    let address = format!("ucxl://{key}:worker@{project}/{date}/proposals/{}", held.proposal_hash);
    let own = address.parse().inspect_err(|error| tracing::error!(address, %error, "a worker has no address")).ok();
    own.into_iter().chain(held.evidence.iter().cloned()).take(MAX_EVIDENCE).collect()
}

impl Host for NodeHost {
    fn now_ms(&self) -> u64 {
        let (instant, wall_ms) = self.began;
        wall_ms + u64::try_from(instant.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn journal(&self) -> Journal {
        self.handle.journal()
    }

    fn runs(&self, effect: EffectName) -> bool {
        self.doers.runs(effect)
    }

    fn open(&self, project: &ProjectName) -> Result<Vec<Open>, String> {
        let view = self.handle.view(project).map_err(|error| error.to_string())?;
        let state = view.head.state();
        self.settle(state);
        let journal = self.journal();
        let begun_after = journal.incarnations().last().map(|begun| begun.after);
        let mut found = Vec::new();
        for open in state.open_effects() {
            let held = self.held(&journal, &open.id).map_err(|error| error.to_string())?;
            let doer = self.doers.of(&open.id);
            let noted = || journal.effect_note(&open.id).map(|note| note.is_some());
            let (failures, last_failure) = failures(state, open.id.effect);
            if doer != Doer::Workers || held.is_some() || noted().map_err(|error| error.to_string())? {
                found.push(Open {
                    id: open.id.clone(),
                    opened_at_ms: open.opened_at.physical_ms(),
                    seen: view.index,
                    blocked: blocked(state, open.id.effect),
                    inherited: begun_after.is_some_and(|after| open.id.index <= after),
                    doer,
                    failures,
                    last_failure,
                    held: held.map(|held| Outcome { transition: held.transition, inputs: held.inputs }),
                });
            }
        }
        self.bus.holds(project, found.iter().any(|open| open.held.is_some() || open.doer == Doer::Workers));
        Ok(found)
    }

    fn task(&self, id: &EffectId) -> Result<Option<Task>, String> {
        let view = self.handle.view(&id.project).map_err(|error| error.to_string())?;
        let state = view.head.state();
        let is_open = state.open_effects().any(|open| open.id == *id);
        Ok(is_open.then(|| Task::of(id.effect, state)))
    }

    fn propose(&self, id: &EffectId, outcome: Outcome, reply: Reply) {
        let (handle, id, bus) = (self.handle.clone(), id.clone(), self.bus.clone());
        let held = self.held(&self.journal(), &id);
        let runs = self.runs(id.effect) || self.is_own_work(&id, &outcome);
        let (outcome, evidence, brought_by) = match &held {
            // The kept outcome counts, with its signer's name.
            Ok(Some(held)) => {
                let kept = Outcome { transition: held.transition, inputs: held.inputs.clone() };
                (kept, evidence(&id.project, held), Some(held.signer))
            }
            Ok(None) if runs => (outcome, Vec::new(), None),
            // The node signs for others only what it can name the bringer of.
            Ok(None) => return reply(Answer::Later("nothing is kept of it any more".to_owned())),
            Err(error) => return reply(Answer::Later(error.to_string())),
        };
        self.runtime.spawn(async move {
            let Outcome { transition, inputs } = outcome;
            let own = OwnOutcome { effect: id.clone(), transition, inputs, evidence, brought_by };
            let answer = match answer(handle.propose_outcome(own).await) {
                // It is not the node's to say that the work of others failed.
                Answer::Refused(reason) if brought_by.is_some() => Answer::Later(reason),
                answer => answer,
            };
            if let Answer::Later(reason) | Answer::Refused(reason) = &answer {
                tracing::warn!(%id, %transition, reason, "an outcome was not accepted");
            }
            // Open effects may have changed, also after a failure.
            if let Some(runner) = bus.runner() {
                runner.moved(&id.project);
            }
            reply(answer);
        });
    }

    fn leave(&self) -> Arc<dyn Leave> {
        match self.gate.pass() {
            Ok(pass) => Arc::new(Passing(pass)),
            Err(_) => Arc::new(Closed),
        }
    }

    fn changed(&self, progress: &Progress) {
        let mode = if self.runs(progress.id.effect) { EffectMode::Builtin } else { EffectMode::External };
        if progress.phase == Phase::Closed && mode == EffectMode::External && self.is_open(&progress.id) {
            // The kept outcome is gone; the effect itself is not.
            return self.bus.effect(&bus::external(&progress.id, None), mode);
        }
        self.bus.effect(progress, mode);
    }

    fn failed(&self, id: &EffectId, reason: &str) {
        tracing::warn!(%id, reason, "an attempt at an effect failed");
        self.metrics.effect_failed(id.effect);
    }

    fn reached(&self, point: Point, id: &EffectId) {
        if point == Point::Work {
            self.metrics.effect_begun(id.effect);
        }
        self.points.reached(point, id);
    }
}

/// Leave while the license holds.
struct Passing(GatePass);

impl Leave for Passing {
    fn stop(&self) -> Option<Stop> {
        (!self.0.is_good()).then_some(Stop::GateClosed)
    }
}

struct Closed;

impl Leave for Closed {
    fn stop(&self) -> Option<Stop> {
        Some(Stop::GateClosed)
    }
}

/// Failures of this work on record since its last success, and the last one's reason. Only ingestion and provisioning count them.
fn failures(state: &State, effect: EffectName) -> (u32, Option<String>) {
    let (tries, last_failure) = match chart::effect(effect).region {
        Region::Ingestion => (state.ingestion.tries, &state.ingestion.last_failure),
        _ if effect == EffectName::Provision => (state.environment.tries, &state.environment.last_failure),
        _ => return (0, None),
    };
    (u32::try_from(tries).unwrap_or(u32::MAX), last_failure.as_ref().map(|failure| failure.detail.to_string()))
}

/// Why an effect must wait; none when its outcome would be let through.
fn blocked(state: &State, effect: EffectName) -> Option<String> {
    let success = chart::effect(effect).success.first()?;
    let rejection = judge::enabled(state, chart::spec(*success)).err()?;
    // The license is renewed right before the next proposal that it holds back; the network gate has its state.
    let only_expired = state.control.license == LicenseStatus::Expired && rejection.reasons.len() == 1;
    (!(rejection.code == Code::Blocked && only_expired)).then(|| rejection.reasons.join("; "))
}

fn answer(outcome: sequencer::Outcome) -> Answer {
    let refusal = match outcome {
        sequencer::Outcome::Accepted { .. } => return Answer::Accepted,
        sequencer::Outcome::Refused(refusal) => refusal,
    };
    let reason = refusal.rejection.reasons.join("; ");
    match refusal.rejection.code {
        // The node signs the outcome again, on the newest head and by a later clock: the work itself is done.
        Code::StaleHead | Code::HlcAhead | Code::HlcNotAfter | Code::HlcBehind => Answer::Later(reason),
        // Whether it is open still, the durable head tells.
        Code::NotEnabled | Code::Terminated | Code::Guard(GuardName::Effect) => Answer::Later(reason),
        Code::Blocked | Code::NotLicensed | Code::Guard(GuardName::License) | Code::PolicyBreach => {
            Answer::Later(reason)
        }
        Code::Overloaded
        | Code::Draining
        | Code::NotDurable
        | Code::ReadOnly
        | Code::ClockUnsafe
        | Code::ProjectDamaged => Answer::Later(reason),
        _ => Answer::Refused(reason),
    }
}

/// Answer of `GET /effects`: open effects of the journal, with the engine's progress.
pub fn page(handle: &Handle, doers: &Doers, bus: &Bus, filter: &EffectFilter) -> Result<EffectsPage, ReadError> {
    let journal = handle.journal();
    let mut rows = match &filter.project {
        // At most nine.
        Some(project) => journal.open_effects(project)?,
        None => journal.open_effects_after(filter.after.as_ref(), filter.limit + 1)?,
    };
    let more = rows.len() > filter.limit;
    rows.truncate(filter.limit);
    let next = rows.last().filter(|_| more).map(|row| row.id.clone());
    let one = |row: swoosh_journal::OpenRow| {
        let mode = if doers.runs(row.id.effect) { EffectMode::Builtin } else { EffectMode::External };
        let progress = bus.runner().and_then(|runner| runner.board().get(&row.id));
        let phase = if mode == EffectMode::Builtin { Phase::Waiting } else { Phase::External };
        let unknown = Progress { phase, ..bus::external(&row.id, None) };
        let view = bus::view(&progress.unwrap_or(unknown), mode);
        EffectView { opened_at: Some(row.opened_at), ..view }
    };
    Ok(EffectsPage { effects: rows.into_iter().map(one).collect(), next })
}

#[cfg(test)]
mod tests {
    use super::*;
    use swoosh_types::proposal::default_project;
    use swoosh_types::rejection::Rejection;

    /// A finished provision that the node's own clock held back, or whose head another proposal of the node moved, was recorded as a
    /// failure.
    #[test]
    fn an_outcome_that_the_clock_or_another_head_holds_back_is_proposed_again() {
        for code in [Code::StaleHead, Code::HlcAhead, Code::HlcNotAfter, Code::HlcBehind] {
            let (rejection, project) = (Rejection::new(code, "the clock"), default_project());
            let refusal = sequencer::Refusal { rejection, project, head: None, hlc_last: None, retry_after_ms: None };
            let answered = answer(sequencer::Outcome::Refused(Box::new(refusal)));
            assert!(matches!(answered, Answer::Later(_)), "{code}");
        }
    }
}
