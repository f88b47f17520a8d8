//! The routes, in process, over a real journal with a fixed clock.

mod proposals;
mod reads;
mod served;
mod world;
