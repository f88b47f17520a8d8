//! The asker of a request, and work for it off the runtime's workers.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, StatusCode};
use serde::Serialize;

use super::admission::{Kept, Place};
use super::fault::{Answer, Fault};
use super::serve::{Late, Patience};
use super::{AppState, Caller, Peer, json_bytes};
use swoosh_sequencer::queries::Stop;
use swoosh_types::rejection::Code;

/// The asker of a request.
#[derive(Clone)]
pub(super) struct Asker {
    peer: Peer,
    /// `None` where admission is not asked: probes and scrapers.
    kept: Option<Kept>,
    patience: Patience,
}

impl Asker {
    pub fn new(caller: Caller, kept: Kept, patience: Patience) -> Asker {
        Asker { peer: caller.peer, kept: Some(kept), patience }
    }

    /// An asker without shares.
    #[cfg(test)]
    pub fn of(peer: Peer) -> Asker {
        Asker { peer, kept: None, patience: Patience::default() }
    }

    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Bounds how long its answer is awaited.
    pub fn patience(&self) -> &Patience {
        &self.patience
    }

    /// The shares that its request holds.
    pub fn kept(&self) -> Option<&Kept> {
        self.kept.as_ref()
    }
}

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Asker, Infallible> {
        Ok(Asker::of_request(&parts.extensions))
    }
}

impl Asker {
    /// The asker that admission named.
    pub fn of_request(extensions: &Extensions) -> Asker {
        let unlimited = || {
            let peer = extensions.get::<Caller>().copied().unwrap_or_default().peer;
            Asker { peer, kept: None, patience: Patience::default() }
        };
        extensions.get::<Asker>().cloned().unwrap_or_else(unlimited)
    }
}

/// Stops the work when its asker is gone.
struct StopWhenGone(Stop);

impl Drop for StopWhenGone {
    fn drop(&mut self) {
        self.0.set();
    }
}

impl AppState {
    /// Does work off the runtime's workers, within the request's time. The work is stopped when the asker goes. `held` is
    /// returned with the result, or released when the work ends.
    pub(super) async fn work<T: Send + 'static, H: Send + 'static>(
        &self,
        patience: &Patience,
        held: H,
        work: impl FnOnce(&AppState, &Stop) -> Answer<T> + Send + 'static,
    ) -> Answer<(T, H)> {
        let (state, limit_ms) = (self.clone(), self.limits.request_timeout_ms);
        let waiting = StopWhenGone(Stop::default());
        let stop = waiting.0.clone();
        let task = tokio::task::spawn_blocking(move || {
            stop.check()?;
            work(&state, &stop).map(|made| (made, held))
        });
        match patience.within(Duration::from_millis(limit_ms), task).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Err(Fault::internal(&error)),
            Err(Late) => Err(Fault::new(Code::Overloaded, format!("the answer was not there within {limit_ms} ms"))),
        }
    }

    /// Does work that may wait for the disk. At most `limits.reads` of these run, abandoned ones included. The place is
    /// returned with the result, so that results that wait for memory are bounded too.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        asker: &Asker,
        work: impl FnOnce(&AppState, &Stop) -> Answer<T> + Send + 'static,
    ) -> Answer<(T, Place)> {
        let place = self.gate.read_place(asker.peer()).await?;
        self.work(asker.patience(), place, work).await
    }

    /// Answers with JSON bytes that a read makes.
    pub(super) async fn show_bytes(
        &self,
        asker: &Asker,
        work: impl FnOnce(&AppState, &Stop) -> Answer<Vec<u8>> + Send + 'static,
    ) -> Answer {
        let (bytes, _place) = self.read(asker, work).await?;
        self.gate.reserve_answer(asker, bytes.len()).await?;
        Ok(json_bytes(StatusCode::OK, bytes))
    }

    /// Answers with the document that a read makes.
    pub(super) async fn show<T: Serialize>(
        &self,
        asker: &Asker,
        work: impl FnOnce(&AppState, &Stop) -> Answer<T> + Send + 'static,
    ) -> Answer {
        let bytes = move |state: &AppState, stop: &Stop| {
            let document = work(state, stop)?;
            serde_json::to_vec(&document).map_err(|error| Fault::internal(&error))
        };
        self.show_bytes(asker, bytes).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::oneshot;

    use super::*;
    use crate::Limits;
    use crate::tests::world::World;

    /// Reads that their askers had left went on outside of the limit: 115 threads where 64 are the bound.
    #[tokio::test]
    async fn a_read_keeps_its_place_until_its_work_ends_and_is_stopped_when_its_asker_goes() {
        let world = World::with(Limits { reads: 1, ..Limits::default() });
        let (state, asker) = (world.state.clone(), Asker::of(Caller::default().peer));
        let (begun, has_begun) = oneshot::channel();
        let (stopped, is_stopped) = oneshot::channel();
        let (end, may_end) = mpsc::channel::<()>();
        let mut reading = Box::pin(state.read(&asker, move |_, stop| {
            begun.send(()).unwrap();
            while stop.check().is_ok() {
                std::thread::sleep(Duration::from_millis(1));
            }
            stopped.send(()).unwrap();
            may_end.recv().unwrap();
            Ok(())
        }));
        tokio::select! {
            ended = &mut reading => panic!("it ended: {}", ended.is_ok()),
            begun = has_begun => begun.unwrap(),
        }
        drop(reading);
        is_stopped.await.unwrap();
        let placed = state.read(&asker, |_, _| Ok(())).await;
        let code = placed.err().map(|fault| fault.code());
        assert_eq!(code, Some(Code::TooManyRequests), "the work goes on, so its place is taken");
        end.send(()).unwrap();
        while state.read(&asker, |_, _| Ok(())).await.is_err() {}
    }

    /// One peer took no answers, and each of its further reads kept a page in memory while the next ones began.
    #[tokio::test]
    async fn an_answer_that_waits_for_memory_keeps_the_place_of_its_read() {
        let world = World::with(Limits { reads: 4, ..Limits::default() });
        let state = &world.state;
        let asker = || state.gate.asker(Caller::default());
        let (slow, more) = (asker(), asker());
        let page = |bytes: usize| move |_: &AppState, _: &Stop| Ok(vec![0; bytes]);
        let _untaken = state.show_bytes(&slow, page(64 << 20)).await.unwrap();
        let mut waiting = Box::pin(state.show_bytes(&more, page(1 << 20)));
        let ended = loop {
            tokio::select! {
                biased;
                ended = &mut waiting => break ended,
                () = tokio::time::sleep(Duration::from_millis(5)) => assert_eq!(state.gate.free_reads(), 3),
            }
        };
        assert!(ended.is_err(), "there is no memory for it");
        while state.gate.free_reads() < 4 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn work_that_its_asker_left_before_it_began_is_not_begun() {
        let stop = Stop::default();
        assert!(stop.check().is_ok());
        drop(StopWhenGone(stop.clone()));
        assert!(stop.check().is_err());
    }
}
