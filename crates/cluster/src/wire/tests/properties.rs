use proptest::prelude::*;

use super::any;
use crate::wire::{FrameBuffer, MAX_FRAME, decode, decode_handshake, encode, encode_handshake};

proptest! {
    #[test]
    fn a_message_is_decoded_as_it_was_encoded(message in any::message()) {
        prop_assert_eq!(decode(&encode(&message).unwrap()), Ok(message));
    }

    #[test]
    fn a_handshake_is_decoded_as_it_was_encoded(handshake in any::handshake()) {
        prop_assert_eq!(decode_handshake(&encode_handshake(&handshake).unwrap()), Ok(handshake));
    }

    /// A message that is cut off must never pass for a shorter one.
    #[test]
    fn a_frame_that_is_cut_off_is_refused(message in any::message(), cut in any::<prop::sample::Index>()) {
        let frame = encode(&message).unwrap();
        prop_assert!(decode(&frame[..cut.index(frame.len())]).is_err());
    }

    #[test]
    fn bytes_after_a_frame_are_refused(message in any::message(), more in 1_usize..9) {
        let mut frame = encode(&message).unwrap();
        frame.extend(vec![0; more]);
        prop_assert!(decode(&frame).is_err());
    }

    /// A flipped bit gives an error or another message, which has exactly these bytes. No two frames mean the same.
    #[test]
    fn a_frame_with_a_flipped_bit_is_refused_or_is_that_of_another_message(
        message in any::message(),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let mut frame = encode(&message).unwrap();
        let at = at.index(frame.len());
        frame[at] ^= 1 << bit;
        if let Ok(other) = decode(&frame) {
            prop_assert_ne!(&other, &message);
            prop_assert_eq!(encode(&other).unwrap(), frame);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_are_the_frame_of_a_message(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = decode(&bytes) {
            prop_assert_eq!(encode(&message).unwrap(), bytes.clone());
        }
        let _ = decode_handshake(&bytes);
    }

    /// The network cuts a stream anywhere.
    #[test]
    fn frames_are_found_however_the_stream_is_cut(
        messages in prop::collection::vec(any::message(), 1..4),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let stream: Vec<u8> = messages.iter().flat_map(|message| encode(message).unwrap()).collect();
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).chain([stream.len()]).collect();
        ends.sort_unstable();
        let (mut buffer, mut found, mut from) = (FrameBuffer::new(MAX_FRAME), Vec::new(), 0);
        for end in ends {
            buffer.extend(&stream[from..end]);
            from = end;
            while let Some(frame) = buffer.next_frame().unwrap() {
                found.push(decode(&frame).unwrap());
            }
        }
        prop_assert!(buffer.is_empty());
        prop_assert_eq!(found, messages);
    }
}
