//! A few threads that read, each with a connection of its own.
//!
//! They serve any executor, and never wait for the writer: the write-ahead log gives each read
//! transaction the file as of its beginning.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use saga_store::{ErrorKind, StoreError};
use tokio::sync::oneshot;

use crate::error::{closed, store_error};

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// The threads and the queue before them.
#[derive(Debug)]
pub(crate) struct Readers {
    queue: Option<Sender<Read>>,
    threads: Vec<JoinHandle<()>>,
    path: PathBuf,
}

impl Readers {
    /// A thread for each connection.
    pub(crate) fn start(connections: Vec<Connection>, path: &Path) -> std::io::Result<Self> {
        let (queue, reads) = channel::<Read>();
        let reads = Arc::new(Mutex::new(reads));
        let threads = connections
            .into_iter()
            .map(|conn| {
                let reads = Arc::clone(&reads);
                std::thread::Builder::new().name("saga-sqlite-reader".to_owned()).spawn(move || serve(&conn, &reads))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { queue: Some(queue), threads, path: path.to_owned() })
    }

    /// Runs `read` in one read transaction.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Read = Box::new(move |conn| {
            let end = catch_unwind(AssertUnwindSafe(|| in_transaction(conn, read)));
            // Nobody waits for it if the caller has gone.
            drop(answer.send(end));
        });
        let queue = self.queue.as_ref().ok_or_else(closed)?;
        queue.send(job).map_err(|_| closed())?;
        match answered.await {
            Ok(Ok(end)) => end.map_err(|error| store_error(error, &self.path)),
            Ok(Err(panic)) => {
                let why = crate::writer::panic_message(&*panic);
                Err(StoreError::new(ErrorKind::Bug, format!("a read panicked: {why}")))
            }
            Err(_) => Err(closed()),
        }
    }

    /// Lets the threads end.
    pub(crate) fn stop(&mut self) {
        self.queue = None;
        let this = std::thread::current().id();
        for thread in self.threads.drain(..) {
            if thread.thread().id() != this && thread.join().is_err() {
                tracing::error!("a reader thread panicked");
            }
        }
    }
}

fn serve(conn: &Connection, reads: &Mutex<Receiver<Read>>) {
    loop {
        let next = reads.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(read) => read(conn),
            Err(_) => return,
        }
    }
}

fn in_transaction<T>(conn: &Connection, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let transaction = conn.unchecked_transaction()?;
    let value = read(&transaction)?;
    // A user's closure may have ended it.
    if !conn.is_autocommit() {
        transaction.rollback()?;
    }
    Ok(value)
}
