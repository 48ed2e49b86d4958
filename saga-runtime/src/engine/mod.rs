//! The engine: drives runs on this process's worker.
//!
//! [`Engine::builder`] takes a store and what activities need, checks that all of it fits, joins
//! the store as a worker, takes up what was left, and then drives runs until it is shut down.

mod around;
mod aside;
mod attempt;
mod attempts;
mod bounds;
mod builder;
mod catch_up;
mod commits;
mod committer;
mod delivery;
mod driver;
mod gathered;
mod given;
mod heart;
mod inbox;
mod intake;
mod letterbox;
mod limits;
mod live;
mod local;
mod mailbox;
mod membership;
mod messenger;
mod observer;
mod offspring;
mod open;
mod pace;
mod post;
mod queues;
mod reconcile;
mod resolve;
mod retention;
mod sessions;
mod shared;
mod slow;
mod start_error;
mod successor;
mod surroundings;
mod suspicion;
mod tally;
mod transaction;
mod unanswered;
mod underway;
mod wake;
mod ward;

use std::sync::Arc;
use std::sync::atomic::Ordering;

pub use builder::EngineBuilder;
pub use limits::Limit;
pub use start_error::StartError;
#[cfg(any(test, feature = "test"))]
pub(crate) use surroundings::Surroundings;
pub use tally::Tally;

use crate::client::Client;
use crate::spawn::Task;
use mailbox::Mailbox;
use saga_store::Store;
use shared::Shared;

/// A worker: drives the runs of one store in this process.
///
/// Dropping it stops its work as a crash would; nothing is lost, and the next worker goes on.
/// [`Engine::shutdown`] hands runs over at once.
#[must_use = "dropping an engine stops its work"]
pub struct Engine {
    shared: Arc<Shared>,
    client: Client,
    tasks: Vec<Task>,
}

impl Engine {
    /// Begins to set up an engine over this store.
    pub fn builder<S: Store>(store: S) -> EngineBuilder {
        EngineBuilder::new(Arc::new(store))
    }

    /// A client of the same store that hands new runs straight to this worker.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What has befallen this worker since it was started.
    pub fn tally(&self) -> Tally {
        self.shared.counts.tally()
    }

    /// Stops taking work, lets running attempts end for up to the grace period (10 s unless set
    /// by the builder), then hands the runs over. Nothing is lost: what did not end is attempted
    /// again by the next worker.
    pub async fn shutdown(mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.live.for_each(Mailbox::stop);
        let over = self.shared.clock.sleep_until(self.shared.clock.now().after(self.shared.grace));
        let done = async {
            self.shared.live.emptied().await;
            self.shared.post.emptied().await;
        };
        tokio::select! {
            biased;
            () = done => {}
            () = over => {
                tracing::warn!("attempts were still running at the end of the grace period; they are made again later");
                self.shared.live.abandon();
            }
        }
        self.stop_tasks();
        if let Err(error) = self.shared.store.leave(self.shared.membership().incarnation()).await {
            tracing::warn!(%error, "the store was not told that this worker leaves; its runs wait for its lease to end");
        }
    }

    fn stop_tasks(&mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.membership().end();
        self.shared.live.abandon();
        self.stop_tasks();
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("incarnation", &self.shared.membership().incarnation()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;
    use crate::client::LocalWorker as _;
    use crate::clock::Still;
    use crate::prelude::*;
    use saga_store::RunState;
    use saga_store::wire::Entry;

    #[derive(serde::Serialize, serde::Deserialize, Event)]
    struct Go;

    #[workflow]
    async fn waits_a_moment() -> crate::Result<()> {
        sleep(std::time::Duration::from_secs(30)).await;
        event::<Go>().await;
        Ok(())
    }

    /// A sleep this short stays in memory, unless the run is suspended.
    #[tokio::test]
    async fn a_suspended_run_holds_no_memory() {
        let engine = Engine::builder(MemoryStore::new()).only::<waits_a_moment>().start().await.unwrap();
        let run = engine.client().start(waits_a_moment()).await.unwrap();
        assert!(!engine.shared.live.is_empty());
        run.suspend().await.unwrap();
        while !engine.shared.live.is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(run.view().await.unwrap().state, RunState::Suspended);
        run.send(Go).await.unwrap();
        let received = |entry: &Entry| matches!(entry, Entry::EventReceived(_));
        let records = || async { engine.client().show(run.id().as_str()).await.unwrap().records };
        while !records().await.iter().flat_map(|record| &record.entries).any(received) {
            tokio::task::yield_now().await;
        }
        while !engine.shared.live.is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(run.view().await.unwrap().state, RunState::Suspended);
    }

    /// Others may take it for dead, and what it would own for theirs.
    #[tokio::test]
    async fn a_worker_without_its_lease_takes_no_start() {
        let engine = Engine::builder(MemoryStore::new()).only::<waits_a_moment>().start().await.unwrap();
        let execution = saga_store::ExecutionId::from_bytes([1; 16]);
        let claims = || engine.shared.claims_for(waits_a_moment::NAME, waits_a_moment::VERSION, execution);
        assert!(claims().is_some());
        engine.shared.let_go(execution);
        engine.shared.membership().extend(std::time::Duration::ZERO);
        assert!(claims().is_none());
    }

    #[activity(timeout = "1h")]
    async fn says_twice(#[state] said: &tokio::sync::Semaphore, #[context] cx: &ActivityContext) -> crate::Result<()> {
        for progress in ["one", "two", "three"] {
            cx.heartbeat(progress)?;
            said.acquire().await.map_err(crate::Error::msg)?.forget();
        }
        std::future::pending().await
    }

    #[workflow]
    async fn hears_twice() -> crate::Result<()> {
        Ok(says_twice().await?)
    }

    /// What attempts said and what is in the journal.
    async fn recorded(client: &Client, id: &str) -> Vec<String> {
        let records = client.show(id).await.unwrap().records;
        let entries = records.into_iter().flat_map(|record| record.entries);
        let said = entries.filter_map(|entry| match entry {
            Entry::Progressed(said) => Some(String::from_utf8_lossy(said.progress.inline().unwrap()).into_owned()),
            _ => None,
        });
        said.collect()
    }

    #[tokio::test]
    async fn the_last_word_is_recorded_when_its_time_has_come_though_the_attempt_is_silent() {
        let (clock, said) = (Still::new(), Arc::new(tokio::sync::Semaphore::new(0)));
        let surroundings = Surroundings { clock: Arc::<Still>::clone(&clock), ..Surroundings::real(None) };
        let builder = Engine::builder(MemoryStore::new()).only::<hears_twice>().within(surroundings);
        let engine = builder.shared_state(Arc::clone(&said)).start().await.unwrap();
        let run = engine.client().start(hears_twice()).id("A").await.unwrap();
        while recorded(engine.client(), "A").await.is_empty() {
            tokio::task::yield_now().await;
        }
        said.add_permits(2);
        while said.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(recorded(engine.client(), "A").await, ["\"one\""], "its time has not come");
        clock.pass(5);
        while recorded(engine.client(), "A").await.len() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(recorded(engine.client(), "A").await, ["\"one\"", "\"three\""]);
        drop(run);
    }
}
