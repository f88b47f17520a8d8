//! Each panel is described, marks the thresholds of its alert, and leads to the runbook; each alert leads to both. The rules hold for panels
//! and alerts that are added later.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{dashboards, root, rules};

/// An alert of deploy/prometheus.
struct Alert {
    name: String,
    /// Without the condition on other series that follows it.
    expression: String,
    annotations: BTreeMap<String, String>,
}

/// A series that an expression asks for: its metric, and the labels with operator and value.
#[derive(Debug)]
struct Selector {
    metric: String,
    labels: BTreeMap<String, (String, String)>,
}

fn all_rules() -> Vec<Value> {
    let text = std::fs::read_to_string(rules()).unwrap();
    let rules: Value = yaml_serde::from_str(&text).unwrap();
    let groups = rules["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

fn alerts() -> Vec<Alert> {
    let rules = all_rules();
    let alerts = rules.iter().filter(|rule| rule.get("alert").is_some());
    let alerts = alerts.map(|rule| {
        let expression = resolved(rule["expr"].as_str().unwrap());
        let end = [" and on (", " unless on ("].iter().filter_map(|word| expression.find(word)).min();
        Alert {
            name: rule["alert"].as_str().unwrap().to_owned(),
            expression: expression[..end.unwrap_or(expression.len())].to_owned(),
            annotations: serde_json::from_value(rule["annotations"].clone()).unwrap(),
        }
    });
    alerts.collect()
}

/// An expression with its recorded series replaced by what they record.
fn resolved(expression: &str) -> String {
    let rules = all_rules();
    let mut expression = expression.to_owned();
    // A recorded series may ask for another one.
    for _ in 0..3 {
        for rule in rules.iter().filter(|rule| rule.get("record").is_some()) {
            expression = expression.replace(rule["record"].as_str().unwrap(), rule["expr"].as_str().unwrap());
        }
    }
    expression
}

fn selectors(expression: &str) -> Vec<Selector> {
    let expression = resolved(expression);
    let mut found = Vec::new();
    for (at, _) in expression.match_indices('{') {
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let begin = expression[..at].rfind(|c| !name(c)).map_or(0, |before| before + 1);
        let end = at + expression[at..].find('}').unwrap();
        let parts = ["_bucket", "_sum", "_count"].iter().find_map(|part| expression[begin..at].strip_suffix(part));
        let metric = parts.unwrap_or(&expression[begin..at]).to_owned();
        let labels = expression[at + 1..end].split("\",").filter_map(|label| {
            let (label, value) = label.trim_end_matches('"').split_once('"')?;
            let name = label.trim_end_matches(['=', '~', '!']);
            Some((name.to_owned(), (label[name.len()..].to_owned(), value.to_owned())))
        });
        let labels = labels.filter(|(label, _)| label != "job" && label != "instance").collect();
        found.push(Selector { metric, labels });
    }
    found
}

/// Whether two matchers of a label can both match one value.
fn overlap((first, one): &(String, String), (second, other): &(String, String)) -> bool {
    let matches = |pattern: &str, value: &str| match pattern.strip_suffix(".*") {
        Some(start) => value.starts_with(start),
        None => pattern == value,
    };
    match (first == "!=", second == "!=") {
        (true, true) => true,
        (false, false) => one.split('|').any(|a| other.split('|').any(|b| matches(a, b) || matches(b, a))),
        _ => one != other,
    }
}

/// Whether two selectors can select one series.
fn share(one: &Selector, other: &Selector) -> bool {
    let labels = one.labels.iter().filter_map(|(label, value)| Some((value, other.labels.get(label)?)));
    one.metric == other.metric && labels.into_iter().all(|(a, b)| overlap(a, b))
}

/// A panel with a query or a list.
struct Panel {
    name: String,
    body: Value,
}

impl Panel {
    fn expressions(&self) -> Vec<String> {
        let targets = self.body["targets"].as_array().into_iter().flatten();
        targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
    }

    fn shows(&self, expression: &str) -> bool {
        let mine: Vec<Selector> = self.expressions().iter().flat_map(|mine| selectors(mine)).collect();
        selectors(expression).iter().any(|asked| mine.iter().any(|shown| share(shown, asked)))
    }

    fn links(&self) -> Vec<(String, String)> {
        let links = self.body["links"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        links.map(|link| (text(&link["title"]), text(&link["url"]))).collect()
    }

    /// Where its colours change, without the base.
    fn steps(&self) -> Vec<f64> {
        let steps = self.body["fieldConfig"]["defaults"]["thresholds"]["steps"].as_array();
        steps.into_iter().flatten().filter_map(|step| step["value"].as_f64()).collect()
    }

    /// Divisors of its queries: a panel shows burn rates, an alert asks for ratios.
    fn divisors(&self) -> Vec<f64> {
        let divisor = |expression: &String| expression.rsplit_once(" / ").and_then(|(_, last)| last.parse().ok());
        self.expressions().iter().map(|expression| divisor(expression).unwrap_or(1.0)).collect()
    }
}

/// Every panel but rows, by `dashboard/id`.
fn panels() -> BTreeMap<String, Panel> {
    let mut all = BTreeMap::new();
    for (dashboard, body) in dashboards() {
        for panel in body["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row") {
            let name = format!("{dashboard}/{}: {}", panel["id"], panel["title"].as_str().unwrap());
            all.insert(format!("{dashboard}/{}", panel["id"]), Panel { name, body: panel.clone() });
        }
    }
    all
}

/// The numbers that an expression compares with, such as 1209600 of `< 14 * 86400`.
fn bounds(expression: &str) -> Vec<f64> {
    let mut found = Vec::new();
    for (at, _) in expression.match_indices(['<', '>', '=']).filter(|(at, _)| expression[..*at].ends_with(' ')) {
        let text = expression[at..].trim_start_matches(['<', '>', '=']).trim_start();
        let end = text.find(|c: char| !"0123456789.e* (".contains(c)).unwrap_or(text.len());
        let factors: Vec<f64> =
            text[..end].split('*').filter_map(|word| word.trim().trim_matches('(').trim().parse().ok()).collect();
        if !factors.is_empty() {
            found.push(factors.iter().product());
        }
    }
    found
}

/// Panels without a description left the reader to guess what a rise means.
#[test]
fn every_panel_is_described_and_leads_to_the_node() {
    for panel in panels().values() {
        let description = panel.body["description"].as_str().unwrap_or_default();
        let own = description.split(super::EVENT_ONLY).next().unwrap().trim();
        assert!(own.len() >= 20 && own.ends_with('.'), "{} is not described: {description:?}", panel.name);
        assert!(own.split(". ").all(|sentence| sentence.split(' ').count() <= 25), "{}: {own}", panel.name);
        assert!(panel.links().contains(&("Console".into(), "${node}/".into())), "{} has no link Console", panel.name);
    }
}

#[test]
fn titles_are_short_and_plain() {
    for (dashboard, body) in dashboards() {
        for title in body["panels"].as_array().unwrap().iter().map(|panel| panel["title"].as_str().unwrap()) {
            let words: BTreeSet<String> = title.split(' ').map(str::to_lowercase).collect();
            assert!(title.len() <= 48 && title.starts_with(|c: char| c.is_ascii_uppercase()), "{dashboard}: {title}");
            let riddles = ["believed", "told", "questions", "vain", "hears", "lacks", "it", "what", "held"];
            assert!(!riddles.iter().any(|riddle| words.contains(*riddle)), "{dashboard}: {title}");
        }
    }
}

/// A reader of a red panel looked for the runbook in a table of another page.
#[test]
fn a_panel_of_an_alert_s_series_leads_to_its_runbook_and_every_link_leads_somewhere() {
    let (panels, alerts) = (panels(), alerts());
    for panel in panels.values() {
        let links = panel.links();
        for alert in alerts.iter().filter(|alert| panel.shows(&alert.expression)) {
            let runbook = &alert.annotations["runbook"];
            let wanted = format!("${{node}}/docs/{runbook}");
            assert!(links.iter().any(|(_, url)| *url == wanted), "{} shows {}; link {wanted}", panel.name, alert.name);
        }
        for (title, url) in links {
            if let Some(path) = url.strip_prefix("/d/") {
                let (dashboard, query) = path.split_once("?viewPanel=").unwrap();
                let linked = panels.get(&format!("{dashboard}/{}", query.split('&').next().unwrap()));
                let named =
                    linked.unwrap_or_else(|| panic!("{}: no panel at {url}", panel.name)).body["title"].as_str();
                assert_eq!(title.strip_prefix("Panel: "), named, "{}", panel.name);
            } else if let Some(runbook) = url.strip_prefix("${node}/docs/runbooks/") {
                assert!(root().join("runbooks").join(runbook).is_file(), "{}: {url}", panel.name);
            } else {
                let pages = ["${node}/", "${node}/docs", "${node}/docs/rejections"];
                assert!(pages.contains(&url.as_str()), "{}: {url}", panel.name);
            }
        }
    }
}

/// An alert named a path of the repository, which the operator on call does not have.
#[test]
fn every_alert_leads_to_its_runbook_and_to_a_panel_with_its_threshold() {
    let panels = panels();
    for Alert { name, expression, annotations } in alerts() {
        let (runbook, url) = (&annotations["runbook"], &annotations["runbook_url"]);
        assert_eq!(*url, format!("http://127.0.0.1:7400/docs/{runbook}"), "{name}");
        let rest = annotations["panel_url"].strip_prefix("http://127.0.0.1:3000/d/").unwrap();
        let (place, instance) = rest.split_once('&').unwrap();
        assert_eq!(instance, "var-instance={{ $labels.instance | urlquery }}", "{name}");
        let panel =
            panels.get(&place.replace("?viewPanel=", "/")).unwrap_or_else(|| panic!("{name}: no panel {place}"));
        assert!(panel.shows(&expression), "{name}: {} shows another series", panel.name);
        let (steps, divisors, bounds) = (panel.steps(), panel.divisors(), bounds(&expression));
        assert!(!bounds.is_empty(), "{name} compares with no number: {expression}");
        // A count is compared with zero, a state with zero or one: the colour changes in between.
        let trivial = |bound: f64| bound == 0.0 || bound == 1.0;
        if bounds.iter().all(|bound| trivial(*bound)) {
            assert!(
                steps.iter().any(|step| (0.0..=1.0).contains(step)),
                "{name}: no threshold of {}: {steps:?}",
                panel.name
            );
        }
        for bound in bounds.into_iter().filter(|bound| !trivial(*bound)) {
            let drawn = |step: &f64| {
                divisors.iter().any(|divisor| (bound / divisor - step).abs() < 1e-9 * bound.abs().max(1.0))
            };
            assert!(steps.iter().any(drawn), "{name}: {} has no threshold at {bound}: {steps:?}", panel.name);
        }
    }
}

/// A panel that shows just what an alert compares draws the alert's line, also one that is not the alert's own.
#[test]
fn a_panel_of_an_alert_s_expression_has_thresholds() {
    let plain = |expression: &str| expression.replace(",instance=~\"$instance\"", "").replace(' ', "");
    for alert in alerts() {
        let compared = alert.expression.split([' ']).next().unwrap();
        for panel in panels().values() {
            if panel.expressions().iter().any(|expression| plain(expression) == plain(compared)) {
                assert!(!panel.steps().is_empty(), "{} shows what {} compares", panel.name, alert.name);
            }
        }
    }
}

/// A jump of a line could be a restart, a change of mode, or a fault: the dashboards did not say which.
#[test]
fn every_dashboard_marks_restarts_mode_changes_and_alerts_and_the_overview_lists_alerts() {
    for (name, dashboard) in dashboards() {
        let marks: BTreeMap<&str, &str> = dashboard["annotations"]["list"]
            .as_array()
            .unwrap()
            .iter()
            .map(|mark| (mark["name"].as_str().unwrap(), mark["expr"].as_str().unwrap()))
            .collect();
        for (mark, metric) in
            [("Restarts", "swoosh_start_time_seconds"), ("Mode changes", "swoosh_mode"), ("Alerts", "ALERTS")]
        {
            assert!(marks.get(mark).is_some_and(|expression| expression.contains(metric)), "{name}: {marks:?}");
        }
        let variable = dashboard["templating"]["list"].as_array().unwrap().iter().find(|one| one["name"] == "node");
        assert_eq!(variable.unwrap()["query"], "http://127.0.0.1:7400", "{name}: the variable of the links");
    }
    let lists = panels().values().filter(|panel| panel.body["type"] == "alertlist").count();
    assert_eq!(lists, 1);
}

/// Panels that overlap hide each other.
#[test]
fn no_panel_covers_another() {
    for (name, dashboard) in dashboards() {
        let mut taken = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
            assert!(x + w <= 24, "{name}: {}", panel["title"]);
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(taken.insert(cell), "{name}: {} covers another panel", panel["title"]);
            }
        }
    }
}
