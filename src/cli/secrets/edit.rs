//! `swoosh secrets edit`.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;
use tempfile::TempDir;
use tokio::signal::unix::{Signal, SignalKind, signal};
use zeroize::Zeroizing;

use super::{FileArgs, all_recipients, open};
use crate::cli::output::{Output, count};
use crate::files;
use crate::platform::agefile;
use crate::platform::secrets::Secrets;

/// Edits a secrets file.
pub(super) fn edit(output: Output, args: &FileArgs) -> anyhow::Result<ExitCode> {
    let (settings, file) = args.settings()?;
    let (plain, own) = open(&file, settings.secrets.identity.as_deref())?;
    let recipients = all_recipients(own, &settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let changed = runtime.block_on(edited(&plain))?;
    let said = |changed: bool, text: String| output.say(&json!({"file": file, "changed": changed}), || text);
    let Some(changed) = changed.filter(|changed| **changed != *plain) else {
        said(false, format!("{}: nothing was changed", file.display()))?;
        return Ok(ExitCode::SUCCESS);
    };
    let mode = std::fs::metadata(&file)?.permissions().mode() & 0o777;
    let replaced = files::replace(&file, &agefile::encrypt(&recipients, &changed)?, mode);
    replaced.with_context(|| format!("{} cannot be written", file.display()))?;
    said(true, format!("{}: written for {}", file.display(), count(recipients.len() as u64, "recipient")))?;
    Ok(ExitCode::SUCCESS)
}

/// The edited text; `None` when the user gave up. The plain text is gone from the disk when this returns.
async fn edited(plain: &[u8]) -> anyhow::Result<Option<Zeroizing<Vec<u8>>>> {
    // Heard from now on, so that no signal ends this process before it has tidied up.
    let mut signals = Signals::hear()?;
    let draft = Draft::new(plain)?;
    loop {
        signals.run_editor(&draft.path).await?;
        let changed = draft.read()?;
        match Secrets::parse(&changed) {
            Ok(_) => return Ok(Some(changed)),
            Err(error) if !std::io::stdin().is_terminal() => anyhow::bail!("{error}; nothing was changed"),
            Err(error) => {
                eprint!("{error}; edit again? [Y/n] ");
                let mut answer = String::new();
                std::io::stdin().read_line(&mut answer)?;
                if answer.trim().eq_ignore_ascii_case("n") {
                    return Ok(None);
                }
            }
        }
    }
}

/// A plain text in a directory that only its owner may enter; overwritten and removed in the end.
struct Draft {
    _directory: TempDir,
    path: PathBuf,
}

impl Draft {
    fn new(plain: &[u8]) -> anyhow::Result<Draft> {
        let directory = tempfile::Builder::new()
            .prefix("swoosh-secrets-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir_in(in_memory())?;
        let path = directory.path().join("secrets.yaml");
        let draft = Draft { _directory: directory, path };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft.path)?;
        file.write_all(plain)?;
        Ok(draft)
    }

    fn read(&self) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        let mut file = File::open(&self.path).context("the editor took the file away; nothing was changed")?;
        let length = usize::try_from(file.metadata()?.len())?;
        let mut plain = Zeroizing::new(Vec::with_capacity(length + 1));
        file.read_to_end(&mut plain)?;
        Ok(plain)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // A file that cannot be overwritten is removed nevertheless.
        if let Ok(mut file) = OpenOptions::new().write(true).open(&self.path) {
            let length = file.metadata().map_or(0, |metadata| metadata.len());
            let _ = std::io::copy(&mut std::io::repeat(0).take(length), &mut file);
            let _ = file.sync_all();
        }
    }
}

/// A directory in memory where the system has one, so that plain text reaches no disk.
fn in_memory() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let candidates = runtime.into_iter().chain([PathBuf::from("/dev/shm")]);
    let usable = |path: &PathBuf| path.is_dir() && tempfile::tempfile_in(path).is_ok();
    candidates.into_iter().find(usable).unwrap_or_else(std::env::temp_dir)
}

/// Signals that would end this process.
struct Signals {
    ignored: [Signal; 2],
    ending: [Signal; 2],
}

impl Signals {
    fn hear() -> std::io::Result<Signals> {
        Ok(Signals {
            // From the terminal: the editor gets them as well, and knows what to do.
            ignored: [signal(SignalKind::interrupt())?, signal(SignalKind::quit())?],
            ending: [signal(SignalKind::terminate())?, signal(SignalKind::hangup())?],
        })
    }

    #[expect(clippy::disallowed_methods, reason = "a person's own editor")]
    async fn run_editor(&mut self, path: &Path) -> anyhow::Result<()> {
        let variable = |name| std::env::var(name).ok().filter(|editor: &String| !editor.trim().is_empty());
        let editor = variable("VISUAL").or_else(|| variable("EDITOR")).unwrap_or_else(|| "vi".to_owned());
        // By way of the shell, so that an editor may have arguments; it takes the shell's place, so that it is the editor
        // that is ended when this process is. The identity is not the editor's to know.
        let mut command = tokio::process::Command::new("sh");
        command.arg("-c").arg(format!("exec {editor} \"$1\"")).arg("sh").arg(path).kill_on_drop(true);
        let mut child = command.env_remove(agefile::IDENTITY_VARIABLE).spawn().context("cannot start a shell")?;
        let [interrupt, quit] = &mut self.ignored;
        let [terminate, hangup] = &mut self.ending;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status?,
                _ = interrupt.recv() => {}
                _ = quit.recv() => {}
                _ = terminate.recv() => anyhow::bail!("ended by SIGTERM; nothing was changed"),
                _ = hangup.recv() => anyhow::bail!("the terminal went away; nothing was changed"),
            }
        };
        anyhow::ensure!(status.success(), "the editor {editor:?} failed ({status}); nothing was changed");
        Ok(())
    }
}
