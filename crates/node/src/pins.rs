//! Which MCP servers the projects of this node pin: the way from states to the prober, which knows of no states.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use swoosh_facts::mcp::Pins;
use swoosh_machine::state::TopPhase;
use swoosh_sequencer::Handle;

/// How often it is looked whether something changed that may change the pins.
const LOOK: Duration = Duration::from_millis(250);
/// After so many looks the heads are looked through whatever changed.
const ANYWAY: u64 = 20;

/// Servers that projects in memory pin, as long as they may still need them.
fn pinned(handle: &Handle) -> Pins {
    let mut urls = BTreeSet::new();
    for view in handle.views().values() {
        let state = view.head.state();
        if matches!(state.phase(), TopPhase::ProjectLifecycle | TopPhase::Execution) {
            urls.extend(state.council.tool_pins.values().map(|pin| pin.url.clone()));
        }
    }
    Arc::new(urls)
}

/// The current pins, for the probers.
pub fn channel(handle: &Handle) -> (watch::Sender<Pins>, watch::Receiver<Pins>) {
    watch::channel(pinned(handle))
}

/// Tells other pins for ever. A head that came into memory brings its pins though nothing was recorded: after a
/// start nothing is, until its tools were probed.
pub async fn watch_pins(handle: Handle, pins: watch::Sender<Pins>) {
    let mut seen = None;
    for look in 0_u64.. {
        let status = handle.status();
        let now = Some((status.last_index, status.heads));
        if seen != now || look % ANYWAY == 0 {
            let now = pinned(&handle);
            pins.send_if_modified(|held| {
                let differs = *held != now;
                *held = now;
                differs
            });
        }
        seen = now;
        tokio::time::sleep(LOOK).await;
    }
}
