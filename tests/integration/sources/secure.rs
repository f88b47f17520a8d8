//! https to a real TLS server in front of git's own http-backend; ssh to a real sshd, where this machine has one.

use std::net::SocketAddr;

use super::*;
use crate::support::git_server::Mood;
use crate::support::{skipped, tls_front};

/// The repository over https, served by this server behind TLS.
fn over_https(desk: &Desk) -> (GitServer, u16) {
    let server = GitServer::start(&desk.folder.path().join("served"));
    let plain: SocketAddr = server.url.strip_prefix("http://").unwrap().parse().unwrap();
    let port = tls_front::start(plain).port();
    desk.configure_url(&format!("https://localhost:{port}/alpha.git"), "v1", "");
    (server, port)
}

/// Gives the command a token that is bound to a prefix.
fn bind(desk: &mut Desk, prefix: &str) {
    desk.variables.retain(|(name, _)| !name.starts_with("SWOOSH_GIT_"));
    desk.variables.push(("SWOOSH_GIT_TOKEN".to_owned(), "hunter2-hunter2".to_owned()));
    desk.variables.push(("SWOOSH_GIT_URL_PREFIX".to_owned(), prefix.to_owned()));
}

/// The token was sent to whatever host the list of repositories named.
#[test]
fn a_token_goes_to_addresses_below_its_prefix_alone() {
    let mut desk = Desk::new();
    let (server, port) = over_https(&desk);
    server.be(Mood::AsksOnce);
    believe(&mut desk, tls_front::authority());
    for prefix in [
        "https://localhost".to_owned(),
        format!("https://localhost:{}", port.wrapping_add(1)),
        format!("https://localhost:{port}/alph"),
        format!("https://localhost:{port}/alpha.git/sub"),
        format!("https://127.0.0.1:{port}"),
    ] {
        bind(&mut desk, &prefix);
        let failure = desk.run(&["sources", "sync"]).failure();
        assert!(failure.contains("none are bound to its address"), "{prefix}: {failure}");
    }
    desk.variables.retain(|(name, _)| name != "SWOOSH_GIT_URL_PREFIX");
    let failure = desk.run(&["sources", "sync"]).failure();
    assert!(failure.contains("set SWOOSH_GIT_URL_PREFIX"), "{failure}");
    for wrong in ["https://", "https://*", "http://localhost"] {
        bind(&mut desk, wrong);
        let failure = desk.run(&["sources", "sync"]).failure();
        assert!(failure.contains("SWOOSH_GIT_URL_PREFIX: it"), "{wrong}: {failure}");
    }
    assert_eq!(*server.authorizations.lock().unwrap(), [""; 0]);
    bind(&mut desk, &format!("https://LOCALHOST:{port}/"));
    desk.run(&["sources", "sync"]).good();
}

/// libgit2 follows a first redirect to wherever it leads, and offers there what was given for the address before.
#[test]
fn a_redirect_to_another_server_does_not_receive_the_token() {
    for mood in [Mood::Redirects, Mood::AsksAndRedirects] {
        let mut desk = Desk::new();
        let (server, port) = over_https(&desk);
        let other = GitServer::start(&desk.folder.path().join("served"));
        let plain: SocketAddr = other.url.strip_prefix("http://").unwrap().parse().unwrap();
        // The certificate names both, so that the host alone differs.
        let host = if mood == Mood::Redirects { "localhost" } else { "127.0.0.1" };
        *server.elsewhere.lock().unwrap() = format!("https://{host}:{}", tls_front::start(plain).port());
        server.be(mood);
        other.be(Mood::AsksOnce);
        believe(&mut desk, tls_front::authority());
        bind(&mut desk, &format!("https://localhost:{port}"));
        desk.run(&["sources", "sync"]).failure();
        assert_eq!(*other.authorizations.lock().unwrap(), [""; 0], "{mood:?}");
        assert_eq!(server.authorizations.lock().unwrap().is_empty(), mood == Mood::Redirects);
    }
}

fn believe(desk: &mut Desk, authority: PathBuf) {
    desk.variables.retain(|(name, _)| name != "SSL_CERT_FILE");
    desk.variables.push(("SSL_CERT_FILE".to_owned(), authority.display().to_string()));
}

#[test]
fn a_repository_comes_over_https_where_its_authority_is_believed_and_not_otherwise() {
    let mut desk = Desk::new();
    let (_server, _port) = over_https(&desk);
    believe(&mut desk, tls_front::other_authority());
    let failure = desk.run(&["sources", "sync"]).failure();
    assert!(failure.contains("SSL_CERT_FILE") && failure.contains("certificate"), "{failure}");
    assert!(!desk.tree().exists() && desk.state("sources.json").is_none(), "nothing is left");
    believe(&mut desk, tls_front::authority());
    desk.run(&["sources", "sync"]).good();
    assert_eq!(desk.head(), desk.repository.git(&["rev-parse", "v1^{commit}"]));
    desk.run(&["sources", "status"]).good();
}

#[test]
fn a_token_opens_a_repository_over_https_and_is_written_to_no_file() {
    let mut desk = Desk::new();
    let (server, port) = over_https(&desk);
    server.be(Mood::AsksOnce);
    believe(&mut desk, tls_front::authority());
    let failure = desk.run(&["sources", "sync"]).failure();
    assert!(failure.contains("SWOOSH_GIT_TOKEN"), "{failure}");
    bind(&mut desk, &format!("https://localhost:{port}/alpha.git"));
    desk.run(&["sources", "sync"]).good();
    assert!(!server.authorizations.lock().unwrap().is_empty());
    assert_eq!(desk.head(), desk.repository.git(&["rev-parse", "v1^{commit}"]));
    let mut folders = vec![desk.root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => {
                    let bytes = fs::read(entry.path()).unwrap();
                    assert!(!bytes.windows(7).any(|piece| piece == b"hunter2"), "{}", entry.path().display());
                }
            }
        }
    }
}

/// The path of the ssh server; `None` if it is not installed, with a line on stderr.
pub(super) fn sshd() -> Option<PathBuf> {
    let found = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"].map(PathBuf::from);
    let found = found.into_iter().find(|path| path.is_file());
    if found.is_none() {
        skipped("there is no sshd on this machine; apt-get install openssh-server");
    }
    found
}

/// An ssh server of this user's own, an agent that holds its key, and a list of its host key.
pub(super) struct Ssh {
    server: std::process::Child,
    agent: std::process::Child,
    pub(super) port: u16,
}

impl Drop for Ssh {
    fn drop(&mut self) {
        for child in [&mut self.server, &mut self.agent] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn run(program: &str, arguments: &[&str], variables: &[(&str, &str)]) {
    let output = Command::new(program).args(arguments).envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Ssh {
    pub(super) fn start(program: &Path, desk: &mut Desk) -> Ssh {
        let place = desk.folder.path().join("ssh");
        fs::create_dir_all(&place).unwrap();
        // Without it sshd does not start as root; where this is not root, it is not asked for.
        let _ = fs::create_dir("/run/sshd");
        let file = |name: &str| place.join(name).display().to_string();
        for key in ["host", "mine"] {
            run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &file(key)], &[]);
        }
        fs::copy(place.join("mine.pub"), place.join("authorized")).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nPidFile none\n",
            file("host"),
            file("authorized")
        );
        fs::write(place.join("settings"), settings).unwrap();
        let server = Command::new(program).args(["-D", "-e", "-f", &file("settings")]).stderr(Stdio::null()).spawn();
        let agent = Command::new("ssh-agent").args(["-D", "-a", &file("agent")]).stdout(Stdio::null()).spawn();
        let ssh = Ssh { server: server.unwrap(), agent: agent.unwrap(), port };
        super::interrupted::wait_until("the agent", || place.join("agent").exists());
        let reached = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        super::interrupted::wait_until("the ssh server", reached);
        run("ssh-add", &["-q", &file("mine")], &[("SSH_AUTH_SOCK", &file("agent"))]);
        let host = fs::read_to_string(place.join("host.pub")).unwrap();
        fs::write(place.join("known"), format!("[127.0.0.1]:{port} {host}")).unwrap();
        desk.variables.push(("SSH_AUTH_SOCK".to_owned(), file("agent")));
        ssh
    }
}

/// The name of this process's user.
pub(super) fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_repository_comes_over_ssh_from_a_host_that_is_known_and_from_no_other() {
    let Some(program) = sshd() else { return };
    let mut desk = Desk::new();
    let ssh = Ssh::start(&program, &mut desk);
    let path = desk.repository.folder.display().to_string();
    desk.configure_url(&format!("ssh://{}@127.0.0.1:{}{path}", user(), ssh.port), "v1", "");
    let none = desk.folder.path().join("ssh/empty");
    fs::write(&none, "").unwrap();
    desk.variables.push(("SWOOSH_SSH_KNOWN_HOSTS".to_owned(), none.display().to_string()));
    let failure = desk.run(&["sources", "sync"]).failure();
    assert!(failure.contains("known_hosts"), "{failure}");
    let known = desk.folder.path().join("ssh/known").display().to_string();
    desk.variables.push(("SWOOSH_SSH_KNOWN_HOSTS".to_owned(), known));
    desk.run(&["sources", "sync"]).good();
    assert_eq!(desk.head(), desk.repository.git(&["rev-parse", "v1^{commit}"]));
}
