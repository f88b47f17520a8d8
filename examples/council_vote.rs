//! A council election: candidates vote for the member set that the state proposes, and one of them posts the certificate.
//!
//! `cargo run --example council_vote -- a.key b.key c.key`
//!
//! In production each candidate votes on its own machine and sends its vote to the one that posts, as `swoosh council vote` and
//! `swoosh council certify` do. SWOOSH_URL names the node, SWOOSH_PROJECT the project.

use std::error::Error;

use swoosh_client::{Client, Draft, Identity};
use swoosh_machine::{election, head::Head, state::State};
use swoosh_types::council::{self, member_set_hash};
use swoosh_types::names::Transition;
use swoosh_types::text::ProjectName;

const NODE: &str = "http://127.0.0.1:7400";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut keys: Vec<Identity> = Vec::new();
    for file in std::env::args().skip(1) {
        keys.push(std::fs::read_to_string(file)?.parse()?);
    }
    let poster = keys.first().cloned().ok_or("usage: council_vote KEY_FILE...")?;
    let url = std::env::var("SWOOSH_URL").unwrap_or_else(|_| NODE.to_owned());
    let project: ProjectName = std::env::var("SWOOSH_PROJECT").unwrap_or_else(|_| "default".to_owned()).parse()?;
    let cluster = Client::reader(&url)?.health().await?.cluster;
    let client = Client::new(&url, cluster.clone(), poster)?;

    // The state must hash to its head: a voter signs what it computed itself, and believes no summary of a server.
    let view = client.state(&project, None).await?;
    let sections = view.projection.iter().map(|(name, section)| (name.to_ascii_lowercase(), section.clone()));
    let state: State = serde_json::from_value(serde_json::Value::Object(sections.collect()))?;
    let head = Head::try_of(state)?;
    if head.hash() != view.hash {
        return Err("the state does not hash to the head that the node names".into());
    }

    // Only candidates that may vote are ranked. The ranking is a pure function, so that every candidate gets the same members.
    let electorate = client.transitions(&project).await?.electorate;
    let members = election::propose(&head, &electorate);
    let epoch = head.state().epoch.council;
    let mut votes = Vec::new();
    for key in keys.iter().filter(|key| electorate.contains(&key.public())) {
        votes.push(council::vote(&cluster, &project, epoch, &members, key.key())?);
        println!("{} votes for {}", key.public(), member_set_hash(&members));
    }

    // The certificate counts on the head that was voted on. If the project moved, the votes are stale and are cast again.
    let inputs = serde_json::json!({
        "members": members, "member_set_hash": member_set_hash(&members), "votes": votes,
    });
    let draft = Draft::new(Transition::CouncilQuorumCert, &inputs)?.to(project).only_on_head(head.hash());
    let accepted = client.propose(draft).await.map_err(|error| error.to_string())?;
    println!("{} members are elected by record {}", members.len(), accepted.receipt.index);
    Ok(())
}
