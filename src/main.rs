//! The `swoosh` command.

use std::process::ExitCode;

/// What one thread allocates another frees, all along the pipeline: the C library's allocator spent a tenth of
/// each transition's processor time on that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    swoosh::cli::main()
}
