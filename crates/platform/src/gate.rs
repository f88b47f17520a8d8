//! The network gate: whether this node may talk to the world outside (the license's hard stop).
//!
//! ```text
//!  license fact ──▶ GateKeeper ──▶ NetworkGate ──▶ GatePass ──▶ outbound::Http, child::Child
//!                   opens, closes    asks            proves        cancelled when the gate closes
//! ```
//! All outside access needs a [`GatePass`], and only an open gate gives one. A pass is valid until the gate closes:
//! work under it is dropped then, and a gate that opens again gives new passes.
//!
//! **Architecture invariant.** Only the holder of the one [`GateKeeper`] moves the gate. It starts closed.

use std::sync::Arc;

use tokio::sync::watch;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    Open {
        /// Counts openings, so that a pass of an earlier one is not good for a later one.
        opening: u64,
    },
    Closed {
        openings: u64,
        reason: Arc<str>,
    },
}

/// Why nothing goes outside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the network gate is closed: {reason}; `swoosh license show` shows the license")]
pub struct GateClosed {
    pub reason: Arc<str>,
}

/// Moves the gate. There is one for each gate, held by the license watcher.
#[derive(Debug)]
pub struct GateKeeper {
    standing: watch::Sender<Standing>,
}

/// The gate, as seen by its users. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NetworkGate {
    standing: watch::Receiver<Standing>,
}

/// Proof that the gate stood open when it was given, and the way to learn that it closed.
#[derive(Clone, Debug)]
pub struct GatePass {
    standing: watch::Receiver<Standing>,
    opening: u64,
}

/// A closed gate and its keeper.
pub fn closed(reason: &str) -> (GateKeeper, NetworkGate) {
    let (sender, receiver) = watch::channel(Standing::Closed { openings: 0, reason: reason.into() });
    (GateKeeper { standing: sender }, NetworkGate { standing: receiver })
}

impl GateKeeper {
    /// Opens the gate; says whether it was closed.
    pub fn open(&self) -> bool {
        self.standing.send_if_modified(|standing| match standing {
            Standing::Open { .. } => false,
            Standing::Closed { openings, .. } => {
                *standing = Standing::Open { opening: *openings + 1 };
                true
            }
        })
    }

    /// Closes the gate, which cancels whatever runs under its passes; says whether it was open.
    pub fn close(&self, reason: &str) -> bool {
        let mut was_open = false;
        self.standing.send_if_modified(|standing| {
            let openings = match standing {
                Standing::Open { opening } => {
                    was_open = true;
                    *opening
                }
                Standing::Closed { openings, reason: held } if **held != *reason => *openings,
                Standing::Closed { .. } => return false,
            };
            *standing = Standing::Closed { openings, reason: reason.into() };
            true
        });
        was_open
    }
}

/// A keeper that is gone can watch no license any more.
impl Drop for GateKeeper {
    fn drop(&mut self) {
        self.close("the license watcher stopped");
    }
}

impl NetworkGate {
    pub fn is_open(&self) -> bool {
        matches!(&*self.standing.borrow(), Standing::Open { .. })
    }

    /// A pass, or why there is none.
    pub fn pass(&self) -> Result<GatePass, GateClosed> {
        match &*self.standing.borrow() {
            Standing::Open { opening } => Ok(GatePass { standing: self.standing.clone(), opening: *opening }),
            Standing::Closed { reason, .. } => Err(GateClosed { reason: reason.clone() }),
        }
    }

    /// Waits until the gate is open, and gives a pass. Never returns if the keeper is gone.
    pub async fn opened(&self) -> GatePass {
        let mut standing = self.standing.clone();
        // Nothing borrowed is held over an await, so that the future is `Send`.
        let opening = standing.wait_for(|standing| matches!(standing, Standing::Open { .. })).await;
        let opening = opening.ok().and_then(|standing| match *standing {
            Standing::Open { opening } => Some(opening),
            Standing::Closed { .. } => None,
        });
        match opening {
            Some(opening) => GatePass { standing: self.standing.clone(), opening },
            None => std::future::pending().await,
        }
    }
}

impl GatePass {
    /// Whether the pass is still good. Work that cannot be cancelled asks this between its steps.
    pub fn is_good(&self) -> bool {
        self.refusal().is_none()
    }

    /// Number of the gate's opening; clients built for an earlier opening are dropped.
    pub(super) fn opening(&self) -> u64 {
        self.opening
    }

    /// Waits until the pass is good no more, and says why.
    pub async fn closed(&self) -> GateClosed {
        let mut standing = self.standing.clone();
        let gone = standing.wait_for(|standing| !self.allows(standing)).await.is_err();
        let reason = if gone { "the license watcher stopped" } else { "it closed" };
        self.refusal().unwrap_or_else(|| GateClosed { reason: reason.into() })
    }

    /// Runs work that goes outside, and drops it when the gate closes before it is done.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> Result<T, GateClosed> {
        tokio::select! {
            // Asked first, so that nothing is polled under a pass that is good no more.
            biased;
            closed = self.closed() => Err(closed),
            done = work => Ok(done),
        }
    }

    fn allows(&self, standing: &Standing) -> bool {
        *standing == Standing::Open { opening: self.opening }
    }

    fn refusal(&self) -> Option<GateClosed> {
        match &*self.standing.borrow() {
            standing if self.allows(standing) => None,
            Standing::Closed { reason, .. } => Some(GateClosed { reason: reason.clone() }),
            Standing::Open { .. } => Some(GateClosed { reason: "it closed, and opened again since".into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_open_gate_gives_passes_and_they_end_with_it() {
        let (keeper, gate) = closed("no license yet");
        assert_eq!(gate.pass().unwrap_err().reason.as_ref(), "no license yet");
        assert!(keeper.open() && !keeper.open());
        let first = gate.pass().unwrap();
        assert!(first.is_good());
        assert!(keeper.close("expired") && !keeper.close("expired"));
        assert!(!first.is_good() && !gate.is_open());
        keeper.open();
        assert!(!first.is_good(), "a pass of an earlier opening");
        assert!(gate.pass().unwrap().is_good());
        drop(keeper);
        assert!(gate.pass().is_err());
    }

    #[tokio::test]
    async fn closing_drops_what_runs_and_never_starts_what_comes_late() {
        let (keeper, gate) = closed("no license yet");
        keeper.open();
        let pass = gate.pass().unwrap();
        assert_eq!(pass.run(async { 7 }).await, Ok(7));
        let ((), cut) = tokio::join!(
            async {
                let _ = keeper.close("expired");
            },
            pass.run(std::future::pending::<()>())
        );
        assert_eq!(cut.unwrap_err().reason.as_ref(), "expired");
        let late = pass.run(async { panic!("polled under a pass that is good no more") }).await;
        assert!(late.is_err());
    }

    #[tokio::test]
    async fn a_waiting_caller_gets_a_pass_when_the_gate_opens() {
        let (keeper, gate) = closed("no license yet");
        let (pass, opened) = tokio::join!(gate.opened(), async { keeper.open() });
        assert!(opened && pass.is_good());
    }
}
