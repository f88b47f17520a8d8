//! `swoosh demo`, `bench` and `chaos` run `swoosh-lab`, a program of its own. Here a script takes its place.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::write_program;

/// A folder with `swoosh`, and, where a text is given, with a `swoosh-lab` of this text.
fn folder(lab: Option<&str>) -> tempfile::TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    std::fs::hard_link(env!("CARGO_BIN_EXE_swoosh"), folder.path().join("swoosh")).unwrap();
    lab.into_iter().for_each(|text| write_program(&folder.path().join("swoosh-lab"), text));
    folder
}

/// `swoosh` of that folder, with the system's programs in `PATH` and no others.
fn swoosh(folder: &Path) -> Command {
    let mut command = Command::new(folder.join("swoosh"));
    command.env("PATH", "/usr/bin:/bin").env_remove("SWOOSH");
    command
}

fn text(output: &Output) -> String {
    String::from_utf8([output.stdout.as_slice(), &output.stderr].concat()).unwrap()
}

/// Its exit code, its arguments in their order, and the program that the user ran.
const REPORTS: &str = "#!/bin/sh\nprintf '<%s>' \"$@\"\nprintf ' of %s\\n' \"$SWOOSH\"\nexit 7\n";

#[test]
fn the_lab_gets_every_argument_as_it_was_given_and_its_exit_code_counts() {
    let folder = folder(Some(REPORTS));
    let own: PathBuf = folder.path().canonicalize().unwrap().join("swoosh");
    for arguments in [
        &["demo"][..],
        &["demo", "--keep"],
        &["--json", "demo", "--keep"],
        &["demo", "--json"],
        &["demo", "--keep", "--json"],
        &["bench", "--only", "load,peers", "--seconds=1"],
        &["chaos", "sim", "--seed", "7", "--faults", "a b=1"],
        &["chaos", "real", "--help"],
        &["chaos", "--", "--help"],
        &["bench", "-h"],
        &["help", "chaos", "sim"],
        &["--json", "help", "demo"],
        &["bench", ""],
        &["demo", "--unknown"],
    ] {
        let output = swoosh(folder.path()).args(arguments).output().unwrap();
        let listed: String = arguments.iter().map(|argument| format!("<{argument}>")).collect();
        assert_eq!(text(&output), format!("{listed} of {}\n", own.display()));
        assert_eq!(output.status.code(), Some(7), "{arguments:?}");
    }
}

/// An argument that is no UTF-8 is a path on this system as good as any.
#[test]
fn an_argument_that_is_no_utf_8_reaches_the_lab() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = folder(Some("#!/bin/sh\nprintf '%s' \"$3\"\n"));
    let name = std::ffi::OsStr::from_bytes(b"/tmp/\xff\xfe");
    let output = swoosh(folder.path()).args(["bench", "--output"]).arg(name).output().unwrap();
    assert_eq!(output.stdout, name.as_bytes());
}

/// `swoosh` becomes `swoosh-lab` and does not wait for it: a signal to the one process is a signal to the lab.
#[test]
fn the_lab_is_the_same_process_so_that_signals_reach_it() {
    let folder = folder(Some("#!/bin/sh\necho $$\nkill -TERM $$\n"));
    let child = swoosh(folder.path()).arg("demo").stdout(Stdio::piped()).spawn().unwrap();
    let id = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!((text(&output).trim(), output.status.signal()), (id.to_string().as_str(), Some(15)));
}

#[test]
fn a_lab_in_path_is_run_where_none_is_beside_the_program() {
    let (alone, other) = (folder(None), folder(Some(REPORTS)));
    let path = std::env::join_paths([other.path(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    let output = swoosh(alone.path()).arg("demo").env("PATH", path).output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", text(&output));
}

/// An operator who installed the release archive has no lab.
#[test]
fn without_the_lab_the_error_names_the_command_that_builds_it() {
    let folder = folder(None);
    for command in ["demo", "bench", "chaos"] {
        let parts = [
            format!("`swoosh {command}` needs the program swoosh-lab"),
            "cargo build".into(),
            "--package swoosh-lab".into(),
        ];
        // A question is answered; the command itself cannot run.
        for (arguments, code) in [(vec![command], 1), (vec![command, "--help"], 0)] {
            let output = swoosh(folder.path()).args(arguments).current_dir(folder.path()).output().unwrap();
            let why = text(&output);
            assert_eq!(output.status.code(), Some(code), "{why}");
            assert!(parts.iter().all(|part| why.contains(part)), "{why}");
        }
        let output = swoosh(folder.path()).args(["--json", command]).output().unwrap();
        let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert!(output.stdout.is_empty() && error["error"].as_str().unwrap().contains("swoosh-lab"), "{error}");
    }
}

/// `PATH` with the working directory in it must not run a `swoosh-lab` that lies there.
#[test]
fn a_lab_of_the_working_directory_is_not_run() {
    let (alone, other) = (folder(None), folder(Some(REPORTS)));
    for path in [".", "", ":/usr/bin:/bin"] {
        let output = swoosh(alone.path()).arg("demo").env("PATH", path).current_dir(other.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{path:?}: {}", text(&output));
    }
}
