//! The document that a caller signs and posts (docs/design.md#proposals).

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::canonical::{DecodeError, Passed, canonical_bytes, from_checked, to_json};
use super::hash::Hash;
use super::hlc::Hlc;
use super::ids::{IdemKey, WindowId};
use super::json::{Json, JsonError};
use super::keys::{self, PublicKey, SecretKey, Signature, domain};
use super::names::Transition;
use super::text::{ClusterId, ProjectName};
use super::ucxl::EvidenceRef;

/// The most addresses one proposal may carry as evidence.
pub const MAX_EVIDENCE: usize = 32;

/// A proposal without its signature: the document that is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// The project; left out, it is `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// The head that the caller saw.
    pub current_state_hash: Hash,
    pub transition: Transition,
    /// Its inputs; their form follows from the transition.
    pub inputs: Json,
    /// sha256 of the canonical bytes of `inputs`.
    pub inputs_hash: Hash,
    pub signer: PublicKey,
    /// Makes repeats harmless.
    pub idem_key: IdemKey,
    /// The caller's clock.
    pub hlc: Hlc,
    /// The window the caller means; needed where the transition has a window class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_id: Option<WindowId>,
    /// Addresses that back the proposal, at most 32.
    pub evidence: Vec<EvidenceRef>,
}

/// [`Proposal`] without its inputs; its members keep their order, so that faults are reported alike.
#[derive(Deserialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
#[serde(deny_unknown_fields)]
struct WithoutInputs {
    #[serde(default)]
    project: Option<ProjectName>,
    current_state_hash: Hash,
    transition: Transition,
    #[serde(rename = "inputs")]
    _inputs: Passed,
    inputs_hash: Hash,
    signer: PublicKey,
    idem_key: IdemKey,
    hlc: Hlc,
    #[serde(default)]
    window_id: Option<WindowId>,
    evidence: Vec<EvidenceRef>,
}

impl WithoutInputs {
    /// The members as they are in the document; `None` unless each is known, there if it must be, and of its form.
    fn of(members: &BTreeMap<String, Json>) -> Option<WithoutInputs> {
        let project = optional(members, "project")?;
        let window_id = optional(members, "window_id")?;
        let Json::Array(evidence) = members.get("evidence")? else { return None };
        let evidence = evidence.iter().map(|item| item.as_str()?.parse().ok()).collect::<Option<Vec<EvidenceRef>>>()?;
        let known = 7 + usize::from(project.is_some()) + usize::from(window_id.is_some());
        if members.len() != known {
            return None;
        }
        Some(WithoutInputs {
            project,
            current_state_hash: required(members, "current_state_hash")?,
            transition: required(members, "transition")?,
            _inputs: Passed,
            inputs_hash: required(members, "inputs_hash")?,
            signer: required(members, "signer")?,
            idem_key: required(members, "idem_key")?,
            hlc: required(members, "hlc")?,
            window_id,
            evidence,
        })
    }
}

fn required<T: FromStr>(members: &BTreeMap<String, Json>, name: &str) -> Option<T> {
    members.get(name)?.as_str()?.parse().ok()
}

/// A member that may be left out; the outer `None` where it has another form.
fn optional<T: FromStr>(members: &BTreeMap<String, Json>, name: &str) -> Option<Option<T>> {
    if members.contains_key(name) { required(members, name).map(Some) } else { Some(None) }
}

/// A proposal and its signature, as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignedProposal {
    /// The signed document.
    #[serde(flatten)]
    pub proposal: Proposal,
    /// The signer's signature over it.
    pub signature: Signature,
}

/// The name of the project that a proposal means when it names none.
pub const DEFAULT_PROJECT: &str = "default";

impl Proposal {
    /// The project meant.
    pub fn project(&self) -> ProjectName {
        self.project.clone().unwrap_or_else(default_project)
    }

    /// Reads a proposal from the other members of its strict document. `canonical` are the bytes of the whole document: they are
    /// decoded only for the words of an error, which are serde's.
    pub fn decode(
        members: &BTreeMap<String, Json>,
        inputs: Option<Json>,
        canonical: &[u8],
    ) -> Result<Proposal, DecodeError> {
        let read = match inputs.as_ref().and_then(|_| WithoutInputs::of(members)) {
            Some(read) => read,
            None => from_checked(canonical)?,
        };
        Ok(Proposal {
            project: read.project,
            current_state_hash: read.current_state_hash,
            transition: read.transition,
            inputs: inputs.unwrap_or_else(Json::empty_object),
            inputs_hash: read.inputs_hash,
            signer: read.signer,
            idem_key: read.idem_key,
            hlc: read.hlc,
            window_id: read.window_id,
            evidence: read.evidence,
        })
    }

    /// The bytes that are signed.
    pub fn message(&self, cluster: &ClusterId) -> Vec<u8> {
        keys::message(domain::TRANSITION, cluster, &canonical_bytes(self))
    }

    pub fn sign(self, cluster: &ClusterId, key: &SecretKey) -> SignedProposal {
        let signature = key.sign(&self.message(cluster));
        SignedProposal { proposal: self, signature }
    }
}

/// The fingerprint that an idempotency key is bound to: `sha256("swoosh/key/v1\n" ‖ transition ‖ "\n" ‖ inputs hash
/// (32 bytes) ‖ signer (32 bytes))`. Head and clock are left out, so that a repeat may refresh them.
pub fn fingerprint(transition: Transition, inputs_hash: &Hash, signer: &PublicKey) -> Hash {
    let name = transition.as_str().as_bytes();
    Hash::of_parts([b"swoosh/key/v1\n", name, b"\n", inputs_hash.as_bytes().as_slice(), signer.as_bytes()])
}

impl SignedProposal {
    /// Decodes a document that was signed before. Its signature is not checked.
    pub fn from_json(document: Json) -> Result<SignedProposal, DecodeError> {
        let refuse = |path: &str, reason: String| DecodeError::Schema { path: path.to_owned(), reason };
        let Json::Object(mut members) = document else {
            return Err(refuse("", "a proposal is one JSON object".to_owned()));
        };
        let Some(Json::String(signature)) = members.remove("signature") else {
            return Err(refuse("", "missing field `signature`".to_owned()));
        };
        let signature = signature.parse().map_err(|error| refuse("signature", format!("{error}")))?;
        let canonical = Json::Object(members.clone()).canonical();
        let inputs = members.remove("inputs");
        Ok(SignedProposal { proposal: Proposal::decode(&members, inputs, &canonical)?, signature })
    }

    /// The document to post.
    pub fn to_json(&self) -> Result<Json, JsonError> {
        to_json(self)
    }
}

/// The project that a proposal means when it names none.
///
/// # Panics
/// Never: `default` is a project name.
#[expect(clippy::expect_used, reason = "`default` is a project name")]
pub fn default_project() -> ProjectName {
    DEFAULT_PROJECT.parse().expect("`default` is a project name")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members() -> BTreeMap<String, Json> {
        let key = SecretKey::from_bytes(&[5; 32]);
        let proposal = Proposal {
            project: Some("atlas".parse().unwrap()),
            current_state_hash: Hash::of(b"head"),
            transition: Transition::ControlPause,
            inputs: Json::empty_object(),
            inputs_hash: Hash::of(b"{}"),
            signer: key.public(),
            idem_key: "goal:1:control:abcdefgh".parse().unwrap(),
            hlc: "2025-10-19T01:23:45.678+00:00#1".parse().unwrap(),
            window_id: Some("backbeat:W-2025-10-19-02".parse().unwrap()),
            evidence: vec!["bubble://dr/atlas/1-0123456789abcdef".parse().unwrap()],
        };
        let Ok(Json::Object(mut members)) = to_json(&proposal) else { panic!() };
        members.remove("inputs");
        members
    }

    /// A document is read member by member; serde's decoder of its bytes must agree on every one.
    #[test]
    fn members_are_read_as_their_bytes_are_decoded() {
        let whole = members();
        let text = |text: &str| Some(Json::String(text.to_owned()));
        let mut values =
            vec![None, Some(Json::Bool(true)), Some(Json::Integer(1)), text(""), text("x"), text("Control_Pause ")];
        values.extend([
            Some(Json::empty_object()),
            Some(Json::Array(vec![])),
            Some(Json::Array(vec![Json::Integer(1)])),
        ]);
        values.push(Some(Json::Array(vec![Json::String("no address".into())])));
        values.extend(whole.values().cloned().map(Some));
        let (mut good, mut bad) = (0, 0);
        for name in whole.keys().map(String::as_str).chain(["extra", "inputs", "signature"]) {
            for value in &values {
                let mut members = whole.clone();
                match value {
                    Some(value) => members.insert(name.to_owned(), value.clone()),
                    None => members.remove(name),
                };
                let mut document = members.clone();
                document.entry("inputs".to_owned()).or_insert_with(Json::empty_object);
                let decoded: Option<WithoutInputs> = from_checked(&Json::Object(document).canonical()).ok();
                let is_inputs = name == "inputs" && value.is_some();
                let read = WithoutInputs::of(&members);
                assert_eq!(read, decoded.filter(|_| !is_inputs), "{name}: {value:?}");
                if read.is_some() { good += 1 } else { bad += 1 }
            }
        }
        assert!(good > 15 && bad > 150, "{good} {bad}");
    }
}
