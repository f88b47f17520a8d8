//! Every reader of YAML refuses brackets that are nested too deeply, and merge keys, before it parses a text.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A command, the file that it reads, and what surrounds the text there.
struct Reader {
    arguments: &'static [&'static str],
    file: &'static str,
    before: &'static str,
    /// Other files that the command needs.
    beside: &'static [(&'static str, &'static str)],
}

const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
const BUILD: [&str; 6] = ["--builder", "file.linux-image", "--answers", "x.yaml", "--root", "."];

/// One for each place that parses YAML.
const READERS: [Reader; 8] = [
    Reader { arguments: &["config", "check", "x.yaml"], file: "x.yaml", before: "", beside: &[] },
    Reader {
        arguments: &["config", "check", "swoosh.yaml"],
        file: "windows.yaml",
        before: "",
        beside: &[("swoosh.yaml", "backbeat: {file: windows.yaml}\n")],
    },
    Reader {
        arguments: &["config", "check", "swoosh.yaml"],
        file: "redaction.yaml",
        before: "",
        beside: &[("swoosh.yaml", "decisions: {redaction: redaction.yaml}\n")],
    },
    Reader {
        arguments: &["secrets", "encrypt", "x.yaml", "--recipient", RECIPIENT, "--out", "x.age"],
        file: "x.yaml",
        before: "",
        beside: &[],
    },
    Reader { arguments: &["sources", "status", "--root", "."], file: "config/sources.yaml", before: "", beside: &[] },
    Reader { arguments: &["statechart", "check", "x.yaml"], file: "x.yaml", before: "", beside: &[] },
    Reader {
        arguments: &["config", "validate", "dev", BUILD[0], BUILD[1], BUILD[2], BUILD[3], BUILD[4], BUILD[5]],
        file: "x.yaml",
        before: "",
        beside: &[],
    },
    Reader { arguments: &["statechart", "table", "x.yaml"], file: "x.yaml", before: "version: 1\n", beside: &[] },
];

/// The statechart was parsed without the check: 30,000 brackets took libyaml eight seconds.
#[test]
fn every_reader_refuses_deep_brackets_and_merge_keys_before_it_parses() {
    let deep = format!("a: {}1{}\n", "[".repeat(100_000), "]".repeat(100_000));
    let merge = "a: &a {b: 1}\nc:\n  <<: *a\n";
    for reader in &READERS {
        for (text, expected) in [(deep.as_str(), "nested deeper than 128 levels"), (merge, "`<<` (a merge key)")] {
            let folder = tempfile::tempdir().unwrap();
            let put = |name: &str, text: &str| {
                let place = folder.path().join(name);
                fs::create_dir_all(place.parent().unwrap()).unwrap();
                fs::write(place, text).unwrap();
            };
            reader.beside.iter().for_each(|(name, text)| put(name, text));
            put(reader.file, &format!("{}{text}", reader.before));
            let said = refused(reader.arguments, folder.path());
            // The message of a secrets file names a line alone.
            let expected = if reader.arguments[0] == "secrets" { "is not `name: value`" } else { expected };
            assert!(said.contains(expected) && said.contains("line"), "{:?}: {said:.2000}", reader.arguments);
        }
    }
}

fn refused(arguments: &[&str], folder: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swoosh"));
    let output = command.args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}
