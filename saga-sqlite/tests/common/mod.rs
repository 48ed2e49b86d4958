//! What the tests of this crate share.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};
use std::task::Poll;

use saga_sqlite::{SqliteStore, SqliteTransactions, SqliteTx};
use saga_store::conformance::lab::Lab;
use saga_store::{BlockingTxFn, StoreError, TxStep, TxVerdict};
use tempfile::TempDir;

/// A store in a folder that goes with the test.
pub(crate) async fn lab() -> (TempDir, Lab<SqliteStore>) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("store.db")).await.unwrap();
    (folder, Lab::new(store))
}

/// The step of a transactional activity.
pub(crate) fn step(code: impl for<'a> FnMut(&SqliteTx<'a>) -> TxVerdict + Send + 'static) -> TxStep {
    TxStep::new(BlockingTxFn::<SqliteTransactions>(Box::new(code)))
}

/// Holds the writer up, so that what is sent meanwhile gathers for one group. Returns when it
/// is held; it goes on when the sender is dropped.
pub(crate) async fn hold_writer(
    store: &SqliteStore,
) -> (Sender<()>, impl Future<Output = Result<(), StoreError>> + use<>) {
    let (release, released) = channel::<()>();
    let (enter, entered) = tokio::sync::oneshot::channel();
    let mut enter = Some(enter);
    let db = store.db().clone();
    let held = tokio::spawn(async move {
        db.write(move |_| {
            if let Some(enter) = enter.take() {
                enter.send(()).unwrap();
                released.recv().unwrap_err();
            }
            Ok(())
        })
        .await
    });
    entered.await.unwrap();
    (release, async { held.await.unwrap() })
}

/// Polls all of them once, so that their requests are sent, then calls `then`, then waits.
pub(crate) async fn send_all<F: Future>(futures: Vec<F>, then: impl FnOnce()) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    let mut then = Some(then);
    poll_fn(move |cx| {
        for (future, output) in &mut waiting {
            if output.is_none()
                && let Poll::Ready(ready) = Pin::as_mut(future).poll(cx)
            {
                *output = Some(ready);
            }
        }
        if let Some(then) = then.take() {
            then();
        }
        if waiting.iter().any(|(_, output)| output.is_none()) {
            return Poll::Pending;
        }
        Poll::Ready(waiting.iter_mut().filter_map(|(_, output)| output.take()).collect())
    })
    .await
}
