//! The console as it is served, and the rules of its files.

use std::fs;
use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::http::{Request, StatusCode};

use super::world::{Answered, World};
use swoosh_types::hash::Hash;

const PAGES: [&str; 6] = ["", "p/core", "r/17", "compare/1..2", "act/Control_Pause?project=core", "no/such/page"];

async fn html(world: &World, path: &str) -> Answered {
    world.send(Request::get(path).header("accept", "text/html,*/*;q=0.8").body(Body::empty()).unwrap()).await
}

/// A prefix of a proxy is in no file: each name is relative to the address of the page.
#[tokio::test]
async fn every_page_names_its_files_relative_to_its_own_address_and_may_load_no_other() {
    let world = World::new();
    for path in PAGES {
        let answer = html(&world, &format!("/console/{path}")).await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, Some("text/html; charset=utf-8")));
        let page = String::from_utf8(answer.bytes.clone()).unwrap();
        let depth = path.split('?').next().unwrap().matches('/').count();
        let up = if depth == 0 { "./".to_owned() } else { "../".repeat(depth) };
        assert!(
            page.contains(&format!("src=\"{up}app.js\"")) && page.contains(&format!("href=\"{up}style.css\"")),
            "{path}: {page}"
        );
        let policy = answer.header("content-security-policy").unwrap();
        for rule in ["default-src 'none';", "script-src 'self';", "trusted-types 'none'", "frame-ancestors 'none';"] {
            assert!(policy.contains(rule), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cross-origin-opener-policy"), Some("same-origin"));
    }
}

#[tokio::test]
async fn a_file_has_its_hash_as_tag_and_is_not_sent_twice() {
    let world = World::new();
    for (path, kind) in
        [("app.js", "javascript"), ("style.css", "css"), ("sdk/index.js", "javascript"), ("icon.svg", "svg")]
    {
        let answer = world.get(&format!("/console/{path}")).await;
        assert!(answer.header("content-type").unwrap().contains(kind), "{path}");
        let tag = answer.header("etag").unwrap().to_owned();
        assert_eq!(tag, format!("\"{}\"", Hash::of(&answer.bytes)));
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        let again = Request::get(format!("/console/{path}")).header("if-none-match", &tag).body(Body::empty()).unwrap();
        let again = world.send(again).await;
        assert_eq!((again.status, again.bytes.len()), (StatusCode::NOT_MODIFIED, 0), "{path}");
        assert!(again.header("content-security-policy").is_some());
    }
}

/// Programs that ask `GET /` get the list of routes as ever.
#[tokio::test]
async fn browsers_are_sent_from_the_root_to_the_console_and_programs_are_not() {
    let world = World::new();
    let answer = html(&world, "/").await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::TEMPORARY_REDIRECT, Some("console/")));
    assert_eq!(html(&world, "/console").await.header("location"), Some("console/"));
    let program = world.get("/").await;
    assert_eq!((program.status, program.header("content-type")), (StatusCode::OK, Some("text/plain; charset=utf-8")));
}

/// The pages hold nothing of the node. What they show is read by other routes, which stay closed.
#[tokio::test]
async fn strangers_get_the_console_and_no_data() {
    let mut world = World::new();
    world.close_reads();
    for path in ["/console/", "/console/p/default", "/console/sdk/client.js"] {
        assert_eq!(html(&world, path).await.status, StatusCode::OK, "{path}");
    }
    assert_eq!(html(&world, "/").await.status, StatusCode::TEMPORARY_REDIRECT);
    for path in ["/state", "/projects", "/", "/consoles", "/console%2Fstate"] {
        assert_ne!(world.get(path).await.status, StatusCode::OK, "{path}");
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

fn console() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../console")
}

/// Own files, as they are reviewed.
fn own() -> Vec<(String, String)> {
    let mut found = Vec::new();
    files(&console(), &mut found);
    let own = found.iter().filter(|path| !path.components().any(|part| part.as_os_str() == "vendor"));
    own.map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn no_file_of_the_console_makes_markup_or_code_out_of_text() {
    let signs = ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "style="];
    for (path, text) in own() {
        for sign in signs {
            assert!(!text.contains(sign), "{path} has {sign}");
        }
        let outside = text.lines().find(|line| line.contains("https://") || line.contains("http://"));
        let outside = outside.filter(|line| !line.contains("http://www.w3.org/2000/svg"));
        assert_eq!(outside, None, "{path}");
    }
}

#[test]
fn files_of_the_console_have_at_most_400_lines_and_functions_60() {
    for (path, text) in own() {
        assert!(text.lines().count() <= 400, "{path}");
        let mut begun = None;
        for (number, line) in text.lines().enumerate() {
            if line.starts_with("function ") || line.starts_with("export function ") || line.contains("async function ")
            {
                begun = Some(number);
            }
            if line == "}"
                && let Some(first) = begun.take()
            {
                assert!(number - first < 60, "{path}:{}: a function of {} lines", first + 1, number - first + 1);
            }
        }
    }
}

#[test]
fn the_libraries_are_those_that_the_list_names() {
    let list = fs::read_to_string(console().join("vendor/VENDOR.md")).unwrap();
    let mut found = Vec::new();
    files(&console().join("vendor"), &mut found);
    for path in found.iter().filter(|path| path.extension().is_some_and(|extension| extension == "js")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let row = list.lines().find(|line| line.starts_with(&format!("| {name} |"))).expect(name);
        let sum = Hash::of(&fs::read(path).unwrap()).to_string();
        assert!(row.contains(sum.trim_start_matches("sha256-")), "{name} is {sum}");
    }
}

/// A page that is opened over a slow line loads all of it.
#[test]
fn the_console_stays_small() {
    let mut found = Vec::new();
    files(&console(), &mut found);
    let own = found.iter().filter(|path| path.extension().is_some_and(|extension| extension != "md"));
    let size: u64 = own.map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(size <= 176 << 10, "{size} bytes");
}
