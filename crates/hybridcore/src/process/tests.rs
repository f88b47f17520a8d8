use std::path::Path;

use super::*;
use crate::leave::{Always, Cancellable};

/// Long enough for any machine; a test that ends sooner does not wait.
const LONG: Duration = Duration::from_secs(60);

fn shell(script: &str) -> Program {
    Program::new("sh").argument("-c").argument(script)
}

fn bounds() -> Bounds {
    Bounds { time_limit: LONG, grace: LONG, ..Bounds::default() }
}

fn run_collecting(program: &Program, bounds: &Bounds) -> (Result<End, RunError>, Vec<(Stream, String)>) {
    let mut lines = Vec::new();
    let result = run(program, bounds, &Always, &mut |stream, line| lines.push((stream, line.to_owned())));
    (result, lines)
}

#[test]
fn every_line_of_both_streams_and_the_code_come_back() {
    let (end, lines) = run_collecting(&shell("echo one; printf two; echo three >&2; exit 3"), &bounds());
    assert_eq!(end.unwrap(), End::Code(3));
    let of = |wanted| lines.iter().filter(|(stream, _)| *stream == wanted).map(|(_, l)| l.as_str()).collect::<Vec<_>>();
    assert_eq!(of(Stream::Output), ["one", "two"]);
    assert_eq!(of(Stream::Error), ["three"]);
}

#[test]
fn arguments_reach_no_shell_and_the_environment_is_only_what_was_given() {
    let program = Program::new("printf").argument("%s\n").argument("$HOME; echo no");
    assert_eq!(run_collecting(&program, &bounds()).1, [(Stream::Output, "$HOME; echo no".to_owned())]);
    let (_, lines) = run_collecting(&Program::new("env").variable("ONLY", "this"), &bounds());
    let names: Vec<&str> = lines.iter().filter_map(|(_, line)| line.split('=').next()).collect();
    assert!(names.iter().all(|name| ["PATH", "ONLY", "_"].contains(name)), "{names:?}");
}

#[test]
fn input_is_read_to_its_end() {
    let program = Program { input: b"a\nb\n".to_vec(), ..Program::new("cat") };
    assert_eq!(run_collecting(&program, &bounds()).1.len(), 2);
}

#[test]
fn a_missing_program_and_a_missing_folder_are_distinguished() {
    let (missing, _) = run_collecting(&Program::new("no-such-program-anywhere"), &bounds());
    assert!(matches!(missing, Err(RunError::Missing { .. })));
    let nowhere = Program { folder: Some("/no/such/folder".into()), ..Program::new("true") };
    assert!(matches!(run_collecting(&nowhere, &bounds()).0, Err(RunError::Spawn { .. })));
}

/// Writes a program that may be run at once, through a child process.
///
/// A process that forks while this one holds a descriptor for writing inherits it until its own exec, and meanwhile
/// the kernel refuses to run the file (ETXTBSY). Tests fork on many threads.
pub fn write_program(path: &Path, text: &str) {
    let write = shell("cat > \"$0\" && chmod 700 \"$0\"").argument(path);
    let (end, lines) = run_collecting(&Program { input: text.as_bytes().to_vec(), ..write }, &bounds());
    assert_eq!(end.unwrap(), End::Code(0), "{lines:?}");
}

/// A file that a test process writes itself was refused with ETXTBSY now and then.
#[test]
fn a_program_that_was_written_runs_while_other_threads_fork() {
    let folder = tempfile::tempdir().unwrap();
    let forks = || (0..40).for_each(|_| drop(run_collecting(&shell("true"), &bounds())));
    std::thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(forks)));
        for number in 0..40 {
            let path = folder.path().join(number.to_string());
            write_program(&path, "#!/bin/sh\nexit 7\n");
            assert_eq!(run_collecting(&Program::new(path), &bounds()).0.unwrap(), End::Code(7));
        }
    });
}

/// Runs a script, and wants it to stop once it has said something: from then on it is as it means to be.
fn stopped_once_ready(script: &str, bounds: &Bounds) -> Result<End, RunError> {
    let leave = Cancellable::default();
    let ends = leave.clone();
    run(&shell(script), bounds, &leave, &mut |_, _| ends.cancel())
}

#[test]
fn a_program_over_its_time_is_ended() {
    let limits = Bounds { time_limit: Duration::from_millis(200), ..bounds() };
    let (end, _) = run_collecting(&shell("exec sleep 600"), &limits);
    assert!(matches!(end, Err(RunError::TimedOut { .. })));
}

#[test]
fn a_program_that_must_stop_is_interrupted_and_may_clean_up() {
    let folder = tempfile::tempdir().unwrap();
    let cleaned = folder.path().join("cleaned");
    let script = format!("trap 'touch {}; exit 1' INT; sleep 600 & echo ready; wait", cleaned.display());
    // A shell starts background jobs with SIGINT ignored, and no shell can trap a signal that was ignored at its start.
    // The node and the commands catch SIGINT, which exec resets for their children.
    let program = Program::new("env").argument("--default-signal=INT").argument("sh").argument("-c").argument(script);
    let leave = Cancellable::default();
    let ends = leave.clone();
    let end = run(&program, &bounds(), &leave, &mut |_, _| ends.cancel());
    assert!(matches!(end, Err(RunError::Stopped { .. })));
    assert!(cleaned.exists());
}

#[test]
fn a_program_that_ignores_the_interrupt_is_killed_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    let script = format!("trap '' INT; sleep 600 & echo $! > {}; echo ready; wait", pid_file.display());
    let limits = Bounds { grace: Duration::from_millis(100), ..bounds() };
    assert!(matches!(stopped_once_ready(&script, &limits), Err(RunError::Stopped { .. })));
    let grandchild = std::fs::read_to_string(pid_file).unwrap();
    // A killed process is a zombie (state Z) until its parent waits for it.
    let gone = || {
        let stat = std::fs::read_to_string(Path::new("/proc").join(grandchild.trim()).join("stat"));
        stat.map_or(true, |stat| stat.contains(") Z"))
    };
    let begun = Instant::now();
    while !gone() {
        assert!(begun.elapsed() < LONG, "the grandchild lives on");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_flood_of_output_is_ended_with_or_without_line_ends() {
    let limits = Bounds { output_bytes: 1 << 20, ..bounds() };
    for script in ["yes", "cat /dev/zero"] {
        let (end, lines) = run_collecting(&shell(script), &limits);
        assert!(matches!(end, Err(RunError::TooMuchOutput { .. })), "{script}: {end:?}");
        assert!(lines.iter().all(|(_, line)| line.len() <= limits.line_bytes), "{script}");
    }
}

#[test]
fn a_long_line_is_cut_and_the_next_one_is_whole() {
    let limits = Bounds { line_bytes: 4, ..bounds() };
    let (_, lines) = run_collecting(&shell("echo 123456789; echo ab; printf 1234; sleep 0.1; printf 56789"), &limits);
    let texts: Vec<&str> = lines.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(texts, ["1234", "ab", "1234"]);
}

#[test]
fn a_program_stops_when_its_leave_ends_and_never_begins_without() {
    let leave = Cancellable::default();
    let ends = leave.clone();
    let mut on_line = |_: Stream, _: &str| ends.cancel();
    let result = run(&shell("echo begun; exec sleep 600"), &bounds(), &leave, &mut on_line);
    assert!(matches!(result, Err(RunError::Stopped { stop: Stop::Cancelled, .. })));
    let mut never = |_: Stream, _: &str| panic!("it ran");
    let result = run(&shell("echo begun"), &bounds(), &leave, &mut never);
    assert!(matches!(result, Err(RunError::Stopped { .. })));
}

#[test]
fn a_grandchild_that_keeps_the_pipes_does_not_keep_the_caller() {
    let (end, lines) = run_collecting(&shell("setsid sleep 600 & echo done"), &bounds());
    assert_eq!(end.unwrap(), End::Code(0));
    assert_eq!(lines, [(Stream::Output, "done".to_owned())]);
}

#[test]
fn a_signal_that_ends_a_program_is_reported() {
    assert_eq!(run_collecting(&shell("kill -9 $$"), &bounds()).0.unwrap(), End::Signal(9));
}
