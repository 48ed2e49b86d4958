//! The code of a transactional step, and the record that ends its transaction.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use saga_store::{ErrorKind, OpenTx, RunCommit, Seq, Then, Transacted, TxEnd, TxFuture, TxLimits, TxOutcome, TxStep};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::ending::{self, Failed, Stage};
use super::{Noted, PostgresTransactions, PostgresTx};
use crate::db::{Db, For};
use crate::error::{Abort, unavailable};
use crate::heads::Heads;
use crate::hints::Hints;
use crate::sql;
use crate::steps::Limits;
use crate::verbs::commit::unacceptable;
use crate::verbs::number;
use crate::verbs::plain::{Plain, Shape};

/// An append that has no answer for so long has none.
const PATIENCE: Duration = Duration::from_secs(45);

/// Runs the code of a step in a transaction, and leaves that open if the code wishes it.
pub(crate) async fn transact(
    db: &Arc<Db>,
    hints: &Arc<Hints>,
    heads: &Arc<Heads>,
    step: TxStep,
    limits: TxLimits,
) -> Result<Transacted, Abort> {
    let kind = step.store_kind();
    let Some(code) = step.into_awaiting::<PostgresTransactions>() else {
        let why =
            format!("the step is written for a store of the kind \"{kind}\", and this one is \"{}\"", crate::KIND);
        return Ok(Transacted::Rejected(why));
    };
    let limits = Limits { statement: limits.statement, idle: db.idle_limit() };
    let mut tx = PostgresTx::begin(db, hints, limits).await?;
    let wish = (code.0)(&mut tx).await;
    if let Some(why) = tx.session.not_begun() {
        tx.give_up();
        return Err(unavailable(format!("{} took nothing from a step: {why}", db.address.place)).into());
    }
    match (tx.noted(), wish) {
        (Some(Noted::Conflict(why)), _) => {
            Box::pin(tx.roll_back()).await;
            Ok(Transacted::Conflict(why))
        }
        (Some(Noted::Lost(why)), _) => {
            let what = format!("{} was lost within the transaction of a step: {why}", db.address.place);
            Err(unavailable(what).into())
        }
        (Some(Noted::ReadOnly(why)), wish) => {
            if Box::pin(tx.ends_read_only()).await {
                let what = format!("{} became read-only within the transaction of a step: {why}", db.address.place);
                return Err(unavailable(what).into());
            }
            Ok(match wish {
                TxEnd::RollBack => Transacted::RolledBack,
                TxEnd::Keep => Transacted::Rejected(swallowed(&why)),
            })
        }
        (Some(Noted::Idle), _) => Ok(Transacted::TimedOut(format!(
            "no statement was sent for more than {:?}, and the server ended the transaction; do what takes long \
             before or after the step",
            tx.idle
        ))),
        (None, TxEnd::RollBack) => {
            Box::pin(tx.roll_back()).await;
            Ok(Transacted::RolledBack)
        }
        (None, TxEnd::Keep) => Ok(Transacted::Open(Box::new(Open { tx, heads: Arc::clone(heads) }))),
    }
}

/// A transaction whose code wishes to keep its writes.
struct Open {
    tx: PostgresTx<'static>,
    heads: Arc<Heads>,
}

impl OpenTx for Open {
    fn commit(self: Box<Self>, commit: RunCommit) -> TxFuture<'static, TxOutcome> {
        let (commit, _) = Plain::take(commit);
        Box::pin(self.append(commit))
    }
}

impl Open {
    /// Appends the rows and commits, in one round trip. If the append is refused it fails, and
    /// then the commit is a rollback.
    async fn append(self: Box<Self>, commit: Plain) -> TxOutcome {
        if let Some(why) = unacceptable(&commit) {
            return TxOutcome::Rejected(why);
        }
        let lean = commit.shape() == Shape::Lean && self.heads.is_next(commit.execution, commit.owner, commit.seq);
        let ahead = self.tx.session.keeps_its_limits() && self.tx.db.step_sessions_are_short();
        let underway = self.tx.session.underway();
        let session = &self.tx.session;
        let ended = if lean {
            tokio::time::timeout(PATIENCE, session.answer(pin!(ending::lean(&self.tx, &commit, ahead)))).await
        } else {
            let full = Box::pin(ending::full(&self.tx, &commit, ahead));
            tokio::time::timeout(PATIENCE, session.answer(pin!(full))).await
        };
        let Ok(ended) = ended else {
            let what = format!("{} did not answer the commit of a step in time", self.tx.db.address.place);
            return TxOutcome::Unknown(unavailable(what));
        };
        underway.ended();
        if let Err(failed) = ended {
            return Box::pin(self.failed(failed, commit)).await;
        }
        note(&self.heads, &commit);
        self.tx.tell();
        self.tx.session.give_back(ahead).await;
        TxOutcome::Applied
    }

    /// What has become of a transaction of whose end something failed.
    async fn failed(self: Box<Self>, Failed { stage, commit_sent, error }: Failed, commit: Plain) -> TxOutcome {
        let tx = self.tx;
        let Some(code) = error.code().cloned() else {
            let error = tx.db.call_error(error.into());
            return if commit_sent {
                TxOutcome::Unknown(error)
            } else if error.is_retryable() {
                TxOutcome::Conflict(error.to_string())
            } else {
                TxOutcome::Rejected(error.to_string())
            };
        };
        if let Some(why) = tx.session.not_begun() {
            let what = format!("{} took nothing from a step: {why}", tx.db.address.place);
            tx.give_up();
            return TxOutcome::Unknown(unavailable(what));
        }
        let (db, failed) = (Arc::clone(&tx.db), tx.state().failed.clone());
        if code == SqlState::READ_ONLY_SQL_TRANSACTION {
            return if tx.ends_read_only().await {
                TxOutcome::Unknown(db.call_error(error.into()))
            } else {
                let why = "the activity has made its transaction read-only, or has ended the transaction itself, so that \
                           its record cannot be written; leave the transaction to the engine: Ok commits it, an error \
                           rolls it back";
                TxOutcome::Rejected(why.to_owned())
            };
        }
        tx.roll_back().await;
        match (stage, code) {
            (Stage::Append, SqlState::DIVISION_BY_ZERO | SqlState::UNIQUE_VIOLATION) => refused(&db, &commit).await,
            (
                _,
                SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED | SqlState::LOCK_NOT_AVAILABLE,
            ) => TxOutcome::Conflict(Abort::from(error).text()),
            (_, SqlState::IN_FAILED_SQL_TRANSACTION) => {
                let why = failed.unwrap_or_else(|| Abort::from(error).text());
                TxOutcome::Rejected(swallowed(&why))
            }
            _ => {
                let error = db.call_error(error.into());
                match error.kind() {
                    ErrorKind::Unavailable | ErrorKind::Overloaded => TxOutcome::Unknown(error),
                    _ => TxOutcome::Rejected(error.to_string()),
                }
            }
        }
    }
}

fn swallowed(why: &str) -> String {
    format!("it returned Ok after a statement had failed: {why}")
}

/// Remembers where the run stands, if it was settled before.
fn note(heads: &Heads, commit: &Plain) {
    let was_settled = heads.is_next(commit.execution, commit.owner, commit.seq);
    if was_settled && commit.then == Then::Keep {
        heads.settled(commit.execution, commit.owner, commit.seq.plus(commit.rows.len() as u64 - 1));
    } else {
        heads.forget([commit.execution].into_iter());
    }
}

/// Why the fence let nothing through: another record is there, or the transaction's snapshot is
/// older than the record before.
async fn refused(db: &Db, commit: &Plain) -> TxOutcome {
    let (ords, executions, seqs) = ([0_i32], [*commit.execution.as_uuid()], [number(commit.seq.0)]);
    let values: [&(dyn ToSql + Sync); 3] = [&ords.as_slice(), &executions.as_slice(), &seqs.as_slice()];
    let head = match db.query(For::Engine, sql::PLACES, &values).await {
        Ok(rows) => rows.first().and_then(|row| row.get::<_, Option<i64>>(1)).map(|seq| Seq(seq.cast_unsigned())),
        Err(abort) => return TxOutcome::Unknown(db.call_error(abort)),
    };
    if head.is_some_and(|head| head.plus(1) == commit.seq) {
        return TxOutcome::Conflict("the run went on while the transaction was open".to_owned());
    }
    TxOutcome::Refused { head }
}
