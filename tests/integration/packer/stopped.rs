//! Builds that are interrupted or killed, and what comes after.

use super::*;

/// A desk whose build says that it has begun and then goes on until `go` is there.
fn waiting() -> Desk {
    let desk = Desk::new("true");
    let (begun, go) = (desk.beside("begun"), desk.beside("go"));
    let shell = format!("echo begun >> {}; until [ -e {} ]; do sleep 0.05; done", begun.display(), go.display());
    desk.write("web.pkr.hcl", &template(&shell));
    desk
}

fn begun(desk: &Desk) -> usize {
    fs::read_to_string(desk.beside("begun")).unwrap_or_default().lines().count()
}

#[test]
fn an_interrupt_ends_packer_and_is_recorded_and_the_next_build_succeeds() {
    for name in ["-INT", "-TERM"] {
        let desk = waiting();
        let child = desk.start(&["build", "web.pkr.hcl"]);
        wait_until("the build", || begun(&desk) == 1);
        signal(name, child.id());
        let ran = Ran::of(child.wait_with_output().unwrap());
        assert_eq!((ran.code, ran.said["failure"]["class"].as_str()), (Some(130), Some("interrupted")), "{ran:?}");
        wait_until("the end of packer", || !desk.has_processes());
        fs::write(desk.beside("go"), "").unwrap();
        assert_eq!(desk.run(&["build", "web.pkr.hcl"]).good().said["status"], "succeeded");
    }
}

#[test]
fn a_kill_of_ours_ends_packer_too_and_the_next_build_records_it_and_succeeds() {
    let desk = waiting();
    let mut child = desk.start(&["build", "web.pkr.hcl", "--grace", "5s"]);
    wait_until("the build", || begun(&desk) == 1);
    child.kill().unwrap();
    child.wait().unwrap();
    // The sentinel sees to that, without anybody's doing.
    wait_until("the end of packer", || !desk.has_processes());
    let status = desk.run(&["status"]).said;
    assert_eq!(
        (&status["builds"][0]["abandoned"], &status["builds"][0]["last_status"]),
        (&true.into(), &"running".into())
    );
    let abandoned = status["builds"][0]["last_run_id"].as_str().unwrap().to_owned();
    fs::write(desk.beside("go"), "").unwrap();
    assert_eq!(desk.run(&["build", "web.pkr.hcl"]).good().said["status"], "succeeded");
    assert_eq!(begun(&desk), 2);
    let text = fs::read_to_string(desk.root().join("state/runs").join(abandoned).join("run.json")).unwrap();
    let run: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&run["status"], &run["failure"]["class"]), (&"failed".into(), &"abandoned".into()));
}
