//! A start on its way through the layers, as the future sees it that makes it.
//!
//! The layers' future and the start are polled in turn by whoever awaits the start. So a start may
//! borrow what a task of its own could not, a transaction, and a layer that gives up while the start is
//! under way is heard.

use std::sync::Arc;

use saga_store::RunId;
use tokio::sync::{mpsc, oneshot};

use super::layers::StartLayers;
use super::request::{Ask, Begun, Door, Start};
use super::{ClientError, RunHandle};
use crate::call::CallOptions;
use crate::erased::BoxFuture;
use crate::workflow::Workflow;

/// Who asked for the start, and waits for its answer.
pub(super) type Asker = oneshot::Sender<Result<Begun, ClientError>>;

pub(super) struct Passage<W> {
    layered: BoxFuture<'static, Result<Begun, ClientError>>,
    asks: mpsc::UnboundedReceiver<Ask>,
    door: Arc<Door>,
    /// What the layers have answered.
    end: Option<Result<Begun, ClientError>>,
    /// The first answer of the store, as the caller gets it.
    run: Option<RunHandle<W>>,
}

impl<W: Workflow> Passage<W> {
    pub(super) fn new(layers: &StartLayers, id: RunId, options: CallOptions) -> Self {
        let (door, asks) = Door::new(W::NAME, W::VERSION, id);
        let layered = layers.start(Start::new(options, &door));
        Self { layered, asks, door, end: None, run: None }
    }

    /// The next time that the layers ask for the start; `None` once they have answered.
    pub(super) async fn asked(&mut self) -> Option<(Start, Asker)> {
        if self.end.is_none() {
            tokio::select! {
                biased;
                end = &mut self.layered => self.end = Some(end),
                Some(Ask { start, answer }) = self.asks.recv() => return Some((start, answer)),
            }
        }
        None
    }

    /// Makes the start, for as long as somebody waits for it, and answers.
    pub(super) async fn make(
        &mut self,
        mut asker: Asker,
        making: impl Future<Output = Result<RunHandle<W>, ClientError>>,
    ) {
        let before = self.door.sends();
        tokio::select! {
            biased;
            end = &mut self.layered => self.end = Some(end),
            () = asker.closed() => {}
            made = making => {
                self.door.answered(before, made.as_ref().err());
                let begun = made.map(|run| {
                    let begun = Begun { id: run.id().clone(), execution: run.execution(), is_new: run.is_new() };
                    self.run.get_or_insert(run);
                    begun
                });
                // Who has gone meanwhile does not mind.
                let _ = asker.send(begun);
            }
        }
    }

    /// What the caller gets.
    pub(super) fn end(self) -> Result<RunHandle<W>, ClientError> {
        match (self.end, self.run) {
            (Some(Err(error)), _) => Err(error),
            (_, Some(run)) => Ok(run),
            (_, None) => Err(self.door.refused("it answered without the answer of the start")),
        }
    }
}
