//! Origin of a backup: the node signs each manifest, which names every file by its hash. Encryption proves no origin,
//! because anyone can encrypt for a public key.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Manifest, Repository};
use swoosh_platform::keyfile;
use swoosh_terminal::known_nodes::{BACKUPS, KnownNodes, Seen};
use swoosh_terminal::output;
use swoosh_types::canonical::try_canonical_bytes;
use swoosh_types::keys::{PublicKey, SecretKey, Signature};

/// Prefix of the manifest in the signed message.
const DOMAIN: &[u8] = b"swoosh/backup/v1\n";

/// The node that made a backup, and the proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    pub node: PublicKey,
    /// Its signature of `"swoosh/backup/v1\n" ‖ JCS(manifest without seal)`.
    pub signature: Signature,
}

/// The proven origin of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The node that it names signed it.
    Signed,
    /// No signature: an older program made it, or one without the node's key.
    Unsigned,
    /// It was changed, or another key signed it.
    Forged,
}

impl Origin {
    /// In a word, for a list.
    pub const fn as_str(self) -> &'static str {
        match self {
            Origin::Signed => "yes",
            Origin::Unsigned => "no",
            Origin::Forged => "FORGED",
        }
    }
}

impl Manifest {
    fn message(&self) -> anyhow::Result<Vec<u8>> {
        let bare = Manifest { seal: None, ..self.clone() };
        Ok([DOMAIN, &try_canonical_bytes(&bare)?].concat())
    }

    /// Signs it, where the key is the node's.
    pub fn signed_by(self, key: Option<&SecretKey>) -> anyhow::Result<Manifest> {
        let Some(key) = key.filter(|key| key.public() == self.node) else { return Ok(self) };
        let signature = key.sign(&self.message()?);
        Ok(Manifest { seal: Some(Seal { node: self.node, signature }), ..self })
    }

    /// The proven origin.
    pub fn origin(&self) -> Origin {
        let Some(seal) = &self.seal else { return Origin::Unsigned };
        let holds = self.message().is_ok_and(|message| seal.node.verify(&message, &seal.signature));
        if holds && seal.node == self.node { Origin::Signed } else { Origin::Forged }
    }

    /// Why it proves nothing, where that is so.
    pub fn doubt(&self) -> Option<String> {
        match self.origin() {
            Origin::Signed => None,
            Origin::Unsigned => Some(format!(
                "the backup {} is not signed, so nothing proves that it is node {}'s: an older program made it, or one without \
                 the node's key. --accept-unsigned takes it all the same",
                self.id, self.node
            )),
            Origin::Forged => Some(format!(
                "the manifest of the backup {} was changed, or is not node {}'s: its signature does not hold",
                self.id, self.node
            )),
        }
    }
}

/// The key that backups are signed with; `None` where there is none, as in a follower's directory.
pub fn key(path: &Path) -> anyhow::Result<Option<SecretKey>> {
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(keyfile::load(path).context("backups are signed with the node's key")?))
}

/// The node whose backups are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The node that was named.
    pub node: Option<PublicKey>,
    /// Whether a backup without a signature will do.
    pub unsigned: bool,
    /// Where the nodes are kept whose backups were used before.
    pub known: Option<&'a KnownNodes>,
}

impl Wanted<'_> {
    /// Checks that one node made all of these backups, and that it is the one that was named or used before.
    pub fn check_owner(&self, repository: &Repository, manifests: &[&Manifest]) -> anyhow::Result<()> {
        let Some(first) = manifests.first() else { return Ok(()) };
        if let Some(wanted) = self.node {
            if let Some(manifest) = manifests.iter().find(|manifest| manifest.node != wanted) {
                bail!("the backup {} is of node {}, not of {wanted}", manifest.id, manifest.node);
            }
            return Ok(());
        }
        let alike = |other: &&&Manifest| (other.node, &other.cluster) != (first.node, &first.cluster);
        if let Some(other) = manifests.iter().find(alike) {
            bail!(
                "{} holds backups of node {} (cluster {}) and of node {} (cluster {}); name yours with --from-node",
                repository.directory().display(),
                first.node,
                first.cluster,
                other.node,
                other.cluster
            );
        }
        match self.known {
            Some(known) => {
                let compare = |address: &String| known.compare(address, &first.cluster, &first.node);
                addresses(repository)?.iter().try_for_each(compare)
            }
            None => Ok(()),
        }
    }

    /// Keeps the owner of a directory whose backups proved good, unless the owner was named.
    pub fn keep_owner(&self, repository: &Repository, manifest: &Manifest) -> anyhow::Result<()> {
        let Some(known) = self.known.filter(|_| self.node.is_none()) else { return Ok(()) };
        for address in addresses(repository)? {
            if known.check(&address, &manifest.cluster, &manifest.node)? != Seen::First {
                continue;
            }
            output::hint(&json!({"first_use": address, "node": manifest.node}), || {
                let (node, cluster, path) = (manifest.node, &manifest.cluster, known.path().display());
                format!("first use of {address}: backups of node {node} in cluster {cluster}; kept in {path}")
            });
        }
        Ok(())
    }

    /// Checks that a backup is signed, or need not be.
    pub fn check_seal(&self, manifest: &Manifest) -> anyhow::Result<()> {
        let doubt = manifest.doubt().filter(|_| !(self.unsigned && manifest.origin() == Origin::Unsigned));
        ensure!(doubt.is_none(), "{}", doubt.unwrap_or_default());
        Ok(())
    }
}

/// Addresses of a directory of backups among the known nodes: its path as named, and its canonical path. Both count:
/// another link must not bypass the entry, and an exchanged link must not lead to other backups.
fn addresses(repository: &Repository) -> anyhow::Result<Vec<String>> {
    let folder = std::path::absolute(repository.directory())?;
    let mut folders = vec![folder.canonicalize()?, folder];
    folders.dedup();
    // A blank would end the address there.
    Ok(folders.iter().map(|folder| format!("{BACKUPS}{}", folder.display()).replace(' ', "%20")).collect())
}
