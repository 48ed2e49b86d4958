//! Waiting for runs to end: in the engine's process by a channel, elsewhere by hints and one
//! shared slow poll.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use saga_store::wire::{Conclusion, decode};
use saga_store::{ExecutionId, Hint, RunId, StoreError};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::RecvError;

use super::{Client, ClientError, Parts};
use crate::endings::Ended;
use crate::erased::AnyStore;
use crate::externalize::internalize_conclusion;
use crate::spawn::{Spawner, Task};

/// What [`Parts::slow_poll`] is in a real process.
pub(super) const SLOW_POLL: Duration = Duration::from_secs(2);

/// How many executions are looked at in one call.
const LOOK_GROUP: usize = 1024;

/// Waits for the end of an execution, or of the last one in which it goes on: which that was, and how
/// it ended.
pub(super) async fn conclusion(
    client: &Client,
    id: &RunId,
    mut execution: ExecutionId,
) -> Result<(ExecutionId, Ended), ClientError> {
    let mut began = true;
    loop {
        let ended = end_of(client, id, execution, began).await?;
        match *ended {
            // It is about to be started.
            Conclusion::Continued { next } => (execution, began) = (next, false),
            _ => return Ok((execution, ended)),
        }
    }
}

/// Waits for the end of an execution. One that has not begun may not be there yet.
async fn end_of(client: &Client, id: &RunId, execution: ExecutionId, began: bool) -> Result<Ended, ClientError> {
    let parts = &client.parts;
    let read = async || match read(&*parts.store, id, execution).await {
        Err(ClientError::NoRun { .. }) if !began => Ok(None),
        read => read,
    };
    let mut first = true;
    loop {
        let ended = parts.endings.wait(execution);
        // What is driven here ends by a word, for which this call waits by now.
        if !first || !drives(parts, execution) {
            listen(client);
            match read().await {
                Ok(Some(conclusion)) => return Ok(conclusion),
                Ok(None) => {}
                // The slow poll lets this call look again.
                Err(error) if error.is_retryable() && !first => {}
                Err(error) => return Err(error),
            }
        }
        begin(&parts.poller, &parts.spawner, || poll(Arc::downgrade(parts)));
        match word(parts, ended).await {
            Ok(conclusion) => return Ok(conclusion),
            Err(_) => first = false,
        }
    }
}

/// Waits for the word of an end.
async fn word(parts: &Parts, ended: oneshot::Receiver<Ended>) -> Result<Ended, RecvError> {
    #[cfg(feature = "test")]
    if matches!(parts.spawner, Spawner::Executor(_)) {
        // Nobody lets the engine go on while the test's own task waits, but a wait for a moment does.
        let far = parts.clock.now().after(Duration::from_secs(1_000 * 365 * 86_400));
        return tokio::select! {
            biased;
            ended = ended => ended,
            () = parts.clock.sleep_until(far) => std::future::pending().await,
        };
    }
    #[cfg(not(feature = "test"))]
    let _ = parts;
    ended.await
}

fn drives(parts: &Parts, execution: ExecutionId) -> bool {
    parts.worker.as_ref().is_some_and(|worker| worker.drives(execution))
}

/// Begins to hear of what other processes do, and this one.
pub(super) fn listen(client: &Client) {
    let parts = &client.parts;
    begin(&parts.watcher, &parts.spawner, || watch(Arc::downgrade(parts)));
}

/// Starts a task, unless it runs. One that ended with its runtime is started again.
fn begin<F>(place: &Mutex<Option<Task>>, spawner: &Spawner, work: impl FnOnce() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut task = place.lock().unwrap_or_else(PoisonError::into_inner);
    if task.as_ref().is_none_or(Task::is_over) {
        *task = Some(spawner.spawn(work()));
    }
}

/// How an execution ended, if it has.
async fn read(store: &dyn AnyStore, id: &RunId, execution: ExecutionId) -> Result<Option<Ended>, ClientError> {
    let view = store.get_execution(execution).await?.ok_or_else(|| ClientError::NoRun { id: id.clone() })?;
    if !view.state.is_final() {
        return Ok(None);
    }
    let unreadable = |why: String| ClientError::Unreadable { id: id.clone(), why };
    let Some(bytes) = view.conclusion else {
        return Err(unreadable("it has ended, but how was not recorded".to_owned()));
    };
    let mut conclusion: Conclusion = decode(&bytes).map_err(|error| unreadable(error.to_string()))?;
    internalize_conclusion(store, execution, &mut conclusion).await?;
    Ok(Some(Arc::new(conclusion)))
}

/// Tells waiting calls of runs that end elsewhere.
async fn watch(parts: Weak<Parts>) {
    let Some(mut hints) = parts.upgrade().map(|parts| parts.store.hints()) else { return };
    while let Some(hint) = hints.next().await {
        let Some(parts) = parts.upgrade() else { return };
        match hint {
            Hint::Ended(execution) => {
                parts.watchers.tell(execution);
                if let Err(error) = tell(&parts, execution).await {
                    // The slow poll finds it.
                    tracing::debug!(%error, %execution, "whether a run has ended cannot be read now");
                }
            }
            Hint::Anything => {
                parts.watchers.tell_all();
                look(&parts).await;
            }
            Hint::Changed(execution) => parts.watchers.tell(execution),
            Hint::Ready | Hint::Inbox(_) => {}
        }
    }
}

/// Looks at all that is waited for, now and then: a hint can be lost.
async fn poll(parts: Weak<Parts>) {
    while let Some((clock, pause)) = parts.upgrade().map(|parts| (Arc::clone(&parts.clock), parts.slow_poll)) {
        clock.sleep_until(clock.now().after(pause)).await;
        if let Some(parts) = parts.upgrade() {
            look(&parts).await;
        }
    }
}

/// Looks at all that is waited for and not driven here, by one call of the store for many.
async fn look(parts: &Parts) {
    let mut awaited = parts.endings.awaited();
    awaited.retain(|execution| !drives(parts, *execution));
    for group in awaited.chunks(LOOK_GROUP) {
        let ended = match parts.store.ended(group).await {
            Ok(ended) => ended,
            Err(error) => {
                tracing::debug!(%error, "which runs have ended cannot be read now");
                return;
            }
        };
        for execution in ended {
            if let Err(error) = tell(parts, execution).await {
                tracing::debug!(%error, %execution, "how a run has ended cannot be read now");
            }
            // One that is gone, or cannot be read: who waits is to say so.
            parts.endings.forget(execution);
        }
    }
}

async fn tell(parts: &Parts, execution: ExecutionId) -> Result<(), StoreError> {
    if !parts.endings.is_awaited(execution) {
        return Ok(());
    }
    let Some(view) = parts.store.get_execution(execution).await? else { return Ok(()) };
    if let Some(bytes) = view.conclusion.filter(|_| view.state.is_final())
        && let Ok(mut conclusion) = decode::<Conclusion>(&bytes)
    {
        internalize_conclusion(&*parts.store, execution, &mut conclusion).await?;
        parts.endings.publish(execution, &Arc::new(conclusion));
    }
    Ok(())
}
