//! The way to a node: its address, the project that is meant, and answers that are no success.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::keys;
use crate::client::{BuildError, Client, ClientBuilder, Health, ProposeError, ReadError, TlsFiles};
use crate::types::proposal::DEFAULT_PROJECT;
use crate::types::rejection::Problem;
use crate::types::text::{ClusterId, ProjectName};

/// What every command that asks a node takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct NodeArgs {
    /// Address of the node
    #[arg(long = "node", value_name = "URL", env = "SWOOSH_URL", default_value = "http://127.0.0.1:7400")]
    url: String,
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
}

/// What every command on one project takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ProjectArg {
    /// Project
    #[arg(long, value_name = "PROJECT", default_value = DEFAULT_PROJECT)]
    pub project: ProjectName,
}

/// What every command that signs, and needs nothing else to be said, takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SignerArgs {
    /// Your secret key's file (see `swoosh keygen`)
    #[arg(long, value_name = "FILE", env = "SWOOSH_KEY")]
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
    /// What it says.
    pub problem: Box<Problem>,
}

impl NodeArgs {
    /// The way to a node that was named otherwise.
    pub fn to(url: String, tls: TlsFiles, read_as: Option<PathBuf>) -> NodeArgs {
        NodeArgs { url, ca: tls.ca, cert: tls.certificate, cert_key: tls.key, read_as }
    }

    /// A client for reads, signed as `--read-as` says. Where the cluster is not known the node is asked.
    pub fn reads(&self, cluster: Option<ClusterId>) -> anyhow::Result<Client> {
        let builder = match (&self.read_as, cluster) {
            (Some(file), Some(cluster)) => self.builder().reading_as(cluster, keys::load(file)?),
            _ => self.signs_reads(self.builder())?,
        };
        Ok(builder.build()?)
    }

    /// A client builder for the node.
    pub fn builder(&self) -> ClientBuilder {
        let (ca, certificate, key) = (self.ca.clone(), self.cert.clone(), self.cert_key.clone());
        Client::builder(&self.url).tls(TlsFiles { ca, certificate, key })
    }

    /// The node, to propose to as the key of a file.
    pub fn signer(&self, key: &Path) -> anyhow::Result<Node> {
        let key = keys::load(key)?;
        let reader = self.reader()?;
        let Health { cluster, node, .. } = reader.ask(reader.client().health())?;
        Node::over(self.signs_reads(self.builder().node(node).signing(cluster, key))?.build())
    }

    /// The node, to read from.
    pub fn reader(&self) -> anyhow::Result<Node> {
        Node::over(self.signs_reads(self.builder())?.build())
    }

    /// Signs reads as `--read-as` says, for the node's cluster.
    pub fn signs_reads(&self, builder: ClientBuilder) -> anyhow::Result<ClientBuilder> {
        let Some(file) = &self.read_as else { return Ok(builder) };
        let key = keys::load(file)?;
        let anybody = Node::over(self.builder().build())?;
        let cluster = anybody.ask(anybody.client().health())?.cluster;
        Ok(builder.reading_as(cluster, key))
    }
}

impl Node {
    /// The node behind a client.
    pub fn over(client: Result<Client, BuildError>) -> anyhow::Result<Node> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Node { runtime, client: client? })
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
        let problem = match error {
            ProposeError::Rejected(problem) | ProposeError::Read(ReadError::Problem(problem)) => problem,
            other => return other.into(),
        };
        Refused { node: self.client.address().trim_end_matches('/').to_owned(), problem }.into()
    }
}

/// Success, or failure.
pub(super) fn exit(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
