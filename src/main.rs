//! swoosh
fn main() {}
