//! A license as KACHING writes it: a compact JWS (RFC 7515 §7.1) with `alg` `EdDSA` (RFC 8037 §3.1), signed by a
//! key that the settings pin, with the claims of a JWT (RFC 7519 §4.1).

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use swoosh_types::hash::Hash;
use swoosh_types::json::Json;
use swoosh_types::keys::{PublicKey, Signature};
use swoosh_types::text::{Capability, ClusterId, Name};

/// Most bytes of a token.
pub const MOST_BYTES: usize = 16 << 10;
/// Most scopes of a license.
const MOST_SCOPES: usize = 256;

/// Requirements on a token.
#[derive(Clone, Debug)]
pub struct Pins {
    /// KACHING's keys.
    pub keys: BTreeSet<PublicKey>,
    /// The cluster it must be made out to.
    pub cluster: ClusterId,
    /// The scope it must cover.
    pub scope: Capability,
}

/// A license whose signature was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// `jti`: its number or name.
    pub id: Name,
    /// `scope`: the licensed capabilities.
    pub scopes: BTreeSet<Capability>,
    /// `iat`: when it was made out, in seconds since 1970-01-01T00:00:00Z.
    pub issued_s: u64,
    /// `nbf`: from when it counts, in the same.
    pub not_before_s: u64,
    /// `exp`: from when it counts no more, in the same.
    pub expires_s: u64,
    /// Which pinned key signed it.
    pub key: PublicKey,
    /// Hash of the token's text.
    pub hash: Hash,
}

/// Why a token does not count. No message holds any of it but its claims' names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a compact JWS.
    #[error("it is not a compact JWS: {0}")]
    Form(&'static str),
    /// Not the one algorithm.
    #[error("its header does not say alg EdDSA; no other algorithm is taken")]
    Algorithm,
    /// Extensions that would have to be understood (RFC 7515 §4.1.11).
    #[error("its header has crit, and no extension is known here")]
    Critical,
    /// No pinned key.
    #[error("none of the keys under kaching.keys signed it")]
    Signature,
    /// A claim is missing or of another form.
    #[error("its claim {name} is missing or is not {expected}")]
    Claim { name: &'static str, expected: &'static str },
    /// Made out to another cluster.
    #[error("it is made out to {found}, not to the cluster {cluster} (claim sub)")]
    OtherCluster { found: String, cluster: ClusterId },
}

impl Token {
    /// Reads a token and checks its signature. Whether it counts now, its times say.
    pub fn read(text: &str, pins: &Pins) -> Result<Token, TokenError> {
        if text.len() > MOST_BYTES {
            return Err(TokenError::Form("it is longer than 16384 bytes"));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenError::Form("there are no three parts"))?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Form("there are no three parts"))?;
        check_header(&object(header)?)?;
        let signature = <[u8; 64]>::try_from(decode(signature)?.as_slice());
        let signature = Signature::from_bytes(signature.map_err(|_| TokenError::Signature)?);
        let signer = pins.keys.iter().find(|key| key.verify(signed.as_bytes(), &signature));
        let key = *signer.ok_or(TokenError::Signature)?;
        claims(&object(payload)?, key, Hash::of(text.as_bytes()), pins)
    }

    /// Whether it covers what this node needs.
    pub fn covers(&self, pins: &Pins) -> bool {
        self.scopes.contains(&pins.scope)
    }

    /// The last millisecond at which it is valid: it counts no more on `exp` itself (RFC 7519 §4.1.4).
    pub fn until_ms(&self) -> u64 {
        self.expires_s.saturating_mul(1_000).saturating_sub(1)
    }
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Form("a part is not unpadded base64url"))
}

type Object = BTreeMap<String, Json>;

fn object(part: &str) -> Result<Object, TokenError> {
    match Json::parse(&decode(part)?) {
        Ok(Json::Object(object)) => Ok(object),
        _ => Err(TokenError::Form("header or payload is not a strict JSON object")),
    }
}

fn check_header(header: &Object) -> Result<(), TokenError> {
    if header.get("alg").and_then(Json::as_str) != Some("EdDSA") {
        return Err(TokenError::Algorithm);
    }
    if header.contains_key("crit") { Err(TokenError::Critical) } else { Ok(()) }
}

fn claims(claims: &Object, key: PublicKey, hash: Hash, pins: &Pins) -> Result<Token, TokenError> {
    let text = |name: &'static str, expected: &'static str| {
        claims.get(name).and_then(Json::as_str).ok_or(TokenError::Claim { name, expected })
    };
    let seconds = |name: &'static str| match claims.get(name) {
        Some(Json::Integer(seconds)) => Ok(*seconds),
        _ => Err(TokenError::Claim { name, expected: "a whole number of seconds" }),
    };
    let subject = text("sub", "the cluster's name")?;
    if subject != pins.cluster.as_str() {
        let found = subject.chars().take(80).collect();
        return Err(TokenError::OtherCluster { found, cluster: pins.cluster.clone() });
    }
    let expected = "up to 256 scopes, separated by blanks";
    let scopes: Option<BTreeSet<Capability>> =
        text("scope", expected)?.split_ascii_whitespace().map(|scope| scope.parse().ok()).collect();
    let scopes = scopes.filter(|scopes| scopes.len() <= MOST_SCOPES);
    let expected_id = "a name of 1 to 63 characters of a-z, 0-9, '.', '_', '-'";
    let id = text("jti", expected_id)?.parse();
    let issued_s = seconds("iat")?;
    Ok(Token {
        id: id.map_err(|_| TokenError::Claim { name: "jti", expected: expected_id })?,
        scopes: scopes.ok_or(TokenError::Claim { name: "scope", expected })?,
        issued_s,
        not_before_s: if claims.contains_key("nbf") { seconds("nbf")? } else { issued_s },
        expires_s: seconds("exp")?,
        key,
        hash,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::fixture;
    use swoosh_types::keys::SecretKey;

    pub fn pins() -> Pins {
        let keys = [fixture::kaching().public()].into();
        Pins { keys, cluster: fixture::cluster(), scope: "swoosh".parse().unwrap() }
    }

    pub fn jws(header: &str, payload: &str, key: &SecretKey) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = key.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_bytes()))
    }

    const HEADER: &str = r#"{"alg":"EdDSA","typ":"JWT","kid":"k1"}"#;

    /// A good token, from `iat` on for an hour.
    pub fn token(id: &str, scope: &str, iat_s: u64) -> String {
        let payload = format!(
            r#"{{"iss":"kaching","sub":"swoosh","jti":"{id}","iat":{iat_s},"exp":{},"scope":"{scope}","seats":{{"n":3}}}}"#,
            iat_s + 3_600
        );
        jws(HEADER, &payload, &fixture::kaching())
    }

    #[test]
    fn a_token_of_a_pinned_key_is_read_with_its_claims() {
        let token = Token::read(&token("l-1", "other swoosh", 1_000), &pins()).unwrap();
        assert_eq!(
            (token.id.as_str(), token.issued_s, token.not_before_s, token.expires_s),
            ("l-1", 1_000, 1_000, 4_600)
        );
        assert!(token.covers(&pins()) && token.scopes.len() == 2);
        assert_eq!(token.until_ms(), 4_599_999);
    }

    #[test]
    fn forgeries_and_other_algorithms_do_not_count() {
        let good = token("l-1", "swoosh", 1_000);
        let other = jws(HEADER, r#"{"sub":"swoosh"}"#, &fixture::stranger());
        assert_eq!(Token::read(&other, &pins()), Err(TokenError::Signature));
        let mut parts: Vec<&str> = good.split('.').collect();
        let longer =
            URL_SAFE_NO_PAD.encode(r#"{"sub":"swoosh","jti":"l-1","iat":1,"exp":9999999999,"scope":"swoosh"}"#);
        parts[1] = &longer;
        assert_eq!(Token::read(&parts.join("."), &pins()), Err(TokenError::Signature));
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS256"}"#, r#"{"alg":"eddsa"}"#, "{}"] {
            let forged = jws(header, "{}", &fixture::kaching());
            assert_eq!(Token::read(&forged, &pins()), Err(TokenError::Algorithm), "{header}");
        }
        let critical = jws(r#"{"alg":"EdDSA","crit":["exp"]}"#, "{}", &fixture::kaching());
        assert_eq!(Token::read(&critical, &pins()), Err(TokenError::Critical));
    }

    #[test]
    fn garbage_is_distinguished_from_a_token() {
        let padded = format!("{}=", token("l-1", "swoosh", 1));
        for text in ["", "a", "a.b", "a.b.c", "....", "<html>busy</html>", &padded, &"x".repeat(MOST_BYTES + 1)] {
            assert!(Token::read(text, &pins()).is_err(), "{text}");
        }
        let twice = jws(r#"{"alg":"none","alg":"EdDSA"}"#, "{}", &fixture::kaching());
        assert!(matches!(Token::read(&twice, &pins()), Err(TokenError::Form(_))), "a repeated key");
    }

    #[test]
    fn every_claim_that_is_read_must_be_there_and_be_of_its_form() {
        let with = |payload: &str| Token::read(&jws(HEADER, payload, &fixture::kaching()), &pins()).unwrap_err();
        let claim = |payload: &str| match with(payload) {
            TokenError::Claim { name, .. } => name,
            other => panic!("{other}"),
        };
        assert_eq!(claim("{}"), "sub");
        assert!(matches!(with(r#"{"sub":"other"}"#), TokenError::OtherCluster { .. }));
        assert_eq!(claim(r#"{"sub":"swoosh"}"#), "scope");
        assert_eq!(claim(r#"{"sub":"swoosh","scope":"a"}"#), "jti");
        assert_eq!(claim(r#"{"sub":"swoosh","scope":"a","jti":"l"}"#), "iat");
        assert_eq!(claim(r#"{"sub":"swoosh","scope":"a","jti":"l","iat":1}"#), "exp");
        assert_eq!(claim(r#"{"sub":"swoosh","scope":"a","jti":"l","iat":1,"exp":"2"}"#), "exp");
        assert_eq!(claim(r#"{"sub":"swoosh","scope":"a","jti":"L 1","iat":1,"exp":2}"#), "jti");
        assert_eq!(claim(r#"{"sub":"swoosh","scope":"A","jti":"l","iat":1,"exp":2}"#), "scope");
        assert_eq!(claim(r#"{"sub":"swoosh","scope":"a","jti":"l","iat":1,"exp":2,"nbf":true}"#), "nbf");
    }
}
