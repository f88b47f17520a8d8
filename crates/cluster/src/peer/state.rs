//! Sending a state: its parts in order, linked by hashes, then the receiver's vote.

use std::sync::Arc;

use futures::StreamExt as _;
use swoosh_types::cluster::Ballot;
use swoosh_types::hash::Hash;
use tokio::time::Instant;

use super::connection::ConnectionError;
use super::control::shortened;
use super::dial::{Dialed, DialedReader, DialedWriter, Way};
use super::{Limits, unreachable};
use crate::ports::PeerError;
use crate::wire::{Message, Purpose};

/// The parts so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) parts: u64,
    pub(super) bytes: u64,
    pub(super) hash: Hash,
}

impl Default for Sum {
    fn default() -> Sum {
        Sum { parts: 0, bytes: 0, hash: Hash::ZERO }
    }
}

impl Sum {
    pub(super) fn add(&mut self, part: &[u8]) {
        self.parts += 1;
        self.bytes += part.len() as u64;
        self.hash = Hash::of_parts([&self.hash.as_bytes()[..], part]);
    }
}

pub(super) async fn send(way: Arc<Way>, ballot: Ballot) -> Result<Ballot, PeerError> {
    let limits = way.shared.limits;
    let Dialed { mut reader, mut writer } = way.dial(Purpose::Bulk).await.map_err(unreachable)?;
    let written = async {
        write(&way, &mut writer, ballot).await?;
        Ok(Instant::now() + limits.take_state)
    };
    let result = exchange(written, &mut reader, &limits).await;
    writer.close("the transfer is over", limits.grace).await;
    result
}

/// The receiver may refuse before the last part is sent.
async fn exchange(
    written: impl Future<Output = Result<Instant, PeerError>>,
    reader: &mut DialedReader,
    limits: &Limits,
) -> Result<Ballot, PeerError> {
    tokio::pin!(written);
    let until = tokio::select! {
        until = &mut written => until?,
        answer = answer(reader, super::connection::never()) => return answer,
    };
    answer(reader, until.max(Instant::now() + limits.silence)).await
}

async fn answer(reader: &mut DialedReader, until: Instant) -> Result<Ballot, PeerError> {
    loop {
        match reader.message(until).await {
            Ok((Message::StateTaken(outcome), _)) => return Result::from(outcome).map_err(shortened),
            Ok((Message::Alive, _)) => {}
            Ok(_) => return Err(unreachable(ConnectionError::Unexpected)),
            Err(error) => return Err(unreachable(error)),
        }
    }
}

async fn write(way: &Way, writer: &mut DialedWriter, ballot: Ballot) -> Result<(), PeerError> {
    writer.message(&Message::State { ballot }).await.map_err(unreachable)?;
    let mut parts = way.shared.local.state();
    let mut sum = Sum::default();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|why| unreachable(format!("this member's state cannot be read: {why}")))?;
        if part.len() > way.shared.limits.part {
            return Err(unreachable(format!("a part of {} bytes is over the bound", part.len())));
        }
        sum.add(&part);
        writer.message(&Message::Part(part)).await.map_err(unreachable)?;
    }
    let Sum { parts, bytes, hash } = sum;
    writer.message(&Message::StateEnd { parts, bytes, hash }).await.map_err(unreachable)
}
