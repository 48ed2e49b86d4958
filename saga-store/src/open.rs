//! Transactions that are open between a step's code, or a user's, and their commit.

use std::fmt;
use std::time::Duration;

use crate::commit::RunCommit;
use crate::error::StoreError;
use crate::ids::Seq;
use crate::run::{NewRun, Started};
use crate::tx::{TxFamily, TxFuture};

/// What became of the code that [`Store::transact`](crate::Store::transact) ran.
pub enum Transacted {
    /// It wishes to keep its writes: they are to be committed, or undone by dropping this.
    Open(Box<dyn OpenTx>),
    /// It wished to undo its writes, and they are undone.
    RolledBack,
    /// The database undid them so that another transaction could go on (a deadlock, a failed
    /// serialization): the same code may be run again.
    Conflict(String),
    /// The database undid them because the code took too long.
    TimedOut(String),
    /// The database undid them, or the code broke the rules; running it again would not help.
    Rejected(String),
}

impl fmt::Debug for Transacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(_) => f.write_str("Open"),
            Self::RolledBack => f.write_str("RolledBack"),
            Self::Conflict(why) => f.debug_tuple("Conflict").field(why).finish(),
            Self::TimedOut(why) => f.debug_tuple("TimedOut").field(why).finish(),
            Self::Rejected(why) => f.debug_tuple("Rejected").field(why).finish(),
        }
    }
}

/// A transaction whose code has ended, and that waits for its record. Dropped, it is undone.
pub trait OpenTx: Send {
    /// Appends the commit's rows, with all that they bring, and commits the step's writes with
    /// them. The append is the last statement, fenced as any other.
    fn commit(self: Box<Self>, commit: RunCommit) -> TxFuture<'static, TxOutcome>;
}

/// What became of a transaction and its commit.
#[derive(Debug)]
pub enum TxOutcome {
    /// Both are durable.
    Applied,
    /// The place is taken by another writer's record: neither is there.
    Refused {
        /// The place of the journal's last record, if there is any.
        head: Option<Seq>,
    },
    /// Neither is there; the code may be run again. See [`Transacted::Conflict`].
    Conflict(String),
    /// Neither is there, and running the code again would not help.
    Rejected(String),
    /// There was no answer. It is applied or it is not, and may still become so: only a record
    /// at the same place settles it.
    Unknown(StoreError),
}

/// How long the statements of a step may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxLimits {
    /// One statement.
    pub statement: Duration,
}

/// What [`StartTx::start`] answers.
pub type StartedInTx<'t> = TxFuture<'t, Result<Started, StoreError>>;

/// A transaction of the user's own, in which runs can be started.
///
/// The run exists if, and only if, the transaction commits. Implemented by the stores' crates for
/// the transactions of their databases; `F` is their family, and follows from the transaction.
#[diagnostic::on_unimplemented(
    message = "no run can be started within a `{Self}`",
    label = "not a transaction of a store's database",
    note = "`within` takes `&mut PostgresTx<'_>` or `&mut tokio_postgres::Transaction<'_>`"
)]
pub trait StartTx<F: TxFamily>: Send {
    /// Starts a run in `schema`, which is what the store of the client gave as
    /// [`Store::start_within`](crate::Store::start_within).
    fn start<'t>(&'t mut self, schema: &'t str, run: NewRun) -> StartedInTx<'t>;
}
