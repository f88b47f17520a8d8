//! Which licences the content of a source is under: SPDX ids of licence files and of `SPDX-License-Identifier` tags.

use std::collections::BTreeSet;

use regex::bytes::{Regex, RegexBuilder};
use spdx::detection::scan::Scanner;
use spdx::detection::{LicenseType, Store, TextData};
use spdx::expression::Expression;
use spdx::{LicenseItem, ParseMode, identifiers};

use swoosh_types::text::LicenceId;

/// Licence id for policies if no licence is named, or an unknown one.
pub const NONE: &str = "NOASSERTION";
/// Most licences in a report: the limit of an outcome.
const MOST_LICENCES: usize = 64;
/// The most distinct licence files that are compared with the known texts.
const MOST_TEXTS: usize = 200;
/// The most bytes of a licence file that are compared.
const MOST_TEXT_BYTES: usize = 256 << 10;
/// How alike a text must be to a known one.
const ALIKE: f32 = 0.9;
/// Above this likeness, no other licence is looked for in the same file.
const SAME: f32 = 0.99;
/// The most characters of a tag that are read, after its first one.
const MOST_TAG: usize = 200;
/// The most licences of one file.
const MOST_IN_A_FILE: u16 = 8;
const OPERATORS: [&str; 3] = ["AND", "OR", "WITH"];
/// Prefixes of ids outside of the SPDX list.
const OWN_PREFIXES: [&str; 2] = ["LicenseRef-", "AdditionRef-"];
/// Names of licence files, before an extension or a suffix.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "UNLICENSE", "UNLICENCE"];
/// Files with these extensions are programs and data, under any name.
const NO_TEXT: &[&str] = &[
    "c", "cc", "cpp", "cs", "css", "go", "h", "java", "js", "json", "kt", "lock", "php", "png", "py", "rb", "rs", "sh",
    "svg", "swift", "toml", "ts", "tsx", "xml", "yaml", "yml",
];

/// Collects the licences of a tree.
pub struct Licences {
    /// Read when the first licence file is met: it takes longer than most trees.
    known: Option<Store>,
    tag: Option<Regex>,
    found: BTreeSet<LicenceId>,
    texts: usize,
    /// Whether a licence file was left out, or is under no licence that is known.
    unknown: bool,
}

impl Default for Licences {
    fn default() -> Licences {
        let pattern = r"SPDX-License-Identifier:[ \t]*([A-Za-z0-9.+()\-][A-Za-z0-9.+() \t\-]{0,200})";
        let tag = RegexBuilder::new(pattern).unicode(false).case_insensitive(true).build().ok();
        Licences { known: None, tag, found: BTreeSet::new(), texts: 0, unknown: false }
    }
}

impl Licences {
    /// Looks at a file of the tree.
    pub fn look_at(&mut self, path: &str, content: &[u8]) {
        let before = self.found.len();
        let tagged = self.tags(content);
        if !is_licence_file(path) {
            return;
        }
        if content.len() > MOST_TEXT_BYTES || self.texts == MOST_TEXTS {
            self.unknown = true;
            return;
        }
        self.texts += 1;
        let recognised = self.text(&String::from_utf8_lossy(content));
        let named = tagged || recognised || self.found.len() > before;
        self.unknown |= !named;
    }

    /// Licences found; [`NONE`] marks a missing or unknown licence.
    pub fn ended(self) -> BTreeSet<LicenceId> {
        let Licences { mut found, unknown, .. } = self;
        let over = found.len() >= MOST_LICENCES;
        while found.len() >= MOST_LICENCES {
            found.pop_last();
        }
        if found.is_empty() || unknown || over {
            found.extend(NONE.parse::<LicenceId>());
        }
        found
    }

    fn add(&mut self, id: &str) -> bool {
        let id = id.parse::<LicenceId>().ok();
        let is_some = id.is_some();
        // An id that an outcome cannot hold, which must not hide.
        self.unknown |= !is_some;
        // One above the limit of a report, which shows that there are more.
        if self.found.len() <= MOST_LICENCES {
            self.found.extend(id);
        }
        is_some
    }

    /// Tags of the file, as REUSE has them; whether there are any.
    fn tags(&mut self, content: &[u8]) -> bool {
        let Some(tag) = &self.tag else { return false };
        let groups = tag.captures_iter(content).filter_map(|groups| groups.get(1)).map(|group| group.as_bytes());
        let mut tags = BTreeSet::new();
        for group in groups {
            // The rest of a longer one is not read, and may name other licences.
            self.unknown |= group.len() > MOST_TAG;
            tags.insert(String::from_utf8_lossy(group).trim().to_owned());
        }
        let mut any = false;
        for tag in tags {
            for id in of_expression(&tag) {
                any |= self.add(&id);
            }
        }
        any
    }

    /// Whether the text is that of a licence, or holds one.
    fn text(&mut self, text: &str) -> bool {
        let ids = {
            let known = self.known.get_or_insert_with(|| Store::load_inline().unwrap_or_default());
            recognise(known, text)
        };
        let ids = if ids.is_empty() { by_title(text) } else { ids };
        ids.iter().fold(false, |any, id| self.add(id) | any)
    }
}

/// `LICENSE`, `LICENCE-MIT`, `COPYING.LESSER`, `LICENSES/MIT.txt`, at any depth.
fn is_licence_file(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let name = parts.next().unwrap_or_default().to_ascii_uppercase();
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    if extension.is_some_and(|extension| NO_TEXT.contains(&extension.as_str())) {
        return false;
    }
    let begins = |word: &str| {
        name.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '_', ' ', 'S']))
    };
    NAMES.iter().any(|word| begins(word)) || parts.next().is_some_and(|folder| folder.eq_ignore_ascii_case("LICENSES"))
}

/// The ids in an SPDX expression, in the case of the SPDX list. Where it is none: its first word, and the known licences
/// that follow operators.
fn of_expression(text: &str) -> Vec<String> {
    let text = canonical(text);
    if let Some(ids) = parsed(&text) {
        return ids;
    }
    let mut ids = Vec::new();
    let mut is_operand = true;
    for word in text.split([' ', '\t', '(', ')']).filter(|word| !word.is_empty()) {
        let is_operator = OPERATORS.contains(&word);
        if is_operand && !is_operator {
            let known = parsed(word);
            let other = ids.is_empty().then(|| vec![word.to_owned()]);
            ids.extend(known.or(other).into_iter().flatten());
        }
        is_operand = is_operator;
    }
    ids
}

/// An expression with ids, exceptions and operators in the case of the SPDX list. SPDX compares them without case.
fn canonical(text: &str) -> String {
    let is_mark = |c: char| c.is_whitespace() || matches!(c, '(' | ')');
    let words = text.split_inclusive(is_mark).map(|piece| {
        let (word, mark) = piece.split_at(piece.find(is_mark).unwrap_or(piece.len()));
        format!("{}{mark}", canonical_word(word))
    });
    words.collect()
}

fn canonical_word(word: &str) -> String {
    let (base, plus) = word.strip_suffix('+').map_or((word, ""), |base| (base, "+"));
    let is_it = |name: &&str| name.eq_ignore_ascii_case(base);
    let known = OPERATORS.into_iter().find(is_it);
    let known = known.or_else(|| identifiers::LICENSES.iter().map(|licence| licence.name).find(is_it));
    let known = known.or_else(|| identifiers::EXCEPTIONS.iter().map(|exception| exception.name).find(is_it));
    let own = || {
        let prefix = OWN_PREFIXES
            .iter()
            .find(|prefix| base.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)));
        prefix.map_or(base.to_owned(), |prefix| format!("{prefix}{}", base.get(prefix.len()..).unwrap_or_default()))
    };
    format!("{}{plus}", known.map_or_else(own, str::to_owned))
}

fn parsed(text: &str) -> Option<Vec<String>> {
    let expression = Expression::parse_mode(text, ParseMode::LAX).ok()?;
    let one = |item: &LicenseItem| match item {
        // `GPL-3.0` is deprecated and means `GPL-3.0-only`.
        LicenseItem::Spdx { id, or_later: false } if id.is_gnu() && id.is_deprecated() => {
            own_name(&format!("{}+", id.name), LicenseType::Original)
        }
        item => item.to_string(),
    };
    Some(expression.requirements().map(|requirement| one(&requirement.req.license)).collect())
}

/// Licences of which a text is, or which it holds.
fn recognise(known: &Store, text: &str) -> Vec<String> {
    let scanner = Scanner::new(known).confidence_threshold(ALIKE).shallow_limit(SAME).optimize(true);
    let scanner = scanner.max_passes(MOST_IN_A_FILE);
    let data = TextData::new(text);
    let scanned = scanner.scan(&data);
    let whole = scanned.license.into_iter();
    let all = whole.chain(scanned.containing.into_iter().map(|contained| contained.license));
    let names: BTreeSet<String> = all.map(|found| own_name(found.name, found.kind)).collect();
    names.into_iter().collect()
}

/// The id of a text that several ids share. The text of a GNU licence alone permits no later version, so that it counts
/// as the one that says `only`.
fn own_name(name: &str, kind: LicenseType) -> String {
    let base = name.strip_suffix("-or-later").or_else(|| name.strip_suffix('+'));
    let suffix = if kind == LicenseType::Header { "or-later" } else { "only" };
    let own = base.map(|base| format!("{base}-{suffix}")).filter(|own| spdx::license_id(own).is_some());
    own.unwrap_or_else(|| name.to_owned())
}

/// A GNU licence that a short text names by its title, as in a notice that points to the whole text.
fn by_title(text: &str) -> Vec<String> {
    let words: Vec<String> = text.split_whitespace().map(str::to_ascii_lowercase).collect();
    let text = words.join(" ");
    let titles = [
        ("affero general public licen", "AGPL"),
        ("lesser general public licen", "LGPL"),
        ("library general public licen", "LGPL"),
        ("gnu general public licen", "GPL"),
    ];
    let mut ids = Vec::new();
    for (title, family) in titles {
        let Some(at) = text.find(title) else { continue };
        let rest = text.get(at..).unwrap_or_default();
        let version = rest.split("version ").nth(1).unwrap_or_default();
        let number: String = version.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        let number = number.trim_end_matches('.');
        let number = if number.contains('.') { number.to_owned() } else { format!("{number}.0") };
        let suffix = if rest.contains("any later version") { "or-later" } else { "only" };
        let id = format!("{family}-{number}-{suffix}");
        ids.extend(spdx::license_id(&id).map(|id| id.name.to_owned()));
    }
    ids
}

#[cfg(test)]
mod tests;
