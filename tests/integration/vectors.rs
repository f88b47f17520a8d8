//! The vectors of `tests/vectors/`, in both directions: this code's output equals the files, and their claims hold.
//! `SWOOSH_BLESS=1` rewrites them. `tests/vectors/README.md` describes their form.

mod bytes;
mod callers;
mod chain;
mod clocks;
mod ids;
mod inputs;
mod nfc;
mod problems;
mod protocol;
mod receipts;
mod schema;
mod signatures;
mod ucxl;

use std::path::PathBuf;

use serde_json::Value;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)
}

/// The vectors of a file.
fn read(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap()
}

/// The items of a list; never none, so that an emptied file does not pass.
fn items<'v>(vectors: &'v Value, name: &str) -> &'v Vec<Value> {
    let items = vectors[name].as_array().unwrap_or_else(|| panic!("there is no list {name}"));
    assert!(!items.is_empty(), "{name} is empty");
    items
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn vectors_are_what_this_code_makes() {
    let made = [
        ("canonical.json", bytes::make()),
        ("hlc.json", clocks::make_hlc()),
        ("windows.json", clocks::make_windows()),
        ("ids.json", ids::make()),
        ("signatures.json", signatures::make()),
        ("chain.json", chain::make()),
        ("receipts.json", receipts::make()),
        ("ucxl.json", ucxl::make()),
        ("inputs.json", inputs::make()),
        ("nfc.json", nfc::make()),
        ("problems.json", problems::make()),
    ];
    for (name, vectors) in made.into_iter().chain(protocol::make()).chain(callers::make()) {
        if std::env::var_os("SWOOSH_BLESS").is_some() {
            std::fs::write(path(name), serde_json::to_string_pretty(&vectors).unwrap() + "\n").unwrap();
        }
        assert!(read(name) == vectors, "{name} differs; SWOOSH_BLESS=1 rewrites it");
    }
}
