//! A transition and its main inputs, in a sentence.
//!
//! In a template, `{member}` is a text or number of the inputs, `{a.b}` one within a member, and `{#member}` the
//! number of entries of a list or map. `[…]` is left out when a member that it names is missing.
//!
//! **The templates never change.** Exported records have their sentences, and a check of an export computes them again.

use swoosh_types::json::Json;
use swoosh_types::names::Transition;

/// A sentence about an accepted transition; `inputs` are those that it was proposed with.
pub fn summary(transition: Transition, inputs: &Json) -> String {
    fill(template(transition), inputs)
}

fn template(transition: Transition) -> &'static str {
    use Transition as T;
    match transition {
        T::BootConfigOk => "The project begins: {#document.sources} sources, {#document.identities} identities.",
        T::BootLicensed => "The license is good; ingestion, council and environment begin.",
        T::BootIdentityGranted => "{identity.name} ({key}) may act as {identity.roles}.",
        T::BootIdentityRevoked => "{key} may no longer propose: {rationale}",
        T::BootIdentityRotated => "The roles of {old} pass to the new key {new}.",
        T::BootChartUpgraded => "The statechart goes from version {from_version} to {to_version}.",
        T::IngestionSourcesResolved => "Every reference is pinned to a commit ({#resolved} resolved).",
        T::IngestionResolveFailed => "Sources could not be resolved: {failure.detail}",
        T::IngestionBytesOk => "The bytes of every source are here ({#fetched} fetched).",
        T::IngestionFetchFailed => "Sources could not be fetched: {failure.detail}",
        T::IngestionSchemaOk => "The content passed every check ({#outcomes} made).",
        T::IngestionValidateFailed => "The content could not be validated: {failure.detail}",
        T::IngestionPolicyViolation => {
            "The content breaks a policy; the project is quarantined under policy bundle {bundle_serial}: {rationale}"
        }
        T::IngestionCorpusBuilt => "The corpus is built, with content hash {content_hash}.",
        T::IngestionIndexFailed => "The corpus could not be built: {failure.detail}",
        T::IngestionRetry => "Discovery is opened again[, with a new set of {#sources} sources].",
        T::IngestionNewVersion => "A new content version begins[, with a new set of {#sources} sources].",
        T::IngestionRollbackIndex => "Back to version {version}: {rationale}",
        T::CouncilProfilesLoaded => "{#candidates} candidates stand for the council.",
        T::CouncilQuorumCert => "A council of {#members} members is elected by {#votes} votes.",
        T::CouncilMcpGreen => "Every pinned MCP server answers as pinned ({#servers} probed).",
        T::CouncilMcpRed => "MCP servers did not answer as pinned ({#unreachable}): {unreachable}.",
        T::CouncilEject => "{member} leaves the council and its candidates: {rationale}",
        T::CouncilReElect => "The candidates elect the council again: {rationale}",
        T::CouncilReplan => "Roles and profiles of the council are planned anew: {rationale}",
        T::CouncilReaffirm => "The council stands for content version {version}.",
        T::EnvironmentCapacityOk => "The capacity for the allocation is there.",
        T::EnvironmentCapacityDenied => "The capacity for the allocation is not there: {failure.detail}",
        T::EnvironmentInstalled => "{#assets} assets are provisioned, with manifest hash {manifest_hash}.",
        T::EnvironmentProvisionFailed => "Provisioning failed[ with {#assets} assets made]: {failure.detail}",
        T::EnvironmentGreen => "Every asset is healthy ({#outcomes} checked).",
        T::EnvironmentAmber => "Every asset works, some degraded ({#outcomes} checked).",
        T::EnvironmentHealthFailed => "The assets are not healthy: {failure.detail}",
        T::EnvironmentRecheck => "The assets are checked again.",
        T::EnvironmentDeprovision => "The environment is taken down: {rationale}",
        T::EnvironmentReleased => "The environment is released; capacity is asked for again.",
        T::EnvironmentReleaseFailed => "The environment could not be released: {failure.detail}",
        T::EnvironmentReaffirm => "The environment stands for content version {version}.",
        T::ExecutionAllReady => "Everything is ready at content version {version}; the loop begins.",
        T::ExecutionPlanLocked => "The plan {plan_hash} is locked; work begins.",
        T::ExecutionPlanChange => "The loop is pinned anew, to content version {version}.",
        T::ExecutionBeatReviewGate => "Work is handed to review.",
        T::ExecutionRework => "Review hands the work back: {rationale}",
        T::ExecutionApprove => "A member approves the plan {plan_hash} in beat {beat}, rework round {rework_round}.",
        T::ExecutionApprovalsThreshold => "Enough members approved; the project enters REVERB.",
        T::ExecutionSubmit => "{submission} is submitted, with hash {submission_hash}.",
        T::ExecutionNextWindow => "The next beat begins with a new plan.",
        T::LicenseGraceEntered => "The license ran out; the grace period runs: {cause}",
        T::LicenseExpired => "The license is expired: {cause}",
        T::LicenseRenewed => "The license is good again: {cause}",
        T::ControlPause => "The project is paused: {rationale}",
        T::ControlResume => "The project goes on where it stood: {rationale}",
        T::ControlQuorumLost => "Too few elected members are alive ({#alive}); the project is in recovery.",
        T::ControlRecovered => "Enough elected members are alive again ({#alive}).",
        T::ControlTerminate => "The project ends for good: {rationale}",
        T::PolicyQuarantine => "The project is quarantined: {rationale}",
        T::PolicyRelease => "A human lets the project go on: {justification}",
        T::PolicyUpdated => "Policy bundle {serial} is newer than the one that struck; the project goes on.",
        T::PolicyConfirmedBlock => "A human confirms the block; the project ends: {rationale}",
    }
}

fn fill(template: &str, inputs: &Json) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, group)) = rest.split_once('[') {
        let (inside, after) = group.split_once(']').unwrap_or((group, ""));
        out.push_str(&places(before, inputs).unwrap_or_else(|| before.to_owned()));
        out.push_str(&places(inside, inputs).unwrap_or_default());
        rest = after;
    }
    out.push_str(&places(rest, inputs).unwrap_or_else(|| rest.to_owned()));
    out
}

/// Fills the places of a piece; `None` when one of them is not there.
fn places(piece: &str, inputs: &Json) -> Option<String> {
    let mut out = String::new();
    let mut rest = piece;
    while let Some((before, place)) = rest.split_once('{') {
        let (path, after) = place.split_once('}')?;
        out.push_str(before);
        out.push_str(&value(path, inputs)?);
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

fn value(path: &str, inputs: &Json) -> Option<String> {
    let (path, counted) = path.strip_prefix('#').map_or((path, false), |path| (path, true));
    let found = path.split('.').try_fold(inputs, |json, member| json.as_object()?.get(member))?;
    if counted { Some(count(found)?.to_string()) } else { Some(words(found)) }
}

fn count(json: &Json) -> Option<usize> {
    match json {
        Json::Array(items) => Some(items.len()),
        Json::Object(members) => Some(members.len()),
        _ => None,
    }
}

/// A value as a reader would say it: of a map, its keys.
fn words(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        Json::Integer(number) => number.to_string(),
        Json::Bool(truth) => truth.to_string(),
        Json::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(", "),
        Json::Object(members) => members.keys().cloned().collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn sentences_tell_what_the_inputs_tell() {
        let sentence = |transition, text: &str| summary(transition, &json(text));
        assert_eq!(
            sentence(Transition::IngestionRollbackIndex, r#"{"version": 3, "rationale": "the index is bad"}"#),
            "Back to version 3: the index is bad"
        );
        assert_eq!(
            sentence(Transition::CouncilQuorumCert, r#"{"members": {"a": "x", "b": "y"}, "votes": [{}, {}, {}]}"#),
            "A council of 2 members is elected by 3 votes."
        );
        assert_eq!(
            sentence(
                Transition::BootIdentityGranted,
                r#"{"key": "k", "identity": {"name": "ann", "roles": ["agent", "voter"]}}"#
            ),
            "ann (k) may act as agent, voter."
        );
        assert_eq!(
            sentence(Transition::EnvironmentCapacityDenied, r#"{"failure": {"detail": "no room"}}"#),
            "The capacity for the allocation is not there: no room"
        );
    }

    #[test]
    fn what_is_optional_is_left_out_when_it_is_not_there() {
        let retry = |text: &str| summary(Transition::IngestionRetry, &json(text));
        assert_eq!(retry("{}"), "Discovery is opened again.");
        assert_eq!(
            retry(r#"{"sources": {"a": {}, "b": {}}}"#),
            "Discovery is opened again, with a new set of 2 sources."
        );
    }

    #[test]
    fn braces_of_a_caller_are_text() {
        let inputs = json(r#"{"rationale": "[{version}] {#x", "version": 1}"#);
        assert_eq!(summary(Transition::ControlPause, &inputs), "The project is paused: [{version}] {#x");
    }
}
