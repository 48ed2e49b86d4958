//! Waiting for runs to end: in the engine's process by a channel, elsewhere by hints and one
//! shared slow poll.

use std::sync::{Arc, Weak};
use std::time::Duration;

use saga_store::wire::{Conclusion, decode};
use saga_store::{ExecutionId, Hint, RunId, StoreError};

use super::{Client, ClientError, Parts};
use crate::endings::Ended;
use crate::erased::AnyStore;
use crate::externalize::internalize_conclusion;

/// What [`Parts::slow_poll`] is in a real process.
pub(super) const SLOW_POLL: Duration = Duration::from_secs(2);

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
    let mut ended = parts.endings.wait(execution);
    let driven_here = parts.worker.as_ref().is_some_and(|worker| worker.drives(execution));
    if !driven_here {
        if let Some(conclusion) = read().await? {
            return Ok(conclusion);
        }
        listen(client);
    }
    loop {
        let answered = tokio::select! {
            biased;
            answered = &mut ended => answered.ok(),
            () = parts.clock.sleep_until(parts.clock.now().after(parts.slow_poll)) => None,
        };
        match answered {
            Some(conclusion) => return Ok(conclusion),
            // A run can leave this process while it is waited for: then others end it.
            None => {
                if parts.worker.as_ref().is_some_and(|worker| worker.drives(execution)) {
                    continue;
                }
                match read().await {
                    Ok(Some(conclusion)) => return Ok(conclusion),
                    Ok(None) => {}
                    Err(error) if error.is_retryable() => {}
                    Err(error) => return Err(error),
                }
                listen(client);
            }
        }
    }
}

/// Begins to hear of what other processes do, and this one.
pub(super) fn listen(client: &Client) {
    let parts = &client.parts;
    parts.watcher.get_or_init(|| parts.spawner.spawn(watch(Arc::downgrade(parts))));
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
        let executions = match hint {
            Hint::Ended(execution) => {
                parts.watchers.tell(execution);
                vec![execution]
            }
            Hint::Anything => {
                parts.watchers.tell_all();
                parts.endings.awaited()
            }
            Hint::Changed(execution) => {
                parts.watchers.tell(execution);
                continue;
            }
            Hint::Ready | Hint::Inbox(_) => continue,
        };
        for execution in executions {
            if let Err(error) = tell(&parts, execution).await {
                // The slow poll of each waiting call finds it.
                tracing::debug!(%error, %execution, "whether a run has ended cannot be read now");
            }
        }
    }
}

async fn tell(parts: &Parts, execution: ExecutionId) -> Result<(), StoreError> {
    if !parts.endings.awaited().contains(&execution) {
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
