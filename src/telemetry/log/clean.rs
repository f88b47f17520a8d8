//! Takes secrets out of lines on their way to the log. What is a secret, whoever opens the log says.

use std::sync::{Arc, PoisonError, RwLock};

use serde::de::IgnoredAny;

/// Gives a line without its secrets.
pub type Cleaner = Arc<dyn Fn(&str) -> String + Send + Sync>;

static CLEANER: RwLock<Option<Cleaner>> = RwLock::new(None);

/// What stands in the place of a JSON line that is none any more without its secrets.
const WITHHELD: &str = "{\"level\":\"WARN\",\"message\":\"a log line held a secret and is withheld\"}\n";

/// Cleans every line from here on, but for those of accepted transitions, whose fields hold names, hashes and keys alone.
pub fn clean_with(cleaner: Cleaner) {
    *CLEANER.write().unwrap_or_else(PoisonError::into_inner) = Some(cleaner);
}

/// Appends a line without its secrets.
pub(super) fn append(line: &[u8], to: &mut Vec<u8>) {
    let cleaner = CLEANER.read().unwrap_or_else(PoisonError::into_inner).clone();
    match (cleaner, std::str::from_utf8(line)) {
        (Some(cleaner), Ok(text)) => to.extend_from_slice(cleaned(&cleaner, text).as_bytes()),
        _ => to.extend_from_slice(line),
    }
}

fn cleaned(cleaner: &Cleaner, text: &str) -> String {
    let cleaned = cleaner(text);
    let is_json = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok();
    if text.starts_with('{') && cleaned != text && !is_json(&cleaned) { WITHHELD.to_owned() } else { cleaned }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_stays_one_whatever_is_taken_out_of_it() {
        let cleaner: Cleaner = Arc::new(|line| line.replace("hunter2", "[redacted]"));
        assert_eq!(cleaned(&cleaner, "{\"a\":\"x hunter2\"}\n"), "{\"a\":\"x [redacted]\"}\n");
        assert_eq!(cleaned(&cleaner, "{\"a\":hunter2}\n"), WITHHELD);
        assert_eq!(cleaned(&cleaner, "a=hunter2\n"), "a=[redacted]\n");
        assert_eq!(cleaned(&cleaner, "{\"a\":1}\n"), "{\"a\":1}\n");
        assert!(serde_json::from_str::<IgnoredAny>(WITHHELD).is_ok());
    }
}
