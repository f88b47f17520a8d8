use super::*;
use swoosh_types::fact::FactKind;
use swoosh_types::names::{EffectName, WindowClass};

fn text(metrics: &Metrics) -> String {
    String::from_utf8(metrics.render()).unwrap()
}

#[test]
fn every_name_is_exposed_before_the_first_event() {
    let text = text(&Metrics::new());
    for series in [
        "swoosh_transition_total{transition=\"Council_QuorumCert\"} 0",
        "swoosh_guard_fail_total{guard=\"window\"} 0",
        "swoosh_state_advance_latency_seconds_count{region=\"execution\"} 0",
        "swoosh_retry_count{transition=\"Execution_Submit\"} 0",
        "swoosh_quarantine_total 0",
        "swoosh_recovery_time_seconds 0",
        "swoosh_wal_lag_records 0",
        "swoosh_rejection_total{code=\"stale_head\"} 0",
        "swoosh_rejection_total{code=\"guard_quorum\"} 0",
        "swoosh_queue_depth 0",
        "swoosh_batch_records_count 0",
        "swoosh_commit_seconds_count 0",
        "swoosh_wal_last_index 0",
        "swoosh_projects 0",
        "swoosh_decision_export_lag_records{exporter=\"bubble\"} 0",
        "swoosh_decision_export_position{exporter=\"jsonl\"} 0",
        "swoosh_decision_export_failures{exporter=\"bubble\"} 0",
        "swoosh_effects{phase=\"running\"} 0",
        "swoosh_effect_attempts_total{effect=\"fetch\"} 0",
        "swoosh_effect_failures_total{effect=\"provision\"} 0",
        "swoosh_connections 0",
        "swoosh_listeners 0",
        "swoosh_connections_turned_away_total{reason=\"peer_full\"} 0",
        "swoosh_tls_certificate_expires_seconds 0",
        "swoosh_wal_sync_seconds_count 0",
        "swoosh_wal_failures_total 0",
        "swoosh_mode{mode=\"read_only\"} 0",
        "swoosh_projects_blocked{by=\"quarantined\"} 0",
        "swoosh_license_left_seconds 0",
        "swoosh_facts{kind=\"license\"} 0",
        "swoosh_facts_expired{kind=\"liveness\"} 0",
        "swoosh_window_open{class=\"review\"} 0",
        "swoosh_pressure_permille 0",
        "swoosh_tool_servers{state=\"up\"} 0",
        "swoosh_provider_requests_total{provider=\"mcp\"} 0",
        "swoosh_provider_failures_total{provider=\"license\"} 0",
        "swoosh_provider_request_seconds_count{provider=\"backbeat\"} 0",
        "swoosh_log_lines_dropped_total 0",
        "swoosh_trace_spans_sent_total 0",
        "swoosh_trace_spans_dropped_total{reason=\"not_sent\"} 0",
        "swoosh_trace_spans_waiting 0",
        concat!("swoosh_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
    ] {
        assert!(text.lines().any(|line| line == series), "{series}");
    }
}

#[test]
fn every_label_has_its_own_handle() {
    let metrics = Metrics::new();
    for &transition in Transition::ALL {
        metrics.transition_accepted(transition, Region::Boot, Duration::from_millis(1));
        metrics.retried(transition);
    }
    GuardName::ALL.iter().for_each(|&guard| metrics.guard_failed(guard));
    GuardName::ALL.iter().for_each(|&guard| metrics.rejected(Code::Guard(guard)));
    Code::PLAIN.iter().for_each(|&code| metrics.rejected(code));
    let text = text(&metrics);
    for family in
        ["swoosh_transition_total{", "swoosh_retry_count{", "swoosh_guard_fail_total{", "swoosh_rejection_total{"]
    {
        assert!(text.lines().filter(|line| line.starts_with(family)).all(|line| line.ends_with(" 1")), "{family}");
    }
    let latencies = format!("swoosh_state_advance_latency_seconds_count{{region=\"boot\"}} {}", Transition::ALL.len());
    assert!(text.contains(&latencies));
    assert!(text.contains("swoosh_quarantine_total 2"));
}

#[test]
fn ages_are_in_seconds() {
    let metrics = Metrics::new();
    metrics.set_wal_lag(4, Duration::from_millis(2_500));
    metrics.set_follow(true, 15, Duration::from_millis(1_250));
    let text = text(&metrics);
    for line in ["swoosh_uncommitted_age_seconds 2.5", "swoosh_follow_lag_seconds 1.25"] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn commits_and_gauges_show_their_values() {
    let metrics = Metrics::new();
    metrics.committed(3, Duration::from_millis(2), 17);
    metrics.set_wal_lag(4, Duration::ZERO);
    metrics.set_queue_depth(5);
    metrics.add_projects(4);
    metrics.add_projects(2);
    metrics.set_heads(7, 700);
    metrics.evicted(8);
    metrics.set_damaged(2, 1);
    metrics.set_breaches_unrecorded(3);
    metrics.snapshot_passed_over();
    metrics.set_log(9, 10, 11);
    metrics.start_checked();
    metrics.scrubbed();
    metrics.set_follow(true, 15, Duration::ZERO);
    metrics.set_licensed(true, Some(1_760_832_000_999));
    metrics.recovered_in(Duration::from_millis(1500));
    metrics.set_effects("running", 2);
    metrics.effect_begun(EffectName::Fetch);
    metrics.effect_failed(EffectName::Fetch);
    metrics.set_connections(7);
    metrics.turned_away("idle");
    metrics.set_certificate_expires(8_000);
    let text = text(&metrics);
    for line in [
        "swoosh_batch_records_sum 3",
        "swoosh_batch_records_bucket{le=\"4\"} 1",
        "swoosh_commit_seconds_sum 0.002",
        "swoosh_wal_last_index 17",
        "swoosh_network_gate_open 1",
        "swoosh_license_until_seconds 1760832000",
        "swoosh_wal_lag_records 4",
        "swoosh_queue_depth 5",
        "swoosh_projects 6",
        "swoosh_heads 7",
        "swoosh_heads_bytes 700",
        "swoosh_evictions_total 8",
        "swoosh_projects_damaged 2",
        "swoosh_breaches_unrecorded 3",
        "swoosh_snapshots_passed_over_total 1",
        "swoosh_wal_first_index 9",
        "swoosh_start_checked 1",
        "swoosh_scrubs_total 1",
        "swoosh_replay_tail_records 10",
        "swoosh_keys_aged_index 11",
        "swoosh_follow_lag_records 15",
        "swoosh_follow_connected 1",
        "swoosh_recovery_time_seconds 1.5",
        "swoosh_effects{phase=\"running\"} 2",
        "swoosh_effect_attempts_total{effect=\"fetch\"} 1",
        "swoosh_effect_failures_total{effect=\"fetch\"} 1",
        "swoosh_connections 7",
        "swoosh_connections_turned_away_total{reason=\"idle\"} 1",
        "swoosh_tls_certificate_expires_seconds 8",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn exports_and_backups_show_their_last_record_and_failures() {
    let metrics = Metrics::new();
    metrics.exported(12);
    metrics.export_failed();
    metrics.backed_up(13, 14_000);
    metrics.backup_failed();
    metrics.set_export("bubble", 7, 8, 9);
    let text = text(&metrics);
    for line in [
        "swoosh_export_last_index 12",
        "swoosh_export_failures_total 1",
        "swoosh_backup_last_index 13",
        "swoosh_backup_last_success_seconds 14",
        "swoosh_backup_failures_total 1",
        "swoosh_decision_export_position{exporter=\"bubble\"} 7",
        "swoosh_decision_export_lag_records{exporter=\"bubble\"} 8",
        "swoosh_decision_export_failures{exporter=\"bubble\"} 9",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn facts_about_the_world_are_shown() {
    let metrics = Metrics::new();
    let world = metrics.world();
    world.set_license_left(90_500);
    let standing = FactStanding { held: 3, expired: 1, observed_ms: Some(1_000), until_ms: 4_000 };
    world.set_facts(FactKind::Tooling, standing, 6_000);
    world.set_windows(Some(&WindowStanding {
        beat: 7,
        cycle: 8,
        pressure_permille: 9,
        open: vec![WindowClass::Review],
    }));
    world.set_tools(2, 1);
    world.asked("mcp", true, Duration::from_millis(2));
    world.asked("mcp", false, Duration::from_millis(2));
    let shown = text(&metrics);
    for line in [
        "swoosh_license_left_seconds 90.5",
        "swoosh_facts{kind=\"tooling\"} 3",
        "swoosh_facts_expired{kind=\"tooling\"} 1",
        "swoosh_fact_age_seconds{kind=\"tooling\"} 5",
        "swoosh_fact_left_seconds{kind=\"tooling\"} -2",
        "swoosh_window_open{class=\"plan\"} 0",
        "swoosh_window_open{class=\"review\"} 1",
        "swoosh_window_index 8",
        "swoosh_beat_index 7",
        "swoosh_pressure_permille 9",
        "swoosh_tool_servers{state=\"up\"} 2",
        "swoosh_tool_servers{state=\"down\"} 1",
        "swoosh_provider_requests_total{provider=\"mcp\"} 2",
        "swoosh_provider_failures_total{provider=\"mcp\"} 1",
        "swoosh_provider_request_seconds_count{provider=\"mcp\"} 2",
    ] {
        assert!(shown.lines().any(|found| found == line), "{line}");
    }
    world.set_facts(FactKind::Tooling, FactStanding::default(), 7_000);
    world.set_windows(None);
    let shown = text(&metrics);
    assert!(!shown.contains("swoosh_fact_age_seconds{"), "what is not held has no age");
    assert!(
        shown.contains("swoosh_facts{kind=\"tooling\"} 0") && shown.contains("swoosh_window_open{class=\"review\"} 0")
    );
}

#[test]
fn exactly_one_mode_of_a_node_is_set() {
    let metrics = Metrics::new();
    metrics.set_mode("refusing", false);
    metrics.set_blocked([1, 2, 3, 4, 5]);
    metrics.synced(Duration::from_millis(2));
    metrics.wal_failed();
    metrics.set_disk_free(6);
    metrics.set_log_dropped(7);
    metrics.started(9_000);
    let shown = text(&metrics);
    for line in [
        "swoosh_mode{mode=\"accepting\"} 0",
        "swoosh_mode{mode=\"refusing\"} 1",
        "swoosh_clock_safe 0",
        "swoosh_projects_blocked{by=\"paused\"} 1",
        "swoosh_projects_blocked{by=\"quarantined\"} 5",
        "swoosh_wal_sync_seconds_sum 0.002",
        "swoosh_wal_failures_total 1",
        "swoosh_disk_free_bytes 6",
        "swoosh_log_lines_dropped_total 7",
        "swoosh_start_time_seconds 9",
    ] {
        assert!(shown.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn what_becomes_of_spans_is_counted_by_its_reason() {
    let metrics = Metrics::new();
    metrics.spans().sent(16);
    metrics.spans().dropped("queue_full", 17);
    metrics.spans().dropped("no such reason", 1);
    metrics.spans().set_waiting(18);
    let shown = text(&metrics);
    for line in [
        "swoosh_trace_spans_sent_total 16",
        "swoosh_trace_spans_dropped_total{reason=\"queue_full\"} 17",
        "swoosh_trace_spans_dropped_total{reason=\"not_sent\"} 0",
        "swoosh_trace_spans_waiting 18",
    ] {
        assert!(shown.lines().any(|found| found == line), "{line}");
    }
}
