//! The code of a transactional step, and the record that ends its transaction.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{MaybeDone, join4, maybe_done};
use saga_store::{ErrorKind, OpenTx, RunCommit, Seq, Then, Transacted, TxEnd, TxFuture, TxLimits, TxOutcome, TxStep};
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::{IS_OPEN, Noted, PostgresTransactions, PostgresTx};
use crate::db::{Db, For};
use crate::error::{Abort, unavailable};
use crate::heads::Heads;
use crate::hints::Hints;
use crate::sql;
use crate::verbs::commit::{full_values, unacceptable};
use crate::verbs::number;
use crate::verbs::plain::{Plain, Shape};

/// An append that has no answer for so long has none.
const PATIENCE: Duration = Duration::from_secs(45);

/// Of a run of which nothing is to be settled. The append's plan is to be by index at any size of
/// the journal; the user's were their own.
const LEAN_READY: &str = "SET LOCAL enable_seqscan = off; SET CONSTRAINTS ALL IMMEDIATE";

/// The same for what looks at more than the journal.
const BY_INDEX: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; \
     SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off; \
     SET CONSTRAINTS ALL IMMEDIATE";

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
    let mut tx = PostgresTx::begin(db, hints, limits.statement, db.idle_limit()).await?;
    let wish = (code.0)(&mut tx).await;
    match (tx.noted(), wish) {
        (Some(Noted::Conflict(why)), _) => {
            tx.roll_back().await;
            Ok(Transacted::Conflict(why))
        }
        (Some(Noted::Lost(why)), _) => {
            let what = format!("{} was lost within the transaction of a step: {why}", db.address.place);
            Err(unavailable(what).into())
        }
        (Some(Noted::ReadOnly(why)), wish) => {
            if tx.ends_read_only().await {
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
            tx.roll_back().await;
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
        Box::pin(async move { self.append(commit).await })
    }
}

impl Open {
    /// Appends the rows and commits, in one round trip. If the append is refused it fails, and
    /// then the commit is a rollback.
    ///
    /// Each statement more is time of the server: what is written for a run of which nothing is to
    /// be settled is one insert, and sees for itself that this is still the transaction.
    async fn append(self, commit: Plain) -> TxOutcome {
        if let Some(why) = unacceptable(&commit) {
            return TxOutcome::Rejected(why);
        }
        let Self { tx, heads } = self;
        let lean = commit.shape() == Shape::Lean && heads.is_next(commit.execution, commit.owner, commit.seq);
        let (mut commit_sent, mut stage) = (false, Stage::Open);
        let sent = async {
            let (sql, values) = statement(&commit, lean);
            let statement = tx.session.prepare_cached(tx.db.texts.of(sql)).await?;
            let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as _).collect();
            let is_open_first = async { if lean { Ok(()) } else { tx.session.batch_execute(IS_OPEN).await } };
            let mut open = pin!(maybe_done(is_open_first));
            let mut ready = pin!(maybe_done(tx.session.batch_execute(if lean { LEAN_READY } else { BY_INDEX })));
            let mut appended = pin!(maybe_done(tx.session.query(&statement, &values)));
            send(open.as_mut()).await?;
            send(ready.as_mut()).await?;
            // What could not even be sent must not be followed by a commit.
            send(appended.as_mut()).await?;
            commit_sent = true;
            let commit = tx.session.batch_execute("COMMIT");
            let ((), (), (), ended) = join4(open.as_mut(), ready.as_mut(), appended.as_mut(), commit).await;
            // The first that failed is the reason.
            open.take_output().unwrap_or(Ok(()))?;
            stage = Stage::Ready;
            ready.take_output().unwrap_or(Ok(()))?;
            stage = Stage::Append;
            appended.take_output().map_or(Ok(()), |rows| rows.map(drop))?;
            stage = Stage::Commit;
            ended
        };
        let underway = tx.session.underway();
        let Ok(answer) = tokio::time::timeout(PATIENCE, sent).await else {
            let what = format!("{} did not answer the commit of a step in time", tx.db.address.place);
            return TxOutcome::Unknown(unavailable(what));
        };
        underway.ended();
        let error = match answer {
            Ok(()) => {
                note(&heads, &commit);
                tx.tell();
                tx.session.give_back();
                return TxOutcome::Applied;
            }
            Err(error) => error,
        };
        let code = error.code().cloned();
        let Some(code) = code else {
            let error = tx.db.call_error(error.into());
            return if commit_sent {
                TxOutcome::Unknown(error)
            } else if error.is_retryable() {
                TxOutcome::Conflict(error.to_string())
            } else {
                TxOutcome::Rejected(error.to_string())
            };
        };
        let (db, failed) = (Arc::clone(&tx.db), tx.state().failed.clone());
        if code == SqlState::READ_ONLY_SQL_TRANSACTION {
            return if tx.ends_read_only().await {
                TxOutcome::Unknown(db.call_error(error.into()))
            } else {
                let why = "the activity has made its transaction read-only, so that its record cannot be written";
                TxOutcome::Rejected(why.to_owned())
            };
        }
        tx.roll_back().await;
        match (stage, code) {
            // Said first by a look of its own, or by the lean append itself.
            (Stage::Open, SqlState::DIVISION_BY_ZERO) | (Stage::Append, SqlState::INVALID_TEXT_REPRESENTATION) => {
                let why =
                    "the activity has ended the transaction itself, so that what it wrote is not one with its record";
                TxOutcome::Rejected(why.to_owned())
            }
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

/// Sends a statement, and does not wait for its answer.
async fn send<T, F>(mut statement: Pin<&mut MaybeDone<F>>) -> Result<(), Error>
where
    F: Future<Output = Result<T, Error>>,
{
    poll_fn(|cx| {
        let _ = statement.as_mut().poll(cx);
        Poll::Ready(())
    })
    .await;
    match statement.as_mut().output_mut() {
        Some(Err(_)) => statement.take_output().map_or(Ok(()), |answer| answer.map(drop)),
        _ => Ok(()),
    }
}

/// What of the end of a transaction has failed.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// The look whether it is still the one that was begun.
    Open,
    /// The settings for the append, and the user's own constraints.
    Ready,
    Append,
    Commit,
}

/// The statement that appends, with its values.
fn statement(commit: &Plain, lean: bool) -> (sql::Sql, Vec<Box<dyn ToSql + Sync + Send + '_>>) {
    if lean {
        let values: Vec<Box<dyn ToSql + Sync + Send + '_>> = vec![
            Box::new(commit.execution.as_uuid()),
            Box::new(number(commit.seq.0)),
            Box::new(commit.nonce.0.cast_signed()),
            Box::new(&commit.rows[0].body[..]),
        ];
        return (sql::STEP_LEAN, values);
    }
    if !commit.is_rows_alone() {
        return (sql::FENCED, full_values(&[(0, commit)]));
    }
    let bodies: Vec<&[u8]> = commit.rows.iter().map(|row| &row.body[..]).collect();
    let more: Vec<bool> = commit.rows.iter().map(|row| row.more).collect();
    let values: Vec<Box<dyn ToSql + Sync + Send + '_>> = vec![
        Box::new(commit.execution.as_uuid()),
        Box::new(number(commit.seq.0)),
        Box::new(commit.owner.as_uuid()),
        Box::new(commit.nonce.0.cast_signed()),
        Box::new(more),
        Box::new(bodies),
    ];
    (sql::STEP, values)
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
