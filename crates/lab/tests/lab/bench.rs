//! The benchmark measures, whatever the machine's speed: how fast is for `make bench` to say, that it runs is said here.

use serde_json::Value;

#[test]
fn the_benchmark_fills_a_node_and_puts_load_on_it() {
    let temporary = tempfile::tempdir().unwrap();
    let mut command = crate::lab();
    command.args(["--json", "bench", "--only", "load", "--clients", "1,2", "--seconds", "1", "--peers", "nowhere"]);
    let output = command.env("TMPDIR", temporary.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["accepted"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["clients"].as_u64()).collect::<Vec<_>>(), [Some(1), Some(2)]);
    assert!(rows.iter().all(|row| row["per_second"].as_u64() > Some(0)), "{report}");
    assert!(report["duplicates"]["per_second"].as_u64() > Some(0), "{report}");
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}
