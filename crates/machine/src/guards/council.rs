//! HMMM and MCP: certificates, rosters, tooling, liveness.

use std::collections::{BTreeMap, BTreeSet};

use super::{Case, Judged};
use crate::chart::guarded::Liveness;
use crate::chart::{CouncilQuorumCert, Inputs};
use crate::election;
use crate::facts::FactBody;
use swoosh_types::council::member_set_hash;
use swoosh_types::fact::{FactKind, Pulse};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::inputs::{ToolPin, VoteBody};
use swoosh_types::keys::PublicKey;
use swoosh_types::names::{ExecutionState, Transition};
use swoosh_types::words::count;

pub(super) fn quorum(case: &Case<'_>) -> Judged {
    let Some((_, Inputs::CouncilQuorumCert(inputs))) = case.asked else { return Judged::open() };
    let mut wrong = member_faults(case, inputs);
    let (votes, vote_faults) = count_votes(case, inputs);
    wrong.extend(vote_faults);
    let candidates = case.state().council.candidates.len() as u64;
    // Those who count no more stay in the number: a quorum of the few that are left would be a quorum of fewer keys.
    let needed = case.state().council.rules.quorum.votes_needed(candidates);
    if votes < needed {
        wrong.push(format!(
            "{} of {}; a quorum is {needed}",
            count(votes, "valid vote"),
            count(candidates, "candidate")
        ));
    }
    let ranked = inputs.members == election::propose(case.head, &case.identities().electorate());
    let which = if ranked { "the ranked proposal" } else { "another set than the ranked proposal" };
    let right = format!("{votes} of {candidates} candidates voted for {which}; a quorum is {needed}");
    case.naming_settings(Judged::unless(wrong, right))
}

fn member_faults(case: &Case<'_>, inputs: &CouncilQuorumCert) -> Vec<String> {
    let council = &case.state().council;
    let mut wrong = Vec::new();
    let hash = member_set_hash(&inputs.members);
    if hash != inputs.member_set_hash {
        wrong.push(format!("member_set_hash must be the hash of members, {hash}"));
    }
    let strangers = inputs.members.keys().filter(|key| !council.candidates.contains_key(key));
    wrong.extend(strangers.map(|key| format!("member {key} is not a candidate")));
    if case.state().is_under(2) {
        let faults = inputs.members.keys().filter_map(|key| case.identities().voter_fault(key));
        wrong.extend(faults.map(|fault| format!("it cannot be a member: {fault}")));
    }
    let mut seats: BTreeMap<_, u64> = BTreeMap::new();
    inputs.members.values().for_each(|role| *seats.entry(role).or_default() += 1);
    for (role, taken) in seats {
        match council.roles.get(role) {
            None => wrong.push(format!("there is no role {role}")),
            Some(spec) if taken > spec.seats => {
                wrong.push(format!("role {role} has {} seats, not {taken}", spec.seats))
            }
            Some(_) => {}
        }
    }
    let (size, least) = (inputs.members.len() as u64, council.rules.min_members);
    if size < least {
        wrong.push(format!("{}, fewer than council.min_members {least}", count(size, "member")));
    }
    let threshold = case.state().execution.approval_threshold;
    if threshold <= size / 2 || threshold > size {
        wrong.push(format!(
            "approval_threshold {threshold} is not between a majority and all of {size} members; Replan"
        ));
    }
    wrong
}

/// Valid votes, and what is wrong with the others. While a rotation overlaps, the old key may still cast the vote of
/// the candidate that took its place, and that candidate votes once.
fn count_votes(case: &Case<'_>, inputs: &CouncilQuorumCert) -> (u64, Vec<String>) {
    let (state, who) = (case.state(), case.identities());
    let seats = who.seats();
    let body = VoteBody {
        project: case.project().clone(),
        council_epoch: state.epoch.council,
        member_set_hash: inputs.member_set_hash,
    };
    let mut voters = BTreeSet::new();
    let mut wrong = Vec::new();
    let mut valid = 0;
    for vote in &inputs.votes {
        let candidate = if state.is_under(2) { seats.holder(&vote.voter) } else { vote.voter };
        if !voters.insert(candidate) {
            wrong.push(format!("{} votes twice", vote.voter));
        } else if !state.council.candidates.contains_key(&candidate) {
            wrong.push(format!("{} votes but is not a candidate", vote.voter));
        } else if let Some(fault) = who.voter_fault(&vote.voter).or_else(|| who.voter_fault(&candidate)) {
            wrong.push(format!("the vote of {} does not count: {fault}", vote.voter));
        } else if !body.verify(case.cluster, vote) {
            wrong.push(format!(
                "the vote of {} is not its signature over council epoch {}",
                vote.voter, body.council_epoch
            ));
        } else {
            valid += 1;
        }
    }
    (valid, wrong)
}

/// Roles and candidates are there and distinct; a member named to be ejected is one.
pub(super) fn roster(case: &Case<'_>) -> Judged {
    let council = &case.state().council;
    let mut wrong = Vec::new();
    match case.asked {
        Some((_, Inputs::CouncilProfilesLoaded(inputs))) => {
            let keys: BTreeSet<_> = inputs.candidates.iter().map(|candidate| candidate.key).collect();
            if council.roles.is_empty() {
                wrong.push("the project has no roles".to_owned());
            }
            if keys.len() != inputs.candidates.len() {
                wrong.push("a candidate occurs twice".to_owned());
            }
            wrong.extend(keys.iter().filter_map(|key| case.identities().voter_fault(key)));
            wrong.extend(rotated_candidates(case, &keys));
            if (keys.len() as u64) < council.rules.min_members {
                let few = count(keys.len() as u64, "candidate");
                wrong.push(format!("{few}, fewer than council.min_members {}", council.rules.min_members));
            }
            let right = format!("{} candidates for {} roles", keys.len(), council.roles.len());
            case.naming_settings(Judged::unless(wrong, right))
        }
        Some((_, Inputs::CouncilEject(inputs))) => {
            let member = Some(inputs.member).filter(|_| !case.state().is_under(2));
            let member = member.or_else(|| case.state().member_behind(&inputs.member));
            if !member.is_some_and(|member| council.members.contains_key(&member)) {
                wrong.push(format!("{} is not an elected member", inputs.member));
            }
            Judged::unless(wrong, format!("{} is an elected member", inputs.member))
        }
        _ => Judged::open(),
    }
}

/// Keys that were replaced by rotation: the holder is one candidate, named by the new key.
fn rotated_candidates(case: &Case<'_>, keys: &BTreeSet<PublicKey>) -> Vec<String> {
    if !case.state().is_under(2) {
        return Vec::new();
    }
    let seats = case.identities().seats();
    let replaced = |key: &PublicKey| Some(seats.holder(key)).filter(|holder| holder != key);
    keys.iter().filter_map(|key| Some(format!("{key} was rotated; name {}", replaced(key)?))).collect()
}

/// Every pin is met by what the outcome says and by what the tooling fact saw.
pub(super) fn tooling(case: &Case<'_>) -> Judged {
    let pins = &case.state().council.tool_pins;
    if pins.is_empty() {
        return Judged::unless(unpinned(case), "no server is pinned");
    }
    let fact = match case.valid_fact(FactKind::Tooling) {
        Ok(fact) => fact,
        Err(judged) => return judged,
    };
    let FactBody::Tooling(tooling) = &fact.body else { return Judged::fail(["there is no tooling fact"]) };
    let mut wrong = Vec::new();
    for (name, pin) in pins {
        match tooling.servers.get(&pin.url) {
            None => wrong.push(format!("{name}: {} was not probed", pin.url)),
            Some(status) if !status.reachable => wrong.push(format!("{name}: {} does not answer", pin.url)),
            Some(status) => wrong.extend(mismatch(name, pin, status.server.as_ref(), status.version.as_ref())),
        }
    }
    if let Some((_, Inputs::CouncilMcpGreen(inputs))) = case.asked {
        for (name, pin) in pins {
            let seen = inputs.servers.get(name);
            wrong.extend(mismatch(name, pin, seen.map(|s| &s.server), seen.map(|s| &s.version)));
        }
        wrong.extend(unpinned(case));
        wrong.sort();
        wrong.dedup();
    }
    Judged::unless(wrong, format!("{} servers answer as pinned", pins.len())).read(fact)
}

/// Servers that an outcome names and the project does not pin.
fn unpinned(case: &Case<'_>) -> Vec<String> {
    let Some((_, Inputs::CouncilMcpGreen(inputs))) = case.asked else { return Vec::new() };
    let pins = &case.state().council.tool_pins;
    inputs.servers.keys().filter(|name| !pins.contains_key(*name)).map(|name| format!("{name} is not pinned")).collect()
}

fn mismatch<S: std::fmt::Display, V: std::fmt::Display>(
    name: &swoosh_types::text::Name,
    pin: &ToolPin,
    server: Option<S>,
    version: Option<V>,
) -> Option<String> {
    let found = (server.map(|s| s.to_string()), version.map(|v| v.to_string()));
    let pinned = (Some(pin.server.to_string()), Some(pin.version.to_string()));
    if found == pinned {
        return None;
    }
    let show = |(server, version): (Option<String>, Option<String>)| {
        format!("{} {}", server.unwrap_or("nothing".into()), version.unwrap_or_default())
    };
    Some(format!("{name}: pinned is {}, found {}", show(pinned), show(found).trim_end()))
}

/// Members that count as alive: those that answer and have for long enough, or have been silent too
/// shortly to be given up. The two delays keep a flapping member from flipping the flag. From version 2 on, a seat whose
/// holder may not vote is not alive, and its pulse may come from any key of its line. A member without a pulse is as if it
/// had been silent since the fact was observed: the source may not have looked at it yet.
fn alive(
    case: &Case<'_>,
    pulses: &BTreeMap<PublicKey, Pulse>,
    observed_at: Hlc,
    lost_after_ms: u64,
    back_after_ms: u64,
) -> BTreeSet<PublicKey> {
    let recovering = case.state().control.recovery;
    let counts = |pulse: &Pulse| {
        let lasted_ms = case.time().physical_ms().saturating_sub(pulse.since.physical_ms());
        if recovering { pulse.alive && lasted_ms >= back_after_ms } else { pulse.alive || lasted_ms < lost_after_ms }
    };
    let members = case.state().council.members.keys();
    if !case.state().is_under(2) {
        return members.filter(|key| pulses.get(key).is_some_and(counts)).copied().collect();
    }
    let seats = case.identities().seats();
    let unknown = Pulse { alive: false, since: observed_at };
    let answers = |member: &PublicKey| {
        let mut known = seats.line(member).filter_map(|key| pulses.get(&key)).peekable();
        if known.peek().is_none() { counts(&unknown) } else { known.any(counts) }
    };
    members.filter(|member| seats.fault(member).is_none() && answers(member)).copied().collect()
}

/// The elected set at a moment.
#[derive(Clone, Debug)]
pub struct LivenessReading {
    /// Members that count as alive.
    pub alive: BTreeSet<PublicKey>,
    /// How many are elected.
    pub elected: u64,
    /// How many must be alive, by the council's quorum rule.
    pub needed: u64,
    facts: Vec<Hash>,
}

impl LivenessReading {
    /// Whether too few are alive.
    pub fn is_lost(&self) -> bool {
        (self.alive.len() as u64) < self.needed
    }
}

/// Reads who is alive, with hysteresis; or why that cannot be said.
pub fn read_liveness(case: &Case<'_>) -> Result<LivenessReading, Judged> {
    let fact = case.valid_fact(FactKind::Liveness)?;
    let (settings, settings_fact) = case.settings()?;
    let FactBody::Liveness(liveness) = &fact.body else { return Err(Judged::fail(["there is no liveness fact"])) };
    let observed_at = fact.fact.claim.observed_at;
    let alive = alive(case, &liveness.members, observed_at, settings.lost_after_ms, settings.back_after_ms);
    let elected = case.state().council.members.len() as u64;
    let needed = case.state().council.rules.quorum.votes_needed(elected);
    Ok(LivenessReading { alive, elected, needed, facts: vec![fact.hash, settings_fact.hash] })
}

/// Fewer members of the elected set are alive than its quorum rule asks for, or enough are again; only while
/// the loop runs and there is an elected set.
pub(super) fn liveness(case: &Case<'_>) -> Judged {
    let reading = match read_liveness(case) {
        Ok(reading) => reading,
        Err(judged) => return judged,
    };
    let (state, needed, elected) = (case.state(), reading.needed, reading.elected);
    let count = format!("{} of {elected} members are alive; the quorum is {needed}", reading.alive.len());
    let wants_lost = case.spec.transition == Transition::ControlQuorumLost;
    let mut wrong = Vec::new();
    if state.execution.phase == ExecutionState::Inactive {
        wrong.push("the project is not in execution".to_owned());
    }
    if state.control.recovery == wants_lost {
        wrong.push(format!("recovery is {} already", state.control.recovery));
    }
    if elected == 0 {
        wrong.push("there is no elected set; elect one with Council_QuorumCert".to_owned());
    } else if reading.is_lost() != wants_lost {
        wrong.push(count.clone());
    }
    let named = case.asked.and_then(|(_, inputs)| Liveness::of(inputs)).map(|inputs| match inputs {
        Liveness::ControlQuorumLost(inputs) => &inputs.alive,
        Liveness::ControlRecovered(inputs) => &inputs.alive,
    });
    if named.is_some_and(|named| *named != reading.alive) {
        wrong.push(match reading.alive.len() {
            1 => "alive must name the 1 member that counts as alive".to_owned(),
            alive => format!("alive must name the {alive} members that count as alive"),
        });
    }
    let mut judged = Judged::unless(wrong, count);
    judged.facts.extend(reading.facts);
    judged
}
