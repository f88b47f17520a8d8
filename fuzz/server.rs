//! The ways in whose readers stand beside RocksDB and the other libraries of the daemon: they take long to build.

use swoosh::hybridcore::logs::Redactor;
use swoosh::hybridcore::packer::{machine, manifest};
use swoosh::hybridcore::sources::address::{Address, Role};
use swoosh::journal::Snapshot;
use swoosh::types::canonical::{canonical_bytes, from_canonical};
use swoosh::types::text::GitRef;

/// A snapshot is read as what it was written from.
pub fn snapshot(bytes: &[u8]) {
    let Ok(snapshot) = from_canonical::<Snapshot>(bytes) else { return };
    assert_eq!(from_canonical::<Snapshot>(&canonical_bytes(&snapshot)).ok(), Some(snapshot));
}

/// What git is handed is never an option, never leaves its scheme, and holds no password.
pub fn git(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for role in [Role::Source, Role::Mirror] {
        let Ok(address) = Address::parse(text, role) else { continue };
        assert!(!address.as_str().starts_with('-') && !address.host_and_path().starts_with('-'));
        assert!(["https", "ssh", "file", "http"].contains(&address.scheme()));
        assert!(!address.as_str().bytes().any(|byte| byte.is_ascii_control() || byte == b' '));
    }
    if let Ok(reference) = text.parse::<GitRef>() {
        let reference = reference.as_str();
        assert!(!reference.starts_with('-') && !reference.contains("..") && !reference.contains('\0'));
    }
}

/// Every line that a program writes is one of packer's records or is not.
pub fn packer(bytes: &[u8]) {
    for line in String::from_utf8_lossy(bytes).lines() {
        let _ = machine::parse(line);
    }
    let _ = manifest::parse(bytes, "run");
}

/// A secret that is known stands in no line afterwards.
pub fn redactor(bytes: &[u8]) {
    const SECRET: &str = "hunter2-hunter2";
    let text = String::from_utf8_lossy(bytes);
    let redactor = Redactor::new([SECRET.to_owned()]);
    let cleaned = redactor.clean(&text);
    assert!(!cleaned.contains(SECRET), "of {text:?}");
    let around = redactor.clean(&format!("{text}{SECRET}{text}"));
    assert!(!around.contains(SECRET), "around {text:?}");
}
