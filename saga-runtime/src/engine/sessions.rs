//! The sessions that this worker has now.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use saga_store::message::{CancelRequest, MessageBody};
use saga_store::wire::OpId;
use saga_store::{ExecutionId, Message, StoreError, Target, Timestamp};

use super::membership::Membership;
use super::shared::Shared;
use crate::activity::WorkerSession;
use crate::derive;
use crate::machine::Machine;

/// Of so many at a time the worker asks whether they are still wanted.
const MOST_ASKED: usize = 64;

/// See the module's docs.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<Open>);

type Open = BTreeMap<ExecutionId, OpenSession>;

struct OpenSession {
    kept: Arc<WorkerSession>,
    /// The run that has begun it.
    of: Option<ExecutionId>,
}

impl Sessions {
    /// One of this worker's, if it is.
    pub(crate) fn get(&self, session: ExecutionId) -> Option<Arc<WorkerSession>> {
        self.lock().get(&session).map(|open| Arc::clone(&open.kept))
    }

    fn open(&self, session: ExecutionId, of: Option<ExecutionId>) {
        let open = || OpenSession { kept: Arc::new(WorkerSession::new(session)), of };
        self.lock().entry(session).or_insert_with(open);
    }

    /// Some sessions that come after this one, and the runs that have begun them.
    fn after(&self, last: Option<ExecutionId>) -> Vec<(ExecutionId, ExecutionId)> {
        let open = self.lock();
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let some = open.range((from, Bound::Unbounded)).take(MOST_ASKED);
        some.filter_map(|(session, open)| Some((*session, open.of?))).collect()
    }

    /// This worker has it no longer.
    pub(crate) fn close(&self, session: ExecutionId) {
        let closed = self.lock().remove(&session);
        // What it kept is dropped without the lock.
        drop(closed);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run was rebuilt that may be a session, or make attempts within one: the first to drive a
    /// session has it, and whoever comes later finds it lost. `tried` if an attempt within one may
    /// have been made. Gives the session of attempts.
    pub(crate) fn bind(
        &self,
        execution: ExecutionId,
        machine: &mut Machine,
        membership: &Membership,
        tried: bool,
        now: Timestamp,
    ) -> Option<Arc<WorkerSession>> {
        if machine.is_session() && !machine.has_ended() {
            let me = membership.incarnation().to_string();
            match machine.opened_by() {
                Some(by) if by != me || self.get(execution).is_none() => machine.lose_session(now),
                opened => {
                    if opened.is_none() {
                        machine.take_note_of_owner(me);
                    }
                    self.open(execution, machine.begun_by());
                }
            }
        }
        let session = machine.session()?;
        let here = self.get(session);
        if here.is_none() {
            machine.leave_session(tried, now);
        }
        here
    }
}

/// Ends sessions whose runs have: what was to tell them may have come before they did. Gives the last one that
/// was looked at; nothing, if all were.
pub(super) async fn end_orphans(shared: &Shared, last: Option<ExecutionId>) -> Result<Option<ExecutionId>, StoreError> {
    let some = shared.sessions.after(last);
    let next = some.last().map(|(session, _)| *session);
    for (session, of) in some {
        if shared.store.get_execution(of).await?.is_none_or(|view| view.state.is_final()) {
            let now = shared.clock.now();
            let request = CancelRequest { reason: Some("the run that began it has ended".to_owned()) };
            let id = derive::message(session, &OpId::root(), "orphan", now);
            let body = MessageBody::Cancel(request).to_bytes();
            shared.store.deliver(vec![Message { id, to: Target::Execution(session), body }]).await?;
            shared.live.nudge(session);
        }
    }
    Ok(next)
}
