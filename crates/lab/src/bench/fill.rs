//! Data directories of a wanted size, made by the pipeline itself in this process, without HTTP.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::story;
use super::world::World;
use swoosh_journal::Journal;
use swoosh_machine::head::Head;
use swoosh_node::node::{Node, fact_files};
use swoosh_sequencer::{Handle, Outcome};
use swoosh_types::text::ProjectName;
use swoosh_types::verify::VerifiedProposal;

/// Projects that are filled side by side; their records interleave as those of so many clients would.
const SIDE_BY_SIDE: usize = 1_024;

/// Interval of progress messages while a large directory is filled.
const PROGRESS_EVERY: Duration = Duration::from_secs(30);

/// Planned contents of a directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub projects: usize,
    /// Records of each project, [`story::LIFECYCLE`] at least.
    pub records: u64,
}

impl Size {
    /// Records of all projects.
    pub fn total(self) -> u64 {
        self.projects as u64 * self.records
    }
}

/// The name of the `n`-th project.
pub(super) fn project(n: usize) -> anyhow::Result<ProjectName> {
    Ok(format!("bench-{n:07}").parse()?)
}

/// Fills a new directory. Returns the heads of the projects whose numbers are asked for.
pub(super) fn fill(world: &Arc<World>, directory: &Path, size: Size, ask: &[usize]) -> anyhow::Result<Vec<Head>> {
    Ok(fill_and(world, directory, size, ask, |_| Ok(()))?.0)
}

/// The same. Looks at the journal before the node stops.
pub(super) fn fill_and<T>(
    world: &Arc<World>,
    directory: &Path,
    size: Size,
    ask: &[usize],
    look: impl FnOnce(&Journal) -> anyhow::Result<T>,
) -> anyhow::Result<(Vec<Head>, T)> {
    std::fs::create_dir_all(directory)?;
    let settings = world.settings(directory)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // What a node starts beside the sequencer runs on the runtime that it is started within.
    let within = runtime.enter();
    let node = Node::start(&settings)?;
    drop(within);
    anyhow::ensure!(!fact_files(&settings, node.facts()).is_empty(), "the settings name no fact file");
    let handle = node.handle().clone();
    runtime.block_on(drive(world, &handle, size))?;
    let heads = ask.iter().map(|n| Ok(Head::clone(&handle.view(&project(*n)?)?.head)));
    let heads = heads.collect::<anyhow::Result<Vec<_>>>()?;
    let found = look(&handle.journal())?;
    node.runner().into_iter().for_each(|runner| runner.stop());
    handle.stop();
    Ok((heads, found))
}

async fn drive(world: &Arc<World>, handle: &Handle, size: Size) -> anyhow::Result<()> {
    let (taken, made) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..SIDE_BY_SIDE.min(size.projects) {
        let (world, handle, taken, made) = (world.clone(), handle.clone(), taken.clone(), made.clone());
        tasks.spawn(async move {
            loop {
                let n = taken.fetch_add(1, Ordering::Relaxed);
                if n >= size.projects {
                    return anyhow::Ok(());
                }
                fill_one(&world, &handle, &project(n)?, size.records).await?;
                made.fetch_add(size.records, Ordering::Relaxed);
            }
        });
    }
    let began = Instant::now();
    let mut next = tokio::time::interval_at(tokio::time::Instant::now() + PROGRESS_EVERY, PROGRESS_EVERY);
    loop {
        tokio::select! {
            done = tasks.join_next() => match done {
                Some(done) => done??,
                None => return Ok(()),
            },
            _ = next.tick() => {
                let made = made.load(Ordering::Relaxed);
                let per_second = made / began.elapsed().as_secs().max(1);
                super::tell(&format!("  {made} of {} records are there, {per_second} a second", size.total()));
            }
        }
    }
}

async fn fill_one(world: &World, handle: &Handle, project: &ProjectName, records: u64) -> anyhow::Result<()> {
    for _ in 0..records {
        let head = handle.view(project)?.head.clone();
        let step = story::step(world, &head)?;
        let verified = VerifiedProposal::own(step.proposal, step.inputs, &world.cluster, step.secret);
        if let Outcome::Refused(refusal) = handle.propose(verified).await {
            anyhow::bail!("{project}: {}: {}", refusal.rejection.code, refusal.rejection.reasons.join("; "));
        }
    }
    Ok(())
}
