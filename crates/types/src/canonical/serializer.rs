//! The serde serializer behind canonical bytes: everything goes straight into one buffer.

use std::fmt::{self, Display, Write as _};

use serde::{Serialize, Serializer, ser};

use super::CanonicalError;
use super::object::{Member, Object};
use crate::json::{MAX_INTEGER, write_escaped, write_integer, write_string};

/// The output, and the positions that are needed to sort objects.
pub(super) struct Writer {
    pub(super) out: Vec<u8>,
    /// Members of the objects that are open, the innermost object's last.
    pub(super) members: Vec<Member>,
    /// Where an object's members are put in order.
    pub(super) scratch: Vec<u8>,
}

impl Default for Writer {
    fn default() -> Writer {
        Writer { out: Vec::with_capacity(512), members: Vec::with_capacity(16), scratch: Vec::new() }
    }
}

impl Writer {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.out
    }

    /// Resets it, also after a failed write.
    pub(super) fn clear(&mut self) {
        self.out.clear();
        self.members.clear();
    }

    fn text(&mut self, text: &[u8]) -> Result<(), CanonicalError> {
        self.out.extend_from_slice(text);
        Ok(())
    }

    /// Opens `{"Variant":`, which is how serde_json writes variants that hold something.
    fn open_variant(&mut self, variant: &str) {
        self.out.push(b'{');
        write_string(variant, &mut self.out);
        self.out.push(b':');
    }

    fn open_list(&mut self, close: &'static [u8]) -> List<'_> {
        self.out.push(b'[');
        List { writer: self, close, empty: true }
    }
}

impl ser::Error for CanonicalError {
    fn custom<T: Display>(message: T) -> CanonicalError {
        CanonicalError::Other(message.to_string())
    }
}

/// Escapes what a `Display` writes.
struct Escaped<'o>(&'o mut Vec<u8>);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_escaped(text, self.0);
        Ok(())
    }
}

/// Whole numbers of every width.
macro_rules! whole_numbers {
    ($($method:ident: $number:ty),*) => {
        $(fn $method(self, number: $number) -> Result<(), CanonicalError> {
            match u64::try_from(number) {
                Ok(whole) if whole <= MAX_INTEGER => write_integer(whole, &mut self.out),
                _ => return Err(CanonicalError::Number(number.to_string())),
            }
            Ok(())
        })*
    };
}

impl<'w> Serializer for &'w mut Writer {
    type Ok = ();
    type Error = CanonicalError;
    type SerializeSeq = List<'w>;
    type SerializeTuple = List<'w>;
    type SerializeTupleStruct = List<'w>;
    type SerializeTupleVariant = List<'w>;
    type SerializeMap = Object<'w>;
    type SerializeStruct = Object<'w>;
    type SerializeStructVariant = Object<'w>;

    whole_numbers!(
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128,
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128
    );

    #[expect(clippy::disallowed_types, reason = "serde hands a float over as one, so that it can be refused")]
    fn serialize_f32(self, number: f32) -> Result<(), CanonicalError> {
        Err(CanonicalError::Number(format!("{number:?}")))
    }
    #[expect(clippy::disallowed_types, reason = "serde hands a float over as one, so that it can be refused")]
    fn serialize_f64(self, number: f64) -> Result<(), CanonicalError> {
        Err(CanonicalError::Number(format!("{number:?}")))
    }
    fn serialize_bool(self, value: bool) -> Result<(), CanonicalError> {
        self.text(if value { b"true" } else { b"false" })
    }
    fn serialize_char(self, value: char) -> Result<(), CanonicalError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, value: &str) -> Result<(), CanonicalError> {
        write_string(value, &mut self.out);
        Ok(())
    }
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), CanonicalError> {
        self.out.push(b'"');
        write!(Escaped(&mut self.out), "{value}").map_err(ser::Error::custom)?;
        self.out.push(b'"');
        Ok(())
    }
    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), CanonicalError> {
        self.collect_seq(bytes)
    }
    fn serialize_none(self) -> Result<(), CanonicalError> {
        self.text(b"null")
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), CanonicalError> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<(), CanonicalError> {
        self.text(b"null")
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), CanonicalError> {
        self.text(b"null")
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), CanonicalError> {
        self.serialize_str(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), CanonicalError> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), CanonicalError> {
        self.open_variant(variant);
        value.serialize(&mut *self)?;
        self.text(b"}")
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<List<'w>, CanonicalError> {
        Ok(self.open_list(b"]"))
    }
    fn serialize_tuple(self, _: usize) -> Result<List<'w>, CanonicalError> {
        Ok(self.open_list(b"]"))
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List<'w>, CanonicalError> {
        Ok(self.open_list(b"]"))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List<'w>, CanonicalError> {
        self.open_variant(variant);
        Ok(self.open_list(b"]}"))
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Object<'w>, CanonicalError> {
        Ok(Object::open(self, b"}"))
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Object<'w>, CanonicalError> {
        Ok(Object::open(self, b"}"))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Object<'w>, CanonicalError> {
        self.open_variant(variant);
        Ok(Object::open(self, b"}}"))
    }
}

/// An array that is being written.
pub(super) struct List<'w> {
    writer: &'w mut Writer,
    close: &'static [u8],
    empty: bool,
}

/// All kinds of arrays are written alike.
macro_rules! lists {
    ($($kind:ident $method:ident),*) => {
        $(impl ser::$kind for List<'_> {
            type Ok = ();
            type Error = CanonicalError;

            fn $method<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), CanonicalError> {
                if !std::mem::replace(&mut self.empty, false) {
                    self.writer.out.push(b',');
                }
                item.serialize(&mut *self.writer)
            }

            fn end(self) -> Result<(), CanonicalError> {
                self.writer.text(self.close)
            }
        })*
    };
}

lists!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);
