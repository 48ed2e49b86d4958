//! The last statements of a step's transaction: its record, and the commit.
//!
//! Each statement more is time of the server. What is written for a run of which nothing is to be
//! settled is one insert, which sees for itself that this is still the transaction. If others wait
//! for the session, the message that commits begins their transaction.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use futures_util::future::{MaybeDone, join, join3, maybe_done};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Statement};

use super::{PostgresTx, is_stale};
use crate::sql;
use crate::steps::StepSession;
use crate::verbs::commit::full_values;
use crate::verbs::number;
use crate::verbs::plain::Plain;

/// Before an append that looks at more than the journal: its plan is to be by index at any size of
/// the tables; the user's were their own.
const BY_INDEX: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; \
     SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off; \
     SET CONSTRAINTS ALL IMMEDIATE";

/// What of the end of a transaction has failed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stage {
    /// The settings for the append, and the user's own constraints.
    Ready,
    Append,
    Commit,
}

/// What failed, and whether the commit was sent nevertheless.
pub(super) struct Failed {
    pub(super) stage: Stage,
    pub(super) commit_sent: bool,
    pub(super) error: Error,
}

/// Ends the transaction of a run of which nothing is to be settled, with a record of one row.
pub(super) async fn lean(tx: &PostgresTx<'_>, commit: &Plain, ahead: bool) -> Result<(), Failed> {
    let text = tx.db.texts.of(sql::STEP_LEAN);
    let statement = prepared(tx, text).await?;
    let (seq, nonce) = (number(commit.seq.0), commit.nonce.0.cast_signed());
    let values: [&(dyn ToSql + Sync); 4] = [commit.execution.as_uuid(), &seq, &nonce, &&commit.rows[0].body[..]];
    let mut appended = pin!(maybe_done(tx.session.execute(&statement, &values)));
    // What could not even be sent must not be followed by a commit.
    send(appended.as_mut()).await.map_err(unsent)?;
    let ended = pin!(tx.session.batch_execute(StepSession::commit(ahead)));
    let ((), ended) = join(appended.as_mut(), ended).await;
    // The first that failed is the reason.
    answered(tx, text, appended.take_output())?;
    ended.map_err(|error| Failed { stage: Stage::Commit, commit_sent: true, error })
}

/// Ends any other transaction.
pub(super) async fn full(tx: &PostgresTx<'_>, commit: &Plain, ahead: bool) -> Result<(), Failed> {
    let (sql, values) = statement(commit);
    let text = tx.db.texts.of(sql);
    let statement = prepared(tx, text).await?;
    let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as _).collect();
    let mut ready = pin!(maybe_done(tx.session.batch_execute(BY_INDEX)));
    let mut appended = pin!(maybe_done(tx.session.execute(&statement, &values)));
    send(ready.as_mut()).await.map_err(unsent)?;
    send(appended.as_mut()).await.map_err(unsent)?;
    let ended = pin!(tx.session.batch_execute(StepSession::commit(ahead)));
    let ((), (), ended) = join3(ready.as_mut(), appended.as_mut(), ended).await;
    let at = |stage| move |error| Failed { stage, commit_sent: true, error };
    ready.take_output().unwrap_or(Ok(())).map_err(at(Stage::Ready))?;
    answered(tx, text, appended.take_output())?;
    ended.map_err(at(Stage::Commit))
}

async fn prepared(tx: &PostgresTx<'_>, text: &str) -> Result<Statement, Failed> {
    match tx.session.known(text) {
        Some(statement) => Ok(statement),
        None => tx.session.learn(text).await.map_err(unsent),
    }
}

fn unsent(error: Error) -> Failed {
    Failed { stage: Stage::Append, commit_sent: false, error }
}

/// The answer to an append.
fn answered(tx: &PostgresTx<'_>, text: &str, answer: Option<Result<u64, Error>>) -> Result<(), Failed> {
    let Some(Err(error)) = answer else { return Ok(()) };
    if is_stale(&error) {
        tx.session.forget(text);
    }
    Err(Failed { stage: Stage::Append, commit_sent: true, error })
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

/// The statement that appends, with its values.
fn statement(commit: &Plain) -> (sql::Sql, Vec<Box<dyn ToSql + Sync + Send + '_>>) {
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
