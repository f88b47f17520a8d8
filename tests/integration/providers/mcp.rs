//! MCP probes against real `rmcp` servers.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use swoosh::types::names::{Region, Transition};

use super::{eventually, site};
use crate::support::daemon::{Daemon, Site, always_open};
use crate::support::driver::Project;
use crate::support::inputs;
use crate::support::world::Ask;
use swoosh_standins::Manner;
use swoosh_standins::mcp::McpStandIn;

/// A site that probes often, so that tests need not wait long.
fn probing() -> Site {
    site(always_open(), |settings| {
        settings["mcp"] = json!({"interval_ms": 150, "settle_ms": 50, "timeout_ms": 1_500, "valid_for_ms": 30_000});
    })
}

/// A project up to TOOLING_SYNC, with these pins.
fn synced<'a>(site: &'a Site, daemon: &Daemon, pins: &[(&str, &McpStandIn)]) -> Project<'a> {
    let mut project = Project::new(site, "default");
    let mut document = inputs::document(&site.hands);
    let pin = |(name, server): &(&str, &McpStandIn)| {
        ((*name).to_owned(), json!({"url": server.url(), "server": name, "version": "1.2.0"}))
    };
    document["tool_pins"] = Value::Object(pins.iter().map(pin).collect());
    let config = Ask::new(Transition::BootConfigOk).with(json!({"document": document}));
    project.propose(daemon, &config).receipt();
    project.drive(daemon, Region::Council, "TOOLING_SYNC");
    project
}

/// The reasons that refuse Council_McpGreen now; empty if it would pass.
fn against(daemon: &Daemon) -> Vec<String> {
    let shown = daemon.get("/transitions").json();
    let transitions = shown["transitions"].as_array().unwrap();
    let green = transitions.iter().find(|shown| shown["transition"] == "Council_McpGreen").unwrap();
    let tooling = green["guards"].as_array().unwrap().iter().find(|guard| guard["guard"] == "tooling").unwrap();
    if tooling["ok"] == false { serde_json::from_value(tooling["reasons"].clone()).unwrap() } else { vec![] }
}

fn is_green(daemon: &Daemon) -> bool {
    against(daemon).is_empty()
}

#[test]
fn pinned_servers_are_probed_and_the_council_is_ready_once_they_answer_as_pinned() {
    let (search, mut index) =
        (McpStandIn::start("search", "1.2.0").unwrap(), McpStandIn::start("index", "1.1.9").unwrap());
    let site = probing();
    let daemon = site.start();
    let mut project = synced(&site, &daemon, &[("search", &search), ("index", &index)]);
    eventually("the wrong version is seen", || {
        against(&daemon) == ["index: pinned is index 1.2.0, found index 1.1.9".to_owned()]
    });
    let refused = project.propose(&daemon, &Ask::new(Transition::CouncilMcpGreen)).json();
    assert_eq!(refused["guard"], "tooling", "{refused}");
    assert!(refused["retry_after_ms"].is_u64());
    index.become_version("1.2.0");
    eventually("the right version is seen", || is_green(&daemon));
    index.go_away();
    eventually("the server is missed", || against(&daemon).iter().any(|why| why.contains("does not answer")));
    index.come_back().unwrap();
    eventually("the server is back", || is_green(&daemon));
    let mut green = project.valid(Transition::CouncilMcpGreen);
    green["servers"]["index"] = json!({"server": "index", "version": "1.2.0"});
    project.propose(&daemon, &Ask::new(Transition::CouncilMcpGreen).with(green)).receipt();
    let facts = daemon.get("/facts").json();
    let tooling = facts["facts"].as_array().unwrap().iter().find(|fact| fact["kind"] == "tooling").unwrap();
    assert_eq!(tooling["source"], site.hands.get("node").key().to_string());
}

/// Real-process chaos killed a node while every council waited for its tools. After the start no head was in memory, so
/// no server was probed. Without tools no proposal was accepted, so no head was loaded (deadlock).
#[test]
fn a_council_that_waits_for_its_tools_finds_them_after_a_kill_without_anybody_asking() {
    let search = McpStandIn::start("search", "1.2.0").unwrap();
    let site = probing();
    let daemon = site.start();
    let mut project = synced(&site, &daemon, &[("search", &search)]);
    eventually("the server is seen", || is_green(&daemon));
    daemon.kill();
    let daemon = site.start();
    eventually("the server is seen again", || is_green(&daemon));
    project.accept(&daemon, Transition::CouncilMcpGreen);
}

#[test]
fn servers_that_hang_flood_lie_or_fail_cost_the_others_nothing() {
    let names = ["hangs", "floods", "garbage", "fails"];
    let manners = [Manner::Hangs, Manner::Floods, Manner::Garbage, Manner::Fails];
    let bad: Vec<_> = names.iter().map(|name| McpStandIn::start(name, "1.2.0").unwrap()).collect();
    bad.iter().zip(manners).for_each(|(server, manner)| server.behave(manner));
    let good = McpStandIn::start("search", "1.2.0").unwrap();
    let site = probing();
    let daemon = site.start();
    let mut pins: Vec<_> = names.iter().copied().zip(&bad).collect();
    pins.push(("search", &good));
    synced(&site, &daemon, &pins);
    eventually("four are reported as bad and the good one is not", || {
        let wrong = against(&daemon);
        wrong.len() == 4 && wrong.iter().all(|why| why.ends_with("does not answer"))
    });
    let answered = good.requests();
    eventually("the good one is probed on", || good.requests() > answered + 10);
    assert_eq!(daemon.get("/health/ready").status, 200);
    bad.iter().for_each(|server| server.behave(Manner::Well));
    eventually("all are good", || is_green(&daemon));
}

#[test]
fn nothing_is_probed_without_a_license() {
    let server = McpStandIn::start("search", "1.2.0").unwrap();
    let site = site(always_open(), |settings| {
        settings["facts"]["sources"] = json!({});
        settings["mcp"] = json!({"probe": "always", "interval_ms": 100});
    });
    let daemon = site.start();
    let mut project = Project::new(&site, "default");
    let mut document = inputs::document(&site.hands);
    document["tool_pins"] = json!({"search": {"url": server.url(), "server": "search", "version": "1.2.0"}});
    let config = Ask::new(Transition::BootConfigOk).with(json!({"document": document}));
    project.propose(&daemon, &config).receipt();
    let licensed = project.propose(&daemon, &Ask::new(Transition::BootLicensed));
    assert_eq!(licensed.json()["guard"], "license");
    daemon.terminate();
    assert_eq!(server.requests(), 0);
}

fn check(arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_swoosh")));
    let output = command.args(["mcp", "check"]).args(arguments).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
}

#[test]
fn servers_are_checked_by_hand_against_pins() {
    let mut server = McpStandIn::start("search", "1.2.0").unwrap();
    let url = server.url();
    let (good, said) = check(&[&url]);
    assert!(good && said.contains("search 1.2.0") && said.contains("tools: find, fetch"), "{said}");
    let (good, said) = check(&[&url, "--server", "search", "--version", "1.3.0"]);
    assert!(!good && said.contains("pinned is search 1.3.0"), "{said}");
    server.behave(Manner::Floods);
    let (good, said) = check(&[&url]);
    assert!(!good && said.contains("more than 262144 bytes"), "{said}");
    server.behave(Manner::Hangs);
    let (good, said) = check(&[&url, "--timeout-ms", "300"]);
    assert!(!good && said.contains("within 300 ms"), "{said}");
    server.go_away();
    let (good, said) = check(&[&url]);
    assert!(!good && said.contains("no answer"), "{said}");
}
