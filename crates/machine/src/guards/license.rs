//! KACHING: a license fact that is valid, or in grace, and covers the scope.

use super::{Case, Judged};
use crate::chart::Inputs;
use crate::facts::{FactBody, KnownFact, LicenseTerm};
use crate::state::LicenseStatus;
use swoosh_types::civil::rfc3339;
use swoosh_types::fact::FactKind;
use swoosh_types::names::BootState;

/// The license at a moment, with reasons.
#[derive(Clone, Debug)]
pub struct LicenseReading<'a> {
    /// Whether it counts.
    pub status: LicenseStatus,
    pub reason: String,
    /// The fact it was read from.
    pub fact: Option<&'a KnownFact>,
}

/// Reads the license: after `valid_until` it counts on for the grace period of the settings.
pub fn read_license<'a>(case: &Case<'a>) -> LicenseReading<'a> {
    let expired = |reason: String, fact| LicenseReading { status: LicenseStatus::Expired, reason, fact };
    let Some(fact) = case.fact(FactKind::License) else { return expired("there is no license fact".into(), None) };
    let FactBody::License(license) = &fact.body else { return expired("there is no license fact".into(), None) };
    let settings = match case.settings() {
        Ok((settings, _)) => settings,
        Err(judged) => return expired(judged.reasons.join("; "), Some(fact)),
    };
    let Some(term) = fact.license_term(settings) else {
        return expired(
            format!("license {} does not cover the scope {}", license.id, settings.license_scope),
            Some(fact),
        );
    };
    let LicenseTerm { until_ms, grace_until_ms } = term;
    let (until, grace) = (rfc3339(until_ms), rfc3339(grace_until_ms));
    let at_ms = case.time().physical_ms();
    if at_ms <= until_ms {
        let reason = format!("license {} is valid until {until}", license.id);
        return LicenseReading { status: LicenseStatus::Ok, reason, fact: Some(fact) };
    }
    if at_ms <= grace_until_ms {
        let reason = format!("license {} ran out at {until}; grace runs until {grace}", license.id);
        return LicenseReading { status: LicenseStatus::Grace, reason, fact: Some(fact) };
    }
    expired(format!("license {} ran out at {until} and its grace at {grace}", license.id), Some(fact))
}

fn with_facts(mut judged: Judged, case: &Case<'_>, reading: &LicenseReading<'_>) -> Judged {
    judged.facts.extend(reading.fact.map(|fact| fact.hash));
    if let Ok((_, settings)) = case.settings() {
        judged = judged.read(settings);
    }
    judged
}

pub(super) fn license(case: &Case<'_>) -> Judged {
    let reading = read_license(case);
    let ok = reading.status != LicenseStatus::Expired;
    with_facts(Judged::new(Some(ok), [reading.reason.clone()]), case, &reading)
}

/// The status that a License_* transition enters must be what the fact shows, and a change.
pub(super) fn license_status(case: &Case<'_>) -> Judged {
    let target = match case.asked {
        Some((_, Inputs::LicenseGraceEntered(_))) => LicenseStatus::Grace,
        Some((_, Inputs::LicenseExpired(_))) => LicenseStatus::Expired,
        Some((_, Inputs::LicenseRenewed(_))) => LicenseStatus::Ok,
        _ => return Judged::open(),
    };
    let reading = read_license(case);
    let mut wrong = Vec::new();
    if case.state().boot.phase != BootState::Licensed {
        wrong.push("the license status is kept only once boot is LICENSED".to_owned());
    }
    if reading.status != target {
        wrong.push(format!("the license is {}, not {target}: {}", reading.status, reading.reason));
    }
    if case.state().control.license == target {
        wrong.push(format!("the license status is {target} already"));
    }
    with_facts(Judged::unless(wrong, reading.reason.clone()), case, &reading)
}
