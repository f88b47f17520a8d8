//! The binary frame around a record in the `wal` family.
//!
//! ```text
//! 1 byte   version of the frame
//! 32 bytes link of the chain
//! 4 bytes  length of the seal, big-endian; then the batch's seal in canonical JSON
//! 2 bytes  length of the path in hashes, big-endian; then the hashes, from the bottom up
//! the rest the record's canonical bytes, which the chain is built over
//! ```

use super::error::ReadError;
use swoosh_types::canonical::from_checked;
use swoosh_types::hash::Hash;
use swoosh_types::json::MAX_INTEGER;
use swoosh_types::receipt::{BatchSeal, Receipt};
use swoosh_types::record::{Passage, Record};

const VERSION: u8 = 1;

/// A record of the WAL, with the data from which its receipt is rebuilt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    pub record: Record,
    /// Its canonical bytes as stored.
    pub encoded: Vec<u8>,
    /// Its link in the chain.
    pub chain: Hash,
    /// The signed root of the batch that it was committed in.
    pub seal: BatchSeal,
    /// Path from its leaf to that root.
    pub path: Vec<Hash>,
}

impl StoredRecord {
    /// Reads the frame at `index`, as a row of a cluster's log has it. Its link and its seal are not checked.
    pub fn read(index: u64, frame: &[u8]) -> Result<StoredRecord, ReadError> {
        let frame = Frame::parse(index, frame)?;
        frame.stored(frame.decode_record()?)
    }

    /// The receipt, the same bytes as when it was first given.
    pub fn receipt(&self) -> Receipt {
        Receipt::of(&self.record, self.chain, self.path.clone(), self.seal.clone())
    }
}

/// Writes a frame; `seal` is the seal's canonical JSON, the same for a whole batch.
pub(super) fn encode(chain: &Hash, seal: &[u8], path: &[Hash], record: &[u8]) -> Option<Vec<u8>> {
    let seal_length = u32::try_from(seal.len()).ok()?;
    let path_length = u16::try_from(path.len()).ok()?;
    let mut frame = Vec::with_capacity(39 + seal.len() + 32 * path.len() + record.len());
    frame.push(VERSION);
    frame.extend_from_slice(chain.as_bytes());
    frame.extend_from_slice(&seal_length.to_be_bytes());
    frame.extend_from_slice(seal);
    frame.extend_from_slice(&path_length.to_be_bytes());
    path.iter().for_each(|hash| frame.extend_from_slice(hash.as_bytes()));
    frame.extend_from_slice(record);
    Some(frame)
}

/// The parts of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) index: u64,
    pub(super) chain: Hash,
    pub(super) seal: &'a [u8],
    pub(super) path: &'a [u8],
    pub(super) record: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Splits the frame at `index` into its parts.
    pub(super) fn parse(index: u64, bytes: &'a [u8]) -> Result<Frame<'a>, ReadError> {
        split(bytes).map_err(|what| ReadError::Frame { index, what }).map(|(chain, seal, path, record)| Frame {
            index,
            chain,
            seal,
            path,
            record,
        })
    }

    /// Checks the link between the record before and this one.
    pub(super) fn check_link(&self, previous: &Hash) -> Result<(), ReadError> {
        let expected = Record::chain(previous, self.record);
        if self.chain == expected {
            return Ok(());
        }
        Err(ReadError::Chain { index: self.index, expected, found: self.chain })
    }

    /// Decodes the record, which must have this index. A decoded record can be encoded again: its index is the only
    /// number that its type does not bound.
    pub(super) fn decode_record(&self) -> Result<Record, ReadError> {
        let index = self.index;
        if index > MAX_INTEGER {
            return Err(ReadError::Frame { index, what: "its index is over 2^53−1" });
        }
        let record: Record = from_checked(self.record).map_err(|source| ReadError::Record { index, source })?;
        if record.index != index {
            return Err(ReadError::Misplaced { index, found: record.index });
        }
        Ok(record)
    }

    /// Decodes as much of the record as reducing reads; it must be the one that belongs here.
    pub(super) fn decode_passage(&self) -> Result<Passage, ReadError> {
        let index = self.index;
        let passage = Passage::decode(self.record).map_err(|source| ReadError::Record { index, source })?;
        if passage.index != index {
            return Err(ReadError::Misplaced { index, found: passage.index });
        }
        Ok(passage)
    }

    /// Decodes everything around a record that is decoded already.
    pub(super) fn stored(&self, record: Record) -> Result<StoredRecord, ReadError> {
        let path = self.path.as_chunks::<32>().0.iter().map(|bytes| Hash::from_bytes(*bytes)).collect();
        let seal = self.read_seal()?;
        Ok(StoredRecord { record, encoded: self.record.to_vec(), chain: self.chain, seal, path })
    }

    fn read_seal(&self) -> Result<BatchSeal, ReadError> {
        let index = self.index;
        let seal: BatchSeal = from_checked(self.seal).map_err(|source| ReadError::Record { index, source })?;
        let batch = &seal.batch;
        if batch.first.max(batch.last).max(batch.term.unwrap_or_default()) > MAX_INTEGER {
            return Err(ReadError::Frame { index, what: "its seal names a number over 2^53−1" });
        }
        Ok(seal)
    }
}

type Parts<'a> = (Hash, &'a [u8], &'a [u8], &'a [u8]);

fn split(bytes: &[u8]) -> Result<Parts<'_>, &'static str> {
    let (version, rest) = bytes.split_first().ok_or("it is empty")?;
    if *version != VERSION {
        return Err("its version is not 1");
    }
    let (chain, rest) = rest.split_first_chunk::<32>().ok_or("it ends within the chain")?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or("it ends before the seal")?;
    let (seal, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or("it ends within the seal")?;
    let (length, rest) = rest.split_first_chunk::<2>().ok_or("it ends before the path")?;
    let path_bytes = usize::from(u16::from_be_bytes(*length)) * 32;
    let (path, record) = rest.split_at_checked(path_bytes).ok_or("it ends within the path")?;
    Ok((Hash::from_bytes(*chain), seal, path, record))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_give_back_their_parts_and_truncated_ones_are_refused() {
        let path = [Hash::of(b"a"), Hash::of(b"b")];
        let bytes = encode(&Hash::of(b"chain"), b"{}", &path, b"record").unwrap();
        let frame = Frame::parse(7, &bytes).unwrap();
        assert_eq!((frame.chain, frame.seal, frame.record), (Hash::of(b"chain"), &b"{}"[..], &b"record"[..]));
        assert_eq!(frame.path, [*path[0].as_bytes(), *path[1].as_bytes()].concat());
        let header = bytes.len() - b"record".len();
        for length in 0..header {
            assert!(matches!(Frame::parse(7, &bytes[..length]), Err(ReadError::Frame { index: 7, .. })), "{length}");
        }
    }
    #[test]
    fn numbers_that_have_no_canonical_form_are_refused_before_they_are_encoded_again() {
        let (key, chains) = (swoosh_types::keys::SecretKey::from_bytes(&[1; 32]), [Hash::of(b"chain")]);
        let sealed = swoosh_types::receipt::SealedBatch::seal(&"c".parse().unwrap(), &key, 7, &chains).unwrap();
        let seal = String::from_utf8(swoosh_types::canonical::canonical_bytes(&sealed.seal)).unwrap();
        let read = |seal: &str, index: u64| {
            let bytes = encode(&chains[0], seal.as_bytes(), &[], b"record").unwrap();
            let frame = Frame::parse(index, &bytes).unwrap();
            (frame.decode_record().unwrap_err(), frame.read_seal())
        };
        assert!(matches!(read(&seal, 7), (ReadError::Record { .. }, Ok(_))));
        let (record, seal_read) = read(&seal.replace("\"last\":7", "\"last\":9007199254740992"), 1 << 53);
        assert!(matches!(record, ReadError::Frame { .. }), "{record}");
        assert!(matches!(seal_read, Err(ReadError::Frame { .. })), "{seal_read:?}");
    }
}
