//! Watches what happens on a node, and continues after the last event when the connection breaks.
//!
//! `cargo run --example watch_events -- [PROJECT]`
//!
//! Prints one line per event until it is interrupted. SWOOSH_URL names the node.

use std::error::Error;
use std::time::Duration;

use swoosh_client::{Client, EventStream};
use swoosh_types::event_id::EventId;
use swoosh_types::text::ProjectName;

const NODE: &str = "http://127.0.0.1:7400";
const KINDS: &str = "transition,effect,health";
const BACK_OFF: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let project: Option<ProjectName> = std::env::args().nth(1).map(|name| name.parse()).transpose()?;
    let client = Client::reader(&std::env::var("SWOOSH_URL").unwrap_or_else(|_| NODE.to_owned()))?;
    let mut last: Option<EventId> = None;
    loop {
        match client.events(project.as_ref(), KINDS, last).await {
            Ok(stream) => last = print_until_the_end(stream, last).await,
            // A refusal, such as an unknown project, does not get better.
            Err(error) if !error.is_passing() => return Err(error.into()),
            Err(error) => eprintln!("{error}"),
        }
        tokio::time::sleep(BACK_OFF).await;
    }
}

/// Prints events until the stream ends. Returns the id to continue after, so that no transition is missed or seen twice.
async fn print_until_the_end(mut stream: EventStream, mut last: Option<EventId>) -> Option<EventId> {
    loop {
        match stream.next().await {
            Ok(Some(event)) => {
                // Only transitions are in the log and have an id; effects and health are not repeated after a break.
                last = event.id.or(last);
                match event.kind.as_str() {
                    // The log no longer has the records after `last`: what was derived from them must be read again.
                    "gap" => eprintln!("events are missing; read GET /state again"),
                    kind => println!("{kind} {}", event.data),
                }
            }
            Ok(None) => return last,
            Err(error) => {
                eprintln!("{error}");
                return last;
            }
        }
    }
}
