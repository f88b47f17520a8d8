//! The caller's trace, as W3C Trace Context names it.

use axum::http::HeaderMap;

use swoosh_types::trace::TraceParent;

/// The caller's span. A repeated or malformed `traceparent` is ignored.
pub(super) fn parent(headers: &HeaderMap) -> Option<TraceParent> {
    let mut named = headers.get_all("traceparent").iter();
    let (Some(header), None) = (named.next(), named.next()) else { return None };
    let parent = TraceParent::read(header.as_bytes())?;
    let states: Vec<&str> = headers.get_all("tracestate").iter().filter_map(|state| state.to_str().ok()).collect();
    Some(parent.with_state(&states.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).fold(
            HeaderMap::new(),
            |mut headers, (name, value): (axum::http::HeaderName, axum::http::HeaderValue)| {
                headers.append(name, value);
                headers
            },
        )
    }

    #[test]
    fn a_caller_is_known_by_one_good_header_alone() {
        assert_eq!(parent(&headers(&[])), None);
        assert_eq!(parent(&headers(&[("traceparent", "00-what-ever-01")])), None);
        assert_eq!(parent(&headers(&[("traceparent", PARENT), ("traceparent", PARENT)])), None);
        assert_eq!(parent(&headers(&[("tracestate", "a=b")])), None);
        assert!(parent(&headers(&[("traceparent", PARENT)])).is_some());
    }

    #[test]
    fn states_of_several_headers_are_one_list() {
        let all = [("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2,c=3")];
        assert_eq!(parent(&headers(&all)).unwrap().state, "a=1,b=2,c=3");
    }
}
