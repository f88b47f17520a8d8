//! A caller's trace context: the headers of W3C Trace Context, level 1.

/// The longest `tracestate` that is kept, in bytes.
pub const MOST_STATE_BYTES: usize = 512;

/// The span of a caller, as its `traceparent` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace; never all zero.
    pub trace_id: [u8; 16],
    /// The caller's span; never all zero.
    pub span_id: [u8; 8],
    /// Whether the caller records its own span.
    pub sampled: bool,
    /// The caller's `tracestate`, unread; empty where there is none.
    pub state: String,
}

/// Bytes of `00-<32 hex>-<16 hex>-<2 hex>`.
const LENGTH: usize = 55;

impl TraceParent {
    /// Reads a `traceparent` header; `None` unless it is well formed, and the trace starts here. Of a later version
    /// the known part is read, as the standard requires.
    pub fn read(header: &[u8]) -> Option<TraceParent> {
        let header = header.trim_ascii();
        let [version] = hex(header.get(..2)?)?;
        let rest = header.get(LENGTH..)?;
        let ends_well = if version == 0 { rest.is_empty() } else { rest.is_empty() || rest.starts_with(b"-") };
        let dashes = [2, 35, 52].iter().all(|&at| header.get(at) == Some(&b'-'));
        if version == u8::MAX || !ends_well || !dashes {
            return None;
        }
        let trace_id: [u8; 16] = hex(header.get(3..35)?)?;
        let span_id: [u8; 8] = hex(header.get(36..52)?)?;
        let [flags] = hex(header.get(53..LENGTH)?)?;
        let named = trace_id != [0; 16] && span_id != [0; 8];
        named.then(|| TraceParent { trace_id, span_id, sampled: flags & 1 == 1, state: String::new() })
    }

    /// With a `tracestate`; one that is too long or no plain text is left out, as the standard allows.
    #[must_use]
    pub fn with_state(mut self, state: &str) -> TraceParent {
        let plain = state.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte));
        if plain && state.len() <= MOST_STATE_BYTES {
            self.state = state.to_owned();
        }
        self
    }
}

/// Bytes from lowercase hexadecimal digits; the standard knows no others.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    let mut bytes = [0; N];
    if pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn the_example_of_the_standard_is_read() {
        let parent = TraceParent::read(GOOD.as_bytes()).unwrap();
        assert_eq!(parent.trace_id[..4], [0x0a, 0xf7, 0x65, 0x19]);
        assert_eq!(parent.span_id, [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]);
        assert!(parent.sampled && parent.state.is_empty());
        assert!(!TraceParent::read(GOOD.replace("-01", "-00").as_bytes()).unwrap().sampled);
        assert!(TraceParent::read(GOOD.replace("-01", "-03").as_bytes()).unwrap().sampled, "other flags are let be");
    }

    #[test]
    fn later_versions_are_read_as_far_as_they_are_known() {
        let later = GOOD.replacen("00", "cc", 1);
        assert!(TraceParent::read(later.as_bytes()).is_some());
        assert!(TraceParent::read(format!("{later}-what-the-future-brings").as_bytes()).is_some());
        assert!(TraceParent::read(format!("{later}.what").as_bytes()).is_none());
    }

    #[test]
    fn malformed_headers_are_ignored() {
        let zero_trace = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
        let zero_span = format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", "0".repeat(16));
        let bad = [
            "",
            "00",
            "00-",
            GOOD.strip_suffix('1').unwrap(),
            &format!("{GOOD}0"),
            &format!("{GOOD}-00"),
            &zero_trace,
            &zero_span,
            &GOOD.replacen("00", "ff", 1),
            &GOOD.to_uppercase(),
            &GOOD.replace('a', "g"),
            &GOOD.replacen('-', "_", 1),
            &GOOD.replace("-01", "_01"),
            &GOOD.replace("0a", " a"),
            "\u{fc}".repeat(40).as_str(),
        ]
        .map(str::to_owned);
        for header in bad {
            assert_eq!(TraceParent::read(header.as_bytes()), None, "{header:?}");
        }
        assert_eq!(TraceParent::read(&[0xff; 55]), None);
    }

    #[test]
    fn a_state_is_kept_within_its_bounds() {
        let parent = || TraceParent::read(GOOD.as_bytes()).unwrap();
        assert_eq!(parent().with_state("rojo=00f067aa0ba902b7,congo=t61").state, "rojo=00f067aa0ba902b7,congo=t61");
        assert_eq!(parent().with_state(&"a".repeat(MOST_STATE_BYTES + 1)).state, "");
        assert_eq!(parent().with_state("a=\u{fc}").state, "");
    }
}
