//! MCP servers whose answers are legal to the letter, or nearly, and hard on a probe: pages without an end, a byte-order mark, odd names.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use swoosh_standins::Running;

/// How answers are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    MarkedJson,
    MarkedStream,
}

/// A server that lists pages by number and counts how often it is asked for one.
struct Server {
    running: Running,
    asked: Arc<AtomicUsize>,
}

impl Server {
    fn start(form: Form, version: &'static str, page: fn(usize) -> Value) -> Server {
        let hello = json!({
            "protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "search", "version": version},
        });
        Server::start_as(form, hello, page)
    }

    /// A server that answers `initialize` with `hello`.
    fn start_as(form: Form, hello: Value, page: fn(usize) -> Value) -> Server {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let answer = move |body: Bytes| {
            let request: Value = serde_json::from_slice(&body).unwrap();
            let result = match request["method"].as_str() {
                Some("initialize") => Some(hello.clone()),
                Some("tools/list") => Some(page(count.fetch_add(1, Ordering::Relaxed))),
                _ => None,
            };
            let answer = result.map(|result| json!({"jsonrpc": "2.0", "id": request["id"], "result": result}));
            std::future::ready(answer.map_or(StatusCode::ACCEPTED.into_response(), |answer| sent(form, &answer)))
        };
        let router = axum::Router::new().route("/mcp", axum::routing::post(answer));
        let running = Running::serve(SocketAddr::from(([127, 0, 0, 1], 0)), router).unwrap();
        Server { running, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Whether `swoosh mcp check` is content, and what it answers.
    fn check(&self, more: &[&str]) -> (bool, Value) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swoosh"));
        command.args(["--json", "mcp", "check", &format!("http://{}/mcp", self.running.address)]).args(more);
        let output = command.output().unwrap();
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.success(), shown["servers"][0].clone())
    }
}

fn sent(form: Form, answer: &Value) -> Response {
    match form {
        Form::Json => ([(header::CONTENT_TYPE, "application/json")], answer.to_string()).into_response(),
        Form::MarkedJson => ([(header::CONTENT_TYPE, "application/json")], format!("\u{feff}{answer}")).into_response(),
        Form::MarkedStream => {
            ([(header::CONTENT_TYPE, "Text/Event-Stream")], format!("\u{feff}data: {answer}\n\n")).into_response()
        }
    }
}

fn tools(count: usize, cursor: Option<String>) -> Value {
    let tool = |number| json!({"name": format!("t{number}"), "inputSchema": {"type": "object"}});
    let tools: Vec<Value> = (0..count).map(tool).collect();
    json!({"tools": tools, "nextCursor": cursor})
}

/// A server's cursor never moved, and each probe asked it 1,100 times, every 15 seconds.
#[test]
fn a_cursor_that_leads_back_ends_a_probe_at_once() {
    let still = Server::start(Form::Json, "1.2.0", |_| tools(1, Some("same".to_owned())));
    let (good, shown) = still.check(&[]);
    let problem = shown["problem"].as_str().unwrap();
    assert!(!good && problem.contains("repeats the cursor \"same\""), "{shown}");
    assert_eq!(still.asked(), 2);
    let circle = Server::start(Form::Json, "1.2.0", |page| tools(1, Some((page % 3).to_string())));
    assert!(circle.check(&[]).1["problem"].as_str().unwrap().contains("repeats the cursor"));
    assert_eq!(circle.asked(), 4);
}

#[test]
fn a_listing_of_ever_new_pages_ends_at_the_page_limit() {
    let server = Server::start(Form::Json, "1.2.0", |page| tools(0, Some(page.to_string())));
    let (good, shown) = server.check(&[]);
    assert!(!good && shown["problem"] == "tools/list has more than 100 pages", "{shown}");
    assert_eq!(server.asked(), 100);
}

/// The server is as pinned: that it has more tools than are listed is said, and no fault.
#[test]
fn a_listing_ends_at_1_000_tools_and_says_so() {
    let server = Server::start(Form::Json, "1.2.0", |page| tools(300, Some(page.to_string())));
    let (good, shown) = server.check(&["--server", "search", "--version", "1.2.0"]);
    assert!(good && shown["has_more_tools"] == true, "{shown}");
    assert_eq!((server.asked(), shown["tools"].as_array().unwrap().len()), (4, 1_000));
}

/// Servers end their pages by an empty cursor, which asks for the first page again.
#[test]
fn an_empty_cursor_ends_a_listing() {
    let server = Server::start(Form::Json, "1.2.0", |_| tools(2, Some(String::new())));
    let (good, shown) = server.check(&[]);
    assert!(good && shown["tools"] == json!(["t0", "t1"]) && shown["has_more_tools"] == false, "{shown}");
    assert_eq!(server.asked(), 1);
}

/// RFC 8259 lets readers pass over the mark, and WHATWG HTML asks them to in a stream.
#[test]
fn a_byte_order_mark_before_an_answer_is_passed_over() {
    for form in [Form::MarkedJson, Form::MarkedStream] {
        let server = Server::start(form, "1.2.0", |_| tools(1, None));
        let (good, shown) = server.check(&[]);
        assert!(good && shown["tools"] == json!(["t0"]), "{form:?}: {shown}");
    }
}

#[test]
fn a_version_may_hold_blanks_and_other_letters() {
    // The é of the server is of two characters, that of the pin of one: they are the same text.
    for (version, pinned) in [("1.2.0 (build 7)", "1.2.0 (build 7)"), ("1.2 e\u{301}dition", "1.2 \u{e9}dition")] {
        let server = Server::start(Form::Json, version, |_| tools(1, None));
        let (good, shown) = server.check(&["--server", "search", "--version", pinned]);
        assert!(good && shown["version"] == pinned, "{shown}");
    }
    let server = Server::start(Form::Json, "1.2.0\n1.3.0", |_| tools(1, None));
    assert!(server.check(&[]).1["problem"].as_str().unwrap().contains("is not a version; write one line"));
}

/// The problem was `expect initialized result, but received: Some(CustomResult(…` or `Unexpected response type`.
#[test]
fn an_answer_with_a_wrong_type_is_a_problem_that_names_the_field() {
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "search", "version": 2}});
    for form in [Form::Json, Form::MarkedStream] {
        let server = Server::start_as(form, hello.clone(), |_| tools(1, None));
        let problem = server.check(&[]).1["problem"].clone();
        let expected =
            "it cannot be initialised: its answer is malformed: serverInfo.version is a number; expected a string";
        assert_eq!(problem, expected, "{form:?}");
        let server = Server::start(form, "1.2.0", |_| json!({"tools": [{"name": 5, "inputSchema": {}}]}));
        let problem = server.check(&[]).1["problem"].clone();
        let expected =
            "it does not list its tools: its answer is malformed: tools[0].name is a number; expected a string";
        assert_eq!(problem, expected, "{form:?}");
    }
}
