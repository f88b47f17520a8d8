//! Going on after the log failed, where that is safe.
//!
//! ```text
//! write fails ──▶ refuse everything ──▶ no room? ──▶ probe until there is room ──▶ open the journal again,
//!                                          │ else                                  recover, compare, go on
//!                                          ▼
//!                                   ask for a restart
//! ```
//! A failed sync is never tried again, and nothing that rests on what this process believed of the disk is
//! kept: heads, keys and facts come from the journal as it is read back.

use std::fmt::{self, Display};
use std::time::Duration;

use super::Mode;
use super::commit::Committer;
use swoosh_journal::{AppendError, Journal, Log, OpenError, ReadError, RecoverError, Recovered, RoomError};
use swoosh_types::record::Record;

/// How often room is looked for.
pub(super) const MEND_INTERVAL: Duration = Duration::from_secs(1);
/// How long readers may take to let go of the journal.
const CLOSE_PATIENCE: Duration = Duration::from_secs(10);

/// Why a batch is not durable.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    reason: String,
    /// Whether the node goes on by itself once the cause is gone.
    pub passes: bool,
    /// Whether a compaction that read a damaged block is the cause: the journal is opened again without compactions.
    pub corrupt: bool,
}

impl Failure {
    /// One that needs a restart.
    pub fn for_good(reason: &(impl Display + ?Sized)) -> Failure {
        Failure { reason: reason.to_string(), passes: false, corrupt: false }
    }

    pub fn of_append(error: &AppendError) -> Failure {
        let corrupt = error.is_corruption();
        Failure { reason: error.to_string(), passes: corrupt || error.is_full(), corrupt }
    }

    /// The node's mode after it.
    pub fn mode(&self) -> Mode {
        if self.passes { Mode::Refusing(self.to_string()) } else { Mode::ReadOnly(self.to_string()) }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remedy = if self.corrupt {
            "a table is damaged; the node opens the journal again, without compactions, and goes on by itself, see \
             runbooks/corrupt-journal.md"
        } else if self.passes {
            "make room on the disk of the data directory, and the node goes on by itself"
        } else {
            "restart the node once the disk can be written, see runbooks/recovery.md"
        };
        write!(f, "{}; {remedy}", self.reason)
    }
}

/// The content of the reopened journal.
pub(super) struct Mended {
    pub recovered: Recovered,
    /// Records of the failed batch that are on the disk after all, the first one first.
    pub adopted: Vec<Record>,
}

/// Why the log is not mended.
#[derive(Debug, thiserror::Error)]
enum MendError {
    #[error("no room yet: {0}")]
    Room(#[from] RoomError),
    #[error("readers hold the journal")]
    Held,
    #[error("the journal was not opened for writing")]
    NoOptions,
    #[error("the journal cannot be opened again: {0}")]
    Open(#[from] OpenError),
    #[error("the journal cannot be recovered: {0}")]
    Recover(#[from] RecoverError),
    #[error("the journal cannot be read: {0}")]
    Read(#[from] ReadError),
    #[error("record {index} was answered for and is not in the journal as it is on the disk")]
    Lost { index: u64 },
}

impl MendError {
    /// Whether another try may succeed.
    fn passes(&self) -> bool {
        match self {
            MendError::Room(error) => error.is_full(),
            MendError::Open(error) => error.is_full(),
            MendError::Recover(error) => error.is_full(),
            MendError::Held => true,
            MendError::NoOptions | MendError::Read(_) | MendError::Lost { .. } => false,
        }
    }
}

fn adopted(journal: &Journal, index: u64) -> Result<Record, ReadError> {
    journal.record(index)?.map(|stored| stored.record).ok_or(ReadError::Missing { index })
}

impl<L: Log> Committer<L> {
    /// One try to open the journal again.
    pub fn mend(&mut self) {
        match self.try_mend() {
            Ok(mended) => {
                self.mending = false;
                if let Some(reason) = &self.corruption {
                    self.shared.damaged_table("journal", reason);
                }
                self.stored_facts.clear();
                self.acknowledged = (mended.recovered.last_index, mended.recovered.last_chain);
                self.inbox.push_mended(Box::new(mended));
            }
            Err(error) if error.passes() => {}
            Err(error) => {
                self.mending = false;
                let failure = Failure::for_good(&error);
                self.shared.ports.observer.log_failed(&failure.to_string());
                self.shared.set_mode(failure.mode());
            }
        }
    }

    fn try_mend(&mut self) -> Result<Mended, MendError> {
        let held = self.shared.journal();
        held.find_room()?;
        let mut wanted = held.options().cloned().or(self.wanted.take()).ok_or(MendError::NoOptions)?;
        // A compaction would read the damaged block again. A restart after the repair compacts as before.
        wanted.store.compacts &= self.corruption.is_none();
        self.wanted = Some(wanted.clone());
        self.let_go(held)?;
        let journal = Journal::open(wanted)?;
        let recovered = journal.recover_tail()?;
        let (index, chain) = self.acknowledged;
        if index > 0 && journal.record(index)?.is_none_or(|stored| stored.chain != chain) {
            return Err(MendError::Lost { index });
        }
        let adopted = (index + 1..=recovered.last_index).map(|index| adopted(&journal, index));
        let adopted = adopted.collect::<Result<_, _>>()?;
        self.log.reopened(&journal);
        self.shared.set_journal(journal);
        Ok(Mended { recovered, adopted })
    }

    /// Closes the journal. Readers get one that only looks, so that reads go on.
    fn let_go(&mut self, held: Journal) -> Result<(), MendError> {
        if held.options().is_none() {
            return Ok(());
        }
        let view = held.view()?;
        self.log.reopened(&view);
        drop(self.shared.set_journal(view));
        held.close(CLOSE_PATIENCE).map_err(|held| {
            self.log.reopened(&held);
            self.shared.set_journal(held);
            MendError::Held
        })
    }
}
