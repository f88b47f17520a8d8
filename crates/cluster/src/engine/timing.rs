//! Times and bounds of the engine.

use std::time::Duration;

use openraft::{Config, ConfigError, SnapshotPolicy};

/// Times of elections. A follower campaigns after the longest timeout and a random one; the longest timeout is also the leader's lease.
/// So service is back within twice the longest timeout after the death of a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    pub heartbeat: Duration,
    pub election_min: Duration,
    pub election_max: Duration,
}

impl Default for Timing {
    fn default() -> Timing {
        let ms = Duration::from_millis;
        Timing { heartbeat: ms(200), election_min: ms(750), election_max: ms(1500) }
    }
}

/// The engine does not accept these times.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the times of elections contradict each other: {0}")]
pub struct TimingError(String);

/// Entries of one message. The default of 300 would be 300 batches.
const ROWS_OF_A_MESSAGE: u64 = 16;
/// A leader that removed itself waits so long before it transfers the leadership and steps down.
const STEP_DOWN_MS: u64 = 150;
/// A state is sent as long as it takes; the engine does not enforce this time.
const STATE_MS: u64 = 24 * 60 * 60 * 1000;

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Timing {
    pub(super) fn config(&self) -> Result<Config, TimingError> {
        let election_max = millis(self.election_max);
        let config = Config {
            heartbeat_interval: millis(self.heartbeat),
            election_timeout_min: millis(self.election_min),
            election_timeout_max: election_max,
            enable_pre_vote: Some(true),
            broadcast_submitted_on_append: Some(true),
            // Without it, a connected majority that the old leader reaches through one member never elects another.
            quorum_loss_probe_interval: Some(election_max.saturating_mul(2)),
            snapshot_policy: SnapshotPolicy::Never,
            // The engine would purge after each snapshot.
            max_in_snapshot_log_to_keep: u64::MAX,
            allow_log_reversion: Some(false),
            // A restarted leader would lead without an election.
            enable_leader_restore: Some(false),
            removed_leader_step_down: openraft::StepDownPolicy::After(STEP_DOWN_MS),
            max_payload_entries: ROWS_OF_A_MESSAGE,
            install_snapshot_timeout: STATE_MS,
            api_channel_size: Some(1024),
            notification_channel_size: Some(4096),
            state_machine_channel_size: Some(256),
            ..Config::default()
        };
        config.validate().map_err(|error: ConfigError| TimingError(error.to_string()))
    }

    /// The time after which a transfer of leadership will not happen any more.
    pub(super) fn transfer_patience(&self) -> Duration {
        self.election_max * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_times_are_accepted() {
        let config = Timing::default().config().unwrap();
        assert_eq!(config.quorum_loss_probe_interval, Some(3000));
        assert_eq!(config.enable_leader_restore, Some(false));
    }

    #[test]
    fn a_heartbeat_longer_than_the_election_timeout_is_refused() {
        let slow = Timing { heartbeat: Duration::from_secs(2), ..Timing::default() };
        assert!(slow.config().is_err());
    }
}
