//! `swoosh council`: the election that every agent computes alike, votes for it, and their certificate.

mod ballot;
mod elect;
mod election;

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::connect::{NodeArgs, ProjectArg};
use super::output::{self, Output, Table, count, fields};
use super::propose::{hint_cluster, propose_once};
use super::{keys, source, state};
use crate::client::Draft;
use crate::types::names::{CouncilState, Transition};
use ballot::Ballot;
use election::Election;

/// Arguments of `swoosh council`.
#[derive(Debug, clap::Args)]
#[command(
    about = "Compute the council's election, vote for it, certify it",
    long_about = "Compute the council's election, vote for it, certify it.\n\n\
        Candidates are ranked by a deterministic score over the project's state, so all who hold the state \
        compute the same member set. Each candidate signs that set; enough votes make the inputs of \
        Council_QuorumCert. The state is read from a node and proven against its head.",
    after_help = "A whole election, where all keys are at hand:\n  \
        swoosh council elect --key ada.key --key ben.key --key cleo.key\n\n\
        In steps, each candidate on a machine of its own:\n  \
        swoosh council propose\n  \
        swoosh council vote --key a.key > a.json        # every candidate, anywhere\n  \
        swoosh council vote --key b.key > b.json\n  \
        swoosh council certify --vote a.json --vote b.json --post-as a.key"
)]
pub struct CouncilCommand {
    #[command(subcommand)]
    action: CouncilAction,
}

#[derive(Debug, clap::Subcommand)]
enum CouncilAction {
    /// Elect a council with the keys of its candidates: profiles, votes and certificate
    #[command(long_about = elect::ABOUT, after_help = elect::EXAMPLES)]
    Elect(elect::ElectArgs),
    /// Print the member set that the ranking proposes, its hash, and the ranking
    #[command(after_help = "Examples:\n  swoosh council propose\n  swoosh --json council propose --project alpha")]
    Propose(Place),
    /// Print your vote for the proposed member set
    #[command(after_help = "Example:\n  swoosh council vote --key a.key > a.json")]
    Vote {
        #[command(flatten)]
        place: Place,
        /// A candidate's secret key
        #[arg(long, value_name = "FILE|env:NAME|fd:N", env = "SWOOSH_KEY")]
        key: PathBuf,
    },
    /// Check votes and print the inputs of Council_QuorumCert, or propose it
    ///
    /// Every vote is checked: its signature, that its voter is a candidate, and that it is for this project, this
    /// council epoch and this member set. Too few for a quorum are refused. Nothing is posted unless all is well.
    #[command(
        after_help = "Examples:\n  swoosh council certify --vote a.json --vote b.json --vote c.json --post-as a.key\n  \
        swoosh council certify --vote votes.json |\n    \
        swoosh propose Council_QuorumCert --key a.key --inputs -"
    )]
    Certify {
        #[command(flatten)]
        place: Place,
        /// File with one vote or an array of them, or - for standard input; may be given many times
        #[arg(long = "vote", value_name = "FILE", required = true, num_args = 1..)]
        votes: Vec<PathBuf>,
        /// Propose Council_QuorumCert with this secret key, instead of printing its inputs
        #[arg(long, value_name = "FILE")]
        post_as: Option<PathBuf>,
    },
}

/// Where the election is.
#[derive(Debug, clap::Args)]
struct Place {
    #[command(flatten)]
    project: ProjectArg,
    #[command(flatten)]
    node: NodeArgs,
}

/// Reads of a project that moves on between its state and its electorate.
const READS: usize = 8;

impl Place {
    /// Reads the project's whole state, proves it against the head, and computes the election. Where something is signed,
    /// the node must be the one that is known.
    fn election(&self, signs: bool) -> anyhow::Result<Election> {
        let node = self.node.reader()?;
        let cluster = match signs {
            true => self.node.signs_for()?.cluster,
            false => node.ask(node.client().health())?.cluster,
        };
        for _ in 0..READS {
            let (_, head) = state::proven(&node, &self.project.project)?;
            // The settings of the node name voters too, so the state alone does not say who may be seated.
            let view = node.ask(node.client().transitions(&self.project.project))?;
            if view.head == head.hash() {
                return Ok(Election::of(cluster, self.project.project.clone(), head, view.electorate));
            }
        }
        anyhow::bail!("the project moves on while it is read; try again")
    }

    /// The same, while votes count.
    fn running(&self) -> anyhow::Result<Election> {
        let election = self.election(true)?;
        let phase = election.council().phase;
        anyhow::ensure!(
            phase == CouncilState::Elect,
            "the council of project {} is {phase}, and votes count in ELECT alone; {}",
            election.project,
            election::next_step(phase)
        );
        Ok(election)
    }
}

impl CouncilCommand {
    /// Does what was asked.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        match self.action {
            CouncilAction::Elect(args) => return args.run(output),
            CouncilAction::Propose(place) => propose(output, &place.election(false)?)?,
            CouncilAction::Vote { place, key } => {
                let key = keys::load(&key)?;
                let election = place.running()?;
                output.document(&Ballot::cast(&election, &key)?)?;
                hint_cluster(&election.cluster);
            }
            CouncilAction::Certify { place, votes, post_as } => {
                let mut ballots = Vec::new();
                for file in &votes {
                    ballots.extend(source::documents::<Ballot>(file, "vote")?);
                }
                let election = place.running()?;
                let inputs = ballot::certify(&election, &ballots)?;
                let Some(key) = post_as else { return output.document(&inputs).map(|()| ExitCode::SUCCESS) };
                // On the very head that the votes were checked against, and on no other.
                let draft = Draft::new(Transition::CouncilQuorumCert, &inputs)?;
                let draft = draft.to(place.project.project.clone()).only_on_head(election.head.hash());
                return propose_once(output, &place.node.signer(&key)?, &draft);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn propose(output: Output, election: &Election) -> anyhow::Result<()> {
    let phase = election.council().phase;
    anyhow::ensure!(
        !election.council().candidates.is_empty(),
        "project {} has no candidates; {}",
        election.project,
        election::next_step(CouncilState::PlanRoles)
    );
    if phase != CouncilState::Elect {
        output::note(&json!({"council": phase}), || {
            format!("note: the council is {phase}; {}", election::next_step(phase))
        });
    }
    output.say(&election.document(), || text(election))
}

fn text(election: &Election) -> String {
    state::name_identities(election.head.state());
    let candidates = election.council().candidates.len() as u64;
    let mut members = Table::with(&["role", "member"]);
    election.members.iter().for_each(|(key, role)| members.row([role.to_string(), key.to_string()]));
    let about = fields(&[
        ("head", election.head.hash().to_string()),
        ("council epoch", election.epoch().to_string()),
        ("member set", election.member_set_hash().to_string()),
        ("quorum", format!("{} of {}", election.votes_needed(), count(candidates, "candidate"))),
    ]);
    let mut rows = Table::with(&["role", "rank", "candidate", "lacks"]);
    for ranked in election.ranking() {
        let lacks = ranked.lacks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        rows.row([ranked.role.to_string(), ranked.rank.to_string(), ranked.key.to_string(), lacks]);
    }
    format!(
        "project {}\n{about}\n\nproposed members:\n{}\n\nranking:\n{}",
        election.project,
        members.text(2),
        rows.text(2)
    )
}
