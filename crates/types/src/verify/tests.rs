use super::*;
use crate::ids::IdemKey;

fn decode(_: Transition, bytes: &[u8]) -> Result<Json, DecodeError> {
    Ok(Json::parse(bytes)?)
}

fn cluster() -> ClusterId {
    "swoosh".parse().unwrap()
}

fn key() -> SecretKey {
    SecretKey::from_bytes(&[3; 32])
}

fn proposal() -> Proposal {
    let inputs = Json::parse(br#"{"rationale":"tea"}"#).unwrap();
    Proposal {
        project: None,
        current_state_hash: Hash::ZERO,
        transition: Transition::ControlPause,
        inputs_hash: Hash::of(&inputs.canonical()),
        inputs,
        signer: key().public(),
        idem_key: "goal:1:control:abcdefgh".parse::<IdemKey>().unwrap(),
        hlc: "2025-10-19T01:23:45.678+00:00#1".parse().unwrap(),
        window_id: None,
        evidence: Vec::new(),
    }
}

fn document() -> BTreeMap<String, Json> {
    let Json::Object(map) = proposal().sign(&cluster(), &key()).to_json().unwrap() else { panic!() };
    map
}

fn check(document: BTreeMap<String, Json>, headers: &Headers) -> Result<VerifiedProposal<Json>, Code> {
    verify(&Json::Object(document).canonical(), headers, &cluster(), decode).map_err(|rejection| rejection.code)
}

fn text(value: &str) -> Json {
    Json::String(value.to_owned())
}

#[test]
fn a_signed_proposal_is_verified_in_any_layout_and_offset() {
    assert_eq!(check(document(), &Headers::default()).unwrap().proposal(), &proposal());
    let mut moved = document();
    moved.insert("hlc".into(), text("2025-10-19T03:23:45.678+02:00#1"));
    assert_eq!(check(moved, &Headers::default()).unwrap().proposal().hlc, proposal().hlc);
}

#[test]
fn headers_stand_in_for_members_and_must_not_contradict_them() {
    let mut without = document();
    let Some(Json::String(signature)) = without.remove("signature") else { panic!() };
    let Some(Json::String(idem_key)) = without.remove("idem_key") else { panic!() };
    let headers = Headers { idempotency_key: vec![idem_key], signature: vec![signature], ..Headers::default() };
    assert!(check(without, &headers).is_ok());
    assert!(check(document(), &headers).is_ok());
    let other = Headers { idempotency_key: vec!["goal:2:control:abcdefgh".into()], ..Headers::default() };
    assert_eq!(check(document(), &other).unwrap_err(), Code::HeaderConflict);
    let twice = Headers { hlc: vec![proposal().hlc.to_string(); 2], ..Headers::default() };
    assert_eq!(check(document(), &twice).unwrap_err(), Code::HeaderConflict);
}

#[test]
fn whatever_is_changed_after_signing_is_refused() {
    let changes: [(&str, Json); 5] = [
        ("project", text("other")),
        ("transition", text("Control_Resume")),
        ("idem_key", text("goal:2:control:abcdefgh")),
        ("hlc", text("2025-10-19T01:23:45.678+00:00#2")),
        ("evidence", Json::Array(vec![text("bubble://dr/x")])),
    ];
    for (member, value) in changes {
        let mut changed = document();
        changed.insert(member.into(), value);
        assert_eq!(check(changed, &Headers::default()).unwrap_err(), Code::SignatureInvalid, "{member}");
    }
    let mut inputs = document();
    inputs.insert("inputs".into(), Json::empty_object());
    assert_eq!(check(inputs, &Headers::default()).unwrap_err(), Code::InputsHashMismatch);
}

#[test]
fn a_signature_for_another_cluster_is_refused() {
    let bytes = proposal().sign(&cluster(), &key()).to_json().unwrap().canonical();
    let refused = verify(&bytes, &Headers::default(), &"other".parse().unwrap(), decode).unwrap_err();
    assert_eq!(refused.code, Code::SignatureInvalid);
}

#[test]
fn missing_unknown_and_mistyped_members_are_named() {
    for member in [
        "current_state_hash",
        "transition",
        "inputs",
        "inputs_hash",
        "signer",
        "idem_key",
        "hlc",
        "evidence",
        "signature",
    ] {
        let mut missing = document();
        missing.remove(member);
        let bytes = Json::Object(missing).canonical();
        let rejection = verify(&bytes, &Headers::default(), &cluster(), decode).unwrap_err();
        assert_eq!(rejection.code, Code::Schema, "{member}");
        assert!(rejection.reasons[0].contains(member), "{}", rejection.reasons[0]);
    }
    let mut unknown = document();
    unknown.insert("extra".into(), Json::Bool(true));
    assert_eq!(check(unknown, &Headers::default()).unwrap_err(), Code::Schema);
    let mut array = document();
    array.insert("idem_key".into(), Json::Array(vec![]));
    assert_eq!(check(array, &Headers::default()).unwrap_err(), Code::Schema);
}

/// A raw post with a null, a fraction or a key twice was answered without the place.
#[test]
fn a_fault_of_strict_json_is_named_by_the_path_of_the_member() {
    for (inputs, code, said) in [
        (r#"{"rationale":null}"#, Code::Schema, "inputs.rationale: null is not used"),
        (r#"{"rationale":"a","rationale":"b"}"#, Code::DuplicateKey, "inputs.rationale: the key \"rationale\""),
        (r#"{"list":[1,{"n":-1}]}"#, Code::BadNumber, "inputs.list[1].n: -1 is not"),
        (r#"{"list":["e\u0301"]}"#, Code::BadText, "inputs.list[0]: the text"),
    ] {
        let body = format!("{{\"transition\":\"Control_Pause\",\"inputs\":{inputs}}}");
        let refused = verify(body.as_bytes(), &Headers::default(), &cluster(), decode).unwrap_err();
        assert_eq!(refused.code, code, "{inputs}");
        assert!(refused.reasons[0].starts_with(said), "{inputs}: {}", refused.reasons[0]);
    }
}

/// The sequencer looks the table up; a wrong answer of it must not become a wrong answer here.
#[test]
fn a_table_checks_the_signatures_of_its_own_key_alone() {
    let body = Json::Object(document()).canonical();
    let mut forged = document();
    let other = SecretKey::from_bytes(&[4; 32]);
    forged.insert("signature".into(), text(&proposal().sign(&cluster(), &other).signature.to_string()));
    let forged = Json::Object(forged).canonical();
    let with = |body: &[u8], table: &SecretKey| {
        let table = Arc::new(KeyTable::of(table.public()).unwrap());
        verify_by_tables(body, &Headers::default(), &cluster(), decode, |_| Some(table))
    };
    for table in [key(), other] {
        assert_eq!(with(&body, &table).unwrap().proposal(), &proposal());
        let refused = with(&forged, &table).unwrap_err();
        assert_eq!(refused.code, Code::SignatureInvalid);
        assert_eq!(
            Err(refused.reasons),
            verify(&forged, &Headers::default(), &cluster(), decode).map_err(|r| r.reasons).map(|_| ())
        );
    }
}
