//! Short texts that check themselves: names, rationales, and the macros that give them serde.

/// Serialises a type through `Display` and reads it back through `FromStr`.
#[macro_export]
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        $crate::text::deserialize_as_text!($type);
    };
    // For types whose text costs less than `Display` to come by.
    ($type:ty, $text:expr) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let serialize: fn(&$type, S) -> Result<S::Ok, S::Error> = $text;
                serialize(self, serializer)
            }
        }
        $crate::text::deserialize_as_text!($type);
    };
}
pub use serde_as_text;

#[macro_export]
macro_rules! deserialize_as_text {
    ($type:ty) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str($crate::text::FromText(std::marker::PhantomData))
            }
        }
    };
}
pub use deserialize_as_text;

/// Reads a value from a borrowed text, without a copy.
pub struct FromText<T>(pub std::marker::PhantomData<T>);

impl<T: std::str::FromStr<Err: std::fmt::Display>> serde::de::Visitor<'_> for FromText<T> {
    type Value = T;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// A text that is not what its type allows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct TextError {
    text: String,
    expected: &'static str,
}

impl TextError {
    pub fn new(text: &str, expected: &'static str) -> TextError {
        TextError { text: text.chars().take(80).collect(), expected }
    }
}

/// Declares a string newtype with a check and a sentence that says what is expected.
macro_rules! checked_text {
    ($(#[$meta:meta])* $name:ident, $expected:literal, $check:expr) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl std::str::FromStr for $name {
            type Err = $crate::text::TextError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok($name(text.into())) } else { Err($crate::text::TextError::new(text, $expected)) }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
        $crate::text::serde_as_text!($name, |text, serializer| serializer.serialize_str(&text.0));
    };
}
pub(crate) use checked_text;

/// `[a-z0-9][a-z0-9._-]{0,62}`.
pub fn is_name(text: &str) -> bool {
    let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len()) && lower(bytes[0]) && bytes.iter().all(|&b| lower(b) || b"._-".contains(&b))
}

fn is_prose(text: &str, most: usize) -> bool {
    let printable = |c: char| !c.is_control() || c == '\n' || c == '\t';
    !text.trim().is_empty() && text.len() <= most && text.chars().all(printable)
}

checked_text!(
    /// A short name inside a project: of a source, a role, a server, a resource.
    Name, "a name; write 1 to 63 characters of a-z, 0-9, '.', '_', '-', the first a letter or digit", is_name
);
checked_text!(
    /// The name of a project (docs/design.md#glossary).
    ProjectName, "a project name; write 1 to 63 characters of a-z, 0-9, '.', '_', '-', the first a letter or digit", is_name
);
checked_text!(
    /// The name of a cluster: part of every signed message, so that none counts in another cluster.
    ClusterId, "a cluster id; write 1 to 63 characters of a-z, 0-9, '.', '_', '-', the first a letter or digit", is_name
);
checked_text!(
    /// Why a caller does something: 1 to 2,000 bytes of text, kept in the state and the decision record.
    Rationale, "a rationale; write 1 to 2000 bytes of text, not blank, without control characters", |text| is_prose(text, 2000)
);
checked_text!(
    /// One line about a check, a failure or a probe: 1 to 500 bytes.
    Detail, "a detail; write 1 to 500 bytes of text, not blank, without control characters", |text| is_prose(text, 500)
);
checked_text!(
    /// The name of a provisioned asset, a relative path of at most 200 characters.
    AssetName, "an asset name; write a relative path of at most 200 characters of A-Z, a-z, 0-9, '.', '_', '-', '/', without '..'",
    |text| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-/".contains(&b);
        (1..=200).contains(&text.len()) && text.bytes().all(allowed)
            && text.split('/').all(|part| !part.is_empty() && part != ".." && part != ".")
    }
);
checked_text!(
    /// A git object id: 40 (SHA-1) or 64 (SHA-256) lowercase hexadecimal digits.
    GitId, "a git object id; write 40 or 64 lowercase hexadecimal digits",
    |text| matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
);
checked_text!(
    /// A git reference or commit as a caller names it: 1 to 200 characters, never starting with `-`.
    GitRef, "a git reference; write 1 to 200 visible ASCII characters, not starting with '-', without '..', '~', '^', ':', '?', '*', '[', '\\'",
    |text| (1..=200).contains(&text.len()) && !text.starts_with('-') && !text.contains("..")
        && text.bytes().all(|b| b.is_ascii_graphic() && !b"~^:?*[\\".contains(&b))
);
checked_text!(
    /// An address of a repository or a server: `scheme://…`, at most 500 visible ASCII characters.
    Url, "an address; write scheme://… in at most 500 visible ASCII characters, without credentials",
    |text| text.len() <= 500 && text.bytes().all(|b| b.is_ascii_graphic()) && is_url(text)
);

/// `scheme://rest` where the authority carries no password.
fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    let named = !scheme.is_empty()
        && scheme.bytes().all(|b| b.is_ascii_lowercase() || b"+-.".contains(&b) || b.is_ascii_digit());
    let secret = authority.split_once('@').is_some_and(|(user, _)| user.contains(':'));
    named && !rest.is_empty() && !secret
}

impl Url {
    /// The part before `://`.
    pub fn scheme(&self) -> &str {
        self.as_str().split_once("://").map_or("", |(scheme, _)| scheme)
    }
}

checked_text!(
    /// A version as a tool or server reports it: one line of 1 to 100 bytes, which may hold blanks.
    Version, "a version; write one line of 1 to 100 printable characters",
    |text| is_prose(text, 100) && !text.chars().any(char::is_control)
);
checked_text!(
    /// The name a server reports of itself: 1 to 100 printable characters.
    ServerName, "a server name; write 1 to 100 printable characters", |text| is_prose(text, 100)
);
checked_text!(
    /// A capability of a candidate or a role: like a name, also with ':'.
    Capability, "a capability; write 1 to 63 characters of a-z, 0-9, '.', '_', '-', ':'",
    |text| (1..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-:".contains(&b))
);
checked_text!(
    /// An SPDX licence id, such as `Apache-2.0`: 1 to 64 characters.
    LicenceId, "an SPDX licence id; write 1 to 64 characters of A-Z, a-z, 0-9, '.', '-', '+'",
    |text| (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-+".contains(&b))
);
