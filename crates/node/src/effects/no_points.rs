//! In the place of the crash points, for programs that are built without them.

use swoosh_effects::Point;
use swoosh_types::ids::EffectId;

/// No point to crash at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Points;

impl Points {
    pub fn from_environment() -> anyhow::Result<Points> {
        if std::env::var_os("SWOOSH_CRASH_AT").is_some() {
            tracing::warn!("SWOOSH_CRASH_AT is set and does not count: this program is built without crash points");
        }
        Ok(Points)
    }

    pub fn reached(self, _: Point, _: &EffectId) {}

    pub fn commits(self) {}
}
