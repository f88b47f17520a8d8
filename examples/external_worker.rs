//! An external worker: does the work of `index` effects and posts their outcomes.
//!
//! `cargo run --example external_worker -- worker.key`
//!
//! The node's settings must have `effects.index: external`, and the key's identity the role worker. Stop it with Ctrl-C; it may be
//! killed at any time, because the node keeps the open effects. SWOOSH_URL names the node.

use std::error::Error;

use swoosh_client::{Client, Draft, EffectView, Identity, Outcome, ProposeError};
use swoosh_types::canonical::canonical_hash;
use swoosh_types::names::{EffectName, Transition};

const NODE: &str = "http://127.0.0.1:7400";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("usage: external_worker KEY_FILE")?;
    let key: Identity = std::fs::read_to_string(file)?.parse()?;
    let url = std::env::var("SWOOSH_URL").unwrap_or_else(|_| NODE.to_owned());
    let cluster = Client::reader(&url)?.health().await?.cluster;
    let client = Client::new(&url, cluster, key)?;

    // Events only say when to look. Listening comes before the first look, so that no effect is missed in between.
    let mut events = client.follow(None, "transition", None);
    loop {
        for effect in client.effects(None).await? {
            if effect.effect == EffectName::Index && effect.mode == "external" {
                answer(&client, &effect).await?;
            }
        }
        events.next().await?;
    }
}

/// Does the work and posts its outcome, a success or a failure: an open effect without an outcome holds the project.
async fn answer(client: &Client, effect: &EffectView) -> Result<(), Box<dyn Error>> {
    let (transition, inputs) = match work(client, effect).await {
        Ok(content_hash) => {
            (Transition::IngestionCorpusBuilt, serde_json::json!({"effect": effect.id, "content_hash": content_hash}))
        }
        Err(error) => (
            Transition::IngestionIndexFailed,
            serde_json::json!({"effect": effect.id, "failure": {"detail": error.to_string()}}),
        ),
    };
    match client.propose(Draft::new(transition, &inputs)?.to(effect.project.clone())).await {
        Ok(Outcome::Accepted(accepted)) => {
            println!("{transition} of {} is record {}", effect.id, accepted.receipt.index)
        }
        // The project is blocked. The node keeps the outcome and records it later.
        Ok(Outcome::Held(_)) => println!("{transition} of {} is held", effect.id),
        // Another worker was faster, or the project moved on. The effect is answered; this outcome is not needed.
        Err(ProposeError::Rejected(problem)) => println!("{transition} of {}: {}", effect.id, problem.code),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// A real worker builds its index here. This one names the content by the hash of the commits that were fetched.
async fn work(client: &Client, effect: &EffectView) -> Result<swoosh_types::hash::Hash, Box<dyn Error>> {
    let view = client.state(&effect.project, Some("ingestion")).await?;
    let ingestion = view.section("ingestion").ok_or("the node shows no section ingestion")?;
    Ok(canonical_hash(&ingestion["fetched"]))
}
