//! Proposing: read the head, sign, post, and try again under the same key until there is an answer.

use reqwest::Url;

use super::answers::{DryRun, TransitionsView};
use super::draft::{Draft, HeadChoice, Window};
use super::entropy::EntropyError;
use super::link::{LinkError, Reply};
use super::read::{ReadError, is_final, is_passing_status};
use super::retry::{self, Cause, RetryPolicy};
use super::{Client, ReceiptCheckError};
use swoosh_types::hash::Hash;
use swoosh_types::hlc::HlcError;
use swoosh_types::ids::{IdemKey, WindowId};
use swoosh_types::json::JsonError;
use swoosh_types::proposal::{Proposal, SignedProposal};
use swoosh_types::receipt::Receipt;
use swoosh_types::rejection::{Code, Problem, Retry};
use swoosh_types::text::ProjectName;
use swoosh_types::words::count;

/// A signed proposal and the bytes that are posted, the same for every attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    signed: SignedProposal,
    body: Vec<u8>,
}

impl Prepared {
    /// The bytes of a signed proposal.
    pub fn of(signed: SignedProposal) -> Result<Prepared, JsonError> {
        let body = signed.to_json()?.canonical();
        Ok(Prepared { signed, body })
    }

    pub fn signed(&self) -> &SignedProposal {
        &self.signed
    }

    /// The document that is posted, in canonical JSON.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

/// An accepted proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The node's receipt, verified.
    pub receipt: Receipt,
    /// The receipt's bytes as they came.
    pub body: Vec<u8>,
    /// Whether it had been accepted before.
    pub replayed: bool,
    /// How many attempts it took.
    pub attempts: u32,
}

/// The outcome of an effect that a blocked project keeps. The node records it when the project goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The key that it has.
    pub key: IdemKey,
    /// Why the project is blocked.
    pub problem: Box<Problem>,
}

/// How the node took a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is recorded.
    Accepted(Box<Accepted>),
    /// It is kept, and recorded later.
    Held(Held),
}

impl Outcome {
    /// What was accepted; none of an outcome that is held.
    pub fn accepted(self) -> Option<Accepted> {
        match self {
            Outcome::Accepted(accepted) => Some(*accepted),
            Outcome::Held(_) => None,
        }
    }

    /// The receipt, verified; none of an outcome that is held.
    pub fn receipt(&self) -> Option<&Receipt> {
        match self {
            Outcome::Accepted(accepted) => Some(&accepted.receipt),
            Outcome::Held(_) => None,
        }
    }
}

/// Progress of a proposal, for display.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A proposal is posted.
    Sending {
        /// Which attempt, from 1.
        attempt: u32,
        /// The posted proposal.
        prepared: &'a Prepared,
    },
    /// An attempt did not succeed; another will be made.
    Retrying {
        /// Which attempt it was.
        attempt: u32,
        cause: &'a Cause,
        /// How long until the next, in milliseconds.
        wait_ms: u64,
    },
    /// The proposal is accepted.
    Accepted {
        /// Which attempt it was.
        attempt: u32,
        receipt: &'a Receipt,
        /// Whether it had been accepted before.
        replayed: bool,
    },
}

/// Receives the progress of a proposal.
pub type Observer<'a> = dyn FnMut(Event<'_>) + Send + 'a;

/// Why a proposal is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// The client has no key.
    #[error("this client only reads; build it with a cluster and a key to propose")]
    ReadsOnly,
    /// No key could be made.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The clock has no later reading.
    #[error(transparent)]
    Clock(#[from] HlcError),
    /// The proposal is not strict JSON.
    #[error("the proposal cannot be written: {0}")]
    Unwritable(#[from] JsonError),
    /// Head or schedule cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The node does not accept it, and would not accept it later either.
    #[error("{}: {}", .0.code, .0.detail)]
    Rejected(Box<Problem>),
    /// There is no answer that could be used, and asking again is no use.
    #[error(transparent)]
    Link(LinkError),
    /// An answer that SWOOSH does not give.
    #[error("{address} answers with status {status} and a body that is no answer of SWOOSH: {found}")]
    Unexpected {
        /// The node's address.
        address: String,
        /// The HTTP status.
        status: u16,
        /// The answer, or its beginning.
        found: String,
    },
    /// The node says it accepted, but its receipt does not prove that.
    #[error("the node's receipt is not taken: {0}")]
    Receipt(#[from] ReceiptCheckError),
    /// It was tried as often as the policy allows.
    #[error("gave up after {}: {cause}{}", count(u64::from(*attempts), "attempt"), hint(cause, key))]
    GaveUp {
        attempts: u32,
        /// Why the last one failed.
        cause: Box<Cause>,
        /// The key, under which it may be sent again; absent when nothing was signed yet.
        key: Option<IdemKey>,
    },
}

fn hint(cause: &Cause, key: &Option<IdemKey>) -> String {
    match key {
        Some(key) if cause.may_be_accepted() => {
            format!("; it may have been accepted all the same: propose it again under its key, --idem-key {key}")
        }
        Some(key) => format!("; propose it again under its key, --idem-key {key}"),
        None => String::new(),
    }
}

impl ProposeError {
    /// The node's problem document, if it sent one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            ProposeError::Rejected(problem) => Some(problem),
            ProposeError::Read(error) => error.problem(),
            ProposeError::GaveUp { cause, .. } => match &**cause {
                Cause::StaleHead(problem) | Cause::Clock(problem) => Some(problem),
                Cause::Busy { problem, .. } => problem.as_deref(),
                Cause::Unread(error) => error.problem(),
                Cause::Unanswered(_) => None,
            },
            ProposeError::ReadsOnly
            | ProposeError::Entropy(_)
            | ProposeError::Clock(_)
            | ProposeError::Unwritable(_)
            | ProposeError::Link(_)
            | ProposeError::Unexpected { .. }
            | ProposeError::Receipt(_) => None,
        }
    }
}

/// A proposal on its way.
struct Journey<'a> {
    /// Absent if a prepared proposal is posted unchanged and never signed again.
    draft: Option<&'a Draft>,
    /// Made once, kept through every attempt.
    key: Option<IdemKey>,
    prepared: Option<Prepared>,
    /// Why the last attempt failed.
    cause: Option<Cause>,
    /// Whether the head that the draft names first has proved stale.
    head_moved: bool,
    /// How many nodes said that they follow another.
    followers: usize,
}

impl<'a> Journey<'a> {
    fn of(draft: &'a Draft) -> Journey<'a> {
        Journey { draft: Some(draft), key: None, prepared: None, cause: None, head_moved: false, followers: 0 }
    }

    fn as_prepared(prepared: Prepared) -> Journey<'a> {
        let key = Some(prepared.signed.proposal.idem_key.clone());
        Journey { draft: None, key, prepared: Some(prepared), cause: None, head_moved: false, followers: 0 }
    }

    /// Takes note of why an attempt failed.
    fn failed(&mut self, cause: Cause) {
        if cause.needs_new_signature() {
            self.prepared = None;
        }
        self.head_moved |= matches!(cause, Cause::StaleHead(_));
        self.cause = Some(cause);
    }
}

fn may_move_head(draft: &Draft) -> bool {
    !matches!(draft.head, HeadChoice::Only(_))
}

/// How an attempt ended.
pub(super) enum Step {
    Done(Box<(Receipt, Vec<u8>, bool)>),
    Again(Cause),
    Failed(ProposeError),
}

impl Client {
    /// Proposes until there is an answer; see [`Client::propose_observed`]. An outcome that a blocked project keeps is no error.
    pub async fn propose(&self, draft: Draft) -> Result<Outcome, ProposeError> {
        let mut key = None;
        let mut observer = |event: Event<'_>| {
            if let Event::Sending { prepared, .. } = event {
                key = Some(prepared.signed.proposal.idem_key.clone());
            }
        };
        let answer = self.propose_observed(&draft, &mut observer).await;
        match (answer, key) {
            (Ok(accepted), _) => Ok(Outcome::Accepted(Box::new(accepted))),
            (Err(ProposeError::Rejected(problem)), Some(key)) if problem.code == Code::OutcomeHeld => {
                Ok(Outcome::Held(Held { key, problem }))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Proposes until there is an answer, and tells what happens. A stale head or clock is read again and the
    /// proposal signed again; a node that is busy or does not answer gets the same bytes again; both under
    /// the same key, so that the proposal is accepted at most once. Any other rejection is returned at once, also `outcome_held`.
    pub async fn propose_observed(&self, draft: &Draft, observer: &mut Observer<'_>) -> Result<Accepted, ProposeError> {
        self.travel(Journey::of(draft), observer).await
    }

    /// How often and how patiently it tries again.
    pub fn retry_policy(&self) -> RetryPolicy {
        self.retry
    }

    /// Reads what a draft leaves open and signs it, without posting.
    pub async fn prepare(&self, draft: &Draft) -> Result<Prepared, ProposeError> {
        self.sign(draft, &mut Journey::of(draft)).await
    }

    /// Posts what was prepared, the same bytes in every attempt.
    pub async fn submit(&self, prepared: Prepared, observer: &mut Observer<'_>) -> Result<Accepted, ProposeError> {
        self.travel(Journey::as_prepared(prepared), observer).await
    }

    /// The decision on a draft at the durable head; changes nothing.
    pub async fn dry_run(&self, draft: &Draft) -> Result<DryRun, ProposeError> {
        let prepared = self.prepare(draft).await?;
        let url = self.link.url(&["transition"], &[("dry_run", "true".into())]);
        let reply = self.link.post(url.clone(), prepared.body).await.map_err(ReadError::Link)?;
        match self.decode(&url, &reply) {
            Ok(answer) => Ok(answer),
            // A proposal that cannot be judged at all is answered with the problem alone.
            Err(ReadError::Problem(problem)) => Ok(DryRun {
                accepted: false,
                state_post_hash: None,
                guard_outcomes: problem.guard_outcomes.clone(),
                problem: Some(problem),
            }),
            Err(other) => Err(ProposeError::Read(other)),
        }
    }

    async fn travel(&self, mut journey: Journey<'_>, observer: &mut Observer<'_>) -> Result<Accepted, ProposeError> {
        let (mut attempt, mut waited_ms) = (0, 0);
        loop {
            attempt += 1;
            let cause = match self.attempt(&mut journey, attempt, observer).await {
                Step::Done(done) => {
                    let (receipt, body, replayed) = *done;
                    observer(Event::Accepted { attempt, receipt: &receipt, replayed });
                    return Ok(Accepted { receipt, body, replayed, attempts: attempt });
                }
                Step::Failed(error) => return Err(error),
                Step::Again(cause) => cause,
            };
            let Some(wait_ms) = self.retry.wait_ms(attempt, waited_ms, &cause, self.pressure()) else {
                return Err(ProposeError::GaveUp { attempts: attempt, cause: Box::new(cause), key: journey.key });
            };
            observer(Event::Retrying { attempt, cause: &cause, wait_ms });
            journey.failed(cause);
            waited_ms += wait_ms;
            retry::sleep(wait_ms).await;
        }
    }

    async fn attempt(&self, journey: &mut Journey<'_>, attempt: u32, observer: &mut Observer<'_>) -> Step {
        let prepared = match (journey.prepared.take(), journey.draft) {
            (Some(prepared), _) => prepared,
            (None, Some(draft)) => match self.sign(draft, journey).await {
                Ok(prepared) => prepared,
                Err(ProposeError::Read(error)) if error.is_passing() => return Step::Again(Cause::Unread(error)),
                Err(error) => return Step::Failed(error),
            },
            (None, None) => return Step::Failed(ProposeError::ReadsOnly),
        };
        observer(Event::Sending { attempt, prepared: &prepared });
        let (url, body) = (self.link.url(&["transition"], &[]), prepared.body.clone());
        // One that can be signed again on another head waits for its turn at a project that many propose to.
        let reply = match journey.draft {
            Some(draft) if may_move_head(draft) => self.link.post_in_line(url.clone(), body).await,
            _ => self.link.post(url.clone(), body).await,
        };
        let step = match reply {
            Ok(reply) => self.judge(&prepared, journey.draft, reply),
            Err(error) if error.is_passing() => Step::Again(Cause::Unanswered(error)),
            Err(error) => Step::Failed(ProposeError::Link(error)),
        };
        journey.prepared = Some(prepared);
        self.onward(journey, &url, step)
    }

    /// Goes to another node of the cluster where this one gives no answer, or follows another.
    fn onward(&self, journey: &mut Journey<'_>, url: &Url, step: Step) -> Step {
        match step {
            Step::Failed(ProposeError::Rejected(problem))
                if problem.code == Code::Follower && journey.followers + 1 < self.link.count() =>
            {
                journey.followers += 1;
                self.link.turn_from(url);
                Step::Again(Cause::Busy { status: problem.status, retry_after_ms: Some(0), problem: Some(problem) })
            }
            Step::Again(cause) => {
                if matches!(cause, Cause::Unanswered(_) | Cause::Busy { status: 502..=504, .. }) {
                    self.link.turn_from(url);
                }
                Step::Again(cause)
            }
            step => step,
        }
    }

    /// Fills in head, key, window and clock, and signs.
    async fn sign(&self, draft: &Draft, journey: &mut Journey<'_>) -> Result<Prepared, ProposeError> {
        let signing = self.signing.as_ref().ok_or(ProposeError::ReadsOnly)?;
        let project = draft.project();
        if matches!(&journey.cause, Some(Cause::Clock(problem)) if problem.code.retry() == Retry::Restamp) {
            // The wall here is slow: the node's own time, which the clock follows from now on, is not.
            self.health().await?;
        }
        let (beat, window_id) = self.place(draft, &project, journey.key.as_ref()).await?;
        let called_at = journey.cause.as_ref().and_then(Cause::called_at);
        let head = match called_at.filter(|_| may_move_head(draft)) {
            Some(head) => head,
            None => self.choose_head(draft.head, &project, journey.head_moved).await?,
        };
        let idem_key = match &journey.key {
            Some(key) => key.clone(),
            None => journey.key.insert(draft.key(beat)?).clone(),
        };
        let proposal = Proposal {
            project: draft.project.clone(),
            current_state_hash: head,
            transition: draft.transition,
            inputs: draft.inputs.clone(),
            inputs_hash: Hash::of(&draft.inputs.canonical()),
            signer: signing.identity.public(),
            idem_key,
            hlc: self.clock.next()?,
            window_id,
            evidence: draft.evidence.clone(),
        };
        Ok(Prepared::of(proposal.sign(&signing.cluster, signing.identity.key()))?)
    }

    /// The beat for the key and the window to name; reads the schedule only where the draft leaves one open.
    async fn place(
        &self,
        draft: &Draft,
        project: &ProjectName,
        key: Option<&IdemKey>,
    ) -> Result<(u64, Option<WindowId>), ReadError> {
        let known_beat = draft.beat.or(key.map(|key| key.beat));
        if let (Some(beat), Window::Fixed(window)) = (known_beat, draft.window) {
            return Ok((beat, window));
        }
        let needs_window = |view: &TransitionsView| view.window_of(draft.transition).is_some();
        let view = match (self.fresh_schedule(project), draft.window) {
            (Some(view), Window::Fixed(_)) => view,
            (Some(view), Window::Automatic) if !needs_window(&view) => view,
            _ => self.transitions(project).await?,
        };
        let window = match draft.window {
            Window::Fixed(window) => window,
            Window::Automatic => view.window_id.filter(|_| needs_window(&view)),
        };
        Ok((known_beat.unwrap_or(view.beat), window))
    }

    async fn choose_head(&self, choice: HeadChoice, project: &ProjectName, moved: bool) -> Result<Hash, ReadError> {
        match choice {
            HeadChoice::Only(head) => Ok(head),
            HeadChoice::First(head) if !moved => Ok(head),
            HeadChoice::First(_) | HeadChoice::Read => Ok(self.head(project).await?.head),
        }
    }

    /// The next step after an answer.
    pub(super) fn judge(&self, prepared: &Prepared, draft: Option<&Draft>, reply: Reply) -> Step {
        if matches!(reply.status, 200 | 202) {
            return match self.receipt(prepared, &reply) {
                Ok(receipt) => Step::Done(Box::new((receipt, reply.body, reply.replayed))),
                Err(error) => Step::Failed(error),
            };
        }
        let problem = self.problem(&reply);
        let is_final = problem.as_ref().is_some_and(|problem| is_final(problem.code));
        if is_passing_status(reply.status) && !is_final {
            let asked = problem.as_ref().and_then(|problem| problem.retry_after_ms).or(reply.retry_after_ms);
            return Step::Again(Cause::Busy { status: reply.status, retry_after_ms: asked, problem });
        }
        let Some(problem) = problem else {
            return Step::Failed(self.unexpected(&reply, reply.excerpt()));
        };
        match problem.code.retry() {
            Retry::Head if draft.is_some_and(may_move_head) => Step::Again(Cause::StaleHead(problem)),
            Retry::Clock | Retry::Restamp if draft.is_some() => Step::Again(Cause::Clock(problem)),
            // These are sent again only under the statuses above, which proxies give too.
            Retry::Node | Retry::Resend => Step::Failed(ProposeError::Rejected(problem)),
            Retry::Never | Retry::Head | Retry::Clock | Retry::Restamp | Retry::Window | Retry::Outside => {
                Step::Failed(ProposeError::Rejected(problem))
            }
        }
    }

    /// The receipt in an answer, checked to be this proposal's and to prove itself.
    fn receipt(&self, prepared: &Prepared, reply: &Reply) -> Result<Receipt, ProposeError> {
        let receipt: Receipt =
            serde_json::from_slice(&reply.body).map_err(|error| self.unexpected(reply, error.to_string()))?;
        let proposal = &prepared.signed.proposal;
        let other = [
            ("key", receipt.idem_key != proposal.idem_key),
            ("project", receipt.project != proposal.project()),
            ("transition", receipt.transition != proposal.transition),
        ];
        if let Some((what, _)) = other.iter().find(|(_, differs)| *differs) {
            return Err(ReceiptCheckError::OtherProposal(what).into());
        }
        self.verify_receipt(&receipt)?;
        self.clock.observe(receipt.hlc.max(receipt.timestamp));
        Ok(receipt)
    }

    pub(super) fn unexpected(&self, reply: &Reply, found: String) -> ProposeError {
        ProposeError::Unexpected { address: self.address().to_owned(), status: reply.status, found }
    }
}
