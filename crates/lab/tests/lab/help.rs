//! The help of `swoosh-lab`, and its errors about the program that it starts.

use crate::lab;

fn said(arguments: &[&str]) -> (Option<i32>, String) {
    let output = lab().args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn the_help_names_each_command_a_first_step_and_the_program_that_is_started() {
    let (code, help) = said(&["--help"]);
    assert_eq!(code, Some(0));
    for words in ["demo", "bench", "chaos", "swoosh-lab bench --quick", "SWOOSH names another file", "Exit codes"] {
        assert!(help.contains(words), "{words} is missing: {help}");
    }
}

#[test]
fn wrong_usage_is_exit_code_2() {
    assert_eq!(said(&["demo", "--kepp"]).0, Some(2));
    assert_eq!(said(&[]).0, Some(2));
}

/// The lab took itself for the node before, and would have started the demo within the demo.
#[test]
fn a_program_that_cannot_be_run_is_named_before_anything_is_started() {
    for command in [&["demo"][..], &["bench", "--only", "load", "--clients", "1"], &["chaos", "real", "--seconds", "1"]]
    {
        let temporary = tempfile::tempdir().unwrap();
        let mut lab = lab();
        lab.args(command).env("SWOOSH", "/nowhere/swoosh").env("TMPDIR", temporary.path());
        let output = lab.current_dir(temporary.path()).output().unwrap();
        let why = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{why}");
        assert!(why.contains("SWOOSH names /nowhere/swoosh, which is no program"), "{why}");
    }
}
