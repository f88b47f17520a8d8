//! Git over http on a loopback port: `git http-backend` behind a small server, which can also misbehave.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// How the server answers packs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Good = 0,
    /// Ends the connection in the middle of each pack.
    CutsPacks = 1,
    /// Sends half of each pack and then nothing.
    StallsPacks = 2,
    Asks = 3,
    /// Asks for credentials, and takes any.
    AsksOnce = 4,
    /// Redirects every request to another server.
    Redirects = 5,
    /// Asks for credentials, and redirects requests that have some to another server.
    AsksAndRedirects = 6,
}

/// A server of the repositories in a folder. It runs until the test's process ends.
pub struct GitServer {
    pub url: String,
    mood: Arc<AtomicU64>,
    pub packs: Arc<AtomicU64>,
    /// The `authorization` headers of requests.
    pub authorizations: Arc<Mutex<Vec<String>>>,
    /// Where redirects lead.
    pub elsewhere: Arc<Mutex<String>>,
}

impl GitServer {
    pub fn start(folder: &Path) -> GitServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = GitServer {
            url,
            mood: Arc::default(),
            packs: Arc::default(),
            authorizations: Arc::default(),
            elsewhere: Arc::default(),
        };
        let (folder, mood, packs) = (folder.to_owned(), server.mood.clone(), server.packs.clone());
        let (authorizations, elsewhere) = (server.authorizations.clone(), server.elsewhere.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (folder, mood, packs) = (folder.clone(), mood.clone(), packs.clone());
                let (authorizations, elsewhere) = (authorizations.clone(), elsewhere.clone());
                thread::spawn(move || {
                    let _ = serve(stream, &folder, &mood, &packs, (&authorizations, &elsewhere));
                });
            }
        });
        server
    }

    pub fn be(&self, mood: Mood) {
        self.mood.store(mood as u64, Ordering::SeqCst);
    }
}

struct Asked {
    method: String,
    path: String,
    query: String,
    content_type: String,
    authorization: Option<String>,
    body: Vec<u8>,
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let (mut length, mut chunked, mut content_type, mut authorization) = (0, false, String::new(), None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(':') else { break };
        match (name.to_ascii_lowercase().as_str(), value.trim()) {
            ("content-length", value) => length = value.parse().ok()?,
            ("transfer-encoding", "chunked") => chunked = true,
            ("content-type", value) => content_type = value.to_owned(),
            ("authorization", value) => authorization = Some(value.to_owned()),
            ("expect", _) => reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?,
            _ => {}
        }
    }
    let body = if chunked { read_chunks(reader)? } else { read_exactly(reader, length)? };
    Some(Asked { method, path: path.to_owned(), query: query.to_owned(), content_type, authorization, body })
}

fn read_exactly(reader: &mut BufReader<TcpStream>, length: usize) -> Option<Vec<u8>> {
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

fn read_chunks(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        body.extend(read_exactly(reader, length)?);
        read_exactly(reader, 2)?;
        if length == 0 {
            return Some(body);
        }
    }
}

fn serve(
    stream: TcpStream,
    folder: &Path,
    mood: &AtomicU64,
    packs: &AtomicU64,
    (authorizations, elsewhere): (&Mutex<Vec<String>>, &Mutex<String>),
) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut out = stream;
    while let Some(asked) = read(&mut reader) {
        let mood_now = mood.load(Ordering::SeqCst);
        authorizations.lock().unwrap().extend(asked.authorization.clone());
        let asks_once = [Mood::AsksOnce as u64, Mood::AsksAndRedirects as u64].contains(&mood_now);
        let asks = mood_now == Mood::Asks as u64 || (asks_once && asked.authorization.is_none());
        if asks {
            let answer =
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n";
            out.write_all(answer.as_bytes()).ok()?;
            continue;
        }
        if [Mood::Redirects as u64, Mood::AsksAndRedirects as u64].contains(&mood_now) {
            let to = format!("{}{}?{}", elsewhere.lock().unwrap(), asked.path, asked.query);
            let answer = format!("HTTP/1.1 301 Moved Permanently\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            out.write_all(answer.as_bytes()).ok()?;
            continue;
        }
        let is_pack = asked.path.ends_with("git-upload-pack") && asked.method == "POST";
        let (head, body) = backend(folder, &asked)?;
        let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
        out.write_all(head.as_bytes()).ok()?;
        if is_pack && body.windows(4).any(|window| window == b"PACK") {
            packs.fetch_add(1, Ordering::SeqCst);
            if mood_now == Mood::CutsPacks as u64 || mood_now == Mood::StallsPacks as u64 {
                out.write_all(&body[..body.len() / 2]).ok()?;
                out.flush().ok()?;
                while mood_now == Mood::StallsPacks as u64 && reader.get_mut().peek(&mut [0]).ok()? > 0 {
                    thread::yield_now();
                }
                return None;
            }
        }
        out.write_all(&body).ok()?;
        out.flush().ok()?;
    }
    Some(())
}

/// Head (without its last line) and body of what git's own program answers.
fn backend(folder: &Path, asked: &Asked) -> Option<(String, Vec<u8>)> {
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("REQUEST_METHOD", &asked.method)
        .env("PATH_INFO", &asked.path)
        .env("QUERY_STRING", &asked.query)
        .env("CONTENT_TYPE", &asked.content_type)
        .env("CONTENT_LENGTH", asked.body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(&asked.body).ok()?;
    let output = child.wait_with_output().ok()?.stdout;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    let rest: String =
        head.lines().filter(|line| !line.starts_with("Status:")).map(|line| format!("{line}\r\n")).collect();
    Some((format!("HTTP/1.1 {status}\r\n{rest}"), output[end + 4..].to_vec()))
}

/// A real repository, made with git's own program.
pub struct GitRepository {
    pub folder: PathBuf,
}

impl GitRepository {
    /// An empty one with the branch `main`.
    pub fn make(folder: PathBuf) -> GitRepository {
        std::fs::create_dir_all(&folder).unwrap();
        let repository = GitRepository { folder };
        repository.git(&["init", "-q", "-b", "main"]);
        repository
    }

    /// Runs git there, and gives what it says.
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always"])
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .current_dir(&self.folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Writes a file and commits everything.
    pub fn commit(&self, file: &str, content: &[u8]) -> String {
        let path = self.folder.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", file]);
        self.git(&["rev-parse", "HEAD"])
    }
}
