//! Faults by chance: each turn asks for each kind whether it happens.

use super::disk::Trap;
use super::faults::{Fault, RATE_SCALE};
use super::world::{PROJECTS, World};
use swoosh_testkit::random::Random;
use swoosh_types::fact::FactKind;

/// Operations of the disk after which a trap fires at the latest.
const SOON: u64 = 14;

impl World {
    /// Begins and ends the faults of this turn.
    pub(super) fn go_wrong(&mut self, random: &mut Random) {
        self.moods_pass(random);
        if self.moods.side_writes_lost && self.lose_side_writes(random) {
            self.moods.side_writes_lost = false;
            self.trace.event(Fault::SideWritesLost.as_str());
            self.fired(Fault::SideWritesLost, None);
        }
        for fault in Fault::ALL {
            let rate = self.rates.of(*fault);
            if rate > 0 && !of_messages(*fault) && random.happens(rate, RATE_SCALE) && self.strike(*fault, random) {
                self.trace.event(fault.as_str());
                self.fired(*fault, None);
            }
        }
    }

    /// Makes a fault happen; whether it did. Traps count when they fire.
    fn strike(&mut self, fault: Fault, random: &mut Random) -> bool {
        let soon = u32::try_from(random.below(SOON)).unwrap_or(0);
        let now_ms = self.now_ms();
        let disk = self.site.disk.clone();
        match fault {
            Fault::Kill => disk.set(Trap::Kill, soon),
            Fault::PowerLoss => disk.set(Trap::PowerLoss, soon),
            Fault::WriteFails => disk.set(Trap::FailWrite, soon),
            Fault::SyncFails => disk.set(Trap::FailSync, soon),
            Fault::ReadFails => disk.set(Trap::FailRead, soon * 4),
            Fault::DiskFull => {
                disk.set(Trap::Full, soon);
                self.moods.full = Some(self.turn + 10 + random.below(40));
            }
            Fault::Restart => return self.end_process(random),
            Fault::FlipNoticed => {
                let family = random.pick(["wal", "snapshots", "objects", "idem", "decisions"]);
                return self.damage(disk.flip(family, false, random), random);
            }
            Fault::FlipSilent => {
                let family = random.pick(["wal", "snapshots", "objects"]);
                return self.damage(disk.flip(family, true, random), random);
            }
            Fault::FlipLast => return self.spoil_a_last_record(random),
            Fault::FlipWatermark => {
                return self.moods.damaged.is_none() && self.damage(disk.flip_watermark(random), random);
            }
            Fault::DirectoryRollback => return self.roll_back_directory(random),
            Fault::SideWritesLost => return self.will_lose_side_writes(),
            Fault::SnapshotRollback => return self.roll_back_snapshots(random),
            Fault::ClockHours => return self.start_hours_ahead(random),
            Fault::ClockAhead | Fault::ClockBack => return self.skew(fault == Fault::ClockAhead, random),
            Fault::ClockStep => return self.step_clock(random),
            Fault::LossAccepted => return self.lose_and_accept(random),
            Fault::Promoted => return self.take_over(random),
            Fault::LicenseDenied => self.deny_license(random),
            Fault::McpFlap => {
                self.outside.flap(random, now_ms);
                self.tell(FactKind::Tooling);
            }
            Fault::CapacityChurn => self.churn_capacity(random),
            Fault::VotersSilent => self.silence_voters(random),
            Fault::ProvidersSilent => {
                self.outside.silent = true;
                self.moods.providers_silent = Some(self.turn + 100 + random.below(1_000));
            }
            Fault::PolicyUpdate => {
                self.outside.policies(now_ms);
                self.tell(FactKind::Policy);
            }
            // These happen to messages, which ask for them.
            Fault::DuplicateProposal | Fault::DropProposal | Fault::DelayProposal | Fault::Reorder => return false,
            Fault::DuplicateAnswer | Fault::DropAnswer | Fault::DelayAnswer | Fault::Misplaced => return false,
            Fault::EffectRepeat | Fault::WorkerBarred | Fault::OldWorker => return false,
        }
        !is_trap(fault)
    }

    fn deny_license(&mut self, random: &mut Random) {
        self.outside.license(true, random.below(3) == 0, self.now_ms());
        self.moods.unlicensed = Some(self.turn + 50 + random.below(600));
        self.tell(FactKind::License);
    }

    fn churn_capacity(&mut self, random: &mut Random) {
        let health = random.pick(["ok", "ok", "degraded", "failed"]);
        self.outside.capacity(random.pick([2, 4, 8, 8]), health, self.now_ms());
        self.tell(FactKind::Capacity);
        self.tell(FactKind::Health);
    }

    fn silence_voters(&mut self, random: &mut Random) {
        let (silent, now_ms) = (random.below(32), self.now_ms());
        self.outside.pulses(silent, now_ms.saturating_sub(random.below(120_000)), now_ms);
        self.moods.voters_silent = Some(self.turn + 30 + random.below(200));
        self.tell(FactKind::Liveness);
        self.nudge_all();
    }

    /// Marks the disk as damaged until a repair.
    pub(super) fn damage(&mut self, happened: bool, random: &mut Random) -> bool {
        if happened && self.moods.damaged.is_none() {
            self.moods.damaged = Some(self.turn + 20 + random.below(150));
        }
        happened
    }

    /// The last record of a project without a snapshot of it, while the node holds the head: leaving memory takes a snapshot.
    fn spoil_a_last_record(&mut self, random: &mut Random) -> bool {
        let Some(node) = self.node.as_ref().filter(|_| self.moods.damaged.is_none() && !self.oracle.is_behind()) else {
            return false;
        };
        let (handle, journal) = (node.single.handle(), node.single.handle().journal());
        let Some(project) = self.project(random.index(PROJECTS)) else { return false };
        if !handle.is_in_memory(&project) || journal.is_covered(&project) {
            return false;
        }
        let Some(index) = self.oracle.last_of(&project) else { return false };
        if !self.site.disk.spoil("wal", &index.to_be_bytes()) {
            return false;
        }
        self.moods.unasked = Some((project, self.turn + 12));
        self.damage(true, random)
    }

    fn roll_back_directory(&mut self, random: &mut Random) -> bool {
        // A copy can only be put back under a node that is down.
        if self.moods.damaged.is_some() || !self.site.disk.put_copy_back() {
            self.site.disk.keep_copy();
            return false;
        }
        self.site.disk.switch_off(Trap::Kill);
        self.go_off(random);
        self.damage(true, random)
    }

    /// It strikes in the first turn in which there is something to lose.
    fn will_lose_side_writes(&mut self) -> bool {
        self.moods.side_writes_lost = true;
        false
    }

    fn lose_side_writes(&mut self, random: &mut Random) -> bool {
        if self.moods.damaged.is_some() || self.order.is_some() || !self.site.disk.lose_side_writes() {
            return false;
        }
        self.site.disk.switch_off(Trap::Kill);
        self.go_off(random);
        self.damage(true, random)
    }

    fn roll_back_snapshots(&mut self, random: &mut Random) -> bool {
        if self.moods.damaged.is_some() || self.site.disk.drop_newest("snapshots", 1 + random.index(6)) == 0 {
            return false;
        }
        // The node believes that they are there; the next start does not.
        self.site.disk.switch_off(Trap::Kill);
        self.go_off(random);
        true
    }

    fn skew(&mut self, ahead: bool, random: &mut Random) -> bool {
        if self.moods.skewed.is_some() || self.moods.hours_ahead.is_some() {
            return false;
        }
        let by: i64 = random.pick([1_000, 4_000, 6_000, 60_000, 600_000]);
        self.site.clocks.set_skew(if ahead { by } else { -by });
        self.moods.skewed = Some(self.turn + 5 + random.below(60));
        true
    }

    /// The clock steps soon after the license changed, which the node records of its own before it goes on.
    fn step_clock(&mut self, random: &mut Random) -> bool {
        if self.moods.skewed.is_some() || self.moods.hours_ahead.is_some() {
            return false;
        }
        let denied = self.moods.unlicensed.is_none();
        self.outside.license(denied, denied, self.now_ms());
        self.moods.unlicensed = denied.then(|| self.turn + 20 + random.below(100));
        self.tell(FactKind::License);
        self.moods.step_ms = Some(random.pick([-600_000, 60_000, 600_000]));
        self.moods.skewed = Some(self.turn + 5 + random.below(30));
        true
    }

    /// A clock that is wrong from a start on is believed: it jumps against nothing.
    fn start_hours_ahead(&mut self, random: &mut Random) -> bool {
        if self.moods.skewed.is_some() || self.moods.hours_ahead.is_some() {
            return false;
        }
        self.end_process(random);
        self.site.clocks.set_skew(random.pick([3_600_000, 7_200_000, 21_600_000]));
        self.moods.hours_ahead = Some(self.turn + 10 + random.below(40));
        true
    }

    fn moods_pass(&mut self, random: &mut Random) {
        let (turn, now_ms) = (self.turn, self.now_ms());
        let over = |mood: &mut Option<u64>| mood.take_if(|until| *until <= turn).is_some();
        if over(&mut self.moods.skewed) {
            self.site.clocks.steady();
            self.moods.step_ms = None;
        }
        if self.moods.unasked.take_if(|(_, until)| *until <= turn).is_none()
            && let Some(node) = self.node.as_ref().filter(|_| self.moods.unasked.is_some())
        {
            // Each round makes idle heads older.
            node.single.handle().tidy();
        }
        if over(&mut self.moods.hours_ahead) {
            // Put right while the node is down: it believes the clock that it starts with.
            self.end_process(random);
            self.site.clocks.set_skew(0);
        }
        if over(&mut self.moods.unlicensed) {
            self.outside.license(false, false, now_ms);
            self.tell(FactKind::License);
        }
        if over(&mut self.moods.voters_silent) {
            self.outside.pulses(0, now_ms.saturating_sub(120_000), now_ms);
            self.tell(FactKind::Liveness);
            self.nudge_all();
        }
        if over(&mut self.moods.providers_silent) {
            self.outside.silent = false;
        }
        if over(&mut self.moods.full) {
            self.site.disk.make_room();
        }
        if over(&mut self.moods.damaged) {
            self.site.disk.repair();
            self.tally.count("repairs");
            // A process that read the damaged rows starts again and reads them once more.
            self.end_process(random);
        }
    }

    /// Tells the node what is said of a kind.
    pub(super) fn tell(&self, kind: FactKind) {
        if let Some(node) = &self.node {
            self.site.tell(node, &self.outside, kind);
        }
    }

    pub(super) fn nudge_all(&self) {
        let Some(node) = &self.node else { return };
        self.projects().into_iter().for_each(|project| node.single.handle().nudge(project));
    }
}

/// Whether a fault counts when its trap fires.
fn is_trap(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::Kill | Fault::PowerLoss | Fault::WriteFails | Fault::SyncFails | Fault::ReadFails | Fault::DiskFull
    )
}

/// Whether a fault happens to messages, which ask for themselves.
fn of_messages(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::DuplicateProposal
            | Fault::DropProposal
            | Fault::DelayProposal
            | Fault::Reorder
            | Fault::DuplicateAnswer
            | Fault::DropAnswer
            | Fault::DelayAnswer
            | Fault::Misplaced
            | Fault::EffectRepeat
            | Fault::WorkerBarred
            | Fault::OldWorker
    )
}
