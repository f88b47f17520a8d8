//! Golden scripts: commands to one project, each followed by its indented output.
//!
//! `scripts/*.txt` are run one by one; `SWOOSH_BLESS=1` writes what came out into them. Lines that begin
//! with `#` are comments. The commands stand in [`run`].

mod facts;
mod report;

use std::path::{Path, PathBuf};

use serde_json::Value;
use swoosh::types::civil;
use swoosh::types::hash::Hash;
use swoosh::types::hlc::Hlc;
use swoosh::types::names::{Region, Transition};

use crate::support::hands::VOTERS;
use crate::support::inputs;
use crate::support::route::Goal;
use crate::support::world::{Ask, World};

#[test]
fn scripts_come_out_as_they_are_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/scripts");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    assert!(!files.is_empty());
    let bless = std::env::var_os("SWOOSH_BLESS").is_some();
    let mut different = Vec::new();
    for path in files {
        let written = std::fs::read_to_string(&path).unwrap();
        let played = play(&path, &written);
        if written == played {
            continue;
        }
        if bless {
            std::fs::write(&path, played).unwrap();
        } else {
            different.push(first_difference(&path, &written, &played));
        }
    }
    assert!(different.is_empty(), "{}\nSWOOSH_BLESS=1 rewrites the scripts", different.join("\n"));
}

fn first_difference(path: &Path, written: &str, played: &str) -> String {
    let pairs = written.lines().map(Some).chain(std::iter::repeat(None)).zip(played.lines().map(Some).chain([None]));
    let at = pairs.enumerate().find(|(_, (a, b))| a != b);
    format!("{}: {at:?}", path.display())
}

/// Runs every command of a script and writes its output under it.
fn play(path: &Path, script: &str) -> String {
    let mut world = World::new();
    let mut out = String::new();
    for line in script.lines().filter(|line| !line.starts_with("  ")) {
        out.push_str(line);
        out.push('\n');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let output = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&mut world, line)));
        let output = output.unwrap_or_else(|_| panic!("{}: `{line}` panicked", path.display()));
        for line in output {
            out.push_str(&format!("  {}\n", without_digests(&world.hands.plain(&line))));
        }
    }
    out
}

/// A line with `<digest>` for the digests of effect ids, which every change of the chart changes.
fn without_digests(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('-') {
        out.push_str(before);
        let digest = after.get(..17).and_then(|text| text.strip_suffix('/'));
        let is_digest =
            digest.is_some_and(|digest| digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
        out.push_str(if is_digest { "-<digest>" } else { "-" });
        rest = if is_digest { &after[16..] } else { after };
    }
    out + rest
}

fn run(world: &mut World, line: &str) -> Vec<String> {
    let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
    match command {
        "go" => go(world, rest),
        "propose" => propose(world, rest),
        "show" => report::show(world, rest),
        "why" => report::why(world, rest.parse().unwrap()),
        "facts" => facts::change(world, rest),
        "at" => at(world, rest),
        "floor" => floor(world, rest),
        "license" => license(world),
        _ => panic!("there is no command {command}"),
    }
}

/// `go execution=REVIEW`: walks there with minimal valid inputs.
fn go(world: &mut World, rest: &str) -> Vec<String> {
    let (region, state) = rest.split_once('=').unwrap();
    let region: Region = region.parse().unwrap();
    let taken = world.drive(Goal::new(region, state));
    taken.iter().map(ToString::to_string).collect()
}

/// `+90s`, `-40s`, `+2h`, `+3d` in milliseconds, and whether it is negative.
fn span_ms(text: &str) -> i64 {
    let (number, unit) = text.split_at(text.len() - 1);
    let unit_ms = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => panic!("{text} is no span"),
    };
    number.parse::<i64>().unwrap() * unit_ms
}

/// `at +5s`: the wall clock moves; the only thing that ever moves it.
fn at(world: &mut World, rest: &str) -> Vec<String> {
    world.now_ms = world.now_ms.checked_add_signed(span_ms(rest)).unwrap();
    let window = world.window().map(|window| window.to_string()).unwrap_or_default();
    vec![format!("{} {window}", civil::rfc3339(world.now_ms))]
}

/// `floor BEAT`: keys of earlier beats have been forgotten.
fn floor(world: &mut World, rest: &str) -> Vec<String> {
    world.prune_floor = rest.parse().unwrap();
    Vec::new()
}

/// `license`: what the node proposes of its own when the license calls for it.
fn license(world: &mut World) -> Vec<String> {
    let Some((transition, cause)) = world.license_change() else { return vec!["no change".into()] };
    let mut ask = Ask::new(transition);
    ask.by = Some("node".into());
    ask.inputs = Some(serde_json::json!({"cause": cause}));
    report::proposed(world, &ask)
}

/// `propose T [by NAME] [votes V,V] [members ROLE=V,…] [head stale] [hlc SPAN] [window none|ID] [key KEY] [evidence
/// ADDRESS] [breach] [with {JSON}]`. `with` replaces members of the valid inputs; null removes one, and `a.b` is the
/// member b of a. `breach` adds the last breach.
fn propose(world: &mut World, rest: &str) -> Vec<String> {
    let (rest, with) = rest.split_once(" with ").map_or((rest, None), |(rest, with)| (rest, Some(with)));
    let mut words = rest.split(' ');
    let mut ask = Ask::new(words.next().unwrap().parse().unwrap());
    while let Some(word) = words.next() {
        let mut next = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
        match word {
            "by" => ask.by = Some(next().to_owned()),
            "head" => ask.head = Some(Hash::of(next().as_bytes())),
            "key" => ask.key = Some(next().parse().unwrap()),
            "window" => ask.window = Some(next().parse().ok()),
            "evidence" => ask.evidence.push(next().parse().unwrap()),
            "hlc" => ask.hlc = Some(shifted(world, next())),
            "votes" | "members" => ask.inputs = Some(certificate(world, ask.inputs.take(), word, next())),
            "breach" => ask.inputs = Some(report::with_breach(world, ask.transition)),
            _ => panic!("there is no option {word}"),
        }
    }
    if let Some(with) = with {
        let valid = ask.inputs.take().unwrap_or_else(|| world.valid(ask.transition));
        ask.inputs = Some(merged(valid, serde_json::from_str(&named(world, with)).unwrap()));
    }
    report::proposed(world, &ask)
}

fn shifted(world: &World, span: &str) -> Hlc {
    Hlc::new(world.now_ms.checked_add_signed(span_ms(span)).unwrap(), 0).unwrap()
}

/// Puts keys in the place of `<name>`.
fn named(world: &World, text: &str) -> String {
    world
        .hands
        .all()
        .fold(text.to_owned(), |text, hand| text.replace(&format!("<{}>", hand.name), &hand.key().to_string()))
}

fn merged(mut valid: Value, with: Value) -> Value {
    for (path, value) in with.as_object().unwrap() {
        let mut steps: Vec<&str> = path.split('.').collect();
        let name = steps.pop().unwrap();
        let place = steps.into_iter().fold(&mut valid, |place, step| &mut place[step]);
        let members = place.as_object_mut().unwrap();
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.to_owned(), value.clone());
        }
    }
    valid
}

/// A certificate of these voters over these members; by default those that the ranking proposes.
fn certificate(world: &World, inputs: Option<Value>, word: &str, value: &str) -> Value {
    let inputs = inputs.unwrap_or_else(|| world.valid(Transition::CouncilQuorumCert));
    let members = match word {
        "members" => value.split(',').map(|pair| pair.split_once('=').unwrap()).collect::<Vec<_>>(),
        _ => Vec::new(),
    };
    let members = if members.is_empty() {
        serde_json::from_value(inputs["members"].clone()).unwrap()
    } else {
        members.into_iter().map(|(name, role)| (world.hands.get(name).key(), role.parse().unwrap())).collect()
    };
    let voters: Vec<&str> = if word == "votes" { value.split(',').collect() } else { VOTERS[..3].to_vec() };
    let alive = world.alive();
    inputs::certificate(world.head.state(), world.maker(&alive), &members, &voters)
}
