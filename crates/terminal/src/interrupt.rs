//! The operator's interrupt, for commands that block.

use std::process::ExitCode;
use std::thread;

use serde_json::json;
use swoosh_hybridcore::leave::Cancellable;
use swoosh_platform::shutdown::StopSignals;

use crate::output::note;

/// The exit code of a program that an interrupt ended.
pub const INTERRUPTED: u8 = 130;

/// A leave that the first interrupt (or a request to terminate) ends; a second one ends the program.
pub fn leave() -> Cancellable {
    let leave = Cancellable::default();
    let listener = leave.clone();
    thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            let Ok(mut signals) = StopSignals::listen() else { return };
            signals.next().await;
            let text = "interrupted; ending the work (once more ends it at once)";
            note(&json!({"interrupted": "ending the work"}), || text.to_owned());
            listener.cancel();
            signals.next().await;
            std::process::exit(INTERRUPTED.into());
        });
    });
    leave
}

/// Exit code of an interrupted command.
pub fn exit_code() -> ExitCode {
    ExitCode::from(INTERRUPTED)
}
