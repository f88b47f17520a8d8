use super::*;
use crate::civil::MAX_MS;
use crate::keys::SecretKey;

fn at(text: &str) -> Hlc {
    format!("{text}#0").parse().unwrap()
}

fn hourly() -> Schedule {
    let spec = |phase_beats, length_beats| vec![WindowSpec { phase_beats, length_beats }];
    Schedule {
        epoch: at("2025-01-01T00:00:00Z"),
        beat_ms: 60_000,
        cycle_beats: 60,
        windows: [
            (WindowClass::Plan, spec(0, 10)),
            (WindowClass::Review, spec(30, 15)),
            (WindowClass::Reverb, spec(45, 15)),
        ]
        .into(),
        amplitude: vec![
            AmplitudePoint { phase_beats: 30, pressure: 500 },
            AmplitudePoint { phase_beats: 45, pressure: 900 },
        ],
        live: None,
    }
}

#[test]
fn names_cycles_by_day_and_ordinal() {
    let position = hourly().position(at("2025-10-19T02:45:00Z"));
    assert_eq!(position.window_id.to_string(), "backbeat:W-2025-10-19-02");
    assert_eq!((position.phase_beats, position.cycle), (45, 291 * 24 + 2));
}

#[test]
fn windows_open_at_their_phase_and_close_at_their_end() {
    let schedule = hourly();
    assert!(schedule.is_open(WindowClass::Review, at("2025-10-19T02:30:00Z")));
    assert!(!schedule.is_open(WindowClass::Review, at("2025-10-19T02:29:59.999Z")));
    assert!(!schedule.is_open(WindowClass::Review, at("2025-10-19T02:45:00Z")));
    assert_eq!(schedule.opens_in_ms(WindowClass::Plan, at("2025-10-19T02:59:00Z")), Some(60_000));
    assert_eq!(schedule.pressure(at("2025-10-19T02:29:00Z")), 0);
    assert_eq!(schedule.pressure(at("2025-10-19T02:50:00Z")), 900);
}

#[test]
fn odd_cycles_still_number_from_zero_each_day() {
    let schedule = Schedule {
        epoch: at("2025-01-01T05:00:00Z"),
        beat_ms: 7 * 60_000,
        cycle_beats: 61,
        windows: BTreeMap::new(),
        amplitude: vec![],
        live: None,
    };
    let mut last = schedule.position(schedule.epoch).window_id;
    assert_eq!(last.ordinal, 0);
    for cycle in 1..2000 {
        let id = schedule
            .position(Hlc::new(schedule.epoch.physical_ms() + cycle * schedule.cycle_ms(), 0).unwrap())
            .window_id;
        assert!(
            (id.day_ms == last.day_ms && id.ordinal == last.ordinal + 1)
                || (id.day_ms > last.day_ms && id.ordinal == 0)
        );
        last = id;
    }
}

fn fault(change: impl FnOnce(&mut Schedule)) -> String {
    let mut schedule = hourly();
    change(&mut schedule);
    let error = schedule.validate().unwrap_err();
    assert!(error.to_string().starts_with(error.member()), "{error}");
    error.to_string()
}

#[test]
fn schedules_out_of_bounds_are_refused_with_their_member() {
    assert_eq!(hourly().validate(), Ok(()));
    let spec = |phase_beats, length_beats| vec![WindowSpec { phase_beats, length_beats }];
    let plan = |specs| fault(|s| drop(s.windows.insert(WindowClass::Plan, specs)));
    assert!(plan(spec(55, 10)).starts_with("windows.plan[0]: a window of 10 beats at beat 55"));
    assert!(plan(spec(0, 0)).starts_with("windows.plan[0].length_beats is 0; it must be from 1 to 60"));
    assert!(plan(spec(60, 1)).starts_with("windows.plan[0].phase_beats is 60; it must be from 0 to 59"));
    assert!(plan(vec![WindowSpec { phase_beats: 0, length_beats: 1 }; 257]).starts_with("windows.plan has 257"));
    assert!(plan(spec(u64::MAX, u64::MAX)).starts_with("windows.plan[0].phase_beats"));
    assert!(fault(|s| s.beat_ms = 0).starts_with("beat_ms is 0; it must be from 1"));
    assert!(fault(|s| s.cycle_beats = 1_000_001).starts_with("cycle_beats is 1000001"));
    assert!(fault(|s| s.amplitude[1].pressure = 1_001).starts_with("amplitude[1].pressure is 1001"));
    assert!(fault(|s| s.amplitude[1].phase_beats = 30).starts_with("amplitude[1].phase_beats is 30, not above the 30"));
    assert!(fault(|s| s.epoch = Hlc::new(0, 7).unwrap()).contains("logical part 7"));
    let live = Live { beat: 1, began_at: at("2025-01-01T00:01:00Z"), beat_ms: 0, beats: 1, pressure: None };
    assert!(fault(|s| s.live = Some(live)).starts_with("live.beat_ms is 0"));
}

/// Beat 1,000 of [`hourly`], which begins at 16:40 of the first day.
const BEAT: u64 = 1_000;

fn note(began_at: &str, beat_ms: u64, lasts_ms: u64) -> BeatClaim {
    let began_at = at(began_at);
    BeatClaim {
        source: SecretKey::from_bytes(&[4; 32]).public(),
        observed_at: began_at,
        valid_until: Hlc::new(began_at.physical_ms() + lasts_ms, 0).unwrap(),
        beat: BEAT,
        began_at,
        beat_ms,
        pressure: Some(700),
    }
}

const BOUNDS: LiveBounds = LiveBounds { max_shift_ms: 120_000, max_tempo_permille: 100, max_pressure: 800 };

fn led(began_at: &str, beat_ms: u64, lasts_ms: u64) -> Result<Schedule, BeatFault> {
    hourly().led_by(&note(began_at, beat_ms, lasts_ms), BOUNDS, hourly().epoch)
}

fn after(time: Hlc, ms: u64) -> Hlc {
    Hlc::new(time.physical_ms() + ms, 0).unwrap()
}

#[test]
fn a_live_source_shifts_beats_and_tempo_and_the_schedule_holds_on_after_it() {
    let began = at("2025-01-01T16:40:07Z");
    let schedule = led("2025-01-01T16:40:07Z", 61_000, 600_000).unwrap();
    assert_eq!(schedule.validate(), Ok(()));
    assert_eq!(schedule.live.as_ref().unwrap().beats, 10);
    for (ms, beat) in [(0, 0), (60_999, 0), (61_000, 1), (609_999, 9), (610_000, 10), (669_999, 10), (670_000, 11)] {
        assert_eq!(schedule.beat_at(after(began, ms)), BEAT + beat, "{ms}");
    }
    assert_eq!(schedule.beat_at(at("2025-01-01T16:40:06.999Z")), BEAT - 1);
    assert_eq!(schedule.pressure(after(began, 609_999)), 700);
    assert_eq!(schedule.pressure(after(began, 610_000)), 900, "the curve holds again");
    assert_eq!(schedule.position(began).window_id, hourly().position(at("2025-01-01T16:40:00Z")).window_id);
    assert_eq!(schedule.outlook(began, 0).shift_ms, 7_000);
    assert_eq!(schedule.nominal(), hourly());
}

#[test]
fn beats_begin_where_they_are_found_and_waits_end_when_windows_open() {
    let schedule = led("2025-01-01T16:39:20Z", 57_000, 300_000).unwrap();
    for beat in BEAT - 50..BEAT + 50 {
        let begins = Hlc::new(schedule.beat_begins_ms(beat), 0).unwrap();
        assert_eq!(schedule.beat_at(begins), beat);
        assert_eq!(schedule.beat_at(Hlc::new(begins.physical_ms() - 1, 0).unwrap()), beat - 1);
        for &class in WindowClass::ALL {
            let wait_ms = schedule.opens_in_ms(class, begins).unwrap();
            assert!(schedule.is_open(class, after(begins, wait_ms)), "{class} {beat}");
            assert!(wait_ms == 0 || !schedule.is_open(class, after(begins, wait_ms - 1)), "{class} {beat}");
        }
    }
}

#[test]
fn a_live_source_keeps_to_its_bounds() {
    assert!(matches!(led("2025-01-01T16:42:00.001Z", 60_000, 1), Err(BeatFault::Shift { shift_ms: 120_001, .. })));
    assert!(matches!(led("2025-01-01T16:37:59.999Z", 60_000, 1), Err(BeatFault::Shift { .. })));
    for beat_ms in [0, 53_999, 66_001, u64::MAX] {
        let refused = led("2025-01-01T16:40:00Z", beat_ms, 1);
        assert!(matches!(refused, Err(BeatFault::Tempo { least: 54_000, most: 66_000, .. })), "{beat_ms}");
    }
    let loud = BeatClaim { pressure: Some(801), ..note("2025-01-01T16:40:00Z", 60_000, 1) };
    let refused = hourly().led_by(&loud, BOUNDS, at("2025-01-01T16:30:00Z"));
    assert_eq!(refused, Err(BeatFault::Pressure { found: 801, most: 800 }));
    let far = BeatClaim { beat: u64::MAX, ..note("2025-01-01T16:40:00Z", 60_000, 1) };
    assert!(matches!(hourly().led_by(&far, BOUNDS, far.began_at), Err(BeatFault::Shift { .. })));
}

#[test]
fn a_tempo_is_followed_only_until_the_shift_reaches_its_bound() {
    // 60 s late already, 5 s more with each beat: 12 beats to 120 s.
    let late = led("2025-01-01T16:41:00Z", 65_000, 86_400_000).unwrap();
    assert_eq!(late.live.as_ref().unwrap().beats, 12);
    let end = at("2025-01-02T16:00:00Z");
    assert_eq!(late.outlook(end, 0).shift_ms, 120_000);
    // 60 s late, 5 s less with each beat: 36 beats to 120 s early.
    let early = led("2025-01-01T16:41:00Z", 55_000, 86_400_000).unwrap();
    assert_eq!(early.live.as_ref().unwrap().beats, 36);
    assert_eq!(early.outlook(end, 0).shift_ms, -120_000);
    let steady = led("2025-01-01T16:41:00Z", 60_000, u64::from(u32::MAX)).unwrap();
    assert_eq!(steady.live.as_ref().unwrap().beats, 71_583);
}

#[test]
fn the_beat_of_now_never_goes_back() {
    let now = at("2025-01-01T16:40:30Z");
    let late = note("2025-01-01T16:40:45Z", 60_000, 60_000);
    assert_eq!(hourly().led_by(&late, BOUNDS, now), Err(BeatFault::Back { held: BEAT, found: BEAT - 1 }));
    let ahead = hourly().led_by(&note("2025-01-01T16:39:15Z", 60_000, 60_000), BOUNDS, now).unwrap();
    assert_eq!(ahead.beat_at(now), BEAT + 1);
    let back = ahead.led_by(&note("2025-01-01T16:40:00Z", 60_000, 60_000), BOUNDS, now);
    assert_eq!(back, Err(BeatFault::Back { held: BEAT + 1, found: BEAT }));
}

#[test]
fn cycles_keep_their_names_wherever_a_shift_puts_them() {
    // Cycle 24 begins at midnight by the schedule, and two minutes before it by the source.
    let claim = BeatClaim { beat: 1_440, ..note("2025-01-01T23:58:00Z", 60_000, 60_000) };
    let schedule = hourly().led_by(&claim, BOUNDS, at("2025-01-01T23:00:00Z")).unwrap();
    let name = |time: &str| schedule.position(at(time)).window_id.to_string();
    assert_eq!(name("2025-01-01T23:57:59.999Z"), "backbeat:W-2025-01-01-23");
    assert_eq!(name("2025-01-01T23:58:00Z"), "backbeat:W-2025-01-02-00");
    assert_eq!(name("2025-01-02T00:58:00Z"), "backbeat:W-2025-01-02-01");
}

#[test]
fn the_outlook_lists_what_opens_next_in_order() {
    let outlook = hourly().outlook(at("2025-10-19T02:40:00Z"), 4);
    assert_eq!((outlook.phase_beats, outlook.pressure, outlook.shift_ms, outlook.led), (40, 500, 0, false));
    let review = &outlook.windows[&WindowClass::Review];
    assert_eq!((review.open, review.opens_in_ms, review.closes_in_ms), (true, Some(0), Some(300_000)));
    assert_eq!(outlook.windows[&WindowClass::Plan].closes_in_ms, None);
    let next: Vec<_> = outlook.next.iter().map(|n| format!("{} {} {}", n.class, n.window_id, n.opens_at)).collect();
    assert_eq!(next[0], "reverb backbeat:W-2025-10-19-02 2025-10-19T02:45:00.000+00:00#0");
    assert_eq!(next[1], "plan backbeat:W-2025-10-19-03 2025-10-19T03:00:00.000+00:00#0");
    assert_eq!((outlook.next[0].closes_at, next.len()), (at("2025-10-19T03:00:00Z"), 4));
}

/// Windows that open at once were in the order of the alphabet: reverb before review.
#[test]
fn windows_that_open_at_once_are_listed_in_the_order_of_the_loop() {
    assert!(LOOP.len() == WindowClass::ALL.len() && WindowClass::ALL.iter().all(|class| LOOP.contains(class)));
    let always = |class| (class, vec![WindowSpec { phase_beats: 0, length_beats: 60 }]);
    let schedule = Schedule { windows: LOOP.into_iter().map(always).collect(), ..hourly() };
    let next = schedule.outlook(at("2025-10-19T02:40:00Z"), 3).next;
    assert_eq!(next.iter().map(|opening| opening.class).collect::<Vec<_>>(), LOOP);
}

#[test]
fn windows_that_follow_on_each_other_close_as_one_and_one_of_all_beats_never() {
    let specs = |specs: &[(u64, u64)]| {
        let spec = |&(phase_beats, length_beats): &(u64, u64)| WindowSpec { phase_beats, length_beats };
        let windows = [(WindowClass::Plan, specs.iter().map(spec).collect())].into();
        Schedule { windows, ..hourly() }
    };
    let closes = |schedule: Schedule| schedule.closes_in_ms(WindowClass::Plan, at("2025-10-19T02:50:00Z"));
    assert_eq!(closes(specs(&[(0, 60)])), None);
    assert_eq!(closes(specs(&[(40, 20), (0, 5)])), Some(15 * 60_000));
    assert_eq!(closes(specs(&[(0, 5)])), None);
    assert!(Schedule { windows: BTreeMap::new(), ..hourly() }.outlook(hourly().epoch, 10).next.is_empty());
}

#[test]
fn arithmetic_at_the_limits_of_time_does_not_overflow() {
    let live = Live {
        beat: (1 << 53) - 1,
        began_at: Hlc::new(MAX_MS, 0).unwrap(),
        beat_ms: DAY_MS,
        beats: 1_000_000,
        pressure: Some(1),
    };
    let widest = Schedule { beat_ms: DAY_MS, cycle_beats: 1_000_000, ..hourly() };
    for schedule in [widest.clone(), Schedule { live: Some(live), ..widest }] {
        assert_eq!(schedule.validate(), Ok(()));
        for ms in [0, 1, MAX_MS] {
            let time = Hlc::new(ms, 0).unwrap();
            assert_eq!(schedule.outlook(time, 3).at, time);
            assert!(schedule.opens_in_ms(WindowClass::Plan, time).is_some());
        }
    }
}

#[test]
fn a_note_counts_for_its_source_and_cluster_alone() {
    let (key, cluster) = (SecretKey::from_bytes(&[4; 32]), "swoosh".parse().unwrap());
    let signed = note("2025-01-01T16:40:00Z", 60_000, 1).sign(&cluster, &key);
    assert!(signed.verify(&cluster) && !signed.verify(&"other".parse().unwrap()));
    let changed = BeatNote { claim: BeatClaim { beat: 1, ..signed.claim.clone() }, signature: signed.signature };
    assert!(!changed.verify(&cluster));
}
