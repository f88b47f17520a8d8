//! Entity tags (RFC 9110 §8.8.3): an answer that the caller has already is 304, without a body.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use swoosh_types::hash::Hash;

/// The strong tag of an answer.
pub(super) fn of(hash: &Hash) -> String {
    format!("\"{hash}\"")
}

/// Whether the caller has the answer with this tag. The comparison is the weak one, as RFC 9110 §13.1.2 says.
fn is_held(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|held| held == "*" || held.strip_prefix("W/").unwrap_or(held) == tag)
}

/// JSON with its tag, or 304 where the caller has it.
pub(super) fn json(headers: &HeaderMap, tag: &str, bytes: Bytes) -> Response {
    let tagged = [(ETAG, tag.to_owned()), (CACHE_CONTROL, "no-cache".to_owned())];
    if is_held(headers, tag) {
        return (StatusCode::NOT_MODIFIED, tagged).into_response();
    }
    (tagged, [(CONTENT_TYPE, "application/json")], bytes).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_held_in_any_place_of_a_list_and_weak_too() {
        let held = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IF_NONE_MATCH, value.parse().unwrap());
            }
            is_held(&headers, "\"a\"")
        };
        for values in [&["\"a\""][..], &["*"], &["W/\"a\""], &["\"b\", \"a\""], &["\"b\"", "\"a\""]] {
            assert!(held(values), "{values:?}");
        }
        for values in [&[][..], &["\"b\""], &["a"], &["\"A\""], &[""], &["W/W/\"a\""]] {
            assert!(!held(values), "{values:?}");
        }
    }
}
