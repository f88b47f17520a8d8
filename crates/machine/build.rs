//! Writes the statechart's tables and matches, so that a guard or a transition without its function does not compile.

#![allow(clippy::disallowed_methods, reason = "a build script reads its environment and writes files")]

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let chart = swoosh_chart::read()?;
    let out = std::env::var("OUT_DIR")?;
    let tables = swoosh_chart::generate::chart(&chart, swoosh_chart::schema_hash(&chart)?);
    std::fs::write(Path::new(&out).join("chart.rs"), tables)?;
    std::fs::write(Path::new(&out).join("guards.rs"), swoosh_chart::generate::guards(&chart))?;
    std::fs::write(Path::new(&out).join("reduce.rs"), swoosh_chart::generate::reducers(&chart))?;
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
