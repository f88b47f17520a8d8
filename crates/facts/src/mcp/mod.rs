//! MCP probes: whether the tool servers that projects pin answer, and as what.
//!
//! ```text
//!  pins ──▶ Prober ── one task a server ──▶ probe ──▶ Damping ──▶ Board ──▶ tooling fact, signed by the node
//!                                          rmcp       k of n      whole
//! ```
//! A probe initialises over streamable HTTP with the official client, reads the server's name and version, and lists
//! its tools, all within one deadline and one budget of bytes. Servers share nothing but the board: one that hangs,
//! floods or lies costs its own task. Which servers are pinned comes in from outside; whether a pin is met is for
//! the guard to say. docs/mcp.md explains it to operators.

mod capped;
mod damping;
mod explain;
mod listing;
mod probe;
mod prober;

pub use capped::read_message;
pub use damping::{Damping, DampingRules, Identity};
pub use listing::{EndlessListing, Listing, MOST_PAGES, MOST_TOOLS};
pub use probe::{ProbeError, ProbeLimits, Seen, identity, probe};
pub use prober::{Pins, Prober, ProberOptions};
pub use rmcp::model as messages;
