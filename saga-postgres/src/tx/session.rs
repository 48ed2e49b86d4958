//! A session while a transaction has it. It goes back to its pool clean, or not at all.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::db::Db;
use crate::steps::{StepObject, StepSession};

/// How long a session that is given up may take to end its transaction.
const FAREWELL: Duration = Duration::from_secs(5);

/// A session with an open transaction. Dropped, its statement is cancelled, its transaction
/// rolled back, and the session closed; its place in the pool stays taken until then.
pub(super) struct TxSession {
    object: Option<StepObject>,
    db: Arc<Db>,
    /// A statement was given up while it was under way, or the session is of no further use.
    torn: AtomicBool,
}

impl TxSession {
    pub(super) fn new(object: StepObject, db: &Arc<Db>) -> Self {
        Self { object: Some(object), db: Arc::clone(db), torn: AtomicBool::new(false) }
    }

    /// Says that a statement is under way, until the value is told that it has ended.
    pub(super) fn underway(&self) -> Underway<'_> {
        Underway { torn: &self.torn, ended: false }
    }

    /// Nobody shall have the session after this transaction.
    pub(super) fn spoil(&self) {
        self.torn.store(true, Ordering::Relaxed);
    }

    /// The transaction has ended: the session is free for others, and one has begun for them if
    /// `begun`.
    pub(super) async fn give_back(mut self, begun: bool) {
        if self.torn.load(Ordering::Relaxed) {
            return;
        }
        let Some(mut object) = self.object.take() else { return };
        object.ends();
        if begun {
            object.has_begun();
            if !self.db.step_sessions_are_short() {
                Box::pin(object.give_up_begun()).await;
            }
        }
    }

    /// Rolls the transaction back.
    pub(super) async fn roll_back(self) {
        if self.torn.load(Ordering::Relaxed) {
            return;
        }
        self.ends();
        if let Ok(Ok(())) = tokio::time::timeout(FAREWELL, self.batch_execute("ROLLBACK")).await {
            self.give_back(false).await;
        }
    }
}

impl Deref for TxSession {
    type Target = StepSession;

    fn deref(&self) -> &StepSession {
        match &self.object {
            Some(object) => object,
            None => unreachable!("only what consumes a session takes it away"),
        }
    }
}

impl Drop for TxSession {
    fn drop(&mut self) {
        let Some(object) = self.object.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return drop(StepObject::take(object)) };
        object.ends();
        let (cancel, tls) = (object.cancel_token(), self.db.address.tls());
        let torn = self.torn.load(Ordering::Relaxed);
        runtime.spawn(async move {
            let farewell = async {
                if torn && let Ok(tls) = tls {
                    // If it cannot be cancelled, the statement's own limit ends it.
                    drop(cancel.cancel_query(tls).await);
                }
                drop(object.batch_execute("ROLLBACK").await);
            };
            drop(tokio::time::timeout(FAREWELL, farewell).await);
            // Not for others: the cancel may yet come.
            drop(StepObject::take(object));
        });
    }
}

/// See [`TxSession::underway`].
pub(super) struct Underway<'s> {
    torn: &'s AtomicBool,
    ended: bool,
}

impl Underway<'_> {
    pub(super) fn ended(mut self) {
        self.ended = true;
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.torn.store(true, Ordering::Relaxed);
        }
    }
}
