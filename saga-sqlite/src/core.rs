//! What the store's callers and its writer share.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::OptionalExtension;
use saga_store::{BuildId, ErrorKind, ExecutionId, Hint, Incarnation, Seq, StoreError};

use crate::clock::Clock;
use crate::error::Abort;
use crate::hints::Hints;
use crate::lock::EngineLock;
use crate::session::Session;
use crate::sql;
use crate::writer::Counters;

/// What the store's callers and its writer share.
pub(crate) struct Core {
    pub(crate) clock: Clock,
    pub(crate) hints: Arc<Hints>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) tx_time_limit: Duration,
    members: Mutex<Members>,
    memory: Mutex<Memory>,
}

/// The workers of this handle. They are kept in memory: whoever holds the engine lock is alive,
/// and whoever owned runs before is dead.
#[derive(Debug, Default)]
pub(crate) struct Members {
    pub(crate) known: BTreeMap<Incarnation, Member>,
    /// Whether the dead owners in the file are among them.
    pub(crate) surveyed: bool,
    /// Held while there are members. Queued jobs keep it too, so that none of them is still to
    /// be done when another engine begins.
    pub(crate) lock: Option<EngineLock>,
}

/// A worker.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) beats: u64,
    pub(crate) build: BuildId,
    pub(crate) lease: Duration,
    /// It is kept until nothing is left to adopt, so that every observer sees it.
    pub(crate) dead: bool,
}

impl Members {
    pub(crate) fn is_alive(&self, incarnation: Incarnation) -> bool {
        self.known.get(&incarnation).is_some_and(|member| !member.dead)
    }

    /// What the living workers were built from.
    pub(crate) fn living_builds(&self) -> Vec<BuildId> {
        self.known.values().filter(|member| !member.dead).map(|member| member.build.clone()).collect()
    }

    pub(crate) fn any_alive(&self) -> bool {
        self.known.values().any(|member| !member.dead)
    }
}

/// What the writer remembers of the file between two transactions.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    epoch: u64,
    heads: HashMap<ExecutionId, Head, foldhash::fast::RandomState>,
    /// The lane that was served last.
    pub(crate) last_lane: Option<String>,
}

/// Where a run stands, so that a commit reads nothing.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) run: i64,
    pub(crate) seq: Seq,
    /// Where the journal's last row is.
    pub(crate) row: i64,
    pub(crate) owner: Option<Incarnation>,
    pub(crate) deaths: u32,
    pub(crate) claim_due: bool,
    pub(crate) unreleased: bool,
}

/// At some 100 bytes each.
const MAX_HEADS: usize = 65_536;

impl Core {
    pub(crate) fn new(clock: Clock, hints: Arc<Hints>, counters: Arc<Counters>, tx_time_limit: Duration) -> Self {
        let (members, memory) = (Mutex::default(), Mutex::default());
        Self { clock, hints, counters, tx_time_limit, members, memory }
    }

    pub(crate) fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the writer alone.
    pub(crate) fn memory(&self, session: &Session<'_>) -> MutexGuard<'_, Memory> {
        let mut memory = self.memory.lock().unwrap_or_else(|poison| {
            // A panic may have come between a write and its note.
            session.forget();
            poison.into_inner()
        });
        memory.check(session);
        memory
    }

    /// Refuses workers that have not joined, or have been taken for dead.
    pub(crate) fn require_member(&self, incarnation: Incarnation) -> Result<(), StoreError> {
        if self.members().is_alive(incarnation) {
            return Ok(());
        }
        let message = format!("the worker {incarnation} is not a member of this store; join with a new incarnation");
        Err(StoreError::new(ErrorKind::Locked, message))
    }

    pub(crate) fn send_hints(&self, hints: Vec<Hint>) {
        self.hints.send(hints);
    }
}

impl Memory {
    /// Forgets the heads if they may be wrong.
    pub(crate) fn check(&mut self, session: &Session<'_>) {
        if self.epoch != session.epoch() {
            self.epoch = session.epoch();
            self.heads.clear();
        }
    }

    /// Where a run stands, from memory or from the file. `None` if there is no such run.
    pub(crate) fn head(&mut self, session: &Session<'_>, execution: ExecutionId) -> Result<Option<&mut Head>, Abort> {
        self.check(session);
        if self.heads.len() >= MAX_HEADS {
            self.heads.clear();
        }
        match self.heads.entry(execution) {
            Entry::Occupied(known) => Ok(Some(known.into_mut())),
            Entry::Vacant(unknown) => Ok(read_head(session, execution)?.map(|head| unknown.insert(head))),
        }
    }

    pub(crate) fn remember(&mut self, execution: ExecutionId, head: Head) {
        self.heads.insert(execution, head);
    }

    pub(crate) fn forget(&mut self, execution: ExecutionId) {
        self.heads.remove(&execution);
    }

    pub(crate) fn forget_all(&mut self) {
        self.heads.clear();
    }
}

fn read_head(session: &Session<'_>, execution: ExecutionId) -> Result<Option<Head>, Abort> {
    let head = session.with(&sql::HEAD, |statement| {
        statement
            .query_row([execution.as_bytes()], |row| {
                let owner: Option<[u8; 16]> = row.get(1)?;
                Ok(Head {
                    run: row.get(0)?,
                    seq: Seq(row.get::<_, i64>(5)?.cast_unsigned()),
                    row: row.get(6)?,
                    owner: owner.map(Incarnation::from_bytes),
                    deaths: row.get(2)?,
                    claim_due: row.get(3)?,
                    unreleased: row.get(4)?,
                })
            })
            .optional()
    })?;
    Ok(head)
}
