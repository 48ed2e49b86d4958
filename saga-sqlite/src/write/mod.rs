//! What the store writes: one verb a file.

pub(crate) mod adopt;
pub(crate) mod claim;
pub(crate) mod commit;
pub(crate) mod deliver;
pub(crate) mod leave;
pub(crate) mod purge;
pub(crate) mod start;

use std::sync::Arc;

use saga_store::{Hint, StoreError, Timestamp};
use tokio::sync::oneshot;

use crate::core::{Core, Memory};
use crate::error::{Abort, is_of_the_row};
use crate::session::Session;
use crate::writer::{Job, Mode};

/// What a verb works with.
pub(crate) struct Cx<'a, 'c> {
    pub(crate) session: &'a Session<'c>,
    pub(crate) core: &'a Core,
    pub(crate) memory: &'a mut Memory,
    pub(crate) hints: &'a mut Vec<Hint>,
    pub(crate) mode: Mode,
    pub(crate) now: Timestamp,
}

impl Cx<'_, '_> {
    /// Writes one item so that a bad one hurts no neighbour; the inner error says what is wrong
    /// with it.
    ///
    /// In a group there is no savepoint, for speed: a bad item gives the group up, and its job
    /// is run again alone, with savepoints.
    fn isolated<T>(&mut self, write: impl FnOnce(&mut Self) -> Result<T, Abort>) -> Result<Result<T, String>, Abort> {
        if self.mode == Mode::Grouped {
            return write(self).map(Ok);
        }
        let hints = self.hints.len();
        self.session.savepoint()?;
        match write(self) {
            Ok(answer) => {
                self.session.release()?;
                Ok(Ok(answer))
            }
            Err(Abort::Sqlite(error)) if is_of_the_row(&error) && self.session.in_transaction() => {
                self.session.roll_back_to_savepoint()?;
                self.session.forget();
                self.hints.truncate(hints);
                Ok(Err(error.to_string()))
            }
            Err(abort) => Err(abort),
        }
    }
}

/// When what a verb has written is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flush {
    /// Before it is answered.
    Now,
    /// With the next that is flushed. A crash of the machine may undo it, and then all that came after it.
    WithTheNext,
}

/// A verb with one answer, as a job.
pub(crate) struct Call<T, F> {
    core: Arc<Core>,
    weight: usize,
    flush: Flush,
    verb: F,
    answer: Option<T>,
    hints: Vec<Hint>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Call<T, F>
where
    T: Send + 'static,
    F: FnMut(&mut Cx<'_, '_>) -> Result<T, Abort> + Send + 'static,
{
    /// The job, and where its answer comes.
    pub(crate) fn job(
        core: &Arc<Core>,
        weight: usize,
        flush: Flush,
        verb: F,
    ) -> (Box<dyn Job>, oneshot::Receiver<Result<T, StoreError>>) {
        let (reply, answered) = oneshot::channel();
        let core = Arc::clone(core);
        (Box::new(Self { core, weight, flush, verb, answer: None, hints: Vec::new(), reply }), answered)
    }
}

impl<T, F> Job for Call<T, F>
where
    T: Send + 'static,
    F: FnMut(&mut Cx<'_, '_>) -> Result<T, Abort> + Send + 'static,
{
    fn weight(&self) -> usize {
        self.weight
    }

    fn is_flushed(&self) -> bool {
        self.flush == Flush::Now
    }

    fn run(&mut self, session: &Session<'_>, mode: Mode) -> Result<(), Abort> {
        self.hints.clear();
        let now = self.core.clock.now();
        let mut memory = self.core.memory(session);
        let mut cx = Cx { session, core: &self.core, memory: &mut memory, hints: &mut self.hints, mode, now };
        self.answer = Some((self.verb)(&mut cx)?);
        Ok(())
    }

    fn finish(self: Box<Self>, end: Result<(), StoreError>) {
        let answer = match (end, self.answer) {
            (Ok(()), Some(answer)) => Ok(answer),
            (Ok(()), None) => Err(crate::error::closed()),
            (Err(error), _) => Err(error),
        };
        if answer.is_ok() {
            self.core.send_hints(self.hints);
        }
        // The caller may have gone; what it asked for is done all the same.
        drop(self.reply.send(answer));
    }
}
