//! A proposal under way: it is judged to its end, also when its caller is gone.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;

use super::transition::charge;
use super::{AppState, Gate, Peer};
use swoosh_sequencer::Outcome;
use swoosh_types::keys::PublicKey;
use swoosh_types::rejection::Code;

/// Awaits the outcome in the caller's task. Dropped before, it goes on in a task of its own, so that the proposal is
/// counted, and is charged where it is refused.
pub(super) struct Proposing {
    judging: Option<BoxFuture<'static, Outcome>>,
    account: Account,
    began: Instant,
    limit: Duration,
}

/// Counts a proposal once, and charges its peer.
struct Account {
    gate: Arc<Gate>,
    peer: Peer,
    signer: PublicKey,
    is_counted: bool,
}

impl Account {
    fn count(&mut self, refused: Option<Code>) {
        if !std::mem::replace(&mut self.is_counted, true) {
            self.gate.traffic().proposed(refused);
        }
    }

    fn settle(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Accepted { .. } => self.count(None),
            Outcome::Refused(refusal) => {
                let code = refusal.rejection.code;
                self.count(Some(code));
                charge(&self.gate, self.peer, self.signer, code);
            }
        }
    }
}

impl Proposing {
    pub fn of(
        state: &AppState,
        peer: Peer,
        signer: PublicKey,
        judging: impl Future<Output = Outcome> + Send + 'static,
    ) -> Proposing {
        Proposing {
            judging: Some(Box::pin(judging)),
            account: Account { gate: state.gate.clone(), peer, signer, is_counted: false },
            began: Instant::now(),
            limit: Duration::from_millis(state.limits.request_timeout_ms),
        }
    }

    /// It was not durable in time, and its caller is answered so.
    pub fn is_late(&mut self) {
        self.account.count(Some(Code::NotDurable));
    }
}

impl Future for Proposing {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let Some(judging) = &mut self.judging else { return Poll::Pending };
        let Poll::Ready(outcome) = judging.as_mut().poll(cx) else { return Poll::Pending };
        self.judging = None;
        self.account.settle(&outcome);
        Poll::Ready(outcome)
    }
}

impl Drop for Proposing {
    fn drop(&mut self) {
        let (Some(mut judging), Ok(runtime)) = (self.judging.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let account = Account { gate: self.account.gate.clone(), ..self.account };
        let rest = self.limit.saturating_sub(self.began.elapsed());
        runtime.spawn(async move {
            let mut account = account;
            let in_time = tokio::time::timeout(rest, &mut judging).await;
            let outcome = match in_time {
                Ok(outcome) => outcome,
                Err(_) => {
                    account.count(Some(Code::NotDurable));
                    judging.await
                }
            };
            account.settle(&outcome);
        });
    }
}
