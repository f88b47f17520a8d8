//! Takes signed beats, or says why not, and leads the schedule by them.

use std::time::Instant;

use super::BeatRules;
use crate::{Provider, SayError, Speaker};
use swoosh_files as files;
use swoosh_machine::facts::FactBody;
use swoosh_types::backbeat::{BeatClaim, BeatFault, BeatNote, Schedule};
use swoosh_types::canonical::{DecodeError, from_slice};
use swoosh_types::civil::DAY_MS;
use swoosh_types::fact::FactKind;
use swoosh_types::hlc::Hlc;
use swoosh_types::keys::PublicKey;

/// The longest that one beat's word is good, in milliseconds; a later `valid_until` counts as this long after
/// `observed_at`.
const LONGEST_WORD_MS: u64 = DAY_MS;

/// Why a beat is not taken. The schedule stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum BeatRefusal {
    /// It is no signed beat.
    #[error("it is not a signed beat: {0}")]
    Form(#[from] DecodeError),
    /// It has another signer.
    #[error("it is signed by {found}; backbeat.source_key names {expected}")]
    Source { found: PublicKey, expected: PublicKey },
    /// The signature is not the source's.
    #[error("the signature is not the source's over this beat in this cluster")]
    Signature,
    /// It was said in the future.
    #[error("it was said at {0}, ahead of the node's clock; compare the clocks")]
    Future(Hlc),
    /// It is no longer good.
    #[error("it was good until {0} only")]
    Stale(Hlc),
    /// The source said something later already.
    #[error("it was said at {found}, and beat {beat} is known from {held}: the source's beats must not go back")]
    Order {
        /// When it was said.
        found: Hlc,
        /// When the beat that is held was said.
        held: Hlc,
        /// The beat that is held.
        beat: u64,
    },
    /// There is no schedule to lead.
    #[error("there is no valid window schedule for all projects to lead")]
    NoSchedule,
    /// It leads too far.
    #[error(transparent)]
    Fault(#[from] BeatFault),
    /// The schedule cannot be said.
    #[error(transparent)]
    Say(#[from] SayError),
}

/// Leads the schedule for all projects by the beats of one source.
#[derive(Debug)]
pub struct Conductor {
    rules: BeatRules,
    speaker: Speaker,
    last: Option<BeatClaim>,
}

impl Conductor {
    /// Leads what the table holds.
    pub fn new(rules: BeatRules, speaker: Speaker) -> Conductor {
        Conductor { rules, speaker, last: None }
    }

    /// The source was asked since `began`, or waited for since then, and led or did not.
    pub(super) fn asked(&self, led: bool, began: Instant) {
        self.speaker.asked(Provider::Backbeat, led, began);
    }

    /// Goes on from the beat that was taken last before a restart: the shift holds, however long ago that was.
    pub fn restore(&mut self) {
        let Ok(bytes) = std::fs::read(&self.rules.kept) else { return };
        // Earlier records were judged by the kept beats, so none of them may go back.
        let restored = self.check(&bytes).and_then(|note| self.lead(&note.claim, Hlc::default()));
        let path = self.rules.kept.display();
        match restored {
            Ok(beat) => tracing::info!(%path, beat, "the window schedule continues from the kept beat"),
            Err(error) => tracing::warn!(%path, %error, "the beat kept from before is not taken; the schedule holds"),
        }
    }

    /// Takes a beat: checks it, says the schedule that follows from it, and keeps it. Gives the beat that runs.
    pub fn take(&mut self, bytes: &[u8]) -> Result<u64, BeatRefusal> {
        let note = self.check(bytes)?;
        if self.last.as_ref() == Some(&note.claim) {
            // A source that is polled says the same until it says something new.
            return self
                .held(self.now())
                .map(|(schedule, _)| schedule.beat_at(self.now()))
                .ok_or(BeatRefusal::NoSchedule);
        }
        self.check_time(&note.claim)?;
        let beat = self.lead(&note.claim, self.now())?;
        if let Err(error) = files::replace(&self.rules.kept, bytes, files::PRIVATE) {
            tracing::warn!(path = %self.rules.kept.display(), %error, "the beat cannot be kept for a restart");
        }
        Ok(beat)
    }

    fn check(&self, bytes: &[u8]) -> Result<BeatNote, BeatRefusal> {
        let note: BeatNote = from_slice(bytes)?;
        let (found, expected) = (note.claim.source, self.rules.source);
        if found != expected {
            return Err(BeatRefusal::Source { found, expected });
        }
        if note.verify(self.speaker.table().cluster()) { Ok(note) } else { Err(BeatRefusal::Signature) }
    }

    fn now(&self) -> Hlc {
        Hlc::new(self.speaker.table().clock().now().wall_ms, 0).unwrap_or_default()
    }

    fn check_time(&self, claim: &BeatClaim) -> Result<(), BeatRefusal> {
        let now_ms = self.now().physical_ms();
        if claim.observed_at.physical_ms() > now_ms.saturating_add(self.rules.max_ahead_ms) {
            return Err(BeatRefusal::Future(claim.observed_at));
        }
        let capped = claim.observed_at.physical_ms().saturating_add(LONGEST_WORD_MS);
        if claim.valid_until.physical_ms().min(capped) < now_ms {
            return Err(BeatRefusal::Stale(claim.valid_until));
        }
        match &self.last {
            Some(last) if claim.observed_at <= last.observed_at || claim.beat < last.beat => {
                Err(BeatRefusal::Order { found: claim.observed_at, held: last.observed_at, beat: last.beat })
            }
            _ => Ok(()),
        }
    }

    /// Says the schedule that follows, which may not take the beat of `since` back; it is believed as long as the one
    /// that is led.
    fn lead(&mut self, claim: &BeatClaim, since: Hlc) -> Result<u64, BeatRefusal> {
        let now = self.now();
        let (schedule, until_ms) = self.held(now).ok_or(BeatRefusal::NoSchedule)?;
        let capped = claim.observed_at.physical_ms().saturating_add(LONGEST_WORD_MS);
        let good_until = claim.valid_until.min(Hlc::new(capped, 0).unwrap_or(claim.valid_until));
        let led = schedule.led_by(&BeatClaim { valid_until: good_until, ..claim.clone() }, self.rules.bounds, since)?;
        let valid_for_ms = until_ms.saturating_sub(now.physical_ms());
        if led != schedule {
            self.speaker.say(FactKind::Windows, None, valid_for_ms, &led)?;
        }
        self.last = Some(claim.clone());
        Ok(led.beat_at(now))
    }

    fn held(&self, now: Hlc) -> Option<(Schedule, u64)> {
        let facts = self.speaker.table().facts();
        let fact = facts.set().at(FactKind::Windows, None).filter(|fact| fact.is_valid(now))?;
        let FactBody::Windows(schedule) = &fact.body else { return None };
        Some((schedule.clone(), fact.fact.believed_until_ms()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::fixture::*;
    use swoosh_testkit::syscalls;
    use swoosh_types::backbeat::LiveBounds;
    use swoosh_types::keys::SecretKey;

    fn source() -> SecretKey {
        SecretKey::from_bytes(&[9; 32])
    }

    fn hlc(ms: u64) -> Hlc {
        Hlc::new(ms, 0).unwrap()
    }

    /// Beats of a minute; 40 s of beat 1,000 are over.
    fn conductor(folder: &Path) -> Conductor {
        let speaker = Speaker::new(Arc::new(table()), node());
        let epoch = hlc(NOW_MS - 60_040_000);
        let (windows, amplitude) = ([].into(), Vec::new());
        let schedule = Schedule { epoch, beat_ms: 60_000, cycle_beats: 60, windows, amplitude, live: None };
        speaker.say(FactKind::Windows, None, DAY_MS, &schedule).unwrap();
        let bounds = LiveBounds { max_shift_ms: 60_000, max_tempo_permille: 100, max_pressure: 1_000 };
        let rules =
            BeatRules { source: source().public(), bounds, max_ahead_ms: 5_000, kept: folder.join("kept.json") };
        Conductor::new(rules, speaker)
    }

    /// Beat 1,000 began so much later than by the schedule, and this was said at this time.
    fn beat(late_ms: u64, observed_ms: u64, lasts_ms: u64) -> Vec<u8> {
        let claim = BeatClaim {
            source: source().public(),
            observed_at: hlc(observed_ms),
            valid_until: hlc(observed_ms + lasts_ms),
            beat: 1_000,
            began_at: hlc(NOW_MS - 40_000 + late_ms),
            beat_ms: 60_000,
            pressure: None,
        };
        swoosh_types::canonical::canonical_bytes(&claim.sign(&cluster(), &source()))
    }

    fn shift_ms(conductor: &Conductor) -> i64 {
        let (schedule, _) = conductor.held(conductor.now()).unwrap();
        schedule.outlook(conductor.now(), 0).shift_ms
    }

    #[test]
    fn beats_are_taken_in_the_order_they_were_said_and_while_they_are_good() {
        let folder = tempfile::tempdir().unwrap();
        let mut conductor = conductor(folder.path());
        let good = beat(30_000, NOW_MS, 60_000);
        assert_eq!((conductor.take(&good).unwrap(), shift_ms(&conductor)), (1_000, 30_000));
        assert_eq!(conductor.take(&good).unwrap(), 1_000, "said again");
        assert!(matches!(conductor.take(&beat(20_000, NOW_MS - 1, 60_000)), Err(BeatRefusal::Order { .. })));
        assert!(matches!(conductor.take(&beat(20_000, NOW_MS + 5_001, 60_000)), Err(BeatRefusal::Future(_))));
        assert!(matches!(conductor.take(&beat(20_000, NOW_MS - 10, 9)), Err(BeatRefusal::Stale(_))));
        assert!(matches!(conductor.take(b"{}"), Err(BeatRefusal::Form(_))));
        assert!(conductor.take(&beat(50_000, NOW_MS + 1, 60_000)).is_err(), "it would take the beat back");
        assert_eq!(shift_ms(&conductor), 30_000);
    }

    /// The beat was renamed without a sync: a loss of power left an empty file, and the restarted node fell back to the schedule and
    /// took beats back.
    #[test]
    fn the_beat_for_a_restart_is_synced() {
        let name = "backbeat::conductor::tests::the_beat_for_a_restart_is_synced";
        syscalls::assert_durable(name, "kept.json", |folder| {
            conductor(folder).take(&beat(30_000, NOW_MS, 60_000)).unwrap();
        });
    }

    #[test]
    fn a_restart_goes_on_as_it_was_led_also_where_that_is_behind_the_schedule() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("kept.json"), beat(50_000, NOW_MS - DAY_MS / 2, 1)).unwrap();
        let mut restarted = conductor(folder.path());
        restarted.restore();
        assert_eq!(shift_ms(&restarted), 50_000);
        std::fs::write(folder.path().join("kept.json"), "torn").unwrap();
        let mut torn = conductor(folder.path());
        torn.restore();
        assert_eq!(shift_ms(&torn), 0, "the schedule holds");
    }
}
