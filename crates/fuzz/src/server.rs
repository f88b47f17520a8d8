//! The ways in whose readers stand beside RocksDB and the other libraries of the daemon: they take long to build.

use swoosh_cluster::wire::{FrameBuffer, MAX_FRAME, decode, decode_handshake, encode, encode_handshake};
use swoosh_facts::mcp;
use swoosh_facts::mcp::messages::{ServerJsonRpcMessage, ServerResult};
use swoosh_hybridcore::logs::Redactor;
use swoosh_hybridcore::packer::{machine, manifest};
use swoosh_hybridcore::sources::address::{Address, AddressError, Role};
use swoosh_journal::Snapshot;
use swoosh_settings::{Settings, schedule_of};
use swoosh_types::canonical::{canonical_bytes, from_canonical, to_json};
use swoosh_types::server_events::EventReader;
use swoosh_types::text::GitRef;
use swoosh_types::yaml::{self, YamlError};
use yaml_serde::Value;

/// Longest text that is parsed although the check refuses it: brackets cost the parser quadratic time.
const MOST_UNCHECKED: usize = 4 << 10;
/// Values for each byte of a text: the parser's own limit of aliases is 100.
const MOST_VALUES: usize = 128;

/// A snapshot is read as what it was written from.
pub fn snapshot(bytes: &[u8]) {
    let Ok(snapshot) = from_canonical::<Snapshot>(bytes) else { return };
    assert_eq!(from_canonical::<Snapshot>(&canonical_bytes(&snapshot)).ok(), Some(snapshot));
}

/// Arguments for git are never options, never leave their scheme, and hold no password.
pub fn git(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for role in [Role::Source, Role::Mirror] {
        let address = match Address::parse(text, role) {
            Ok(address) => address,
            Err(AddressError::Meant { instead, .. }) => {
                assert!(Address::parse(&instead, Role::Source).is_ok(), "a suggestion is no address");
                continue;
            }
            Err(_) => continue,
        };
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

/// A known secret is in no line afterwards.
pub fn redactor(bytes: &[u8]) {
    const SECRET: &str = "hunter2-hunter2";
    let text = String::from_utf8_lossy(bytes);
    let redactor = Redactor::new([SECRET.to_owned()]);
    let cleaned = redactor.clean(&text);
    assert!(!cleaned.contains(SECRET), "of {text:?}");
    let around = redactor.clean(&format!("{text}{SECRET}{text}"));
    assert!(!around.contains(SECRET), "around {text:?}");
}

/// Answers of an MCP server, one a line or one an event: each is read or refused, in pieces as in one, and a listing ends.
pub fn mcp(bytes: &[u8]) {
    let whole = EventReader::new(1 << 16).push(bytes);
    let mut reader = EventReader::new(1 << 16);
    let pieces: Result<Vec<_>, _> = bytes.chunks(7).map(|piece| reader.push(piece)).collect();
    assert_eq!(pieces.map(|events| events.concat()), whole, "events differ with the pieces that they come in");
    let events = whole.unwrap_or_default();
    let answers = bytes.split(|byte| *byte == b'\n').chain(events.iter().map(|event| event.data.as_bytes()));
    let mut listing = mcp::Listing::default();
    for answer in answers {
        let Ok(ServerJsonRpcMessage::Response(response)) = mcp::read_message(answer) else { continue };
        match response.result {
            ServerResult::InitializeResult(result) => {
                let Ok(identity) = mcp::identity(&result.server_info.name, &result.server_info.version) else {
                    continue;
                };
                let held = to_json(&(identity.server, identity.version));
                assert!(held.is_ok(), "no fact can hold the identity: {held:?}");
            }
            ServerResult::ListToolsResult(page) => {
                // A probe asks until there is no cursor; asked further, the same page must end the listing.
                let mut next = listing.add(page.clone());
                while let Ok(Some(_)) = next {
                    next = listing.add(page.clone());
                    assert!(listing.pages() <= mcp::MOST_PAGES, "a listing goes on");
                }
                listing = mcp::Listing::default();
            }
            _ => {}
        }
    }
}

/// Settings, and a window schedule, are read or refused, with the same result each time.
pub fn settings(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = schedule_of(text);
    let Ok(settings) = Settings::from_yaml(text) else { return };
    assert_eq!(Settings::from_yaml(text).ok().as_ref(), Some(&settings));
    let _ = settings.secret_references();
}

/// Bytes of a peer are refused, or are the one frame of a message. A stream is cut into frames without loss.
pub fn wire(bytes: &[u8]) {
    if let Ok(message) = decode(bytes) {
        assert_eq!(encode(&message).as_deref(), Ok(bytes), "a message has two frames");
    }
    if let Ok(handshake) = decode_handshake(bytes) {
        let again = encode_handshake(&handshake).expect("what was read can be written");
        assert_eq!(decode_handshake(&again).as_ref(), Ok(&handshake));
    }
    let (mut buffer, mut taken) = (FrameBuffer::new(MAX_FRAME), Vec::new());
    buffer.extend(bytes);
    while let Ok(Some(frame)) = buffer.next_frame() {
        taken.extend(frame);
    }
    assert!(bytes.starts_with(&taken), "a stream was cut into other bytes");
    assert_eq!(buffer.is_empty(), taken.len() == bytes.len());
}

/// The check of YAML and the parser agree: no text that the parser takes is called too deep, a merge key is one that the parser reads,
/// and a text that passes becomes no more values than its length allows.
pub fn yaml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let verdict = yaml::check(text);
    if verdict.is_err() && text.len() > MOST_UNCHECKED {
        return;
    }
    let Ok(value) = yaml_serde::from_str::<Value>(text) else { return };
    let (mut values, mut merges) = (0, 0);
    count(&value, &mut values, &mut merges);
    match verdict {
        Ok(()) => {
            assert!(values <= MOST_VALUES * (text.len() + 1), "{values} values of {} bytes", text.len());
            // A key of this name is quoted, a block, or tagged.
            assert!(merges == 0 || text.contains(['"', '\'', '|', '>', '!']), "a merge key passes");
        }
        Err(YamlError::Deep { line }) => panic!("line {line} is called too deep, and the parser reads it"),
        Err(YamlError::Merge { line }) => assert!(merges > 0, "line {line} has no merge key"),
    }
}

fn count(value: &Value, values: &mut usize, merges: &mut usize) {
    *values += 1;
    match value {
        Value::Sequence(items) => items.iter().for_each(|item| count(item, values, merges)),
        Value::Mapping(members) => {
            for (key, member) in members {
                *merges += usize::from(key.as_str() == Some("<<"));
                count(key, values, merges);
                count(member, values, merges);
            }
        }
        Value::Tagged(tagged) => count(&tagged.value, values, merges),
        _ => {}
    }
}
