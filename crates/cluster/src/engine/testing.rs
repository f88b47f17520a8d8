//! The engine's own test suite over a log and a state machine of ours.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};

use super::config::Types;
use super::handles;
use super::log::Log;
use super::machine::Machine;
use crate::Runtime;
use crate::ports::{LogStore, StateMachine};

/// An empty log and state machine, and a guard that keeps them alive.
pub struct Fresh<G> {
    pub log: Arc<dyn LogStore>,
    pub machine: Arc<dyn StateMachine>,
    pub guard: G,
}

struct Build<R, F> {
    fresh: F,
    runtime: PhantomData<fn() -> R>,
}

impl<R, F, W, G> StoreBuilder<Types<R>, Log<R>, Machine, G> for Build<R, F>
where
    R: Runtime,
    F: Fn() -> W + Send + Sync,
    W: Future<Output = Fresh<G>> + Send,
    G: Send + Sync,
{
    async fn build(&self) -> Result<(G, Log<R>, Machine), StorageError<Types<R>>> {
        let fresh = (self.fresh)().await;
        let (handle, _) = handles::handles();
        let log = Log::new(fresh.log, handle.clone());
        Ok((fresh.guard, log, Machine::new(fresh.machine, handle)))
    }
}

/// Runs the 45 tests. They append to an empty log at any index, apply with gaps, and install a state: stores need a switch for that.
pub async fn store_suite<R, F, W, G>(fresh: F) -> Result<(), String>
where
    R: Runtime,
    F: Fn() -> W + Send + Sync,
    W: Future<Output = Fresh<G>> + Send,
    G: Send + Sync,
{
    let build = Build { fresh, runtime: PhantomData::<fn() -> R> };
    Suite::<Types<R>, Log<R>, Machine, Build<R, F>, G>::test_all(build).await.map_err(|error| error.to_string())
}
