//! The `swoosh` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    swoosh::cli::main()
}
