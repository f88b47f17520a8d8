//! The pictures of a report (docs/performance.md), drawn from the report alone.

mod axis;
mod chart;
mod theme;

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::report::{GrowthRow, Report};
use super::rounds::{self, Figure, Round, Spread};
use axis::Axis;
use chart::{Chart, Point, Series};
use theme::Look;

/// Draws what the report has figures for. Returns the files.
pub(super) fn write(report: &Report, directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for (name, svg) in pictures(report)? {
        let path = directory.join(name);
        std::fs::write(&path, svg).with_context(|| format!("cannot write {}", path.display()))?;
        written.push(path);
    }
    Ok(written)
}

/// File names and pictures.
fn pictures(report: &Report) -> anyhow::Result<Vec<(&'static str, String)>> {
    let rounds = report.all_rounds();
    let charts = [
        ("rate.svg", rate(report, &rounds)),
        ("p99.svg", p99(report, &rounds)),
        ("cost-by-projects.svg", by_projects(report)),
        ("cost-by-records.svg", by_records(report)),
    ];
    let drawn = charts.into_iter().filter_map(|(name, chart)| Some((name, chart?)));
    drawn.map(|(name, chart)| Ok((name, chart.draw().with_context(|| format!("cannot draw {name}"))?))).collect()
}

fn rate(report: &Report, rounds: &[Round]) -> Option<Chart> {
    let series = by_clients(rounds, Figure::Rate, 1.0)?;
    let values = chart::highs(&series);
    Some(Chart {
        title: "Accepted transitions per second, by number of clients".to_owned(),
        x: Axis::logarithmic("clients, each waiting for its answer", &rounds::client_counts(rounds)),
        y: Axis::from_zero("transitions per second", &values),
        series,
        note: note(report, of_rounds(rounds)),
    })
}

fn p99(report: &Report, rounds: &[Round]) -> Option<Chart> {
    let series = by_clients(rounds, Figure::P99, 1e-3)?;
    let values: Vec<f64> = chart::lows(&series).into_iter().chain(chart::highs(&series)).collect();
    Some(Chart {
        title: "99th percentile of the time to an answer, by number of clients".to_owned(),
        x: Axis::logarithmic("clients, each waiting for its answer", &rounds::client_counts(rounds)),
        y: Axis::decades("milliseconds (logarithmic)", &values),
        series,
        note: note(report, of_rounds(rounds)),
    })
}

/// SWOOSH and its peers, each in its better way. `None` if SWOOSH has no row.
fn by_clients(rounds: &[Round], figure: Figure, unit: f64) -> Option<Vec<Series>> {
    let counts = rounds::client_counts(rounds);
    let line = |look, of: &dyn Fn(usize) -> Option<Spread>| {
        let point = |clients: &usize| {
            let Spread { median, min, max, .. } = of(*clients)?;
            Some(Point { x: *clients as f64, y: median * unit, low: min * unit, high: max * unit })
        };
        (look, counts.iter().filter_map(point).collect::<Vec<_>>())
    };
    let mut lines =
        vec![(String::from("SWOOSH"), line(Look::Swoosh, &|clients| rounds::ours(rounds, clients, figure)))];
    for peer in rounds::peer_names(rounds) {
        let (look, name) = match peer.as_str() {
            "etcd" => (Look::Etcd, "etcd (the better of its two ways)"),
            "restate" => (Look::Restate, "Restate"),
            other => (Look::Other, other),
        };
        let points = line(look, &|clients| rounds::theirs(rounds, &peer, clients, figure));
        lines.push((name.to_owned(), points));
    }
    let series = lines.into_iter().map(|(name, (look, points))| Series { name, look, points });
    (!counts.is_empty()).then(|| series.filter(|series| !series.points.is_empty()).collect())
}

/// Rows in which each project has the same number of records: of all such groups the largest.
fn by_projects(report: &Report) -> Option<Chart> {
    let each = |row: &GrowthRow| row.records / row.projects.max(1) as u64;
    let rows = largest_group(&report.growth, each)?;
    let title = format!("Processor time of a transition, by projects of {} records each", each(rows.first()?));
    Some(cost(report, title, "projects in the directory", &rows, |row| row.projects))
}

/// Rows of the same number of projects: of all such groups the largest.
fn by_records(report: &Report) -> Option<Chart> {
    let rows = largest_group(&report.growth, |row| row.projects as u64)?;
    let title =
        format!("Processor time of a transition, by records in {} projects", axis::grouped(rows.first()?.projects));
    let count = |row: &GrowthRow| usize::try_from(row.records).unwrap_or(usize::MAX);
    Some(cost(report, title, "records in the log", &rows, count))
}

/// The rows with the same key; of several groups the longest, then the one with the most records. `None` without two rows.
fn largest_group(rows: &[GrowthRow], key: impl Fn(&GrowthRow) -> u64) -> Option<Vec<GrowthRow>> {
    let group = |wanted: u64| rows.iter().filter(|row| key(row) == wanted).cloned().collect::<Vec<_>>();
    let size = |group: &Vec<GrowthRow>| (group.len(), group.iter().map(|row| row.records).max());
    let mut group = rows.iter().map(|row| group(key(row))).max_by_key(size)?;
    group.sort_by_key(|row| (row.projects, row.records));
    (group.len() > 1).then_some(group)
}

fn cost(report: &Report, title: String, x: &str, rows: &[GrowthRow], at: impl Fn(&GrowthRow) -> usize) -> Chart {
    let point = |row: &GrowthRow| {
        let cost = row.load.processor_us as f64;
        Point { x: at(row) as f64, y: cost, low: cost, high: cost }
    };
    let points: Vec<Point> = rows.iter().map(point).collect();
    let clients = rows.first().map_or(0, |row| row.load.clients);
    let series = vec![Series { name: format!("SWOOSH, {clients} clients"), look: Look::Swoosh, points }];
    Chart {
        title,
        x: Axis::logarithmic(&format!("{x} (logarithmic)"), &rows.iter().map(at).collect::<Vec<_>>()),
        y: Axis::from_zero("processor time, µs", &chart::highs(&series)),
        series,
        note: note(report, "One measurement of each directory.".to_owned()),
    }
}

fn of_rounds(rounds: &[Round]) -> String {
    match rounds.len() {
        0 | 1 => "One round.".to_owned(),
        count => format!("Median of {count} rounds; bars from the least to the most."),
    }
}

/// One-minute load average up to which the machine counts as quiet.
const QUIET: f64 = 0.5;

/// How it was measured, and where, in one line. A busy machine is named, because its figures are noisy.
fn note(report: &Report, how: String) -> String {
    const LONGEST: usize = 32;
    let processor: String = report.machine.processor.chars().take(LONGEST).collect();
    let load = &report.machine.load_before;
    let busy = match load.parse::<f64>() {
        Ok(average) if average > QUIET => format!(" Load average before: {load}."),
        _ => String::new(),
    };
    format!("{how} {} cores, {processor}.{busy}", report.machine.cores)
}

#[cfg(test)]
mod tests;
