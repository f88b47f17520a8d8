//! The keeper's reaction to each answer, without any network.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::token::tests::{pins, token};
use super::*;
use crate::FactTable;
use crate::fixture::*;
use swoosh_platform::clock::Clock;

const NOW_S: u64 = NOW_MS / 1_000;

fn keeper(directory: &Path) -> (Arc<FactTable>, Keeper) {
    let table = Arc::new(table());
    let speaker = Speaker::new(table.clone(), node());
    let second = Duration::from_secs(1);
    let server = Server::new("http://127.0.0.1:1/license", second, node().public(), None).unwrap();
    let pace = Pace { refresh_percent: 50, refresh_max: second * 3_600, retry_min: second, retry_max: second * 60 };
    (table, Keeper::new(server, pins(), pace, directory.join("license.json"), speaker))
}

fn grant(keeper: &mut Keeper, id: &str, iat_s: u64) -> Duration {
    let text = token(id, "swoosh", iat_s);
    let token = Token::read(&text, &pins()).unwrap();
    keeper.granted(text, token)
}

/// The license's id and until when it is valid, as the table holds it.
fn held(table: &FactTable) -> Option<(String, u64)> {
    let facts = table.facts();
    let fact = facts.set().at(FactKind::License, None)?;
    let swoosh_machine::facts::FactBody::License(license) = &fact.body else { return None };
    Some((license.id.to_string(), fact.fact.claim.valid_until.physical_ms()))
}

#[test]
fn a_grant_is_said_kept_and_refreshed_within_its_share_of_life() {
    let directory = tempfile::tempdir().unwrap();
    let (table, mut keeper) = keeper(directory.path());
    assert_eq!(held(&table), None);
    let wait = grant(&mut keeper, "l-1", NOW_S);
    assert_eq!(held(&table), Some(("l-1".into(), NOW_MS + 3_599_999)));
    assert!((Duration::from_secs(1_439)..=Duration::from_secs(1_800)).contains(&wait), "{wait:?}");
    let (restarted, _) = self::keeper(directory.path());
    assert_eq!(held(&restarted), held(&table), "a restart needs no license server");
}

#[test]
fn a_denial_begins_the_grace_once_and_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (table, mut keeper) = keeper(directory.path());
    keeper.denied("the license server answers 403");
    assert_eq!(held(&table), None, "there is nothing to deny");
    grant(&mut keeper, "l-1", NOW_S);
    keeper.denied("the license server answers 403");
    assert_eq!(held(&table), Some(("l-1".into(), NOW_MS)));
    let first = table.describe();
    keeper.denied("the license server answers 403");
    assert_eq!(table.describe(), first);
    let (restarted, mut keeper) = self::keeper(directory.path());
    assert_eq!(held(&restarted), Some(("l-1".into(), NOW_MS)));
    grant(&mut keeper, "l-2", NOW_S);
    assert_eq!(held(&restarted), Some(("l-2".into(), NOW_MS + 3_599_999)), "and a grant ends it");
}

#[test]
fn an_older_license_never_takes_the_place_of_a_newer_one() {
    let directory = tempfile::tempdir().unwrap();
    let (table, mut keeper) = keeper(directory.path());
    grant(&mut keeper, "l-2", NOW_S - 60);
    grant(&mut keeper, "l-1", NOW_S - 61);
    assert_eq!(held(&table).unwrap().0, "l-2");
    grant(&mut keeper, "l-3", NOW_S + 3_600);
    assert_eq!(held(&table).unwrap().0, "l-2", "nor one that does not count yet");
}

#[test]
fn a_license_that_ran_out_is_said_as_such_and_asked_for_again_soon() {
    let directory = tempfile::tempdir().unwrap();
    let (table, mut keeper) = keeper(directory.path());
    let wait = grant(&mut keeper, "l-1", NOW_S - 3_700);
    assert_eq!(held(&table).unwrap().1, NOW_MS - 100_001);
    assert!(wait <= Duration::from_secs(1), "{wait:?}");
}

#[test]
fn failures_are_answered_with_patience_within_bounds() {
    let directory = tempfile::tempdir().unwrap();
    let (_, mut keeper) = keeper(directory.path());
    let waits: Vec<Duration> = (0..40).map(|_| keeper.back_off(None)).collect();
    assert!(waits[0] <= Duration::from_secs(1) && waits[3] >= Duration::from_millis(6_400));
    assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(60)));
    assert_eq!(keeper.back_off(Some(Duration::from_secs(3_600))), Duration::from_secs(60));
}

#[tokio::test]
async fn a_server_that_is_not_there_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (table, mut keeper) = keeper(directory.path());
    grant(&mut keeper, "l-1", NOW_S);
    let before = table.describe();
    keeper.step().await;
    assert_eq!(table.describe(), before);
}

#[test]
fn a_kept_license_of_a_key_that_is_pinned_no_more_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let (_, mut keeper) = keeper(directory.path());
    grant(&mut keeper, "l-1", NOW_S);
    let others = Pins { keys: [stranger().public()].into(), ..pins() };
    let table = Arc::new(FactTable::new(
        crate::Trust { cluster: cluster(), node: node().public(), sources: [].into(), max_ahead_ms: 5_000 },
        Arc::new(Clock::system(5_000)),
    ));
    let second = Duration::from_secs(1);
    let server = Server::new("http://127.0.0.1:1/license", second, node().public(), None).unwrap();
    let speaker = Speaker::new(table.clone(), node());
    Keeper::new(server, others, keeper.pace, directory.path().join("license.json"), speaker);
    assert_eq!(held(&table), None);
}
