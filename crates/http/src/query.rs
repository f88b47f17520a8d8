//! Query parameters: known ones only, each at most once.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::http::Uri;

use super::fault::{Answer, Fault};
use swoosh_types::proposal::default_project;
use swoosh_types::rejection::Code;
use swoosh_types::text::ProjectName;

/// The query of one request.
#[derive(Clone, Debug)]
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads a request's query; an unknown or repeated parameter is refused.
    pub fn read(uri: &Uri, known: &[&str]) -> Answer<Query> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        let axum::extract::Query(pairs) = pairs.map_err(|error| bad(error.to_string()))?;
        let mut parameters = BTreeMap::new();
        for (name, value) in pairs {
            if !known.contains(&name.as_str()) {
                return Err(bad(unknown(&name, known)));
            }
            if parameters.insert(name.clone(), value).is_some() {
                return Err(bad(format!("the parameter {name} is repeated; send it once")));
            }
        }
        Ok(Query(parameters))
    }

    /// The text of a parameter.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter that parses.
    pub fn parsed<T: FromStr<Err: Display>>(&self, name: &str) -> Answer<Option<T>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|error| bad(format!("{name}: {error}{}", hint(text))))
    }

    /// The project meant: `project`, or the default one.
    pub fn project(&self) -> Answer<ProjectName> {
        Ok(self.parsed("project")?.unwrap_or_else(default_project))
    }

    /// A whole number within bounds.
    pub fn number(&self, name: &str, bounds: RangeInclusive<u64>) -> Answer<Option<u64>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number: Option<u64> = if digits { text.parse().ok() } else { None };
        let (least, most) = (bounds.start(), bounds.end());
        match number.filter(|number| bounds.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                Err(bad(format!("{name} must be a whole number from {least} to {most}, not {text:?}{}", hint(text))))
            }
        }
    }

    /// `true` or `false`; left out, it is false.
    pub fn flag(&self, name: &str) -> Answer<bool> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(bad(format!("{name} must be true or false, not {other:?}"))),
        }
    }
}

fn bad(reason: String) -> Fault {
    Fault::new(Code::BadQuery, reason)
}

/// The probable meaning of a blank in a value: the offset of a time, such as `+00:00`.
fn hint(text: &str) -> &'static str {
    if text.contains(' ') { "; in a query, + means a blank: write %2B for a plus" } else { "" }
}

fn unknown(name: &str, known: &[&str]) -> String {
    let name: String = name.chars().take(80).collect();
    match known {
        [] => format!("there is no parameter {name:?} here; this address takes none"),
        _ => format!("there is no parameter {name:?} here; known are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swoosh_types::json::MAX_INTEGER;

    fn read(query: &str, known: &[&str]) -> Answer<Query> {
        Query::read(&format!("/x?{query}").parse().unwrap(), known)
    }

    fn reason<T: std::fmt::Debug>(answer: Answer<T>) -> String {
        let problem = answer.unwrap_err().into_problem();
        assert_eq!(problem.code, Code::BadQuery);
        problem.detail
    }

    #[test]
    fn unknown_and_repeated_parameters_are_refused_by_name() {
        assert_eq!(
            reason(read("projct=a", &["at", "project"])),
            "there is no parameter \"projct\" here; known are at, project"
        );
        assert_eq!(reason(read("a", &[])), "there is no parameter \"a\" here; this address takes none");
        assert_eq!(reason(read("at=1&at=1", &["at"])), "the parameter at is repeated; send it once");
        assert!(Query::read(&"/x".parse().unwrap(), &[]).is_ok());
    }

    #[test]
    fn values_are_decoded_and_checked() {
        let known = ["project", "at", "dry_run", "limit"];
        let query = read("project=a%2Eb&at=17&dry_run=true&limit=0", &known).unwrap();
        assert_eq!(query.project().unwrap().as_str(), "a.b");
        assert_eq!(query.number("at", 0..=MAX_INTEGER).unwrap(), Some(17));
        assert!(query.flag("dry_run").unwrap());
        assert_eq!(reason(query.number("limit", 1..=10)), "limit must be a whole number from 1 to 10, not \"0\"");
        for text in ["-1", "1.0", "", "+1", "9007199254740992", "18446744073709551616"] {
            let query = read(&format!("at={text}"), &known).unwrap();
            assert!(reason(query.number("at", 0..=MAX_INTEGER)).contains("whole number from 0"), "{text}");
        }
        assert!(reason(read("project=A%00", &known).unwrap().project()).contains("project name"));
        assert!(reason(read("dry_run=yes", &known).unwrap().flag("dry_run")).contains("true or false"));
    }

    #[test]
    fn a_plus_that_arrived_as_a_blank_is_pointed_out() {
        let query =
            read("at=2026-01-01T00:00:00+00:00&n=+1&ok=2026-01-01T00:00:00%2B00:00", &["at", "n", "ok"]).unwrap();
        assert!(reason(query.parsed::<swoosh_types::hlc::Hlc>("at")).ends_with("write %2B for a plus"));
        assert!(reason(query.number("n", 0..=9)).ends_with("write %2B for a plus"));
        assert!(!reason(query.parsed::<u64>("ok")).contains("%2B for"));
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let query = read("", &["project"]).unwrap();
        assert_eq!(query.project().unwrap().as_str(), "default");
        assert!(!query.flag("dry_run").unwrap());
        assert_eq!(query.number("at", 0..=9).unwrap(), None);
    }
}
