//! Lines written without the subscriber's formatter, byte for byte as it writes them.

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use swoosh_types::civil::rfc3339;
use swoosh_types::record::Record;

/// Appends the line of an accepted transition. None of its texts needs an escape: they are names of bounded
/// alphabets, hashes, clocks and keys.
pub(super) fn transition_accepted(record: &Record, line: &mut Vec<u8>) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = rfc3339(u64::try_from(since.as_millis()).unwrap_or(0));
    // As far as the milliseconds; the formatter tells microseconds.
    let (time, micros) = (now.get(..23).unwrap_or_default(), since.subsec_micros() % 1_000);
    let window_id = record.window_id.map(|window| window.to_string()).unwrap_or_default();
    // Writing to memory does not fail.
    let _ = writeln!(
        line,
        r#"{{"timestamp":"{time}{micros:03}Z","level":"INFO","message":"transition accepted","project":"{}","index":{},"transition":"{}","state_pre_hash":"{}","state_post_hash":"{}","hlc":"{}","window_id":"{window_id}","signer":"{}","target":"swoosh::transition"}}"#,
        record.project,
        record.index,
        record.transition,
        record.state_pre_hash,
        record.state_post_hash,
        record.hlc,
        record.signer,
    );
}
