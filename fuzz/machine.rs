//! The ways in whose reading needs the statechart's inputs, and so the machine.

use swoosh::machine::chart::Inputs;
use swoosh::verify::{Headers, verify};

/// A body is verified or refused; a proposal that is verified has the signature that its own bytes ask for.
pub fn envelope(bytes: &[u8]) {
    let cluster = "test".parse().expect("a cluster's name");
    if let Ok(verified) = verify(bytes, &Headers::default(), &cluster, Inputs::decode) {
        let proposal = verified.proposal();
        assert!(proposal.signer.verify(&proposal.message(&cluster), &verified.signature()));
    }
}

/// Header forms, one a line, never do more than the body's own members could.
pub fn headers(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.split('\n').map(|line| vec![line.to_owned()]);
    let mut next = || lines.next().unwrap_or_default();
    let headers = Headers { idempotency_key: next(), hlc: next(), window_id: next(), signature: next() };
    let cluster = "test".parse().expect("a cluster's name");
    let refused = verify(b"{}", &headers, &cluster, Inputs::decode);
    assert!(refused.is_err(), "a proposal without a transition was verified");
}
