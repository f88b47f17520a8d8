//! PROVISION.

use super::environment::assets_in;
use super::{Done, Workshop, on_disk};
use crate::effects::outcome::Report;
use crate::effects::worker::{Failed, Job, Work};

impl Workshop {
    pub(super) fn provision(&self, job: &Job, work: &Work<'_>) -> Done {
        let folder = self.folder(&job.id.project).environment();
        let assets = assets_in(&folder, work).map_err(|error| on_disk(&folder, &error))?;
        let reason = "there is nothing to build: effects.builds names no build".to_owned();
        Err(Failed { reason, again: false, report: Report { assets: Some(assets), ..Report::default() } })
    }
}
