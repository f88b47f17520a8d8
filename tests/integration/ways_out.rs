//! Who may open a way to the world outside: the sources are read, so that no way out gets around the network
//! gate. Everything else must go through `platform::outbound` and `platform::child`.

use std::path::Path;

use super::source::{SourceFile, Token, file, files, paths};

/// Paths that open a way out, with everything below them, and the files or folders that may name them.
const PATHS: &[(&str, &[&str])] = &[
    ("reqwest::Client", CLIENTS),
    ("reqwest::ClientBuilder", CLIENTS),
    ("reqwest::get", CLIENTS),
    ("reqwest::blocking", CLIENTS),
    ("opentelemetry_otlp", &["src/platform/otlp.rs"]),
    ("hyper::client", CLIENTS),
    ("hyper_util::client", CLIENTS),
    ("std::process::Command", PROCESSES),
    ("tokio::process::Command", PROCESSES),
    ("std::net::UdpSocket", &[]),
    ("tokio::net::UdpSocket", &[]),
    ("tokio::net::TcpSocket", &["src/cli/bench/"]),
    ("crate::platform::outbound::Exemption", &["src/facts/kaching/fetch.rs", "src/platform/outbound.rs"]),
];

/// Words in a row that open a way out, and who may write them.
const WORDS: &[(&[&str], &[&str])] = &[
    (&["TcpStream", "::", "connect"], CALLERS),
    (&["TcpStream", "::", "connect_timeout"], &["src/cli/chaos/real/"]),
    (&["UnixStream", "::", "connect"], CONTROL),
    (&["LentClient", "::"], &[]),
    (&["Http", "::", "exempt"], &["src/facts/kaching/fetch.rs"]),
];

/// The SDK, which runs in other people's programs; the gated client; commands that play the caller.
const CLIENTS: &[&str] = &["src/client/", "src/platform/outbound.rs"];
/// Commands that play the callers of nodes they start, and what stands between.
const CALLERS: &[&str] = &["src/cli/bench/", "src/cli/chaos/real/"];
/// The node's own sockets in its data directory, which lead nowhere else.
const CONTROL: &[&str] = &["src/cli/backup/control.rs", "src/cli/serve/clock_socket.rs"];
/// The gated child process; the children of hybridcore, which ask its `Leave` (in a daemon, the gate) before and
/// while they run; commands that start daemons and peers of their own, or a person's editor.
const PROCESSES: &[&str] = &[
    "src/platform/child.rs",
    "src/hybridcore/process.rs",
    "src/cli/demo/",
    "src/cli/bench/",
    "src/cli/chaos/real/",
    "src/cli/secrets/edit.rs",
];

fn may(allowed: &[&str], path: &str) -> bool {
    allowed.iter().any(|prefix| path == *prefix || (prefix.ends_with('/') && path.starts_with(prefix)))
}

fn is_row(tokens: &[Token], words: &[&str]) -> bool {
    tokens.len() >= words.len() && tokens.iter().zip(words).all(|(token, word)| token.text == *word)
}

/// Ways out that a file opens although it must not: `path:line: what`.
fn ways_out(file: &SourceFile) -> Vec<String> {
    let named = paths(&file.module, &file.shipped).into_iter().map(|named| (named.line, named.path.join("::")));
    let by_path = named.filter(|(_, path)| {
        let rule = PATHS.iter().find(|(way, _)| path == way || path.starts_with(&format!("{way}::")));
        rule.is_some_and(|(_, allowed)| !may(allowed, &file.path))
    });
    let rows = (0..file.shipped.len()).flat_map(|at| {
        let rest = &file.shipped[at..];
        let broken = WORDS.iter().filter(move |(words, allowed)| is_row(rest, words) && !may(allowed, &file.path));
        broken.map(|(words, _)| (rest[0].line, words.concat()))
    });
    let told = |(line, what)| {
        format!("{}:{line}: {what} gets around the network gate; use platform::outbound or platform::child", file.path)
    };
    by_path.chain(rows).map(told).collect()
}

#[test]
fn nothing_goes_outside_but_through_the_network_gate() {
    let found: Vec<String> = files().iter().flat_map(ways_out).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn ways_out_are_found_in_whatever_form_they_are_written() {
    let found = |text: &str| ways_out(&file(Path::new("src/effects/fetch.rs"), text)).len();
    for text in [
        "use reqwest::Client;",
        "use reqwest::{StatusCode, Client as C};",
        "fn f() { reqwest::Client::new(); }",
        "async fn f() { reqwest::get(x).await; }",
        "use tokio::process::Command;",
        "fn f() { std::process::Command::new(x); }",
        "async fn f() { TcpStream::connect(x).await; }",
        "fn f() { tokio::net::TcpStream::connect(x); }",
        "use crate::platform::outbound::{Exemption, Http};",
        "fn f() { Http::exempt(x, y, z); }",
        "fn f() { LentClient::new(); }",
        "use opentelemetry_otlp::SpanExporter;",
    ] {
        assert_eq!(found(text), 1, "{text}");
    }
    for text in [
        "use reqwest::{StatusCode, Url}; fn f(request: reqwest::RequestBuilder) {}",
        "use crate::platform::outbound::{Http, HttpLimits}; use std::process::ExitCode;",
        "use tokio::net::{TcpListener, TcpStream}; fn f(stream: TcpStream) {}",
        "#[cfg(test)] mod tests { use reqwest::Client; fn f() { TcpStream::connect(x); } }",
    ] {
        assert_eq!(found(text), 0, "{text}");
    }
    assert_eq!(ways_out(&file(Path::new("src/client/link.rs"), "use reqwest::Client;")).len(), 0);
    assert_eq!(ways_out(&file(Path::new("src/clients.rs"), "use reqwest::Client;")).len(), 1);
}

#[test]
fn everybody_who_is_allowed_a_way_out_is_there() {
    let files = files();
    let allowed = PATHS.iter().map(|(_, allowed)| allowed).chain(WORDS.iter().map(|(_, allowed)| allowed));
    for path in allowed.copied().flatten() {
        assert!(files.iter().any(|file| may(&[path], &file.path)), "there is no {path} any more; take it out");
    }
}
