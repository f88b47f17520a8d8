//! Secrets: texts that nothing shows and that are wiped from memory when they are let go.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::text::{Name, TextError, serde_as_text};

/// The text shown in place of a secret.
pub const SHOWN: &str = "[secret]";

/// The most bytes that a secret may have: a private key with its chain fits.
pub const MOST_BYTES: usize = 65_536;

/// A secret text. Shown, logged or serialised it is `[secret]`; only [`Secret::expose`] tells it. Its memory is
/// overwritten when it is dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text over.
    pub fn new(text: String) -> Secret {
        Secret(Zeroizing::new(text))
    }

    /// Without the line ends after it: editors and YAML's block texts put one there that belongs to no secret.
    fn without_line_end(mut self) -> Secret {
        let kept = self.0.trim_end_matches(['\r', '\n']).len();
        // The rest is overwritten too, when the secret is dropped.
        self.0.truncate(kept);
        self
    }

    /// Whether an HTTP header can carry the text as a token: visible ASCII, without blanks (RFC 6750 §2.1, RFC 9110 §5.5).
    pub fn fits_header(&self) -> bool {
        self.0.bytes().all(|byte| byte.is_ascii_graphic())
    }

    /// The text. For the one place that sends or uses it; never for a log, an error or a document.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHOWN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHOWN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(SHOWN)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        let secret = Secret::new(String::deserialize(deserializer)?).without_line_end();
        // Says nothing of what was found.
        let fits = !secret.expose().trim().is_empty() && secret.expose().len() <= MOST_BYTES;
        if fits { Ok(secret) } else { Err(serde::de::Error::custom("a secret has 1 to 65536 bytes and is not blank")) }
    }
}

/// A reference to a secret in the settings: `secret:<name>`, which names an entry of the encrypted secrets file.
/// Plain text is refused, and never repeated in the error.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretRef(Name);

impl SecretRef {
    pub fn name(&self) -> &Name {
        &self.0
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secret:{}", self.0)
    }
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl std::str::FromStr for SecretRef {
    type Err = TextError;
    fn from_str(text: &str) -> Result<SecretRef, TextError> {
        let form =
            "a reference to a secret; write secret:<name> and put the value in the secrets file (`swoosh secrets`)";
        let name = text.strip_prefix("secret:").and_then(|name| name.parse().ok());
        // The text may be the secret itself, so the error does not repeat it.
        name.map(SecretRef).ok_or_else(|| TextError::new(SHOWN, form))
    }
}

serde_as_text!(SecretRef);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_expose_tells_a_secret() {
        let secret = Secret::new("hunter2-canary".to_owned());
        for shown in [format!("{secret}"), format!("{secret:?}"), serde_json::to_string(&Some(&secret)).unwrap()] {
            assert!(!shown.contains("canary") && shown.contains(SHOWN), "{shown}");
        }
        assert_eq!(secret.clone().expose(), "hunter2-canary");
    }

    #[test]
    fn the_line_end_after_a_secret_is_no_part_of_it() {
        for (written, read) in [("a-token\\n", "a-token"), ("two\\nlines\\r\\n\\n", "two\nlines"), ("plain", "plain")] {
            let secret: Secret = serde_json::from_str(&format!("\"{written}\"")).unwrap();
            assert_eq!(secret.expose(), read);
        }
        let fits = ["a-token", "A.b_c~9/+=", "two\nlines", "a b", " a", "é", "tab\t"]
            .map(|text| Secret::new(text.to_owned()).fits_header());
        assert_eq!(fits, [true, true, false, false, false, false, false]);
    }

    #[test]
    fn errors_do_not_repeat_what_was_found() {
        let error = "hunter2-canary".parse::<SecretRef>().unwrap_err().to_string();
        assert!(!error.contains("canary") && error.contains("secret:<name>"), "{error}");
        let blank = serde_json::from_str::<Secret>("\"  \"").unwrap_err().to_string();
        assert!(blank.contains("not blank"), "{blank}");
    }

    #[test]
    fn references_survive_their_text() {
        let reference: SecretRef = "secret:bubble-token".parse().unwrap();
        assert_eq!(
            (reference.to_string().as_str(), reference.name().as_str()),
            ("secret:bubble-token", "bubble-token")
        );
        for text in ["secret:", "secret:Big", "bubble-token", "secret:a b", ""] {
            assert!(text.parse::<SecretRef>().is_err(), "{text}");
        }
    }
}
