//! Why packer did not do what it should, sorted by what helps. Packer ends with 1 for nearly everything, so the
//! class comes from what was being done, how it ended and what it said.

use serde::{Deserialize, Serialize};

use crate::leave::Stop;
use crate::process::{End, RunError};
use crate::retry::Transient;

/// The class of a failure. It decides about retries and the remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The template, or a variable, is no good.
    BadTemplate,
    /// Packer does not know what it was asked.
    Usage,
    /// A plugin is missing or cannot be installed.
    Plugins,
    /// A builder, provisioner or post-processor failed.
    Builder,
    /// A builder failed for a reason that may pass: a network, a limit of requests.
    BuilderTransient,
    /// Packer ended well and made nothing.
    NoArtifacts,
    /// Its artifacts cannot be used: missing, outside of the workspace, or no manifest.
    BadArtifacts,
    /// The disk is full or cannot be written.
    Storage,
    /// The operator or the caller stopped it.
    Interrupted,
    /// The network gate closed.
    GateClosed,
    /// It ran longer than it may.
    TimedOut,
    /// It wrote more than it may.
    Flooded,
    /// A signal ended it.
    Killed,
    /// There is no packer.
    Missing,
    /// Packer cannot be started.
    CouldNotStart,
    /// This program ended while packer ran.
    Abandoned,
}

impl FailureClass {
    /// Whether the same again may well succeed.
    pub fn is_transient(self) -> bool {
        matches!(self, FailureClass::BuilderTransient | FailureClass::Killed | FailureClass::CouldNotStart)
    }

    pub fn remedy(self) -> &'static str {
        match self {
            FailureClass::BadTemplate => "mend the template or its variables and build again",
            FailureClass::Usage => "use a packer of 1.6.6 or later, and see that names given with --only exist",
            FailureClass::Plugins => {
                "see that the network is up so that `packer init` can install it, or put the plugin into the \
                 folder that --plugins names"
            }
            FailureClass::Builder => "see the builder's messages above, mend it and build again",
            FailureClass::BuilderTransient => "run it again; when it fails again, see that the other side is up",
            FailureClass::NoArtifacts => {
                "see that --only and --except leave a source over, and that it makes a file or an image"
            }
            FailureClass::BadArtifacts => "let the template write below var.swoosh_output and build again",
            FailureClass::Storage => "make room on that file system, give this user write access, and build again",
            FailureClass::Interrupted => "run it again when it is wanted",
            FailureClass::GateClosed => "it goes on when a license is valid",
            FailureClass::TimedOut => "raise the time limit, or find out what the build waits for",
            FailureClass::Flooded => "make the build say less, or raise the limit of output",
            FailureClass::Killed => "see whether memory ran out, and run it again",
            FailureClass::Missing => {
                "install packer (Debian: apt-get install packer), or name its path with --packer or SWOOSH_PACKER"
            }
            FailureClass::CouldNotStart => "see that packer may be executed and that the system has room for it",
            FailureClass::Abandoned => "remove its left-overs with `swoosh packer remove`, or build again",
        }
    }
}

/// A failure, as reports tell it. Its text holds no secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Its kind.
    pub class: FailureClass,
    pub detail: String,
    pub remedy: String,
    /// Whether the same again may well succeed.
    pub transient: bool,
}

impl Failure {
    /// A failure of a kind.
    pub fn new(class: FailureClass, detail: impl Into<String>) -> Failure {
        let detail = detail.into();
        Failure { class, detail, remedy: class.remedy().to_owned(), transient: class.is_transient() }
    }
}

impl Transient for Failure {
    fn is_transient(&self) -> bool {
        self.transient
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; {}", self.detail, self.remedy)
    }
}

/// The phase of packer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Telling its version.
    Probe,
    /// Rewriting templates.
    Format,
    /// Installing plugins.
    Init,
    /// Checking the template.
    Validate,
    /// Building.
    Build,
}

impl Phase {
    /// Its name, which is that of packer's command.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Probe => "version",
            Phase::Format => "fmt",
            Phase::Init => "init",
            Phase::Validate => "validate",
            Phase::Build => "build",
        }
    }
}

/// Words of a failed build that a network, a limit of requests or a slow guest is to blame for.
const TRANSIENT: &[&str] = &[
    "timeout waiting for ssh",
    "timeout waiting for winrm",
    "connection refused",
    "connection reset",
    "connection timed out",
    "i/o timeout",
    "tls handshake timeout",
    "no such host",
    "temporary failure in name resolution",
    "network is unreachable",
    "no route to host",
    "too many requests",
    "rate exceeded",
    "requestlimitexceeded",
    "throttlingexception",
    "service unavailable",
    "bad gateway",
    "gateway timeout",
];
/// Words of a full or unwritable disk.
const STORAGE: &[&str] = &["no space left on device", "disk quota exceeded", "read-only file system", "file too large"];
/// Words of a missing plugin, from packer 1.7 on.
const PLUGINS: &[&str] = &["missing plugins", "packer init", "packer plugins install", "no plugin installed"];
/// Words of a wrong command line.
const USAGE: &[&str] = &["usage: packer", "flag provided but not defined"];

/// Sorts how a call of packer ended; `None` when it ended well. `said` is what it said of errors.
pub fn classify(phase: Phase, ended: &Result<End, RunError>, said: &str) -> Option<Failure> {
    let code = match ended {
        Ok(End::Code(0)) => return None,
        Ok(End::Code(code)) => *code,
        Ok(End::Signal(signal)) => {
            let detail = format!("packer {} was ended by signal {signal}", phase.name());
            return Some(Failure::new(FailureClass::Killed, detail));
        }
        Err(error) => return Some(Failure::new(class_of(error), error.to_string())),
    };
    let first = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it did not say why");
    let detail = format!("packer {} ended with {code}: {}", phase.name(), first.chars().take(400).collect::<String>());
    Some(Failure::new(class_of_text(phase, &said.to_lowercase()), detail))
}

fn class_of(error: &RunError) -> FailureClass {
    match error {
        RunError::Missing { .. } => FailureClass::Missing,
        RunError::Spawn { .. } | RunError::Wait { .. } => FailureClass::CouldNotStart,
        RunError::TimedOut { .. } => FailureClass::TimedOut,
        RunError::TooMuchOutput { .. } => FailureClass::Flooded,
        RunError::Stopped { stop: Stop::Cancelled, .. } => FailureClass::Interrupted,
        RunError::Stopped { stop: Stop::GateClosed, .. } => FailureClass::GateClosed,
    }
}

fn class_of_text(phase: Phase, said: &str) -> FailureClass {
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    match phase {
        _ if says(STORAGE) => FailureClass::Storage,
        _ if says(USAGE) => FailureClass::Usage,
        Phase::Init => FailureClass::Plugins,
        Phase::Validate | Phase::Build if says(PLUGINS) => FailureClass::Plugins,
        Phase::Validate | Phase::Format => FailureClass::BadTemplate,
        Phase::Build if says(TRANSIENT) => FailureClass::BuilderTransient,
        Phase::Build => FailureClass::Builder,
        Phase::Probe => FailureClass::CouldNotStart,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(phase: Phase, ended: Result<End, RunError>, said: &str) -> Option<FailureClass> {
        classify(phase, &ended, said).map(|failure| failure.class)
    }

    fn packer() -> String {
        "packer".to_owned()
    }

    #[test]
    fn what_ended_well_is_no_failure() {
        assert_eq!(class(Phase::Build, Ok(End::Code(0)), "connection refused"), None);
    }

    #[test]
    fn exit_codes_are_sorted_by_what_was_done_and_said() {
        for (phase, said, expected) in [
            (Phase::Validate, "Error: Invalid expression", FailureClass::BadTemplate),
            (Phase::Validate, "Error: Missing plugins\n\nrun packer init", FailureClass::Plugins),
            (Phase::Format, "failed to parse HCL", FailureClass::BadTemplate),
            (Phase::Init, "anything", FailureClass::Plugins),
            (Phase::Build, "Script exited with non-zero exit status: 2", FailureClass::Builder),
            (Phase::Build, "dial tcp 10.0.0.1:22: connect: connection refused", FailureClass::BuilderTransient),
            (Phase::Build, "Timeout waiting for SSH.", FailureClass::BuilderTransient),
            (Phase::Build, "write x: no space left on device", FailureClass::Storage),
            (Phase::Build, "flag provided but not defined: -x", FailureClass::Usage),
            (Phase::Probe, "", FailureClass::CouldNotStart),
        ] {
            assert_eq!(class(phase, Ok(End::Code(1)), said), Some(expected), "{phase:?} {said}");
        }
    }

    #[test]
    fn causes_of_a_stop_are_distinguished() {
        for (error, expected) in [
            (RunError::Missing { program: packer() }, FailureClass::Missing),
            (RunError::TimedOut { program: packer(), limit_s: 1 }, FailureClass::TimedOut),
            (RunError::TooMuchOutput { program: packer(), limit: 1 }, FailureClass::Flooded),
            (RunError::Stopped { program: packer(), stop: Stop::Cancelled }, FailureClass::Interrupted),
            (RunError::Stopped { program: packer(), stop: Stop::GateClosed }, FailureClass::GateClosed),
            (
                RunError::Spawn { program: packer(), source: std::io::ErrorKind::PermissionDenied.into() },
                FailureClass::CouldNotStart,
            ),
        ] {
            assert_eq!(class(Phase::Build, Err(error), ""), Some(expected));
        }
        assert_eq!(class(Phase::Build, Ok(End::Signal(9)), ""), Some(FailureClass::Killed));
    }

    #[test]
    fn retry_policy_tries_again_what_may_pass_and_nothing_else() {
        let transient = [FailureClass::BuilderTransient, FailureClass::Killed, FailureClass::CouldNotStart];
        for class in [
            FailureClass::BadTemplate,
            FailureClass::Usage,
            FailureClass::Plugins,
            FailureClass::Builder,
            FailureClass::BuilderTransient,
            FailureClass::NoArtifacts,
            FailureClass::BadArtifacts,
            FailureClass::Storage,
            FailureClass::Interrupted,
            FailureClass::GateClosed,
            FailureClass::TimedOut,
            FailureClass::Flooded,
            FailureClass::Killed,
            FailureClass::Missing,
            FailureClass::CouldNotStart,
            FailureClass::Abandoned,
        ] {
            assert_eq!(Failure::new(class, "x").transient, transient.contains(&class), "{class:?}");
            assert!(!class.remedy().is_empty());
        }
    }

    #[test]
    fn the_text_names_the_first_thing_that_was_said_and_the_remedy() {
        let failure = classify(Phase::Validate, &Ok(End::Code(1)), "\n Error: Unknown source type x\n\nmore").unwrap();
        assert_eq!(
            failure.to_string(),
            "packer validate ended with 1: Error: Unknown source type x; mend the template or its variables and build again"
        );
    }
}
