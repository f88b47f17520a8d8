//! Which MCP servers the projects of this node pin: the way from states to the prober, which knows of no states.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::facts::mcp::Pins;
use crate::machine::state::TopPhase;
use crate::sequencer::Handle;

/// How often a log that grew is looked through for other pins.
const LOOK: Duration = Duration::from_millis(250);

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

/// The pins as they are now, for whoever probes.
pub(super) fn channel(handle: &Handle) -> (watch::Sender<Pins>, watch::Receiver<Pins>) {
    watch::channel(pinned(handle))
}

/// Tells other pins for ever.
pub(super) async fn watch_pins(handle: Handle, pins: watch::Sender<Pins>) {
    let mut seen = None;
    loop {
        let last_index = handle.status().last_index;
        if seen != Some(last_index) {
            let now = pinned(&handle);
            pins.send_if_modified(|held| {
                let differs = *held != now;
                *held = now;
                differs
            });
            seen = Some(last_index);
        }
        tokio::time::sleep(LOOK).await;
    }
}
