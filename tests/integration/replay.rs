//! Ten thousand transitions over twenty projects, with duplicates, reorders and drops, while the process is killed
//! three times. The log, the running process, a restart, an offline replay and replicas of the log agree at every
//! index.

pub(crate) mod caller;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::RwLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use swoosh::client::WalEntry;
use swoosh::journal::Journal;
use swoosh::journal::replay::replay;
use swoosh::types::hash::Hash;
use swoosh::types::text::ProjectName;

use crate::support::daemon::{Daemon, Site, cycles_of};
use crate::support::wal;
use caller::Caller;
use swoosh_testkit::random::Random;

const SEED: u64 = 0x5_7005;
const PROJECTS: usize = 20;
const TRANSITIONS: usize = 10_000;
/// Accepted transitions after which the process is killed.
const KILLS: [usize; 3] = [2_000, 5_000, 8_000];

/// State shared by the callers and the thread that kills the node.
struct Stage {
    address: RwLock<SocketAddr>,
    accepted: AtomicUsize,
}

impl Stage {
    fn address(&self) -> SocketAddr {
        *self.address.read().unwrap()
    }
}

/// Runs all callers to their quotas, with the kills between.
fn play(site: &Site) -> Daemon {
    let mut daemon = site.start();
    let stage = Stage { address: RwLock::new(daemon.address), accepted: AtomicUsize::new(0) };
    std::thread::scope(|scope| {
        let call = |n: usize| {
            let (stage, random) = (&stage, Random::new(SEED + n as u64));
            scope.spawn(move || Caller::new(site, stage, n, random).run(TRANSITIONS / PROJECTS))
        };
        let callers: Vec<_> = (0..PROJECTS).map(call).collect();
        for kill in KILLS {
            while stage.accepted.load(Ordering::Relaxed) < kill {
                let last_lines = || daemon.log().split_off(daemon.log().len().saturating_sub(5));
                assert!(
                    !callers.iter().any(|caller| caller.is_finished()),
                    "a caller is gone too early: {:?}",
                    last_lines()
                );
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            // The old one must be gone before the directory is free.
            daemon.end();
            let began = std::time::Instant::now();
            daemon = site.start();
            eprintln!("started again on {} after {:?}", daemon.address, began.elapsed());
            *stage.address.write().unwrap() = daemon.address;
        }
    });
    daemon
}

/// The head of every project as the process shows it.
fn shown_heads(daemon: &Daemon) -> BTreeMap<ProjectName, Hash> {
    let shown = daemon.get("/projects").json();
    let projects = shown["projects"].as_array().unwrap().iter();
    let head = |project: &serde_json::Value| {
        let name = project["project"].as_str().unwrap();
        let state = daemon.get(&format!("/state?project={name}")).json();
        assert_eq!(state["hash"], project["hash"]);
        (name.parse().unwrap(), project["hash"].as_str().unwrap().parse().unwrap())
    };
    projects.map(head).collect()
}

/// The past, here and there: the process answers with the state that the record led to.
fn shown_history(daemon: &Daemon, log: &[WalEntry]) {
    for entry in log.iter().step_by(331) {
        let (index, project) = (entry.record.index, &entry.record.project);
        let shown = daemon.get(&format!("/state?project={project}&at={index}&projection=epoch")).json();
        assert_eq!(shown["hash"], entry.record.state_post_hash.to_string(), "at {index}");
    }
}

/// Replays the directory offline; what it finds at each index is what the log says.
fn replayed(site: &Site, log: &[WalEntry]) -> BTreeMap<ProjectName, Hash> {
    let journal = Journal::open_read_only(site.journal()).unwrap();
    let mut seen = 0;
    let report = replay(
        &journal,
        &mut |_| {},
        Some(&mut |stored, before, inputs| {
            let entry = &log[seen];
            assert_eq!((&stored.record, stored.chain, inputs), (&entry.record, entry.chain, &entry.inputs));
            assert_eq!(before.hash(), entry.record.state_pre_hash, "before record {}", entry.record.index);
            seen += 1;
        }),
    );
    assert!(report.fault.is_none(), "{:?}", report.fault);
    assert_eq!((report.last_index, seen), (log.len() as u64, log.len()));
    assert_eq!(report.last_chain, log.last().unwrap().chain);
    report.heads.into_iter().map(|(project, head)| (project, head.hash)).collect()
}

/// That the run was what it is meant to be: all kinds of transitions, and mischief since the last kill.
fn was_rich(daemon: &Daemon, log: &[WalEntry]) {
    let kinds: BTreeSet<_> = log.iter().map(|entry| entry.record.transition).collect();
    assert!(kinds.len() >= 35, "only {kinds:?}");
    let metrics = daemon.get("/metrics").text();
    let sum = |name: &str| {
        let lines = metrics.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum::<u64>()
    };
    let (repeats, reorders) = (sum("swoosh_retry_count{"), sum("swoosh_rejection_total{code=\"stale_head\"}"));
    assert!(repeats > 20 && reorders > 20, "{repeats} repeats, {reorders} reorders");
}

#[test]
fn process_restart_replay_and_replicas_agree_at_every_index() {
    let site = Site::with(cycles_of(1000), |settings| {
        settings["log"] = json!({"level": "warn"});
        settings["journal"] = json!({"snapshot_every": 100});
        // Fewer than there are projects, so that heads are written out and loaded again all the time.
        settings["heads"] = json!({"memory_projects": 12});
    });
    let daemon = play(&site);
    let log = wal::read(&daemon);
    assert!(log.len() >= TRANSITIONS, "{} records", log.len());
    was_rich(&daemon, &log);
    let led_to: Vec<Hash> = log.iter().map(|entry| entry.record.state_post_hash).collect();
    let heads = shown_heads(&daemon);
    assert_eq!(heads.len(), PROJECTS);
    shown_history(&daemon, &log);
    std::thread::scope(|scope| {
        let follow = |limit| {
            let (daemon, led_to, heads) = (&daemon, &led_to, &heads);
            scope.spawn(move || {
                let (found, through) = wal::replica(&wal::read_by(daemon, limit));
                assert!(through == *led_to, "a replica differs");
                assert_eq!(
                    found.into_iter().map(|(name, head)| (name, head.hash())).collect::<BTreeMap<_, _>>(),
                    *heads
                );
            })
        };
        [1000, 333, 100].map(follow).into_iter().for_each(|replica| replica.join().unwrap());
    });
    daemon.terminate();
    assert_eq!(replayed(&site, &log), heads);
    let daemon = site.start();
    assert!(wal::read(&daemon) == log, "the log is another after a restart");
    assert_eq!(shown_heads(&daemon), heads);
    shown_history(&daemon, &log);
}
