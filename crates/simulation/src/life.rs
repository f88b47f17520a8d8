//! The life of the node: it starts, goes off, is mended, and is kept in order as the daemon keeps itself.

use super::node::StartError;
use super::oracle::{UNREADABLE, Violation};
use super::outside::HORIZON_MS;
use super::world::World;
use swoosh_journal::{Journal, Retention};
use swoosh_machine::facts::FactBody;
use swoosh_sequencer::{Handle, Mode};
use swoosh_testkit::random::Random;
use swoosh_types::fact::FactKind;
use swoosh_types::hlc::Hlc;
use swoosh_types::rejection::{Code, Rejection};
use swoosh_types::text::ProjectName;

/// How far a caller's clock may be behind, by the settings of every world.
const MAX_BEHIND_MS: u64 = 300_000;

impl World {
    /// Starts a node that is down, looks after one that runs.
    pub(super) fn live(&mut self, random: &mut Random) -> Result<(), Violation> {
        if let Some(order) = self.order.filter(|_| self.node.is_none()) {
            // Damage is repaired first, and each try replays the log.
            let waits = self.moods.damaged.is_some() || random.below(4) != 0;
            return if waits { Ok(()) } else { self.carry_out(order, random) };
        }
        if self.node.is_none() {
            return if random.below(3) == 0 { self.start(random) } else { Ok(()) };
        }
        self.look_after(random);
        if self.turn.is_multiple_of(96) {
            self.upkeep(random);
        }
        if self.turn.is_multiple_of(16) && self.moods.damaged.is_none() {
            self.ask_again(3, random)?;
        }
        Ok(())
    }

    /// One try to start; refusing is right only where something is wrong.
    pub(super) fn start(&mut self, random: &mut Random) -> Result<(), Violation> {
        let every_head = random.below(4) == 0;
        let started = self.site.start(&self.outside, every_head);
        let fired = self.site.disk.has_fired() || self.site.disk.is_off();
        let (node, found) = match started {
            Ok(started) => started,
            Err(error) => return self.start_refused(&error, fired, random),
        };
        self.tally.count("starts");
        self.forget_strikes();
        self.trace.event("start");
        let journal = node.single.handle().journal();
        let seen = self.oracle.started(&journal, found.last);
        match seen {
            Ok(adopted) => (0..adopted).for_each(|_| self.tally.count("records adopted at a start")),
            // A trap that did not fire at the start may fire when the result of the start is read.
            Err(violation) if violation.invariant == UNREADABLE && (fired || self.is_excused()) => {
                self.tally.count("starts refused");
                return self.after_work(random);
            }
            Err(violation) => return Err(violation),
        }
        self.held_is_kept(&journal)?;
        for (project, hash, _) in &found.heads {
            if self.oracle.head(project).hash() != *hash {
                let what = format!("recovery leads {project} to another head than its records");
                return Err(Violation { invariant: "replay-equal", what });
            }
        }
        self.node = Some(node);
        self.moods.disk_failed = self.site.disk.has_fired() || self.site.disk.is_full();
        Ok(())
    }

    fn start_refused(&mut self, error: &StartError, fired: bool, random: &mut Random) -> Result<(), Violation> {
        self.tally.count("starts refused");
        self.trace.event("refused");
        if !fired && self.moods.damaged.is_none() && !self.site.disk.is_full() {
            let what = format!("nothing is wrong with the disk, and the node does not start: {error}");
            return Err(Violation { invariant: "starts", what });
        }
        self.after_work(random)
    }

    /// The process is gone, and with it every connection.
    pub(super) fn go_off(&mut self, random: &mut Random) {
        self.node = None;
        self.workers.node_gone();
        self.site.disk.switch_on(random);
        self.cut_off();
        self.trace.event("off");
    }

    /// Ends the process between two steps.
    pub(super) fn end_process(&mut self, random: &mut Random) -> bool {
        let ran = self.node.is_some();
        self.site.disk.switch_off(super::disk::Trap::Kill);
        self.go_off(random);
        ran
    }

    /// The lead that an operator accepts, or that the daemon lets shrink; `None` where it stays.
    fn wanted_lead(&mut self, random: &mut Random) -> Option<u64> {
        let handle = self.node.as_ref()?.single.handle();
        let (ahead_ms, lead_ms) = (handle.ahead_ms().ok()?, self.outside.lead_ms());
        // With a skewed clock the measured lead is wrong.
        if self.site.clocks.skew() != 0 {
            return None;
        }
        if ahead_ms < lead_ms {
            return Some(ahead_ms);
        }
        if ahead_ms <= lead_ms + MAX_BEHIND_MS || random.below(60) != 0 {
            return None;
        }
        self.tally.count("leads accepted");
        Some(ahead_ms)
    }

    /// An operator who checks `/health/ready` now and then.
    fn look_after(&mut self, random: &mut Random) {
        let Some(node) = &mut self.node else { return };
        if node.doubts_its_clock() && random.below(40) == 0 {
            node.clock.accept_jump();
            self.tally.count("jumps accepted");
        }
        let lead = self.wanted_lead(random);
        if let Some(lead_ms) = lead {
            let fact = self.outside.lead(lead_ms, self.now_ms());
            fact.into_iter().for_each(|fact| self.oracle.lead(fact, lead_ms));
            self.tell(FactKind::Settings);
        }
        let Some(node) = &mut self.node else { return };
        match node.single.handle().status().mode {
            Mode::Refusing(_) => node.single.mend(),
            // The committer looks by itself whether a side write stopped the journal.
            Mode::Accepting if random.below(4) == 0 => node.single.mend(),
            Mode::ReadOnly(_) if random.below(8) == 0 => {
                self.tally.count("restarts by the operator");
                self.end_process(random);
            }
            Mode::ReadOnly(_) | Mode::Accepting | Mode::Draining | Mode::Following(_) => {}
        }
    }

    /// The rounds of `cli/serve/growth` and `upkeep`: keys, snapshots, records, objects, idle heads, pulses.
    fn upkeep(&mut self, random: &mut Random) {
        self.nudge_all();
        let Some(node) = &self.node else { return };
        let (handle, journal) = (node.single.handle(), node.single.handle().journal());
        handle.tidy();
        let now = handle.now();
        let (round, done) = match random.below(6) {
            0 => ("keys pruned", prune_keys(handle)),
            1 => ("snapshots thinned", journal.thin_snapshots().unwrap_or(0)),
            2 => ("objects collected", journal.collect_objects(&|| true).map_or(0, |report| report.objects)),
            // Pruning would delete records that the oracle has not read yet.
            3 if self.oracle.is_behind() => ("records pruned", 0),
            3 => ("records pruned", prune_records(&journal, now, random)),
            4 => ("snapshots of old records taken", sweep(&journal)),
            _ => {
                self.site.disk.keep_copy();
                ("copies of the directory kept", 1)
            }
        };
        (0..done).for_each(|_| self.tally.count(round));
    }

    /// Only a failed disk operation makes an outcome uncertain; a rejection because of a damaged row names the
    /// damage.
    pub(super) fn damage_is_named(&self, rejection: &Rejection) -> Result<(), Violation> {
        let certain = !self.moods.disk_failed && !self.site.disk.has_fired() && !self.site.disk.is_off();
        if rejection.code == Code::NotDurable && certain && !self.site.disk.is_full() {
            let what = format!("the disk did all it was asked, and this is refused: {}", rejection.reasons.join("; "));
            return Err(Violation { invariant: "damage-is-named", what });
        }
        Ok(())
    }

    /// Damage to a row refuses its project. Only a failed operation of the disk stops the node.
    pub(super) fn damage_stays_local(&self) -> Result<(), Violation> {
        let Some(node) = self.node.as_ref().filter(|_| !self.moods.disk_failed && !self.site.disk.is_off()) else {
            return Ok(());
        };
        match node.single.handle().status().mode {
            Mode::ReadOnly(what) | Mode::Refusing(what) => Err(Violation { invariant: "damage-stays-local", what }),
            Mode::Accepting | Mode::Draining | Mode::Following(_) => Ok(()),
        }
    }

    /// A node that would refuse every caller whose clock is right says that its clock is unsafe.
    pub(super) fn clock_is_reported(&self) -> Result<(), Violation> {
        let Some(node) = self.node.as_ref().filter(|_| !self.site.disk.is_off() && !self.oracle.is_behind()) else {
            return Ok(());
        };
        let stamped_ms = self.oracle.last_timestamp().physical_ms();
        let handle = node.single.handle();
        // Reading the clock may be what a step of it waits for.
        let is_reported = handle.status().clock_unsafe.is_some();
        let wall_ms = self.now_ms().saturating_add_signed(self.site.clocks.skew());
        // A node without settings accepts nothing.
        let facts = handle.facts();
        let Some(FactBody::Settings(settings)) = facts.set().at(FactKind::Settings, None).map(|fact| &fact.body) else {
            return Ok(());
        };
        let ahead_ms = stamped_ms.saturating_sub(wall_ms + settings.lead_ms);
        if ahead_ms > MAX_BEHIND_MS && !is_reported {
            let what = format!("the last stamp is {ahead_ms} ms ahead, and the node says that its clock is safe");
            return Err(Violation { invariant: "clock-is-reported", what });
        }
        Ok(())
    }
}

/// As the daemon prunes: a key that names a beat which its project has not reached stays.
fn prune_keys(handle: &Handle) -> u64 {
    let journal = handle.journal();
    let at = journal.last_timestamp().ok();
    let reached = |project: &ProjectName| at.and_then(|at| handle.reached_beat(project, at)).unwrap_or(0);
    journal.prune_keys(HORIZON_MS, &reached, &|| true).map_or(0, |report| report.keys)
}

fn prune_records(journal: &Journal, now: Hlc, random: &mut Random) -> u64 {
    let wanted = Retention { records: 40 + random.below(400), since: now, exported_to: None };
    journal.prune_wal(&wanted, &|| true).map_or(0, |report| report.records)
}

fn sweep(journal: &Journal) -> u64 {
    let old: Vec<_> = journal.sweep_candidates(100).into_iter().map(|candidate| candidate.project).collect();
    journal.sweep(&old).map_or(0, |report| report.taken as u64)
}
