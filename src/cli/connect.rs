//! The way to a node: its address, the project that is meant, and answers that are no success.

use std::future::Future;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::json;

use super::known_nodes::{KnownNodes, Seen};
use super::{keys, output};
use crate::client::{BuildError, Client, ClientBuilder, Health, ProposeError, ReadError, TlsFiles};
use crate::types::keys::{PublicKey, SecretKey};
use crate::types::proposal::DEFAULT_PROJECT;
use crate::types::rejection::Problem;
use crate::types::text::{ClusterId, ProjectName};
use swoosh_terminal::failure::Usage;
pub(super) use swoosh_terminal::output::exit;

/// Arguments of every command that connects to a node.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Node")]
pub(super) struct NodeArgs {
    /// Address of the node
    #[arg(long = "node", value_name = "URL", env = "SWOOSH_URL", default_value = "http://127.0.0.1:7400")]
    url: String,
    #[command(flatten)]
    link: LinkArgs,
}

/// Arguments of the connection to a node: who vouches for it, and as whom it is asked.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Node")]
pub(super) struct LinkArgs {
    /// Authorities that may vouch for an https node, in PEM; left out, the system's
    #[arg(long, value_name = "FILE", env = "SWOOSH_CA")]
    ca: Option<PathBuf>,
    /// Your client certificate in PEM, for a node whose reads are closed; may hold its key too
    #[arg(long, value_name = "FILE", env = "SWOOSH_CERT")]
    cert: Option<PathBuf>,
    /// The client certificate's private key in PEM, where the certificate's file does not hold it
    #[arg(long, value_name = "FILE", env = "SWOOSH_CERT_KEY", requires = "cert")]
    cert_key: Option<PathBuf>,
    /// Secret key's file of an identity with role reader, to sign reads with
    #[arg(long, value_name = "FILE", env = "SWOOSH_READ_AS")]
    read_as: Option<PathBuf>,
    /// Cluster to sign for; left out, the one that the node had when its address was first used
    #[arg(long, value_name = "CLUSTER", env = "SWOOSH_CLUSTER")]
    cluster: Option<ClusterId>,
    /// File with the nodes that are known (see `swoosh nodes`); left out, the user's own
    #[arg(long, value_name = "FILE", env = "SWOOSH_KNOWN_NODES")]
    known_nodes: Option<PathBuf>,
}

impl LinkArgs {
    /// The connection to a node that another argument names.
    pub fn to(&self, url: &str) -> NodeArgs {
        NodeArgs { url: url.to_owned(), link: self.clone() }
    }

    /// The cluster that was named.
    pub fn cluster(&self) -> Option<&ClusterId> {
        self.cluster.as_ref()
    }
}

/// The cluster, and the node where it is known, that a command signs for.
#[derive(Clone, Debug)]
pub(super) struct SignsFor {
    /// The cluster, which every signature names.
    pub cluster: ClusterId,
    /// The node; unknown where it could not be asked and was never used before.
    pub node: Option<PublicKey>,
}

/// Arguments of every command on one project.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ProjectArg {
    /// Project
    #[arg(long, value_name = "PROJECT", env = "SWOOSH_PROJECT", default_value = DEFAULT_PROJECT)]
    pub project: ProjectName,
}

/// Arguments of a command that shows one project, which is its only word.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ProjectWord {
    /// Project, in place of --project
    #[arg(id = "project_word", value_name = "PROJECT")]
    word: Option<ProjectName>,
    #[command(flatten)]
    argument: ProjectArg,
}

impl ProjectWord {
    /// The project: the word counts before the option and the variable.
    pub fn project(&self) -> &ProjectName {
        self.word.as_ref().unwrap_or(&self.argument.project)
    }
}

/// Arguments of every command that signs without further options.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SignerArgs {
    /// Your secret key's file (see `swoosh keygen`); left out, keys/operator.key of a directory of `swoosh init`
    #[arg(long, value_name = "FILE|env:NAME|fd:N", env = "SWOOSH_KEY", required = keys::is_required(), default_value = keys::own(), hide_default_value = true)]
    key: PathBuf,
    #[command(flatten)]
    node: NodeArgs,
}

impl SignerArgs {
    /// The node, to propose to in its own cluster.
    pub fn signer(&self) -> anyhow::Result<Node> {
        self.node.signer(&self.key)
    }
}

/// A node and what it takes to wait for its answers.
pub(super) struct Node {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

/// A node's answer that is no success.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}", .problem.code, .problem.detail)]
pub(super) struct Refused {
    /// The node's address.
    pub node: String,
    /// The cluster that was signed for, where something was signed.
    pub cluster: Option<ClusterId>,
    pub problem: Box<Problem>,
    /// After several attempts: how many there were, and the key to try again under.
    pub gave_up: Option<String>,
}

impl NodeArgs {
    /// The cluster that was named.
    pub fn named_cluster(&self) -> Option<&ClusterId> {
        self.link.cluster.as_ref()
    }

    /// The cluster to sign for: the node is asked who it is, and must be who it was when its address was first used. Where it
    /// cannot be asked, the cluster that was named is signed for.
    pub fn signs_for(&self) -> anyhow::Result<SignsFor> {
        let anybody = Node::over(self.builder().build())?;
        let known = KnownNodes::of_user(self.link.known_nodes.as_deref());
        let health = match (anybody.ask(anybody.client().health()), &self.link.cluster) {
            (Ok(health), _) => health,
            (Err(_), Some(cluster)) => return self.unasked(cluster, known.as_ref()),
            (Err(error), None) => {
                return Err(error)
                    .context("the node cannot be asked for its cluster; name it with --cluster to do without");
            }
        };
        let Health { cluster, node, .. } = health;
        if let Some(wanted) = self.link.cluster.as_ref().filter(|wanted| **wanted != cluster) {
            bail!("{} says it is of cluster {cluster}, not of {wanted}; nothing was signed", self.url);
        }
        let kept = known.as_ref().map(|known| known.check(&self.url, &cluster, &node)).transpose()?;
        let about = || json!({"address": self.url, "cluster": cluster, "node": node});
        match (kept, &known) {
            (Some(Seen::Known), _) => {}
            (Some(Seen::First), Some(known)) => output::hint(&json!({"first_use": about()}), || {
                let path = known.path().display();
                format!("first use of {}: it is node {node} of cluster {cluster}; kept in {path}", self.url)
            }),
            (Some(Seen::NotKept(why)), _) => output::note(&json!({"not_kept": about(), "why": why}), || {
                format!("{} is node {node} of cluster {cluster}; that cannot be kept: {why}", self.url)
            }),
            // With the cluster named, no file is needed.
            (None, _) if self.link.cluster.is_some() => {}
            (None, _) | (Some(Seen::First), None) => output::note(&json!({"not_kept": about()}), || {
                let remedy = "name a file with --known-nodes, or the cluster with --cluster";
                format!("{} is node {node} of cluster {cluster}; that is not kept without HOME: {remedy}", self.url)
            }),
        }
        Ok(SignsFor { cluster, node: Some(node) })
    }

    fn unasked(&self, cluster: &ClusterId, known: Option<&KnownNodes>) -> anyhow::Result<SignsFor> {
        let pin = known.map(|known| known.find(&self.url)).transpose()?.flatten();
        if let Some(pin) = pin.as_ref().filter(|pin| pin.cluster != *cluster) {
            bail!(
                "{} is known as a node of cluster {}, not of {cluster}; nothing was signed. If it was replaced, run \
                 `swoosh nodes forget {}`",
                pin.address,
                pin.cluster,
                pin.address
            );
        }
        Ok(SignsFor { cluster: cluster.clone(), node: pin.map(|pin| pin.node) })
    }

    /// A client for reads, signed as `--read-as` says. Where the cluster is not known the node is asked.
    pub fn reads(&self, cluster: Option<ClusterId>) -> anyhow::Result<Client> {
        let builder = match (&self.link.read_as, cluster) {
            (Some(file), Some(cluster)) => self.builder().reading_as(cluster, keys::load(file)?),
            _ => self.signs_reads(self.builder())?,
        };
        Ok(builder.build().map_err(unusable)?)
    }

    /// A client builder for the node.
    pub fn builder(&self) -> ClientBuilder {
        let (ca, certificate, key) = (self.link.ca.clone(), self.link.cert.clone(), self.link.cert_key.clone());
        Client::builder(&self.url).tls(TlsFiles { ca, certificate, key })
    }

    /// The node, to propose to as the key of a file.
    pub fn signer(&self, key: &Path) -> anyhow::Result<Node> {
        self.signing(self.builder(), keys::load(key)?)
    }

    /// The same, by a client that is built so far.
    pub fn signing(&self, builder: ClientBuilder, key: SecretKey) -> anyhow::Result<Node> {
        let signs_for = self.signs_for()?;
        let mut builder = builder.signing(signs_for.cluster.clone(), key);
        if let Some(node) = signs_for.node {
            builder = builder.node(node);
        }
        Node::over(self.reads_for(builder, &signs_for)?.build())
    }

    /// The node, to post to without a key.
    pub fn posting(&self, builder: ClientBuilder) -> anyhow::Result<Node> {
        let signs_for = self.signs_for()?;
        let mut builder = builder.checking(signs_for.cluster.clone());
        if let Some(node) = signs_for.node {
            builder = builder.node(node);
        }
        Node::over(self.reads_for(builder, &signs_for)?.build())
    }

    /// The node, to read from.
    pub fn reader(&self) -> anyhow::Result<Node> {
        Node::over(self.signs_reads(self.builder())?.build())
    }

    /// Signs reads as `--read-as` says, for the node's cluster.
    pub fn signs_reads(&self, builder: ClientBuilder) -> anyhow::Result<ClientBuilder> {
        if self.link.read_as.is_none() { Ok(builder) } else { self.reads_for(builder, &self.signs_for()?) }
    }

    fn reads_for(&self, builder: ClientBuilder, signs_for: &SignsFor) -> anyhow::Result<ClientBuilder> {
        let Some(file) = &self.link.read_as else { return Ok(builder) };
        Ok(builder.reading_as(signs_for.cluster.clone(), keys::load(file)?))
    }
}

/// An address or a file of TLS that cannot be used is wrong usage.
fn unusable(error: BuildError) -> Usage {
    Usage(error.to_string())
}

impl Node {
    /// The node behind a client.
    pub fn over(client: Result<Client, BuildError>) -> anyhow::Result<Node> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Node { runtime, client: client.map_err(unusable)? })
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Waits for an answer; one that is no success names the node.
    pub fn ask<T, E>(&self, question: impl Future<Output = Result<T, E>>) -> anyhow::Result<T>
    where
        E: Into<ProposeError>,
    {
        self.runtime.block_on(question).map_err(|error| self.explain(error.into()))
    }

    /// Waits for something that is not the node's answer alone.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    fn explain(&self, error: ProposeError) -> anyhow::Error {
        let given_up = error.problem().filter(|_| matches!(error, ProposeError::GaveUp { .. }));
        let (problem, gave_up) = match (given_up.cloned(), error) {
            (Some(problem), error) => (Box::new(problem), Some(error.to_string())),
            (None, ProposeError::Rejected(problem) | ProposeError::Read(ReadError::Problem(problem))) => {
                (problem, None)
            }
            (None, other) => return other.into(),
        };
        let node = self.client.address().trim_end_matches('/').to_owned();
        Refused { node, cluster: self.client.cluster().cloned(), problem, gave_up }.into()
    }
}
