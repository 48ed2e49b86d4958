//! Events that attempts send, on their way to the store.

use std::sync::Arc;

use saga_store::message::MessageBody;
use saga_store::wire::EventMessage;
use saga_store::{MessageId, RunId, Target};
use tokio::sync::oneshot;

use crate::activity::Courier;
use crate::client::{self, ClientError, Letter, Mail};
use crate::clock::Clock;
use crate::erased::{AnyStore, BoxFuture};
use crate::event::SendError;
use crate::spawn::Spawner;

/// Takes events of attempts straight to the store.
pub(crate) struct Messenger {
    store: Arc<dyn AnyStore>,
    clock: Arc<dyn Clock>,
    spawner: Spawner,
}

impl Messenger {
    pub(crate) fn courier(store: &Arc<dyn AnyStore>, clock: &Arc<dyn Clock>, spawner: &Spawner) -> Arc<dyn Courier> {
        Arc::new(Self { store: Arc::clone(store), clock: Arc::clone(clock), spawner: spawner.clone() })
    }
}

impl Courier for Messenger {
    /// On a task of its own: an attempt is polled by its driver, which can be waiting for a commit,
    /// while what is on its way here may hold what that commit needs: a connection, a turn.
    fn carry(&self, id: MessageId, to: RunId, event: EventMessage) -> BoxFuture<'static, Result<(), SendError>> {
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        let (answer, answered) = oneshot::channel();
        self.spawner.spawn(async move {
            let letter =
                Letter { id, to: Target::Run(to.clone()), run: to, body: MessageBody::Event(event).to_bytes() };
            let sent = match client::deliver(&Mail { store: &*store, worker: None }, &*clock, letter).await {
                Ok(_) => Ok(()),
                Err(ClientError::NoRun { id }) => Err(SendError::NoRun(id.to_string())),
                Err(ClientError::HasEnded { id }) => Err(SendError::HasEnded(id.to_string())),
                Err(error) => Err(SendError::Store(error.to_string())),
            };
            // An attempt that was dropped does not mind.
            let _ = answer.send(sent);
        });
        Box::pin(async move {
            answered.await.unwrap_or_else(|_| Err(SendError::Store("the runtime shuts down".to_owned())))
        })
    }
}
