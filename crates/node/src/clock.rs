//! An operator's orders about the node's clock: a jump is right, or stamps may run ahead of it.
//!
//! ```text
//! last stamp ──────────────●            stamps go on here, `lead` ahead of the wall clock
//! wall clock ────●─ lead ──┘            facts, windows and callers are judged here
//! ```
//! The lead only shrinks: while no record is written the wall clock comes nearer to the last stamp. It is kept in the
//! data directory and said as part of the `settings` fact, so that replay judges the same.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::export::write_whole;
use swoosh_facts::Speaker;
use swoosh_machine::facts::FactBody;
use swoosh_platform::clock::{Clock, Safety};
use swoosh_sequencer::Handle;
use swoosh_settings::Settings;
use swoosh_types::canonical::from_slice;
use swoosh_types::fact::{FactKind, GuardSettings};
use swoosh_types::hlc::Hlc;

/// The file in the data directory.
const FILE: &str = "clock.json";
/// A lead that shrank by less is not said again.
const STEP_MS: u64 = 1_000;

/// The content of the file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    lead_ms: u64,
}

/// How the clock is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClockView {
    /// The wall clock.
    pub wall: Hlc,
    /// How far the wall clock jumped against the monotonic one, in milliseconds; 0 where it did not.
    pub jumped_ms: i64,
    /// How far the last stamp is ahead of the wall clock, in milliseconds.
    pub stamps_ahead_ms: u64,
    /// How far it may be, as an operator accepted.
    pub lead_ms: u64,
    /// Why the clock is not trusted.
    pub problem: Option<String>,
}

/// The clock, as an operator sees and corrects it.
pub struct ClockDesk {
    clock: Arc<Clock>,
    handle: Handle,
    speaker: Speaker,
    /// The settings that guards read, as they were said last but for the lead.
    settings: Mutex<GuardSettings>,
    path: PathBuf,
    /// The lead that was said last. Held while it changes.
    lead_ms: Mutex<u64>,
}

impl ClockDesk {
    /// Takes up a lead that was accepted before, as far as it is still needed.
    pub fn open(settings: &Settings, clock: Arc<Clock>, handle: Handle, speaker: Speaker) -> anyhow::Result<ClockDesk> {
        let path = settings.data.join(FILE);
        let kept = match std::fs::read(&path) {
            Ok(bytes) => from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error, "the accepted lead of the clock cannot be read; accept it again");
                Kept::default()
            }),
            Err(_) => Kept::default(),
        };
        let guards = settings.guard_settings(speaker.key());
        let desk = ClockDesk { clock, handle, speaker, settings: Mutex::new(guards), path, lead_ms: Mutex::new(0) };
        let needed_ms = desk.handle.ahead_ms().unwrap_or(0).min(kept.lead_ms);
        desk.say(&mut desk.lead(), needed_ms)?;
        Ok(desk)
    }

    fn settings(&self) -> MutexGuard<'_, GuardSettings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings other identities of the settings, and other grants, into force; whether they are others.
    pub fn set_identities(&self, read: GuardSettings) -> anyhow::Result<bool> {
        let lead = self.lead();
        let before = self.settings().clone();
        let after = GuardSettings { identities: read.identities, grants: read.grants, ..before.clone() };
        if before == after {
            return Ok(false);
        }
        *self.settings() = after;
        let said = self.say_settings(*lead);
        if said.is_err() {
            *self.settings() = before;
        }
        said.map(|()| true)
    }

    fn lead(&self) -> MutexGuard<'_, u64> {
        self.lead_ms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the clock is.
    pub fn view(&self) -> ClockView {
        let now = self.clock.now();
        let jumped_ms = match now.safety {
            Safety::Safe => 0,
            Safety::Unsafe { drift_ms } => drift_ms,
        };
        ClockView {
            wall: Hlc::new(now.wall_ms, 0).unwrap_or_default(),
            jumped_ms,
            stamps_ahead_ms: self.handle.ahead_ms().unwrap_or(0),
            lead_ms: *self.lead(),
            problem: self.handle.status().clock_unsafe,
        }
    }

    /// Believes the wall clock as it is now. Where the last stamp lies ahead of it by more than callers may be behind,
    /// stamps run ahead from here on.
    pub fn accept(&self) -> anyhow::Result<ClockView> {
        let mut lead = self.lead();
        let drift_ms = self.clock.accept_jump();
        let limit_ms = self.clock.now().wall_ms.saturating_add(self.speaker.table().max_ahead_ms());
        let forgotten = self.speaker.table().forget_after(limit_ms);
        let ahead_ms = self.handle.ahead_ms().map_err(anyhow::Error::msg)?;
        let wanted_ms = if ahead_ms > self.settings().max_behind_ms || *lead > 0 { ahead_ms } else { 0 };
        self.keep(wanted_ms)?;
        // Also where it is the same: the settings may be among the facts that were forgotten.
        if forgotten > 0 {
            self.say_settings(wanted_ms)?;
        }
        self.say(&mut lead, wanted_ms)?;
        drop(lead);
        tracing::warn!(drift_ms, lead_ms = wanted_ms, forgotten, "an operator accepted the clock");
        Ok(self.view())
    }

    /// Lets the lead shrink as far as the wall clock came nearer to the last stamp.
    pub fn settle(&self) {
        let mut lead = self.lead();
        let Ok(ahead_ms) = self.handle.ahead_ms() else { return };
        let is_less = ahead_ms + STEP_MS <= *lead || (ahead_ms == 0 && *lead > 0);
        if !is_less {
            return;
        }
        let done = self.say(&mut lead, ahead_ms).and_then(|()| self.keep(ahead_ms));
        if let Err(error) = done {
            tracing::warn!(error = format!("{error:#}"), "the lead of the clock stays; it is tried again");
        }
    }

    fn keep(&self, lead_ms: u64) -> anyhow::Result<()> {
        write_whole(&self.path, &serde_json::to_vec(&Kept { lead_ms })?).context("the lead is not kept").map(drop)
    }

    fn say(&self, lead: &mut u64, lead_ms: u64) -> anyhow::Result<()> {
        if *lead != lead_ms {
            self.say_settings(lead_ms)?;
            *lead = lead_ms;
        }
        Ok(())
    }

    fn say_settings(&self, lead_ms: u64) -> anyhow::Result<()> {
        let facts = self.handle.facts();
        let mut settings = match facts.set().at(FactKind::Settings, None).map(|fact| &fact.body) {
            Some(FactBody::Settings(held)) => held.clone(),
            _ => self.settings().clone(),
        };
        settings.identities = self.settings().identities.clone();
        settings.grants = self.settings().grants.clone();
        settings.lead_ms = lead_ms;
        self.speaker.say(FactKind::Settings, None, FactKind::Settings.max_lifetime_ms(), &settings)?;
        Ok(())
    }
}
