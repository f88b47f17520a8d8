//! Rules that find credentials in files, in the form of gitleaks' rule files.

use std::collections::{BTreeMap, BTreeSet};

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use serde::Deserialize;
use thiserror::Error;

use swoosh_types::content_flag::ContentFlag;

/// The rules that ship with the program.
pub const BUILT_IN: &str = include_str!("../../../../config/scan/credentials.toml");
/// The most bytes of a rule file: it travels to the child in a request.
pub const MOST_BYTES: usize = 256 << 10;
/// Compiled rules may take so much memory each.
const MOST_COMPILED: usize = 32 << 20;
/// Flags that a rule may raise.
const RAISED: [ContentFlag; 4] =
    [ContentFlag::Credentials, ContentFlag::PrivateKey, ContentFlag::Secret, ContentFlag::Token];

/// Why a rule file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RuleError {
    #[error("the rule file has {0} bytes; {MOST_BYTES} are the most")]
    TooLarge(usize),
    /// It is not of gitleaks' form.
    #[error("the rule file is not of gitleaks' form: {0}")]
    Form(String),
    /// It has no rules.
    #[error("the rule file has no [[rules]]")]
    Empty,
    /// A rule cannot be used.
    #[error("rule {id}: {detail}")]
    Rule {
        /// The rule.
        id: String,
        detail: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    #[serde(default, rename = "title")]
    _title: String,
    #[serde(default, rename = "description")]
    _description: String,
    #[serde(default, rename = "minVersion")]
    _min_version: String,
    #[serde(default)]
    rules: Vec<RuleForm>,
    #[serde(default)]
    allowlist: Option<AllowForm>,
    #[serde(default)]
    allowlists: Vec<AllowForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RuleForm {
    id: String,
    #[serde(default, rename = "description")]
    _description: String,
    #[serde(default)]
    regex: Option<String>,
    #[serde(default)]
    secret_group: Option<usize>,
    #[serde(default)]
    entropy: f64,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    keywords: Vec<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    allowlist: Option<AllowForm>,
    #[serde(default)]
    allowlists: Vec<AllowForm>,
}

/// Which part of a file the regexes of an allowlist are asked for.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Target {
    #[default]
    Secret,
    Match,
    Line,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
enum Condition {
    #[default]
    #[serde(rename = "OR", alias = "or", alias = "||")]
    Or,
    #[serde(rename = "AND", alias = "and", alias = "&&")]
    And,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct AllowForm {
    #[serde(default, rename = "description")]
    _description: String,
    #[serde(default)]
    condition: Condition,
    #[serde(default)]
    regex_target: Target,
    #[serde(default)]
    target_rules: Vec<String>,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    regexes: Vec<String>,
    #[serde(default)]
    stopwords: Vec<String>,
}

/// Rules that are ready to be asked.
pub struct CredentialRules {
    rules: Vec<Rule>,
    allowed: Vec<Allowed>,
    /// Which keywords a file holds, in one pass.
    keywords: RegexSet,
    /// The rules that each keyword calls for.
    called: Vec<Vec<usize>>,
    /// Rules without keywords.
    always: Vec<usize>,
}

struct Rule {
    id: String,
    flag: ContentFlag,
    regex: Option<Regex>,
    secret_group: Option<usize>,
    entropy: f64,
    path: Option<Regex>,
    allowed: Vec<Allowed>,
}

/// Exceptions from the rules.
struct Allowed {
    condition: Condition,
    target: Target,
    /// The rules that it is for; all where none is named.
    rules: Vec<String>,
    paths: Vec<Regex>,
    regexes: Vec<Regex>,
    stopwords: Vec<Vec<u8>>,
}

/// A rule that found something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Struck<'r> {
    pub rule: &'r str,
    /// The flag that it raises.
    pub flag: ContentFlag,
}

impl CredentialRules {
    /// Reads a rule file.
    pub fn parse(text: &str) -> Result<CredentialRules, RuleError> {
        if text.len() > MOST_BYTES {
            return Err(RuleError::TooLarge(text.len()));
        }
        let file: RuleFile = toml::from_str(text).map_err(|error| RuleError::Form(error.to_string()))?;
        if file.rules.is_empty() {
            return Err(RuleError::Empty);
        }
        let mut called: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        let (mut rules, mut always) = (Vec::new(), Vec::new());
        for (n, form) in file.rules.into_iter().enumerate() {
            if form.keywords.is_empty() {
                always.push(n);
            }
            for keyword in &form.keywords {
                called.entry(keyword.to_ascii_lowercase()).or_default().insert(n);
            }
            rules.push(Rule::compile(form)?);
        }
        let literals = called.keys().map(|keyword| regex::escape(keyword));
        let keywords = RegexSetBuilder::new(literals).unicode(false).case_insensitive(true).build();
        let keywords = keywords.map_err(|error| RuleError::Form(error.to_string()))?;
        let called = called.into_values().map(|rules| rules.into_iter().collect()).collect();
        let forms = file.allowlists.into_iter().chain(file.allowlist);
        let allowed = forms.map(|form| Allowed::compile("(the file's allowlist)", form)).collect::<Result<_, _>>()?;
        Ok(CredentialRules { rules, allowed, keywords, called, always })
    }

    /// The rules that ship with the program.
    #[expect(clippy::expect_used, reason = "a test compiles them")]
    pub fn built_in() -> CredentialRules {
        CredentialRules::parse(BUILT_IN).expect("the built-in rules are good")
    }

    /// The rules that strike in a file, each once. `path` is relative to the tree.
    pub fn strike(&self, path: &str, content: &[u8]) -> Vec<Struck<'_>> {
        let decoded = utf16(content);
        let content = decoded.as_deref().unwrap_or(content);
        let held = self.keywords.matches(content);
        let called = held.iter().filter_map(|n| self.called.get(n)).flatten();
        let asked: BTreeSet<usize> = called.chain(&self.always).copied().collect();
        let asked = asked.into_iter().filter_map(|n| self.rules.get(n));
        let struck = asked.filter(|rule| rule.strikes(path, content, &self.allowed));
        struck.map(|rule| Struck { rule: &rule.id, flag: rule.flag }).collect()
    }
}

impl Rule {
    fn compile(form: RuleForm) -> Result<Rule, RuleError> {
        let wrong = |detail: String| RuleError::Rule { id: form.id.clone(), detail };
        if form.regex.is_none() && form.path.is_none() {
            return Err(wrong("it has neither a regex nor a path".to_owned()));
        }
        let pattern = |text: &Option<String>| text.as_deref().map(|text| compile(&form.id, text)).transpose();
        let (regex, path) = (pattern(&form.regex)?, pattern(&form.path)?);
        let groups = regex.as_ref().map_or(1, Regex::captures_len);
        if form.secret_group.is_some_and(|group| group >= groups) {
            return Err(wrong(format!("secretGroup is not one of the {groups} groups of its regex")));
        }
        if !form.entropy.is_finite() || !(0.0..=8.0).contains(&form.entropy) {
            return Err(wrong("entropy is not from 0 to 8".to_owned()));
        }
        let mut raised = form.tags.iter().filter_map(|tag| tag.parse().ok());
        let flag = raised.find(|flag| RAISED.contains(flag)).unwrap_or(ContentFlag::Credentials);
        let forms = form.allowlists.into_iter().chain(form.allowlist);
        let allowed = forms.map(|allowed| Allowed::compile(&form.id, allowed)).collect::<Result<_, _>>()?;
        let RuleForm { id, secret_group, entropy, .. } = form;
        Ok(Rule { id, flag, regex, secret_group, entropy, path, allowed })
    }

    fn strikes(&self, path: &str, content: &[u8], everywhere: &[Allowed]) -> bool {
        if self.path.as_ref().is_some_and(|pattern| !pattern.is_match(path.as_bytes())) {
            return false;
        }
        let of_all = everywhere.iter().filter(|list| list.rules.is_empty() || list.rules.contains(&self.id));
        let lists: Vec<&Allowed> = self.allowed.iter().chain(of_all).collect();
        let allowed = |found: &Found<'_>| lists.iter().any(|list| list.permits(path, found));
        let Some(regex) = &self.regex else { return !allowed(&Found::default()) };
        let mut found = regex.captures_iter(content).filter_map(|groups| {
            let whole = groups.get(0)?;
            let first = (1..groups.len()).find_map(|group| groups.get(group));
            let group = self.secret_group.map_or(first, |group| groups.get(group));
            let secret = group.unwrap_or(whole).as_bytes();
            Some(Found { secret, whole: whole.as_bytes(), line: line_of(content, whole.start(), whole.end()) })
        });
        found.any(|found| entropy(found.secret) >= self.entropy && !allowed(&found))
    }
}

impl Allowed {
    fn compile(id: &str, form: AllowForm) -> Result<Allowed, RuleError> {
        let all = |patterns: &[String]| patterns.iter().map(|text| compile(id, text)).collect::<Result<Vec<_>, _>>();
        let (paths, regexes) = (all(&form.paths)?, all(&form.regexes)?);
        let stopwords = form.stopwords.iter().map(|word| word.to_ascii_lowercase().into_bytes()).collect();
        let AllowForm { condition, regex_target: target, target_rules: rules, .. } = form;
        Ok(Allowed { condition, target, rules, paths, regexes, stopwords })
    }

    fn permits(&self, path: &str, found: &Found<'_>) -> bool {
        let lower = found.secret.to_ascii_lowercase();
        let has = |word: &Vec<u8>| !word.is_empty() && lower.windows(word.len()).any(|window| window == &**word);
        let target = match self.target {
            Target::Secret => found.secret,
            Target::Match => found.whole,
            Target::Line => found.line,
        };
        // For each kind with entries: whether one permits the finding.
        let kinds = [
            (!self.paths.is_empty()).then(|| self.paths.iter().any(|pattern| pattern.is_match(path.as_bytes()))),
            (!self.regexes.is_empty()).then(|| self.regexes.iter().any(|pattern| pattern.is_match(target))),
            (!self.stopwords.is_empty()).then(|| self.stopwords.iter().any(has)),
        ];
        let mut kinds = kinds.into_iter().flatten().peekable();
        match self.condition {
            Condition::Or => kinds.any(|permits| permits),
            Condition::And => kinds.peek().is_some() && kinds.all(|permits| permits),
        }
    }
}

/// A match of a rule.
#[derive(Default)]
struct Found<'c> {
    secret: &'c [u8],
    whole: &'c [u8],
    line: &'c [u8],
}

/// The lines that a match lies on.
fn line_of(content: &[u8], start: usize, end: usize) -> &[u8] {
    let before = content.get(..start).unwrap_or_default();
    let from = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let after = content.get(end..).unwrap_or_default();
    let to = after.iter().position(|byte| *byte == b'\n').map_or(content.len(), |at| end + at);
    content.get(from..to).unwrap_or_default()
}

/// A pattern of RE2 as this crate reads it: there, a brace that begins no repetition and a bracket within a class are plain
/// characters.
fn from_re2(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let (mut rest, mut in_class) = (pattern, false);
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        let mut taken = c.len_utf8();
        match c {
            '\\' => {
                // `\x{…}` and `\p{…}` keep their brace.
                let braced =
                    after.starts_with(['x', 'p', 'P']) && after.get(1..).is_some_and(|rest| rest.starts_with('{'));
                taken += after.chars().next().map_or(0, char::len_utf8) + usize::from(braced);
                out.push_str(rest.get(..taken).unwrap_or_default());
            }
            '[' if in_class && !after.starts_with(':') => out.push_str("\\["),
            '[' if !in_class => {
                in_class = true;
                // A bracket that comes first closes nothing.
                let literal = ["^]", "]", "^"].into_iter().find(|start| after.starts_with(start)).unwrap_or_default();
                taken += literal.len();
                out.push('[');
                out.push_str(&literal.replace(']', "\\]"));
            }
            '[' => {
                // A named class such as `[:alpha:]`.
                let end = rest.find(":]").map_or(taken, |at| at + 2);
                taken = end;
                out.push_str(rest.get(..end).unwrap_or_default());
            }
            ']' => {
                in_class = false;
                out.push(']');
            }
            '{' if !in_class && !is_repetition(after) => out.push_str("\\{"),
            other => out.push(other),
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

/// Whether what follows a brace makes it a repetition: `3}`, `3,}` or `3,5}`.
fn is_repetition(after: &str) -> bool {
    let Some((inside, _)) = after.split_once('}') else { return false };
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}

fn compile(id: &str, pattern: &str) -> Result<Regex, RuleError> {
    // The error of the parser draws several lines; the last one says what is wrong.
    let wrong = |error: regex::Error| {
        let text = error.to_string();
        let detail = text.lines().last().unwrap_or_default().trim().to_owned();
        RuleError::Rule { id: id.to_owned(), detail }
    };
    RegexBuilder::new(&from_re2(pattern)).unicode(false).size_limit(MOST_COMPILED).build().map_err(wrong)
}

/// Shannon entropy in bits per byte.
#[expect(clippy::cast_precision_loss, reason = "secrets are far shorter than 2^52 bytes")]
fn entropy(secret: &[u8]) -> f64 {
    let mut counts = [0usize; 256];
    secret.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let length = secret.len() as f64;
    let share = |count: &usize| *count as f64 / length;
    counts.iter().filter(|count| **count > 0).map(share).map(|share| -share * share.log2()).sum()
}

/// A text with the byte order mark of UTF-16 as UTF-8; `None` for any other.
fn utf16(content: &[u8]) -> Option<Vec<u8>> {
    let order: fn([u8; 2]) -> u16 = match content {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => return None,
    };
    let units = content.chunks_exact(2).map(|pair| order([pair[0], pair[1]]));
    Some(char::decode_utf16(units).map(|unit| unit.unwrap_or('\u{fffd}')).collect::<String>().into_bytes())
}

#[cfg(test)]
mod tests;
