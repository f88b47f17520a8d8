//! Reads Rust source as far as the house rules need it: words and signs with their lines, without
//! comments, literals and test code.

use std::path::{Path, PathBuf};

/// A word or a sign of source code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The word, or the sign by itself; `::` is one sign, a literal is `"`.
    pub text: String,
    /// Line that it stands on, from 1.
    pub line: usize,
}

/// A file of Rust source.
#[derive(Debug)]
pub struct SourceFile {
    /// Path from the repository's root.
    pub path: String,
    /// Its module, from the crate's root: `["machine", "state", "genesis"]`.
    pub module: Vec<String>,
    /// How many lines it has.
    pub lines: usize,
    /// All of its tokens.
    pub all: Vec<Token>,
    /// Its tokens outside of `#[cfg(test)]`.
    pub shipped: Vec<Token>,
}

/// Every file that this package is built and tested with: `src/`, `tests/`, `build/` and `build.rs`.
pub fn all_files() -> Vec<SourceFile> {
    let folders = ["tests", "build"].into_iter().flat_map(below);
    files().into_iter().chain(folders).chain(below("build.rs")).collect()
}

/// The files below a folder of the repository, or the one file, by their paths.
fn below(place: &str) -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(&root.join(place), &mut paths);
    paths.sort();
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).expect("a source file can be read");
        file(path.strip_prefix(root).expect("it is under the root"), &text)
    };
    paths.iter().map(read).collect()
}

/// Every file under `src/` of this package.
pub fn files() -> Vec<SourceFile> {
    let mut files = below("src");
    let tests: Vec<Vec<String>> = files.iter().flat_map(test_modules).collect();
    for file in files.iter_mut().filter(|file| tests.iter().any(|test| file.module.starts_with(test))) {
        file.shipped.clear();
    }
    files
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    if folder.is_file() {
        paths.push(folder.to_owned());
        return;
    }
    for entry in std::fs::read_dir(folder).expect("a source folder can be read") {
        let path = entry.expect("a source folder can be read").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// A file from its path and text.
pub fn file(path: &Path, text: &str) -> SourceFile {
    let all = tokens(text);
    let shipped = without_tests(&all);
    SourceFile { path: path.display().to_string(), module: module_of(path), lines: text.lines().count(), all, shipped }
}

/// `src/a/b.rs` and `src/a/b/mod.rs` are `[a, b]`, `src/lib.rs` is `[]`; `src/main.rs` is `[main]`.
fn module_of(path: &Path) -> Vec<String> {
    let bare = path.with_extension("");
    let mut parts: Vec<String> = bare.iter().skip(1).map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod") || parts == ["lib"] {
        parts.pop();
    }
    parts
}

/// Modules in files of their own that a file declares under `#[cfg(test)]`.
fn test_modules(file: &SourceFile) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for at in (0..file.all.len()).filter(|&at| is_test_attribute(&file.all[at..])) {
        let item = &file.all[at..at + item_length(&file.all[at..])];
        if let [.., keyword, name, end] = item
            && (keyword.text.as_str(), end.text.as_str()) == ("mod", ";")
        {
            found.push(file.module.iter().cloned().chain([name.text.clone()]).collect());
        }
    }
    found
}

/// Words and signs, without comments and what is inside of literals.
pub fn tokens(text: &str) -> Vec<Token> {
    let characters: Vec<char> = text.chars().collect();
    let (mut at, mut line, mut tokens) = (0, 1, Vec::new());
    while at < characters.len() {
        let rest = &characters[at..];
        let (length, kind) = next(rest);
        match kind {
            Kind::Space => {}
            Kind::Literal => tokens.push(Token { text: "\"".into(), line }),
            Kind::Text => tokens.push(Token { text: rest[..length].iter().collect(), line }),
        }
        line += rest[..length].iter().filter(|&&c| c == '\n').count();
        at += length;
    }
    tokens
}

enum Kind {
    Space,
    Literal,
    Text,
}

fn next(rest: &[char]) -> (usize, Kind) {
    let starts = |prefix: &str| prefix.chars().eq(rest.iter().copied().take(prefix.len()));
    let (first, second) = (rest[0], rest.get(1).copied().unwrap_or(' '));
    if first.is_whitespace() {
        (1, Kind::Space)
    } else if starts("//") {
        (rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()), Kind::Space)
    } else if starts("/*") {
        (block_comment(rest), Kind::Space)
    } else if let Some(length) = string(rest) {
        (length, Kind::Literal)
    } else if first == '\'' && (second == '\\' || rest.get(2) == Some(&'\'')) {
        (quoted(rest, '\''), Kind::Literal)
    } else if first.is_alphanumeric() || first == '_' {
        (rest.iter().position(|c| !(c.is_alphanumeric() || *c == '_')).unwrap_or(rest.len()), Kind::Text)
    } else {
        (if starts("::") { 2 } else { 1 }, Kind::Text)
    }
}

fn block_comment(rest: &[char]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        match (rest[at], rest.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a string literal of any kind that stands here.
fn string(rest: &[char]) -> Option<usize> {
    let prefix = rest.iter().position(|c| !matches!(c, 'b' | 'c' | 'r'))?;
    let raw = rest[..prefix].contains(&'r');
    let hashes = rest[prefix..].iter().take_while(|&&c| c == '#').count();
    if prefix > 2 || rest.get(prefix + hashes) != Some(&'"') || (hashes > 0 && !raw) {
        return (prefix == 1 && rest[0] == 'b' && rest[1] == '\'').then(|| 1 + quoted(&rest[1..], '\''));
    }
    if !raw {
        return Some(prefix + quoted(&rest[prefix..], '"'));
    }
    let body = prefix + hashes + 1;
    let closes =
        |at: &usize| rest[*at] == '"' && rest[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
    Some((body..rest.len()).find(closes).map_or(rest.len(), |end| end + 1 + hashes))
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// The tokens outside of items under `#[cfg(test)]`; nothing of a file with `#![cfg(test)]`.
fn without_tests(all: &[Token]) -> Vec<Token> {
    if (0..all.len()).any(|at| is(&all[at..], &["#", "!", "[", "cfg", "(", "test", ")", "]"])) {
        return Vec::new();
    }
    let (mut at, mut shipped) = (0, Vec::new());
    while at < all.len() {
        if is_test_attribute(&all[at..]) {
            at += item_length(&all[at..]);
        } else {
            shipped.push(all[at].clone());
            at += 1;
        }
    }
    shipped
}

fn is_test_attribute(rest: &[Token]) -> bool {
    is(rest, &["#", "[", "cfg", "(", "test", ")", "]"]) || is(rest, &["#", "[", "cfg", "(", "all", "(", "test", ","])
}

/// Whether these tokens stand here.
pub fn is(rest: &[Token], texts: &[&str]) -> bool {
    rest.len() >= texts.len() && rest.iter().zip(texts).all(|(token, text)| token.text == *text)
}

/// The length of an item with its attributes: up to its closing brace or its semicolon.
fn item_length(rest: &[Token]) -> usize {
    let mut depth = 0;
    for (at, token) in rest.iter().enumerate() {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 && matches!(token.text.as_str(), "}" | ";") {
            return at + 1;
        }
    }
    rest.len()
}

/// A path of ours or of another crate that a file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its segments; of our own crate from the root, beginning with `crate`.
    pub path: Vec<String>,
    /// Line of its last segment.
    pub line: usize,
}

/// Every path of more than one segment, and every path that is imported; `self` and `super` are resolved.
pub fn paths(module: &[String], tokens: &[Token]) -> Vec<Named> {
    let mut found = Vec::new();
    // Inline modules and the depth of the braces that they begin at.
    let (mut inner, mut depth, mut at) = (Vec::<(String, usize)>::new(), 0, 0);
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "mod" if tokens.get(at + 2).is_some_and(|token| token.text == "{") => {
                inner.push((tokens[at + 1].text.clone(), depth));
            }
            _ => {}
        }
        let leaves = tokens[at].text == "}" && inner.last().is_some_and(|(_, from)| *from == depth);
        if leaves {
            inner.pop();
        }
        let here: Vec<String> = module.iter().cloned().chain(inner.iter().map(|(name, _)| name.clone())).collect();
        let imported = at > 0 && tokens[at - 1].text == "use";
        let begins = is_word(&tokens[at]) && !continues(tokens, at);
        let leads_on = tokens.get(at + 1).is_some_and(|token| token.text == "::");
        if begins && (leads_on || imported) {
            at = tree(&here, tokens, at, Vec::new(), &mut found);
        } else if imported && is(&tokens[at..], &["{"]) {
            at = group(&here, tokens, at, &[], &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Whether a word goes on with a path; one after a leading `::` does not.
fn continues(tokens: &[Token], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).and_then(|place| tokens.get(place));
    before(1).is_some_and(|token| token.text == "::")
        && before(2).is_some_and(|t| is_word(t) && t.text != "use" || t.text == ">")
}

fn is_word(token: &Token) -> bool {
    token.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Reads a path, or a tree of paths, that begins at `at`; gives the place after it.
fn tree(here: &[String], tokens: &[Token], mut at: usize, mut path: Vec<String>, found: &mut Vec<Named>) -> usize {
    loop {
        let Some(token) = tokens.get(at) else { return at };
        if token.text == "{" && !path.is_empty() {
            return group(here, tokens, at, &path, found);
        }
        if !is_word(token) && token.text != "*" {
            found.push(Named { path, line: token.line });
            return at;
        }
        extend(here, &mut path, &token.text);
        at += 1;
        if tokens.get(at).is_none_or(|next| next.text != "::") {
            found.push(Named { path, line: token.line });
            return at;
        }
        at += 1;
    }
}

/// Reads a group in braces that begins at `at`; gives the place after its closing brace.
fn group(here: &[String], tokens: &[Token], mut at: usize, path: &[String], found: &mut Vec<Named>) -> usize {
    at += 1;
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "}" => return at + 1,
            "as" => at += 2,
            text if is_word(token) || text == "*" => at = tree(here, tokens, at, path.to_vec(), found),
            _ => at += 1,
        }
    }
    at
}

fn extend(here: &[String], path: &mut Vec<String>, segment: &str) {
    let root = |here: &[String]| std::iter::once("crate".to_owned()).chain(here.iter().cloned()).collect();
    match (segment, path.is_empty()) {
        ("self", true) => *path = root(here),
        ("super", true) => *path = root(&here[..here.len().saturating_sub(1)]),
        ("super", false) => drop(path.pop()),
        ("self", false) => {}
        (other, _) => path.push(other.to_owned()),
    }
}
