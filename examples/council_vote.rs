//! A council election: candidates vote for the member set that the state proposes, and one of them posts the certificate.
//!
//! `cargo run --example council_vote -- a.key b.key c.key`
//!
//! In production each candidate votes on its own machine and sends its vote to the one that posts, as `swoosh council vote` and
//! `swoosh council certify` do. SWOOSH_URL names the node, SWOOSH_PROJECT the project.

use std::error::Error;

use swoosh_client::{Client, Identity, Outcome};
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

    // A voter signs what it computed itself from a state that hashes to its head, and believes no summary of a server. The ranking
    // is a pure function, so that every candidate gets the same members.
    let election = client.election(&project).await?;
    let electorate = client.transitions(&project).await?.electorate;
    let mut votes = Vec::new();
    for key in keys.iter().filter(|key| electorate.contains(&key.public())) {
        votes.push(election.vote(&cluster, key)?);
        println!("{} votes for {}", key.public(), election.ballot.member_set_hash);
    }

    // The certificate counts on the head that was voted on. If the project moved, the votes are stale and are cast again.
    let outcome = client.propose(election.certificate(&votes)?).await.map_err(|error| error.to_string())?;
    if let Outcome::Accepted(accepted) = outcome {
        println!("{} members are elected by record {}", election.members.len(), accepted.receipt.index);
    }
    Ok(())
}
