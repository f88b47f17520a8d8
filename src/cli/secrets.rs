//! `swoosh secrets`: the age-encrypted file that settings name secrets of.

mod edit;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;
use zeroize::Zeroizing;

use super::connect::exit;
use super::output::{self, Output, Table};
use super::source;
use crate::files;
use crate::platform::agefile::{self, Identities, Recipient};
use crate::platform::secrets::Secrets;
use crate::settings::{Overrides, Settings};
use swoosh_terminal::failure::Usage;

/// Arguments of `swoosh secrets`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Keep secrets in an encrypted file",
    long_about = "Keep secrets in an encrypted file.\n\nSettings hold no secret; where one is needed they name it: `secret:bubble-token`. The \
        secrets file, a YAML mapping of names to secrets, is encrypted with age; the identity that decrypts it is a file \
        with mode 0600 (secrets.identity) or the text of the environment variable SWOOSH_AGE_IDENTITY. No command prints a \
        secret. docs/secrets.md tells the whole story.",
    after_help = "Begin:\n  swoosh secrets identity --out identity.age      # prints age1…\n  \
        printf 'bubble-token: %s\\n' \"$TOKEN\" | swoosh secrets encrypt --recipient age1… --out secrets.age\n  \
        swoosh secrets check --config swoosh.yaml"
)]
pub struct SecretsCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make an identity, and print who it is
    #[command(after_help = "Example:\n  swoosh secrets identity --out identity.age")]
    Identity {
        /// File to write, with mode 0600; an existing one is never overwritten
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Encrypt a plain mapping of names to secrets
    #[command(
        after_help = "Examples:\n  swoosh secrets encrypt plain.yaml --recipient age1… --out secrets.age && shred -u plain.yaml\n  \
        vault-cli print | swoosh secrets encrypt - --config swoosh.yaml --out secrets.age"
    )]
    Encrypt {
        /// Plain file: one `name: value` for each secret; - is standard input
        #[arg(value_name = "FILE", default_value = "-")]
        plain: PathBuf,
        /// A recipient that can decrypt it: age1…, once for each
        #[arg(long = "recipient", value_name = "RECIPIENT")]
        recipients: Vec<Recipient>,
        /// Settings file whose secrets.recipients can decrypt it as well
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// File to write; an existing one is never overwritten
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Change the secrets in an editor
    ///
    /// Decrypts into a private directory (in memory where the system has one), runs $VISUAL or $EDITOR, checks what was
    /// written, encrypts it for the identity and secrets.recipients, and exchanges the file whole. Nothing is left
    /// behind, also when the editor fails or the command is interrupted.
    #[command(
        after_help = "Examples:\n  swoosh secrets edit --config swoosh.yaml\n  EDITOR='code --wait' swoosh secrets edit secrets.age --identity identity.age"
    )]
    Edit(FileArgs),
    /// Check that the file can be decrypted and has every secret that the settings name
    #[command(after_help = "Example:\n  swoosh secrets check --config swoosh.yaml")]
    Check(FileArgs),
}

/// Which file, and who decrypts it.
#[derive(Debug, clap::Args)]
struct FileArgs {
    /// Secrets file; left out, that of the settings
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Identity that decrypts it; left out, that of the settings or the environment
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Settings file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl FileArgs {
    /// The settings, with what the command line says against them.
    fn settings(&self) -> anyhow::Result<(Settings, PathBuf)> {
        let mut settings = Settings::load(self.config.as_deref(), Overrides::default())?;
        let of = &mut settings.secrets;
        of.file = self.file.clone().or(of.file.take());
        of.identity = self.identity.clone().or(of.identity.take());
        let file = of
            .file
            .clone()
            .ok_or_else(|| Usage("name a secrets file, or settings that do (secrets.file) with --config".to_owned()))?;
        Ok((settings, file))
    }
}

impl SecretsCommand {
    /// Does what was asked.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::Identity { out } => identity(output, &out),
            Action::Encrypt { plain, recipients, config, out } => {
                let settings = Settings::load(config.as_deref(), Overrides::default())?;
                encrypt(output, &plain, &all_recipients(recipients, &settings)?, &out)
            }
            Action::Edit(args) => edit::edit(output, &args),
            Action::Check(args) => check(output, &args),
        }
    }
}

/// Those named, and those of the settings, each once.
fn all_recipients(mut named: Vec<Recipient>, settings: &Settings) -> anyhow::Result<Vec<Recipient>> {
    for text in &settings.secrets.recipients {
        let recipient: Recipient = text.parse().context("secrets.recipients")?;
        if !named.contains(&recipient) {
            named.push(recipient);
        }
    }
    Ok(named)
}

fn identity(output: Output, out: &Path) -> anyhow::Result<ExitCode> {
    let (text, recipient) = agefile::new_identity();
    let content = Zeroizing::new(format!("# recipient: {recipient}\n{}\n", *text));
    create(out, content.as_bytes())?;
    output::note(&json!({"wrote": out}), || format!("wrote the identity to {}", out.display()));
    output.say(&json!({"recipient": recipient.to_string(), "file": out}), || recipient.to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn encrypt(output: Output, plain: &Path, recipients: &[Recipient], out: &Path) -> anyhow::Result<ExitCode> {
    let plain = Zeroizing::new(source::read(plain)?);
    let secrets = Secrets::parse(&plain)?;
    create(out, &agefile::encrypt(recipients, &plain)?)?;
    let names: Vec<_> = secrets.names().collect();
    output.say(&json!({"file": out, "names": names}), || {
        format!("{}: {}", out.display(), names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", "))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Makes a file that is not there yet.
fn create(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    match files::create(path, bytes, files::PRIVATE) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            anyhow::bail!("{} exists and is not overwritten; name another file, or move it away", path.display())
        }
        created => created.with_context(|| format!("{} cannot be written", path.display())),
    }
}

fn check(output: Output, args: &FileArgs) -> anyhow::Result<ExitCode> {
    let (settings, file) = args.settings()?;
    let secrets = Secrets::open(Some(&file), settings.secrets.identity.as_deref())?;
    let references = settings.secret_references();
    let mut table = Table::with(&["secret", "named by"]);
    let mut rows = Vec::new();
    for name in secrets.names() {
        let keys: Vec<&str> =
            references.iter().filter(|(_, reference)| reference.name() == name).map(|(key, _)| *key).collect();
        table.row([name.to_string(), if keys.is_empty() { "(no setting)".to_owned() } else { keys.join(", ") }]);
        rows.push(json!({"name": name, "named_by": keys}));
    }
    let missing = references.iter().filter_map(|(key, reference)| secrets.find(key, Some(reference)).err());
    let missing: Vec<String> = missing.map(|error| error.to_string()).collect();
    output.say(&json!({"ok": missing.is_empty(), "file": file, "secrets": rows, "missing": missing}), || {
        let missing: String = missing.iter().map(|line| format!("\nmissing: {line}")).collect();
        format!("{}: decrypted\n\n{}{missing}", file.display(), table.text(0))
    })?;
    Ok(exit(missing.is_empty()))
}

/// Decrypts a file; also tells who the identity is.
fn open(file: &Path, identity: Option<&Path>) -> anyhow::Result<(Zeroizing<Vec<u8>>, Vec<Recipient>)> {
    let identities = Identities::load(identity)?;
    let sealed = files::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let plain = identities.decrypt(&sealed).with_context(|| file.display().to_string())?;
    Ok((plain, identities.recipients()))
}
