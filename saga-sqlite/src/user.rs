//! Jobs that run users' code, and what they set.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use saga_store::{ErrorKind, StoreError};
use tokio::sync::oneshot;

use crate::error::{Abort, is_outage, store_error};
use crate::session::Session;
use crate::tx::{SqliteTx, UserEnd, run_user};
use crate::writer::{Job, Mode};

type Answer<T> = Result<T, StoreError>;

/// A closure of [`SqliteDb::write`](crate::SqliteDb::write).
pub(crate) struct UserWrite<T, F> {
    code: F,
    limit: Option<Duration>,
    path: Arc<Path>,
    answer: Option<Answer<T>>,
    /// It ran and must not run again: its end cost the whole transaction.
    ended: bool,
    reply: oneshot::Sender<Answer<T>>,
}

impl<T, F> UserWrite<T, F>
where
    T: Send + 'static,
    F: FnMut(&SqliteTx<'_>) -> rusqlite::Result<T> + Send + 'static,
{
    pub(crate) fn job(
        code: F,
        limit: Option<Duration>,
        path: Arc<Path>,
    ) -> (Box<dyn Job>, oneshot::Receiver<Answer<T>>) {
        let (reply, answered) = oneshot::channel();
        (Box::new(Self { code, limit, path, answer: None, ended: false, reply }), answered)
    }

    fn answer_of(&self, end: UserEnd<rusqlite::Result<T>>) -> Answer<T> {
        match end {
            UserEnd::Kept(answer) | UserEnd::RolledBack(answer) => {
                answer.map_err(|error| store_error(error, &self.path))
            }
            UserEnd::Refused(why) => Err(StoreError::new(ErrorKind::Invalid, why)),
            UserEnd::Panicked(why) => {
                Err(StoreError::new(ErrorKind::Bug, format!("the code of a write panicked: {why}")))
            }
            UserEnd::Lost(end) => self.answer_of(*end),
        }
    }
}

impl<T, F> Job for UserWrite<T, F>
where
    T: Send + 'static,
    F: FnMut(&SqliteTx<'_>) -> rusqlite::Result<T> + Send + 'static,
{
    fn run(&mut self, session: &Session<'_>, mode: Mode) -> Result<(), Abort> {
        if self.ended {
            return Ok(());
        }
        match run_user(session, mode, self.limit, &mut self.code, Result::is_ok)? {
            UserEnd::RolledBack(Err(error)) if is_outage(&error) && !is_interrupt(&error) => Err(Abort::Sqlite(error)),
            end => {
                self.ended = matches!(end, UserEnd::Lost(_));
                self.answer = Some(self.answer_of(end));
                if self.ended { Err(Abort::Again) } else { Ok(()) }
            }
        }
    }

    fn finish(self: Box<Self>, end: Result<(), StoreError>) {
        let Self { answer, reply, .. } = *self;
        let answer = end.and_then(|()| answer.unwrap_or_else(|| Err(crate::error::closed())));
        // The caller may have gone; its writes are durable all the same.
        drop(reply.send(answer));
    }
}

fn is_interrupt(error: &rusqlite::Error) -> bool {
    crate::error::code(error) == Some(rusqlite::ErrorCode::OperationInterrupted)
}

/// Sets or lifts the limit on the file's size.
pub(crate) struct LimitPages {
    pages: u32,
    reply: oneshot::Sender<Answer<()>>,
}

/// `SQLite`'s own limit.
const NO_LIMIT: u32 = 4_294_967_294;

impl LimitPages {
    pub(crate) fn job(pages: Option<u32>) -> (Box<dyn Job>, oneshot::Receiver<Answer<()>>) {
        let (reply, answered) = oneshot::channel();
        (Box::new(Self { pages: pages.unwrap_or(NO_LIMIT), reply }), answered)
    }
}

impl Job for LimitPages {
    fn run(&mut self, session: &Session<'_>, _: Mode) -> Result<(), Abort> {
        session.conn().pragma_update_and_check(None, "max_page_count", self.pages, |_| Ok(()))?;
        Ok(())
    }

    fn finish(self: Box<Self>, end: Result<(), StoreError>) {
        drop(self.reply.send(end));
    }
}
