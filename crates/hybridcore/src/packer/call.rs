//! One call of packer: its arguments, its environment, and every line that it says, without secrets.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::failure::{Failure, Phase, classify};
use super::machine::{self, ArtifactPart, Loudness, Record, Said};
use super::sensitive;
use super::session::{BuildRequest, Event, Session};
use super::transcript::Transcript;
use crate::logs::{Logger, Redactor};
use crate::process::{self, End, Program, RunError, Stream};
use swoosh_types::text::Name;

/// The most of a line that is read. Longer lines are cut before secrets are searched in them.
const LINE_BYTES: usize = 16 << 10;
/// Names the run in the environment of packer and of all that it starts, so that they can be found again.
pub const RUN_VARIABLE: &str = "SWOOSH_RUN";
/// Variables that packer gets from us; everything else stays behind.
pub const INHERITED: &[&str] = &[
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "LANG",
    GITHUB_TOKEN,
];
/// Lets `packer init` ask more often. A secret.
const GITHUB_TOKEN: &str = "PACKER_GITHUB_API_TOKEN";
/// Parts of names whose values are secrets.
const SECRET_NAMES: &[&str] = &["SECRET", "TOKEN", "PASSWORD", "PASSWD", "CREDENTIAL", "KEY", "AUTH"];

/// Where packer is called, and what it may know. Removed with all temporary files when it is dropped.
pub(super) struct Desk {
    /// Temporary files and a home; short, since plugins listen on sockets in it.
    pub scratch: tempfile::TempDir,
    /// Where packer runs.
    pub folder: PathBuf,
    /// Its environment, beside what every call gets.
    pub environment: BTreeMap<OsString, OsString>,
    /// Takes secrets out.
    pub redactor: Redactor,
    /// The most bytes of a secret, which is how far a cut line may hold a piece of one.
    pub longest_secret: usize,
    /// The build.
    pub name: Name,
    /// The log of the run.
    pub log: Logger,
}

/// How a call came out.
pub(super) struct Called {
    pub ended: Result<End, RunError>,
    pub transcript: Transcript,
}

impl Called {
    /// Why it failed, if it did.
    pub fn failure(&self, phase: Phase) -> Option<Failure> {
        classify(phase, &self.ended, &self.transcript.all_errors().join("\n"))
    }

    /// The exit code, when it ended by itself.
    pub fn exit_code(&self) -> Option<i32> {
        match self.ended {
            Ok(End::Code(code)) => Some(code),
            _ => None,
        }
    }

    /// The signal that ended it, if one did.
    pub fn signal(&self) -> Option<i32> {
        match self.ended {
            Ok(End::Signal(signal)) => Some(signal),
            _ => None,
        }
    }
}

impl Desk {
    /// A desk without secrets.
    pub fn plain(name: Name, folder: PathBuf, log: Logger) -> io::Result<Desk> {
        Desk::new(name, folder, log, &BTreeMap::new(), Vec::new())
    }

    /// A desk for a request's calls: its secrets and its template's sensitive values are redacted everywhere.
    pub fn of_request(session: &Session<'_>, request: &BuildRequest, folder: PathBuf, log: Logger) -> io::Result<Desk> {
        let mut hidden: Vec<String> = request.secrets.values().map(|secret| secret.expose().to_owned()).collect();
        hidden.extend(sensitive::values(session, request));
        Desk::new(request.name.clone(), folder, log, &request.environment, hidden)
    }

    /// A desk whose calls get these variables. `secrets` and variables with secret-sounding names are redacted.
    fn new(
        name: Name,
        folder: PathBuf,
        log: Logger,
        variables: &BTreeMap<String, String>,
        secrets: Vec<String>,
    ) -> io::Result<Desk> {
        let scratch = tempfile::Builder::new().prefix(SCRATCH_PREFIX).tempdir()?;
        std::fs::create_dir(scratch.path().join("home"))?;
        let hidden = secret_texts(variables, secrets);
        let longest_secret = hidden.iter().map(String::len).max().unwrap_or(0);
        let environment = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Ok(Desk { scratch, folder, environment, redactor: Redactor::new(hidden), longest_secret, name, log })
    }

    fn program(&self, session: &Session<'_>, phase: Phase, arguments: Vec<OsString>) -> Program {
        // Packer fails without a word when its folder cannot be used; that of the workspace is looked at later.
        let folder = match phase {
            Phase::Probe | Phase::Format => self.scratch.path().join("home"),
            Phase::Init | Phase::Validate | Phase::Build => session.packer_folder(),
        };
        let mut program = Program::new(&session.tool.program)
            .inherit(INHERITED)
            .variable("HOME", self.scratch.path().join("home"))
            .variable("TMPDIR", self.scratch.path())
            .variable("CHECKPOINT_DISABLE", "1")
            .variable("PACKER_NO_COLOR", "1")
            .variable("PACKER_CONFIG_DIR", folder)
            .variable("PACKER_PLUGIN_PATH", session.plugins())
            .variable("PACKER_CACHE_DIR", self.scratch.path().join("cache"));
        program.environment.extend(self.environment.clone());
        program.arguments = arguments;
        program.folder = Some(self.folder.clone());
        program.sentinel = session.tool.sentinel.clone();
        program
    }

    /// Calls packer and takes in what it says.
    pub fn call(&self, session: &Session<'_>, phase: Phase, arguments: Vec<OsString>) -> Called {
        if phase != Phase::Probe {
            (session.events)(&Event::Phase { name: self.name.clone(), phase });
        }
        self.log.info(&format!("packer {}", phase.name()));
        let mut transcript = Transcript::default();
        let mut on_line = |stream: Stream, line: &str| {
            let line = self.without_half_a_secret(line, session.tool.bounds.line_bytes);
            let record = machine::parse(line).filter(|_| stream == Stream::Output);
            match record.map(|record| self.clean(record)) {
                Some(record) => {
                    transcript.record(&record);
                    if let Said::Ui { loudness, text } = &record.said {
                        self.tell(session, phase, Some(*loudness), text);
                    }
                }
                None => {
                    let line = self.redactor.clean(line);
                    transcript.line(stream == Stream::Output, &line);
                    self.tell(session, phase, None, &line);
                }
            }
        };
        let program = self.program(session, phase, arguments);
        let ended = process::run(&program, &session.tool.bounds, session.leave, &mut on_line);
        Called { ended, transcript }
    }

    /// The beginning of a line that is too long. A line that is cut may end in a piece of a secret, which no search finds.
    fn without_half_a_secret<'a>(&self, line: &'a str, line_bytes: usize) -> &'a str {
        let most = line_bytes.min(LINE_BYTES);
        if line.len() < most {
            return line;
        }
        let cut = &line[..line.floor_char_boundary(most.saturating_sub(self.longest_secret))];
        // The user info of a URL is known by the `@` after it.
        let word = cut.rfind(char::is_whitespace).map_or(0, |blank| blank + 1);
        if cut[word..].contains("://") { &cut[..word] } else { cut }
    }

    /// A record without secrets. Paths of files are not cleaned; the caller does that.
    fn clean(&self, record: Record) -> Record {
        let clean = |text: String| self.redactor.clean(&text);
        let said = match record.said {
            Said::Ui { loudness, text } => Said::Ui { loudness, text: clean(text) },
            Said::BuildError(text) => Said::BuildError(clean(text)),
            Said::Artifact { index, part } => {
                let part = match part {
                    ArtifactPart::BuilderId(id) => ArtifactPart::BuilderId(clean(id)),
                    ArtifactPart::Id(id) => ArtifactPart::Id(clean(id)),
                    ArtifactPart::Text(text) => ArtifactPart::Text(clean(text)),
                    other => other,
                };
                Said::Artifact { index, part }
            }
            Said::Other { kind, data } => Said::Other { kind, data: data.into_iter().map(clean).collect() },
            other @ (Said::Version(_) | Said::ArtifactCount(_) | Said::ErrorCount(_)) => other,
        };
        Record { target: record.target.map(clean), said, ..record }
    }

    fn tell(&self, session: &Session<'_>, phase: Phase, loudness: Option<Loudness>, text: &str) {
        for line in text.split(['\n', '\r']).map(str::trim_end).filter(|line| !line.is_empty()) {
            match loudness {
                Some(Loudness::Error) => self.log.error(line),
                _ => self.log.info(line),
            }
            if phase != Phase::Probe {
                (session.events)(&Event::Said { name: self.name.clone(), loudness, text: line.to_owned() });
            }
        }
    }
}

/// Begins the name of a folder of temporary files.
pub(super) const SCRATCH_PREFIX: &str = "swoosh-packer-";

/// All texts to redact: whole values, and their single lines, since packer prints a value line by line.
fn secret_texts(variables: &BTreeMap<String, String>, secrets: Vec<String>) -> Vec<String> {
    let named = variables.iter().filter(|(name, _)| sounds_secret(name)).map(|(_, value)| value.clone());
    let token = std::env::var(GITHUB_TOKEN).ok();
    let values: Vec<String> = secrets.into_iter().chain(named).chain(token).collect();
    let lines = values.iter().flat_map(|value| value.lines()).map(|line| line.trim().to_owned());
    let lines: Vec<String> = lines.collect();
    values.into_iter().chain(lines).collect()
}

fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_NAMES.iter().any(|part| name.contains(part))
}

/// `name=value` as an argument.
pub(super) fn assignment(name: &str, value: impl AsRef<std::ffi::OsStr>) -> OsString {
    let mut argument = OsString::from(format!("{name}="));
    argument.push(value);
    argument
}

/// `-var-file=path` as an argument.
pub(super) fn var_file(path: &Path) -> OsString {
    assignment("-var-file", path)
}
