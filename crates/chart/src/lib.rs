//! The statechart's model and its generator.
//!
//! The build scripts of `types` and `machine` write their half of the generated code with it; the command `statechart`
//! checks and prints the same chart.

pub mod generate;
pub mod model;

use sha2::{Digest, Sha256};

/// The chart that is built in.
pub const CHART: &str = include_str!("../../../statechart.yaml");

/// Reads and checks the chart.
///
/// # Errors
/// The text is no chart, or is not well formed.
pub fn read() -> Result<model::Chart, String> {
    let chart = model::Chart::read(CHART).map_err(|error| error.to_string())?;
    let mut problems = chart.problems();
    problems.extend(generate::check_fields(&chart));
    if !problems.is_empty() {
        return Err(format!("statechart.yaml is not well formed:\n  {}", problems.join("\n  ")));
    }
    Ok(chart)
}

/// The hash of the chart without its prose.
///
/// # Errors
/// The chart has no canonical form.
pub fn schema_hash(chart: &model::Chart) -> Result<[u8; 32], String> {
    let prose_free = chart.without_prose().map_err(|error| error.to_string())?;
    let canonical = serde_json_canonicalizer::to_vec(&prose_free).map_err(|error| error.to_string())?;
    Ok(Sha256::digest(canonical).into())
}
