//! The WHOOSH shim: SWOOSH replaces WHOOSH step by step, with unchanged clients (docs/design.md#migration).
//!
//! ```text
//!  client ── Call ─▶ Shim ─┬─ the region is WHOOSH's: hand through ─▶ answer, then apply the same here, compare
//!                          └─ the region is SWOOSH's: sign, propose ─▶ answer, then pass on to WHOOSH (mode regions)
//! ```
//! `wire` reads WHOOSH's form, `callers` says who asks and which delegate signs, `sign` makes the proposal,
//! `compare` finds differences, `store` keeps switches and divergences, `switching` carries out an operator's order.
//!
//! **Architecture invariant.** This crate knows neither the HTTP server, the sequencer nor settings. It reaches SWOOSH
//! through [`Core`], WHOOSH through [`Whoosh`], and metrics through [`Watch`]. It never decides whether a transition is
//! accepted.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods))]

mod callers;
mod compare;
mod follow;
mod other;
mod ports;
mod shim;
mod sign;
mod store;
mod switching;
mod wire;

pub use callers::{Brought, Caller, Callers};
pub use compare::{Compared, compare};
pub use ports::{
    BoxFuture, Core, Decided, Forms, Judged, PassedOn, Passing, Refused, Shown, Standing, Watch, Whoosh, WhooshError,
};
pub use shim::{Parts, Shim};
pub use store::{Store, StoreError};
