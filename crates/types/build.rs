//! Writes the statechart's names: regions, states, transitions, roles, rejection codes.

#![allow(clippy::disallowed_methods, reason = "a build script reads its environment and writes files")]

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let chart = swoosh_chart::read()?;
    let out = std::env::var("OUT_DIR")?;
    std::fs::write(Path::new(&out).join("names.rs"), swoosh_chart::generate::names(&chart))?;
    std::fs::write(Path::new(&out).join("rejections.rs"), swoosh_chart::generate::rejections(&chart))?;
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
