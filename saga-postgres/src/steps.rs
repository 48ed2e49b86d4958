//! The sessions in which users' own code runs, and what is remembered of each.
//!
//! Each statement of a step is processor time of the server, beside what the step itself is for.
//! So a session keeps its limits from one transaction to the next, statements are prepared once,
//! and where others wait for the session, the message that commits begins their transaction too.
//!
//! The answer to `BEGIN` is not waited for. Should it fail, as when the server stands still for
//! longer than a statement may take, what follows would be transactions of their own. So a session
//! takes no writes outside of a transaction that was begun here ([`sql::STEP_SESSION`]). By the same
//! the append of a record sees that this is still its step's transaction.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use deadpool_postgres::{ClientWrapper, Manager};
use futures_util::future::join;
use tokio_postgres::{Error, Statement};

use crate::error::describe;
use crate::sql;

/// So many statements stay prepared in a session; then it begins anew.
const MOST_PREPARED: usize = 500;

/// How long a session is waited for that takes to new limits.
const LONGEST_SETTING: Duration = Duration::from_secs(5);

/// Begins a transaction.
const BEGIN: &str = "BEGIN READ WRITE";

/// Commits a transaction and begins one for whoever waits for the session.
const COMMIT_AND_BEGIN: &str = "COMMIT; BEGIN READ WRITE";

/// The pool of these sessions.
pub(crate) type StepPool = managed::Pool<StepManager>;

/// One of them, until it is dropped or taken away.
pub(crate) type StepObject = managed::Object<StepManager>;

/// How a transaction is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// How long a statement may take.
    pub(crate) statement: Duration,
    /// How long there may be none.
    pub(crate) idle: Duration,
}

impl Limits {
    /// What sets them, in a transaction (`LOCAL`) or for all that set none (`SESSION`).
    fn set(self, scope: &str) -> String {
        let (statement, idle) = (millis(self.statement), millis(self.idle));
        format!("SET {scope} statement_timeout = {statement}; SET {scope} idle_in_transaction_session_timeout = {idle}")
    }
}

/// Opens the sessions.
#[derive(Debug)]
pub(crate) struct StepManager(pub(crate) Manager);

impl managed::Manager for StepManager {
    // Boxed, since a session is handed from place to place.
    type Type = Box<StepSession>;
    type Error = Error;

    async fn create(&self) -> Result<Box<StepSession>, Error> {
        let opening = Box::pin(async {
            let mut client = self.0.create().await?;
            // Its own list of statements is not used.
            self.0.detach(&mut client);
            client.batch_execute(sql::STEP_SESSION).await?;
            Ok::<_, Error>(client)
        });
        let client = Arc::new(opening.await?);
        let (prepared, beginning) = (Mutex::default(), Mutex::default());
        Ok(Box::new(StepSession { client, prepared, kept: None, last: None, begun: false, beginning }))
    }

    async fn recycle(&self, session: &mut Box<StepSession>, _: &Metrics) -> RecycleResult<Error> {
        if session.client.is_closed() {
            return Err(RecycleError::message("the session was closed"));
        }
        Ok(())
    }
}

/// An answer that is not waited for.
type Answer = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// What is known of the message that begins a transaction.
#[derive(Default)]
enum Beginning {
    /// It has begun, as far as is known.
    #[default]
    Done,
    /// It is on its way.
    Sent(Answer),
    Failed(Error),
}

/// A session with one transaction at a time.
pub(crate) struct StepSession {
    client: Arc<ClientWrapper>,
    prepared: Mutex<Prepared>,
    /// The limits of transactions that set none for themselves, if they are known.
    kept: Option<Limits>,
    /// Those of the last transaction.
    last: Option<Limits>,
    /// A transaction has been begun in it, for whoever takes it next.
    begun: bool,
    beginning: Mutex<Beginning>,
}

type Prepared = HashMap<Box<str>, Statement, foldhash::fast::RandomState>;

impl StepSession {
    /// Begins a transaction, unless that has been done. The server is not waited for: the first
    /// statement goes with it. Limits that come twice in a row are kept by the session, which is
    /// waited for; those that come once are set in the transaction.
    pub(crate) async fn begin(&mut self, limits: Limits) {
        if self.prepared().len() > MOST_PREPARED {
            self.prepared().clear();
        }
        let begun = std::mem::take(&mut self.begun);
        if !begun && self.kept != Some(limits) && self.last == Some(limits) {
            self.kept = None;
            let set = limits.set("SESSION");
            let set = Box::pin(self.client.batch_execute(&set));
            // A server that does not answer is met again by the step's first statement, which has its own limit.
            if let Ok(Ok(())) = tokio::time::timeout(LONGEST_SETTING, set).await {
                self.kept = Some(limits);
            }
        }
        self.last = Some(limits);
        let begins: Cow<'static, str> = match (begun, self.kept == Some(limits)) {
            (true, true) => Cow::Borrowed(""),
            (false, true) => Cow::Borrowed(BEGIN),
            // One that fails fails the transaction.
            (true, false) => Cow::Owned(limits.set("LOCAL")),
            (false, false) => Cow::Owned(format!("{BEGIN}; {}", limits.set("LOCAL"))),
        };
        let beginning = if begins.is_empty() { Beginning::Done } else { Beginning::Sent(self.send(begins).await) };
        *self.beginning() = beginning;
    }

    /// Waits for an answer, and for that to what has begun the transaction, which comes before. Nothing else of the
    /// transaction is waited for without: an answer that nobody takes holds up those after it.
    pub(crate) async fn answer<F: Future>(&self, answer: Pin<&mut F>) -> F::Output {
        let Some(sent) = self.take_sent() else { return answer.await };
        let (answer, begun) = join(answer, sent).await;
        if let Err(error) = begun {
            *self.beginning() = Beginning::Failed(error);
        }
        answer
    }

    fn take_sent(&self) -> Option<Answer> {
        let mut beginning = self.beginning();
        match std::mem::take(&mut *beginning) {
            Beginning::Sent(sent) => Some(sent),
            other => {
                *beginning = other;
                None
            }
        }
    }

    /// Why the transaction was not begun, if it was not; asked of one in which something has failed.
    pub(crate) fn not_begun(&self) -> Option<String> {
        match &*self.beginning() {
            // Without a code it is the session that was lost.
            Beginning::Failed(error) if error.code().is_some() => {
                Some(format!("its transaction was not begun: {}", describe(error)))
            }
            _ => None,
        }
    }

    /// Whatever comes of the transaction's beginning is of no interest any more.
    pub(crate) fn ends(&self) {
        *self.beginning() = Beginning::Done;
    }

    fn beginning(&self) -> MutexGuard<'_, Beginning> {
        self.beginning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The message that commits, and begins another transaction if `ahead`.
    pub(crate) fn commit(ahead: bool) -> &'static str {
        if ahead { COMMIT_AND_BEGIN } else { "COMMIT" }
    }

    /// Whether the limits of this transaction are those that the session keeps. If not the next
    /// transaction is not begun ahead, so that the session can take to its limits.
    pub(crate) fn keeps_its_limits(&self) -> bool {
        self.kept.is_some() && self.kept == self.last
    }

    /// Its transaction has been committed [ahead](Self::commit), and the next has begun.
    pub(crate) fn has_begun(&mut self) {
        self.begun = true;
    }

    /// Nobody is there for the transaction that was begun ahead.
    pub(crate) async fn give_up_begun(&mut self) {
        if std::mem::take(&mut self.begun) {
            drop(self.send(Cow::Borrowed("ROLLBACK")).await);
        }
    }

    /// A statement that was prepared in this session before.
    pub(crate) fn known(&self, sql: &str) -> Option<Statement> {
        self.prepared().get(sql).cloned()
    }

    /// Prepares a statement that is not [known](Self::known).
    pub(crate) async fn learn(&self, sql: &str) -> Result<Statement, Error> {
        let statement = Box::pin(self.client.prepare(sql)).await?;
        self.prepared().insert(sql.into(), statement.clone());
        Ok(statement)
    }

    /// The server has no more use for a statement as it is: it is prepared anew.
    pub(crate) fn forget(&self, sql: &str) {
        self.prepared().remove(sql);
    }

    fn prepared(&self) -> MutexGuard<'_, Prepared> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a message and does not wait for its answer.
    async fn send(&self, sql: Cow<'static, str>) -> Answer {
        let client = Arc::clone(&self.client);
        let mut answer: Answer = Box::pin(async move { client.batch_execute(&sql).await });
        poll_fn(|cx| {
            if let Poll::Ready(answered) = answer.as_mut().poll(cx) {
                answer = Box::pin(std::future::ready(answered));
            }
            Poll::Ready(())
        })
        .await;
        answer
    }
}

impl Deref for StepSession {
    type Target = tokio_postgres::Client;

    fn deref(&self) -> &tokio_postgres::Client {
        &self.client
    }
}

impl fmt::Debug for StepSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepSession").field("kept", &self.kept).field("begun", &self.begun).finish_non_exhaustive()
    }
}

fn millis(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).clamp(1, 2_147_483_647)
}
