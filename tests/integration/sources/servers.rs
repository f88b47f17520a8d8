//! The whole workflow on real git servers, `git http-backend` and sshd on loopback, beside shallow clones that git makes of the same
//! repositories. A server that is not installed is skipped with its name.

use super::secure::{Ssh, sshd, user};
use super::*;
use crate::support::skipped;

/// The tag that both sides bring.
const TAG: &str = "v1";

/// A shallow clone by git itself, from the server that the desk's source names.
fn shallow(desk: &Desk, url: &str, variables: &[(&str, String)]) -> GitRepository {
    let folder = desk.folder.path().join("shallow");
    let mut command = Command::new("git");
    command.args(["clone", "-q", "--depth", "1", "--branch", TAG, url]).arg(&folder);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").envs(variables.iter().map(|(name, value)| (name, value)));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    GitRepository { folder }
}

/// Sync, status, scan, an update, a forced commit and its release; the tree is the one that git cloned.
fn workflow(desk: &Desk, url: &str, configure: &dyn Fn(&str), variables: &[(&str, String)]) {
    let clone = shallow(desk, url, variables);
    assert_eq!(clone.git(&["rev-parse", "--is-shallow-repository"]), "true");
    configure(TAG);
    desk.run(&["sources", "sync"]).good();
    let tree = GitRepository { folder: desk.tree() };
    for question in [["rev-parse", "HEAD", "HEAD^{tree}"].as_slice(), &["ls-tree", "-r", "HEAD"], &["describe"]] {
        assert_eq!(tree.git(question), clone.git(question), "{question:?}");
    }
    desk.run(&["sources", "scan"]).good();
    let status = desk.run(&["sources", "status"]).good();
    assert_eq!(
        (&status.said["sources"][0]["condition"], &status.said["sources"][0]["scan_state"]),
        (&"clean".into(), &"clean".into())
    );
    let next = desk.repository.commit("next.txt", b"next\n");
    configure(&next);
    desk.run(&["sources", "sync"]).good();
    assert_eq!(desk.head(), next);
    let first = desk.repository.git(&["rev-parse", "v1^{commit}"]);
    let approval = ["--request-id", "GOV-1", "--approver", "dana", "--expires", "30d", "--reason", "hotfix"];
    desk.run(&[&["sources", "pin", "alpha", &first], &approval[..]].concat()).good();
    assert_eq!(desk.head(), first);
    desk.run(&["sources", "pin", "alpha", "--release", "--reason", "fixed"]).good();
    desk.run(&["sources", "sync"]).good();
    assert_eq!(desk.head(), next);
    tree.git(&["fsck", "--full"]);
}

#[test]
fn the_workflow_holds_on_git_http_backend() {
    let path = String::from_utf8(Command::new("git").arg("--exec-path").output().unwrap().stdout).unwrap();
    if !Path::new(path.trim()).join("git-http-backend").is_file() {
        return skipped("there is no git http-backend on this machine; install git with it");
    }
    let mut desk = Desk::new();
    let server = desk.serve();
    let url = format!("{}/alpha.git", server.url);
    workflow(&desk, &url, &|reference| desk.configure_url("https://h.invalid/alpha.git", reference, ""), &[]);
}

#[test]
fn the_workflow_holds_on_sshd() {
    let Some(program) = sshd() else { return };
    let mut desk = Desk::new();
    let ssh = Ssh::start(&program, &mut desk);
    let known = desk.folder.path().join("ssh/known").display().to_string();
    desk.variables.push(("SWOOSH_SSH_KNOWN_HOSTS".to_owned(), known.clone()));
    let agent = desk.folder.path().join("ssh/agent").display().to_string();
    let url = format!("ssh://{}@127.0.0.1:{}{}", user(), ssh.port, desk.repository.folder.display());
    let variables = [
        ("SSH_AUTH_SOCK", agent),
        ("GIT_SSH_COMMAND", format!("ssh -F /dev/null -o UserKnownHostsFile={known} -o StrictHostKeyChecking=yes")),
    ];
    workflow(&desk, &url, &|reference| desk.configure_url(&url, reference, ""), &variables);
}
