//! Versions and the ranges that the compatibility matrix allows: `>=2.10, <3`.

use std::fmt;
use std::str::FromStr;

use semver::{BuildMetadata, Prerelease};
use swoosh_types::text::serde_as_text;

/// One to four numbers with dots; missing parts count as 0.
#[derive(Clone, Debug)]
pub struct Version {
    text: String,
    /// The fourth number is build metadata, which `semver` orders as a number too.
    ordered: semver::Version,
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Version, String> {
        let error = || format!("{text:?} is no version; write one to four numbers with dots, as 2.14");
        let parts: Vec<u64> = text.split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| error())?;
        if parts.len() > 4 || text.contains('+') {
            return Err(error());
        }
        let part = |at: usize| parts.get(at).copied().unwrap_or(0);
        let ordered = semver::Version {
            major: part(0),
            minor: part(1),
            patch: part(2),
            pre: Prerelease::EMPTY,
            build: BuildMetadata::new(&part(3).to_string()).map_err(|_| error())?,
        };
        Ok(Version { text: text.to_owned(), ordered })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    AtLeast,
    Above,
    AtMost,
    Below,
    Exactly,
}

/// A range: all of its bounds hold.
#[derive(Clone, Debug)]
pub struct Range {
    text: String,
    bounds: Vec<(Bound, Version)>,
}

impl Range {
    /// Whether a version lies within.
    pub fn holds(&self, version: &Version) -> bool {
        self.bounds.iter().all(|(bound, limit)| {
            let (version, limit) = (&version.ordered, &limit.ordered);
            match bound {
                Bound::AtLeast => version >= limit,
                Bound::Above => version > limit,
                Bound::AtMost => version <= limit,
                Bound::Below => version < limit,
                Bound::Exactly => version == limit,
            }
        })
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Range, String> {
        let bound = |part: &str| {
            let part = part.trim();
            let signs = [
                (">=", Bound::AtLeast),
                ("<=", Bound::AtMost),
                (">", Bound::Above),
                ("<", Bound::Below),
                ("=", Bound::Exactly),
            ];
            let found = signs.iter().find_map(|(sign, bound)| Some((*bound, part.strip_prefix(sign)?)));
            let (bound, version) = found.ok_or_else(|| {
                format!("{text:?} is no range of versions; write bounds with commas between, as \">=2.10, <3\"")
            })?;
            Ok::<_, String>((bound, version.trim().parse()?))
        };
        let bounds = text.split(',').map(bound).collect::<Result<_, _>>()?;
        Ok(Range { text: text.to_owned(), bounds })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

serde_as_text!(Version);
serde_as_text!(Range);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_lies_within_their_bounds() {
        for (range, within, outside) in [
            (">=2.10, <3", "2.14.18", "3"),
            (">=2.10, <3", "2.10", "2.9.27"),
            (">1, <=2.0", "2", "1.0"),
            ("=7.23", "7.23.0", "7.23.1"),
            (">=5.1.9041.10", "5.1.9041.200", "5.1.9041.9"),
            ("<=2.10", "2.10.0.0", "2.10.0.1"),
            ("=2.010", "2.10", "2.1"),
        ] {
            let holds = |version: &str| range.parse::<Range>().unwrap().holds(&version.parse().unwrap());
            assert!(holds(within) && !holds(outside), "{range}");
        }
    }

    #[test]
    fn an_invalid_version_or_range_is_reported_with_an_example() {
        for text in ["", "2.x", "1.2.3.4.5", "+1", "99999999999999999999"] {
            assert!(text.parse::<Version>().unwrap_err().contains("as 2.14"), "{text}");
        }
        for text in ["", "2.10", "~>2", ">=2,,<3"] {
            assert!(text.parse::<Range>().unwrap_err().contains("range of versions"), "{text}");
        }
        assert!(">=x".parse::<Range>().is_err());
    }
}
