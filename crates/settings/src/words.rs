//! Errors of the YAML parser in the words of a settings file.

/// Names of Rust types and of serde's data model, and what they are in a settings file.
const EXPECTED: &[(&str, &str)] = &[
    ("a sequence", "a list"),
    ("a map", "a mapping"),
    ("a boolean", "true or false"),
    ("u8", "a whole number"),
    ("u16", "a whole number"),
    ("u32", "a whole number"),
    ("u64", "a whole number"),
    ("usize", "a whole number"),
];

/// The error of a value, `PATH: MESSAGE`, without the parser's words.
pub(super) fn plain(error: &str) -> String {
    let named = |start: &str| error.split_once(start);
    if let Some((path, rest)) = named("unknown variant `")
        && let Some((found, words)) = rest.split_once("`, expected ")
    {
        let words: Vec<&str> = words.split('`').skip(1).step_by(2).collect();
        let near = words.iter().find(|word| strsim::jaro_winkler(word, found) > NEAR);
        let hint = near.map(|word| format!("; did you mean {word}?")).unwrap_or_default();
        return format!("{path}{found:?} is none of {}{hint}", words.join(", "));
    }
    for start in ["invalid type: ", "invalid value: "] {
        if let Some((path, rest)) = named(start)
            && let Some((found, expected)) = rest.rsplit_once(", expected ")
        {
            return format!("{path}it must be {}, and is {}", expectation(expected), value(found));
        }
    }
    if let Some((path, _)) = named("invalid socket address syntax") {
        return format!("{path}it must be an address with a port, such as 127.0.0.1:7400");
    }
    if let Some((path, rest)) = named("missing field `") {
        return format!("{path}{} is missing", rest.trim_end_matches('`'));
    }
    error.to_owned()
}

/// Likeness from which a word may be what a slip meant.
const NEAR: f64 = 0.8;

fn expectation(expected: &str) -> &str {
    if expected.starts_with("struct ") {
        return "a mapping";
    }
    EXPECTED.iter().find(|(from, _)| *from == expected).map_or(expected, |(_, to)| to)
}

/// `string "x"`, ``integer `5` ``, `sequence`: the value, or what it is.
fn value(found: &str) -> &str {
    match found {
        "sequence" => "a list",
        "map" => "a mapping",
        "unit value" | "null" => "empty",
        found => {
            let shown = found.find(['"', '`']).and_then(|at| found.get(at..)).unwrap_or(found);
            shown.trim_matches('`')
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `unknown variant` and `expected struct Effects` are the parser's words.
    #[test]
    fn errors_have_the_words_of_a_settings_file() {
        for (error, text) in [
            (
                "effects.resolve: unknown variant `bultin`, expected `builtin` or `external`",
                "effects.resolve: \"bultin\" is none of builtin, external; did you mean builtin?",
            ),
            (
                "log.format: unknown variant `x`, expected one of `auto`, `json`, `text`",
                "log.format: \"x\" is none of auto, json, text",
            ),
            (
                "effects: invalid type: sequence, expected struct Effects",
                "effects: it must be a mapping, and is a list",
            ),
            (
                "effects.attempts: invalid type: string \"a, expected b\", expected u32",
                "effects.attempts: it must be a whole number, and is \"a, expected b\"",
            ),
            ("a: invalid value: integer `5`, expected a boolean", "a: it must be true or false, and is 5"),
            ("tls: missing field `key`", "tls: key is missing"),
            ("did not find expected node content at line 2", "did not find expected node content at line 2"),
        ] {
            assert_eq!(plain(error), text);
        }
        assert!(plain("listen: invalid socket address syntax").contains("127.0.0.1:7400"));
    }
}
