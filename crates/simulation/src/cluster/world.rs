//! The members with their processes and directories, and the links between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use swoosh_cluster::engine::{Engine, Timing};
use swoosh_cluster::ports::Reign;
use swoosh_cluster::types::{DirectoryId, Member, MemberId};
use swoosh_types::keys::SecretKey;

use super::Plant;
use super::disk::Directory;
use super::memory::State;
use super::oracle::Oracle;
use crate::runtime::{self, Process, SimRuntime};

/// One direction of a connection between two members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) is_cut: bool,
    /// Of a thousand messages.
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) delay_us: (u64, u64),
}

impl Link {
    pub(super) const SOUND: Link = Link { is_cut: false, lost: 0, doubled: 0, delay_us: (200, 900) };
}

pub(super) struct Node {
    pub(super) engine: Option<Engine<SimRuntime>>,
    /// 0 for none.
    pub(super) process: Process,
    pub(super) directory: Directory,
    pub(super) reign: Option<Reign>,
}

pub(super) struct Inside {
    pub(super) nodes: BTreeMap<MemberId, Node>,
    links: BTreeMap<(MemberId, MemberId), Link>,
    pub(super) usual: Link,
    next_process: Process,
    next_directory: u8,
    /// Whether the reigning member gets work.
    pub(super) has_load: bool,
    /// Members that refuse all rows, but take heartbeats.
    pub(super) refusing: BTreeSet<MemberId>,
    /// States that were sent, and instances that ended by themselves.
    pub(super) transfers: u64,
    pub(super) self_ended: Vec<String>,
}

/// Shared by everything in one simulated cluster.
pub(super) struct World {
    inside: Mutex<Inside>,
    pub(super) oracle: Arc<Oracle>,
    pub(super) timing: Timing,
    plant: Option<Plant>,
}

impl World {
    pub(super) fn new(plant: Option<Plant>) -> Arc<World> {
        let inside = Inside {
            nodes: BTreeMap::new(),
            links: BTreeMap::new(),
            usual: Link::SOUND,
            next_process: 1,
            next_directory: 1,
            has_load: true,
            refusing: BTreeSet::new(),
            transfers: 0,
            self_ended: Vec::new(),
        };
        Arc::new(World { inside: Mutex::new(inside), oracle: Arc::default(), timing: Timing::default(), plant })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn new_directory(&self, member: MemberId) -> Directory {
        let mut inside = self.lock();
        let id = DirectoryId([inside.next_directory; 16]);
        inside.next_directory += 1;
        Directory::new(id, member, Arc::downgrade(&self.oracle), self.plant)
    }

    /// A member with an empty directory and no process.
    pub(super) fn add(&self, member: MemberId) {
        let directory = self.new_directory(member);
        self.oracle.register(directory.clone());
        self.lock().nodes.insert(member, Node { engine: None, process: 0, directory, reign: None });
    }

    pub(super) fn new_process(&self) -> Process {
        let mut inside = self.lock();
        inside.next_process += 1;
        inside.next_process
    }

    pub(super) fn directory(&self, member: MemberId) -> Option<Directory> {
        self.lock().nodes.get(&member).map(|node| node.directory.clone())
    }

    pub(super) fn engine(&self, member: MemberId) -> Option<Engine<SimRuntime>> {
        self.lock().nodes.get(&member).and_then(|node| node.engine.clone())
    }

    /// The applied state of a member, whether it runs or not.
    pub(super) fn state(&self, member: MemberId) -> State {
        self.directory(member).map(|directory| directory.state()).unwrap_or_default()
    }

    pub(super) fn is_up(&self, member: MemberId) -> bool {
        self.lock().nodes.get(&member).is_some_and(|node| node.process != 0)
    }

    /// The member with the newest reign.
    pub(super) fn reigning(&self) -> Option<MemberId> {
        let inside = self.lock();
        let reigns = inside.nodes.iter().filter_map(|(member, node)| node.reign.map(|reign| (reign, *member)));
        reigns.max().map(|(_, member)| member)
    }

    /// What the others know of a member.
    pub(super) fn identity(&self, member: MemberId) -> Option<Member> {
        let directory = self.directory(member)?.id;
        let seed = u8::try_from(member.0).unwrap_or(u8::MAX);
        let key = SecretKey::from_bytes(&[seed; 32]).public();
        Some(Member { name: format!("n{member}"), key, directory, address: format!("10.0.0.{member}:7501") })
    }

    // Links.

    pub(super) fn link(&self, from: MemberId, to: MemberId) -> Link {
        let inside = self.lock();
        inside.links.get(&(from, to)).copied().unwrap_or(inside.usual)
    }

    pub(super) fn cut(&self, from: MemberId, to: MemberId, is_cut: bool) {
        runtime::trace(|| format!("link {from} to {to} {}", if is_cut { "cut" } else { "whole" }));
        let mut inside = self.lock();
        let usual = inside.usual;
        inside.links.entry((from, to)).or_insert(usual).is_cut = is_cut;
    }

    /// Cuts or heals all links of a member, in both directions.
    pub(super) fn isolate(&self, member: MemberId, is_cut: bool) {
        let others: Vec<MemberId> = self.lock().nodes.keys().copied().filter(|other| *other != member).collect();
        for other in others {
            self.cut(member, other, is_cut);
            self.cut(other, member, is_cut);
        }
    }

    pub(super) fn set_usual(&self, usual: Link) {
        runtime::trace(|| format!("all links are {usual:?}"));
        let mut inside = self.lock();
        inside.links.clear();
        inside.usual = usual;
    }

    pub(super) fn heal(&self) {
        self.set_usual(Link::SOUND);
    }

    /// How long a message takes, in microseconds; `None` for one that is lost.
    pub(super) fn flight_us(&self, from: MemberId, to: MemberId) -> Option<u64> {
        let link = self.link(from, to);
        if link.is_cut || runtime::below(1000) < link.lost {
            return None;
        }
        let (low, high) = link.delay_us;
        Some(low + runtime::below(high - low + 1))
    }

    /// The instance that answers for a member, if it is the directory that the sender means. This check is the wire's: the engine has
    /// none of its own.
    pub(super) fn reach(&self, to: MemberId, directory: DirectoryId) -> Option<(Engine<SimRuntime>, Process)> {
        let inside = self.lock();
        let node = inside.nodes.get(&to).filter(|node| node.directory.id == directory)?;
        node.engine.clone().map(|engine| (engine, node.process))
    }

    /// Ends the world, so that nothing holds another in a circle.
    pub(super) fn close(&self) {
        let nodes = std::mem::take(&mut self.lock().nodes);
        drop(nodes);
        self.oracle.close();
    }
}

/// Waits until a condition holds; false if it does not within this time.
pub(super) async fn until(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let deadline = runtime::now() + patience;
    while runtime::now() < deadline {
        if holds() {
            return true;
        }
        runtime::sleep_ms(10).await;
    }
    holds()
}
