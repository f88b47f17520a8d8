//! `migration`: taking WHOOSH's place. `config/swoosh.yaml` describes the keys.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::load::SettingsError;
use super::{Settings, bounds};
use swoosh_types::legacy_grant::{LegacyGrant, MAX_GRANTS};
use swoosh_types::secret::SecretRef;
use swoosh_types::text::{Name, Url};

section_migration! {
    /// The WHOOSH migration. Without an address of WHOOSH there is none.
    Migration {
        upstream: Option<Url> = None,
        listen: SocketAddr = (Ipv4Addr::LOCALHOST, 7401).into(),
        callers: BTreeMap<Name, MigrationCaller> = BTreeMap::new(),
        grants: BTreeMap<Name, LegacyGrant> = BTreeMap::new(),
    }
}

/// A caller of WHOOSH, and the delegate that signs for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MigrationCaller {
    /// The file of the delegate's key.
    pub key: PathBuf,
    /// The bearer token that the caller shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretRef>,
}

/// Checks what no type and no range says.
pub(super) fn check(settings: &Settings) -> Result<(), SettingsError> {
    let migration = &settings.migration;
    let invalid = |key: &str, detail: &str| Err(bounds::invalid(key, detail));
    let Some(upstream) = &migration.upstream else {
        let lost = "there is no WHOOSH to take the place of; set migration.upstream, or take callers and grants out";
        let key = if migration.callers.is_empty() { "migration.grants" } else { "migration.callers" };
        let has_none = migration.callers.is_empty() && migration.grants.is_empty();
        return if has_none { Ok(()) } else { invalid(key, lost) };
    };
    bounds::check_web("migration.upstream", upstream, false)?;
    if migration.callers.is_empty() {
        return invalid("migration.callers", "there is no caller to sign for; name a caller and its delegate's key");
    }
    let anonymous = migration.callers.values().filter(|caller| caller.token.is_none()).count();
    if anonymous > 1 {
        return invalid("migration.callers", "two callers have no token and cannot be distinguished; give one a token");
    }
    if anonymous > 0 && !migration.listen.ip().is_loopback() {
        let detail = "a caller has no token, and migration.listen is no loopback address; anybody could act as it: \
            give it a token";
        return invalid("migration.callers", detail);
    }
    check_grants(settings)?;
    if migration.listen.port() != 0 && migration.listen == settings.listen {
        return invalid("migration.listen", "it is the address of the node itself; take another port");
    }
    Ok(())
}

/// Checks each grant by itself, with the caller and the delegate that it names, and against those before it.
fn check_grants(settings: &Settings) -> Result<(), SettingsError> {
    let grants = &settings.migration.grants;
    if grants.len() > MAX_GRANTS {
        let detail = format!("{} grants; {MAX_GRANTS} is the most, take those out that ended", grants.len());
        return Err(bounds::invalid("migration.grants", detail));
    }
    for (name, grant) in grants {
        let faults = grant.faults().into_iter().chain(grant_faults(settings, grant));
        let before = grants.iter().take_while(|(other, _)| *other != name);
        let conflicts = before.filter_map(|(other, earlier)| {
            grant.conflict(earlier).map(|conflict| format!("{conflict} (migration.grants.{other})"))
        });
        if let Some(fault) = faults.chain(conflicts).next() {
            return Err(bounds::invalid(format!("migration.grants.{name}"), fault));
        }
    }
    Ok(())
}

/// Faults of a grant with the settings around it: its caller must be known by a token and alone behind its delegate's key.
fn grant_faults(settings: &Settings, grant: &LegacyGrant) -> Vec<String> {
    let (callers, name) = (&settings.migration.callers, &grant.caller);
    let Some(caller) = callers.get(name) else {
        return vec![format!("caller: migration.callers has no {name}")];
    };
    let mut wrong = Vec::new();
    if caller.token.is_none() {
        wrong.push(format!("caller: {name} has no token, so any process could act as it; give it one"));
    }
    if let Some((other, _)) = callers.iter().find(|(other, its)| *other != name && its.key == caller.key) {
        wrong.push(format!("caller: {name} and {other} share a key file; give each caller its own delegate"));
    }
    let is_delegate = |key| settings.identities.get(key).is_some_and(|identity| identity.delegate.is_some());
    if !is_delegate(&grant.delegate) {
        wrong.push(format!("delegate: {} is no delegate under identities; limit it there first", grant.delegate));
    }
    if grant.seat.as_ref().is_some_and(is_delegate) {
        wrong.push("seat: it is the key of a delegate, which is never elected; name the member's key".to_owned());
    }
    wrong
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use swoosh_types::keys::SecretKey;

    fn key(n: u8) -> String {
        SecretKey::from_bytes(&[n; 32]).public().to_string()
    }

    fn settings() -> Value {
        let delegate = json!({"name": "d", "roles": ["agent"], "delegate": {"op_classes": ["execution"]}});
        json!({
            "migration": {
                "upstream": "http://127.0.0.1:1",
                "callers": {"ci": {"key": "ci.key", "token": "secret:ci"}, "ops": {"key": "ops.key", "token": "secret:ops"},
                    "open": {"key": "open.key"}},
                "grants": {"a": grant()},
            },
            "identities": {key(1): delegate, key(2): delegate, key(9): {"name": "o", "roles": ["operator"]}},
            "secrets": {"file": "secrets.age"},
        })
    }

    fn grant() -> Value {
        json!({
            "caller": "ci", "delegate": key(1), "roles": ["operator", "voter"], "projects": ["p"],
            "op_classes": ["control", "execution"], "until": "2030-01-01T00:00:00Z", "seat": key(5),
        })
    }

    fn check(change: impl FnOnce(&mut Value)) -> Result<Settings, String> {
        let mut settings = settings();
        change(&mut settings);
        Settings::from_yaml(&settings.to_string()).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn refused(reason: &str, change: impl FnOnce(&mut Value)) {
        let said = check(change).expect_err(reason);
        assert!(said.contains(reason) && said.contains("migration.grants"), "{reason}: {said}");
    }

    #[test]
    fn there_are_no_grants_unless_the_settings_list_some() {
        assert!(Settings::default().guard_settings(SecretKey::from_bytes(&[7; 32]).public()).grants.is_empty());
        let settings = check(|_| {}).unwrap();
        let guards = settings.guard_settings(SecretKey::from_bytes(&[7; 32]).public());
        assert_eq!(
            json!(guards.grants["a".parse::<Name>().as_ref().unwrap()].until),
            "2030-01-01T00:00:00.000+00:00#0"
        );
        // A grant that ended keeps no node from starting.
        assert!(check(|all| all["migration"]["grants"]["a"]["until"] = json!("2001-01-01T00:00:00+02:00")).is_ok());
    }

    #[test]
    fn a_grant_that_cannot_be_is_refused_with_a_remedy() {
        let at =
            |name: &'static str, value: Value| move |all: &mut Value| all["migration"]["grants"]["a"][name] = value;
        refused("name at least one of operator, voter and human", at("roles", json!([])));
        for role in ["node", "agent", "worker", "reader"] {
            refused("cannot be granted; use operator, voter or human", at("roles", json!(["operator", "voter", role])));
        }
        refused("a grant never counts for all of them", at("projects", json!([])));
        refused("name at least one, such as control", at("op_classes", json!([])));
        refused("name the member's key", at("seat", Value::Null));
        refused("take the seat out", at("roles", json!(["operator"])));
        refused("take the seat out", at("op_classes", json!(["control"])));
        refused("the delegate is no member", at("seat", json!(key(1))));
        refused("which is never elected", at("seat", json!(key(2))));
        refused("migration.callers has no stranger", at("caller", json!("stranger")));
        refused("open has no token", at("caller", json!("open")));
        refused("is no delegate under identities", at("delegate", json!(key(9))));
        refused("is no delegate under identities", at("delegate", json!(key(8))));
        refused("share a key file", |all| all["migration"]["callers"]["ops"]["key"] = json!("ci.key"));
        for (name, value) in
            [("until", json!("soon")), ("until", Value::Null), ("untill", json!("2030-01-01T00:00:00Z"))]
        {
            assert!(check(at(name, value)).unwrap_err().contains("until"));
        }
        let another = |change: fn(&mut Value)| {
            move |all: &mut Value| {
                let mut second = grant();
                change(&mut second);
                all["migration"]["grants"]["b"] = second;
            }
        };
        refused("has two seats in project p", another(|second| second["seat"] = json!(key(6))));
        refused(
            "share a seat in project p",
            another(|second| {
                (second["caller"], second["delegate"]) = (json!("ops"), json!(key(2)));
            }),
        );
        refused(
            "give each its own key",
            another(|second| {
                (second["caller"], second["seat"]) = (json!("ops"), json!(key(6)));
            }),
        );
        assert!(check(another(|second| second["until"] = json!("2031-01-01T00:00:00Z"))).is_ok(), "a renewal");
        let lost = check(|all| all["migration"] = json!({"grants": {"a": grant()}})).unwrap_err();
        assert!(lost.contains("set migration.upstream"), "{lost}");
    }
}
