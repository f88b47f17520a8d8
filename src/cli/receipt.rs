//! `swoosh receipt`: check a receipt offline.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::connect::exit;
use super::output::{Output, fields};
use super::source;
use crate::types::canonical::from_slice;
use crate::types::ids::DecisionId;
use crate::types::keys::PublicKey;
use crate::types::receipt::Receipt;
use crate::types::text::ClusterId;

/// Arguments of `swoosh receipt`.
#[derive(Debug, clap::Args)]
#[command(about = "Check a receipt offline")]
pub struct ReceiptCommand {
    #[command(subcommand)]
    action: ReceiptAction,
}

#[derive(Debug, clap::Subcommand)]
enum ReceiptAction {
    /// Check what a receipt proves: that a node committed to a chain value at an index
    ///
    /// The other members are in the record that the chain value is over. The receipt alone does not prove them, and the
    /// command names them.
    ///
    /// The node signs one Merkle root over each batch of records that it commits; the receipt carries the path
    /// from its record's link in the chain to that root. Whose key sealed it, you must know: name the node with
    /// --node, or compare the key shown with `swoosh health`.
    #[command(after_help = "Examples:\n  swoosh --json propose Control_Pause … > receipt.json\n  \
        swoosh receipt verify receipt.json --node hmmm:pubkey:…\n  \
        swoosh receipt verify - --cluster swoosh < receipt.json")]
    Verify {
        /// Receipt, or - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Cluster of the node
        #[arg(long, value_name = "CLUSTER", env = "SWOOSH_CLUSTER", default_value = "swoosh")]
        cluster: ClusterId,
        /// The node that must have sealed it
        #[arg(long, value_name = "KEY")]
        node: Option<PublicKey>,
    },
}

impl ReceiptCommand {
    /// Does what was asked.
    pub(super) fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        let ReceiptAction::Verify { file, cluster, node } = self.action;
        verify(output, &file, &cluster, node)
    }
}

fn verify(output: Output, file: &Path, cluster: &ClusterId, node: Option<PublicKey>) -> anyhow::Result<ExitCode> {
    let receipt: Receipt = from_slice(&source::read(file)?).context("this is no receipt")?;
    let problems = problems(&receipt, cluster, node);
    let good = problems.is_empty();
    let document = json!({
        "ok": good, "problems": problems, "project": receipt.project, "index": receipt.index,
        "chain": receipt.chain, "node": receipt.seal.node, "cluster": cluster, "unproven": UNPROVEN,
    });
    output.say(&document, || text(&receipt, cluster, &problems, node.is_some()))?;
    Ok(exit(good))
}

fn problems(receipt: &Receipt, cluster: &ClusterId, node: Option<PublicKey>) -> Vec<String> {
    let mut problems = Vec::new();
    if let Err(error) = receipt.verify(cluster) {
        problems.push(format!("{error} (for cluster {cluster})"));
    }
    let sealed_by = receipt.seal.node;
    if let Some(expected) = node.filter(|expected| *expected != sealed_by) {
        problems.push(format!("it is sealed by {sealed_by}, not by {expected}"));
    }
    if receipt.decision != DecisionId::of(&receipt.project, receipt.index, &receipt.chain) {
        problems.push(format!("the decision {} is not that of its record", receipt.decision));
    }
    problems
}

/// Members that neither the seal nor the path covers. The chain value is over the record that has them, and the receipt holds no
/// record. The decision's id repeats the project.
const UNPROVEN: [&str; 7] =
    ["project", "transition", "idem_key", "state_pre_hash", "state_post_hash", "hlc", "timestamp"];

fn text(receipt: &Receipt, cluster: &ClusterId, problems: &[String], node_known: bool) -> String {
    if !problems.is_empty() {
        let list: Vec<String> = problems.iter().map(|problem| format!("\n  {problem}")).collect();
        return format!("the receipt does not hold:{}", list.concat());
    }
    let seal = &receipt.seal;
    let about = fields(&[
        ("record", receipt.index.to_string()),
        ("chain", receipt.chain.to_string()),
        ("batch", format!("records {} to {}, root {}", seal.batch.first, seal.batch.last, seal.batch.root)),
        ("sealed by", seal.node.to_string()),
        ("cluster", cluster.to_string()),
    ]);
    let (index, unproven) = (receipt.index, UNPROVEN.join(", "));
    let whose = if node_known { "" } else { "\nnote: whether that is your node's key, `swoosh health` tells" };
    format!(
        "the receipt holds: the node committed to this chain value at record {index}\n{about}{whose}\n\
         not proven by the receipt alone: {unproven}; the chain value is over the whole record, which has them: compare \
         with `swoosh --json wal show --from {index} --limit 1`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::hash::Hash;
    use crate::types::hlc::Hlc;
    use crate::types::keys::SecretKey;
    use crate::types::names::Transition;
    use crate::types::receipt::SealedBatch;

    fn good() -> (ClusterId, Receipt) {
        let (cluster, key): (ClusterId, _) = ("swoosh".parse().unwrap(), SecretKey::from_bytes(&[1; 32]));
        let chain = Hash::of(b"record");
        let sealed = SealedBatch::seal(&cluster, &key, 5, &[chain]).unwrap();
        let project = "default".parse().unwrap();
        let receipt = Receipt {
            index: 5,
            transition: Transition::ControlPause,
            idem_key: "g:1:control:abcdefgh".parse().unwrap(),
            state_pre_hash: Hash::ZERO,
            state_post_hash: Hash::ZERO,
            hlc: Hlc::default(),
            timestamp: Hlc::default(),
            chain,
            decision: DecisionId::of(&project, 5, &chain),
            path: sealed.path(0),
            seal: sealed.seal,
            project,
        };
        (cluster, receipt)
    }

    #[test]
    fn a_receipt_holds_for_its_node_cluster_and_decision_alone() {
        let (cluster, receipt) = good();
        let key = SecretKey::from_bytes(&[1; 32]);
        assert_eq!(problems(&receipt, &cluster, Some(key.public())), Vec::<String>::new());
        assert!(problems(&receipt, &"other".parse().unwrap(), None)[0].contains("for cluster other"));
        let stranger = SecretKey::from_bytes(&[2; 32]).public();
        assert!(problems(&receipt, &cluster, Some(stranger))[0].contains("not by"));
        let mut moved = receipt.clone();
        moved.project = "elsewhere".parse().unwrap();
        assert!(problems(&moved, &cluster, None)[0].contains("not that of its record"));
    }

    /// A forged transition was printed as a part of what holds.
    #[test]
    fn members_that_a_receipt_does_not_prove_are_named_and_their_values_are_not_printed() {
        let (cluster, good) = good();
        let mut forged = good.clone();
        forged.transition = Transition::ControlTerminate;
        forged.project = "elsewhere".parse().unwrap();
        forged.decision = DecisionId::of(&forged.project, forged.index, &forged.chain);
        forged.idem_key = "g:1:control:stranger".parse().unwrap();
        (forged.state_pre_hash, forged.state_post_hash) = (Hash::of(b"before"), Hash::of(b"after"));
        assert_eq!(problems(&forged, &cluster, None), Vec::<String>::new(), "the receipt alone cannot tell");
        let said = text(&forged, &cluster, &[], false);
        assert_eq!(said, text(&good, &cluster, &[], false), "nothing of it is printed");
        let line = said.lines().find(|line| line.starts_with("not proven by the receipt alone: ")).unwrap();
        let whole = serde_json::to_value(&good).unwrap();
        for member in whole.as_object().unwrap().keys() {
            let proven = ["index", "chain", "decision", "path", "seal"].contains(&member.as_str());
            assert_eq!(UNPROVEN.contains(&member.as_str()), !proven, "{member}");
            assert!(proven || line.contains(member.as_str()), "{member}: {line}");
        }
    }
}
