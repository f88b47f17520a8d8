//! `swoosh templates`: builders, and the packer files that a build is composed of.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::builds::{BuildArgs, Desk, Place};
use super::config::changes;
use super::connect::exit;
use super::output::{Output, Table, count};
use crate::hybridcore::config::store::CONFIGS_FOLDER;
use crate::hybridcore::definitions::{DEFINITIONS_FOLDER, Definitions};
use crate::hybridcore::prepare;
use crate::hybridcore::state::files;
use crate::hybridcore::templates::{Builder, Deviation, Inventory, MANIFEST_FILE, Manifest};

/// Arguments of `swoosh templates`.
#[derive(Debug, clap::Args)]
#[command(
    about = "List builders, compose packer templates, and verify the compositions",
    long_about = "List builders, compose packer templates, and verify the compositions.\n\ninventory.yaml names the builders of each \
        operating system and platform by their canonical identifiers (source.PLUGIN-KIND.NAME). `compose` puts the files \
        of a build together in one order that never changes (settings, variables, locals, source, build, assets) in \
        configs/ENV/BUILD/, with composition.json beside them: every file, its hash, and its parts. \
        `verify` lists changes since then, there or in the definitions. No daemon is needed.",
    after_help = "Begin:\n  swoosh templates list\n  swoosh templates compose dev --builder file.linux-image\n  swoosh templates verify"
)]
pub struct TemplatesCommand {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List builders by operating system and platform
    #[command(after_help = "Examples:\n  swoosh templates list\n  swoosh templates list linux,proxmox")]
    List {
        /// Only those for this operating system and platform
        #[arg(value_name = "OS,PLATFORM", value_parser = pair)]
        only: Option<(String, String)>,
    },
    /// Compose the packer files of a build in configs/ENV/BUILD/
    ///
    /// Files that an earlier composition wrote and this one lacks are taken away; a file that was edited by hand stops everything.
    #[command(after_help = "Examples:\n  swoosh templates compose dev --builder file.linux-image\n  \
            swoosh templates compose prod --builder proxmox-iso.linux-debian-12 --set puppet_enabled=true")]
    Compose {
        #[command(flatten)]
        build: BuildArgs,
        /// Replace files that were edited by hand; they are kept beside as NAME.edited
        #[arg(long)]
        overwrite: bool,
    },
    /// Tell what has changed since files were composed
    ///
    /// Holds files and definitions against composition.json. Ends with 1 when anything differs.
    #[command(
        after_help = "Examples:\n  swoosh templates verify\n  swoosh templates verify configs/dev/file.linux-image"
    )]
    Verify {
        /// Folders of compositions; all under configs/ when left out
        #[arg(value_name = "FOLDER")]
        folders: Vec<PathBuf>,
    },
    /// Write the built-in definitions to a folder, to change them there
    #[command(after_help = "Example:\n  swoosh templates init        # writes config/hybridcore")]
    Init {
        /// A folder that is not there yet; config/hybridcore in the root when left out
        #[arg(value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (os, platform) =
        text.split_once(',').ok_or_else(|| format!("{text:?} is no pair; write OS,PLATFORM, as linux,proxmox"))?;
    Ok((os.trim().to_owned(), platform.trim().to_owned()))
}

impl TemplatesCommand {
    /// Does what was asked.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let place = &self.place;
        match self.action {
            Action::List { only } => list(&place.definitions(output)?, only.as_ref(), output),
            Action::Compose { build, overwrite } => compose(place, &build, overwrite, output),
            Action::Verify { folders } => verify(place, folders, output),
            Action::Init { folder } => {
                let folder = folder.map_or_else(|| place.root().map(|root| root.join(DEFINITIONS_FOLDER)), Ok)?;
                init(&folder, output)
            }
        }
    }
}

fn list(definitions: &Definitions, only: Option<&(String, String)>, output: Output) -> anyhow::Result<ExitCode> {
    let inventory = Inventory::load(definitions)?;
    let wanted = only.map(|(os, platform)| inventory.list_builders(os, platform)).transpose()?;
    let is_wanted = |builder: &&Builder| wanted.as_ref().is_none_or(|wanted| wanted.contains(&builder.id));
    let builders: Vec<&Builder> = inventory.builders().filter(is_wanted).collect();
    output.say(&builders, || {
        let mut table = Table::with(&["builder", "os", "platform", ""]);
        for builder in &builders {
            let Builder { id, os, platform, description, .. } = builder;
            table.row([id.to_string(), os.clone(), platform.clone(), description.clone()]);
        }
        table.text(0)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn compose(place: &Place, build: &BuildArgs, overwrite: bool, output: Output) -> anyhow::Result<ExitCode> {
    let request = build.request()?;
    let desk = Desk::open(place, "templates", output)?;
    let Desk { root, definitions, leave, log } = &desk;
    let desk = prepare::Desk { root, definitions, overwrite, leave, log };
    let design = prepare::design(definitions, &request).inspect_err(|error| log.error(&error.to_string()))?;
    let prepared = prepare::written(&desk, &design, &design.composition_batch()?)?;
    let manifest = design.composition.manifest();
    output.say(&json!({"folder": prepared.folder, "changes": prepared.changes, "manifest": manifest}), || {
        let mut lines: Vec<String> =
            manifest.files.iter().map(|file| format!("  {}  {}", file.sha256.short(12), file.path)).collect();
        lines.extend(changes(&prepared));
        lines.push(format!("{}: checksum {}", prepared.folder.display(), manifest.checksum));
        lines.join("\n")
    })?;
    Ok(ExitCode::SUCCESS)
}

fn verify(place: &Place, folders: Vec<PathBuf>, output: Output) -> anyhow::Result<ExitCode> {
    let definitions = place.definitions(output)?;
    let folders = if folders.is_empty() { composed(&place.root()?.join(CONFIGS_FOLDER)) } else { folders };
    anyhow::ensure!(
        !folders.is_empty(),
        "nothing was composed under {}; begin with `swoosh templates compose --help`",
        place.root()?.join(CONFIGS_FOLDER).display()
    );
    let mut found: Vec<(PathBuf, Vec<Deviation>)> = Vec::new();
    for folder in folders {
        let deviations = Manifest::load(&folder)?.verify(&folder, Some(&definitions))?;
        found.push((folder, deviations));
    }
    let good = found.iter().all(|(_, deviations)| deviations.is_empty());
    let documents: Vec<_> =
        found.iter().map(|(folder, deviations)| json!({"folder": folder, "deviations": deviations})).collect();
    output.say(&json!({"ok": good, "compositions": documents}), || {
        let mut lines = Vec::new();
        for (folder, deviations) in &found {
            let mark = if deviations.is_empty() { "✓" } else { "✗" };
            lines.push(format!("  {mark}  {}", folder.display()));
            lines.extend(deviations.iter().map(|deviation| format!("     {}", deviation.words())));
        }
        lines.join("\n")
    })?;
    Ok(exit(good))
}

/// Folders under `configs/ENV/` that hold a manifest, sorted.
fn composed(configs: &Path) -> Vec<PathBuf> {
    let below = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    let mut found: Vec<PathBuf> = below(configs).iter().flat_map(|environment| below(environment)).collect();
    found.retain(|folder| folder.join(MANIFEST_FILE).is_file());
    found.sort();
    found
}

fn init(folder: &Path, output: Output) -> anyhow::Result<ExitCode> {
    let absent = !folder.exists();
    anyhow::ensure!(
        absent,
        "{} is there already; name a folder that is not, or change the files in it",
        folder.display()
    );
    let definitions = Definitions::built_in();
    // Beside it and then renamed, so that a folder of half the files is never taken for all of them.
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let context = || format!("{} cannot be written", folder.display());
    std::fs::create_dir_all(parent).with_context(context)?;
    let staged = tempfile::Builder::new().prefix(".swoosh-definitions-").tempdir_in(parent).with_context(context)?;
    for (path, bytes) in definitions.files() {
        files::replace(&staged.path().join(path), bytes)?;
    }
    std::fs::set_permissions(staged.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .with_context(context)?;
    std::fs::rename(staged.keep(), folder).with_context(context)?;
    let number = definitions.files().count() as u64;
    output.say(&json!({"folder": folder, "files": number}), || {
        format!("{}: {}", folder.display(), count(number, "file"))
    })?;
    Ok(ExitCode::SUCCESS)
}
