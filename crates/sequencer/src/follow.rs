//! A handle on the log of another node: it serves reads, rejects proposals and has no thread. The follower appends
//! the records that it verified, and publishes them here.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::handle::{Shared, View};
use super::inbox::Inbox;
use super::{Handle, Mode, Options, Ports};
use swoosh_journal::{Journal, Recovered};
use swoosh_types::hlc::Hlc;
use swoosh_types::text::ProjectName;

impl Handle {
    /// A handle on a journal that follows; `reason` names the followed node.
    pub fn following(
        options: Options,
        ports: Ports,
        journal: Journal,
        recovered: &Recovered,
        reason: String,
    ) -> Handle {
        let inbox = Arc::new(Inbox::new(options.queue, options.project_queue));
        let ends = (recovered.last_index, recovered.last_timestamp, recovered.last_snapshot_hlc);
        let shared = Shared::of(options, ports, journal, ends);
        shared.set_mode(Mode::Following(reason));
        shared.cut_off.store(true, Ordering::Release);
        Handle { shared, inbox, threads: Arc::new(Mutex::default()) }
    }

    /// Says which node this one follows, and how far it is; once it drains, nothing.
    pub fn say_following(&self, reason: String) {
        self.say(reason, false);
    }

    /// The same, where the node that is followed does not answer.
    pub fn say_cut_off(&self, reason: String) {
        self.say(reason, true);
    }

    fn say(&self, reason: String, cut_off: bool) {
        if matches!(self.status().mode, Mode::Following(_)) {
            self.shared.cut_off.store(cut_off, Ordering::Release);
            self.shared.set_mode(Mode::Following(reason));
        }
    }

    /// Shows heads that are durable, the log's end, and the newest snapshot's clock if there is a new one.
    pub fn publish(&self, heads: Vec<(ProjectName, View)>, last_index: u64, snapshot: Option<Hlc>) {
        let memory = self.shared.options.memory;
        let mut views = self.shared.views_mut();
        heads.into_iter().for_each(|(project, view)| drop(views.insert(project, Arc::new(view))));
        if views.len() > memory.projects {
            // The heads are on disk; the next reader loads them again.
            views.clear();
        }
        let (count, bytes) = (views.len(), views.values().map(|view| view.head.weight_bytes()).sum::<usize>());
        if bytes > memory.bytes {
            views.clear();
        }
        drop(views);
        self.shared.note_memory(count, bytes);
        // A follower stamps nothing.
        self.shared.note_durable(last_index);
        self.shared.note_judged(last_index, Hlc::default());
        if let Some(at) = snapshot {
            self.shared.note_snapshot(at);
        }
    }
}
