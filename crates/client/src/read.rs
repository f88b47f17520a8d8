//! Reads: state, health, transitions, log, decisions.

use reqwest::Url;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Client;
use super::answers::{
    Divergences, EffectView, Effects, FactsView, Health, ProjectList, ProjectView, PushedFact, RecordFilter,
    RecordsPage, Rejections, StateView, TransitionsView, WalPage, WindowsView,
};
use super::link::{LinkError, Reply};
use swoosh_types::canonical::canonical_bytes;
use swoosh_types::decision::Decision;
use swoosh_types::fact::{Fact, FactKind};
use swoosh_types::feed::FeedPage;
use swoosh_types::hash::Hash;
use swoosh_types::hlc::Hlc;
use swoosh_types::ids::{DecisionId, EffectId};
use swoosh_types::migration::{Divergence, MigrationView, SignedOrder, Switch};
use swoosh_types::read::{HLC_HEADER, SIGNATURE_HEADER, SIGNER_HEADER, SignedRead};
use swoosh_types::rejection::{Code, Problem};
use swoosh_types::text::ProjectName;

/// Why a read has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No answer.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The node says what is wrong.
    #[error("{}: {}", .0.code, .0.detail)]
    Problem(Box<Problem>),
    /// An answer that SWOOSH does not give: is something else listening there?
    #[error("{address} answers with status {status} and a body that is no answer of SWOOSH: {found}")]
    Unexpected {
        address: String,
        /// The HTTP status.
        status: u16,
        /// The answer, or its beginning.
        found: String,
    },
}

impl ReadError {
    /// The node's problem document.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            ReadError::Problem(problem) => Some(problem),
            ReadError::Link(_) | ReadError::Unexpected { .. } => None,
        }
    }
}

/// State of a project: its head, and whether it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProjectHead {
    /// The hash that the next proposal must name.
    pub head: Hash,
    /// Whether the project does not exist yet, so that only `Boot_ConfigOk` can follow.
    pub is_new: bool,
}

impl Client {
    /// `GET /state`: the head, and the sections named in `projection`, separated by commas (`Council,Ingestion`).
    pub async fn state(&self, project: &ProjectName, projection: Option<&str>) -> Result<StateView, ReadError> {
        self.state_query(project, projection, None).await
    }

    /// `GET /state?at=`: the state after the record at `index`.
    pub async fn state_at(
        &self,
        project: &ProjectName,
        projection: Option<&str>,
        index: u64,
    ) -> Result<StateView, ReadError> {
        self.state_query(project, projection, Some(index)).await
    }

    async fn state_query(
        &self,
        project: &ProjectName,
        projection: Option<&str>,
        at: Option<u64>,
    ) -> Result<StateView, ReadError> {
        let mut query = vec![("project", project.to_string())];
        query.extend(projection.map(|sections| ("projection", sections.to_owned())));
        query.extend(at.map(|index| ("at", index.to_string())));
        let view: StateView = self.read(self.link.url(&["state"], &query)).await?;
        if let Some(last) = &view.hlc_last {
            self.clock.observe(last.hlc);
        }
        Ok(view)
    }

    /// The head that the next proposal of a project must name; of a project that does not exist yet, the
    /// genesis head.
    pub async fn head(&self, project: &ProjectName) -> Result<ProjectHead, ReadError> {
        match self.state(project, None).await {
            Ok(view) => Ok(ProjectHead { head: view.hash, is_new: false }),
            Err(error) => match error.problem().filter(|problem| problem.code == Code::UnknownProject) {
                Some(Problem { head: Some(head), .. }) => Ok(ProjectHead { head: *head, is_new: true }),
                _ => Err(error),
            },
        }
    }

    /// `GET /health`; a node that refuses proposals still tells how it is.
    pub async fn health(&self) -> Result<Health, ReadError> {
        let url = self.link.url(&["health"], &[]);
        // A node with closed reads answers readers in more detail.
        let reply = self.link.get(url.clone(), &self.read_headers(&url)).await?;
        let health: Health = match serde_json::from_slice(&reply.body) {
            Ok(health) if matches!(reply.status, 200 | 503) => health,
            _ => self.decode(&url, &reply)?,
        };
        self.clock.observe(health.time);
        Ok(health)
    }

    /// `GET /health/ready`: the reason why the node accepts no proposal now; none where it accepts them.
    pub async fn unready(&self) -> Result<Option<Box<Problem>>, ReadError> {
        let url = self.link.url(&["health", "ready"], &[]);
        let reply = self.link.get(url.clone(), &self.read_headers(&url)).await?;
        match reply.status {
            200 => Ok(None),
            _ => match self.decode::<Value>(&url, &reply) {
                Err(ReadError::Problem(problem)) => Ok(Some(problem)),
                Err(error) => Err(error),
                Ok(_) => Ok(None),
            },
        }
    }

    /// `GET /transitions`: enabled transitions, why the others are not, and the state of the window schedule. Works for
    /// a project that does not exist yet.
    pub async fn transitions(&self, project: &ProjectName) -> Result<TransitionsView, ReadError> {
        let query = [("project", project.to_string())];
        let view: TransitionsView = self.read(self.link.url(&["transitions"], &query)).await?;
        self.clock.observe(view.time);
        self.remember_schedule(project, &view);
        Ok(view)
    }

    /// `GET /statechart`: the chart that the node was built from, with its prose and its `schema_hash`.
    pub async fn statechart(&self) -> Result<Value, ReadError> {
        self.read(self.link.url(&["statechart"], &[])).await
    }

    /// `GET /windows`: the window schedule, its state at a time (default: now), and the next `count` windows.
    pub async fn windows(&self, project: &ProjectName, at: Option<Hlc>, count: u64) -> Result<WindowsView, ReadError> {
        let mut query = vec![("project", project.to_string()), ("count", count.to_string())];
        query.extend(at.map(|at| ("at", at.to_string())));
        let view: WindowsView = self.read(self.link.url(&["windows"], &query)).await?;
        self.clock.observe(view.time);
        Ok(view)
    }

    /// `GET /projects`: those that can be read.
    pub async fn projects(&self) -> Result<Vec<ProjectView>, ReadError> {
        Ok(self.project_list().await?.projects)
    }

    /// `GET /projects`, page by page: all projects, and those that are damaged.
    pub async fn project_list(&self) -> Result<ProjectList, ReadError> {
        let mut list = ProjectList::default();
        loop {
            let query: Vec<_> = list.next.take().map(|after| ("after", after.to_string())).into_iter().collect();
            let page: ProjectList = self.read(self.link.url(&["projects"], &query)).await?;
            list.projects.extend(page.projects);
            list.damaged.extend(page.damaged);
            list.incomplete = page.incomplete;
            list.next = page.next;
            if list.next.is_none() {
                return Ok(list);
            }
        }
    }

    /// `GET /wal`: at most `limit` records from index `from` on.
    pub async fn wal(&self, from: u64, limit: u64) -> Result<WalPage, ReadError> {
        self.read(self.link.url(&["wal"], &[("from", from.to_string()), ("limit", limit.to_string())])).await
    }

    /// `GET /records`: at most `limit` records that match, newest first. To go on, ask with `next` as `before`.
    pub async fn records(&self, filter: &RecordFilter, limit: u64) -> Result<RecordsPage, ReadError> {
        let mut query = filter.query();
        query.push(("limit", limit.to_string()));
        self.read(self.link.url(&["records"], &query)).await
    }

    /// `GET /wal/feed`: at most `limit` records from index `from` on, with what proves them; waits so long for one.
    pub async fn feed(&self, from: u64, limit: u64, wait_ms: u64) -> Result<FeedPage, ReadError> {
        let query = [("from", from.to_string()), ("limit", limit.to_string()), ("wait_ms", wait_ms.to_string())];
        self.read(self.link.url(&["wal", "feed"], &query)).await
    }

    /// `GET /decisions/{project}/{index}`: why the record at `index` was accepted.
    pub async fn decision_at(&self, project: &ProjectName, index: u64) -> Result<Decision, ReadError> {
        self.read(self.link.url(&["decisions", project.as_str(), &index.to_string()], &[])).await
    }

    /// `GET /decisions/{id}`.
    pub async fn decision(&self, id: &DecisionId) -> Result<Decision, ReadError> {
        self.read(self.link.url(&["decisions", &id.to_string()], &[])).await
    }

    /// `GET /effects`: every effect that is open, of one project or of all.
    pub async fn effects(&self, project: Option<&ProjectName>) -> Result<Vec<EffectView>, ReadError> {
        let (mut all, mut after) = (Vec::new(), None::<EffectId>);
        loop {
            let project = project.map(|project| ("project", project.to_string()));
            let query: Vec<_> = project.into_iter().chain(after.take().map(|id| ("after", id.to_string()))).collect();
            let page: Effects = self.read(self.link.url(&["effects"], &query)).await?;
            all.extend(page.effects);
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// `GET /rejections`: the latest proposals that were not accepted, at most `limit`.
    pub async fn rejections(&self, limit: u64) -> Result<Vec<Value>, ReadError> {
        let url = self.link.url(&["rejections"], &[("limit", limit.to_string())]);
        Ok(self.read::<Rejections>(url).await?.rejections)
    }

    /// `GET /facts`: the facts that the node holds.
    pub async fn facts(&self) -> Result<Vec<Value>, ReadError> {
        Ok(self.beliefs(None, None).await?.facts)
    }

    /// `GET /facts`: what the node holds, of one kind or for one project where they are given, of which kinds it
    /// believes nothing, and whether the license lets it talk to the world outside.
    pub async fn beliefs(&self, kind: Option<FactKind>, project: Option<&ProjectName>) -> Result<FactsView, ReadError> {
        let kind = kind.map(|kind| ("kind", kind.to_string()));
        let project = project.map(|project| ("project", project.to_string()));
        let query: Vec<_> = kind.into_iter().chain(project).collect();
        self.read(self.link.url(&["facts"], &query)).await
    }

    /// `POST /facts`: pushes a signed fact; [`FactClaim::sign`](swoosh_types::fact::FactClaim::sign) makes one.
    /// Pushing it again is harmless.
    pub async fn push_fact(&self, fact: &Fact) -> Result<PushedFact, ReadError> {
        let url = self.link.url(&["facts"], &[]);
        let reply = self.link.post(url.clone(), canonical_bytes(fact)).await?;
        self.decode(&url, &reply)
    }

    /// `GET /migration`: the state of the migration from WHOOSH.
    pub async fn migration(&self) -> Result<MigrationView, ReadError> {
        self.read(self.link.url(&["migration"], &[])).await
    }

    /// `GET /migration/divergences`: the last differences between WHOOSH and SWOOSH, newest first, at most `limit`.
    pub async fn divergences(&self, limit: u64) -> Result<Vec<Divergence>, ReadError> {
        let url = self.link.url(&["migration", "divergences"], &[("limit", limit.to_string())]);
        Ok(self.read::<Divergences>(url).await?.divergences)
    }

    /// `POST /migration/mode`: switches the migration; [`Order::sign`](swoosh_types::migration::Order::sign) makes an
    /// order. It counts once.
    pub async fn order(&self, order: &SignedOrder) -> Result<Switch, ReadError> {
        let url = self.link.url(&["migration", "mode"], &[]);
        let reply = self.link.post(url.clone(), canonical_bytes(order)).await?;
        self.decode(&url, &reply)
    }

    pub(super) async fn read<T: DeserializeOwned>(&self, url: Url) -> Result<T, ReadError> {
        let reply = self.link.get(url.clone(), &self.read_headers(&url)).await?;
        self.decode(&url, &reply)
    }

    /// The signature on a read, for a node whose reads are closed; others do not look at it.
    pub(super) fn read_headers(&self, url: &Url) -> Vec<(&'static str, String)> {
        let Some(signing) = self.reading.as_ref().or(self.signing.as_ref()) else { return Vec::new() };
        let hlc = self.clock.now();
        let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let read = SignedRead { hlc, signer: signing.identity.public(), target };
        let signature = read.sign(&signing.cluster, signing.identity.key());
        vec![
            (SIGNER_HEADER, read.signer.to_string()),
            (HLC_HEADER, read.hlc.to_string()),
            (SIGNATURE_HEADER, signature.to_string()),
        ]
    }

    /// A typed answer, or the problem the node tells of.
    pub(super) fn decode<T: DeserializeOwned>(&self, url: &Url, reply: &Reply) -> Result<T, ReadError> {
        let unexpected =
            |found: String| ReadError::Unexpected { address: url.to_string(), status: reply.status, found };
        if reply.status == 200 {
            return serde_json::from_slice(&reply.body).map_err(|error| unexpected(error.to_string()));
        }
        match self.problem(reply) {
            Some(problem) => Err(ReadError::Problem(problem)),
            None => Err(unexpected(reply.excerpt())),
        }
    }

    /// The problem document of an answer, if it is one; the clock follows what it shows.
    pub(super) fn problem(&self, reply: &Reply) -> Option<Box<Problem>> {
        let problem: Box<Problem> = serde_json::from_slice(&reply.body).ok()?;
        problem.hlc_last.into_iter().for_each(|hlc| self.clock.observe(hlc));
        Some(problem)
    }
}

impl ReadError {
    /// Whether the same read may fare better later: no answer, or a node or proxy that cannot answer now.
    pub fn is_passing(&self) -> bool {
        match self {
            ReadError::Link(error) => error.is_passing(),
            ReadError::Problem(problem) => is_passing_status(problem.status) && !is_final(problem.code),
            ReadError::Unexpected { status, .. } => is_passing_status(*status),
        }
    }
}

/// Codes that a node gives until its operator acts, although their status says "not now": another node accepts proposals, or the
/// project's rows are damaged.
pub(super) fn is_final(code: Code) -> bool {
    matches!(code, Code::Follower | Code::ProjectDamaged)
}

/// Statuses that say «not now»: too slow, too much, or a node or proxy that is not there (RFC 9110 §15.5.9,
/// §15.6.3 to §15.6.5, RFC 6585 §4).
pub(super) fn is_passing_status(status: u16) -> bool {
    matches!(status, 408 | 429 | 502 | 503 | 504)
}
