//! The benchmark measures, whatever the machine's speed: how fast is for `make bench` to say, that it runs is said here.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

/// Runs `swoosh-lab bench` with a temporary folder of its own, which it must leave empty.
fn bench(arguments: &[&str]) -> Output {
    let temporary = tempfile::tempdir().unwrap();
    let mut command = crate::lab();
    command.args(["--json", "bench"]).args(arguments).env("TMPDIR", temporary.path()).env_remove("ETCD_CONNECTIONS");
    let output = command.output().unwrap();
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
    output
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn report(output: &Output) -> Value {
    assert!(output.status.success(), "{}", said(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_benchmark_fills_a_node_and_puts_load_on_it() {
    let report = report(&bench(&["--only", "load", "--clients", "1,2", "--seconds", "1", "--peers", "nowhere"]));
    let rows = report["accepted"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["clients"].as_u64()).collect::<Vec<_>>(), [Some(1), Some(2)]);
    assert!(rows.iter().all(|row| row["per_second"].as_u64() > Some(0)), "{report}");
    assert!(rows.iter().all(|row| row["batches"]["records"].as_f64() >= Some(1.0)), "{report}");
    assert!(report["duplicates"]["per_second"].as_u64() > Some(0), "{report}");
    let hot = &report["hot"];
    let callers = hot["clients"].as_u64().unwrap();
    assert!(hot["clients_given_up"].as_u64().unwrap() <= callers.min(hot["given_up"].as_u64().unwrap()), "{hot}");
    assert!(hot["least"].as_u64().unwrap() <= hot["most"].as_u64().unwrap(), "{hot}");
}

/// A script in the place of the peers' own. It keeps how it was called beside itself.
fn peers(directory: &Path) {
    let script = directory.join("run.sh");
    let text = "#!/bin/sh\n\
        echo \"shared=${ETCD_CONNECTIONS:-none} restate=${RESTATE_SERVER:-none} clients=$* seconds=$PEER_SECONDS\" >>\"$(dirname \"$0\")/calls\"\n\
        echo '{\"peer\":\"verify\",\"clients\":1,\"bytes\":1024,\"per_second\":20000}'\n\
        echo \"{\\\"peer\\\":\\\"etcd\\\",\\\"clients\\\":1,\\\"per_second\\\":${ETCD_CONNECTIONS:-3},\\\"p50_us\\\":500,\\\"p99_us\\\":900}\"\n\
        [ -z \"$RESTATE_SERVER\" ] || echo '{\"peer\":\"restate\",\"clients\":1,\"per_second\":1,\"p50_us\":5000,\"p99_us\":9000}'\n";
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// All rounds of SWOOSH came before all rounds of a peer once, and the machine had become slower meanwhile. Of etcd the way was
/// measured that is the slower one on some machines.
#[test]
fn swoosh_and_its_peers_alternate_and_the_better_figure_of_etcd_is_quoted() {
    let folder = tempfile::tempdir().unwrap();
    peers(folder.path());
    let mut command = crate::lab();
    command.args(["--json", "bench", "--only", "load,peers", "--clients", "1", "--seconds", "1", "--rounds", "2"]);
    command.arg("--peers").arg(folder.path()).env("RESTATE_SERVER", "/a/server").env_remove("ETCD_CONNECTIONS");
    let output = command.output().unwrap();
    let report = report(&output);
    let calls = std::fs::read_to_string(folder.path().join("calls")).unwrap();
    let own = "shared=none restate=/a/server clients=1 seconds=1";
    let shared = "shared=8 restate=none clients=1 seconds=1";
    assert_eq!(calls.lines().collect::<Vec<_>>(), [own, shared, own, shared]);
    let said = said(&output);
    let order: Vec<&str> =
        said.lines().filter_map(|line| line.split_once(": 1 clients, ").map(|(name, _)| name)).collect();
    let round = ["accepted", "duplicates", "verify", "etcd", "restate", "verify", "etcd, 8 connections"];
    assert_eq!(order, [round, round].concat(), "{said}");
    assert_eq!(report["rounds"].as_array().unwrap().len(), 2, "{report}");
    for round in report["rounds"].as_array().unwrap() {
        assert_eq!(round["accepted"].as_array().unwrap().len(), 1, "{round}");
        assert_eq!(round["peers"].as_array().unwrap().len(), 4, "{round}");
    }
    let rates = report["ratios"].as_array().unwrap().iter().filter(|row| row["figure"] == "rate");
    let rates: Vec<&Value> = rates.collect();
    assert_eq!(rates.iter().map(|row| row["peer"].as_str().unwrap()).collect::<Vec<_>>(), ["etcd", "restate"]);
    assert_eq!(rates[0]["connections"], 8, "{report}");
    let ratio = &rates[0]["ratio"];
    let [least, median, most] = ["min", "median", "max"].map(|name| ratio[name].as_f64().unwrap());
    assert!(0.0 < least && least <= median && median <= most, "{ratio}");
    for (at, round) in report["rounds"].as_array().unwrap().iter().enumerate() {
        let expected = round["accepted"][0]["per_second"].as_f64().unwrap() / 8.0;
        assert!((ratio["rounds"][at].as_f64().unwrap() - expected).abs() < 1e-6, "{ratio}");
    }
}

#[test]
fn the_stages_of_a_commit_are_measured_apart() {
    let report = report(&bench(&["--only", "commit", "--clients", "1,3", "--seconds", "1"]));
    let rows = report["commit"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["records"].as_u64()).collect::<Vec<_>>(), [Some(1), Some(3)]);
    for row in rows {
        let stages: Vec<&str> =
            row["stages"].as_array().unwrap().iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
        assert_eq!(stages, ["verify", "judge", "build", "write", "sync", "publish", "all"]);
        for stage in row["stages"].as_array().unwrap() {
            for of in ["batch", "transition"] {
                let [median, slowest] = ["p50_us", "p99_us"].map(|name| stage[of][name].as_f64().unwrap());
                assert!(median >= 0.0 && median <= slowest, "{stage}");
            }
        }
    }
    assert!(report["accepted"].as_array().unwrap().is_empty(), "{report}");
}

/// The pictures of a long run are drawn once more without that run.
#[test]
fn a_report_is_drawn_again_without_measuring() {
    let fixed = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bench/draw/fixed");
    let folder = tempfile::tempdir().unwrap();
    let report = fixed.join("bench.json");
    let output = bench(&["draw", report.to_str().unwrap(), "--output", folder.path().to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(listed["pictures"].as_array().unwrap().len(), 4, "{listed}");
    for name in ["rate.svg", "p99.svg", "cost-by-projects.svg", "cost-by-records.svg"] {
        let [drawn, kept] = [folder.path(), &fixed].map(|folder| std::fs::read_to_string(folder.join(name)).unwrap());
        assert_eq!(drawn, kept, "{name}");
    }
    std::fs::copy(&report, folder.path().join("bench.json")).unwrap();
    std::fs::remove_file(folder.path().join("rate.svg")).unwrap();
    let beside = folder.path().join("bench.json");
    assert!(bench(&["draw", beside.to_str().unwrap()]).status.success());
    assert!(folder.path().join("rate.svg").is_file(), "the pictures are written beside the report");
}

#[test]
fn a_file_that_is_no_report_or_has_nothing_to_draw_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (text, problem) in
        [("7", "is no report"), ("{\"accepted\": 1}", "is no report"), ("{}", "neither rows of load nor of growth")]
    {
        let path = folder.path().join("bench.json");
        std::fs::write(&path, text).unwrap();
        let output = bench(&["draw", path.to_str().unwrap()]);
        assert!(!output.status.success() && said(&output).contains(problem), "{text}: {}", said(&output));
    }
    let absent = folder.path().join("absent.json");
    let output = bench(&["draw", absent.to_str().unwrap()]);
    assert!(!output.status.success() && said(&output).contains("cannot read"), "{}", said(&output));
    let output = bench(&["--only", "load,peers", "--clients", "1", "--perf", "perf.data"]);
    assert!(!output.status.success() && said(&output).contains("--perf needs one client count"), "{}", said(&output));
}
