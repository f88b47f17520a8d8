//! Strict JSON: the only values that a signed document may hold.
//!
//! [`Json`] has no null, no float, no negative number and no integer beyond 2^53−1, so that a value
//! which RFC 8785 would round cannot be written down at all. Parsing refuses duplicate keys (also
//! escaped ones), trailing data, a byte-order mark, lone surrogates, text that is not in Unicode
//! normalisation form C, and nesting deeper than [`MAX_DEPTH`].

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};

pub(crate) mod path;
mod write;

pub use write::{write_escaped, write_integer, write_string};

/// Deepest nesting of arrays and objects that a document may have (docs/design.md#canonical-json).
pub const MAX_DEPTH: usize = 32;
/// The largest integer that every JSON implementation holds exactly: 2^53 − 1 (RFC 8785 §3.2.2.3).
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// A strict JSON value. Objects keep their keys sorted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Json {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number from 0 to [`MAX_INTEGER`].
    Integer(u64),
    /// Text in normalisation form C.
    String(String),
    Array(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

/// Why a text is not a strict JSON document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Nothing but white space.
    #[error("the document is empty")]
    Empty,
    /// The bytes are not UTF-8.
    #[error("the document is not UTF-8: {0}")]
    NotUtf8(String),
    /// The document begins with a byte-order mark (RFC 8259 §8.1).
    #[error("the document begins with a byte-order mark; send it without")]
    ByteOrderMark,
    /// Not JSON at all.
    #[error("the document is not JSON: {0}")]
    Syntax(String),
    /// An object holds a key twice.
    #[error("the key {0:?} occurs twice in one object")]
    DuplicateKey(String),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("the document is nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// A number that is not a whole number from 0 to 2^53−1.
    #[error("{0} is not a whole number from 0 to 9007199254740991")]
    Number(String),
    /// `null` is not used.
    #[error("null is not used; leave the member out")]
    Null,
    /// Text that is not in normalisation form C.
    #[error("the text {0:?} is not in Unicode normalisation form C")]
    NotNormalized(String),
    /// A fault of a value inside the document.
    #[error("{path}: {fault}")]
    At {
        /// `inputs.rationale`, `document.roles.lead.seats`, `list[2]`.
        path: String,
        /// Never an `At`.
        fault: Box<JsonError>,
    },
}

impl JsonError {
    /// The fault without its place.
    pub fn fault(&self) -> &JsonError {
        match self {
            JsonError::At { fault, .. } => fault,
            fault => fault,
        }
    }

    /// The fault at a path. The text of a syntax error has line and column already.
    fn at(self, path: String) -> JsonError {
        match self {
            JsonError::Syntax(_) => self,
            fault if path.is_empty() => fault,
            fault => JsonError::At { path, fault: Box::new(fault) },
        }
    }
}

impl Json {
    /// Parses one strict document.
    pub fn parse(bytes: &[u8]) -> Result<Json, JsonError> {
        if bytes.starts_with(b"\xef\xbb\xbf") {
            return Err(JsonError::ByteOrderMark);
        }
        let text = std::str::from_utf8(bytes).map_err(|e| JsonError::NotUtf8(e.to_string()))?;
        if text.trim_ascii().is_empty() {
            return Err(JsonError::Empty);
        }
        let found = RefCell::default();
        let mut reader = serde_json::Deserializer::from_str(text);
        let seed = Strict { depth: 0, found: &found };
        let parsed = seed.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
        parsed.map_err(|error| {
            let Found { fault, steps } = found.take();
            fault.unwrap_or_else(|| syntax(&error)).at(path::outwards(&steps))
        })
    }

    /// The RFC 8785 canonical bytes.
    pub fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        self.write_canonical(&mut out);
        counted(out.len());
        out
    }

    /// Appends the RFC 8785 canonical bytes to `out`.
    pub fn write_canonical(&self, out: &mut Vec<u8>) {
        match self {
            Json::Bool(true) => out.extend_from_slice(b"true"),
            Json::Bool(false) => out.extend_from_slice(b"false"),
            Json::Integer(n) => write_integer(*n, out),
            Json::String(text) => write_string(text, out),
            Json::Array(items) => write_list(out, b'[', b']', items.iter(), |item, out| item.write_canonical(out)),
            Json::Object(map) => write_object(map, out, |_, _| ()),
        }
    }

    /// Appends the canonical bytes of an object. Returns the place in `out` of the value of one of its members.
    pub fn write_object(map: &BTreeMap<String, Json>, out: &mut Vec<u8>, member: &str) -> Option<Range<usize>> {
        let (start, found) = (out.len(), Cell::new(None));
        write_object(map, out, |key, place| {
            if key == member {
                found.set(Some((place.start, place.end)));
            }
        });
        counted(out.len() - start);
        found.get().map(|(start, end)| start..end)
    }

    /// The object behind this value, if it is one.
    pub fn as_object(&self) -> Option<&BTreeMap<String, Json>> {
        if let Json::Object(map) = self { Some(map) } else { None }
    }

    /// Takes a member out of an object.
    pub fn into_member(self, name: &str) -> Option<Json> {
        if let Json::Object(mut map) = self { map.remove(name) } else { None }
    }

    /// The text behind this value, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Json::String(text) = self { Some(text) } else { None }
    }

    /// The kind of this value, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Json::Bool(_) => "a boolean",
            Json::Integer(_) => "a number",
            Json::String(_) => "a string",
            Json::Array(_) => "an array",
            Json::Object(_) => "an object",
        }
    }

    /// An object without members.
    pub fn empty_object() -> Json {
        Json::Object(BTreeMap::new())
    }
}

/// Maps serde's syntax error. A number beyond every float is valid JSON (RFC 8259 §6), but no number that a document may
/// hold.
/// Words of the parser, and plain ones.
const PARSER_WORDS: [(&str, &str); 7] = [
    ("EOF while parsing", "it ends inside of"),
    ("key must be a string", "a member's name is not in double quotes"),
    ("expected ident", "a word is none of true, false and null"),
    ("expected value", "there is no value where one must be"),
    ("trailing comma", "there is a comma before the end"),
    ("expected `,` or `}`", "there is neither , nor } after a member"),
    ("expected `,` or `]`", "there is neither , nor ] after an entry"),
];

fn syntax(error: &serde_json::Error) -> JsonError {
    let text = error.to_string();
    match text.strip_prefix("number out of range") {
        Some(place) => JsonError::Number(format!("a number beyond every float,{place},")),
        None => JsonError::Syntax(PARSER_WORDS.iter().fold(text, |text, (theirs, ours)| text.replace(theirs, ours))),
    }
}

fn write_list<T>(
    out: &mut Vec<u8>,
    open: u8,
    close: u8,
    items: impl Iterator<Item = T>,
    write: impl Fn(T, &mut Vec<u8>),
) {
    out.push(open);
    for (n, item) in items.enumerate() {
        if n > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(close);
}

/// Counts an encoding, for tests.
#[cfg_attr(not(feature = "counting"), expect(unused_variables, reason = "only tests count"))]
fn counted(bytes: usize) {
    #[cfg(feature = "counting")]
    crate::counts::encoded(bytes);
}

/// `note` learns the place of each member's value.
fn write_object(map: &BTreeMap<String, Json>, out: &mut Vec<u8>, note: impl Fn(&str, Range<usize>)) {
    let write = |(key, value): (&String, &Json), out: &mut Vec<u8>| {
        write_string(key, out);
        out.push(b':');
        let start = out.len();
        value.write_canonical(out);
        note(key, start..out.len());
    };
    if map.keys().all(|key| key.is_ascii()) {
        return write_list(out, b'{', b'}', map.iter(), write);
    }
    // RFC 8785 §3.2.3 sorts by UTF-16 code units; a BTreeMap sorts by code points.
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
    write_list(out, b'{', b'}', entries.into_iter(), write);
}

/// The fault that ends the reading, and the steps to its value, the innermost first.
#[derive(Default)]
struct Found {
    fault: Option<JsonError>,
    steps: Vec<path::Step>,
}

/// Reads one value. Fault and place are kept in `found`, because serde errors carry text alone.
#[derive(Clone, Copy)]
struct Strict<'f> {
    depth: usize,
    found: &'f RefCell<Found>,
}

impl Strict<'_> {
    fn fail<E: serde::de::Error>(&self, fault: JsonError) -> E {
        let message = fault.to_string();
        self.found.borrow_mut().fault = Some(fault);
        E::custom(message)
    }

    /// Notes that the error is of a value inside this one.
    fn below<E>(&self, step: path::Step, error: E) -> E {
        self.found.borrow_mut().steps.push(step);
        error
    }

    fn deeper<E: serde::de::Error>(&self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(self.fail(JsonError::TooDeep));
        }
        Ok(Strict { depth: self.depth + 1, found: self.found })
    }

    fn text<E: serde::de::Error>(&self, text: String) -> Result<String, E> {
        if text.is_ascii() || unicode_normalization::is_nfc(&text) {
            return Ok(text);
        }
        Err(self.fail(JsonError::NotNormalized(path::cut(&text))))
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Json;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a strict JSON value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }
    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Json, E> {
        if value > MAX_INTEGER {
            return Err(self.fail(JsonError::Number(value.to_string())));
        }
        Ok(Json::Integer(value))
    }
    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Json, E> {
        u64::try_from(value)
            .map_err(|_| self.fail(JsonError::Number(value.to_string())))
            .and_then(|v| self.visit_u64(v))
    }
    #[expect(clippy::disallowed_types, reason = "serde hands a float over as one, so that it can be refused")]
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Json, E> {
        Err(self.fail(JsonError::Number(format!("{value:?}"))))
    }
    fn visit_unit<E: serde::de::Error>(self) -> Result<Json, E> {
        Err(self.fail(JsonError::Null))
    }
    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Json, E> {
        self.text(value.to_owned()).map(Json::String)
    }
    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Json, E> {
        self.text(value).map(Json::String)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) =
            access.next_element_seed(inner).map_err(|error| self.below(path::Step::Entry(items.len()), error))?
        {
            items.push(item);
        }
        Ok(Json::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let inner = self.deeper()?;
        let mut map = BTreeMap::new();
        while let Some(key) = access.next_key::<String>()? {
            let key = self.text(key)?;
            let member = || path::Step::Member(path::cut(&key));
            let value = access.next_value_seed(inner).map_err(|error| self.below(member(), error))?;
            if map.contains_key(&key) {
                return Err(self.below(member(), self.fail(JsonError::DuplicateKey(path::cut(&key)))));
            }
            map.insert(key, value);
        }
        Ok(Json::Object(map))
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        let found = RefCell::default();
        Strict { depth: 0, found: &found }.deserialize(deserializer)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Bool(value) => serializer.serialize_bool(*value),
            Json::Integer(value) => serializer.serialize_u64(*value),
            Json::String(value) => serializer.serialize_str(value),
            Json::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Json::Object(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                entries.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_a_signed_document_may_not_hold() {
        let refuse = |text: &str| Json::parse(text.as_bytes()).unwrap_err().fault().clone();
        assert_eq!(refuse("  "), JsonError::Empty);
        assert_eq!(refuse("\u{feff}{}"), JsonError::ByteOrderMark);
        assert!(matches!(Json::parse(b"\"\xff\""), Err(JsonError::NotUtf8(_))));
        assert_eq!(refuse(r#"{"a":1,"\u0061":2}"#), JsonError::DuplicateKey("a".into()));
        assert!(matches!(refuse("1.0"), JsonError::Number(_)));
        assert!(matches!(refuse("-0"), JsonError::Number(_)));
        assert!(matches!(refuse("-1"), JsonError::Number(_)));
        assert!(matches!(refuse("1e2"), JsonError::Number(_)));
        assert!(matches!(refuse("1e999"), JsonError::Number(_)));
        assert!(matches!(refuse("9007199254740992"), JsonError::Number(_)));
        assert!(matches!(refuse("18446744073709551616"), JsonError::Number(_)));
        assert_eq!(refuse("[null]"), JsonError::Null);
        assert!(matches!(refuse("{} {}"), JsonError::Syntax(_)));
        assert_eq!(refuse("{").to_string(), "the document is not JSON: it ends inside of an object at line 1 column 1");
        assert!(matches!(refuse(r#""\ud800""#), JsonError::Syntax(_)));
        assert!(matches!(refuse("[NaN]"), JsonError::Syntax(_)));
        assert!(matches!(refuse("\"e\u{301}\""), JsonError::NotNormalized(_)));
        assert_eq!(refuse(&"[".repeat(33)), JsonError::TooDeep);
        assert!(Json::parse(format!("{}{}", "[".repeat(32), "]".repeat(32)).as_bytes()).is_ok());
    }

    /// "null is not used; leave the member out" did not say which member.
    #[test]
    fn a_fault_inside_a_document_has_the_path_of_its_value() {
        let deep = format!("{{\"a\": {}", "[".repeat(32));
        let long = format!("{{\"{}\": null}}", "k".repeat(5000));
        for (text, said) in [
            (r#"{"inputs": {"rationale": null}}"#, "inputs.rationale: null is not used"),
            (r#"{"a": [1, {"n": 2.5}]}"#, "a[1].n: 2.5 is not a whole number"),
            (r#"{"a": [1, [-3]]}"#, "a[1][0]: -3 is not a whole number"),
            (r#"{"seats": 9007199254740992}"#, "seats: 9007199254740992 is not a whole number"),
            (r#"{"n": {"m": 1e999}}"#, "n.m: a number beyond every float"),
            (r#"{"a": {"b": 1, "\u0062": 2}}"#, "a.b: the key \"b\" occurs twice"),
            ("{\"a\": [\"e\u{301}\"]}", "a[0]: the text "),
            ("[null]", "[0]: null"),
            ("null", "null is not used"),
            (r#"{"a": {"b": nul}}"#, "the document is not JSON"),
            (&deep, "a[0][0][0]"),
            (&long, "kkkkkkkk"),
        ] {
            let error = Json::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(said) && error.len() < 400, "{text}: {error}");
        }
    }

    #[test]
    fn sorts_keys_by_utf16_code_units() {
        let json = Json::parse("{\"\u{10000}\":1,\"\u{e000}\":2,\"a\":3}".as_bytes()).unwrap();
        assert_eq!(json.canonical(), "{\"a\":3,\"\u{10000}\":1,\"\u{e000}\":2}".as_bytes());
    }

    #[test]
    fn writes_the_same_bytes_as_the_reference_canonicaliser() {
        let text = "{\"z\":[true,false,0,9007199254740991],\"a\":\"\\u0000\\u001f\\b\\t\\n\\f\\r\\\"\\\\/é\u{2028}\"}";
        let json = Json::parse(text.as_bytes()).unwrap();
        assert_eq!(json.canonical(), serde_json_canonicalizer::to_vec(&json).unwrap());
    }
}
