//! The first proposal of docs/sdk.md: `cargo run --example first_proposal`.

use swoosh_client::{Client, Draft, Identity, Outcome};
use swoosh_types::names::Transition;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("SWOOSH_URL").unwrap_or_else(|_| "http://127.0.0.1:7400".to_owned());
    let key: Identity = std::fs::read_to_string("operator.key")?.parse()?;
    let client = Client::new(&url, Client::reader(&url)?.health().await?.cluster, key)?;
    let inputs = serde_json::json!({"rationale": "The disk is being replaced."});
    match client.propose(Draft::new(Transition::ControlPause, &inputs)?.to("alpha".parse()?)).await? {
        Outcome::Accepted(accepted) => println!("{}", accepted.receipt.index),
        Outcome::Held(held) => println!("held: {}", held.key),
    }
    Ok(())
}
