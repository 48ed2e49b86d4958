//! What attempts have in common, so that an attempt takes hold of one thing of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use saga_store::wire::OpId;
use saga_store::{ExecutionId, RunId};

use super::progress::Board;
use super::sends::Courier;
use super::session::WorkerSession;
use crate::clock::Clock;
use crate::codec::Encoder;
use crate::state::States;

/// What the attempts of all runs share.
pub(crate) struct Common {
    pub(crate) states: States,
    /// How what they return is written.
    pub(crate) encoder: Encoder,
    /// Who takes their events to their runs.
    pub(crate) courier: Arc<dyn Courier>,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long one that is told to stop may take to do so.
    pub(crate) grace: Duration,
}

/// What all attempts of one run share.
pub(crate) struct RunScope {
    pub(crate) common: Arc<Common>,
    pub(crate) id: RunId,
    pub(crate) execution: ExecutionId,
    pub(crate) workflow: Arc<str>,
    /// What is noted beside the run, as the store has it.
    pub(crate) memo: Option<Arc<Bytes>>,
    /// Where attempts say how far they are.
    pub(crate) board: Arc<Board>,
    /// The session that they are part of.
    pub(crate) session: Option<Arc<WorkerSession>>,
}

/// The step of another run for which an attempt is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OnBehalf {
    pub(crate) run: RunId,
    pub(crate) execution: ExecutionId,
    pub(crate) op: OpId,
}

/// A run that nobody drives.
#[cfg(test)]
pub(crate) mod alone {
    use saga_store::MessageId;
    use saga_store::wire::EventMessage;

    use super::*;
    use crate::activity::Listener;
    use crate::erased::BoxFuture;
    use crate::event::SendError;

    /// Hears nothing and carries nothing.
    pub(crate) struct Nobody;

    impl Listener for Nobody {
        fn heard(&self) {}
    }

    impl Courier for Nobody {
        fn carry(&self, _: MessageId, _: RunId, _: EventMessage) -> BoxFuture<'static, Result<(), SendError>> {
            Box::pin(std::future::pending())
        }
    }

    /// The scope of the run `A`.
    pub(crate) fn scope(clock: Arc<dyn Clock>, courier: Arc<dyn Courier>) -> Arc<RunScope> {
        let board = Arc::new(Board::new(Arc::clone(&clock), Arc::new(Nobody)));
        let (encoder, grace) = (Encoder::default(), Duration::from_secs(5));
        Arc::new(RunScope {
            common: Arc::new(Common { states: States::default(), encoder, courier, clock, grace }),
            id: RunId::new("A").unwrap(),
            execution: ExecutionId::from_bytes([7; 16]),
            workflow: "workflow".into(),
            memo: None,
            board,
            session: None,
        })
    }
}
