//! The pictures of a fixed report, and rules for every picture: texts lie inside and apart, axes have units, dark pages have colours of their own.

use super::super::report::Report;
use super::*;

/// The committed report, of which docs/performance.md shows the pictures.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/performance");
/// A short report with invented figures, and its pictures.
const FIXED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bench/draw/fixed");

fn read(folder: &str) -> Report {
    serde_json::from_slice(&std::fs::read(Path::new(folder).join("bench.json")).unwrap()).unwrap()
}

/// Compares pictures with those beside their report. `SWOOSH_BLESS=1` writes them; read the diff.
fn assert_drawn(folder: &str) {
    let drawn = pictures(&read(folder)).unwrap();
    assert_eq!(drawn.len(), 4, "{:?}", drawn.iter().map(|(name, _)| name).collect::<Vec<_>>());
    for (name, svg) in drawn {
        let path = Path::new(folder).join(name);
        if std::env::var_os("SWOOSH_BLESS").is_some() {
            std::fs::write(&path, &svg).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == svg, "{} is not drawn from bench.json beside it; `swoosh bench draw` does", path.display());
    }
}

#[test]
fn a_fixed_report_is_always_drawn_the_same_way() {
    assert_drawn(FIXED);
}

/// The pictures of the page showed another run than its tables.
#[test]
fn the_pictures_of_the_page_are_those_of_the_committed_report() {
    assert_drawn(KEPT);
    let page = std::fs::read_to_string(Path::new(KEPT).with_extension("md")).unwrap();
    for (name, svg) in pictures(&read(KEPT)).unwrap() {
        assert!(page.contains(&format!("](performance/{name})")), "docs/performance.md does not show {name}");
        assert!(svg.len() < 30_000, "{name}: {} bytes", svg.len());
    }
    for entry in std::fs::read_dir(KEPT).unwrap().map(Result::unwrap) {
        let (name, bytes) = (entry.file_name(), entry.metadata().unwrap().len());
        assert!(bytes < 300_000, "{}: {bytes} bytes; flame graphs leave out small functions", name.display());
    }
}

/// The box of a text in a picture: left, top, right, bottom. Letters are estimated wide rather than narrow.
#[derive(Clone, Debug)]
struct Placed {
    text: String,
    sides: [f64; 4],
}

fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    tag.split_once(&format!(" {name}=\""))?.1.split_once('"').map(|(value, _)| value)
}

fn texts(svg: &str) -> Vec<Placed> {
    svg.split("<text")
        .skip(1)
        .map(|rest| {
            let (tag, rest) = rest.split_once('>').unwrap();
            let text = rest.split_once("</text>").unwrap().0.trim().to_owned();
            let number = |name| attribute(tag, name).unwrap().parse::<f64>().unwrap();
            let (x, y, size) = (number("x"), number("y"), number("font-size"));
            let width = text.chars().count() as f64 * size * 0.56;
            let left = match attribute(tag, "text-anchor").unwrap() {
                "start" => 0.0,
                "middle" => -width / 2.0,
                _ => -width,
            };
            let top = match attribute(tag, "dy").unwrap() {
                "0.76em" => 0.0,
                "0.5ex" => -size / 2.0,
                _ => -size,
            };
            let sides = match attribute(tag, "transform") {
                // Turned to the left around its point: what was right is up.
                Some(turned) if turned.starts_with("rotate(270") => {
                    [x + top, y - left - width, x + top + size, y - left]
                }
                _ => [x + left, y + top, x + left + width, y + top + size],
            };
            Placed { text, sides }
        })
        .collect()
}

fn assert_readable(name: &str, svg: &str) {
    let texts = texts(svg);
    assert!(texts.len() > 8, "{name} has the texts {texts:?}");
    let (width, height) = (f64::from(chart::SIZE.0), f64::from(chart::SIZE.1));
    for (at, one) in texts.iter().enumerate() {
        let [left, top, right, bottom] = one.sides;
        assert!(
            left >= 0.0 && top >= 0.0 && right <= width && bottom <= height,
            "{name}: {} is cut off: {:?}",
            one.text,
            one.sides
        );
        for other in &texts[at + 1..] {
            let apart =
                right <= other.sides[0] || other.sides[2] <= left || bottom <= other.sides[1] || other.sides[3] <= top;
            assert!(apart, "{name}: {} lies on {}: {:?}, {:?}", one.text, other.text, one.sides, other.sides);
        }
    }
    assert!(svg.contains("prefers-color-scheme:dark"), "{name} has no dark colours");
    let colours = svg.split("fill=\"#").skip(1).chain(svg.split("stroke=\"#").skip(1));
    let unpaired = colours.filter(|rest| {
        let colour = rest.get(..6).unwrap_or_default();
        !svg.contains(&format!("=\"#{colour}\"]"))
    });
    assert_eq!(unpaired.count(), 0, "{name} has a colour that stays the same on dark pages");
}

#[test]
fn texts_lie_inside_of_the_picture_and_apart() {
    for (name, svg) in pictures(&read(FIXED)).unwrap() {
        assert_readable(name, &svg);
        for unit in ["clients", "transitions per second", "milliseconds", "µs", "projects", "records"] {
            let expected = match name {
                "rate.svg" => matches!(unit, "clients" | "transitions per second"),
                "p99.svg" => matches!(unit, "clients" | "milliseconds"),
                "cost-by-projects.svg" => matches!(unit, "µs" | "projects"),
                _ => matches!(unit, "µs" | "records"),
            };
            assert!(!expected || svg.contains(unit), "{name} does not name {unit}");
        }
    }
}

/// Names of processors and counts of clients are of any length.
#[test]
fn a_report_of_another_machine_is_readable_as_well() {
    let mut report = read(FIXED);
    report.machine.processor = "A Processor With A Very Long Name And Every Feature That It Has @ 2.80GHz".to_owned();
    report.machine.load_before = "12.86".to_owned();
    for round in &mut report.rounds {
        round.accepted.iter_mut().for_each(|row| {
            row.per_second *= 1_000;
            row.p99_us *= 100;
        });
        let crowded = [1, 2, 3, 4, 60, 64, 9_999];
        let row = round.accepted[0].clone();
        round.accepted.extend(crowded.map(|clients| super::super::load::LoadRow { clients, ..row.clone() }));
        let peer = round.peers[0].clone();
        round.peers.push(super::super::peers::PeerRow { peer: "etcd3".to_owned(), ..peer });
    }
    for (name, svg) in pictures(&report).unwrap() {
        assert_readable(name, &svg);
        assert!(svg.contains("Load average before: 12.86."), "{name} hides that the machine was busy");
    }
}

#[test]
fn a_report_without_peers_or_growth_has_the_pictures_that_it_can() {
    let mut report = read(FIXED);
    report.growth.clear();
    report.rounds.iter_mut().for_each(|round| round.peers.clear());
    let drawn = pictures(&report).unwrap();
    assert_eq!(drawn.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["rate.svg", "p99.svg"]);
    assert!(drawn.iter().all(|(_, svg)| svg.contains("SWOOSH") && !svg.contains("etcd")));
    assert!(pictures(&Report::default()).unwrap().is_empty());
}

/// Reports of older programs have no rounds: their rows are the only one.
#[test]
fn a_report_of_an_older_program_is_drawn() {
    let text = r#"{
        "machine": {"cores": 2, "processor": "Xeon", "load_before": "0.1", "debug_assertions": false},
        "accepted": [{"clients": 64, "seconds": 6.0, "per_second": 7347, "p50_us": 8000, "p99_us": 14000, "processor_us": 220}],
        "peers": [{"peer": "etcd", "clients": 64, "per_second": 6279, "p50_us": 9000, "p99_us": 20000}],
        "memory": {"projects": 1, "empty_kib": 1, "evicted_kib": 1, "loaded_kib": 1, "bytes_each": 1, "evicted_bytes_each": 1,
            "told_each": 1},
        "goals": []
    }"#;
    let report: Report = serde_json::from_str(text).unwrap();
    let drawn = pictures(&report).unwrap();
    assert_eq!(drawn.len(), 2);
    assert!(drawn[0].1.contains("etcd") && drawn[0].1.contains("<circle"), "{}", drawn[0].1);
}
