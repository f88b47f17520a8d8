//! Generates the statechart's enums and tables from `statechart.yaml`, so that a transition without a
//! reducer arm does not compile.

#[path = "build/generate.rs"]
mod generate;
#[path = "build/model.rs"]
mod model;

use std::path::Path;

use sha2::{Digest, Sha256};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=statechart.yaml");
    println!("cargo::rerun-if-changed=build");
    let chart = model::Chart::read(&std::fs::read_to_string("statechart.yaml")?)?;
    let mut problems = chart.problems();
    problems.extend(generate::check_fields(&chart));
    if !problems.is_empty() {
        return Err(format!("statechart.yaml is not well formed:\n  {}", problems.join("\n  ")).into());
    }
    let schema_hash = Sha256::digest(serde_json_canonicalizer::to_vec(&chart.without_prose()?)?).into();
    let out = std::env::var("OUT_DIR")?;
    std::fs::write(Path::new(&out).join("names.rs"), generate::names(&chart))?;
    std::fs::write(Path::new(&out).join("chart.rs"), generate::chart(&chart, schema_hash))?;
    Ok(())
}
