//! Verifies a receipt: offline with the node's public key, then against the log of a node.
//!
//! `cargo run --example verify_receipt -- receipt.json CLUSTER NODE_KEY`
//!
//! NODE_KEY is `hmmm:pubkey:…` as `swoosh health` shows it; keep it where the node cannot change it. SWOOSH_URL names the node whose
//! log is read; any node or follower of the cluster will do.

use std::error::Error;

use swoosh_client::Client;
use swoosh_types::keys::PublicKey;
use swoosh_types::receipt::Receipt;
use swoosh_types::text::ClusterId;

const NODE: &str = "http://127.0.0.1:7400";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, cluster, node] = &arguments[..] else {
        return Err("usage: verify_receipt FILE CLUSTER NODE_KEY".into());
    };
    let receipt: Receipt = serde_json::from_slice(&std::fs::read(file)?)?;
    let (cluster, node): (ClusterId, PublicKey) = (cluster.parse()?, node.parse()?);

    // The node signs one Merkle root for each batch. The receipt has the path from its record to that root, so this check needs
    // no connection.
    receipt.verify(&cluster)?;
    if receipt.seal.node != node {
        return Err(format!("the receipt is sealed by {}, not by {node}", receipt.seal.node).into());
    }
    // The seal covers the index and the chain value alone. What the receipt says of the record is proven by the record.
    println!("the signature holds: the node committed to chain {} at record {}", receipt.chain, receipt.index);

    // The log must still have this record under the same chain value. The chain value covers the record and every record before
    // it, so another value means that history was rewritten.
    let url = std::env::var("SWOOSH_URL").unwrap_or_else(|_| NODE.to_owned());
    let page = Client::reader(&url)?.wal(receipt.index, 1).await?;
    let entry = page.records.first().filter(|entry| entry.record.index == receipt.index);
    let entry = entry.ok_or_else(|| format!("the log ends at {} or was pruned past the record", page.last_index))?;
    if entry.chain != receipt.chain {
        return Err(format!("the log has another record {}: chain {}", receipt.index, entry.chain).into());
    }
    let (record, known) = (&entry.record, (&entry.record.transition, &entry.record.project));
    if known != (&receipt.transition, &receipt.project) || record.state_post_hash != receipt.state_post_hash {
        return Err(format!(
            "record {} is {} in project {}, not what the receipt says",
            record.index, known.0, known.1
        )
        .into());
    }
    println!("the log holds it: {} in project {}, by {}", record.transition, record.project, record.signer);
    Ok(())
}
