//! Interfaces that the journal, the wire and the sequencer implement for the engine.
//!
//! The methods are called on the engine's runtime, which also sends heartbeats: none may block on the disk or the network. A method
//! that must wait returns a future or calls its [`Done`] later, from any thread.

mod log;
mod peers;
mod reigns;

pub use log::{Committed, Done, LogStore, StateMachine, StoreError};
pub use peers::{AppendReplies, AppendRequests, PeerError, Peers, Target};
pub use reigns::{EndReason, FallReason, Reign, Reigns, Settled, SubmitError, Waiter};
