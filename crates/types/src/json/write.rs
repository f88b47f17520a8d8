//! The RFC 8785 text of strings and whole numbers.

/// `1` in each of eight bytes.
const ONES: u64 = u64::from_ne_bytes([1; 8]);
/// The highest bit of each of eight bytes.
const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Appends `text` as an RFC 8785 string.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    write_escaped(text, out);
    out.push(b'"');
}

/// Appends `text`, escaped, as between the quotes of an RFC 8785 string (§3.2.2.2).
pub fn write_escaped(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    loop {
        let (plain, tail) = rest.split_at(plain_length(rest));
        out.extend_from_slice(plain);
        let Some((&byte, tail)) = tail.split_first() else { return };
        write_escape(byte, out);
        rest = tail;
    }
}

/// How many bytes at the beginning need no escape. Eight are looked at together, because nearly all text
/// is free of escapes.
fn plain_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    while let Some(eight) = bytes[length..].first_chunk::<8>() {
        if any_needs_escape(u64::from_ne_bytes(*eight)) {
            break;
        }
        length += 8;
    }
    while bytes.get(length).is_some_and(|byte| !needs_escape(*byte)) {
        length += 1;
    }
    length
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// [`needs_escape`] for any of eight bytes. Subtracting borrows from a byte's highest bit only when the byte
/// is less than what is subtracted, or when a lower byte already was.
fn any_needs_escape(eight: u64) -> bool {
    let below = |word: u64, least: u8| word.wrapping_sub(ONES * u64::from(least)) & !word;
    let control = below(eight, 0x20);
    let quote = below(eight ^ (ONES * u64::from(b'"')), 1);
    let backslash = below(eight ^ (ONES * u64::from(b'\\')), 1);
    (control | quote | backslash) & HIGH_BITS != 0
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        0x08 => out.extend_from_slice(b"\\b"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b'\n' => out.extend_from_slice(b"\\n"),
        0x0c => out.extend_from_slice(b"\\f"),
        b'\r' => out.extend_from_slice(b"\\r"),
        0..0x20 => {
            let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&digits);
        }
        _ => out.extend_from_slice(&[b'\\', byte]),
    }
}

/// Appends `number` in decimal.
pub fn write_integer(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut rest = number;
    let mut length = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        length += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[20 - length..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place_is_escaped_as_serde_json_does() {
        for before in 0..20 {
            for byte in (0..0x80u8).chain([b'"', b'\\']) {
                let text = format!("{}{}é\u{10000}{}", "x".repeat(before), char::from(byte), "\u{7f}".repeat(9));
                let mut out = Vec::new();
                write_string(&text, &mut out);
                assert_eq!(out, serde_json::to_vec(&text).unwrap(), "{text:?}");
            }
        }
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 9, 10, 99, 100, 1 << 53, u64::MAX] {
            let mut out = Vec::new();
            write_integer(number, &mut out);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
