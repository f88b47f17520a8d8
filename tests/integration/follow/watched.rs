//! Alerts of a follower: none while it is healthy, and one for each way in which it fails.

use std::path::Path;

use serde_json::Value;
use swoosh::types::names::{Region, Transition};

use crate::backup::eventually;
use crate::support::daemon::{Daemon, Site};
use crate::support::driver::Project;
use crate::support::prometheus::Prometheus;

use super::{catches_up, folder, toggle};

fn measured(daemon: &Daemon, name: &str) -> f64 {
    let text = daemon.get("/metrics").text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::to_owned);
    value.unwrap_or_else(|| panic!("there is no metric {name}")).parse().unwrap()
}

fn has_alerts(prometheus: &Prometheus) -> Vec<String> {
    [prometheus.alerts("pending"), prometheus.alerts("firing")].concat()
}

/// A follower measured nothing, so that it met the conditions of three critical alerts.
#[test]
fn a_healthy_follower_raises_no_alert_and_one_that_hears_nothing_does() {
    let (site, data) = (Site::new(), folder());
    let node = site.start();
    let mut project = Project::new(&site, "one");
    project.drive(&node, Region::Boot, "LICENSED");
    project.accept(&node, Transition::ControlPause);
    let follower = site.follow(node.address, &data.path().join("follower")).unwrap();
    catches_up(&follower, &node);
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus/swoosh.rules.yml");
    let prometheus = Prometheus::scrape(follower.address, &rules, data.path());
    let scrapes = "count_over_time(swoosh_clock_safe{job=\"swoosh\"}[10m]) > 8";
    prometheus.until("it was scraped some times", || !prometheus.query(scrapes).is_empty());
    prometheus.until("no alert is pending or firing", || has_alerts(&prometheus).is_empty());
    for line in ["swoosh_mode{mode=\"following\"} 1", "swoosh_clock_safe 1", "swoosh_follow_connected 1"] {
        assert!(follower.measures(line), "{line}");
    }
    assert!(measured(&follower, "swoosh_disk_free_bytes") > 0.0);
    node.kill();
    let lost = || has_alerts(&prometheus).iter().any(|alert| alert == "SwooshFollowerCutOff");
    prometheus.until("the follower that hears nothing is reported", lost);
    let health: Value = follower.get("/health").json();
    assert_eq!((&health["status"], &health["mode"]), (&"degraded".into(), &"following".into()), "{health}");
    follower.kill();
    prometheus.until("its end is reported", || has_alerts(&prometheus).iter().any(|alert| alert == "SwooshDown"));
}

/// The lag of a follower was 0 while its node was dead.
#[test]
fn the_lag_of_a_follower_grows_while_its_node_is_dead_and_ends_when_it_is_back() {
    let (site, data) = (Site::new(), folder());
    let node = site.start();
    let mut project = Project::new(&site, "one");
    project.drive(&node, Region::Boot, "LICENSED");
    let address = node.address;
    let follower = site.follow(address, &data.path().join("follower")).unwrap();
    catches_up(&follower, &node);
    eventually("the first word", || follower.measures("swoosh_follow_connected 1").then_some(()));
    node.kill();
    eventually("the notice", || follower.measures("swoosh_follow_connected 0").then_some(()));
    let first = measured(&follower, "swoosh_follow_lag_seconds");
    eventually("a greater lag", || (measured(&follower, "swoosh_follow_lag_seconds") > first + 1.0).then_some(()));
    let node = site.start_on(&address.to_string());
    toggle(&mut project, &node);
    catches_up(&follower, &node);
    eventually("no lag", || (measured(&follower, "swoosh_follow_lag_records") == 0.0).then_some(()));
    eventually("it is connected", || follower.measures("swoosh_follow_connected 1").then_some(()));
    let health = follower.wait_for("/health", |answer| answer.json()["status"] == "ok").json();
    assert_eq!(health["mode"], "following", "{health}");
}
