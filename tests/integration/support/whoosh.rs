//! A stand-in for legacy WHOOSH: its wire format (docs/migration.md) over real sockets, with its own small state
//! machine of phases, which shares no code with SWOOSH's. It can be made to fail in the ways that WHOOSH failed.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// WHOOSH's transitions: name, section, from, to. An empty `from` means any phase.
const TABLE: &[(&str, &str, &str, &str)] = &[
    ("Ingestion_SourcesResolved", "Ingestion", "DISCOVER", "FETCH"),
    ("Ingestion_BytesOk", "Ingestion", "FETCH", "VALIDATE"),
    ("Ingestion_SchemaOk", "Ingestion", "VALIDATE", "INDEX"),
    ("Ingestion_CorpusBuilt", "Ingestion", "INDEX", "READY"),
    ("Ingestion_NewVersion", "Ingestion", "READY", "DISCOVER"),
    ("Council_ProfilesLoaded", "Council", "PLAN_ROLES", "ELECT"),
    ("Council_QuorumCert", "Council", "ELECT", "TOOLING_SYNC"),
    ("Council_McpGreen", "Council", "TOOLING_SYNC", "READY"),
    ("Environment_CapacityOk", "Environment", "ALLOCATE", "PROVISION"),
    ("Environment_Installed", "Environment", "PROVISION", "HEALTHCHECK"),
    ("Environment_Green", "Environment", "HEALTHCHECK", "READY"),
    ("Environment_Recheck", "Environment", "READY", "HEALTHCHECK"),
    ("Execution_AllReady", "Execution", "INACTIVE", "PLAN"),
    ("Execution_PlanLocked", "Execution", "PLAN", "WORK"),
    ("Execution_BeatReviewGate", "Execution", "WORK", "REVIEW"),
    ("Execution_Rework", "Execution", "REVIEW", "WORK"),
    ("Execution_PlanChange", "Execution", "", ""),
    ("Execution_Approve", "Execution", "REVIEW", "REVIEW"),
    ("Execution_ApprovalsThreshold", "Execution", "REVIEW", "REVERB"),
    ("Environment_Deprovision", "Environment", "", "ALLOCATE"),
    // It has no phase for these.
    ("Boot_ConfigOk", "Boot", "", ""),
    ("Boot_Licensed", "Boot", "", ""),
    ("Control_Pause", "Control", "", ""),
    ("Control_Resume", "Control", "", ""),
];

/// Phases of a project by section.
pub type Phases = BTreeMap<&'static str, &'static str>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Not at all.
    #[default]
    None,
    /// It says it accepted, and changes nothing.
    Forgets,
    Refuses,
    /// It accepts whatever it is sent, and changes nothing where it cannot.
    Gullible,
    /// It says another hash than that of its state.
    WrongHash,
    /// It answers with its own failure.
    Fails,
    /// It answers a transition with this status and judges nothing.
    Answers(u16),
    /// It answers with what is no HTTP.
    Garbage,
    /// It closes the connection without an answer.
    HangsUp,
    Silent,
    /// Its answer has no end.
    Endless,
}

#[derive(Default)]
struct Inside {
    projects: BTreeMap<String, Phases>,
    /// Every accepted transition: project, name, and the idempotency key that came with it.
    accepted: Vec<(String, String, Option<String>)>,
    /// Targets of every request.
    requests: Vec<String>,
    fault: Fault,
}

/// A running stand-in.
#[derive(Clone)]
pub struct Whoosh {
    pub address: SocketAddr,
    inside: Arc<Mutex<Inside>>,
}

/// Requests of one connection.
struct Request {
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Whoosh {
    /// Starts it on a free port.
    pub fn start() -> Whoosh {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let whoosh = Whoosh { address: listener.local_addr().unwrap(), inside: Arc::default() };
        let own = whoosh.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let own = own.clone();
                std::thread::spawn(move || own.serve(stream));
            }
        });
        whoosh
    }

    /// The address for settings.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn add(&self, project: &str) {
        let phases = [
            ("Ingestion", "DISCOVER"),
            ("Council", "PLAN_ROLES"),
            ("Environment", "ALLOCATE"),
            ("Execution", "INACTIVE"),
        ];
        self.inside.lock().unwrap().projects.insert(project.to_owned(), phases.into());
    }

    /// How it fails from now on.
    pub fn set_fault(&self, fault: Fault) {
        self.inside.lock().unwrap().fault = fault;
    }

    /// The present phase of each region of a project.
    pub fn phases(&self, project: &str) -> Phases {
        self.inside.lock().unwrap().projects[project].clone()
    }

    /// Transitions accepted for a project, in order.
    pub fn accepted(&self, project: &str) -> Vec<String> {
        let inside = self.inside.lock().unwrap();
        inside.accepted.iter().filter(|(of, ..)| of == project).map(|(_, name, _)| name.clone()).collect()
    }

    /// Keys that came with what it accepted for a project.
    pub fn keys(&self, project: &str) -> Vec<Option<String>> {
        let inside = self.inside.lock().unwrap();
        inside.accepted.iter().filter(|(of, ..)| of == project).map(|(.., key)| key.clone()).collect()
    }

    /// How many proposals were sent to it.
    pub fn proposals(&self) -> usize {
        self.inside.lock().unwrap().requests.iter().filter(|target| target.starts_with("/transition")).count()
    }

    /// Targets of every request, in order.
    pub fn targets(&self) -> Vec<String> {
        self.inside.lock().unwrap().requests.clone()
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        let Some(request) = read(&mut reader) else { return };
        let fault = {
            let mut inside = self.inside.lock().unwrap();
            inside.requests.push(request.target.clone());
            inside.fault
        };
        let stream = reader.get_mut();
        match fault {
            Fault::Garbage => drop(stream.write_all(b"WHOOSH!\r\n\r\n")),
            Fault::HangsUp => {}
            Fault::Silent => drop(reader.read_to_end(&mut Vec::new())),
            Fault::Endless => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n");
                while stream.write_all(&[b' '; 4096]).is_ok() {}
            }
            fault => {
                let (status, document) = self.answer(&request, fault);
                let body = document.to_string();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\nx-whoosh-build: 4.2\r\ncontent-length: \
                     {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        }
    }

    fn answer(&self, request: &Request, fault: Fault) -> (u16, Value) {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        match (request.method.as_str(), path) {
            _ if fault == Fault::Fails => (500, json!({"status": "error", "reason": "nil pointer dereference"})),
            ("POST", "/transition") => match fault {
                Fault::Answers(status) => (status, json!({"status": "error", "reason": "not now"})),
                fault => self.transition(request, fault),
            },
            ("GET", "/state") => self.state(query, fault),
            ("GET", "/health") => (200, json!({"status": "ok"})),
            _ => (404, json!({"status": "error", "reason": "no such path"})),
        }
    }

    fn transition(&self, request: &Request, fault: Fault) -> (u16, Value) {
        let rejected = |reason: String| (400, json!({"status": "rejected", "reason": reason, "guard": "phase"}));
        let Ok(document) = serde_json::from_slice::<Value>(&request.body) else {
            return rejected("the body is no JSON".to_owned());
        };
        let name = document["transition"].as_str().unwrap_or_default().to_owned();
        let project = document["project"].as_str().unwrap_or("default").to_owned();
        let mut inside = self.inside.lock().unwrap();
        let Some(phases) = inside.projects.get_mut(&project) else { return rejected(format!("no project {project}")) };
        let row = TABLE.iter().find(|(known, ..)| *known == name);
        let enabled = row.filter(|(_, section, from, _)| from.is_empty() || phases[section] == *from);
        match (fault, enabled) {
            (Fault::Refuses, _) => return rejected("not today".to_owned()),
            (Fault::Forgets | Fault::Gullible, None) | (Fault::Forgets, Some(_)) => {}
            (_, Some((_, section, _, to))) => {
                if !to.is_empty() {
                    phases.insert(section, to);
                }
            }
            (_, None) => return rejected(format!("{name} is not possible now")),
        }
        let hash = hash(&projection(phases, None));
        let key = request.headers.get("idempotency-key").cloned();
        inside.accepted.push((project.clone(), name.clone(), key));
        (202, json!({"status": "accepted", "project": project, "transition": name, "hash": hash}))
    }

    fn state(&self, query: &str, fault: Fault) -> (u16, Value) {
        let parameter = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        let project = parameter("project").unwrap_or("default");
        let inside = self.inside.lock().unwrap();
        let Some(phases) = inside.projects.get(project) else {
            return (404, json!({"status": "error", "reason": "no such project"}));
        };
        let projection = projection(phases, parameter("projection"));
        let hash = if fault == Fault::WrongHash { hash(&json!({})) } else { hash(&projection) };
        (200, json!({"project": project, "hash": hash, "projection": projection}))
    }
}

fn projection(phases: &Phases, wanted: Option<&str>) -> Value {
    let wanted = |name: &str| wanted.is_none_or(|wanted| wanted.split(',').any(|one| one.eq_ignore_ascii_case(name)));
    let shown = phases.iter().filter(|(name, _)| wanted(name));
    shown.map(|(name, phase)| ((*name).to_owned(), json!({"phase": phase}))).collect::<serde_json::Map<_, _>>().into()
}

/// sha256 of a document whose keys are sorted; of phases that is RFC 8785.
fn hash(document: &Value) -> String {
    let digest = Sha256::digest(document.to_string().as_bytes());
    format!("sha256-{}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut parts = first.split(' ');
    let (method, target) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, target, headers, body })
}
