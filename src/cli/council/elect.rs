//! `swoosh council elect`: a whole election by one command.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::Place;
use super::ballot::{self, Ballot};
use super::election::Election;
use crate::cli::connect::Node;
use crate::cli::output::{self, Output, Table, count};
use crate::cli::propose::fill::check_not_over;
use crate::cli::propose::patience::{self, Ended};
use crate::cli::time::Span;
use crate::cli::wait::{Expression, Waited, Waiting};
use crate::cli::{keys, source, state};
use crate::client::Draft;
use crate::machine::state::Council;
use crate::types::keys::{PublicKey, SecretKey};
use crate::types::names::{CouncilState, Transition};
use crate::types::text::Capability;
use swoosh_terminal::failure::Usage;

pub(super) const ABOUT: &str = "Elect a council with the keys of its candidates.\n\nDoes what is left to do: records the keys as \
    candidates (Council_ProfilesLoaded), signs the vote of each, and proposes Council_QuorumCert. Then it waits until the probe of the \
    council's tools is over and the council is READY. Each candidate is recorded with every capability that the roles ask for; \
    --profiles records others. The first key signs the proposals.\n\nIt is safe to repeat: a step that is done is skipped, and an \
    election of these candidates that is over is left as it is. Candidates who do not trust one machine with their keys vote on their \
    own ones: see `swoosh council vote`.";

pub(super) const EXAMPLES: &str = "Examples:\n  \
    swoosh council elect --key ada.key --key ben.key --key cleo.key\n  \
    swoosh council elect --key ada.key --key ben.key --key cleo.key --profiles profiles.json\n\n\
    Exit codes: 0 elected, 1 refused, 2 wrong usage, also too few keys, 3 the council is not READY in time. With --json the\n\
    members are printed.";

/// Arguments of `swoosh council elect`.
#[derive(Debug, clap::Args)]
pub(super) struct ElectArgs {
    /// A candidate's secret key; may be given many times
    #[arg(long, value_name = "FILE|env:NAME|fd:N", required = true)]
    key: Vec<PathBuf>,
    /// Inputs of Council_ProfilesLoaded, in place of the keys with every capability
    #[arg(long, value_name = "FILE")]
    profiles: Option<PathBuf>,
    /// Longest wait for the council to be READY
    #[arg(long, value_name = "SPAN", default_value = "2m")]
    timeout: Span,
    #[command(flatten)]
    place: Place,
}

impl ElectArgs {
    /// Elects.
    pub fn run(&self, output: Output) -> anyhow::Result<ExitCode> {
        let keys = self.key.iter().map(|file| keys::load(file)).collect::<anyhow::Result<Vec<SecretKey>>>()?;
        // A descriptor is read once, so the key is not loaded again.
        let Some(first) = keys.first() else { return Ok(ExitCode::from(2)) };
        let node = self.place.node.signing(self.place.node.builder(), first.clone())?;
        // Each round does the step that the council is at. A step that another caller did meanwhile is not done again.
        for _ in 0..ROUNDS {
            let council = self.council(&node)?;
            let ended = match council.phase {
                CouncilState::PlanRoles => self.load_profiles(&node, &council, &keys)?,
                CouncilState::Elect => self.certify(&node, &keys)?,
                CouncilState::ToolingSync | CouncilState::Ready => {
                    is_of(&council, &keys)?;
                    return self.finish(output, &node);
                }
            };
            if let Ended::Not(code) = ended {
                return Ok(code);
            }
        }
        anyhow::bail!(
            "the council changes while it is elected; look at it with `swoosh council propose`, and try again"
        )
    }

    fn council(&self, node: &Node) -> anyhow::Result<Council> {
        let (_, head) = state::proven(node, &self.place.project.project)?;
        check_not_over(head.state())?;
        state::name_identities(head.state());
        Ok(head.state().council.as_ref().clone())
    }

    fn load_profiles(&self, node: &Node, council: &Council, keys: &[SecretKey]) -> anyhow::Result<Ended> {
        let inputs = match &self.profiles {
            Some(file) => {
                serde_json::from_slice(&source::json_of(&format!("@{}", file.display()), "profiles")?.canonical())?
            }
            None => {
                check_number(council, keys)?;
                let capabilities: BTreeSet<&Capability> =
                    council.roles.iter().flat_map(|(_, role)| &role.capabilities).collect();
                let candidates = keys.iter().map(|key| json!({"key": key.public(), "capabilities": capabilities}));
                json!({"candidates": candidates.collect::<Vec<_>>()})
            }
        };
        let draft = Draft::new(Transition::CouncilProfilesLoaded, &inputs)?.to(self.place.project.project.clone());
        self.propose(node, &draft, || format!("{} recorded", count(keys.len() as u64, "candidate")))
    }

    fn certify(&self, node: &Node, keys: &[SecretKey]) -> anyhow::Result<Ended> {
        let election = self.place.election(true)?;
        // Another run certified meanwhile: the next round looks at the council again.
        if election.council().phase != CouncilState::Elect {
            return Ok(Ended::Accepted);
        }
        let candidates: Vec<&SecretKey> =
            keys.iter().filter(|key| election.council().candidates.contains_key(&key.public())).collect();
        for key in keys.iter().filter(|key| !election.council().candidates.contains_key(&key.public())) {
            let voter = key.public();
            output::note(&json!({"no_candidate": voter}), || {
                format!("{voter} is no candidate; `swoosh propose Council_Replan` begins again with other candidates")
            });
        }
        check_quorum(&election, &candidates)?;
        let ballots = candidates.iter().map(|key| Ballot::cast(&election, key)).collect::<anyhow::Result<Vec<_>>>()?;
        let inputs = ballot::certify(&election, &ballots)?;
        let draft = Draft::new(Transition::CouncilQuorumCert, &inputs)?.to(self.place.project.project.clone());
        self.propose(node, &draft.only_on_head(election.head.hash()), || {
            format!("{} certify {}", count(ballots.len() as u64, "vote"), members(&election))
        })
    }

    /// Proposes a step. A head that moved meanwhile is no failure: the next round looks at the council again.
    fn propose(&self, node: &Node, draft: &Draft, done: impl FnOnce() -> String) -> anyhow::Result<Ended> {
        let accepted = patience::attempt(node, draft)?;
        if let Some(accepted) = accepted {
            let document = json!({"accepted": draft.transition(), "index": accepted.receipt.index});
            output::note(&document, || {
                format!("{}: {}, record {}", draft.transition(), done(), accepted.receipt.index)
            });
        }
        Ok(Ended::Accepted)
    }

    /// Waits for the tools, and shows the members.
    fn finish(&self, output: Output, node: &Node) -> anyhow::Result<ExitCode> {
        let project = self.place.project.project.clone();
        let goal: Expression = "council == READY".parse().map_err(anyhow::Error::msg)?;
        let waited = Waiting::new(node, project, vec![goal], self.timeout).run()?;
        let council = self.council(node)?;
        let Waited::Reached { .. } = waited else { return waited.report_aside() };
        let document = json!({
            "phase": council.phase,
            "members": council.members,
            "member_set_hash": council.member_set_hash,
        });
        output.say(&document, || {
            let mut seats = Table::new();
            council.members.iter().for_each(|(key, role)| seats.row([role.to_string(), key.to_string()]));
            let members = count(council.members.len() as u64, "member");
            format!("the council is {} with {members}\n{}", council.phase, seats.text(2))
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Refuses fewer keys than a council has members.
fn check_number(council: &Council, keys: &[SecretKey]) -> anyhow::Result<()> {
    let given = keys.iter().map(SecretKey::public).collect::<BTreeSet<PublicKey>>().len() as u64;
    let least = council.rules.min_members;
    if given >= least {
        return Ok(());
    }
    let few = format!("{} for a council of at least {least} members", count(given, "key"));
    Err(Usage(format!("{few}; give at least {least} keys of candidates with --key")).into())
}

/// Refuses fewer candidates than a quorum.
fn check_quorum(election: &Election, candidates: &[&SecretKey]) -> anyhow::Result<()> {
    let given = candidates.iter().map(|key| key.public()).collect::<BTreeSet<PublicKey>>().len() as u64;
    let least = election.votes_needed();
    if given >= least {
        return Ok(());
    }
    let few = format!("{} of candidates, and a quorum has {}", count(given, "key"), count(least, "vote"));
    Err(Usage(format!("{few}; give at least {least} keys of candidates with --key")).into())
}

/// Steps of an election, and as many that another caller did first.
const ROUNDS: usize = 8;

fn members(election: &Election) -> String {
    count(election.members.len() as u64, "member")
}

/// Refuses an election of other candidates.
fn is_of(council: &Council, keys: &[SecretKey]) -> anyhow::Result<()> {
    let strangers: Vec<String> = keys
        .iter()
        .map(SecretKey::public)
        .filter(|key: &PublicKey| !council.candidates.contains_key(key))
        .map(|key| key.to_string())
        .collect();
    anyhow::ensure!(
        strangers.is_empty(),
        "the council is {} already, and these keys are no candidates of it: {}; `swoosh propose Council_Replan` begins again with \
         other candidates",
        council.phase,
        strangers.join(", ")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One key led to the table of guards, which did not say what to do.
    #[test]
    fn fewer_keys_than_members_are_refused_with_the_number_to_give() {
        let key = |n: u8| SecretKey::from_bytes(&[n; 32]);
        let said = check_number(&Council::default(), &[key(1), key(1)]).unwrap_err().to_string();
        assert!(said.starts_with("1 key ") && said.contains("give at least 3 keys"), "{said}");
        assert!(check_number(&Council::default(), &[key(1), key(2), key(3)]).is_ok());
        let election = super::super::election::tests::election();
        let voters = [key(1), key(2), key(2), key(3)];
        let error = check_quorum(&election, &voters.iter().take(3).collect::<Vec<_>>()).unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("give at least 3 keys"), "{error}");
        assert!(check_quorum(&election, &voters.iter().collect::<Vec<_>>()).is_ok());
    }
}
