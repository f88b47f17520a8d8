//! The names of the statechart as enums, generated from `statechart.yaml` by `build.rs`.

/// Declares an enum whose variants have one text each.
macro_rules! chart_names {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_meta])* $variant,)* }

        impl $name {
            /// All of them, sorted by name.
            pub const ALL: &[$name] = &[$($name::$variant,)*];

            /// The name in the statechart.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                match text {
                    $($text => Ok($name::$variant),)*
                    _ => Err(NameError { kind: stringify!($name), text: text.chars().take(80).collect() }),
                }
            }
        }
        super::text::serde_as_text!($name, |name, serializer| serializer.serialize_str(name.as_str()));
    };
}

/// The statechart has no such name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the statechart has no {} {text:?}", words(kind))]
pub struct NameError {
    kind: &'static str,
    text: String,
}

/// `OpClass` as `op class`.
fn words(kind: &str) -> String {
    let mut out = String::new();
    for letter in kind.chars() {
        if letter.is_ascii_uppercase() && !out.is_empty() {
            out.push(' ');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

include!(concat!(env!("OUT_DIR"), "/names.rs"));
