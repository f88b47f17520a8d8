//! Web pages that reach the node through a browser: a name that its owner points at this machine (DNS rebinding), and requests across
//! sites.

use serde_json::json;

use super::{address, from, read_paths, site};
use crate::migration::{Move, Script, body};
use crate::support::daemon::{Daemon, Site};
use crate::support::http::{Answer, Wire};

/// Sends a request of these lines as it is.
#[track_caller]
fn send(mut wire: Wire, lines: &[&str], body: &[u8]) -> Answer {
    let head = format!("{}\r\n\r\n", lines.join("\r\n"));
    wire.exchange(&[head.as_bytes(), body].concat()).unwrap()
}

/// Status and code of a read with these header lines.
#[track_caller]
fn read(daemon: &Daemon, target: &str, headers: &[&str]) -> (u16, String) {
    let first = format!("GET {target} HTTP/1.1");
    let answer = send(daemon.connect(), &[&[first.as_str()], headers].concat(), b"");
    (answer.status, answer.code())
}

fn good() -> (u16, String) {
    (200, String::new())
}

fn wrong_host() -> (u16, String) {
    (421, "wrong_host".to_owned())
}

fn cross_site() -> (u16, String) {
    (403, "cross_site".to_owned())
}

/// A page at `attacker.example`, whose name then pointed at 127.0.0.1, read the state, the log and the facts of a node there.
#[test]
fn a_node_on_loopback_answers_to_names_of_loopback_alone() {
    let daemon = Site::new().start();
    let port = daemon.address.port();
    let with_port = |name: &str| format!("{name}:{port}");
    let own = "localhost LocalHost localhost. 127.0.0.1 127.0.0.1. 127.8.9.10 [::1] [0:0:0:0:0:0:0:1] [::ffff:127.0.0.1] localhost:1 \
        localhost: [::1]:1";
    let mut names: Vec<String> = own.split_whitespace().map(str::to_owned).collect();
    names.extend(["localhost", "LOCALHOST.", "127.0.0.1", "[::1]"].map(with_port));
    for name in &names {
        assert_eq!(read(&daemon, "/health/live", &[&format!("Host: {name}")]), good(), "{name}");
    }
    let others = "attacker.example attacker.example. localhost.attacker.example 127.0.0.1.attacker.example notlocalhost 0.0.0.0 [::] [::2] \
        10.0.0.1 128.0.0.1 127.1 2130706433 0x7f000001 :80 . .. localhost.. localhost:80:80 localhost:http localhost:99999 user@localhost \
        localhost/x ::1 [::1 [::1]x [localhost] [::1%25lo] localhost,localhost l\u{f6}calhost";
    let mut strange: Vec<String> = others.split_whitespace().map(str::to_owned).collect();
    strange.extend(["", "local host"].map(str::to_owned));
    strange.extend(["attacker.example", "0.0.0.0"].map(with_port));
    for name in &strange {
        for target in ["/state", "/metrics", "/docs", "/", "/nothing"] {
            assert_eq!(read(&daemon, target, &[&format!("Host: {name}")]), wrong_host(), "{name} {target}");
        }
    }
    for target in read_paths(&daemon) {
        assert_eq!(read(&daemon, &target, &["Host: attacker.example"]), wrong_host(), "{target}");
    }
    assert_eq!(read(&daemon, "/state", &[]), wrong_host(), "no Host");
    assert_eq!(read(&daemon, "/state", &["Host: localhost", "Host: localhost"]), wrong_host(), "two of them");
    assert_eq!(read(&daemon, "/state", &["Host: localhost", "Host: attacker.example"]), wrong_host());
    assert_eq!(
        read(&daemon, "http://attacker.example/health", &["Host: localhost"]),
        wrong_host(),
        "the target names the host"
    );
    assert_eq!(read(&daemon, "http://localhost/health", &["Host: attacker.example"]), wrong_host());
    assert_eq!(read(&daemon, "http://localhost/health", &["Host: localhost"]), good());
    let posted =
        ["POST /transition HTTP/1.1", "Host: attacker.example", "Content-Type: application/json", "Content-Length: 2"];
    let answer = send(daemon.connect(), &posted, b"{}");
    assert_eq!((answer.status, answer.code().as_str()), (421, "wrong_host"));
    assert!(
        answer.text().contains("attacker.example") && answer.text().contains("http.allowed_hosts"),
        "{}",
        answer.text()
    );
    assert_eq!(daemon.last_index(), 0);
}

/// A reverse proxy on the same machine passes the public name on.
#[test]
fn more_names_are_answered_to_where_the_settings_list_them() {
    let listed = json!({"allowed_hosts": ["Node-1.example", "10.1.2.3", "2001:DB8::1"]});
    let daemon = site("http", listed).start();
    for name in [
        "node-1.example",
        "NODE-1.EXAMPLE.:7400",
        "10.1.2.3:80",
        "[2001:db8::1]:7400",
        "[2001:db8:0:0:0:0:0:1]",
        "localhost",
    ] {
        assert_eq!(read(&daemon, "/health", &[&format!("Host: {name}")]), good(), "{name}");
    }
    for name in ["node-2.example", "x.node-1.example", "example", "10.1.2.4", "[2001:db8::2]"] {
        assert_eq!(read(&daemon, "/health", &[&format!("Host: {name}")]), wrong_host(), "{name}");
    }
}

/// A scraper uses the name of a service. Probes of a cluster use the machine's address, which no list can name in
/// advance.
#[test]
fn beyond_loopback_the_list_holds_where_it_is_set_and_probes_by_address_pass() {
    let open = Site::new().start_on("0.0.0.0:0");
    for name in ["swoosh", "swoosh.namespace.svc:7400", "10.1.2.3"] {
        assert_eq!(read(&open, "/health", &[&format!("Host: {name}")]), good(), "{name}");
    }
    let listed = site("http", json!({"allowed_hosts": ["swoosh"]})).start_on("0.0.0.0:0");
    for name in ["swoosh:7400", "localhost", "127.0.0.1:7400", "[::1]"] {
        assert_eq!(read(&listed, "/health", &[&format!("Host: {name}")]), good(), "{name}");
    }
    for name in ["attacker.example", "10.1.2.3", "0.0.0.0"] {
        assert_eq!(read(&listed, "/health", &[&format!("Host: {name}")]), wrong_host(), "{name}");
    }
}

#[test]
fn names_that_no_browser_sends_are_refused_in_the_settings() {
    let site = Site::new();
    for name in
        ["", "*", "node:7400", "http://node", "node/x", "n\u{f6}de", "[::1]:7400", "a b", "user@node", "node..example"]
    {
        site.change_settings(|settings| settings["http"] = json!({"allowed_hosts": [name]}));
        let (code, said) = site.start_refused();
        assert!(code == Some(1) && said.contains("http.allowed_hosts"), "{name:?}: {said}");
    }
}

/// A browser says where a request comes from.
#[test]
fn requests_of_other_sites_are_refused_but_for_opening_a_page_for_people() {
    let daemon = Site::new().start();
    let ask = |target: &str, headers: &[&str]| read(&daemon, target, &[&["Host: localhost"], headers].concat());
    for own in ["none", "same-origin"] {
        assert_eq!(ask("/health", &[&format!("Sec-Fetch-Site: {own}")]), good(), "{own}");
    }
    for other in ["cross-site", "same-site", "CROSS-SITE", "", "something-new"] {
        for target in ["/state", "/wal", "/health", "/metrics", "/openapi.json", "/docs", "/events"] {
            let site = format!("Sec-Fetch-Site: {other}");
            assert_eq!(ask(target, &[&site]), cross_site(), "{other} {target}");
            assert_eq!(
                ask(target, &[&site, "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"]),
                cross_site(),
                "{other} {target}"
            );
        }
    }
    let navigates = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];
    for page in ["/", "/docs", "/docs/rejections", "/docs/operating", "/docs/runbooks/clock"] {
        assert_eq!(ask(page, &navigates), good(), "{page}");
    }
    for other in ["/state", "/health", "/metrics", "/openapi.json", "/wal/feed", "/docs/nothing"] {
        assert_eq!(ask(other, &navigates), cross_site(), "{other}");
    }
    for target in read_paths(&daemon) {
        assert_eq!(ask(&target, &["Sec-Fetch-Site: cross-site"]), cross_site(), "{target}");
        let is_page = matches!(target.as_str(), "/" | "/docs" | "/docs/rejections");
        assert!(is_page || ask(&target, &navigates) == cross_site(), "{target}");
    }
    let framed = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"];
    assert_eq!(ask("/docs", &framed), cross_site());
    assert_eq!(ask("/docs", &["Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"]), cross_site());
    for target in ["/transition", "/facts", "/migration/mode", "/docs"] {
        let first = format!("POST {target} HTTP/1.1");
        let json = "Content-Type: application/json";
        let lines = [&[first.as_str(), "Host: localhost", json, "Content-Length: 2"][..], &navigates].concat();
        let answer = send(daemon.connect(), &lines, b"{}");
        assert_eq!((answer.status, answer.code()), cross_site(), "{target}");
    }
    assert_eq!(daemon.last_index(), 0);
}

/// A node that served pages would leave it to the browser to guess their kind.
#[test]
fn every_answer_forbids_the_browser_to_guess_its_kind() {
    let daemon = site("limits", json!({"connections_per_peer": 2})).start();
    let mut targets = read_paths(&daemon);
    // Streams do not end.
    targets.retain(|target| target != "/events" && target != "/wal/feed");
    targets.extend(["/wal?limit=x", "/events?x=1", "/wal/feed?x=1", "/nothing", "/transition"].map(str::to_owned));
    for target in &targets {
        assert_eq!(daemon.get(target).header("x-content-type-options"), Some("nosniff"), "{target}");
    }
    assert_eq!(daemon.post(b"{}").header("x-content-type-options"), Some("nosniff"));
    let strange = send(daemon.connect(), &["GET / HTTP/1.1", "Host: attacker.example"], b"");
    assert_eq!((strange.status, strange.header("x-content-type-options")), (421, Some("nosniff")));
    let _held = [super::busy(from(address(2), &daemon)), super::busy(from(address(2), &daemon))];
    let full = from(address(2), &daemon).answer().unwrap();
    assert_eq!((full.status, full.header("x-content-type-options")), (503, Some("nosniff")));
}

/// After the cut-over a web page's `text/plain` POST, which needs no CORS preflight, was signed by the delegate and
/// accepted. So was a dry run.
#[test]
fn no_web_page_drives_the_listener_of_whoosh_s_clients() {
    let moved = Move::new();
    let running = moved.start();
    running.begin("p");
    let (transition, inputs) = Script::lifecycle(&moved.site, "p").steps.remove(0);
    let body = body("p", transition, &inputs);
    let length = format!("Content-Length: {}", body.len());
    let post = |target: &str, headers: &[&str]| {
        let first = format!("POST {target} HTTP/1.1");
        let lines = [&[first.as_str(), length.as_str()][..], headers].concat();
        let answer = send(Wire::connect(running.clients).unwrap(), &lines, &body);
        (answer.status, answer.code())
    };
    let get = |target: &str, headers: &[&str]| {
        let first = format!("GET {target} HTTP/1.1");
        let answer = send(Wire::connect(running.clients).unwrap(), &[&[first.as_str()], headers].concat(), b"");
        (answer.status, answer.code())
    };
    let (json, host) = ("Content-Type: application/json", "Host: localhost");
    for mode in ["shadow", "cutover"] {
        if mode == "cutover" {
            running.switch(&["cutover"]);
        }
        let (before, sent) = (running.daemon.last_index(), moved.whoosh.proposals());
        let media = (415, "unsupported_media_type".to_owned());
        assert_eq!(post("/transition", &["Host: attacker.example", json]), wrong_host(), "{mode}");
        assert_eq!(post("/transition", &[host, "Content-Type: text/plain"]), media, "{mode}");
        assert_eq!(post("/transition", &[host, "Content-Type: application/x-www-form-urlencoded"]), media, "{mode}");
        assert_eq!(post("/transition", &[host]), media, "{mode}");
        for origin in ["https://attacker.example", "null", "http://localhost", ""] {
            let origin = format!("Origin: {origin}");
            assert_eq!(post("/transition", &[host, json, &origin]), cross_site(), "{mode} {origin}");
            assert_eq!(get("/state?project=p", &[host, &origin]), cross_site(), "{mode} {origin}");
        }
        assert_eq!(post("/transition", &[host, json, "Sec-Fetch-Site: cross-site"]), cross_site(), "{mode}");
        let unknown = (400, "bad_query".to_owned());
        for query in
            ["dry_run=true", "dry_run=false", "dry_run", "dryrun=1", "x", "DRY_RUN=true", "%64ry_run=true", "a=1&a=1"]
        {
            assert_eq!(post(&format!("/transition?{query}"), &[host, json]), unknown, "{mode} {query}");
        }
        for target in
            ["/state?project=p&at=1", "/state?project=p&project=p", "/health?x=1", "/state?projection=Council&x"]
        {
            assert_eq!(get(target, &[host]), unknown, "{mode} {target}");
        }
        assert_eq!((running.daemon.last_index(), moved.whoosh.proposals()), (before, sent), "{mode}");
        assert_eq!(get("/state?project=p", &[host]).0, 200, "{mode}");
        assert_eq!(get("/health", &[host]).0, 200, "{mode}");
    }
    assert_eq!(post("/transition?", &[host, json]).0, 202);
}
