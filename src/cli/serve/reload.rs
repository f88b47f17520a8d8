//! What SIGHUP reads again of the settings themselves: the log's level, the policies and the identities. Everything else takes a
//! restart; fact files, bundles and TLS files are read again by whoever watches them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::clock::ClockDesk;
use super::node::Node;
use crate::facts::Speaker;
use crate::settings::{Overrides, Settings};
use crate::telemetry::log;
use crate::types::fact::{FactKind, PolicyBundle};

/// Reads the settings file again.
pub(super) struct Reload {
    config: Option<PathBuf>,
    overrides: Overrides,
    speaker: Speaker,
    /// Says the settings that guards read.
    clock: Arc<ClockDesk>,
    /// The policies of the settings, as they were said last.
    said: Mutex<Option<PolicyBundle>>,
}

impl Reload {
    /// To be made when the node said its policies.
    pub fn new(config: Option<PathBuf>, overrides: Overrides, settings: &Settings, node: &Node) -> Reload {
        let (speaker, clock) = (node.speaker().clone(), node.clock().clone());
        Reload { config, overrides, speaker, clock, said: Mutex::new(settings.policy_bundle().ok()) }
    }

    /// Takes over what may change. What cannot be used is logged, and what was read before stays.
    pub fn run(&self) {
        match Settings::load(self.config.as_deref(), self.overrides.clone()) {
            Ok(settings) => {
                self.log(&settings);
                self.policies(&settings);
                self.identities(&settings);
            }
            Err(error) => tracing::error!(%error, "the settings stay as they were: they cannot be used"),
        }
    }

    fn log(&self, settings: &Settings) {
        match log::set_filter(&settings.log.level) {
            Ok(()) => tracing::info!(level = settings.log.level, "the log's level was read again"),
            Err(error) => tracing::error!(%error, "the log's level stays as it was"),
        }
    }

    fn identities(&self, settings: &Settings) {
        let identities = settings.guard_settings(self.speaker.key()).identities;
        match self.clock.set_identities(identities) {
            Ok(true) => tracing::info!(identities = settings.identities.len(), "the identities were read again"),
            Ok(false) => {}
            Err(error) => tracing::error!(error = format!("{error:#}"), "the identities stay unchanged"),
        }
    }

    fn policies(&self, settings: &Settings) {
        let bundle = match settings.policy_bundle() {
            Ok(bundle) => bundle,
            Err(error) => return tracing::error!(%error, "the policies stay as they were: they cannot be read"),
        };
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.as_ref() == Some(&bundle) {
            return;
        }
        match self.speaker.say(FactKind::Policy, None, FactKind::Policy.max_lifetime_ms(), &bundle) {
            Ok(_) => {
                tracing::info!(serial = bundle.serial, "the policies were read again");
                *said = Some(bundle);
            }
            Err(error) => {
                tracing::error!(%error, "the policies stay as they were; raise policies.serial with each change")
            }
        }
    }
}
