//! Libraries that are preloaded into a daemon, so that it sees another world than there is.

use std::path::Path;
use std::process::Command;

/// Compiles a library from a C file of this folder; says why where that is not possible.
pub fn compile(source: &str, library: &Path) -> Result<(), String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/support").join(source);
    let output =
        Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(library).arg(source).arg("-ldl").output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("cc fails: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => Err(format!("there is no C compiler ({error})")),
    }
}
