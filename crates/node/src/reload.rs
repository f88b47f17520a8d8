//! Settings that SIGHUP reads again: the log's level, the policies, the identities, the readers and the grants to
//! callers of WHOOSH. All other settings need a restart; fact files, bundles and TLS files are read again by their
//! watchers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::clock::ClockDesk;
use super::node::Node;
use super::readers;
use swoosh_facts::Speaker;
use swoosh_http::SharedReaders;
use swoosh_settings::{MigrationCaller, Overrides, Settings};
use swoosh_telemetry::log;
use swoosh_types::fact::{FactKind, PolicyBundle};
use swoosh_types::text::Name;

/// Reads the settings file again.
pub struct Reload {
    config: Option<PathBuf>,
    overrides: Overrides,
    speaker: Speaker,
    /// Says the settings that guards read.
    clock: Arc<ClockDesk>,
    readers: SharedReaders,
    /// The policies of the settings, as they were said last.
    said: Mutex<Option<PolicyBundle>>,
    /// The callers of WHOOSH that the shim was started with.
    callers: BTreeMap<Name, MigrationCaller>,
}

impl Reload {
    /// To be made when the node said its policies.
    pub fn new(
        (config, overrides): (Option<PathBuf>, Overrides),
        settings: &Settings,
        node: &Node,
        readers: SharedReaders,
    ) -> Reload {
        let (speaker, clock) = (node.speaker().clone(), node.clock().clone());
        let (said, callers) = (Mutex::new(settings.policy_bundle().ok()), settings.migration.callers.clone());
        Reload { config, overrides, speaker, clock, readers, said, callers }
    }

    /// Takes over changeable settings. Unusable ones are logged, and the earlier ones stay.
    pub fn run(&self) {
        match Settings::load(self.config.as_deref(), self.overrides.clone()) {
            Ok(settings) => {
                self.log(&settings);
                self.policies(&settings);
                readers::reload(&self.readers, &settings, || self.identities(&settings));
            }
            Err(error) => tracing::error!(%error, "the settings stay as they were: they cannot be used"),
        }
    }

    fn log(&self, settings: &Settings) {
        match log::set_filter(&settings.log.level) {
            Ok(()) => tracing::info!(level = settings.log.level, "the log's level was read again"),
            Err(error) => tracing::error!(%error, "the log's level is unchanged"),
        }
    }

    /// Whether the identities are those of the settings now.
    fn identities(&self, settings: &Settings) -> bool {
        let mut read = settings.guard_settings(self.speaker.key());
        read.grants.retain(|name, grant| {
            // The shim still uses the caller of the start, perhaps without a token.
            let is_known = self.callers.get(&grant.caller) == settings.migration.callers.get(&grant.caller);
            if !is_known {
                tracing::error!(%name, caller = %grant.caller, "the grant waits for a restart: its caller was changed");
            }
            is_known
        });
        let (identities, grants) = (settings.identities.len(), read.grants.len());
        match self.clock.set_identities(read) {
            Ok(true) => tracing::info!(identities, grants, "the identities were read again"),
            Ok(false) => {}
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the identities stay unchanged");
                return false;
            }
        }
        true
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
