//! Samples of the daemon under load by `perf`, of which `tools/flame.sh` draws a flame graph.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

/// Samples per second of each processor, by the kernel's clock: virtual machines often have no counter of cycles. Not a divisor of the kernel's tick, so that samples are not in step with timers.
const FREQUENCY: &str = "499";
/// Unwinding by debug information, because our programs keep no frame pointers; the number is the bytes of stack in a sample.
const STACKS: &str = "dwarf,16384";

/// A recording that is under way.
pub(super) struct Recording(Child);

impl Recording {
    /// Records a process for some time, beginning now.
    pub fn begin(file: &Path, process: u32, lasting: Duration) -> anyhow::Result<Recording> {
        let child = Command::new("perf")
            .args(["record", "--quiet", "--event", "cpu-clock", "-F", FREQUENCY, "--call-graph", STACKS, "--output"])
            .arg(file)
            .args(["--pid", &process.to_string(), "--", "sleep", &lasting.as_secs_f64().to_string()])
            .stdin(Stdio::null())
            .spawn()
            .context("cannot run perf, which --perf needs (Debian: apt-get install linux-perf)")?;
        Ok(Recording(child))
    }

    /// Waits until it is written.
    pub fn end(mut self) -> anyhow::Result<()> {
        let ended = self.0.wait()?;
        anyhow::ensure!(ended.success(), "perf ended with {ended}; kernel.perf_event_paranoid may forbid it");
        Ok(())
    }
}
