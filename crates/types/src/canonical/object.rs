//! Objects: written as their members arrive, put in order when they end.

use serde::{Serialize, ser};

use super::CanonicalError;
use super::serializer::Writer;
use crate::json::write_string;

/// A member of an open object: where its parts stand in the output.
#[derive(Clone, Copy)]
pub(super) struct Member {
    /// First byte of the key, behind the quote.
    key: usize,
    /// The quote after the key.
    key_end: usize,
    /// Behind the last byte of the value.
    end: usize,
}

impl Member {
    /// The escaped key in the output.
    fn key(self, out: &[u8]) -> &[u8] {
        &out[self.key..self.key_end]
    }

    /// Key, colon and value.
    fn whole(self, out: &[u8]) -> &[u8] {
        &out[self.key - 1..self.end]
    }
}

/// An object that is being written.
pub(super) struct Object<'w> {
    writer: &'w mut Writer,
    /// Number of members of the objects around this one.
    outer: usize,
    close: &'static [u8],
    /// Whether every key so far is ASCII without escapes, so that bytes order like UTF-16 code units.
    plain: bool,
    /// Whether every key so far is greater than the one before, by bytes.
    ascending: bool,
}

impl<'w> Object<'w> {
    /// Opens an object that `close` will end.
    pub(super) fn open(writer: &'w mut Writer, close: &'static [u8]) -> Object<'w> {
        writer.out.push(b'{');
        let outer = writer.members.len();
        Object { writer, outer, close, plain: true, ascending: true }
    }

    /// Writes the comma before a key; says where the key begins, its quote included.
    fn begin_key(&mut self) -> usize {
        if self.writer.members.len() > self.outer {
            self.writer.out.push(b',');
        }
        self.writer.out.len()
    }

    /// Takes note of the key that was written from `start` on.
    fn end_key(&mut self, start: usize) {
        let Writer { out, members, .. } = &mut *self.writer;
        let member = Member { key: start + 1, key_end: out.len() - 1, end: 0 };
        let key = member.key(out);
        self.plain &= key.is_ascii() && !key.contains(&b'\\');
        self.ascending &= members[self.outer..].last().is_none_or(|before| before.key(out) < key);
        members.push(member);
        out.push(b':');
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CanonicalError> {
        value.serialize(&mut *self.writer)?;
        let end = self.writer.out.len();
        if let Some(member) = self.writer.members.last_mut() {
            member.end = end;
        }
        Ok(())
    }

    fn close(self) -> Result<(), CanonicalError> {
        if !(self.plain && self.ascending) {
            self.writer.put_in_order(self.outer, self.plain)?;
        }
        self.writer.members.truncate(self.outer);
        self.writer.out.extend_from_slice(self.close);
        Ok(())
    }
}

impl Writer {
    /// Sorts the members of the innermost object and moves their bytes.
    fn put_in_order(&mut self, outer: usize, plain: bool) -> Result<(), CanonicalError> {
        let Writer { out, members, scratch, .. } = self;
        let members = &mut members[outer..];
        let (Some(first), Some(last)) = (members.first(), members.last()) else { return Ok(()) };
        let area = first.key - 1..last.end;
        if plain {
            members.sort_unstable_by(|a, b| a.key(out).cmp(b.key(out)));
        } else {
            sort_by_code_units(members, out)?;
        }
        refuse_duplicates(members, out)?;
        scratch.clear();
        for (n, member) in members.iter().enumerate() {
            if n > 0 {
                scratch.push(b',');
            }
            scratch.extend_from_slice(member.whole(out));
        }
        out[area].copy_from_slice(scratch);
        Ok(())
    }
}

/// RFC 8785 §3.2.3 sorts by UTF-16 code units of the keys without their escapes.
fn sort_by_code_units(members: &mut [Member], out: &[u8]) -> Result<(), CanonicalError> {
    let code_units = |member: &Member| {
        let key: String = serde_json::from_slice(&out[member.key - 1..=member.key_end])?;
        Ok((key.encode_utf16().collect::<Vec<u16>>(), *member))
    };
    let decoded: serde_json::Result<Vec<_>> = members.iter().map(code_units).collect();
    let mut decoded = decoded.map_err(|error| CanonicalError::Other(error.to_string()))?;
    decoded.sort_by(|a, b| a.0.cmp(&b.0));
    for (member, (_, sorted)) in members.iter_mut().zip(decoded) {
        *member = sorted;
    }
    Ok(())
}

/// Equal keys stand side by side now; the writer escapes in one way only, so bytes tell.
fn refuse_duplicates(members: &[Member], out: &[u8]) -> Result<(), CanonicalError> {
    match members.windows(2).find(|pair| pair[0].key(out) == pair[1].key(out)) {
        Some(pair) => Err(CanonicalError::DuplicateKey(String::from_utf8_lossy(pair[0].key(out)).into_owned())),
        None => Ok(()),
    }
}

impl ser::SerializeMap for Object<'_> {
    type Ok = ();
    type Error = CanonicalError;

    /// The key is written as any value is; then it must have become a string, or be made one.
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), CanonicalError> {
        let start = self.begin_key();
        key.serialize(&mut *self.writer)?;
        let out = &mut self.writer.out;
        match out.get(start) {
            Some(b'"') => {}
            Some(b'0'..=b'9') => {
                out.insert(start, b'"');
                out.push(b'"');
            }
            _ => return Err(CanonicalError::Key(String::from_utf8_lossy(&out[start..]).into_owned())),
        }
        self.end_key(start);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CanonicalError> {
        self.value(value)
    }

    fn end(self) -> Result<(), CanonicalError> {
        self.close()
    }
}

impl ser::SerializeStruct for Object<'_> {
    type Ok = ();
    type Error = CanonicalError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), CanonicalError> {
        let start = self.begin_key();
        write_string(key, &mut self.writer.out);
        self.end_key(start);
        self.value(value)
    }

    fn end(self) -> Result<(), CanonicalError> {
        self.close()
    }
}

impl ser::SerializeStructVariant for Object<'_> {
    type Ok = ();
    type Error = CanonicalError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), CanonicalError> {
        ser::SerializeStruct::serialize_field(self, key, value)
    }

    fn end(self) -> Result<(), CanonicalError> {
        self.close()
    }
}
