//! Parsers of untrusted bytes, and invariants that hold for any input.
//!
//! Each entry is fed by the fuzzer (`fuzz_targets/`) and, from the kept corpus and mutations of it, by the
//! integration tests (`tests/integration/fuzz.rs`). An entry panics when a promise is broken.

use swoosh_types::canonical::{canonical_bytes, from_canonical, from_slice};
use swoosh_types::feed::FeedPage;
use swoosh_types::hlc::Hlc;
use swoosh_types::json::Json;
use swoosh_types::receipt::Receipt;
use swoosh_types::record::{Passage, Record};
use swoosh_types::ucxl::{Ucxl, normal_form};

#[cfg(feature = "machine")]
pub mod machine;
#[cfg(feature = "server")]
pub mod server;

/// One way in.
pub type Entry = fn(&[u8]);

/// The stack that an entry gets, in bytes: that of the daemon's threads. A reader that recurses further than this ends the
/// process, which the fuzzer and the tests report.
pub const STACK: usize = 2 << 20;

/// Runs an entry on a thread with a stack of [`STACK`] bytes.
pub fn bounded(entry: Entry, bytes: &[u8]) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || entry(bytes));
        thread.expect("a thread").join().expect("the promise of the entry");
    });
}

/// Every way in, by the name of its target and of its folder in the corpus.
pub const ENTRIES: &[(&str, Entry)] = &[
    ("json", json),
    ("canonical", canonical),
    ("hlc", hlc),
    ("record", record),
    ("receipt", receipt),
    ("ucxl", ucxl),
    #[cfg(feature = "machine")]
    ("envelope", machine::envelope),
    #[cfg(feature = "machine")]
    ("headers", machine::headers),
    #[cfg(feature = "machine")]
    ("policy", machine::policy),
    ("feed", feed),
    #[cfg(feature = "server")]
    ("settings", server::settings),
    #[cfg(feature = "server")]
    ("snapshot", server::snapshot),
    #[cfg(feature = "server")]
    ("git", server::git),
    #[cfg(feature = "server")]
    ("packer", server::packer),
    #[cfg(feature = "server")]
    ("redactor", server::redactor),
    #[cfg(feature = "server")]
    ("mcp", server::mcp),
    #[cfg(feature = "server")]
    ("yaml", server::yaml),
    #[cfg(feature = "server")]
    ("wire", server::wire),
];

/// A document that is accepted has one canonical form, which means the same and is its own canonical form.
pub fn json(bytes: &[u8]) {
    let Ok(document) = Json::parse(bytes) else { return };
    let canonical = document.canonical();
    assert_eq!(Json::parse(&canonical).as_ref(), Ok(&document), "the canonical form means something else");
    assert_eq!(Json::parse(&canonical).map(|again| again.canonical()), Ok(canonical));
}

/// A document is read from its canonical bytes as what it is, and from no more than those.
pub fn canonical(bytes: &[u8]) {
    let read = from_canonical::<Json>(bytes);
    let Ok(document) = Json::parse(bytes) else { return };
    let canonical = document.canonical();
    if canonical == bytes {
        assert_eq!(read.as_ref().ok(), Some(&document));
    }
    let more = [canonical.as_slice(), b"1"].concat();
    if let Ok(longer) = from_canonical::<Json>(&more) {
        assert_ne!(longer, document, "bytes after a document were passed over");
    }
    assert_eq!(from_canonical::<Json>(&canonical).ok(), Some(document));
}

/// A clock's text is the clock's only text.
pub fn hlc(bytes: &[u8]) {
    let Some(text) = std::str::from_utf8(bytes).ok() else { return };
    let Ok(clock) = text.parse::<Hlc>() else { return };
    assert_eq!(clock.to_string().parse(), Ok(clock));
    if let Ok(later) = clock.successor() {
        assert!(later > clock);
    }
    if let Ok(ticked) = clock.tick(clock.physical_ms() / 2) {
        assert!(ticked > clock, "a clock that is set back went back");
    }
}

/// A stored record is read as what it was written from, and replay reads of it what the record says.
pub fn record(bytes: &[u8]) {
    let passage = Passage::decode(bytes);
    let Ok(record) = from_canonical::<Record>(bytes) else { return };
    let encoded = record.encode();
    assert_eq!(from_canonical::<Record>(&encoded).ok().as_ref(), Some(&record));
    if encoded != bytes {
        return;
    }
    let passage = passage.expect("replay reads what the journal reads");
    assert_eq!((passage.index, passage.state_post_hash), (record.index, record.state_post_hash));
}

/// A receipt proves or does not; reading one never panics.
pub fn receipt(bytes: &[u8]) {
    let Ok(receipt) = from_slice::<Receipt>(bytes) else { return };
    let cluster = "test".parse().expect("a cluster's name");
    let _ = receipt.verify(&cluster);
    assert_eq!(from_slice::<Receipt>(&canonical_bytes(&receipt)).ok(), Some(receipt));
}

/// A page of another node's log is read as what it was written from; what its records say is checked without a panic.
pub fn feed(bytes: &[u8]) {
    let Ok(page) = from_slice::<FeedPage>(bytes) else { return };
    assert_eq!(from_slice::<FeedPage>(&canonical_bytes(&page)).ok().as_ref(), Some(&page));
    for entry in page.records {
        let message = entry.record.proposal(entry.inputs).proposal.message(&page.cluster);
        let _ = entry.record.signer.verify(&message, &entry.record.signature);
        let _ = Receipt::of(&entry.record, entry.chain, entry.path, entry.seal).verify(&page.cluster);
    }
}

/// An address's normal form is an address, and its own normal form.
pub fn ucxl(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(address) = Ucxl::parse(text) {
        assert_eq!(Ucxl::parse(&address.to_string()).map(|again| again.to_string()), Ok(address.to_string()));
    }
    let Ok(normal) = normal_form(text) else { return };
    assert_eq!(normal_form(&normal).as_ref(), Ok(&normal), "of {text:?}");
}
