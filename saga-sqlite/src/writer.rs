//! The one thread that writes: it commits together what has gathered.
//!
//! While one transaction is being made durable the next requests gather in the channel; an idle
//! writer begins at once. Answers leave after COMMIT. A group that fails is undone and each of
//! its jobs is run again alone, so that the offender is found and its neighbours are not hurt.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use rusqlite::ErrorCode;
use saga_store::{ErrorKind, StoreError};

use crate::error::{self, Abort};
use crate::session::Session;

/// How often an idle writer looks for writes of other processes, while somebody listens.
const LOOK_FOR_OTHERS_EVERY: Duration = Duration::from_millis(120);

/// The same while none has written for long: these looks are most of what an idle worker costs.
const LOOK_WHILE_STILL_EVERY: Duration = Duration::from_millis(300);

/// So many looks in a row have seen nothing by then.
const STILL_AFTER: u32 = 25;

/// A group takes no more items than this, so that answers do not wait for long.
const MAX_GROUP: usize = 4_096;

/// How carefully a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// In a group: the first trouble gives the whole group up.
    Grouped,
    /// Alone after trouble: each item in a savepoint, so that only bad ones are refused.
    Alone,
    /// Alone after its COMMIT was refused: each piece of user code is searched for references
    /// that lead nowhere, which `SQLite` may check at COMMIT only, and which takes long.
    Suspect,
}

/// Some work for the writer.
pub(crate) trait Job: Send {
    /// How many items it has.
    fn weight(&self) -> usize {
        1
    }

    /// Whether it is answered only when it is on the disk. What can be lost with the machine, as
    /// long as nothing that came after it is kept, need not be.
    fn is_flushed(&self) -> bool {
        true
    }

    /// Writes, inside of a transaction. Called again if the transaction had to be undone.
    fn run(&mut self, session: &Session<'_>, mode: Mode) -> Result<(), Abort>;

    /// Answers: the transaction is committed, and on the disk if that was asked for, or nothing of this job
    /// was applied.
    fn finish(self: Box<Self>, end: Result<(), StoreError>);
}

/// Who wants to know of other processes' writes.
pub(crate) trait Watcher: Send + Sync {
    /// Whether anybody waits for such news.
    fn is_listening(&self) -> bool;

    /// Another connection has written.
    fn others_wrote(&self);
}

/// What the writer is sent.
pub(crate) enum Request {
    /// Work.
    Job(Box<dyn Job>),
    /// Somebody has begun to listen.
    Listen,
}

/// Counts since the file was opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) transactions: AtomicU64,
    pub(crate) jobs: AtomicU64,
    pub(crate) rows: AtomicU64,
    pub(crate) queued: AtomicU64,
}

/// The writer's loop.
pub(crate) struct Writer<'c> {
    pub(crate) session: Session<'c>,
    pub(crate) path: PathBuf,
    pub(crate) counters: Arc<Counters>,
    pub(crate) watcher: Option<Arc<dyn Watcher>>,
    pub(crate) stillness: Stillness,
}

/// For how long no other process has written.
#[derive(Debug, Default)]
pub(crate) struct Stillness {
    /// Looks in a row that have seen nothing.
    looks: Cell<u32>,
}

impl Stillness {
    /// How long to wait for the next look.
    fn pause(&self) -> Duration {
        if self.looks.get() < STILL_AFTER { LOOK_FOR_OTHERS_EVERY } else { LOOK_WHILE_STILL_EVERY }
    }

    fn has_looked(&self, others_wrote: bool) {
        self.looks.set(if others_wrote { 0 } else { self.looks.get().saturating_add(1) });
    }
}

impl Writer<'_> {
    /// Works until every sender is gone.
    pub(crate) fn work(&self, requests: &Receiver<Request>) {
        let mut group = Vec::new();
        while let Some(first) = self.wait(requests) {
            gather(first, requests, &mut group);
            if !group.is_empty() {
                self.counters.queued.fetch_sub(group.len() as u64, Ordering::Relaxed);
                self.run_group(&mut group);
            }
        }
    }

    fn wait(&self, requests: &Receiver<Request>) -> Option<Request> {
        loop {
            let Some(watcher) = self.watcher.as_deref().filter(|watcher| watcher.is_listening()) else {
                return requests.recv().ok();
            };
            match requests.recv_timeout(self.stillness.pause()) {
                Ok(request) => return Some(request),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    // A failure is met again, and reported, by the next transaction.
                    let others = self.session.notice_others().unwrap_or(false);
                    self.stillness.has_looked(others);
                    if others {
                        watcher.others_wrote();
                    }
                }
            }
        }
    }

    fn run_group(&self, group: &mut Vec<Box<dyn Job>>) {
        if let Err(error) = self.begin(group.iter().any(|job| job.is_flushed())) {
            for job in group.drain(..) {
                job.finish(Err(error::store_error(copy(&error), &self.path)));
            }
            return;
        }
        match self.transact(group, Mode::Grouped) {
            Ok(()) => group.drain(..).for_each(|job| job.finish(Ok(()))),
            Err(abort) => {
                tracing::debug!(?abort, jobs = group.len(), "a group is undone; its jobs run alone");
                self.run_alone(group);
            }
        }
    }

    fn run_alone(&self, group: &mut Vec<Box<dyn Job>>) {
        let mut busy = false;
        for mut job in group.drain(..) {
            let end = if busy {
                Err(StoreError::new(ErrorKind::Unavailable, format!("{} is busy", self.path.display())))
            } else {
                self.run_one(&mut job)
            };
            if let Err(error) = &end {
                // To wait for the lock again for each job would hold them all up.
                busy = busy || is_busy(error);
            }
            job.finish(end);
        }
    }

    fn run_one(&self, job: &mut Box<dyn Job>) -> Result<(), StoreError> {
        let mut mode = Mode::Alone;
        // Each item can ask for one repetition, since it is remembered what must not run again. Counted
        // anew each time: a job may have grown when it began.
        let mut turns = 0;
        while turns < job.weight() + 3 {
            turns += 1;
            self.begin(job.is_flushed()).map_err(|error| error::store_error(error, &self.path))?;
            match self.transact(std::slice::from_mut(job), mode) {
                Err(Abort::Again) => {}
                Err(Abort::Sqlite(error)) if mode == Mode::Alone && error::is_of_the_row(&error) => {
                    mode = Mode::Suspect;
                }
                other => return other.map_err(|abort| abort.into_store_error(&self.path)),
            }
        }
        Err(Abort::Again.into_store_error(&self.path))
    }

    fn begin(&self, flush: bool) -> rusqlite::Result<()> {
        match self.session.begin(flush) {
            Ok(others) => {
                if let Some(watcher) = self.watcher.as_deref().filter(|_| others) {
                    self.stillness.has_looked(true);
                    watcher.others_wrote();
                }
                Ok(())
            }
            Err(error) => {
                self.session.roll_back();
                Err(error)
            }
        }
    }

    fn transact(&self, jobs: &mut [Box<dyn Job>], mode: Mode) -> Result<(), Abort> {
        let run = || {
            for job in jobs.iter_mut() {
                job.run(&self.session, mode)?;
            }
            self.session.commit().map_err(Abort::from)
        };
        let end = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
            let message = format!("the store's writer panicked: {}", panic_message(&*panic));
            Err(Abort::Refused(StoreError::new(ErrorKind::Bug, message)))
        });
        if end.is_err() {
            self.session.roll_back();
        } else {
            self.counters.transactions.fetch_add(1, Ordering::Relaxed);
            self.counters.jobs.fetch_add(jobs.len() as u64, Ordering::Relaxed);
        }
        end
    }
}

/// What has been asked for by now, up to a limit.
fn gather(first: Request, requests: &Receiver<Request>, group: &mut Vec<Box<dyn Job>>) {
    let mut weight = 0;
    let mut next = Ok::<_, TryRecvError>(first);
    while let Ok(request) = next {
        if let Request::Job(job) = request {
            weight += job.weight();
            group.push(job);
        }
        if weight >= MAX_GROUP {
            break;
        }
        next = requests.try_recv();
    }
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

fn is_busy(error: &StoreError) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<rusqlite::Error>())
        .and_then(error::code)
        .is_some_and(|code| matches!(code, ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// The same failure for one more caller.
fn copy(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, message) => rusqlite::Error::SqliteFailure(*code, message.clone()),
        _ => rusqlite::Error::InvalidQuery,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use rusqlite::Connection;

    use super::*;
    use crate::guard::Guard;

    /// Tells how its transaction is flushed.
    struct Asks {
        flush: bool,
        said: Arc<std::sync::Mutex<Vec<i64>>>,
    }

    impl Job for Asks {
        fn is_flushed(&self) -> bool {
            self.flush
        }

        fn run(&mut self, session: &Session<'_>, _: Mode) -> Result<(), Abort> {
            let synchronous = session.conn().pragma_query_value(None, "synchronous", |row| row.get(0))?;
            self.said.lock().unwrap().push(synchronous);
            Ok(())
        }

        fn finish(self: Box<Self>, end: Result<(), StoreError>) {
            end.unwrap();
        }
    }

    /// What jobs are told of their transactions: those of a group share one.
    fn told(settings: &str, groups: &[&[bool]]) -> Vec<i64> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut conn = Connection::open(&path).unwrap();
        conn.execute_batch(settings).unwrap();
        let guard = Guard::install(&mut conn).unwrap();
        let session = Session::new(&conn, guard).unwrap();
        let writer = Writer { session, path, counters: Arc::default(), watcher: None, stillness: Stillness::default() };
        let said = Arc::default();
        for group in groups {
            let (sender, requests) = channel();
            for flush in *group {
                sender.send(Request::Job(Box::new(Asks { flush: *flush, said: Arc::clone(&said) }))).unwrap();
            }
            drop(sender);
            writer.work(&requests);
        }
        Arc::into_inner(said).unwrap().into_inner().unwrap()
    }

    #[test]
    fn a_file_that_others_leave_alone_is_looked_at_less_often_until_one_writes() {
        let stillness = Stillness::default();
        let pauses: Vec<Duration> = (0..=STILL_AFTER)
            .map(|_| {
                let pause = stillness.pause();
                stillness.has_looked(false);
                pause
            })
            .collect();
        assert_eq!((pauses[0], pauses[24], pauses[25]), (LOOK_FOR_OTHERS_EVERY, pauses[0], LOOK_WHILE_STILL_EVERY));
        stillness.has_looked(true);
        assert_eq!(stillness.pause(), LOOK_FOR_OTHERS_EVERY);
    }

    const NORMAL: i64 = 1;
    const FULL: i64 = 2;

    #[test]
    fn a_group_is_flushed_if_one_of_its_jobs_is_to_be() {
        let groups: [&[bool]; 5] = [&[true], &[false, false], &[false, true], &[false], &[true]];
        let said = told("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", &groups);
        assert_eq!(said, [FULL, NORMAL, NORMAL, FULL, FULL, NORMAL, FULL]);
    }

    #[test]
    fn nothing_is_put_off_where_a_later_flush_is_not_one_of_all_before_it() {
        let said = told("PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL", &[&[false], &[true]]);
        assert_eq!(said, [FULL, FULL]);
        let said = told("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL", &[&[false], &[true]]);
        assert_eq!(said, [NORMAL, NORMAL], "the user said so");
    }
}
