//! The watermark of a member: torn writes, flipped bits, and votes that a crash interrupts.

use std::fs;

use super::*;
use swoosh_types::cluster::{Ballot, DirectoryId, MemberId, Position};

fn pledge(index: u64, term: u64) -> Pledge {
    let ballot = Some(Ballot { term, member: MemberId(2), elected: false });
    let end = Some(Position { term: 1, index });
    Pledge {
        directory: DirectoryId([7; 16]),
        boot: 3,
        nonce: [9; 16],
        end,
        row: Hash::of(&index.to_be_bytes()),
        ballot,
    }
}

fn mark(index: u64, term: u64) -> Mark {
    let member = Some(pledge(index, term));
    let sides = Sides { number: 1, link: Hash::of(b"side") };
    Mark { sequence: 0, index, chain: Hash::of(b"chain"), incarnation: 1, sides, member }
}

/// A member's watermark that promises row 5 with a vote of term 4 in both slots, and row 6 and then row 7 after it.
fn promised() -> (tempfile::TempDir, Place, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let place = Place::directory(directory.path().join("journal"));
    let mut watermark = Watermark::create(&place, mark(5, 3)).unwrap();
    watermark.advance_vote((5, mark(5, 4).chain), pledge(5, 4)).unwrap();
    for index in [6, 7] {
        watermark.advance_log((index, mark(index, 4).chain), pledge(index, 4)).unwrap();
    }
    let bytes = fs::read(place.watermark()).unwrap();
    (directory, place, bytes)
}

fn read_as(place: &Place, bytes: &[u8]) -> Result<Mark, WatermarkError> {
    newest(bytes, place.watermark()).map(|found| found.mark)
}

#[test]
fn a_member_s_promises_are_read_back_as_written() {
    let (_directory, place, bytes) = promised();
    assert_eq!(read_as(&place, &bytes), Ok(Mark { sequence: 4, ..mark(7, 4) }));
    for pledge in [Pledge { end: None, ballot: None, ..pledge(0, 0) }, pledge(u64::MAX, u64::MAX)] {
        let mark = Mark { member: Some(pledge), ..mark(7, 4) };
        assert_eq!(decode(&encode(&mark)), Some(mark));
    }
}

/// A program that knows no cluster must not take a member's watermark for a damaged one: it would advise to accept a loss.
#[test]
fn a_program_that_knows_no_cluster_reads_the_first_part() {
    let sector = encode(&mark(7, 4));
    let older = [&sector[..pledge::AT], &[0; WRITTEN_BYTES - pledge::AT]].concat();
    assert_eq!(decode(&older), Some(Mark { member: None, ..mark(7, 4) }));
    let alone = encode(&Mark { member: None, ..mark(7, 4) });
    assert_eq!(alone.as_slice(), older, "and a node that runs alone writes nothing else");
}

/// One flipped bit would bring back an older vote, and with it a second leader of one term.
#[test]
fn no_flipped_bit_takes_a_promise_back() {
    let (_directory, place, bytes) = promised();
    for bit in 0..bytes.len() * 8 {
        let mut struck = bytes.clone();
        struck[bit / 8] ^= 1 << (bit % 8);
        let found = read_as(&place, &struck).unwrap();
        assert_eq!(found, Mark { sequence: 4, ..mark(7, 4) }, "bit {bit}");
    }
}

/// Two damaged sectors of one slot are more than a torn write: the other slot alone might hold an older vote.
#[test]
fn a_slot_that_cannot_be_read_is_refused() {
    let (_directory, place, bytes) = promised();
    for slot in [0, SLOT_BYTES] {
        let mut struck = bytes.clone();
        struck[slot + 30] ^= 1;
        struck[slot + WRITTEN_BYTES + pledge::AT + 30] ^= 1;
        assert!(matches!(read_as(&place, &struck), Err(WatermarkError::OneSlot { .. })), "slot at {slot}");
        struck[SLOT_BYTES - slot + 30] ^= 1;
        struck[SLOT_BYTES - slot + WRITTEN_BYTES + 30] ^= 1;
        assert!(!read_as(&place, &struck).is_ok_and(|mark| mark.member.is_some()), "not a member's");
    }
    assert!(read_as(&place, &bytes[..SLOT_BYTES]).is_err(), "a file that was cut");
}

/// The state before a write, and its bytes.
fn write(bytes: &[u8], mark: &Mark, slot: usize, length: usize) -> Vec<u8> {
    let mut file = bytes.to_vec();
    let content = [encode(mark); 2].concat();
    file.splice(slot * SLOT_BYTES..slot * SLOT_BYTES + length, content[..length].iter().copied());
    file
}

/// Wherever power is lost while a slot is written, the member starts, with what was promised before or with what was being promised.
#[test]
fn a_torn_write_at_any_byte_leaves_the_old_promise_or_the_new_one() {
    let (_directory, place, bytes) = promised();
    let (old, new) = (Mark { sequence: 4, ..mark(7, 4) }, Mark { sequence: 5, ..mark(8, 4) });
    let slot = 1 - read_file_slot(&place);
    for length in 0..=2 * WRITTEN_BYTES {
        let found = read_as(&place, &write(&bytes, &new, slot, length)).unwrap();
        assert!(found == old || (found == new && length > 250), "{length} bytes: {found:?}");
    }
    // The second sector may reach the disk before the first one.
    let whole = write(&bytes, &new, slot, 2 * WRITTEN_BYTES);
    let mut second = bytes.clone();
    let at = slot * SLOT_BYTES + WRITTEN_BYTES;
    second.splice(at..at + WRITTEN_BYTES, whole[at..at + WRITTEN_BYTES].iter().copied());
    assert_eq!(read_as(&place, &second), Ok(new));
}

fn read_file_slot(place: &Place) -> usize {
    read(place).unwrap().unwrap().slot
}

/// A vote that was answered is in both slots; one that was not may be lost, but never half.
#[test]
fn a_vote_interrupted_at_any_byte_is_the_old_one_or_the_new_one_and_an_answered_one_survives_either_slot() {
    let (_directory, place, bytes) = promised();
    let first = 1 - read_file_slot(&place);
    let step = |sequence| Mark { sequence, ..mark(7, 9) };
    let half = write(&bytes, &step(5), first, 2 * WRITTEN_BYTES);
    for length in 0..=2 * WRITTEN_BYTES {
        let found = read_as(&place, &write(&half, &step(6), 1 - first, length)).unwrap();
        assert_eq!(found.member.unwrap().ballot, step(5).member.unwrap().ballot, "{length} bytes");
    }
    let whole = write(&half, &step(6), 1 - first, 2 * WRITTEN_BYTES);
    for slot in [0, 1] {
        // The slot goes back to what it was before the vote: the other one has the vote.
        let mut struck = whole.clone();
        let range = slot * SLOT_BYTES..(slot + 1) * SLOT_BYTES;
        struck.splice(range.clone(), bytes[range].iter().copied());
        let found = read_as(&place, &struck).unwrap();
        assert_eq!(found.member.unwrap().ballot, step(5).member.unwrap().ballot, "slot {slot}");
    }
}

/// As the disk has it after `advance_vote`: each slot alone has the vote.
#[test]
fn a_vote_is_in_both_slots_when_it_is_given() {
    let (_directory, place, before) = promised();
    let mut watermark = Watermark::open(&place, read(&place).unwrap().unwrap()).unwrap();
    watermark.advance_vote((7, mark(7, 9).chain), pledge(7, 9)).unwrap();
    let after = fs::read(place.watermark()).unwrap();
    for slot in [0, 1] {
        let range = slot * SLOT_BYTES..(slot + 1) * SLOT_BYTES;
        assert_ne!(after[range.clone()], before[range.clone()]);
        let struck = [&after[range.clone()], &before[range.clone()]].concat();
        assert_eq!(read_as(&place, &struck).unwrap().member, Some(pledge(7, 9)), "slot {slot}");
    }
}

#[test]
fn side_writes_of_a_member_keep_its_promises() {
    let (_directory, place, _) = promised();
    let mut watermark = Watermark::open(&place, read(&place).unwrap().unwrap()).unwrap();
    watermark.advance((8, Hash::of(b"8")), Sides { number: 2, link: Hash::ZERO }).unwrap();
    assert_eq!(read(&place).unwrap().unwrap().mark.member, Some(pledge(7, 4)));
}
