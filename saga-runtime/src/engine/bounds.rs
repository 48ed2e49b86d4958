//! Setting up an engine: how much it takes on.

use std::time::Duration;

use super::EngineBuilder;
use super::limits::Limit;
use crate::activity::Activity;

impl EngineBuilder {
    /// The most runs that are in memory at once. Default: 10,000. More wait in the store.
    pub fn max_runs(mut self, runs: usize) -> Self {
        self.max_runs = runs.max(1);
        self
    }

    /// The most attempts that run at once in this process, of all activities together. Default:
    /// as many as the live runs ask for. Further ones wait in the order of coming; that does not
    /// count as their time, which their `timeout` limits, but a `deadline` goes on. What a store
    /// runs inside of its transactions is not counted.
    pub fn max_attempts_at_once(mut self, attempts: usize) -> Self {
        self.max_attempts = Some(attempts.max(1));
        self
    }

    /// Limits one activity in this process: how many of its attempts run at once, how many begin
    /// within a time. They wait as those of [`max_attempts_at_once`](Self::max_attempts_at_once)
    /// do. Each process has its own limits: share out what all of them may do together. An
    /// activity that writes through the store's transaction has no limit: it takes its turn with
    /// the commits.
    ///
    /// ```standalone_crate
    /// use saga_runtime::prelude::*;
    /// use saga_runtime::{Engine, Limit, MemoryStore};
    /// use std::time::Duration;
    ///
    /// #[activity]
    /// async fn charge(cents: u64) -> saga_runtime::Result<()> {
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let limit = Limit::new().at_once(8).per(100, Duration::from_secs(1));
    /// let engine = Engine::builder(MemoryStore::new()).limit::<charge>(limit).start().await?;
    /// # engine.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn limit<A: Activity>(mut self, limit: Limit) -> Self {
        if A::definition().is_transaction() {
            self.not_limited.push(A::NAME);
        } else {
            self.limits.insert(A::NAME, limit);
        }
        self
    }

    /// Limits what this process does of one of its [`queues`](Self::queues), whatever the activity:
    /// how many attempts run at once, how many begin within a time. It takes no more from the queue
    /// than may run at once, so that the rest is there for other workers. Each process has its own
    /// limits. A queue that is not served is an error of the start.
    ///
    /// ```
    /// use saga_runtime::{Engine, Limit, MemoryStore};
    ///
    /// let one_at_a_time = Limit::new().at_once(1);
    /// let builder = Engine::builder(MemoryStore::new()).queues(["gpu"]).limit_queue("gpu", one_at_a_time);
    /// # drop(builder);
    /// ```
    pub fn limit_queue(mut self, queue: impl Into<String>, limit: Limit) -> Self {
        self.queue_limits.insert(queue.into(), limit);
        self
    }

    /// How many [sessions](crate::session()) of one of its [`queues`](Self::queues) this process has at a
    /// time. Default: as many as come; each takes one of the [`max_runs`](Self::max_runs) for as long as it
    /// lasts, so that a worker which drives workflows as well should have fewer. Others wait for one to end, or
    /// for another worker. Steps that are under way when their session ends go on to their end, beside the
    /// first of the next one. A queue that is not served is an error of the start.
    ///
    /// ```
    /// use saga_runtime::{Engine, MemoryStore};
    ///
    /// // One graphics card: one session at a time.
    /// let builder = Engine::builder(MemoryStore::new()).queues(["gpu"]).limit_sessions("gpu", 1);
    /// # drop(builder);
    /// ```
    pub fn limit_sessions(mut self, queue: impl Into<String>, sessions: usize) -> Self {
        self.session_limits.insert(queue.into(), sessions.max(1));
        self
    }

    /// The most records of one run. Default: 100,000. A run that reaches it is dead, its journal
    /// intact; one that passes 10,000 is logged as a warning. Undoing is not limited.
    pub fn max_history(mut self, records: u64) -> Self {
        self.max_history = records.max(2);
        self
    }

    /// How often in a row the workers that drive a run may die. Default: 5.
    ///
    /// A run that has seen two workers die without going on itself is driven apart from others of
    /// its kind, after a wait that grows with the deaths (a beat of the heart, twice as long each
    /// time, 5 minutes at most). It is dead when so many deaths have come and the last of them,
    /// all but two, but at least one, came within a lease of its being tried alone. Whatever the
    /// number, a run that was not tried alone is never dead by this, nor one that went on between
    /// two deaths. Each try costs one record.
    pub fn max_deaths(mut self, deaths: u32) -> Self {
        self.max_deaths = deaths;
        self
    }

    /// How long runs are kept after their end. Default: for ever.
    ///
    /// What has ended before is deleted with its journal, once a minute, up to 1,000 runs at a time
    /// with a second between, by each worker that is told so: several harm nobody, and what one is
    /// deleting the others pass over. Dead runs stay, since they wait for an operator
    /// ([`Client::purge`](crate::Client::purge) deletes them by name), and so do runs whose messages
    /// are not delivered yet. The id of a run that is deleted is free again: a start that somebody
    /// repeats later starts it anew, so keep runs for longer than that may happen.
    pub fn retention(mut self, keep: Duration) -> Self {
        self.retention = Some(keep);
        self
    }
}
