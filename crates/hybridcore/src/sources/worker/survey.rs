//! Inspects a commit's tree for policies: links and paths out of it, private keys, credentials, licences.
//!
//! Nothing of a file's size, name or encoding keeps it from being looked at; files are read whole, one at a time.

use std::collections::BTreeMap;

use super::tree::shown;
use crate::sources::credentials::CredentialRules;
use crate::sources::git::{FoundCredential, Survey};
use crate::sources::licences::Licences;
use swoosh_types::content_flag::ContentFlag;

/// The most findings of one kind that a survey lists, which is the most paths that an outcome may name. The others are counted.
const LISTED: usize = 32;
/// The most links that are followed from one.
const MOST_HOPS: usize = 40;
/// The most links of a tree that are kept to be followed. Where there are more, each link counts as one that leads out.
const MOST_LINKS: usize = 100_000;

/// Looks at the files of one tree.
pub(super) struct Surveyor<'r> {
    pub survey: Survey,
    rules: &'r CredentialRules,
    licences: Licences,
    /// Where links lead, by their path.
    links: BTreeMap<String, String>,
}

impl<'r> Surveyor<'r> {
    pub fn new(rules: &'r CredentialRules) -> Surveyor<'r> {
        let (survey, licences, links) = (Survey::default(), Licences::default(), BTreeMap::new());
        Surveyor { survey, rules, licences, links }
    }

    pub fn submodule(&mut self, path: &str) {
        keep(&mut self.survey, |survey| &mut survey.submodules, path);
    }

    pub fn link(&mut self, path: &str, target: &[u8]) {
        self.survey.links += 1;
        if self.links.len() < MOST_LINKS {
            self.links.insert(path.to_owned(), String::from_utf8_lossy(target).into_owned());
        } else {
            keep(&mut self.survey, |survey| &mut survey.escaping_links, path);
        }
    }

    pub fn file(&mut self, path: &str, content: &[u8]) {
        let survey = &mut self.survey;
        if is_private_key(content) {
            keep(survey, |survey| &mut survey.private_keys, path);
        }
        if is_lfs_pointer(content) {
            keep(survey, |survey| &mut survey.lfs_pointers, path);
        }
        if path.rsplit('/').next() == Some(".gitmodules") && climbs(&String::from_utf8_lossy(content)) {
            keep(survey, |survey| &mut survey.climbing_paths, path);
        }
        for struck in self.rules.strike(path, content) {
            self.credential(struck.rule, struck.flag, path);
        }
        self.licences.look_at(path, content);
    }

    /// Keeps the first few of each flag, so that many of one kind hide none of another.
    fn credential(&mut self, rule: &str, flag: ContentFlag, path: &str) {
        let survey = &mut self.survey;
        let of_flag = survey.credentials.iter().filter(|found| found.flag == flag).count();
        let text = shown(path.as_bytes());
        let is_listed = of_flag < LISTED;
        let is_named = is_listed || survey.credentials.iter().any(|found| found.path == text);
        survey.paths_left_out += u64::from(!is_named || !is_whole(&text, path));
        if is_listed {
            survey.credentials.push(FoundCredential { rule: shown(rule.as_bytes()), flag, path: text });
        } else {
            survey.findings_left_out += 1;
        }
    }

    /// The result, after every entry of the tree.
    pub fn ended(self) -> Survey {
        let Surveyor { mut survey, licences, links, .. } = self;
        for path in links.keys().filter(|path| leads_out(path, &links)) {
            keep(&mut survey, |survey| &mut survey.escaping_links, path);
        }
        survey.licences = licences.ended();
        survey
    }
}

/// Lists a finding, or counts it where the list is full.
fn keep(survey: &mut Survey, list: fn(&mut Survey) -> &mut Vec<String>, path: &str) {
    let text = shown(path.as_bytes());
    let (is_listed, is_whole) = (list(survey).len() < LISTED, is_whole(&text, path));
    if is_listed {
        list(survey).push(text);
    }
    survey.findings_left_out += u64::from(!is_listed);
    survey.paths_left_out += u64::from(!is_listed || !is_whole);
}

/// Whether a path is written in full, so that a policy can compare it.
fn is_whole(shown: &str, path: &str) -> bool {
    shown == path && !path.contains(char::REPLACEMENT_CHARACTER)
}

/// Whether a link leads out of the tree or into `.git`, also by way of other links of the tree. A circle of links leads
/// nowhere, and counts as out.
fn leads_out(path: &str, links: &BTreeMap<String, String>) -> bool {
    let mut hops = 0;
    // Path parts still to walk, the next one last.
    let mut ahead: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
    let mut at: Vec<String> = Vec::new();
    while let Some(part) = ahead.pop() {
        match part.as_str() {
            "" | "." => {}
            ".." if at.pop().is_none() => return true,
            ".." => {}
            _ if part.eq_ignore_ascii_case(".git") => return true,
            _ => {
                at.push(part);
                let Some(target) = links.get(&at.join("/")) else { continue };
                hops += 1;
                if hops > MOST_HOPS || target.starts_with('/') {
                    return true;
                }
                at.pop();
                ahead.extend(target.split('/').rev().map(str::to_owned));
            }
        }
    }
    false
}

/// Whether `.gitmodules` names a path or a module that is absolute or climbs. What such a path would be cloned to lies
/// outside of the tree.
fn climbs(text: &str) -> bool {
    let hostile = |path: &str| {
        let path = path.trim().trim_matches('"');
        path.starts_with(['/', '\\']) || path.split(['/', '\\']).any(|part| part == "..")
    };
    text.lines().map(str::trim).any(|line| {
        let named = line.strip_prefix("[submodule").and_then(|rest| rest.trim_end().strip_suffix(']'));
        let key = line.split_once('=').filter(|(key, _)| key.trim().eq_ignore_ascii_case("path"));
        named.is_some_and(hostile) || key.is_some_and(|(_, path)| hostile(path))
    })
}

/// Whether a file is a Git LFS pointer: at most 1,024 bytes, a version line first, and an `oid`.
fn is_lfs_pointer(content: &[u8]) -> bool {
    const VERSIONS: [&[u8]; 2] =
        [b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/"];
    const MOST_BYTES: usize = 1_024;
    let is_version = VERSIONS.iter().any(|version| content.starts_with(version));
    is_version
        && content.len() <= MOST_BYTES
        && content.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"oid "))
}

fn is_private_key(content: &[u8]) -> bool {
    let first = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
    first.starts_with(b"-----BEGIN ") && first.windows(11).any(|window| window == b"PRIVATE KEY")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(links: &[(&str, &str)]) -> BTreeMap<String, String> {
        links.iter().map(|(path, target)| ((*path).to_owned(), (*target).to_owned())).collect()
    }

    #[test]
    fn links_that_leave_the_tree_are_distinguished_from_inner_links() {
        for (path, target, out) in [
            ("l", "a", false),
            ("a/b/l", "../../c", false),
            ("a/b/l", "../../../c", true),
            ("l", "/etc/passwd", true),
            ("a/l", "b/../../..", true),
            ("l", ".git/config", true),
            ("a/l", "../.GIT", true),
            ("l", "l", true),
        ] {
            assert_eq!(leads_out(path, &links(&[(path, target)])), out, "{path} {target}");
        }
    }

    /// Each link stays in the tree by itself; one by way of the other leaves it.
    #[test]
    fn links_that_leave_the_tree_by_way_of_others_are_found() {
        let both = links(&[("d/top", ".."), ("l", "d/top/../x"), ("m", "l")]);
        assert!(!leads_out("d/top", &both));
        assert!(leads_out("l", &both) && leads_out("m", &both));
        assert!(leads_out("a", &links(&[("a", "b"), ("b", "a")])), "a circle");
    }

    #[test]
    fn submodules_that_leave_the_tree_are_distinguished_from_inner_ones() {
        for (text, out) in [
            ("[submodule \"a\"]\n\tpath = lib/a\n\turl = ../a.git", false),
            ("[submodule \"a\"]\n\tpath = ../a", true),
            ("[submodule \"a\"]\n\tPATH = /etc/cron.d", true),
            ("[submodule \"../../x\"]\n\tpath = a", true),
            ("path = \"a/../../b\"", true),
        ] {
            assert_eq!(climbs(text), out, "{text}");
        }
    }

    /// Pointers passed as content in silence.
    #[test]
    fn pointers_of_git_lfs_are_distinguished_from_files_about_them() {
        let oid = "a".repeat(64);
        let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 12345\n");
        assert!(is_lfs_pointer(pointer.as_bytes()));
        assert!(is_lfs_pointer(pointer.replace("git-lfs", "hawser").replace('\n', "\r\n").as_bytes()));
        for text in
            [format!("# About\n{pointer}"), format!("{pointer}{}", "x".repeat(1_024)), "oid sha256:1\n".to_owned()]
        {
            assert!(!is_lfs_pointer(text.as_bytes()), "{text}");
        }
    }

    /// A path that is cut or escaped equals no text of a policy.
    #[test]
    fn paths_that_are_not_written_in_full_are_counted_as_left_out() {
        let rules = CredentialRules::built_in();
        let left_out = |path: &str| {
            let mut surveyor = Surveyor::new(&rules);
            surveyor.submodule(path);
            let survey = surveyor.ended();
            assert_eq!((survey.submodules.len(), survey.findings_left_out), (1, 0), "{path}");
            survey.paths_left_out
        };
        for path in ["src/big.bin", "docs/it's \"quoted\".bin", &"a".repeat(200)] {
            assert_eq!(left_out(path), 0, "{path}");
        }
        for path in ["a\nb", "a\\b", "a\u{202e}b", "a\u{fffd}", &"a".repeat(201)] {
            assert_eq!(left_out(path), 1, "{path}");
        }
    }

    #[test]
    fn many_findings_of_one_kind_hide_none_of_another() {
        let rules = CredentialRules::built_in();
        let mut surveyor = Surveyor::new(&rules);
        let token = format!("gh{}_{}", "p", "0a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R");
        for n in 0..50 {
            surveyor.file(&format!("{n}.pem"), b"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n");
        }
        surveyor.file("z", token.as_bytes());
        surveyor.link("escape", b"/etc/passwd");
        let survey = surveyor.ended();
        assert_eq!((survey.private_keys.len(), survey.escaping_links.len()), (LISTED, 1));
        assert_eq!(
            (survey.findings_left_out, survey.paths_left_out),
            (2 * (50 - LISTED as u64), 2 * (50 - LISTED as u64))
        );
        let flags: Vec<_> = survey.credentials.iter().map(|found| found.flag).collect();
        assert!(flags.contains(&ContentFlag::Token) && flags.len() == LISTED + 1, "{flags:?}");
    }
}
