//! Takes secrets out of lines on their way to the log: those of URLs always, others as the owner of the log says.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

use serde::de::IgnoredAny;

use swoosh_types::url_text;

/// Gives a line without its secrets.
pub type Cleaner = Arc<dyn Fn(&str) -> String + Send + Sync>;

static CLEANER: RwLock<Option<Cleaner>> = RwLock::new(None);

/// Replacement for a line that is no valid JSON after its secrets were removed.
const WITHHELD: &str = "{\"level\":\"WARN\",\"message\":\"a log line held a secret and is withheld\"}\n";

/// Cleans every line from here on, but for those of accepted transitions, whose fields hold names, hashes and keys alone.
pub fn clean_with(cleaner: Cleaner) {
    *CLEANER.write().unwrap_or_else(PoisonError::into_inner) = Some(cleaner);
}

/// Appends a line without its secrets.
pub(super) fn append(line: &[u8], to: &mut Vec<u8>) {
    let cleaner = CLEANER.read().unwrap_or_else(PoisonError::into_inner).clone();
    to.extend_from_slice(cleaned(cleaner.as_ref(), &String::from_utf8_lossy(line)).as_bytes());
}

/// URLs come first: a cleaner may look for a secret that a URL holds in another spelling.
fn cleaned<'a>(cleaner: Option<&Cleaner>, text: &'a str) -> Cow<'a, str> {
    let without_urls = url_text::without_secrets(text);
    let cleaned = match cleaner {
        Some(cleaner) => Cow::Owned(cleaner(&without_urls)),
        None => without_urls,
    };
    let is_json = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok();
    if text.starts_with('{') && cleaned != text && !is_json(&cleaned) { Cow::Borrowed(WITHHELD) } else { cleaned }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_stays_one_whatever_is_taken_out_of_it() {
        let cleaner: Cleaner = Arc::new(|line| line.replace("hunter2", "[redacted]"));
        let cleaned = |line| cleaned(Some(&cleaner), line);
        assert_eq!(cleaned("{\"a\":\"x hunter2\"}\n"), "{\"a\":\"x [redacted]\"}\n");
        assert_eq!(cleaned("{\"a\":hunter2}\n"), WITHHELD);
        assert_eq!(cleaned("a=hunter2\n"), "a=[redacted]\n");
        assert_eq!(cleaned("{\"a\":1}\n"), "{\"a\":1}\n");
        assert!(serde_json::from_str::<IgnoredAny>(WITHHELD).is_ok());
    }

    #[test]
    fn urls_lose_their_secrets_whether_or_not_there_is_a_cleaner() {
        let line = "{\"error\":\"cannot reach https://me:pw@host/x?key=abc: timeout\"}\n";
        let without = "{\"error\":\"cannot reach https://[redacted]@host/x?[redacted]: timeout\"}\n";
        assert_eq!(cleaned(None, line), without);
        assert_eq!(cleaned(Some(&(Arc::new(str::to_owned) as Cleaner)), line), without);
    }
}
