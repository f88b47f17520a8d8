//! Child processes under the network gate: none starts while it is closed, all are killed when it closes.

use std::io;
use std::process::{ExitStatus, Output};

use tokio::process::{Child as Process, Command};

use super::gate::{GateClosed, GatePass, NetworkGate};

/// Why a child process came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The gate is closed, or closed meanwhile and the process was killed.
    #[error(transparent)]
    Closed(#[from] GateClosed),
    /// It cannot be started, or be waited for.
    #[error("the process {program} cannot be run: {source}; check that it is installed and may be executed")]
    Run { program: String, source: io::Error },
}

/// A process that goes when the gate closes, and is killed when this is dropped. What it started itself, it
/// must end itself.
#[derive(Debug)]
pub struct Child {
    process: Process,
    pass: GatePass,
    program: String,
}

impl Child {
    /// Starts a process, if the gate is open.
    pub fn spawn(gate: &NetworkGate, mut command: Command) -> Result<Child, ChildError> {
        let pass = gate.pass()?;
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let process = command.kill_on_drop(true).spawn();
        let process = process.map_err(|source| ChildError::Run { program: program.clone(), source })?;
        Ok(Child { process, pass, program })
    }

    /// The process itself, for its pipes.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Waits for its end; when the gate closes first, kills it.
    pub async fn wait(&mut self) -> Result<ExitStatus, ChildError> {
        let ended = self.pass.run(self.process.wait()).await;
        match ended {
            Ok(ended) => ended.map_err(|source| ChildError::Run { program: self.program.clone(), source }),
            Err(closed) => {
                // It may have ended in between; then there is nothing left to kill.
                let _ = self.process.kill().await;
                Err(closed.into())
            }
        }
    }

    /// Waits for its end and takes what it wrote to its pipes; when the gate closes first, kills it.
    pub async fn output(self) -> Result<Output, ChildError> {
        let Child { process, pass, program } = self;
        // Dropping the process kills it.
        let ended = pass.run(process.wait_with_output()).await?;
        ended.map_err(|source| ChildError::Run { program, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate;

    fn sleeper() -> Command {
        let mut command = Command::new("sleep");
        command.arg("600");
        command
    }

    #[tokio::test]
    async fn no_process_starts_while_the_gate_is_closed() {
        let (_keeper, gate) = gate::closed("no license yet");
        assert!(matches!(Child::spawn(&gate, sleeper()), Err(ChildError::Closed(_))));
    }

    #[tokio::test]
    async fn a_process_is_killed_when_the_gate_closes() {
        let (keeper, gate) = gate::closed("no license yet");
        keeper.open();
        let mut child = Child::spawn(&gate, sleeper()).unwrap();
        let (ended, _) = tokio::join!(child.wait(), async { keeper.close("expired") });
        assert!(matches!(ended, Err(ChildError::Closed(_))));
        assert!(!child.process().wait().await.unwrap().success(), "it did not sleep to its end");
    }

    #[tokio::test]
    async fn what_a_process_writes_is_taken() {
        let (keeper, gate) = gate::closed("no license yet");
        keeper.open();
        let mut command = Command::new("echo");
        command.arg("done").stdout(std::process::Stdio::piped());
        let output = Child::spawn(&gate, command).unwrap().output().await.unwrap();
        assert_eq!(output.stdout, b"done\n");
        let missing = Child::spawn(&gate, Command::new("no-such-program")).unwrap_err().to_string();
        assert!(missing.contains("no-such-program cannot be run"), "{missing}");
    }
}
