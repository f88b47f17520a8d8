//! Documents read to the letter: no key twice in one mapping, no number that loses digits.

use std::fmt;

use hcl::Number;
use hcl::edit::Span as _;
use hcl::edit::visit::Visit;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;

use super::value::ValueError;
use swoosh_types::yaml;

/// A decimal number: whether it is negative, its digits without zeros around them, and the power of ten of the last one.
type Decimal = (bool, String, i64);

/// Whether a number is the one that its text says.
pub(super) fn is_exact(text: &str, number: &Number) -> bool {
    match (decimal(text), decimal(&number.to_string())) {
        (Some(said), Some(kept)) => said == kept,
        // Hexadecimal and the like, which give whole numbers of 64 bits or none.
        _ => !number.is_f64(),
    }
}

fn decimal(text: &str) -> Option<Decimal> {
    let text = text.trim();
    let is_negative = text.starts_with('-');
    let unsigned = text.trim_start_matches(['-', '+']);
    let (mantissa, power) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, power)) => (mantissa, power.parse::<i64>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let kept = digits.trim_start_matches('0').trim_end_matches('0');
    if kept.is_empty() {
        return Some((false, String::new(), 0));
    }
    let zeros = i64::try_from(digits.len() - digits.trim_end_matches('0').len()).ok()?;
    let power = power.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(zeros)?;
    Some((is_negative, kept.to_owned(), power))
}

/// Finds numbers of HCL that lose digits: where they begin, and how they are written.
pub(super) struct Lossy<'t> {
    text: &'t str,
    pub found: Vec<(usize, String)>,
}

impl<'t> Lossy<'t> {
    pub fn of(text: &'t str) -> Lossy<'t> {
        Lossy { text, found: Vec::new() }
    }
}

impl Visit for Lossy<'_> {
    fn visit_number(&mut self, node: &hcl::edit::Formatted<Number>) {
        let Some(span) = node.span() else { return };
        let written = self.text.get(span.clone()).unwrap_or_default();
        if !written.is_empty() && !is_exact(written, node.value()) {
            self.found.push((span.start, written.chars().take(60).collect()));
        }
    }
}

/// The first number of an expression that loses digits.
pub(super) fn lossy_in_expression(text: &str) -> Option<String> {
    let expression = hcl::edit::parser::parse_expr(text).ok()?;
    let mut lossy = Lossy::of(text);
    lossy.visit_expr(&expression);
    lossy.found.into_iter().next().map(|(_, written)| written)
}

/// Reads YAML (and so JSON) in which no mapping has a key twice; libraries keep the last one in silence.
pub fn from_yaml<T: DeserializeOwned>(text: &str) -> Result<T, yaml_serde::Error> {
    Strict("the document")
        .deserialize(yaml_serde::Deserializer::from_str(yaml::checked::<yaml_serde::Error>(text)?))?;
    yaml_serde::from_str(text)
}

/// The same of values, in which no number loses digits either.
pub(super) fn values(text: &str) -> Result<Value, yaml_serde::Error> {
    let value = Strict("the document")
        .deserialize(yaml_serde::Deserializer::from_str(yaml::checked::<yaml_serde::Error>(text)?))?;
    if has_float(&value) {
        Written(&value).deserialize(yaml_serde::Deserializer::from_str(text))?;
    }
    Ok(value)
}

/// The same of values in JSON, which is read as JSON: YAML has other numbers, and does not know all escapes of JSON.
pub(super) fn json_values(text: &str) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict("the document").deserialize(&mut reader)?;
    reader.end()?;
    match lossy_in_json(text) {
        Some(number) => Err(serde_json::Error::custom(ValueError::Inexact(number))),
        None => Ok(value),
    }
}

/// The first number of a JSON document that loses digits.
fn lossy_in_json(text: &str) -> Option<String> {
    // Outside of strings: every second piece, once escapes are gone.
    let unescaped = text.replace("\\\\", "").replace("\\\"", "");
    let is_separator = |c: char| !c.is_ascii_digit() && !matches!(c, '-' | '+' | '.' | 'e' | 'E');
    let words = unescaped.split('"').step_by(2).flat_map(|piece| piece.split(is_separator));
    let mut numbers = words.filter(|word| word.starts_with(|c: char| c == '-' || c.is_ascii_digit()));
    numbers.find(|word| !is_kept(word)).map(|word| word.chars().take(60).collect())
}

/// Whether a number of JSON is kept as its text says.
fn is_kept(text: &str) -> bool {
    let Ok(number) = serde_json::from_str::<serde_json::Number>(text) else { return false };
    let whole = number.as_u64().map(Number::from).or_else(|| number.as_i64().map(Number::from));
    let kept = whole.or_else(|| number.as_f64().and_then(Number::from_f64));
    kept.is_some_and(|kept| is_exact(text, &kept))
}

fn has_float(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_float),
        Value::Object(members) => members.values().any(has_float),
        _ => false,
    }
}

/// Reads any value of this name, and refuses a key that is there twice and numbers that are none.
struct Strict<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plain value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Value, E> {
        Err(E::custom(ValueError::Inexact(value.to_string())))
    }
    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Value, E> {
        Err(E::custom(ValueError::Inexact(value.to_string())))
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        // JSON has no such numbers, and `null` in their place would take the value away.
        if value.is_finite() { Ok(value.into()) } else { Err(E::custom(ValueError::NotFinite(self.0.to_owned()))) }
    }
    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Strict(self.0))? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = serde_json::Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(ValueError::Twice(key)));
            }
            let value = members.next_value_seed(Strict(&key))?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// Reads a document again, whose values are known, for the letters of its numbers.
struct Written<'v>(&'v Value);

impl<'de> DeserializeSeed<'de> for Written<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.0 {
            Value::Number(number) if number.is_f64() => deserializer.deserialize_str(self),
            Value::Array(_) => deserializer.deserialize_seq(self),
            Value::Object(_) => deserializer.deserialize_map(self),
            _ => deserializer.deserialize_ignored_any(IgnoredAny).map(drop),
        }
    }
}

impl<'de> Visitor<'de> for Written<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value that was read before")
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        let number = self.0.as_f64().and_then(Number::from_f64);
        match number.is_none_or(|number| is_exact(text, &number)) {
            true => Ok(()),
            false => Err(E::custom(ValueError::Inexact(text.chars().take(60).collect()))),
        }
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        for known in self.0.as_array().into_iter().flatten() {
            items.next_element_seed(Written(known))?;
        }
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(key) = members.next_key::<String>()? {
            members.next_value_seed(Written(self.0.get(&key).unwrap_or(&Value::Null)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_with_their_letters() {
        for (text, exact) in [
            ("18446744073709551615", true),
            ("18446744073709551616", false),
            ("9007199254740993", true),
            ("9007199254740993.0", false),
            ("9007199254740993.5", false),
            ("0.1", true),
            ("1.10", true),
            ("0.12345678901234567890", false),
            ("1e21", true),
            ("1.5e3", true),
            ("100000000000000000000001", false),
            ("000", true),
        ] {
            let number = text.parse::<hcl::Expression>().ok();
            let Some(hcl::Expression::Number(number)) = number else { continue };
            assert_eq!(is_exact(text, &number), exact, "{text}");
        }
        assert_eq!(lossy_in_expression("[1, { a = 18446744073709551617 }]"), Some("18446744073709551617".to_owned()));
        assert_eq!(lossy_in_expression("[1, -2.5]"), None);
    }

    /// `.nan` became null, which took the value of the layers below away.
    #[test]
    fn numbers_that_are_none_are_refused_with_their_name_and_line() {
        for number in [".nan", ".NaN", ".inf", "-.inf", "+.Inf"] {
            for text in [format!("a: 1\nmemory_mib: {number}"), format!("a: 1\nmemory_mib: {{b: [1, {number}]}}")] {
                let error = values(&text).unwrap_err().to_string();
                let name = if text.contains("{b") { "\"b\"" } else { "\"memory_mib\"" };
                assert!(error.contains(name) && error.contains("line 2"), "{text}: {error}");
                assert!(from_yaml::<Value>(&text).is_err(), "{text}");
            }
        }
    }

    /// JSON was read as YAML: `.nan` was taken, `1e400` became a text, and `0x1F` 31.
    #[test]
    fn json_is_read_as_json() {
        for text in
            ["{\"a\": .nan}", "{\"a\": 1e400}", "{\"a\": 0x1F}", "{a: 1}", "{\"a\": 1} {}", "a: 1", "{\"a\": 1,}"]
        {
            assert!(json_values(text).is_err(), "{text}");
        }
        for number in ["18446744073709551616", "9007199254740993.5", "-9223372036854775809"] {
            let error = json_values(&format!("{{\"a\\\"\\\\\": [\"1.{number}\", {number}]}}")).unwrap_err().to_string();
            assert!(error.contains(&format!("the number {number} loses digits")), "{error}");
        }
        let kept =
            "{\"a\": [1, -2.5e3, true, null], \"9007199254740993.5\": \"\\ud83d\\ude00 \\\" 9007199254740993.5\"}";
        assert_eq!(json_values(kept).unwrap(), serde_json::from_str::<Value>(kept).unwrap());
    }

    #[test]
    fn values_are_read_to_the_letter_or_refused() {
        for text in ["a: 1\na: 2", "a: {b: 1, b: 2}", "{\"a\": 1, \"a\": 2}", "- {a: 1, a: 1}"] {
            assert!(values(text).unwrap_err().to_string().contains("appears twice"), "{text}");
        }
        let lossy =
            ["18446744073709551616", "9007199254740993.5", "[0.1, 100000000000000000000001]", "-9223372036854775809"];
        for text in lossy {
            let error = values(&format!("a: {text}")).unwrap_err().to_string();
            assert!(error.contains("loses digits"), "{text}: {error}");
        }
        let kept =
            "a: 18446744073709551615\nb: [0.5, 1.10, 1e3]\nc: 0x10\nd: {e: '9007199254740993.5'}\nf: &x 0.25\ng: *x\n";
        assert_eq!(
            values(kept).unwrap(),
            serde_json::json!({"a": u64::MAX, "b": [0.5, 1.1, 1000.0], "c": 16, "d": {"e": "9007199254740993.5"}, "f": 0.25, "g": 0.25})
        );
    }
}
