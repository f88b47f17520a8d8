//! HEALTHCHECK and the release of what was provisioned.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{Done, Workshop, on_disk};
use crate::effects::outcome::{Outcomes, Report};
use crate::effects::worker::{Failed, Job, Step, Work};
use crate::types::hash::Hash;
use crate::types::inputs::{AssetHealth, AssetOutcomes, Assets};
use crate::types::names::Transition;
use crate::types::text::AssetName;

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

impl Workshop {
    /// Hashes every asset again: one that is missing or has other bytes failed.
    pub(super) fn healthcheck(&self, job: &Job, assets: &Assets, work: &Work<'_>) -> Done {
        let folder = self.folder(&job.id.project).environment();
        let mut outcomes = AssetOutcomes::new();
        let mut wrong = Vec::new();
        for (number, (asset, hash)) in assets.iter().enumerate() {
            (work.tell)(Step { text: format!("hashing {asset}"), done: number as u64, total: assets.len() as u64 });
            let fault = fault(&folder, asset, hash, work)?;
            let health = if fault.is_none() { AssetHealth::Ok } else { AssetHealth::Failed };
            outcomes.insert(asset.clone(), health);
            wrong.extend(fault);
        }
        self.outside.say_health(&job.id.project, &outcomes).map_err(Failed::passing)?;
        let report = Report { outcomes: Some(Outcomes::Assets(outcomes)), ..Report::default() };
        if wrong.is_empty() {
            return Ok((Transition::EnvironmentGreen, report));
        }
        Err(Failed { reason: wrong.join("; "), again: false, report })
    }

    /// Removes everything that provisioning made, also what is on no record. Again after a crash removes the rest.
    pub(super) fn release(&self, job: &Job, assets: &Assets, work: &Work<'_>) -> Done {
        let folder = self.folder(&job.id.project).environment();
        work.say(format!("removing {} assets", assets.len()));
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(on_disk(&folder, &error)),
            _ => Ok((Transition::EnvironmentReleased, Report::default())),
        }
    }
}

/// Where an asset is.
pub(super) fn path_of(folder: &Path, asset: &AssetName) -> PathBuf {
    folder.join("assets").join(asset.as_str())
}

/// What is wrong with an asset.
fn fault(folder: &Path, asset: &AssetName, wanted: &Hash, work: &Work<'_>) -> Result<Option<String>, Failed> {
    let path = path_of(folder, asset);
    match hash_file(&path, work) {
        Ok(Some(found)) if found == *wanted => Ok(None),
        Ok(Some(found)) => Ok(Some(format!("{asset} hashes to {found}, not to {wanted}"))),
        Ok(None) => Err(Failed::passing("it was told to stop")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(format!("{asset} is not there"))),
        Err(error) => Err(on_disk(&path, &error)),
    }
}

/// The hash of a file; none when it was told to stop first.
pub(super) fn hash_file(path: &Path, work: &Work<'_>) -> io::Result<Option<Hash>> {
    let mut file = File::open(path)?;
    let (mut hasher, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
    loop {
        if work.leave.stop().is_some() {
            return Ok(None);
        }
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok(Some(Hash::from_bytes(hasher.finalize().into())));
        }
        hasher.update(chunk.get(..read).unwrap_or_default());
    }
}

/// Every file below a folder, as an asset.
pub(super) fn assets_in(folder: &Path, work: &Work<'_>) -> io::Result<Assets> {
    let top = folder.join("assets");
    let mut assets = Assets::new();
    let mut folders = if top.is_dir() { vec![top.clone()] } else { Vec::new() };
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&top).ok().and_then(|name| name.to_str()?.parse().ok());
            if let (Some(name), true) = (name, kind.is_file())
                && let Some(hash) = hash_file(&path, work)?
            {
                assets.insert(name, hash);
            }
        }
    }
    Ok(assets)
}
