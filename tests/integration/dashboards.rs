//! Dashboards, alerts and the list of metrics, against a real daemon and a real Prometheus.

mod panels;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Value, json};
use swoosh::types::names::{Region, Transition};

use crate::support::daemon::{Daemon, Site};
use crate::support::driver::Project;
use crate::support::git_server::GitRepository;
use crate::support::prometheus::{Prometheus, promtool};
use crate::support::sockets::eventually;
use crate::support::world::Ask;

/// Prefix of the description of a panel that is empty until its event happens.
const EVENT_ONLY: &str = "Event-only:";
/// A fixed name, against Prometheus' conventions.
const FIXED_NAME: &str = "swoosh_retry_count";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rules() -> PathBuf {
    root().join("deploy/prometheus/swoosh.rules.yml")
}

/// The dashboards by their file names.
fn dashboards() -> BTreeMap<String, Value> {
    let files = std::fs::read_dir(root().join("dashboards")).unwrap().map(|entry| entry.unwrap().path());
    let named = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    named
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap())
        })
        .collect()
}

/// An expression of a panel, as Grafana asks it for one node.
struct Asked {
    panel: String,
    expression: String,
    event_only: bool,
}

fn asked() -> Vec<Asked> {
    let mut all = Vec::new();
    for (name, dashboard) in dashboards() {
        for mark in dashboard["annotations"]["list"].as_array().unwrap() {
            let expression = mark["expr"].as_str().unwrap().replace("$instance", ".*");
            all.push(Asked { panel: format!("{name}: {}", mark["name"]), expression, event_only: true });
        }
        for panel in dashboard["panels"].as_array().unwrap() {
            let event_only = panel["description"].as_str().unwrap_or_default().contains(EVENT_ONLY);
            for target in panel["targets"].as_array().into_iter().flatten() {
                let expression = target["expr"].as_str().unwrap();
                let expression = expression.replace("$instance", ".*").replace("$__rate_interval", "10s");
                let expression = expression.replace("$__range", "1m");
                assert!(!expression.contains('$'), "an unset variable: {expression}");
                all.push(Asked { panel: format!("{name}: {}", panel["title"]), expression, event_only });
            }
        }
    }
    all
}

/// Names of SWOOSH's metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let family = |word: &str| {
        let parts = ["_bucket", "_sum", "_count"].into_iter().find_map(|part| word.strip_suffix(part));
        parts.filter(|_| word != FIXED_NAME).unwrap_or(word).to_owned()
    };
    words.filter(|word| word.starts_with("swoosh_")).map(family).collect()
}

/// The families that a daemon exposes: name, kind, help.
fn families(text: &str) -> Vec<[String; 3]> {
    let mut lines = text.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) else { continue };
        let kind = lines.next().and_then(|line| line.strip_prefix(&format!("# TYPE {name} "))).unwrap();
        found.push([name.to_owned(), kind.to_owned(), help.to_owned()]);
    }
    found
}

/// A workspace whose repository is pinned, scanned and overridden, so that it has every series.
pub(crate) struct Sources {
    folder: tempfile::TempDir,
    commit: String,
}

impl Sources {
    pub(crate) fn new() -> Sources {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let repository = GitRepository::make(folder.path().join("served"));
        let first = repository.commit("a.txt", b"one\n");
        let commit = repository.commit("a.txt", b"two\n");
        let sources = Sources { folder, commit };
        let root = sources.project();
        std::fs::create_dir_all(root.join("config")).unwrap();
        let text =
            format!("repositories: [{{name: app, url: 'file://{}', ref: '{first}'}}]\n", repository.folder.display());
        std::fs::write(root.join("config/sources.yaml"), text).unwrap();
        sources.run(&["sync"]);
        let approval = ["--request-id", "GOV-1", "--approver", "dana", "--expires", "30d", "--reason", "hotfix"];
        sources.run(&[&["pin", "app", &sources.commit], &approval[..]].concat());
        sources.run(&["scan"]);
        sources
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.workspaces().join("alpha")
    }

    fn run(&self, arguments: &[&str]) {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_swoosh"));
        command.arg("sources").args(arguments).arg("--root").arg(self.project());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// A node with this folder of workspaces.
    fn site(&self) -> Site {
        Site::with(crate::support::daemon::always_open(), |settings| {
            settings["decisions"] = json!({"jsonl": "decisions.jsonl"});
            settings["effects"]["workspace"] = json!(self.workspaces());
        })
    }

    pub(crate) fn workspaces(&self) -> PathBuf {
        self.folder.path().join("workspaces")
    }

    /// The metrics after the first measurement.
    fn metrics(&self, daemon: &Daemon) -> String {
        let mut text = String::new();
        eventually("the repository is measured", || {
            text = daemon.get("/metrics").text();
            text.contains("swoosh_source_override_ends_seconds{")
        });
        text
    }
}

/// A node that has seen acceptances, refusals, repeats and a quarantine.
fn drive(site: &Site, daemon: &Daemon) {
    let mut project = Project::new(site, "alpha");
    project.drive(daemon, Region::Execution, "REVERB");
    let signed = project.signed(&Ask::new(Transition::ControlPause));
    let body = crate::support::driver::bytes(&signed);
    assert_eq!(daemon.post(&body).status, 202);
    assert_eq!(daemon.post(&body).header("idempotency-replayed"), Some("true"));
    assert_eq!(daemon.post(b"{}").status, 400);
    let mut other = Project::new(site, "beta");
    other.drive(daemon, Region::Boot, "LICENSED");
    let mut wrong = Ask::new(Transition::ExecutionAllReady);
    wrong.head = Some(swoosh::types::hash::Hash::of(b"elsewhere"));
    assert_eq!(other.propose(daemon, &wrong).code(), "stale_head");
}

fn load(site: &Site, daemon: &Daemon, project: &mut Project<'_>) {
    let _ = site;
    for _ in 0..5 {
        project.accept(daemon, Transition::ControlPause);
        project.accept(daemon, Transition::ControlResume);
    }
    assert_eq!(daemon.post(b"{}").status, 400);
}

#[test]
fn every_panel_and_every_alert_finds_what_it_asks_for() {
    let sources = Sources::new();
    let site = sources.site();
    let daemon = site.start();
    sources.metrics(&daemon);
    drive(&site, &daemon);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let prometheus = Prometheus::scrape(daemon.address, &rules(), folder.path());
    let mut project = Project::new(&site, "gamma");
    project.drive(&daemon, Region::Boot, "LICENSED");
    for Asked { panel, expression, event_only } in asked() {
        if event_only {
            prometheus.query(&expression);
            continue;
        }
        let mut found = Vec::new();
        prometheus.until(&format!("{panel} shows something: {expression}"), || {
            load(&site, &daemon, &mut project);
            found = prometheus.query(&expression);
            !found.is_empty()
        });
        let values = found.iter().map(|series| series["value"][1].as_str().unwrap().to_owned());
        assert!(!values.clone().any(|value| value == "NaN"), "{panel}: {expression}: {found:?}");
    }
    let text = std::fs::read_to_string(rules()).unwrap();
    for name in names(&text) {
        let selector = format!("{{__name__=~\"{name}|{name}_bucket\",job=\"swoosh\"}}");
        prometheus
            .until(&format!("{name}, which an alert reads, is there"), || !prometheus.query(&selector).is_empty());
    }
    assert_eq!(prometheus.alerts("firing"), Vec::<String>::new(), "nothing is wrong with this node");
    daemon.kill();
    prometheus.until("the stopped node raises an alert", || {
        prometheus.alerts("pending").iter().any(|alert| alert == "SwooshDown")
    });
}

#[test]
fn each_alert_fires_when_it_should_and_is_silent_when_it_should_be() {
    let files =
        ["swoosh.rules.test.yml", "swoosh.rules.days.test.yml"].map(|name| root().join("deploy/prometheus").join(name));
    let checked = promtool(&["test", "rules", files[0].to_str().unwrap(), files[1].to_str().unwrap()], b"");
    assert!(
        checked.status.success(),
        "{}{}",
        String::from_utf8_lossy(&checked.stdout),
        String::from_utf8_lossy(&checked.stderr)
    );
    let rules = std::fs::read_to_string(rules()).unwrap();
    let tests: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    for alert in alert_names(&rules) {
        for what in ["fires", "is silent"] {
            assert!(tests.contains(&format!("- name: {alert} {what}\n")), "no test in which {alert} {what}");
        }
    }
}

fn alert_names(rules: &str) -> Vec<String> {
    rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).map(str::to_owned).collect()
}

#[test]
fn every_alert_names_an_existing_runbook_and_is_listed_in_the_operators_page() {
    let (rules, page) = (std::fs::read_to_string(rules()).unwrap(), root().join("docs/operating.md"));
    let page = std::fs::read_to_string(page).unwrap();
    let books: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("runbook: ")).collect();
    let alerts = alert_names(&rules);
    assert_eq!(alerts.len(), books.len());
    assert!(alerts.len() > 20, "{alerts:?}");
    for (alert, book) in alerts.iter().zip(books) {
        assert!(root().join(book).is_file(), "{alert} names {book}, which is not there");
        let row = page.lines().find(|line| line.starts_with(&format!("| `{alert}` ")));
        assert!(
            row.is_some_and(|row| row.contains(&format!("(../{book})"))),
            "docs/operating.md: {alert} leads to {book}"
        );
    }
}

#[test]
fn prometheus_finds_nothing_to_complain_about_but_the_one_fixed_name() {
    let site = Site::new();
    let daemon = site.start();
    let checked = promtool(&["check", "metrics"], &daemon.get("/metrics").body);
    let complaints = String::from_utf8_lossy(&checked.stderr).into_owned() + &String::from_utf8_lossy(&checked.stdout);
    let others: Vec<&str> = complaints.lines().filter(|line| !line.starts_with(FIXED_NAME)).collect();
    assert_eq!(others, Vec::<&str>::new());
    assert_eq!(complaints.lines().count(), 2, "{complaints}");
}

/// Unit of a metric, from the suffix of its name.
fn unit(name: &str) -> &'static str {
    let units = [
        ("_seconds", "seconds"),
        ("_bytes", "bytes"),
        ("_records", "records"),
        ("_permille", "thousandths"),
        ("_index", "index"),
        ("_position", "index"),
        ("_beat", "beats"),
        ("_info", "1"),
        ("_mode", "0 or 1"),
        ("_open", "0 or 1"),
        ("_safe", "0 or 1"),
        ("_dirty", "0 or 1"),
    ];
    units.into_iter().find_map(|(ending, unit)| name.ends_with(ending).then_some(unit)).unwrap_or("count")
}

/// The list of metrics, as docs/metrics.md has it.
fn page(exposed: &str) -> String {
    let mut page = String::from(
        "# Metrics\n\nThe metrics of `GET /metrics`, in Prometheus' text format. Generated from the daemon's own list: \
         do not edit;\n`SWOOSH_BLESS=1 cargo test --test integration dashboards::` writes it again. The names of \
         the first seven are fixed.\n[operating.md](operating.md) lists the alerts.\n\n| metric | label | kind | unit | \
         meaning |\n| --- | --- | --- | --- | --- |\n",
    );
    const FIXED: [&str; 7] = [
        "swoosh_transition_total",
        "swoosh_guard_fail_total",
        "swoosh_state_advance_latency_seconds",
        "swoosh_retry_count",
        "swoosh_quarantine_total",
        "swoosh_recovery_time_seconds",
        "swoosh_wal_lag_records",
    ];
    let mut families = families(exposed);
    families
        .sort_by_key(|[name, ..]| (FIXED.iter().position(|first| first == name).unwrap_or(FIXED.len()), name.clone()));
    assert!(FIXED.iter().zip(&families).all(|(first, [name, ..])| first == name), "a fixed name is missing");
    for [name, kind, help] in families {
        let series = exposed
            .lines()
            .find(|line| !line.starts_with('#') && line.starts_with(&name.to_string()) && line.contains('{'));
        let label = series.and_then(|line| line.split_once('{')?.1.split_once('=')).map_or("", |(label, _)| label);
        let label = if label == "le" { "" } else { label };
        page += &format!("| `{name}` | {label} | {kind} | {} | {help} |\n", unit(&name));
    }
    page
}

#[test]
fn the_list_of_metrics_is_what_a_daemon_exposes() {
    let sources = Sources::new();
    let site = sources.site();
    let page = page(&sources.metrics(&site.start()));
    let path = root().join("docs/metrics.md");
    if std::env::var_os("SWOOSH_BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == page, "docs/metrics.md is not what a daemon exposes; SWOOSH_BLESS=1 writes it");
}

/// No metric showed the commits of repositories, changed trees, and overrides about to expire. The node has no license here: to look at
/// a tree reaches nothing outside.
#[test]
fn repositories_show_pin_commit_age_and_changes() {
    let sources = Sources::new();
    std::fs::write(sources.project().join("sources/app/a.txt"), "edited\n").unwrap();
    let site = sources.site();
    let text = sources.metrics(&site.start());
    let value = |series: &str| {
        let line =
            text.lines().find(|line| line.starts_with(series)).unwrap_or_else(|| panic!("no {series} in {text}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let info = format!("swoosh_source_info{{commit=\"{}\",ref=\"", sources.commit);
    let info = text.lines().find(|line| line.starts_with(&info)).unwrap_or_else(|| panic!("{text}"));
    assert!(info.contains("source=\"alpha/app\",updated_by=\"") && !info.contains("updated_by=\"\""), "{info}");
    assert_eq!(value("swoosh_source_dirty{source=\"alpha/app\"}"), 1.0);
    assert_eq!(value("swoosh_sources{condition=\"dirty\"}"), 1.0);
    let measured = value("swoosh_sources_measured_seconds");
    for past in ["synced", "scanned"] {
        let at = value(&format!("swoosh_source_{past}_seconds{{source=\"alpha/app\"}}"));
        assert!(at <= measured && at > 1.0e9, "{past}: {at}");
    }
    assert!(value("swoosh_source_override_ends_seconds{source=\"alpha/app\"}") > measured + 20.0 * 86_400.0);
    assert!(value("swoosh_source_stored_bytes{source=\"alpha/app\"}") > 1_000.0);
}

/// A damaged document of one project was passed over without a word, and hid nothing of the others.
#[test]
fn a_workspace_with_damaged_documents_is_counted_logged_and_hides_no_other() {
    let sources = Sources::new();
    let state = sources.workspaces().join("broken/state");
    std::fs::create_dir_all(&state).unwrap();
    std::fs::write(state.join("sources.json"), "{").unwrap();
    let site = sources.site();
    let daemon = site.start();
    let text = sources.metrics(&daemon);
    assert!(text.contains("\nswoosh_sources_unreadable 1\n") && text.contains("source=\"alpha/app\""), "{text}");
    let said = |line: &String| line.contains("repositories cannot be measured") && line.contains("broken/state");
    eventually("the log names the workspace", || daemon.log().iter().any(said));
}

#[test]
fn dashboards_and_alerts_name_no_metric_that_is_not_there_and_every_metric_is_shown_somewhere() {
    let sources = Sources::new();
    let site = sources.site();
    let daemon = site.start();
    let mut shown = names(&std::fs::read_to_string(rules()).unwrap());
    for Asked { expression, .. } in asked() {
        shown.append(&mut names(&expression));
    }
    // Each task of the node exposes its metrics when it runs first.
    let (mut known, mut missing) = (BTreeSet::new(), BTreeSet::new());
    eventually("every metric of the dashboards and alerts is exposed", || {
        known = families(&sources.metrics(&daemon)).into_iter().map(|[name, ..]| name).collect();
        let still: BTreeSet<String> = shown.difference(&known).cloned().collect();
        if still != missing {
            eprintln!("not exposed: {still:?}");
            missing = still;
        }
        missing.is_empty()
    });
    assert_eq!(known.difference(&shown).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn every_dashboard_can_be_provisioned() {
    let wanted = ["swoosh-effects", "swoosh-guards", "swoosh-journal", "swoosh-overview", "swoosh-windows"];
    let dashboards = dashboards();
    assert_eq!(dashboards.keys().collect::<Vec<_>>(), wanted);
    for (name, dashboard) in dashboards {
        assert_eq!(dashboard["uid"], json!(name));
        assert!(dashboard.get("id").is_none(), "{name}: Grafana gives ids");
        let panels = dashboard["panels"].as_array().unwrap();
        let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len(), "{name}: panels share an id");
        let panels: Vec<_> = panels.iter().filter(|panel| panel["type"] != "row").collect();
        let titles: BTreeSet<&str> = panels.iter().map(|panel| panel["title"].as_str().unwrap()).collect();
        assert_eq!(titles.len(), panels.len(), "{name}: panels share a title");
    }
}
