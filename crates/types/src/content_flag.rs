//! The flags by which VALIDATE tells policies what is in the content of a source: one vocabulary for the node, the
//! default policies and the documents. Tests hold all three together.

use super::text::serde_as_text;

/// Declares the flags: name, whether the default policies hold it for a breach, and meaning.
macro_rules! content_flags {
    ($($(#[$meta:meta])* $flag:ident = $text:literal, breach: $breach:literal, $meaning:literal;)*) => {
        /// A finding of a scan in the content of a source.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ContentFlag { $($(#[$meta])* $flag,)* }

        impl ContentFlag {
            /// All flags, sorted by name.
            pub const ALL: &[ContentFlag] = &[$(ContentFlag::$flag,)*];

            /// The name that policies ask for.
            pub const fn as_str(self) -> &'static str {
                match self { $(ContentFlag::$flag => $text,)* }
            }

            /// Whether the default policies quarantine a project for it. The others are for policies of a company's own.
            pub const fn is_breach(self) -> bool {
                match self { $(ContentFlag::$flag => $breach,)* }
            }

            pub const fn meaning(self) -> &'static str {
                match self { $(ContentFlag::$flag => $meaning,)* }
            }
        }
    };
}

content_flags! {
    /// Credentials of a service or of a person.
    Credentials = "credentials", breach: true,
        "a credential rule found an access key, a password or a connection string";
    /// A pointer of Git LFS.
    LfsPointer = "lfs-pointer", breach: false,
        "a file is a pointer of Git LFS, whose content is not fetched";
    /// A link out of the tree.
    LinkEscape = "link-escape", breach: true,
        "a symbolic link leads out of its tree or into `.git`, also by way of other links";
    /// Malware.
    Malware = "malware", breach: true,
        "`effects.scan_command` calls content malware";
    /// A path out of the tree.
    PathEscape = "path-escape", breach: true,
        "`.gitmodules` names an absolute or climbing path, or `effects.scan_command` found one in an archive";
    /// A private key.
    PrivateKey = "private-key", breach: true,
        "a file holds a private key";
    /// Any finding of the external scanner.
    Scanner = "scanner", breach: true,
        "`effects.scan_command` found something";
    /// A secret of this system.
    Secret = "secret", breach: true,
        "a file holds a secret key of SWOOSH or age";
    /// A submodule.
    Submodule = "submodule", breach: false,
        "there is a submodule, which is not fetched";
    /// A token of a service.
    Token = "token", breach: true,
        "a credential rule found a token that a service issued";
}

impl std::fmt::Display for ContentFlag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// There is no such flag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no flag of content; docs/policies.md lists them")]
pub struct ContentFlagError(String);

impl std::str::FromStr for ContentFlag {
    type Err = ContentFlagError;

    fn from_str(text: &str) -> Result<ContentFlag, ContentFlagError> {
        let found = ContentFlag::ALL.iter().copied().find(|flag| flag.as_str() == text);
        found.ok_or_else(|| ContentFlagError(text.chars().take(80).collect()))
    }
}

serde_as_text!(ContentFlag);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_sorted_distinct_names() {
        let names: Vec<_> = ContentFlag::ALL.iter().map(|flag| flag.as_str()).collect();
        assert!(names.is_sorted() && names.iter().all(|name| name.parse::<crate::text::Name>().is_ok()));
        assert!(ContentFlag::ALL.iter().all(|flag| flag.as_str().parse() == Ok(*flag)));
        assert!("escaping-link".parse::<ContentFlag>().is_err());
    }
}
