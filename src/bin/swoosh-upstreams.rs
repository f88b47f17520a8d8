//! The `swoosh-upstreams` command, for `make fetch` and `make validate`.

use std::process::ExitCode;

fn main() -> ExitCode {
    swoosh::cli::small::main()
}
