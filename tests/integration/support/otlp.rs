//! An OTLP collector: takes spans over gRPC (HTTP/2) and over HTTP, as protobuf, and keeps them. It reads the wire
//! by itself, so that what a test sees is what was sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::runtime::Runtime;

/// A received span.
#[derive(Clone, Debug, Default)]
pub struct Span {
    /// The trace, in hexadecimal digits.
    pub trace_id: String,
    pub span_id: String,
    /// The span above it; empty where there is none.
    pub parent_id: String,
    /// The `tracestate` of its trace.
    pub state: String,
    pub name: String,
    /// When it began and ended, in nanoseconds since 1970.
    pub times: (u64, u64),
    /// Its attributes; lists as their texts.
    pub attributes: BTreeMap<String, Vec<String>>,
    /// Attributes of the resource, the same for all spans of a node.
    pub resource: BTreeMap<String, Vec<String>>,
}

#[derive(Default)]
struct Kept {
    spans: Vec<Span>,
    bearers: Vec<String>,
}

/// A collector. It stops when this is dropped.
pub struct Collector {
    pub address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
    runtime: Option<Runtime>,
}

impl Collector {
    /// Starts on a free port.
    pub fn start() -> Collector {
        Collector::start_at(([127, 0, 0, 1], 0).into())
    }

    pub fn start_at(address: SocketAddr) -> Collector {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let kept = Arc::new(Mutex::new(Kept::default()));
        let listener = runtime.block_on(tokio::net::TcpListener::bind(address)).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/opentelemetry.proto.collector.trace.v1.TraceService/Export", axum::routing::post(by_grpc))
            .route("/v1/traces", axum::routing::post(by_http))
            .with_state(kept.clone());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Collector { address, kept, runtime: Some(runtime) }
    }

    /// Spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.kept.lock().unwrap().spans.clone()
    }

    /// The `authorization` header of each request.
    pub fn bearers(&self) -> Vec<String> {
        self.kept.lock().unwrap().bearers.clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

fn keep(kept: &Mutex<Kept>, headers: &HeaderMap, message: &[u8]) {
    let mut kept = kept.lock().unwrap();
    let bearer = headers.get("authorization").map_or("", |value| value.to_str().unwrap());
    kept.bearers.push(bearer.to_owned());
    kept.spans.extend(decode(message));
}

async fn by_http(State(kept): State<Arc<Mutex<Kept>>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    keep(&kept, &headers, &body);
    Response::builder().header("content-type", "application/x-protobuf").body(Body::empty()).unwrap()
}

/// One message in, one empty message out, and a status at the end.
async fn by_grpc(State(kept): State<Arc<Mutex<Kept>>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    assert_eq!(headers["content-type"], "application/grpc");
    let (prefix, message) = body.split_at(5);
    assert_eq!(prefix[0], 0, "it is not compressed");
    assert_eq!(u32::from_be_bytes(prefix[1..].try_into().unwrap()) as usize, message.len());
    keep(&kept, &headers, message);
    let status = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
    let frames = [Frame::data(Bytes::from_static(&[0; 5])), Frame::trailers(status)];
    let frames = futures::stream::iter(frames.map(Ok::<_, std::convert::Infallible>));
    Response::builder().header("content-type", "application/grpc").body(Body::new(StreamBody::new(frames))).unwrap()
}

/// A field of a protobuf message.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl Value<'_> {
    fn number(&self) -> u64 {
        if let Value::Number(number) = self { *number } else { panic!("a number was expected") }
    }

    fn bytes(&self) -> &[u8] {
        if let Value::Bytes(bytes) = self { bytes } else { panic!("bytes were expected") }
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes().to_vec()).unwrap()
    }

    fn hex(&self) -> String {
        self.bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        number |= u64::from(byte & 127) << shift;
        if byte & 128 == 0 {
            break;
        }
    }
    number
}

/// The fields of a message, in order.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Value<'_>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let mut take = |count: usize| {
            let (taken, rest) = bytes.split_at(count);
            bytes = rest;
            taken
        };
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut bytes)),
            1 => Value::Number(u64::from_le_bytes(take(8).try_into().unwrap())),
            2 => {
                let length = varint(&mut bytes) as usize;
                let (taken, rest) = bytes.split_at(length);
                bytes = rest;
                Value::Bytes(taken)
            }
            5 => Value::Number(u32::from_le_bytes(take(4).try_into().unwrap()).into()),
            other => panic!("no wire type {other} in proto3"),
        };
        found.push((tag >> 3, value));
    }
    found
}

/// Of ExportTraceServiceRequest, ResourceSpans and ScopeSpans down to the spans.
fn decode(request: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    for (_, resource_spans) in fields(request).iter().filter(|(field, _)| *field == 1) {
        let all = fields(resource_spans.bytes());
        let resource = all.iter().find(|(field, _)| *field == 1).map(|(_, resource)| fields(resource.bytes()));
        let resource = attributes(&resource.unwrap_or_default(), 1);
        for (_, scope_spans) in all.iter().filter(|(field, _)| *field == 2) {
            for (_, one) in fields(scope_spans.bytes()).iter().filter(|(field, _)| *field == 2) {
                spans.push(Span { resource: resource.clone(), ..span(&fields(one.bytes())) });
            }
        }
    }
    spans
}

fn span(fields: &[(u64, Value<'_>)]) -> Span {
    let mut span = Span { attributes: attributes(fields, 9), ..Span::default() };
    for (field, value) in fields {
        match field {
            1 => span.trace_id = value.hex(),
            2 => span.span_id = value.hex(),
            3 => span.state = value.text(),
            4 => span.parent_id = value.hex(),
            5 => span.name = value.text(),
            7 => span.times.0 = value.number(),
            8 => span.times.1 = value.number(),
            _ => {}
        }
    }
    span
}

fn attributes(of: &[(u64, Value<'_>)], field: u64) -> BTreeMap<String, Vec<String>> {
    let pairs = of.iter().filter(|(known, _)| *known == field).map(|(_, pair)| {
        let (mut key, mut value) = (String::new(), Vec::new());
        for (field, part) in fields(pair.bytes()) {
            if field == 1 { key = part.text() } else { value = texts(part.bytes()) }
        }
        (key, value)
    });
    pairs.collect()
}

/// The values of an AnyValue, as texts.
fn texts(any: &[u8]) -> Vec<String> {
    let of = |(field, value): &(u64, Value<'_>)| match field {
        1 => vec![value.text()],
        3 => vec![value.number().to_string()],
        5 => fields(value.bytes()).iter().flat_map(|(_, value)| texts(value.bytes())).collect(),
        other => panic!("no test knows values of kind {other}"),
    };
    fields(any).iter().flat_map(of).collect()
}
