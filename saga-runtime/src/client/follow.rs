//! Following a run: its state and what it says of itself.

use std::time::Duration;

use futures_util::Stream;
use saga_store::wire::Payload;
use saga_store::{ExecutionId, RunId, RunState};
use serde::de::DeserializeOwned;
use tokio::sync::watch::Receiver;

use super::{Client, ClientError, chain, view, watch};
use crate::codec;

/// How soon it is looked again whether a run has gone on.
const GOES_ON: Duration = Duration::from_millis(20);

/// How a run stood at some moment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RunUpdate {
    /// Its state.
    pub state: RunState,
    /// What the workflow had said of itself, as it is recorded.
    pub payload: Option<Payload>,
}

impl RunUpdate {
    /// What the workflow had said of itself with [`set_status`](crate::set_status).
    pub fn status<T: DeserializeOwned>(&self) -> Result<Option<T>, ClientError> {
        Ok(self.payload.as_ref().map(codec::decode).transpose()?)
    }
}

/// The changes of a run. See [`RunHandle::watch`](crate::RunHandle::watch).
pub struct RunWatch {
    client: Client,
    id: RunId,
    execution: ExecutionId,
    changed: Receiver<()>,
    last: Option<RunUpdate>,
    over: bool,
}

impl RunWatch {
    pub(super) fn new(client: Client, id: RunId, execution: ExecutionId) -> Self {
        let mut changed = client.parts.watchers.follow(execution);
        changed.mark_changed();
        Self { client, id, execution, changed, last: None, over: false }
    }

    /// The next change, first of all how the run stands now; `None` after its end. Cancel safe. An
    /// outage of the store is waited out; another error ends it.
    pub async fn next(&mut self) -> Option<Result<RunUpdate, ClientError>> {
        while !self.over {
            watch::listen(&self.client);
            let parts = &self.client.parts;
            tokio::select! {
                biased;
                // A sender is there as long as its receiver is; a store may lose its hints.
                _ = self.changed.changed() => {}
                () = parts.clock.sleep_until(parts.clock.now().after(parts.slow_poll)) => {}
            }
            match self.read().await {
                // Its next execution is about to be started, and of that nobody tells.
                Ok(update) if update.state == RunState::Continued => {
                    let parts = &self.client.parts;
                    parts.clock.sleep_until(parts.clock.now().after(GOES_ON)).await;
                    self.changed.mark_changed();
                }
                Ok(update) if self.last.as_ref() == Some(&update) => {}
                Ok(update) => {
                    self.over = update.state.is_final();
                    self.last = Some(update.clone());
                    return Some(Ok(update));
                }
                Err(error) if error.is_retryable() => {
                    let parts = &self.client.parts;
                    parts.clock.sleep_until(parts.clock.now().after(parts.slow_poll)).await;
                }
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }

    /// The same as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<RunUpdate, ClientError>> + Send {
        futures_util::stream::unfold(self, |mut watch| async move { watch.next().await.map(|update| (update, watch)) })
    }

    async fn read(&mut self) -> Result<RunUpdate, ClientError> {
        let parts = &self.client.parts;
        let view = chain::last(parts, &self.id, self.execution).await?;
        if view.execution != self.execution {
            self.execution = view.execution;
            self.changed = parts.watchers.follow(view.execution);
            self.changed.mark_changed();
        }
        Ok(RunUpdate { state: view.state, payload: view::status(&*parts.store, &view).await? })
    }
}

impl std::fmt::Debug for RunWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunWatch").field("id", &self.id).field("last", &self.last).finish_non_exhaustive()
    }
}
