//! Hints to those who wait: this process's after each COMMIT, other processes' by a look at
//! `PRAGMA data_version`.
//!
//! The writer looks, on its own connection: there the number changes with others' writes only.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use saga_store::{Hint, HintStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender, channel};

use crate::writer::Watcher;

/// How many hints a slow listener may be behind before it is told to look at everything.
const CAPACITY: usize = 4_096;

/// A burst longer than this is one "look at everything".
const BURST: usize = 1_024;

/// Where hints are sent from.
#[derive(Debug)]
pub(crate) struct Hints {
    sender: Sender<Hint>,
}

impl Hints {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { sender: channel(CAPACITY).0 })
    }

    /// Sends what is still of use: one `Ready` serves for many.
    pub(crate) fn send(&self, mut hints: Vec<Hint>) {
        if hints.is_empty() || !self.is_listening() {
            return;
        }
        if hints.len() > BURST {
            hints = vec![Hint::Anything];
        }
        let mut ready = false;
        for hint in hints {
            if hint == Hint::Ready && std::mem::replace(&mut ready, true) {
                continue;
            }
            // Whoever has stopped listening misses nothing.
            drop(self.sender.send(hint));
        }
    }

    pub(crate) fn listen(&self) -> Listener {
        Listener { hints: self.sender.subscribe() }
    }
}

impl Watcher for Hints {
    fn is_listening(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    fn others_wrote(&self) {
        drop(self.sender.send(Hint::Anything));
    }
}

/// A stream of hints.
#[derive(Debug)]
pub(crate) struct Listener {
    hints: Receiver<Hint>,
}

impl HintStream for Listener {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Option<Hint>> + Send + '_>> {
        Box::pin(async {
            match self.hints.recv().await {
                Ok(hint) => Some(hint),
                Err(RecvError::Lagged(_)) => Some(Hint::Anything),
                Err(RecvError::Closed) => None,
            }
        })
    }
}
