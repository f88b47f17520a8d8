//! The engine with a hand-driven clock and scripted work.

use std::collections::BTreeMap;

use super::*;
use swoosh_hybridcore::leave::Stop;
use swoosh_types::canonical::canonical_bytes;
use swoosh_types::hash::Hash;
use swoosh_types::ids::EffectId;
use swoosh_types::names::Transition;
use swoosh_types::text::ProjectName;

fn rules() -> Rules {
    Rules {
        workers: 2,
        attempts: 3,
        retry_min_ms: 100,
        retry_max_ms: 1_000,
        lease_ms: 60_000,
        holder: "this process".to_owned(),
        incarnation: 1,
    }
}

fn project() -> ProjectName {
    "a".parse().unwrap()
}

fn id(text: &str) -> EffectId {
    text.parse().unwrap()
}

fn open(text: &str) -> Open {
    let doer = Doer::Node;
    Open {
        id: id(text),
        opened_at_ms: 0,
        seen: 9,
        blocked: None,
        inherited: false,
        doer,
        failures: 0,
        last_failure: None,
        held: None,
    }
}

fn blocked(text: &str) -> Open {
    Open { blocked: Some("the project is paused".to_owned()), ..open(text) }
}

fn success(text: &str) -> Outcome {
    Report::default().into_outcome(&id(text), Transition::IngestionBytesOk).unwrap()
}

/// The engine's commands, in short.
fn said(engine: &mut Engine) -> Vec<String> {
    let short = |command: Command| match command {
        Command::Note { id, note } => {
            let what = match (&note.outcome, note.ended) {
                (Some(outcome), _) => format!("with {}", outcome.transition),
                (None, true) => "ended".to_owned(),
                (None, false) => "begun".to_owned(),
            };
            format!("note {id} attempt {} {what}", note.attempt)
        }
        Command::Start { id, attempt } => format!("start {id} attempt {attempt}"),
        Command::Interrupt { id } => format!("interrupt {id}"),
        Command::Propose { id, outcome } => format!("propose {id} {}", outcome.transition),
        Command::Forget { id } => format!("forget {id}"),
    };
    engine.take_commands().into_iter().map(short).collect()
}

fn ticked(engine: &mut Engine, now_ms: u64) -> Vec<String> {
    engine.tick(now_ms);
    said(engine)
}

/// An engine whose one effect runs its first attempt.
fn running(name: &str) -> Engine {
    let mut engine = Engine::new(rules(), BTreeMap::new());
    engine.found(&project(), &[open(name)], 0);
    assert_eq!(ticked(&mut engine, 0), [format!("note {name} attempt 1 begun"), format!("start {name} attempt 1")]);
    engine
}

#[test]
fn an_attempt_is_noted_before_it_begins_and_its_outcome_before_it_is_proposed() {
    let mut engine = running("a/3/fetch");
    engine.ended(&id("a/3/fetch"), 1, Ended::Done(success("a/3/fetch")), 5);
    assert_eq!(
        ticked(&mut engine, 5),
        ["note a/3/fetch attempt 1 with Ingestion_BytesOk", "propose a/3/fetch Ingestion_BytesOk"]
    );
    engine.answered(&id("a/3/fetch"), Answer::Accepted, 6);
    assert_eq!(said(&mut engine), ["forget a/3/fetch"]);
    assert!(engine.projects().is_empty() && engine.wakes_at_ms().is_none());
}

#[test]
fn a_failure_that_may_pass_is_tried_again_after_waits_that_double_and_then_reported() {
    let mut engine = running("a/3/fetch");
    for (attempt, begun_ms, wait_ms) in [(1, 0, 100), (2, 100, 200)] {
        engine.ended(&id("a/3/fetch"), attempt, Ended::Failed(Failed::passing("no answer")), begun_ms);
        assert_eq!(ticked(&mut engine, begun_ms + wait_ms - 1), [format!("note a/3/fetch attempt {attempt} ended")]);
        assert_eq!(engine.wakes_at_ms(), Some(begun_ms + wait_ms));
        assert_eq!(ticked(&mut engine, begun_ms + wait_ms).len(), 2);
    }
    engine.ended(&id("a/3/fetch"), 3, Ended::Failed(Failed::passing("no answer")), 400);
    let reported = ticked(&mut engine, 400);
    assert_eq!(reported[1], "propose a/3/fetch Ingestion_FetchFailed");
}

#[test]
fn a_failure_that_stays_is_reported_at_once_with_its_reason() {
    let mut engine = running("a/3/fetch");
    engine.ended(&id("a/3/fetch"), 1, Ended::Failed(Failed::lasting("no such tag")), 7);
    engine.tick(7);
    let Some(Command::Propose { outcome, .. }) = engine.take_commands().pop() else { panic!("nothing is proposed") };
    let inputs = String::from_utf8(outcome.inputs.canonical()).unwrap();
    assert!(inputs.contains("no such tag (attempt 1)") && inputs.contains("\"unknown\":false"), "{inputs}");
}

#[test]
fn an_effect_that_opens_again_after_a_failure_waits_longer_each_time() {
    let mut engine = running("a/3/fetch");
    let mut now_ms = 0;
    for (index, wait_ms) in [(4, 100), (5, 200), (6, 400), (7, 800), (8, 1_000), (9, 1_000)] {
        let (now, next) = (id(&format!("a/{}/fetch", index - 1)), format!("a/{index}/fetch"));
        engine.ended(&now, index - 3, Ended::Failed(Failed::lasting("no such tag")), now_ms);
        engine.tick(now_ms);
        engine.answered(&now, Answer::Accepted, now_ms);
        engine.found(&project(), &[open(&next)], now_ms);
        said(&mut engine);
        assert_eq!(engine.wakes_at_ms(), Some(now_ms + wait_ms), "{next}");
        now_ms += wait_ms;
        assert_eq!(ticked(&mut engine, now_ms).len(), 2);
    }
}

/// `GET /effects` showed attempt 1 of what `effects --watch` called attempt 3, and the record said "(attempt 1)".
#[test]
fn attempts_are_counted_over_the_effects_of_failed_work_and_a_waiting_one_has_the_last_reason() {
    let mut engine = running("a/3/fetch");
    engine.ended(&id("a/3/fetch"), 1, Ended::Failed(Failed::passing("no answer")), 0);
    ticked(&mut engine, 100);
    engine.ended(&id("a/3/fetch"), 2, Ended::Failed(Failed::lasting("no such tag")), 100);
    engine.tick(100);
    engine.answered(&id("a/3/fetch"), Answer::Accepted, 100);
    engine.found(&project(), &[open("a/4/fetch")], 100);
    let shown = engine.take_changes();
    let shown = shown.iter().find(|progress| progress.id == id("a/4/fetch")).unwrap();
    assert_eq!((shown.phase, shown.attempt, shown.reason.as_deref()), (Phase::Waiting, 2, Some("no such tag")));
    said(&mut engine);
    assert_eq!(ticked(&mut engine, 200)[1], "start a/4/fetch attempt 3");
    engine.ended(&id("a/4/fetch"), 3, Ended::Failed(Failed::lasting("no such tag")), 200);
    engine.tick(200);
    let Some(Command::Propose { outcome, .. }) = engine.take_commands().pop() else { panic!("nothing is proposed") };
    let inputs = String::from_utf8(outcome.inputs.canonical()).unwrap();
    assert!(inputs.contains("no such tag (attempt 3)"), "{inputs}");
    // A process that begins now knows what the record knows.
    let mut engine = Engine::new(rules(), BTreeMap::new());
    let failed = Open { failures: 2, last_failure: Some("no such tag".to_owned()), ..open("a/5/fetch") };
    engine.found(&project(), &[failed], 300);
    assert_eq!(engine.take_changes()[0].reason.as_deref(), Some("no such tag"));
    assert_eq!(ticked(&mut engine, 300)[1], "start a/5/fetch attempt 3");
    engine.ended(&id("a/5/fetch"), 3, Ended::Done(success("a/5/fetch")), 310);
    ticked(&mut engine, 310);
    engine.answered(&id("a/5/fetch"), Answer::Accepted, 310);
    said(&mut engine);
    engine.found(&project(), &[open("a/9/fetch")], 400);
    assert_eq!(ticked(&mut engine, 400)[1], "start a/9/fetch attempt 1");
}

/// Provisioning that failed twice under other ids was handed to workers before its third attempt began, and counted as begun.
#[test]
fn attempts_at_earlier_effects_are_no_reason_to_report_work_as_begun() {
    let mut engine = Engine::new(rules(), BTreeMap::new());
    let failed = Open { failures: 2, ..open("a/5/provision") };
    engine.found(&project(), std::slice::from_ref(&failed), 0);
    engine.found(&project(), &[Open { doer: Doer::Workers, ..failed }], 1);
    assert_eq!(ticked(&mut engine, 1_000), Vec::<String>::new());
    assert!(engine.projects().is_empty());
}

#[test]
fn a_blocked_project_suspends_its_effects_and_they_go_on_when_it_does() {
    let mut engine = running("a/3/fetch");
    engine.found(&project(), &[blocked("a/3/fetch")], 10);
    assert_eq!(ticked(&mut engine, 10), ["interrupt a/3/fetch"]);
    engine.ended(&id("a/3/fetch"), 1, Ended::Stopped(Stop::Cancelled), 11);
    assert_eq!(ticked(&mut engine, 1_000_000), ["note a/3/fetch attempt 1 ended"]);
    assert_eq!(engine.wakes_at_ms(), None);
    assert_eq!(engine.take_changes()[0].phase, Phase::Suspended);
    engine.found(&project(), &[open("a/3/fetch")], 1_000_001);
    assert_eq!(ticked(&mut engine, 1_000_001)[1], "start a/3/fetch attempt 2");
}

#[test]
fn an_outcome_that_came_while_its_project_is_blocked_waits_and_is_proposed_when_it_goes_on() {
    let mut engine = running("a/3/fetch");
    engine.found(&project(), &[blocked("a/3/fetch")], 10);
    engine.ended(&id("a/3/fetch"), 1, Ended::Done(success("a/3/fetch")), 11);
    assert_eq!(
        ticked(&mut engine, 1_000_000),
        ["interrupt a/3/fetch", "note a/3/fetch attempt 1 with Ingestion_BytesOk"]
    );
    engine.found(&project(), &[open("a/3/fetch")], 1_000_001);
    assert_eq!(ticked(&mut engine, 1_000_001), ["propose a/3/fetch Ingestion_BytesOk"]);
}

#[test]
fn what_is_cancelled_is_interrupted_and_its_outcome_goes_nowhere() {
    let mut engine = running("a/3/fetch");
    engine.found(&project(), &[], 10);
    assert_eq!(said(&mut engine), ["interrupt a/3/fetch"]);
    engine.ended(&id("a/3/fetch"), 1, Ended::Done(success("a/3/fetch")), 11);
    assert_eq!(ticked(&mut engine, 11), ["forget a/3/fetch"]);
    assert_eq!(engine.running(), 0);
    assert_eq!(engine.take_changes()[0].phase, Phase::Closed);
}

#[test]
fn an_outcome_that_may_pass_later_is_proposed_again_and_at_once_when_the_project_moves() {
    let mut engine = running("a/3/fetch");
    engine.ended(&id("a/3/fetch"), 1, Ended::Done(success("a/3/fetch")), 0);
    ticked(&mut engine, 0);
    engine.answered(&id("a/3/fetch"), Answer::Later("the license is expired".to_owned()), 10);
    assert_eq!(ticked(&mut engine, 109), Vec::<String>::new());
    assert_eq!(ticked(&mut engine, 110), ["propose a/3/fetch Ingestion_BytesOk"]);
    engine.answered(&id("a/3/fetch"), Answer::Later("the license is expired".to_owned()), 120);
    engine.found(&project(), &[open("a/3/fetch")], 121);
    assert_eq!(ticked(&mut engine, 121), Vec::<String>::new(), "nothing moved");
    engine.found(&project(), &[Open { seen: 10, ..open("a/3/fetch") }], 122);
    assert_eq!(ticked(&mut engine, 122), ["propose a/3/fetch Ingestion_BytesOk"]);
}

#[test]
fn an_outcome_that_does_not_pass_is_reported_as_a_failure_once_and_then_waits() {
    let mut engine = running("a/3/fetch");
    engine.ended(&id("a/3/fetch"), 1, Ended::Done(success("a/3/fetch")), 0);
    ticked(&mut engine, 0);
    engine.answered(&id("a/3/fetch"), Answer::Refused("base is missing".to_owned()), 1);
    assert_eq!(
        ticked(&mut engine, 1),
        ["note a/3/fetch attempt 1 with Ingestion_FetchFailed", "propose a/3/fetch Ingestion_FetchFailed"]
    );
    engine.answered(&id("a/3/fetch"), Answer::Refused("a policy forbids it".to_owned()), 2);
    assert_eq!(ticked(&mut engine, 102), ["propose a/3/fetch Ingestion_FetchFailed"]);
}

#[test]
fn no_more_attempts_run_at_once_than_there_are_workers_and_none_twice() {
    let mut engine = Engine::new(rules(), BTreeMap::new());
    let all = [open("a/3/fetch"), open("a/4/allocate"), open("a/5/probe")];
    engine.found(&project(), &all, 0);
    engine.found(&project(), &all, 0);
    assert_eq!(ticked(&mut engine, 0).len(), 4);
    assert_eq!((engine.running(), engine.wakes_at_ms()), (2, Some(60_000)));
    engine.ended(&id("a/3/fetch"), 1, Ended::Done(success("a/3/fetch")), 1);
    assert_eq!(ticked(&mut engine, 1).last().unwrap(), "start a/5/probe attempt 1");
}

#[test]
fn what_takes_down_waits_until_what_makes_has_ended() {
    let mut engine = running("a/3/provision");
    engine.found(&project(), &[open("a/4/release"), open("a/5/resolve")], 10);
    assert_eq!(
        ticked(&mut engine, 10),
        ["interrupt a/3/provision", "note a/5/resolve attempt 1 begun", "start a/5/resolve attempt 1"]
    );
    assert_eq!(engine.wakes_at_ms(), Some(60_010), "nothing is due before an attempt ends");
    engine.ended(&id("a/3/provision"), 1, Ended::Stopped(Stop::Cancelled), 20);
    assert_eq!(ticked(&mut engine, 20).last().unwrap(), "start a/4/release attempt 1");
}

#[test]
fn an_attempt_that_outlives_its_lease_is_interrupted_and_counts_as_failed() {
    let mut engine = running("a/3/fetch");
    assert_eq!(ticked(&mut engine, 60_000), ["interrupt a/3/fetch"]);
    assert_eq!(ticked(&mut engine, 70_000), Vec::<String>::new(), "it still holds the effect");
    engine.ended(&id("a/3/fetch"), 1, Ended::Stopped(Stop::Cancelled), 70_001);
    said(&mut engine);
    let changes = engine.take_changes();
    assert!(changes[0].reason.as_ref().unwrap().contains("not done within 60 s"), "{changes:?}");
}

fn left(name: &str, ended: bool, outcome: Option<Outcome>) -> Engine {
    let holder = "another process".to_owned();
    let note = Note { attempt: 4, failures: 1, holder, begun_ms: 0, incarnation: 1, ended, outcome };
    assert_eq!(Note::decode(&note.encode()).unwrap(), note);
    let mut engine = Engine::new(rules(), BTreeMap::from([(id(name), note)]));
    engine.found(&project(), &[open(name)], 1_000);
    engine
}

#[test]
fn what_a_dead_process_began_goes_on_as_the_next_attempt_where_that_does_nothing_twice() {
    assert_eq!(ticked(&mut left("a/3/fetch", false, None), 1_000)[1], "start a/3/fetch attempt 5");
    assert_eq!(ticked(&mut left("a/3/fetch", true, None), 1_000), Vec::<String>::new(), "its wait goes on");
}

#[test]
fn work_that_takes_the_node_down_each_time_is_reported_in_the_end() {
    let note = Note { failures: 2, ..Note::unreadable() };
    let mut engine = Engine::new(rules(), BTreeMap::from([(id("a/3/fetch"), note)]));
    engine.found(&project(), &[open("a/3/fetch")], 0);
    assert_eq!(
        ticked(&mut engine, 0),
        ["note a/3/fetch attempt 1 with Ingestion_FetchFailed", "propose a/3/fetch Ingestion_FetchFailed"]
    );
}

#[test]
fn nothing_begins_while_the_network_gate_is_closed_and_all_of_it_says_why() {
    let mut engine = Engine::new(rules(), BTreeMap::new());
    engine.found(&project(), &[open("a/3/fetch")], 0);
    engine.hold(Some(Stop::GateClosed));
    assert_eq!((ticked(&mut engine, 1_000), engine.wakes_at_ms()), (Vec::new(), None));
    let changes = engine.take_changes();
    assert_eq!(changes[0].phase, Phase::Suspended);
    assert!(changes[0].reason.as_ref().unwrap().contains("license"), "{changes:?}");
    engine.hold(None);
    assert_eq!(ticked(&mut engine, 1_000)[1], "start a/3/fetch attempt 1");
}

#[test]
fn what_a_dead_process_may_have_done_is_reported_as_unknown_and_never_begun_again() {
    let mut engine = left("a/3/provision", false, None);
    engine.tick(1_000);
    let commands = engine.take_commands();
    let [Command::Note { note, .. }, Command::Propose { outcome, .. }] = &commands[..] else { panic!("{commands:?}") };
    assert_eq!((note.outcome.as_ref(), note.attempt), (Some(outcome), 4));
    let inputs = String::from_utf8(canonical_bytes(&outcome.inputs)).unwrap();
    assert!(inputs.contains("\"unknown\":true") && inputs.contains("attempt 4"), "{inputs}");
}

#[test]
fn an_outcome_that_a_dead_process_kept_is_proposed_without_working_again() {
    let mut engine = left("a/3/fetch", true, Some(success("a/3/fetch")));
    assert_eq!(ticked(&mut engine, 1_000), ["propose a/3/fetch Ingestion_BytesOk"]);
}

#[test]
fn a_node_that_stops_interrupts_what_runs_and_notes_that_it_ended() {
    let mut engine = running("a/3/provision");
    engine.stop();
    assert_eq!(said(&mut engine), ["interrupt a/3/provision"]);
    engine.ended(&id("a/3/provision"), 1, Ended::Stopped(Stop::Cancelled), 5);
    assert_eq!(said(&mut engine), ["note a/3/provision attempt 1 ended"]);
}

#[test]
fn an_attempt_that_cannot_be_noted_is_not_begun_and_not_counted() {
    let mut engine = Engine::new(rules(), BTreeMap::new());
    engine.found(&project(), &[open("a/3/fetch")], 0);
    engine.tick(0);
    let Some(Command::Note { note, .. }) = engine.take_commands().into_iter().next() else { panic!("no note") };
    engine.note_failed(&id("a/3/fetch"), &note, "no space left", 0);
    assert_eq!(engine.running(), 0);
    assert_eq!(ticked(&mut engine, 100)[1], "start a/3/fetch attempt 1");
}

#[test]
fn any_text_becomes_a_detail() {
    assert_eq!(detail("a\nb").as_str(), "a b");
    assert_eq!(detail(" \n ").as_str(), "no reason was given");
    let long = detail(&"é".repeat(400));
    assert!(long.as_str().len() <= 500 && long.as_str().ends_with('…'));
}

#[test]
fn an_outcome_that_was_kept_is_proposed_when_its_project_goes_on_and_nothing_is_run() {
    let mut engine = Engine::new(rules(), BTreeMap::new());
    let held = |open: Open| Open { held: Some(success("a/3/fetch")), ..open };
    engine.found(&project(), &[held(blocked("a/3/fetch"))], 0);
    assert!(ticked(&mut engine, 1_000).is_empty());
    engine.found(&project(), &[held(open("a/3/fetch"))], 2_000);
    assert_eq!(ticked(&mut engine, 2_000), ["propose a/3/fetch Ingestion_BytesOk"]);
    engine.answered(&id("a/3/fetch"), Answer::Later("the license is expired".to_owned()), 2_000);
    engine.hold(Some(Stop::GateClosed));
    engine.hold(None);
    assert_eq!(ticked(&mut engine, 2_000), ["propose a/3/fetch Ingestion_BytesOk"], "the license came back");
    engine.answered(&id("a/3/fetch"), Answer::Accepted, 2_001);
    assert_eq!(said(&mut engine), ["forget a/3/fetch"]);
}

/// Opens an effect of provisioning that a node before a restore or a promotion may have worked at.
fn inherited(note: Option<Note>) -> Engine {
    let left = note.map(|note| (id("a/3/provision"), note)).into_iter().collect();
    let mut engine = Engine::new(Rules { incarnation: 2, ..rules() }, left);
    engine.found(&project(), &[Open { inherited: true, ..open("a/3/provision") }], 1_000);
    engine
}

fn note(incarnation: u64, ended: bool, outcome: Option<Outcome>) -> Note {
    Note { attempt: 4, failures: 0, holder: "another process".to_owned(), begun_ms: 0, incarnation, ended, outcome }
}

#[test]
fn what_another_incarnation_may_have_done_is_reported_as_unknown_and_never_begun_again() {
    // Without a note, and with one that was written before the incarnation began: more may have happened after it.
    for (left, attempt) in [(None, 0), (Some(note(1, true, None)), 4), (Some(note(1, false, None)), 4)] {
        let mut engine = inherited(left);
        let commands = ticked(&mut engine, 1_000);
        let noted = format!("note a/3/provision attempt {attempt} with Environment_ProvisionFailed");
        assert_eq!(commands, [noted, "propose a/3/provision Environment_ProvisionFailed".to_owned()]);
    }
    let mut engine = inherited(None);
    engine.tick(1_000);
    let Some(Command::Propose { outcome, .. }) = engine.take_commands().pop() else { panic!("nothing is proposed") };
    let inputs = String::from_utf8(canonical_bytes(&outcome.inputs)).unwrap();
    assert!(inputs.contains("\"unknown\":true") && inputs.contains("restored or taken over"), "{inputs}");
}

#[test]
fn what_this_incarnation_noted_of_an_older_effect_counts_and_so_does_an_outcome_of_before() {
    let mut engine = inherited(Some(note(2, true, None)));
    assert_eq!(ticked(&mut engine, 1_100)[1], "start a/3/provision attempt 5");
    let made = Report::default().into_outcome(&id("a/3/provision"), Transition::EnvironmentInstalled).unwrap();
    let mut engine = inherited(Some(note(1, true, Some(made))));
    assert_eq!(ticked(&mut engine, 1_000), ["propose a/3/provision Environment_Installed"]);
    // Work that does nothing twice is simply done again.
    let mut engine = Engine::new(Rules { incarnation: 2, ..rules() }, BTreeMap::new());
    engine.found(&project(), &[Open { inherited: true, ..open("a/3/fetch") }], 0);
    assert_eq!(ticked(&mut engine, 0)[1], "start a/3/fetch attempt 1");
}

/// A check that says yes, which the node's own guard then refuses, was recorded as a failure thirty times in half a
/// minute: each yes ended the back-off.
#[test]
fn an_outcome_that_is_refused_again_and_again_waits_longer_each_time() {
    let mut engine = running("a/3/healthcheck");
    let mut now_ms = 0;
    let green = |id: &EffectId| Report::default().into_outcome(id, Transition::EnvironmentGreen).unwrap();
    for (index, wait_ms) in [(4, 100), (5, 200), (6, 400), (7, 800), (8, 1_000)] {
        let (now, next) = (id(&format!("a/{}/healthcheck", index - 1)), format!("a/{index}/healthcheck"));
        engine.ended(&now, index - 3, Ended::Done(green(&now)), now_ms);
        engine.tick(now_ms);
        engine.answered(&now, Answer::Refused("health: an asset is not covered".to_owned()), now_ms);
        engine.tick(now_ms);
        engine.answered(&now, Answer::Accepted, now_ms);
        engine.found(&project(), &[open(&next)], now_ms);
        said(&mut engine);
        assert_eq!(engine.wakes_at_ms(), Some(now_ms + wait_ms), "{next}");
        now_ms += wait_ms;
        assert_eq!(ticked(&mut engine, now_ms).len(), 2);
    }
    // A success that is accepted ends the streak.
    let now = id("a/8/healthcheck");
    engine.ended(&now, 6, Ended::Done(green(&now)), now_ms);
    engine.tick(now_ms);
    engine.answered(&now, Answer::Accepted, now_ms);
    engine.found(&project(), &[open("a/9/healthcheck")], now_ms);
    assert_eq!(engine.wakes_at_ms(), Some(now_ms));
}

#[test]
fn a_kind_of_effect_that_failed_still_waits_after_another_kind_was_open_in_between() {
    let mut engine = running("a/3/provision");
    engine.ended(&id("a/3/provision"), 1, Ended::Failed(Failed::lasting("no such builder")), 0);
    engine.tick(0);
    engine.answered(&id("a/3/provision"), Answer::Accepted, 0);
    engine.found(&project(), &[open("a/4/release")], 10);
    engine.found(&project(), &[open("a/5/provision")], 20);
    said(&mut engine);
    assert_eq!(engine.wakes_at_ms(), Some(100), "from the failure on");
}

#[test]
fn a_failure_names_no_more_assets_than_a_state_holds_and_says_how_many_it_leaves_out() {
    let assets = (0..300).map(|n| (format!("image/{n:03}").parse().unwrap(), Hash::of(b"made"))).collect();
    let made = Report { assets: Some(assets), ..Report::default() };
    let outcome = outcome::failed(&id("a/3/provision"), "no room", false, made);
    let inputs = String::from_utf8(outcome.inputs.canonical()).unwrap();
    assert_eq!(inputs.matches("image/").count(), 256);
    assert!(inputs.contains("44 of the assets that were made are not named here; no room"), "{inputs}");
    // A success with too many is refused by the bound, and the failure in its place still names what was made.
    let assets = (0..300).map(|n| (format!("image/{n:03}").parse().unwrap(), Hash::of(b"made"))).collect();
    let made = Report { assets: Some(assets), ..Report::default() };
    let refused = made.into_outcome(&id("a/3/provision"), Transition::EnvironmentInstalled).unwrap();
    let instead = outcome::failed(&id("a/3/provision"), "it does not pass", false, refused.made());
    assert_eq!(String::from_utf8(instead.inputs.canonical()).unwrap().matches("image/").count(), 256);
}

fn by(doer: Doer, text: &str) -> Open {
    Open { doer, ..open(text) }
}

/// Provisioning was set from external to builtin while it was open: the node built a second time, without a word, what a
/// worker had begun.
#[test]
fn what_others_may_have_begun_is_reported_as_unknown_and_only_work_that_does_nothing_twice_begins() {
    // A note of this incarnation may be of the time before others had the effect.
    for left in [None, Some(note(1, true, None)), Some(note(1, false, None))] {
        let left = left.map(|note| (id("a/3/provision"), note)).into_iter().collect();
        let mut engine = Engine::new(rules(), left);
        engine.found(&project(), &[by(Doer::NodeAfterOthers, "a/3/provision")], 1_000);
        engine.tick(1_000);
        let Some(Command::Propose { outcome, .. }) = engine.take_commands().pop() else {
            panic!("nothing is proposed")
        };
        let inputs = String::from_utf8(canonical_bytes(&outcome.inputs)).unwrap();
        assert!(inputs.contains("\"unknown\":true") && inputs.contains("others had this effect"), "{inputs}");
    }
    let mut engine = Engine::new(rules(), BTreeMap::new());
    let made = Report::default().into_outcome(&id("a/3/provision"), Transition::EnvironmentInstalled).unwrap();
    let held = Open { held: Some(made), ..by(Doer::NodeAfterOthers, "a/3/provision") };
    engine.found(&project(), &[held, by(Doer::NodeAfterOthers, "a/4/fetch")], 1_000);
    let commands = ticked(&mut engine, 1_000);
    assert_eq!(commands[0], "propose a/3/provision Environment_Installed", "the worker's outcome goes first");
    assert_eq!(commands[2], "start a/4/fetch attempt 1");
}

#[test]
fn what_the_node_began_before_workers_took_it_over_is_reported_and_nothing_else_is() {
    let name = "a/3/provision";
    let found = |left: Option<Note>, name: &str| {
        let mut engine = Engine::new(rules(), left.map(|note| (id(name), note)).into_iter().collect());
        engine.found(&project(), &[by(Doer::Workers, name)], 1_000);
        ticked(&mut engine, 1_000)
    };
    let unknown = |attempt: u32| {
        let noted = format!("note {name} attempt {attempt} with Environment_ProvisionFailed");
        [noted, format!("propose {name} Environment_ProvisionFailed")]
    };
    for ended in [true, false] {
        assert_eq!(found(Some(note(1, ended, None)), name), unknown(4));
    }
    let made = Report::default().into_outcome(&id(name), Transition::EnvironmentInstalled).unwrap();
    assert_eq!(found(Some(note(1, true, Some(made))), name), [format!("propose {name} Environment_Installed")]);
    assert!(found(None, name).is_empty());
    assert_eq!(found(Some(note(1, false, None)), "a/3/fetch"), ["forget a/3/fetch"]);
}

/// An effect whose region WHOOSH decided for a while was taken for closed: its note went, and it came back as attempt 1.
#[test]
fn an_effect_that_others_had_for_a_while_is_interrupted_kept_in_mind_and_reported_as_unknown() {
    let name = "a/3/provision";
    let mut engine = running(name);
    engine.found(&project(), &[by(Doer::Whoosh, name)], 10);
    assert_eq!(said(&mut engine), [format!("interrupt {name}")]);
    engine.ended(&id(name), 1, Ended::Stopped(Stop::Cancelled), 11);
    assert_eq!(ticked(&mut engine, 1_000_000), [format!("note {name} attempt 1 ended")], "nothing is forgotten");
    assert_eq!((engine.running(), engine.wakes_at_ms()), (0, None));
    engine.found(&project(), &[by(Doer::NodeAfterOthers, name)], 1_000_001);
    let commands = ticked(&mut engine, 1_000_001);
    let noted = format!("note {name} attempt 1 with Environment_ProvisionFailed");
    assert_eq!(commands, [noted, format!("propose {name} Environment_ProvisionFailed")]);
    // It was not begun: nothing is kept, and nothing is known of the others all the same.
    let mut engine = Engine::new(rules(), BTreeMap::new());
    engine.found(&project(), &[open(name)], 0);
    engine.found(&project(), &[by(Doer::Whoosh, name)], 1);
    assert!(ticked(&mut engine, 1_000).is_empty());
    engine.found(&project(), &[by(Doer::NodeAfterOthers, name)], 2_000);
    assert_eq!(ticked(&mut engine, 2_000).len(), 2);
}

#[test]
fn work_that_was_done_before_others_took_it_over_is_proposed_where_the_node_may() {
    let name = "a/3/provision";
    let made = || Report::default().into_outcome(&id(name), Transition::EnvironmentInstalled).unwrap();
    let proposed = [format!("propose {name} Environment_Installed")];
    for (doer, at_once) in [(Doer::Workers, true), (Doer::Whoosh, false)] {
        let mut engine = running(name);
        engine.found(&project(), &[by(doer, name)], 10);
        engine.ended(&id(name), 1, Ended::Done(made()), 11);
        let commands = ticked(&mut engine, 12);
        assert_eq!(commands[1], format!("note {name} attempt 1 with Environment_Installed"));
        assert_eq!(commands[2..] == proposed, at_once, "{commands:?}");
        if !at_once {
            engine.found(&project(), &[by(Doer::NodeAfterOthers, name)], 20);
            assert_eq!(ticked(&mut engine, 20), proposed);
        }
    }
    // Closed effects are forgotten.
    let mut engine = running(name);
    engine.found(&project(), &[by(Doer::Whoosh, name)], 10);
    engine.ended(&id(name), 1, Ended::Done(made()), 11);
    engine.found(&project(), &[], 12);
    engine.found(&project(), &[open(name)], 13);
    assert_eq!(ticked(&mut engine, 13).last().unwrap(), &format!("start {name} attempt 1"));
}
