//! The generated files of the SDKs. They follow from `statechart.yaml` and `openapi/openapi.json`. `SWOOSH_BLESS=1` writes them.

mod go;
mod javascript;
mod python;
mod schema;

use std::path::{Path, PathBuf};

use serde_json::Value;
use swoosh::client;
use swoosh_chart::model::Chart;

use schema::Schemas;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The op class of a transition.
fn op_class(transition: &str) -> String {
    client::op_class(transition.parse().unwrap()).to_string()
}

/// The class of retry of a code, as the statechart writes it.
fn retry_of(_: &Chart, code: &str) -> String {
    let code: swoosh::types::rejection::Code = code.parse().unwrap();
    format!("{:?}", code.retry()).to_ascii_lowercase()
}

/// Paths and contents.
fn generated() -> Vec<(&'static str, String)> {
    let chart = Chart::read(include_str!("../../statechart.yaml")).unwrap();
    let document: Value = serde_json::from_str(include_str!("../../openapi/openapi.json")).unwrap();
    let schemas = Schemas::read(&document);
    vec![
        ("sdk/python/src/swoosh/_chart.py", python::chart(&chart, &schemas)),
        ("sdk/python/src/swoosh/inputs.py", python::inputs(&schemas)),
        ("sdk/python/src/swoosh/_api.py", python::answers(&schemas)),
        ("sdk/js/chart.js", javascript::chart(&chart, &schemas)),
        ("sdk/js/api.d.ts", javascript::types(&schemas)),
        ("sdk/go/zz_chart.go", go::chart(&chart, &schemas)),
        ("sdk/go/zz_api.go", go::answers(&schemas)),
        ("sdk/go/zz_inputs.go", go::inputs(&schemas)),
        ("sdk/go/zz_nfc.go", go::nfc()),
    ]
}

#[test]
fn the_generated_files_follow_from_the_statechart_and_the_description() {
    let mut stale = Vec::new();
    for (name, made) in generated() {
        let path = root().join(name);
        if std::env::var_os("SWOOSH_BLESS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
            std::fs::write(&path, &made).unwrap();
        }
        if std::fs::read_to_string(&path).ok().as_deref() != Some(made.as_str()) {
            stale.push(name);
        }
    }
    assert!(stale.is_empty(), "{stale:?} are stale; SWOOSH_BLESS=1 writes them");
}
