//! The sessions that this worker has now.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use saga_store::ExecutionId;

use super::membership::Membership;
use crate::activity::WorkerSession;
use crate::machine::Machine;

/// See the module's docs.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<BTreeMap<ExecutionId, Arc<WorkerSession>>>);

impl Sessions {
    /// One of this worker's, if it is.
    pub(crate) fn get(&self, session: ExecutionId) -> Option<Arc<WorkerSession>> {
        self.lock().get(&session).cloned()
    }

    fn open(&self, session: ExecutionId) {
        self.lock().entry(session).or_insert_with(|| Arc::new(WorkerSession::new(session)));
    }

    /// This worker has it no longer.
    pub(crate) fn close(&self, session: ExecutionId) {
        let closed = self.lock().remove(&session);
        // What it kept is dropped without the lock.
        drop(closed);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<ExecutionId, Arc<WorkerSession>>> {
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
        now: saga_store::Timestamp,
    ) -> Option<Arc<WorkerSession>> {
        if machine.is_session() && !machine.has_ended() {
            let me = membership.incarnation().to_string();
            match machine.opened_by() {
                Some(by) if by != me => machine.lose_session(now),
                opened => {
                    if opened.is_none() {
                        machine.take_note_of_owner(me);
                    }
                    self.open(execution);
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
