//! Then the faults stop: every project that has not ended must be able to reach the next REVERB within a bound.

use super::oracle::Violation;
use super::run::Looking;
use super::world::World;
use swoosh_journal::{replay, verify};
use swoosh_machine::state::TopPhase;
use swoosh_sequencer::Outcome;
use swoosh_testkit::random::Random;
use swoosh_types::names::{ExecutionState, Transition};
use swoosh_types::text::ProjectName;

/// Proposals within which a project must reach the next REVERB.
const MOST_STEPS: u64 = 160;
/// Times that a project may wait for a window, a license or a clock, for each proposal.
const MOST_WAITS: u64 = 4_000;

impl World {
    /// Everything is repaired, and every project is led to the next REVERB; then the log is checked from its first
    /// record to its last.
    pub fn come_to_life(&mut self, random: &mut Random) -> Result<(), Violation> {
        self.rates = super::faults::Rates::none();
        self.heal(random)?;
        for (number, project) in self.projects().into_iter().enumerate() {
            self.lead(number, &project, random)?;
        }
        self.ask_again(64, random)?;
        self.tally.count("logs verified and replayed from their first record");
        self.mend_bases();
        if self.looking == Looking::AtTheTrace {
            return Ok(());
        }
        self.oracle.all_kept()?;
        self.audit()
    }

    fn heal(&mut self, random: &mut Random) -> Result<(), Violation> {
        self.site.clocks.steady();
        self.site.disk.repair();
        self.moods = super::world::Moods::default();
        self.end_process(random);
        if let Some(order) = self.order {
            self.carry_out(order, random)?;
        }
        self.calm();
        drop(self.site.disk.take_fired());
        // A stamp ahead of time is waited for.
        let ahead_ms = self.oracle.last_timestamp().physical_ms().saturating_sub(self.now_ms());
        self.site.clocks.pass(ahead_ms + 120_000);
        self.outside.lead(0, self.now_ms());
        self.outside.heal(self.now_ms());
        self.oracle.licensed_until(self.outside.licensed_until_ms());
        self.start(random)
    }

    fn lead(&mut self, number: usize, project: &ProjectName, random: &mut Random) -> Result<(), Violation> {
        let first = self.oracle.head(project).state().execution.beat;
        let mut last = String::new();
        let (mut steps, mut waits) = (0, 0);
        while steps < MOST_STEPS && waits < MOST_WAITS {
            let head = self.oracle.head(project);
            let execution = &head.state().execution;
            let arrived = execution.phase == ExecutionState::Reverb && (execution.beat > first || steps > 0);
            if arrived || head.state().phase() == TopPhase::Terminated {
                self.tally.count(if arrived { "projects led to REVERB" } else { "projects that have ended" });
                return Ok(());
            }
            let Some(transition) = self.wants(project, random) else {
                waits += 1;
                self.site.clocks.pass(1_000);
                self.say_again();
                continue;
            };
            steps += 1;
            if let Some(why) = self.try_step(number, transition, random)? {
                last = why;
                self.site.clocks.pass(3_000);
                self.say_again();
            }
        }
        let what =
            format!("{project} does not reach REVERB within {MOST_STEPS} proposals; the last was refused: {last}");
        Err(Violation { invariant: "liveness", what })
    }

    fn say_again(&mut self) {
        let said = self.outside.refresh(self.now_ms());
        said.into_iter().for_each(|kind| self.tell(kind));
        self.oracle.licensed_until(self.outside.licensed_until_ms());
    }

    /// Proposes and waits for the answer; why not, where it is refused.
    pub(super) fn try_step(
        &mut self,
        number: usize,
        transition: Transition,
        random: &mut Random,
    ) -> Result<Option<String>, Violation> {
        self.site.clocks.pass(20);
        let Some(verified) = self.post(number, transition, random) else { return Ok(Some("not built".into())) };
        let Some(node) = &mut self.node else { return Ok(Some("no node".into())) };
        let answer = node.single.propose(verified);
        while node.single.judge(true) | node.single.commit() {}
        let outcome = answer.map_or_else(Some, |mut answer| answer.try_recv().ok());
        self.after_work(random)?;
        Ok(match outcome {
            Some(Outcome::Accepted { .. }) => {
                self.went_on(number);
                None
            }
            Some(Outcome::Refused(refusal)) => {
                Some(format!("{transition}: {} {}", refusal.rejection.code, refusal.rejection.reasons.join("; ")))
            }
            None => Some(format!("{transition}: no answer")),
        })
    }

    /// The node's upkeep after a start: a snapshot rollback also removes first copies of bases, and the second copies
    /// restore them.
    fn mend_bases(&mut self) {
        let Some(node) = &self.node else { return };
        let journal = node.single.handle().journal();
        let mended = journal.projects().unwrap_or_default();
        let mended = mended.iter().filter(|project| journal.mend_base(project).is_ok_and(|mended| mended)).count();
        (0..mended).for_each(|_| self.tally.count("bases that were mended"));
    }

    /// The tools' own checks: `swoosh wal verify` and `swoosh replay` over the whole log.
    fn audit(&self) -> Result<(), Violation> {
        let Some(node) = &self.node else { return Ok(()) };
        let journal = node.single.handle().journal();
        let report = verify::verify(&journal, &mut |_| ());
        if let Some(problem) = report.problems.first() {
            return Err(Violation { invariant: "log-verifies", what: problem.to_string() });
        }
        let replayed = replay::replay(&journal, &mut |_| (), None);
        if let Some(fault) = replayed.fault {
            return Err(Violation { invariant: "replay-equal", what: fault.to_string() });
        }
        for (project, head) in &replayed.heads {
            if self.oracle.head(project).hash() != head.hash {
                let what = format!("replay from the first record leads {project} to another head");
                return Err(Violation { invariant: "replay-equal", what });
            }
        }
        if (replayed.last_index, replayed.last_chain) != self.oracle.last() {
            return Err(Violation { invariant: "replay-equal", what: "the log ends elsewhere".into() });
        }
        Ok(())
    }
}
