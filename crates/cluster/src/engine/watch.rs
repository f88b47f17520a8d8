//! The task beside an instance of the engine: reigns, and the cases in which the instance must end.
//!
//! The engine reports elections, but not the loss of the lease; it keeps term and leader then, and its waiters. It never takes the
//! leadership back from a member that cannot take it, and it leads on where a majority refuses its rows. This task adds what is missing.

use std::sync::Arc;
use std::time::Duration;

use futures::channel::oneshot;
use futures::future;
use openraft::ChangeMembers;
use openraft::alias::{WatchReceiverOf, WatchSenderOf};
use openraft_rt::{Instant as _, Select2, Select3, WatchReceiver as _, WatchSender as _};
use swoosh_types::cluster::{Barrier, MemberId, PlacedConfiguration, Position};

use super::Raft;
use super::config::{Content, Types};
use super::handles::Handle;
use super::refusals::Refusals;
use super::submit::Gate;
use super::timing::Timing;
use super::view::{View, Views};
use crate::Runtime;
use crate::ports::{EndReason, FallReason, Reign, Reigns, Settled};

/// What the owner of the engine, and the supervisor, ask of the task.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) abandoned: Option<Reign>,
    /// In which term, and to which member.
    pub(super) transfer: Option<(u64, MemberId)>,
    /// The first reason counts.
    pub(super) ended: Option<EndReason>,
}

pub(super) struct Watch<R: Runtime> {
    pub(super) raft: Raft<R>,
    pub(super) me: MemberId,
    pub(super) timing: Timing,
    pub(super) reigns: Arc<dyn Reigns>,
    pub(super) refusals: Arc<Refusals<R>>,
    pub(super) gate: Arc<Gate<R>>,
    /// The task is one of the instance's: [`super::Engine::stop`] waits for it.
    pub(super) _handle: Handle,
    pub(super) views: Views<R>,
    pub(super) asked: WatchReceiverOf<Types<R>, Asked>,
    pub(super) asking: Asking<R>,
    pub(super) known: Known,
    /// The last reign, whether its barrier was applied or not.
    pub(super) last: Reign,
}

/// What was reported last.
#[derive(Default)]
pub(super) struct Known {
    leader: Option<(Option<MemberId>, u64)>,
    members: Option<PlacedConfiguration>,
}

type Ending = Result<(), EndReason>;

impl<R: Runtime> Watch<R> {
    pub(super) async fn run(mut self) {
        let why = loop {
            let view = self.look();
            if view.leads && view.is_voter && self.views.has_quorum(&view, self.timing.election_max) {
                if let Err(why) = self.rise(view.term).await {
                    break why;
                }
                continue;
            }
            if let Err(why) = self.news(view.leads).await {
                break why;
            }
        };
        self.reigns.ended(why);
    }

    /// Looks at the engine and reports a changed leader and changed members.
    fn look(&mut self) -> View {
        let view = self.views.now();
        let leader = (view.leader, view.term);
        if self.known.leader != Some(leader) {
            self.known.leader = Some(leader);
            self.reigns.leader(view.leader, view.term);
        }
        if self.known.members.as_ref() != Some(&view.members) {
            self.known.members = Some(view.members.clone());
            self.reigns.members(view.members.clone());
        }
        view
    }

    /// Waits for news, at most a heartbeat long: the age of the quorum's answer grows without news. A new leader waits for its first
    /// quorum, so each answer is news for it.
    async fn news(&mut self, is_answer_news: bool) -> Ending {
        let Views { server, data, .. } = &mut self.views;
        let answer = async {
            match is_answer_news {
                true => data.changed().await.is_ok(),
                false => future::pending().await,
            }
        };
        let engine = R::select2(async { server.changed().await.is_ok() }, answer);
        let is_running = match R::select3(self.asked.changed(), engine, R::sleep(self.timing.heartbeat)).await {
            Select3::Second(Select2::First(is_running) | Select2::Second(is_running)) => is_running,
            Select3::First(_) | Select3::Third(()) => true,
        };
        match is_running {
            true => self.check_end(),
            false => Err(self.end_reason().await),
        }
    }

    fn check_end(&mut self) -> Ending {
        self.asked.borrow_and_update().ended.clone().map_or(Ok(()), Err)
    }

    /// The engine's watches are closed: the supervisor knows why in a moment.
    async fn end_reason(&mut self) -> EndReason {
        loop {
            if let Err(why) = self.check_end() {
                return why;
            }
            // The sender is in this struct.
            let _ = self.asked.changed().await;
        }
    }

    /// Writes the barrier of a new reign and, once it is applied, holds the reign to its end.
    async fn rise(&mut self, term: u64) -> Ending {
        let epoch = if self.last.term == term { self.last.epoch + 1 } else { 1 };
        self.last = Reign { term, epoch };
        let (sender, mut settled) = oneshot::channel();
        let content = Content::Barrier(Barrier { member: self.me, epoch });
        let waiter = Box::new(move |settled| drop(sender.send(settled)));
        self.gate.submit_barrier(&self.raft, term, content, waiter).await;
        loop {
            let news = R::select2(self.asked.changed(), R::sleep(self.timing.heartbeat));
            let woken = R::select2(&mut settled, news).await;
            match woken {
                Select2::First(Ok(Settled::Applied(barrier))) => return self.reign(barrier).await,
                // A refused barrier is tried again after news, not at once.
                Select2::First(_) => return self.news(true).await,
                Select2::Second(_) => self.check_end()?,
            }
            let view = self.look();
            if !view.leads || view.term != term {
                return Ok(());
            }
            self.end_if_blocked(&view).await?;
        }
    }

    async fn reign(&mut self, barrier: Position) -> Ending {
        let reign = self.last;
        match self.fall_reason(reign) {
            None => {}
            Some(FallReason::Transferring) => return self.transfer(reign).await,
            // It never began; the next look shows the same.
            Some(_) => return self.check_end(),
        }
        self.finish_joint();
        self.gate.open(reign).await;
        self.reigns.began(reign, barrier);
        let why = self.held(reign).await;
        self.gate.close().await;
        self.reigns.fell(reign, why);
        match why {
            FallReason::Transferring => self.transfer(reign).await,
            _ => self.check_end(),
        }
    }

    /// Waits for the end of a reign.
    async fn held(&mut self, reign: Reign) -> FallReason {
        loop {
            if let Some(why) = self.fall_reason(reign) {
                return why;
            }
            let view = self.views.now();
            // An end shows in the next look.
            if self.end_if_blocked(&view).await.is_ok() {
                let _ = self.news(false).await;
            }
        }
    }

    fn fall_reason(&mut self, reign: Reign) -> Option<FallReason> {
        let view = self.look();
        let asked = self.asked.borrow_and_update().clone();
        if asked.ended.is_some() {
            Some(FallReason::Stopped)
        } else if !view.leads || view.term != reign.term {
            Some(FallReason::Deposed)
        } else if !view.is_voter {
            Some(FallReason::Removed)
        } else if asked.abandoned == Some(reign) {
            Some(FallReason::Abandoned)
        } else if asked.transfer.is_some_and(|(term, _)| term == reign.term) {
            Some(FallReason::Transferring)
        } else if !self.views.has_quorum(&view, self.timing.election_max) {
            Some(FallReason::QuorumLost)
        } else {
            None
        }
    }

    /// A leader that died in the middle of a change left two sets of voters. The next one finishes the change.
    fn finish_joint(&self) {
        let is_joint = self.known.members.as_ref().is_some_and(|members| members.configuration.is_joint());
        if is_joint {
            let raft = self.raft.clone();
            // A failure leaves the change to the next reign.
            let finish =
                async move { drop(raft.change_membership(ChangeMembers::AddVoterIds([].into()), false).await) };
            drop(R::spawn(finish));
        }
    }

    /// Asks the engine to transfer the leadership. One that is not done in time never will be: the instance ends.
    async fn transfer(&mut self, reign: Reign) -> Ending {
        let Some((_, to)) = self.asked.borrow_watched().transfer else { return Ok(()) };
        // It fails only where the instance ends.
        drop(self.raft.trigger().transfer_leader(to).await);
        let deadline = R::Instant::now() + self.timing.transfer_patience();
        while R::Instant::now() < deadline {
            self.news(false).await?;
            let view = self.look();
            if !view.leads || view.term != reign.term {
                return Ok(());
            }
        }
        self.end(EndReason::TransferStuck { to }).await
    }

    async fn end_if_blocked(&mut self, view: &View) -> Ending {
        // Refused rows are offered again after at most a second.
        let patience = self.timing.election_max.max(Duration::from_millis(1200));
        match self.refusals.blocked(&view.members.configuration, view.term, patience) {
            Some(at) => self.end(EndReason::RefusedByMajority { at }).await,
            None => Ok(()),
        }
    }

    async fn end(&mut self, why: EndReason) -> Ending {
        self.asking.end(why.clone());
        // The core's task may have panicked; it has ended then, too.
        drop(self.raft.shutdown().await);
        Err(why)
    }
}

/// The other end of [`Asked`].
pub(super) struct Asking<R: Runtime>(pub(super) WatchSenderOf<Types<R>, Asked>);

impl<R: Runtime> Clone for Asking<R> {
    fn clone(&self) -> Self {
        Asking(self.0.clone())
    }
}

impl<R: Runtime> Asking<R> {
    fn change(&self, change: impl FnOnce(&mut Asked)) {
        self.0.send_if_modified(|asked| {
            change(asked);
            true
        });
    }

    pub(super) fn end(&self, why: EndReason) {
        self.change(|asked| {
            asked.ended.get_or_insert(why);
        });
    }

    pub(super) fn abandon(&self, reign: Reign) {
        self.change(|asked| asked.abandoned = Some(reign));
    }

    pub(super) fn transfer(&self, term: u64, to: MemberId) {
        self.change(|asked| asked.transfer = Some((term, to)));
    }
}
