//! The same for many runs: what operators do by filter.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use saga_store::message::{CancelRequest, MessageBody};
use saga_store::{Query, RunId, RunState, RunView, Target};

use super::operate::Subject;
use super::{Client, ClientError, Repair};

/// Runs of one page.
const PAGE: usize = 100;

/// How often a store that does not answer is asked again for one run.
const OUTAGE_ROUNDS: u32 = 5;

/// What to do to each run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// See [`Client::cancel`].
    Cancel,
    /// See [`Client::terminate`].
    Terminate {
        /// Why.
        reason: Option<String>,
    },
    /// See [`Client::suspend`].
    Suspend,
    /// See [`Client::resume`].
    Resume,
    /// See [`Client::repair`].
    Repair(Repair),
    /// See [`Client::retry`].
    Retry,
    /// See [`Client::fork`]: the new execution has the run's id.
    Fork {
        /// The step from which it is done anew.
        step: String,
    },
    /// Deletes it with its journal and all that is its own, for good. Its id is free again. See
    /// [`Client::purge`].
    Purge,
}

/// What became of an action on many runs.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct BulkReport {
    /// The runs to which it was done; in a dry run those to which it would be tried.
    pub done: Vec<RunId>,
    /// The runs to which it could not be done, and why. Nothing was done to them.
    pub refused: Vec<(RunId, ClientError)>,
}

/// An action on many runs, about to be done: await it. See [`Client::bulk`].
#[must_use = "nothing is done before this is awaited: add `.await`"]
#[derive(Debug)]
pub struct Bulk {
    client: Client,
    query: Query,
    action: Action,
    rate: u32,
    dry_run: bool,
}

impl Client {
    /// Does something to each run that a query finds, one after the other, newest first. The query's
    /// own `limit` does not count; runs that are started meanwhile are left alone.
    ///
    /// A run to which it cannot be done (it has ended, say) is reported and does not stop the
    /// others. What was done stays done if the caller goes away or crashes; to repeat the call is
    /// safe.
    ///
    /// ```no_run
    /// # async fn example(client: saga_runtime::Client) -> Result<(), saga_runtime::ClientError> {
    /// use saga_runtime::{Action, store::{Query, RunState}};
    /// let failed = Query { workflow: Some("order_saga".to_owned()), states: vec![RunState::Failed], ..Query::default() };
    /// let would = client.bulk(failed.clone(), Action::Retry).dry_run().await?;
    /// println!("{} runs would be retried", would.done.len());
    /// let report = client.bulk(failed, Action::Retry).rate(20).await?;
    /// println!("{} runs are retried, {} cannot be", report.done.len(), report.refused.len());
    /// # Ok(()) }
    /// ```
    pub fn bulk(&self, query: Query, action: Action) -> Bulk {
        Bulk { client: self.clone(), query, action, rate: 50, dry_run: false }
    }
}

impl Client {
    /// Deletes runs that have ended, with their journals: what [`EngineBuilder::retention`] does by
    /// age, by any filter. A query that names no states means all in which a run has ended but
    /// [`RunState::Dead`]: a dead run waits for an operator, and goes only if that state is named.
    ///
    /// A run that lives is refused, and so is one whose last messages are not delivered yet, or that
    /// ended a moment ago while commits are under way: try these again in a minute. What is deleted
    /// is so for good, and at once; a crash or a caller who goes away leaves the rest as it is. Costs
    /// a read and a delete for each run.
    ///
    /// ```no_run
    /// # async fn example(client: saga_runtime::Client) -> Result<(), saga_runtime::ClientError> {
    /// use saga_runtime::store::Query;
    /// let trials = Query { id_prefix: Some("trial-".to_owned()), ..Query::default() };
    /// println!("{} would go", client.purge(trials.clone()).dry_run().await?.done.len());
    /// client.purge(trials).rate(500).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// [`EngineBuilder::retention`]: crate::EngineBuilder::retention
    pub fn purge(&self, mut query: Query) -> Bulk {
        if query.states.is_empty() {
            let goes = |state: &RunState| state.is_final() && *state != RunState::Dead;
            query.states = RunState::ALL.into_iter().filter(goes).collect();
        }
        self.bulk(query, Action::Purge)
    }

    /// Deletes one run that has ended, with its journal, as [`purge`](Self::purge) does; a dead one
    /// too. Of a run with several executions the newest goes.
    ///
    /// An id that nobody has is an error; so is a run that has not ended, or whose last messages are
    /// not delivered yet.
    ///
    /// ```no_run
    /// # async fn example(client: saga_runtime::Client) -> Result<(), saga_runtime::ClientError> {
    /// client.delete("ORD-17").await?;
    /// # Ok(()) }
    /// ```
    pub async fn delete(&self, id: impl AsRef<str>) -> Result<(), ClientError> {
        let view = self.get(id).await?;
        self.purge_run(&view).await
    }

    async fn purge_run(&self, view: &RunView) -> Result<(), ClientError> {
        let refused = |why: &str| ClientError::NotPossible { id: view.id.clone(), why: why.to_owned() };
        if !view.state.is_final() {
            return Err(refused("it has not ended; terminate it first"));
        }
        let store = &self.parts.store;
        // A call before may have deleted it and got no answer.
        if store.purge_these(&[view.execution]).await?.is_empty()
            && store.get_execution(view.execution).await?.is_some()
        {
            return Err(refused("it goes on, has messages to send, or has only just ended; try again in a minute"));
        }
        Ok(())
    }
}

impl Bulk {
    /// At most so many runs in a second; 50 unless said otherwise, at least 1.
    pub fn rate(mut self, runs_a_second: u32) -> Self {
        self.rate = runs_a_second.max(1);
        self
    }

    /// Only says to which runs it would be tried.
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    async fn run(self) -> Result<BulkReport, ClientError> {
        let clock = &self.client.parts.clock;
        let pause = Duration::from_secs(1) / self.rate;
        let mut report = BulkReport::default();
        let mut query = Query { limit: PAGE, ..self.query.clone() };
        let mut next = clock.now();
        loop {
            let page = self.client.list(&query).await?;
            for view in page.runs {
                if self.dry_run {
                    report.done.push(view.id);
                    continue;
                }
                clock.sleep_until(next).await;
                next = clock.now().after(pause);
                match self.act(&view).await {
                    Ok(()) => report.done.push(view.id),
                    Err(error) => report.refused.push((view.id, error)),
                }
            }
            match page.next {
                Some(after) => query.after = Some(after),
                None => return Ok(report),
            }
        }
    }

    async fn act(&self, view: &RunView) -> Result<(), ClientError> {
        let (client, id) = (&self.client, view.id.as_str());
        let clock = &client.parts.clock;
        // An old execution can be deleted, and nothing else done to it.
        if self.action != Action::Purge && client.get(id).await?.execution != view.execution {
            let why = "a newer execution has taken its place".to_owned();
            return Err(ClientError::NotPossible { id: view.id.clone(), why });
        }
        let subject = Subject::Execution(view.execution);
        let to = Target::Execution(view.execution);
        let tell = async |body: MessageBody| client.send_body(to.clone(), view.id.clone(), &body).await.map(drop);
        let mut round = 0;
        loop {
            let done = match &self.action {
                Action::Cancel => client.cancel_run(view.clone(), to.clone(), None).await.map(drop),
                Action::Terminate { reason } => client.terminate_run(&view.id, &subject, reason.clone()).await,
                Action::Suspend => tell(MessageBody::Suspend(CancelRequest::default())).await,
                Action::Resume => tell(MessageBody::Resume(CancelRequest::default())).await,
                Action::Repair(repair) => client.repair_run(view.id.clone(), &subject, repair).await,
                Action::Retry => client.retry(id).await.map(drop),
                Action::Fork { step } => client.fork(id, step).await.map(drop),
                Action::Purge => client.purge_run(view).await,
            };
            match done {
                Err(error) if error.is_retryable() && round < OUTAGE_ROUNDS => {
                    round += 1;
                    clock.sleep_until(clock.now().after(Duration::from_millis(100) * round)).await;
                }
                done => return done,
            }
        }
    }
}

impl IntoFuture for Bulk {
    type Output = Result<BulkReport, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
