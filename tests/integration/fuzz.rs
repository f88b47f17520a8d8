//! Bytes of anybody's: the fuzzer's entries, fed with the kept corpus and with mutations of it that are the same on
//! every run. `make fuzz` looks further, guided by coverage, and what it finds is kept in the corpus.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use swoosh_fuzz::{ENTRIES, Entry};

use swoosh_testkit::random::Random;

/// Mutations of each entry's corpus.
const MUTATIONS: u64 = 8_000;
/// Fewer where reading takes longer.
const SLOW: [(&str, u64); 2] = [("policy", 800), ("settings", 2_000)];
/// Tokens that break parsers more often than random bytes.
const TOKENS: [&[u8]; 16] = [
    b"\"",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[[[[[[[[",
    b"null",
    b"1e9",
    b"9007199254740992",
    b"-",
    b"://",
    b"%2e",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\n",
    b"..",
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name)
}

/// The corpus in the order of its names, so that a run is the same everywhere.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let listed = fs::read_dir(folder(name)).unwrap_or_else(|error| panic!("no corpus for {name}: {error}"));
    let mut files: Vec<PathBuf> = listed.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| (file.display().to_string(), fs::read(file).unwrap())).collect()
}

fn feed(name: &str, entry: Entry, origin: &str, bytes: &[u8]) {
    let survived = catch_unwind(AssertUnwindSafe(|| swoosh_fuzz::bounded(entry, bytes))).is_ok();
    assert!(
        survived,
        "{name} broke on {origin}; keep these bytes in the corpus: {:?}",
        bytes.escape_ascii().to_string()
    );
}

fn mutated(random: &mut Random, corpus: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = corpus[random.below(corpus.len() as u64) as usize].1.clone();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() as u64 + 1) as usize;
        let until = (at + random.below(16) as usize).min(bytes.len());
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 => drop(bytes.drain(at..until)),
            2 => drop(bytes.splice(at..at, random.pick(TOKENS).iter().copied())),
            3 => bytes.extend_from_within(at..until),
            4 => bytes.truncate(at),
            _ => {
                let other = &corpus[random.below(corpus.len() as u64) as usize].1;
                let from = random.below(other.len() as u64 + 1) as usize;
                drop(bytes.splice(at..until, other[from..].iter().copied()));
            }
        }
    }
    bytes
}

#[test]
fn no_bytes_break_a_promise_of_an_entry() {
    for &(name, entry) in ENTRIES {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "the corpus of {name} is empty");
        corpus.iter().for_each(|(file, bytes)| feed(name, entry, file, bytes));
        let mut random = Random::new(name.len() as u64);
        let slow = SLOW.iter().find(|(slow, _)| *slow == name);
        for number in 0..slow.map_or(MUTATIONS, |(_, mutations)| *mutations) {
            feed(name, entry, &format!("mutation {number}"), &mutated(&mut random, &corpus));
        }
    }
}

#[test]
fn each_entry_has_a_target_and_each_folder_of_the_corpus_an_entry() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let mut names: Vec<&str> = ENTRIES.iter().map(|(name, _)| *name).collect();
    for name in &names {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is no target of fuzz/Cargo.toml");
        assert!(root.join(format!("fuzz_targets/{name}.rs")).is_file(), "{name} has no file");
    }
    names.sort_unstable();
    let mut folders: Vec<String> = fs::read_dir(root.join("corpus"))
        .unwrap()
        .map(|folder| folder.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    assert_eq!(folders, names);
}

/// A corpus that nothing accepts would test refusals alone.
#[test]
fn each_corpus_holds_something_that_is_accepted() {
    use swoosh::machine::chart::Inputs;
    use swoosh::types::canonical::{from_canonical, from_slice};
    use swoosh::verify::{Headers, verify};
    let any = |name: &str, accepts: &dyn Fn(&[u8]) -> bool| {
        assert!(corpus(name).iter().any(|(_, bytes)| accepts(bytes)), "nothing in {name} is accepted");
    };
    any("json", &|bytes| swoosh::types::json::Json::parse(bytes).is_ok());
    any("envelope", &|bytes| {
        let cluster = "test".parse().unwrap();
        verify(bytes, &Headers::default(), &cluster, Inputs::decode).is_ok()
    });
    any("record", &|bytes| from_slice::<swoosh::types::record::Record>(bytes).is_ok());
    any("receipt", &|bytes| from_slice::<swoosh::types::receipt::Receipt>(bytes).is_ok());
    any("feed", &|bytes| from_slice::<swoosh::types::feed::FeedPage>(bytes).is_ok_and(|page| !page.records.is_empty()));
    any("settings", &|bytes| swoosh::settings::Settings::from_yaml(std::str::from_utf8(bytes).unwrap()).is_ok());
    any("policy", &|bytes| {
        let policies = String::from_utf8_lossy(bytes).into_owned();
        let bundle = swoosh::types::fact::PolicyBundle { serial: 1, policies };
        swoosh::machine::policy::CompiledPolicies::compile(bundle).is_ok()
    });
    any("wire", &|bytes| swoosh_cluster::wire::decode(bytes).is_ok());
    any("wire", &|bytes| swoosh_cluster::wire::decode_handshake(bytes).is_ok());
    any("snapshot", &|bytes| from_canonical::<swoosh::journal::Snapshot>(bytes).is_ok());
}

/// Documents that nest 5,000 levels. Each reader recurses, and must refuse them before its stack ends.
fn deep() -> Vec<Vec<u8>> {
    let around = |before: &str, inner: &str, after: &str| {
        [before.repeat(5_000), inner.to_owned(), after.repeat(5_000)].concat().into_bytes()
    };
    vec![
        around("[", "1", "]"),
        around("{\"a\":", "1", "}"),
        around("[{\"a\":", "1", "}]"),
        around("(", "1", ")"),
        around("- ", "x", ""),
        around("? ", "x", ""),
        around("a: {", "b: 1", "}"),
        around("[", "", ""),
        around("!!seq [", "", ""),
        around("a = [", "1", "]"),
        around("a = !", "true", ""),
        around("a {\n", "b = 1", "\n}"),
        around("a = \"${", "1", "}\""),
        around("1 + ", "1", ""),
        around("ucxl://a:b@c/", "x", ""),
        around("../", "x", ""),
        around("permit (principal, action, resource) when { (", "true", ")};"),
        around("&a [*a, ", "1", "]"),
    ]
}

/// A policy of 2 KB ended the node. The same was asked of every other reader.
#[test]
fn documents_of_any_depth_overflow_the_stack_of_no_reader() {
    use swoosh::decisions::Redaction;
    use swoosh::hybridcore::config::{layers, syntax};
    use swoosh::platform::secrets::Secrets;
    let readers: &[(&str, Entry)] = &[
        ("values of answers", |bytes| drop(layers::answers("a.yaml", &String::from_utf8_lossy(bytes)))),
        ("HCL", |bytes| drop(syntax::parse("a.hcl", &String::from_utf8_lossy(bytes)))),
        ("the redaction policy", |bytes| drop(Redaction::parse(&String::from_utf8_lossy(bytes)))),
        ("secrets", |bytes| drop(Secrets::parse(bytes))),
        ("JSON of others", |bytes| drop(serde_json::from_slice::<serde_json::Value>(bytes))),
    ];
    for document in deep() {
        for (name, reader) in ENTRIES.iter().chain(readers) {
            feed(name, *reader, "a deep document", &document);
        }
    }
}
