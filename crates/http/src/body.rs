//! Reads a proposal's request: media type, header forms, and a bounded body.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use hyper::body::Body as _;

use super::Peer;
use super::admission::{Gate, Memory};
use super::fault::{Answer, Fault};
use super::serve::{Late, within};
use swoosh_sequencer::queries::Headers;
use swoosh_types::rejection::Code;

/// Bytes of a refused body that are read and thrown away, so that the caller gets to read the answer; a
/// connection that is closed on unread bytes may lose it.
const COURTESY_BYTES: usize = 8 << 20;

/// The names of headers that stand in for members of the body.
const FORMS: [&str; 4] = ["idempotency-key", "x-swoosh-hlc", "x-swoosh-window-id", "x-hmmm-signature"];

/// The headers that stand in for members of the body.
pub(super) fn header_forms(headers: &HeaderMap) -> Answer<Headers> {
    let [idempotency_key, hlc, window_id, signature] = FORMS;
    Ok(Headers {
        idempotency_key: values(headers, idempotency_key)?,
        hlc: values(headers, hlc)?,
        window_id: values(headers, window_id)?,
        signature: values(headers, signature)?,
    })
}

fn values(headers: &HeaderMap, name: &str) -> Answer<Vec<String>> {
    let text = |value: &axum::http::HeaderValue| {
        let text = std::str::from_utf8(value.as_bytes()).map(str::to_owned);
        text.map_err(|_| Fault::new(Code::HeaderConflict, format!("the header {name} is not UTF-8")))
    };
    headers.get_all(name).iter().map(text).collect()
}

/// Checks that no header stands in for a member of a body that has many.
pub(super) fn check_no_forms(headers: &HeaderMap) -> Answer<()> {
    match FORMS.into_iter().find(|name| headers.contains_key(*name)) {
        None => Ok(()),
        Some(name) => {
            let reason = format!("the header {name} is for a single proposal; put the member into each line");
            Err(Fault::new(Code::HeaderConflict, reason))
        }
    }
}

/// Checks that the body is plain JSON.
pub(super) fn check_media_type(headers: &HeaderMap) -> Answer<()> {
    check_media_type_is(headers, "application/json")
}

/// Checks that the body has this media type, in any case, with or without parameters.
pub(super) fn check_media_type_is(headers: &HeaderMap, media_type: &str) -> Answer<()> {
    let refuse = |reason: String| Err(Fault::new(Code::UnsupportedMediaType, reason));
    if let Some(encoding) = headers.get(CONTENT_ENCODING) {
        return refuse(format!("the body is encoded as {encoding:?}; send it without content-encoding"));
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    match (types.next(), types.next()) {
        (None, _) => refuse(format!("there is no content-type; send {media_type}")),
        (Some(value), None) if is(value.as_bytes(), media_type) => Ok(()),
        (Some(value), None) => refuse(format!("the content-type is {value:?}; send {media_type}")),
        (Some(_), Some(_)) => refuse(format!("there are two content-type headers; send {media_type} once")),
    }
}

fn is(content_type: &[u8], media_type: &str) -> bool {
    let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(media_type.as_bytes())
}

/// A body that was read, and the memory that it takes.
pub(super) struct Whole {
    pub bytes: Bytes,
    pub memory: Memory,
}

/// Reads a whole body of this peer.
pub(super) async fn whole(headers: &HeaderMap, body: Body, gate: &Gate, peer: Peer) -> Answer<Whole> {
    whole_within(headers, body, gate, peer, gate.limits().body_limit_bytes).await
}

/// The same, of a body of at most so many bytes.
pub(super) async fn whole_within(
    headers: &HeaderMap,
    body: Body,
    gate: &Gate,
    peer: Peer,
    limit: usize,
) -> Answer<Whole> {
    let mut memory = gate.memory(peer);
    let bytes = read(headers, body, gate, &mut memory, limit).await?;
    Ok(Whole { bytes, memory })
}

/// Reads a whole body within its bounds of size, time and memory.
async fn read(headers: &HeaderMap, body: Body, gate: &Gate, memory: &mut Memory, limit: usize) -> Answer<Bytes> {
    let limits = gate.limits();
    let deadline = Duration::from_millis(limits.request_timeout_ms);
    let collected = async {
        if announced(headers).is_some_and(|length| length > limit as u64) {
            discard(headers, body).await;
            return Err(too_large(limit));
        }
        collect(body, gate, memory, limit).await
    };
    within(deadline, collected).await.unwrap_or_else(|Late| {
        let reason = format!("the body did not arrive within {} ms; send it again, faster", limits.request_timeout_ms);
        Err(Fault::new(Code::RequestTimeout, reason))
    })
}

pub(super) fn too_large(limit: usize) -> Fault {
    Fault::new(Code::ContentTooLarge, format!("the body has more than {limit} bytes; send a smaller one"))
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn collect(body: Body, gate: &Gate, memory: &mut Memory, limit: usize) -> Answer<Bytes> {
    let mut frames = body.into_data_stream();
    let mut whole = BytesMut::new();
    while let Some(frame) = next(&mut frames, gate.limits().body_pause_timeout_ms).await? {
        if whole.len() + frame.len() > limit {
            drain(frames).await;
            return Err(too_large(limit));
        }
        gate.reserve(memory, frame.len())?;
        whole.extend_from_slice(&frame);
        // The end of a body of known length is not awaited: a whole request is read at once, without a timer.
        if frames.is_end_stream() {
            break;
        }
    }
    Ok(whole.freeze())
}

/// The next part of a body that moves on.
async fn next(frames: &mut axum::body::BodyDataStream, pause_ms: u64) -> Answer<Option<Bytes>> {
    match within(Duration::from_millis(pause_ms), frames.next()).await {
        Ok(frame) => {
            frame.transpose().map_err(|error| Fault::new(Code::BadJson, format!("the body broke off: {error}")))
        }
        Err(Late) => {
            let reason = format!("nothing of the body arrived for {pause_ms} ms; send it again, faster");
            Err(Fault::new(Code::RequestTimeout, reason))
        }
    }
}

/// Reads a refused body to its end, within bounds. A caller that waits for `100 Continue` sends none.
pub(super) async fn discard(headers: &HeaderMap, body: Body) {
    if !headers.contains_key(EXPECT) {
        drain(body.into_data_stream()).await;
    }
}

async fn drain(mut frames: axum::body::BodyDataStream) {
    let mut seen = 0;
    while let Some(Ok(frame)) = frames.next().await {
        seen += frame.len();
        if seen > COURTESY_BYTES {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::tests::world::NoTraffic;
    use crate::{Caller, Limits};
    use axum::http::{HeaderName, HeaderValue};

    fn map(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
        let pair = |&(name, value): &(&'static str, &[u8])| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn json_passes_with_or_without_parameters_and_nothing_else_does() {
        for text in ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"] {
            assert!(check_media_type(&map(&[("content-type", text.as_bytes())])).is_ok(), "{text}");
        }
        for text in ["", "text/plain", "application/jsonp", "application/problem+json", "application/json, text/plain"]
        {
            let fault = check_media_type(&map(&[("content-type", text.as_bytes())])).unwrap_err();
            assert_eq!(fault.code(), Code::UnsupportedMediaType, "{text}");
        }
        assert!(check_media_type(&HeaderMap::new()).is_err());
        let json: (&str, &[u8]) = ("content-type", b"application/json");
        assert!(check_media_type(&map(&[json, json])).is_err());
        assert!(check_media_type(&map(&[json, ("content-encoding", b"gzip")])).is_err());
    }

    #[test]
    fn every_value_of_a_header_form_is_collected() {
        let headers = map(&[
            ("idempotency-key", b"a"),
            ("idempotency-key", b"b"),
            ("x-swoosh-hlc", b"c"),
            ("x-swoosh-window-id", b"d"),
            ("x-hmmm-signature", b"e"),
        ]);
        let forms = header_forms(&headers).unwrap();
        assert_eq!(forms.idempotency_key, ["a", "b"]);
        assert_eq!(
            (forms.hlc, forms.window_id, forms.signature),
            (vec!["c".into()], vec!["d".into()], vec!["e".into()])
        );
        let fault = header_forms(&map(&[("x-hmmm-signature", b"\xff")])).unwrap_err();
        assert_eq!(fault.code(), Code::HeaderConflict);
    }

    /// Reads a body within these limits.
    async fn read_within(limits: Limits, headers: &HeaderMap, body: Body) -> Answer<Bytes> {
        let gate = Gate::new(limits, Arc::new(NoTraffic));
        let mut memory = gate.memory(Caller::default().peer);
        read(headers, body, &gate, &mut memory, limits.body_limit_bytes).await
    }

    #[tokio::test]
    async fn a_body_ends_at_the_limit_with_or_without_a_length() {
        let limits = Limits { body_limit_bytes: 4, ..Limits::default() };
        let whole = |bytes: &'static [u8]| Body::from(bytes);
        assert_eq!(read_within(limits, &HeaderMap::new(), whole(b"1234")).await.unwrap(), "1234");
        let fault = read_within(limits, &HeaderMap::new(), whole(b"12345")).await.unwrap_err();
        assert_eq!(fault.code(), Code::ContentTooLarge);
        let fault = read_within(limits, &map(&[("content-length", b"5")]), whole(b"12345")).await.unwrap_err();
        assert_eq!(fault.code(), Code::ContentTooLarge);
        let chunks = futures::stream::iter([Ok::<_, std::io::Error>("12"), Ok("34"), Ok("5")]);
        let fault = read_within(limits, &HeaderMap::new(), Body::from_stream(chunks)).await.unwrap_err();
        assert_eq!(fault.code(), Code::ContentTooLarge);
    }

    #[tokio::test]
    async fn a_body_that_never_ends_times_out() {
        for limits in [
            Limits { request_timeout_ms: 1, ..Limits::default() },
            Limits { body_pause_timeout_ms: 1, ..Limits::default() },
        ] {
            let body = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
            let fault = read_within(limits, &HeaderMap::new(), body).await.unwrap_err();
            assert_eq!(fault.code(), Code::RequestTimeout);
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_no_json() {
        let body = Body::from_stream(futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("gone"))]));
        let fault = read_within(Limits::default(), &HeaderMap::new(), body).await.unwrap_err();
        assert_eq!(fault.code(), Code::BadJson);
    }

    #[tokio::test]
    async fn bodies_take_no_more_memory_than_there_is_and_give_it_back() {
        let limits = Limits { body_limit_bytes: 4, body_memory_bytes: 12, ..Limits::default() };
        let gate = Gate::new(limits, Arc::new(NoTraffic));
        let peer = |n: u8| Peer::of(std::net::Ipv4Addr::new(192, 0, 2, n).into());
        let code = async |n: u8| {
            let mut memory = gate.memory(peer(n));
            let read = read(&HeaderMap::new(), Body::from("1234"), &gate, &mut memory, 4).await;
            (read.err().map(|fault| fault.code()), memory)
        };
        let (first, kept) = code(1).await;
        assert_eq!((first, code(1).await.0), (None, Some(Code::TooManyRequests)));
        let (second, third) = (code(2).await, code(3).await);
        assert_eq!((second.0, third.0, code(4).await.0), (None, None, Some(Code::Overloaded)));
        drop(kept);
        assert_eq!(code(1).await.0, None);
    }
}
