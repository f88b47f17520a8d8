//! The routes, in process, over a real journal with a fixed clock.

mod bulk;
mod described;
mod facts;
mod gone;
mod proposals;
mod reads;
mod served;
mod turns;
pub(super) mod world;
