//! Proposes a transition: pauses a project and prints the receipt.
//!
//! `cargo run --example propose -- operator.key [PROJECT] > receipt.json`
//!
//! The key file is one that `swoosh keygen` wrote. Its identity needs the role operator in the project or in the node's settings.
//! SWOOSH_URL names the node; the default is the daemon's own address.

use std::error::Error;
use std::process::ExitCode;

use swoosh_client::{Client, Draft, Event, Identity};
use swoosh_types::names::Transition;

const NODE: &str = "http://127.0.0.1:7400";

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let key: Identity =
        std::fs::read_to_string(arguments.next().ok_or("usage: propose KEY_FILE [PROJECT]")?)?.parse()?;
    let project = arguments.next().unwrap_or_else(|| "default".to_owned()).parse()?;
    let url = std::env::var("SWOOSH_URL").unwrap_or_else(|_| NODE.to_owned());

    // Every signature names the cluster. A program that runs for long keeps cluster and node key in its configuration, so that
    // another node at this address is refused.
    let node = Client::reader(&url)?.health().await?;
    let client = Client::builder(&url).signing(node.cluster, key).node(node.node).build()?;

    // The SDK reads the head, the beat and the window, signs, posts, and retries under one idempotency key. The proposal is
    // accepted once at most, whatever happens on the way.
    let inputs = serde_json::json!({"rationale": "The disk is being replaced."});
    let draft = Draft::new(Transition::ControlPause, &inputs)?.to(project);
    let mut on_event = |event: Event<'_>| {
        if let Event::Retrying { attempt, cause, wait_ms } = event {
            eprintln!("attempt {attempt} failed, the next one is in {wait_ms} ms: {cause}");
        }
    };
    match client.propose_observed(&draft, &mut on_event).await {
        Ok(accepted) => {
            eprintln!(
                "accepted as record {}; the head is {}",
                accepted.receipt.index, accepted.receipt.state_post_hash
            );
            println!("{}", serde_json::to_string_pretty(&accepted.receipt)?);
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            // A rejection says which check refused, and why; /docs/rejections of the node explains each code.
            match error.problem() {
                Some(problem) => eprintln!("refused: {}\n  {}", problem.code, problem.reasons.join("\n  ")),
                None => eprintln!("{error}"),
            }
            Ok(ExitCode::FAILURE)
        }
    }
}
