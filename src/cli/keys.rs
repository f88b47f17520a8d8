//! `swoosh keygen` and `swoosh key`: secret keys in files, and their public halves.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::json;
use zeroize::Zeroizing;

use super::output::{self, Output, is_verbose, print};
use super::source;
use crate::platform::{entropy, keyfile};
use crate::types::keys::SecretKey;
use swoosh_terminal::failure::{self, Usage};

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
        is_file_name(&self.out)?;
        let public = keyfile::create(&self.out)?.public();
        output::note(&json!({"wrote": self.out}), || format!("wrote the secret key to {}", self.out.display()));
        output.say(&json!({"public": public, "file": self.out}), || public.to_string())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Refuses the names by which commands read a key from elsewhere: a file of that name would not be found again.
fn is_file_name(out: &Path) -> Result<(), Usage> {
    let name = out.to_str().unwrap_or_default();
    if name.starts_with("env:") || name.starts_with("fd:") {
        return Err(Usage(format!(
            "{name} is no file: commands read a key from there; name a file, or print the key with --print"
        )));
    }
    Ok(())
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
        let public = usable(&file)?.public();
        output.say(&json!({"public": public, "file": file}), || public.to_string())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The key in a file, or where `env:NAME` or `fd:N` says: a variable of the environment, an open file descriptor. A key that is
/// not there or cannot be used is wrong usage: nothing was signed.
pub(super) fn load(file: &Path) -> anyhow::Result<SecretKey> {
    let key = usable(file)?;
    let document = || json!({"key": key.public(), "from": file});
    let text = || format!("key {} of {}", key.public(), file.display());
    if is_verbose() {
        output::note(&document(), text);
    } else if file == Path::new(OWN) {
        output::hint(&document(), text);
    }
    Ok(key)
}

fn usable(file: &Path) -> anyhow::Result<SecretKey> {
    found(file).map_err(|error| Usage(failure::chain(&error)).into())
}

fn found(file: &Path) -> anyhow::Result<SecretKey> {
    let text = file.to_str().unwrap_or_default();
    if text.starts_with("hmmm:secret:") {
        // Not repeated in the error: it would end up in logs.
        bail!(
            "a secret key was given in place of its file, where other users of this machine can read it; name the file, \
             env:NAME for a variable or fd:N for a file descriptor"
        );
    }
    if text.starts_with("hmmm:pubkey:") {
        bail!(
            "{text} is a public key; a command that signs needs the secret one: name the file that `swoosh keygen --out` wrote, \
             env:NAME or fd:N"
        );
    }
    if let Some(name) = text.strip_prefix("env:") {
        if name.is_empty() {
            bail!("env: names no variable; write env:NAME");
        }
        let value = std::env::var(name).map(Zeroizing::new);
        let value =
            value.map_err(|_| anyhow!("the variable {name} is not set; it should hold a secret key, hmmm:secret:…"))?;
        return parse(&value, &format!("the variable {name}"));
    }
    if let Some(number) = text.strip_prefix("fd:") {
        return read_descriptor(number);
    }
    keyfile::load(file).map_err(|error| match error {
        keyfile::KeyFileError::Missing(_) => anyhow!("{error}, or name another with --key or SWOOSH_KEY"),
        other => other.into(),
    })
}

/// Bytes of a key that is read from a descriptor, at most.
const MOST_BYTES: u64 = 4096;

/// How long a descriptor other than a terminal may be silent.
const PATIENCE: Duration = Duration::from_secs(20);

fn read_descriptor(number: &str) -> anyhow::Result<SecretKey> {
    let number: u32 =
        number.parse().map_err(|_| anyhow!("fd:{number} names no file descriptor; write fd:3 for number 3"))?;
    if number == 1 || number == 2 {
        bail!("fd:{number} is for output; open another descriptor for the key, as in --key fd:3 3< key.file");
    }
    let is_terminal = number == 0 && io::stdin().is_terminal();
    if number == 0 {
        source::claim_standard_input("the key fd:0")?;
    }
    read_line_of(number, if is_terminal { None } else { Some(PATIENCE) })
}

/// The key in the first line of a descriptor. Opening and reading may block, so a thread does both.
fn read_line_of(number: u32, patience: Option<Duration>) -> anyhow::Result<SecretKey> {
    let place = format!("file descriptor {number}");
    let (say, line) = mpsc::channel();
    std::thread::spawn(move || say.send(File::open(format!("/dev/fd/{number}")).map(first_line)));
    let opened = match patience {
        Some(patience) => line.recv_timeout(patience).ok(),
        None => line.recv().ok(),
    };
    let Some(opened) = opened else {
        bail!("{place} has no line with a key and does not end; write the key to it, or name a file");
    };
    let read =
        opened.with_context(|| format!("{place} cannot be read; open it for this command, as in 3< key.file"))?;
    parse(&read.with_context(|| format!("{place} holds no text"))?, &place)
}

/// The first line that is not empty, [`MOST_BYTES`] at most. What follows it stays unread, so that a pipe need not end.
fn first_line(file: File) -> io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(Vec::new());
    let (mut file, mut next) = (file.take(MOST_BYTES), [0]);
    // One byte at a time, so that no buffer keeps a part of the key.
    while file.read(&mut next)? == 1 {
        let [byte] = next;
        if byte == b'\n' && !line.is_empty() {
            break;
        }
        if !(line.is_empty() && byte.is_ascii_whitespace()) {
            line.push(byte);
        }
    }
    let text = std::str::from_utf8(&line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// The key in a text. The error does not repeat the text.
fn parse(text: &str, place: &str) -> anyhow::Result<SecretKey> {
    let text = text.trim();
    anyhow::ensure!(!text.is_empty(), "{place} is empty; it should hold a secret key, hmmm:secret:…");
    anyhow::ensure!(
        !text.starts_with("hmmm:pubkey:"),
        "{place} holds a public key; a command that signs needs the secret one, hmmm:secret:…"
    );
    text.parse().map_err(|_| anyhow!("{place} holds no secret key; a secret key is hmmm:secret: and 43 characters"))
}

/// The key that `swoosh init` made for the working directory, if there is one: the default of commands that sign.
pub(super) fn own() -> Option<&'static str> {
    Path::new(OWN).is_file().then_some(OWN)
}

/// Whether a command that signs must name a key.
pub(super) fn is_required() -> bool {
    own().is_none()
}

/// The same of a command that needs no key beside another argument, for `required_unless_present_any` of clap.
pub(super) fn required_unless(other: &'static str) -> Vec<&'static str> {
    is_required().then_some(other).into_iter().collect()
}

/// Operator's key in a directory of `swoosh init`.
pub(super) const OWN: &str = "keys/operator.key";

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        format!("{:#}", load(Path::new(text)).unwrap_err())
    }

    /// The public half was looked for as a file: "there is no key file hmmm:pubkey:…; make one".
    #[test]
    fn a_key_in_place_of_its_file_is_refused_with_the_remedy_and_a_secret_is_not_repeated() {
        let key = SecretKey::from_bytes(&[7; 32]);
        let public = refusal(&key.public().to_string());
        assert!(public.contains("is a public key") && public.contains("keygen --out"), "{public}");
        let secret = refusal(&key.expose());
        assert!(secret.contains("name the file") && !secret.contains(&key.expose()[12..]), "{secret}");
    }

    /// "holds no key: … 43 characters …: … 43 characters": the reason of the cause was printed a second time.
    #[test]
    fn a_file_without_a_key_is_refused_with_one_reason() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("plan.md");
        std::fs::write(&path, "# Plan\n").unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let reason = "".parse::<SecretKey>().unwrap_err().to_string();
        let text = refusal(path.to_str().unwrap());
        assert_eq!(text.matches(reason.as_str()).count(), 1, "{text}");
    }

    #[test]
    fn a_file_with_a_public_key_is_named_as_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.key");
        crate::files::create(&path, SecretKey::from_bytes(&[7; 32]).public().to_string().as_bytes(), 0o600).unwrap();
        let said = refusal(path.to_str().unwrap());
        assert!(said.contains("holds a public key"), "{said}");
    }

    #[test]
    fn a_key_comes_out_of_a_file_descriptor_and_a_variable_that_is_missing_is_named() {
        let key = SecretKey::from_bytes(&[7; 32]);
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, format!("{}\n", key.expose()).as_bytes()).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&file);
        assert_eq!(load(Path::new(&format!("fd:{number}"))).unwrap().public(), key.public());
        assert!(refusal("env:SWOOSH_NO_SUCH_KEY").contains("SWOOSH_NO_SUCH_KEY is not set"));
        assert!(refusal("fd:x").contains("names no file descriptor"));
        assert!(refusal("fd:987654").contains("cannot be read"));
    }

    /// A pipe whose writer stays open was read until it ended, so never.
    #[test]
    fn a_key_is_read_from_a_pipe_that_does_not_end_and_silence_has_a_bound() {
        let key = SecretKey::from_bytes(&[7; 32]);
        let (reader, writer) = std::io::pipe().unwrap();
        let number = u32::try_from(std::os::fd::AsRawFd::as_raw_fd(&reader)).unwrap();
        let silent = read_line_of(number, Some(Duration::from_millis(10))).unwrap_err().to_string();
        assert!(silent.contains("does not end"), "{silent}");
        drop((reader, writer));
        let (reader, mut writer) = std::io::pipe().unwrap();
        std::io::Write::write_all(&mut writer, format!("\n{}\nmore", key.expose()).as_bytes()).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&reader);
        assert_eq!(load(Path::new(&format!("fd:{number}"))).unwrap().public(), key.public());
        drop(writer);
    }

    #[test]
    fn places_that_hold_no_key_are_refused_with_the_way_to_write_it() {
        assert!(refusal("fd:1").contains("fd:1 is for output"), "{}", refusal("fd:1"));
        assert!(refusal("fd:2").contains("fd:2 is for output"), "{}", refusal("fd:2"));
        assert!(refusal("env:").contains("write env:NAME"), "{}", refusal("env:"));
        let empty = tempfile::tempfile().unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&empty);
        assert!(refusal(&format!("fd:{number}")).contains("is empty"));
        for name in ["env:FOO", "fd:3"] {
            let said = is_file_name(Path::new(name)).unwrap_err().to_string();
            assert!(said.contains("name a file"), "{said}");
        }
        assert!(is_file_name(Path::new("./env:FOO")).is_ok());
    }
}
