//! A client: it drives one project as fast as it is answered, repeats until it knows, and checks every answer.
//!
//! It holds the head itself and reduces every accepted step again, so that a receipt with another head is seen at
//! once. What was sent and not answered is sent again, the same bytes, until there is an answer that tells its
//! fate; a head or a clock that is too old is refreshed under the same key.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::net::TcpStream;

use super::history::{Event, Log};
use super::tally::Tally;
use crate::bench::story;
use crate::bench::world::World;
use swoosh_client::StateView;
use swoosh_machine::chart::Inputs;
use swoosh_machine::head::Head;
use swoosh_machine::reduce::{Stamp, reduce};
use swoosh_machine::state::State;
use swoosh_testkit::http::{self, Message};
use swoosh_testkit::random::Random;
use swoosh_types::canonical::canonical_bytes;
use swoosh_types::names::{EffectName, ExecutionState, Region, Transition};
use swoosh_types::proposal::SignedProposal;
use swoosh_types::receipt::Receipt;
use swoosh_types::rejection::{Code, Problem};
use swoosh_types::text::ProjectName;

/// How long an answer may take before the client asks again on a new connection.
const PATIENCE: Duration = Duration::from_secs(3);
/// The pause after a request that came to nothing, or was refused for the time being.
const PAUSE: Duration = Duration::from_millis(20);
/// Refusals of one proposal in a row after which the head is read again.
const REFUSALS: u32 = 10;
/// How often an old proposal is sent again, in thousandths, and how many are kept for that.
const REPEATED: u64 = 50;
const KEPT: usize = 200;

/// What a client drives its project through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Round the loop of execution.
    Loop,
    /// Council and environment down and up again, which asks for tools and capacity.
    Churn,
}

/// A client.
pub(super) struct Caller {
    pub world: Arc<World>,
    pub tally: Arc<Tally>,
    pub log: Arc<Log>,
    pub random: Random,
    /// The proxy.
    pub address: SocketAddr,
    pub number: usize,
    pub way: Way,
    pub project: ProjectName,
    /// How long it waits after every proposal.
    pub pause: Duration,
    stream: Option<TcpStream>,
    head: Head,
    last_index: u64,
    sent: u64,
    held: Vec<(Message, Vec<u8>)>,
}

/// A proposal whose fate is not known yet.
struct Pending {
    signed: SignedProposal,
    inputs: Inputs,
    request: Message,
    refusals: u32,
}

/// What comes of an answer.
enum Fate {
    /// It is accepted, or will never be; the next one.
    Known,
    /// The same again.
    Again(Pending),
    /// The head or the clock must be read again first.
    Refresh(Pending),
}

impl Caller {
    /// A client of one project.
    pub fn new(
        world: Arc<World>,
        tally: Arc<Tally>,
        log: Arc<Log>,
        random: Random,
        address: SocketAddr,
        (number, way, project): (usize, Way, ProjectName),
    ) -> anyhow::Result<Caller> {
        let head = Head::genesis(&project);
        let (stream, last_index, sent, held, pause) = (None, 0, 0, Vec::new(), Duration::ZERO);
        Ok(Caller {
            world,
            tally,
            log,
            random,
            address,
            number,
            way,
            project,
            pause,
            stream,
            head,
            last_index,
            sent,
            held,
        })
    }

    /// Drives the project until the run stops; then everything it sent is answered.
    pub async fn run(mut self) -> anyhow::Result<()> {
        while !self.tally.is_stopping() {
            let pending = self.prepare(None)?;
            self.settle(pending).await?;
            if !self.pause.is_zero() {
                tokio::time::sleep(self.pause).await;
            }
            if self.random.happens(REPEATED, 1_000) {
                self.repeat().await;
            }
        }
        self.log.flush()
    }

    /// The next proposal, signed; under the key of one that is refreshed, while it proposes the same.
    fn prepare(&mut self, refreshed: Option<&Pending>) -> anyhow::Result<Pending> {
        let transition = next(self.way, self.head.state());
        let mut step = story::step_by(&self.world, &self.head, transition)?;
        let same = refreshed.map(|old| &old.signed.proposal).filter(|old| {
            old.transition == transition
                && old.inputs_hash == step.proposal.inputs_hash
                && old.signer == step.proposal.signer
        });
        step.proposal.idem_key = if let Some(old) = same {
            old.idem_key.clone()
        } else {
            self.sent += 1;
            let uuid = format!("client-{:03}-{:08}", self.number, self.sent).parse()?;
            swoosh_types::ids::IdemKey { goal: "chaos".parse()?, uuid, ..step.proposal.idem_key }
        };
        if same.is_none() {
            self.log.note(&Event::Sent {
                project: self.project.clone(),
                key: step.proposal.idem_key.clone(),
                transition,
                inputs_hash: step.proposal.inputs_hash,
                signer: step.proposal.signer,
            })?;
        }
        let signed = step.proposal.sign(&self.world.cluster, step.secret);
        let request = Message::of(http::proposal(&canonical_bytes(&signed), &[]));
        Ok(Pending { signed, inputs: step.inputs, request, refusals: 0 })
    }

    /// Sends a proposal until its fate is known.
    async fn settle(&mut self, mut pending: Pending) -> anyhow::Result<()> {
        loop {
            let began = Instant::now();
            let answer = self.exchange(&pending.request).await;
            let fate = match answer {
                Some(answer) => self.judge(pending, &answer, began)?,
                None => Fate::Again(pending),
            };
            pending = match fate {
                Fate::Known => return Ok(()),
                Fate::Again(same) => {
                    if same.refusals > 0 {
                        tokio::time::sleep(PAUSE).await;
                    }
                    same
                }
                Fate::Refresh(old) => {
                    self.read_head().await;
                    self.prepare(Some(&old))?
                }
            };
        }
    }

    /// Sends a request; none where there is no answer. Then a pause has passed.
    async fn exchange(&mut self, request: &Message) -> Option<Message> {
        let address = self.address;
        let stream = &mut self.stream;
        let exchanged = tokio::time::timeout(PATIENCE, async {
            let stream = match stream {
                Some(stream) => stream,
                None => stream.insert(TcpStream::connect(address).await?),
            };
            stream.set_nodelay(true)?;
            http::exchange(stream, request.bytes()).await
        });
        if let Ok(Ok(answer)) = exchanged.await {
            return Some(answer);
        }
        self.stream = None;
        self.tally.broken.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
        None
    }

    fn judge(&mut self, pending: Pending, answer: &Message, began: Instant) -> anyhow::Result<Fate> {
        if answer.status() == 202 {
            return self.accept(pending, answer, began);
        }
        let Ok(problem) = serde_json::from_slice::<Problem>(answer.body()) else {
            let found = format!("status {}: {}", answer.status(), String::from_utf8_lossy(answer.body()));
            self.tally.violate("answers-are-known", "a receipt or a problem document", found);
            return Ok(Fate::Again(pending));
        };
        self.tally.refuse(&problem.code.to_string());
        Ok(self.refused(pending, &problem))
    }

    fn refused(&mut self, mut pending: Pending, problem: &Problem) -> Fate {
        pending.refusals += 1;
        match problem.code {
            Code::StaleHead | Code::HlcNotAfter | Code::HlcAhead | Code::HlcBehind | Code::IdemKeyExpired => {
                Fate::Refresh(pending)
            }
            code if passes(code) && pending.refusals < REFUSALS => Fate::Again(pending),
            code if passes(code) => Fate::Refresh(pending),
            code => {
                let proposal = &pending.signed.proposal;
                let expected =
                    format!("{} under {} is accepted sooner or later", proposal.transition, proposal.idem_key);
                self.tally.violate("good-proposals-pass", expected, format!("{code}: {}", problem.detail));
                Fate::Known
            }
        }
    }

    fn accept(&mut self, pending: Pending, answer: &Message, began: Instant) -> anyhow::Result<Fate> {
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        self.log.note(&Event::Receipt { receipt: text.clone() })?;
        let receipt: Receipt = match serde_json::from_str(&text) {
            Ok(receipt) => receipt,
            Err(error) => {
                self.tally.violate("answers-are-known", "a receipt", format!("{error}: {text}"));
                return Ok(Fate::Known);
            }
        };
        self.check(&pending, &receipt);
        self.tally.promised.fetch_max(receipt.index, Ordering::Relaxed);
        self.tally.accept(receipt.transition, began);
        self.advance(&pending, &receipt);
        self.keep(pending.request, answer.body().to_vec());
        Ok(Fate::Known)
    }

    /// Keeps a proposal and its receipt, in the place of another one where there are many.
    fn keep(&mut self, request: Message, receipt: Vec<u8>) {
        let at = usize::try_from(self.random.below(KEPT as u64)).unwrap_or(0);
        if self.held.len() < KEPT {
            self.held.push((request, receipt));
        } else if let Some(old) = self.held.get_mut(at) {
            *old = (request, receipt);
        }
    }

    /// The receipt is of what was asked, and proves itself.
    fn check(&self, pending: &Pending, receipt: &Receipt) {
        let asked = &pending.signed.proposal;
        let is_mine = receipt.project == self.project
            && receipt.idem_key == asked.idem_key
            && receipt.transition == asked.transition;
        if !is_mine {
            let expected = format!("a receipt for {} under {}", asked.transition, asked.idem_key);
            self.tally.violate("receipts-are-of-what-was-asked", expected, format!("{receipt:?}"));
        }
        if let Err(error) = receipt.verify(&self.world.cluster) {
            self.tally.violate("receipts-prove-themselves", "a path to a signed root", format!("{error}: {receipt:?}"));
        }
        if receipt.index <= self.last_index {
            let expected = format!("an index after {}, which {} holds a receipt for", self.last_index, self.project);
            self.tally.violate("history-goes-on", expected, format!("record {} for a new key", receipt.index));
        }
    }

    /// Reduces the step again, where the receipt is of this very proposal.
    fn advance(&mut self, pending: &Pending, receipt: &Receipt) {
        self.last_index = self.last_index.max(receipt.index);
        let asked = &pending.signed.proposal;
        // Of a key that was refreshed, an earlier form may have come through.
        if receipt.state_pre_hash != self.head.hash() || receipt.hlc != asked.hlc {
            return;
        }
        let stamp = Stamp { index: receipt.index, at: receipt.timestamp };
        let next = self.head.advance(reduce(&self.head, asked, &pending.inputs, stamp));
        if next.hash() != receipt.state_post_hash {
            let expected = format!("{} leads {} to {}", asked.transition, self.project, next.hash());
            let found = format!("record {} leads to {}", receipt.index, receipt.state_post_hash);
            self.tally.violate("reduces-again", expected, found);
        }
        self.head = next;
    }

    /// Sends one of the old proposals again: the receipt must be the same, byte for byte.
    async fn repeat(&mut self) {
        let Some((request, first)) = self.random.choose(&self.held).cloned() else { return };
        let Some(answer) = self.exchange(&request).await else { return };
        if answer.status() != 202 {
            // A node that is ill or has another time refuses repeats as well.
            return;
        }
        self.tally.repeated.fetch_add(1, Ordering::Relaxed);
        if answer.body() != first || answer.header("idempotency-replayed").is_none() {
            let [expected, found] = [&first, answer.body()].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            self.tally.violate("receipts-never-change", expected, found);
        }
    }

    /// Reads the head from the node, and hashes it again. Where the node does not say it, nothing changes.
    async fn read_head(&mut self) {
        let request = Message::of(http::get(&format!("/state?project={}", self.project)));
        let Some(answer) = self.exchange(&request).await else { return };
        if answer.status() == 404 && self.last_index == 0 {
            self.head = Head::genesis(&self.project);
            return;
        }
        if answer.status() != 200 {
            if answer.status() == 404 {
                let found = String::from_utf8_lossy(answer.body()).into_owned();
                self.lost(&found);
            }
            return tokio::time::sleep(PAUSE).await;
        }
        match proven(answer.body()) {
            Ok((_, index)) if index < self.last_index => self.lost(&format!("the node shows record {index}")),
            Ok((head, _)) => {
                self.tally.read.fetch_add(1, Ordering::Relaxed);
                self.head = head;
            }
            Err(error) => {
                self.tally.violate("reads-prove-themselves", "a state that hashes to its head", error.to_string())
            }
        }
    }

    fn lost(&self, found: &str) {
        let expected = format!("{} is at record {} at the least", self.project, self.last_index);
        self.tally.violate("acknowledged-is-kept", expected, found);
    }
}

/// The head that an answer of `GET /state` shows, hashed again, and its index.
pub(super) fn proven(body: &[u8]) -> anyhow::Result<(Head, u64)> {
    let view: StateView = serde_json::from_slice(body)?;
    anyhow::ensure!(view.proves_projection(), "the sections of {} do not give {}", view.project, view.hash);
    let state: State = serde_json::from_value(serde_json::to_value(&view.projection)?)?;
    let head = Head::try_of(state).context("the state has no canonical form")?;
    anyhow::ensure!(head.hash() == view.hash, "the state hashes to {}, and the node says {}", head.hash(), view.hash);
    Ok((head, view.index))
}

/// Refusals that a good proposal meets while something is wrong outside, or with the node.
fn passes(code: Code) -> bool {
    matches!(
        code,
        Code::Guard(_)
            | Code::NotLicensed
            | Code::Blocked
            | Code::BeatsUnknown
            | Code::ClockUnsafe
            | Code::Overloaded
            | Code::TooManyRequests
            | Code::RequestTimeout
            | Code::Draining
            | Code::NotDurable
            | Code::ReadOnly
            | Code::ProjectDamaged
            // The node keeps the outcome and records it itself.
            | Code::OutcomeHeld
    )
}

fn next(way: Way, state: &State) -> Transition {
    let next = story::next(state);
    let releasing = state.effects(Region::Environment).contains_key(&EffectName::Release);
    match next {
        Transition::EnvironmentCapacityOk if releasing => Transition::EnvironmentReleased,
        Transition::ExecutionAllReady if way == Way::Churn && state.execution.phase == ExecutionState::Inactive => {
            if state.epoch.council <= state.epoch.environment {
                Transition::CouncilReplan
            } else {
                Transition::EnvironmentDeprovision
            }
        }
        next => next,
    }
}
