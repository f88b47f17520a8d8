//! `swoosh keygen` and `swoosh key`: secret keys in files, and their public halves.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::output::{Output, print};
use crate::platform::{entropy, keyfile};
use crate::types::keys::SecretKey;

/// Arguments of `swoosh keygen`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Make a secret key",
    long_about = "Make a secret key.\n\nWrites one line, hmmm:secret:…, to a new file that only its owner may read, and \
        prints the public half, hmmm:pubkey:…, which identifies you to others. An existing file is never overwritten.",
    after_help = "Examples:\n  swoosh keygen --out operator.key\n  OPERATOR=$(swoosh keygen --out operator.key)\n  \
        swoosh keygen --print | age -r age1… > operator.key.age\n\n\
        A node takes proposals of a key that its settings grant a role:\n  \
        identities:\n    \"hmmm:pubkey:…\": {name: alice, roles: [operator, human]}"
)]
pub struct KeygenCommand {
    /// File to write
    #[arg(long, value_name = "FILE", default_value = "swoosh.key")]
    out: PathBuf,
    /// Print the secret key to standard output and the public one to standard error; write no file
    #[arg(long, conflicts_with = "out")]
    print: bool,
}

/// Arguments of `swoosh key`.
#[derive(Debug, clap::Args)]
#[command(about = "Look at a key file")]
pub struct KeyCommand {
    #[command(subcommand)]
    action: KeyAction,
}

#[derive(Debug, clap::Subcommand)]
enum KeyAction {
    /// Print the public half of a key file
    #[command(after_help = "Example:\n  swoosh key show operator.key")]
    Show {
        /// Key file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

impl KeygenCommand {
    /// Makes a key.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        if self.print {
            return expose(output, &entropy::secret_key()?);
        }
        let public = keyfile::create(&self.out)?.public();
        eprintln!("wrote the secret key to {}", self.out.display());
        output.say(&json!({"public": public, "file": self.out}), || public.to_string())?;
        Ok(ExitCode::SUCCESS)
    }
}

fn expose(output: Output, key: &SecretKey) -> anyhow::Result<ExitCode> {
    if output.is_json() {
        output.document(&json!({"public": key.public(), "secret": key.expose()}))?;
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("{}", key.public());
    print(&key.expose())?;
    Ok(ExitCode::SUCCESS)
}

impl KeyCommand {
    /// Looks at a key.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let KeyAction::Show { file } = self.action;
        let public = load(&file)?.public();
        output.say(&json!({"public": public, "file": file}), || public.to_string())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The key in a file.
pub(super) fn load(file: &Path) -> anyhow::Result<SecretKey> {
    Ok(keyfile::load(file)?)
}
