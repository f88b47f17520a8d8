//! Findings of the rules, their exceptions, and refused files.

use super::*;

fn ids(rules: &CredentialRules, path: &str, content: &[u8]) -> Vec<String> {
    rules.strike(path, content).into_iter().map(|struck| struck.rule.to_owned()).collect()
}

/// Put together at run time, so that no scanner of this repository takes it for a secret.
fn token() -> String {
    format!("gh{}_{}", "p", "0a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R")
}

#[test]
fn the_built_in_rules_compile_and_each_has_an_id_and_one_flag() {
    let rules = CredentialRules::built_in();
    let ids: BTreeSet<_> = rules.rules.iter().map(|rule| rule.id.as_str()).collect();
    assert!(ids.len() == rules.rules.len() && ids.len() >= 20);
    let flags: BTreeSet<_> = rules.rules.iter().map(|rule| rule.flag).collect();
    assert_eq!(flags, RAISED.into(), "each flag that a rule may raise has one");
    let file: toml::Table = toml::from_str(BUILT_IN).unwrap();
    for rule in file["rules"].as_array().unwrap() {
        let tags: Vec<ContentFlag> =
            rule["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().parse().unwrap()).collect();
        assert_eq!(tags.len(), 1, "{:?}", rule["id"]);
        assert!(rule["description"].as_str().is_some_and(|text| text.ends_with('.')));
    }
}

#[test]
fn a_secret_is_found_anywhere_in_a_file_whatever_surrounds_it() {
    let rules = CredentialRules::built_in();
    let token = token();
    for content in [
        token.clone(),
        format!("{}\nx = '{token}'\n{}", "y\n".repeat(200_000), "z\n".repeat(10)),
        format!("\u{0}\u{1}\u{2}{token}\u{0}"),
        format!("export TOKEN={token};"),
    ] {
        assert_eq!(ids(&rules, "a.bin", content.as_bytes()), ["github-token"]);
    }
    let utf16: Vec<u8> = [0xfeff].into_iter().chain(token.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert_eq!(ids(&rules, "a.txt", &utf16), ["github-token"]);
}

#[test]
fn placeholders_and_prose_are_no_secrets() {
    let rules = CredentialRules::built_in();
    for content in [
        format!("ghp_{}", "x".repeat(36)),
        token().get(..30).unwrap().to_owned(),
        "a key begins with -----BEGIN PRIVATE KEY----- and ends with -----END PRIVATE KEY-----".to_owned(),
        format!("AKIA{}", "X".repeat(16)),
        "password hunter2".to_owned(),
        "see https://hooks.slack.com/services/T.../B.../...".to_owned(),
    ] {
        assert_eq!(ids(&rules, "README.md", content.as_bytes()), [""; 0], "{content}");
    }
    assert_eq!(ids(&rules, "home/.netrc", b"machine h login b password hunter2"), ["netrc-password"]);
}

#[test]
fn a_first_match_that_does_not_count_hides_no_later_one() {
    let rules = CredentialRules::built_in();
    let content = format!("ghp_{} {}", "x".repeat(36), token());
    assert_eq!(ids(&rules, "a", content.as_bytes()), ["github-token"]);
}

#[test]
fn what_gitleaks_files_say_besides_is_understood() {
    let text = r#"
title = "own"
[allowlist]
paths = ['''^vendor/''']
stopwords = ["EXAMPLE"]
[[rules]]
id = "own"
description = "x"
regex = '''key=(\w)(\w+)'''
secretGroup = 2
entropy = 1.5
keywords = ["KEY"]
tags = ["anything", "token"]
[[rules.allowlists]]
regexes = ['''^abcd$''']
[[rules]]
id = "by-path"
path = '''\.p12$'''
"#;
    let rules = CredentialRules::parse(text).unwrap();
    assert_eq!(rules.strike("a", b"key=xabce"), [Struck { rule: "own", flag: ContentFlag::Token }]);
    assert_eq!(rules.strike("a.p12", b""), [Struck { rule: "by-path", flag: ContentFlag::Credentials }]);
    for (path, content) in [("vendor/a", "key=xabce"), ("a", "key=xabcd"), ("a", "key=xaaaa"), ("a", "key=xabcexample")]
    {
        assert!(rules.strike(path, content.as_bytes()).is_empty(), "{path} {content}");
    }
}

/// Rule files of gitleaks hold patterns that RE2 reads and the regex crate does not.
#[test]
fn patterns_of_re2_are_read_as_re2_reads_them() {
    for (pattern, read) in [
        (r"^\$(?:\d+|{\d+})$", r"^\$(?:\d+|\{\d+})$"),
        (r"a{2}b{2,}c{2,3}d{,3}e{x}", r"a{2}b{2,}c{2,3}d\{,3}e\{x}"),
        (r"[[{]x[^]{]", r"[\[{]x[^\]{]"),
        (r"[]a]\[{", r"[\]a]\[\{"),
        (r"[[:alpha:]]{3}\x{41}", r"[[:alpha:]]{3}\x{41}"),
        (r"\{\{[ \t]*}}", r"\{\{[ \t]*}}"),
    ] {
        assert_eq!(from_re2(pattern), read);
        compile("a", pattern).unwrap();
    }
}

#[test]
fn allowlists_are_asked_for_the_part_that_they_name_and_all_kinds_where_they_say_and() {
    let text = r#"
[[allowlists]]
targetRules = ["b"]
stopwords = ["fixture"]
[[rules]]
id = "a"
regex = '''key=(\w+)'''
[[rules.allowlists]]
regexTarget = "line"
regexes = ['''^#''']
[[rules.allowlists]]
condition = "AND"
paths = ['''^tests/''']
regexes = ['''^fake''']
[[rules]]
id = "b"
regex = '''pin=(\w+)'''
"#;
    let rules = CredentialRules::parse(text).unwrap();
    for (path, content, struck) in [
        ("a", "x\n# key=abc", false),
        ("a", "# x\nkey=abc", true),
        ("tests/a", "key=fake1", false),
        ("tests/a", "key=real1", true),
        ("a", "key=fake1", true),
        ("a", "key=fixture1", true),
        ("a", "pin=fixture1", false),
    ] {
        assert_eq!(!rules.strike(path, content.as_bytes()).is_empty(), struck, "{path} {content}");
    }
}

#[test]
fn files_that_cannot_be_used_are_refused_with_the_rule() {
    for (text, found) in [
        ("", "no [[rules]]"),
        ("rules = 3", "gitleaks' form"),
        ("[[rules]]\nid = 'a'\nregexp = 'x'", "gitleaks' form"),
        ("[[rules]]\nid = 'a'", "rule a: it has neither"),
        ("[[rules]]\nid = 'a'\nregex = '('", "rule a: error: unclosed group"),
        ("[[rules]]\nid = 'a'\nregex = 'x'\nsecretGroup = 1", "rule a: secretGroup"),
        ("[[rules]]\nid = 'a'\nregex = 'x'\nentropy = nan", "rule a: entropy"),
        ("[[rules]]\nid = 'a'\nregex = '(\\w{1000}){1000}'", "rule a: "),
        ("[extend]\nuseDefault = true", "gitleaks' form"),
    ] {
        let error = CredentialRules::parse(text).err().unwrap().to_string();
        assert!(error.contains(found), "{text}: {error}");
    }
    assert!(matches!(CredentialRules::parse(&" ".repeat(MOST_BYTES + 1)), Err(RuleError::TooLarge(_))));
}
