//! What is in a commit's tree, for policies to judge: links and paths out of it, private keys, credentials, licences.
//!
//! Nothing of a file's size, name or encoding keeps it from being looked at; files are read whole, one at a time.

use std::collections::BTreeMap;

use super::tree::{EXAMPLES, keep, shown};
use crate::hybridcore::sources::credentials::CredentialRules;
use crate::hybridcore::sources::git::{FoundCredential, Survey};
use crate::hybridcore::sources::licences::Licences;
use crate::types::content_flag::ContentFlag;

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
        keep(&mut self.survey.submodules, shown(path.as_bytes()));
    }

    pub fn link(&mut self, path: &str, target: &[u8]) {
        self.survey.links += 1;
        if self.links.len() < MOST_LINKS {
            self.links.insert(path.to_owned(), String::from_utf8_lossy(target).into_owned());
        } else {
            keep(&mut self.survey.escaping_links, shown(path.as_bytes()));
        }
    }

    pub fn file(&mut self, path: &str, content: &[u8]) {
        let seen = || shown(path.as_bytes());
        if is_private_key(content) {
            keep(&mut self.survey.private_keys, seen());
        }
        if is_lfs_pointer(content) {
            keep(&mut self.survey.lfs_pointers, seen());
        }
        if path.rsplit('/').next() == Some(".gitmodules") && climbs(&String::from_utf8_lossy(content)) {
            keep(&mut self.survey.climbing_paths, seen());
        }
        for struck in self.rules.strike(path, content) {
            self.credential(struck.rule, struck.flag, path);
        }
        self.licences.look_at(path, content);
    }

    /// Keeps the first few of each flag, so that many of one kind hide none of another.
    fn credential(&mut self, rule: &str, flag: ContentFlag, path: &str) {
        let of_flag = self.survey.credentials.iter().filter(|found| found.flag == flag).count();
        if of_flag < EXAMPLES {
            let (rule, path) = (shown(rule.as_bytes()), shown(path.as_bytes()));
            self.survey.credentials.push(FoundCredential { rule, flag, path });
        }
    }

    /// What was found, once every entry of the tree was looked at.
    pub fn ended(self) -> Survey {
        let Surveyor { mut survey, licences, links, .. } = self;
        for path in links.keys().filter(|path| leads_out(path, &links)) {
            keep(&mut survey.escaping_links, shown(path.as_bytes()));
        }
        survey.licences = licences.ended();
        survey
    }
}

/// Whether a link leads out of the tree or into `.git`, also by way of other links of the tree. A circle of links leads
/// nowhere, and counts as out.
fn leads_out(path: &str, links: &BTreeMap<String, String>) -> bool {
    let mut hops = 0;
    // What is still to be walked, the next part last.
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

/// Whether a file stands for another one by the rules of Git LFS: a version first, in at most 1,024 bytes, and an `oid`.
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
    fn links_that_leave_the_tree_are_told_from_those_that_stay() {
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
    fn modules_that_climb_are_told_from_those_that_do_not() {
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
    fn pointers_of_git_lfs_are_told_from_files_about_them() {
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
        assert_eq!((survey.private_keys.len(), survey.escaping_links.len()), (EXAMPLES, 1));
        let flags: Vec<_> = survey.credentials.iter().map(|found| found.flag).collect();
        assert!(flags.contains(&ContentFlag::Token) && flags.len() == EXAMPLES + 1, "{flags:?}");
    }
}
