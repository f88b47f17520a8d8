//! The routes, in process, over a real journal with a fixed clock.

mod brief;
mod bulk;
mod console;
mod described;
mod facts;
mod gone;
mod proposals;
mod reads;
mod served;
mod statechart;
mod turns;
pub(super) mod world;
