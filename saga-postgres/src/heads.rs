//! Runs of this process of which nothing is to be settled, and where their journals end.
//!
//! The next row of such a run needs nothing of the server but that its place is free and the one
//! before it taken: there is no takeover to note, no deaths to clear, and the owner is known. So
//! most commits touch no row but their own.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use saga_store::{ExecutionId, Incarnation, Seq};

/// Whose a run is, and its last row that the server has acknowledged.
#[derive(Debug, Clone, Copy)]
struct Head {
    owner: Incarnation,
    seq: Seq,
}

impl Head {
    fn precedes(&self, owner: Incarnation, seq: Seq) -> bool {
        self.owner == owner && self.seq.plus(1) == seq
    }
}

/// The heads of the runs that workers of this process own.
#[derive(Debug, Default)]
pub(crate) struct Heads(Mutex<Map>);

type Map = HashMap<ExecutionId, Head, foldhash::fast::RandomState>;

impl Heads {
    /// Takes out of a group what is not the next row of a settled run.
    pub(crate) fn take_unsettled<T>(
        &self,
        group: &mut Vec<T>,
        row: impl Fn(&T) -> Option<(ExecutionId, Incarnation, Seq)>,
    ) -> Vec<T> {
        let heads = self.lock();
        let is_next =
            |(execution, owner, seq)| heads.get(&execution).is_some_and(|head: &Head| head.precedes(owner, seq));
        group.extract_if(.., |one| !row(one).is_some_and(is_next)).collect()
    }

    /// Whether the row of this owner is the next one of a settled run.
    pub(crate) fn is_next(&self, execution: ExecutionId, owner: Incarnation, seq: Seq) -> bool {
        self.lock().get(&execution).is_some_and(|head| head.precedes(owner, seq))
    }

    /// The server has acknowledged this row, and nothing is to be settled.
    pub(crate) fn settled(&self, execution: ExecutionId, owner: Incarnation, seq: Seq) {
        self.lock().insert(execution, Head { owner, seq });
    }

    /// The server has acknowledged one row more of each of these; whether that was a run's last.
    pub(crate) fn moved_on(&self, executions: impl Iterator<Item = (ExecutionId, bool)>) {
        let mut heads = self.lock();
        for (execution, ended) in executions {
            if ended {
                heads.remove(&execution);
            } else if let Some(head) = heads.get_mut(&execution) {
                head.seq = head.seq.plus(1);
            }
        }
    }

    /// Another may have these, or has to look at them again.
    pub(crate) fn forget(&self, executions: impl Iterator<Item = ExecutionId>) {
        let mut heads = self.lock();
        for execution in executions {
            heads.remove(&execution);
        }
    }

    /// A worker drives nothing any more.
    pub(crate) fn forget_all_of(&self, owner: Incarnation) {
        self.lock().retain(|_, head| head.owner != owner);
    }

    fn lock(&self) -> MutexGuard<'_, Map> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_next_row_of_the_owner_follows_a_settled_head() {
        let heads = Heads::default();
        let run = ExecutionId::from_bytes([1; 16]);
        let [owner, other] = [1, 2].map(|number| Incarnation::from_bytes([number; 16]));
        assert!(!heads.is_next(run, owner, Seq(1)));
        heads.settled(run, owner, Seq(0));
        assert!(heads.is_next(run, owner, Seq(1)));
        assert!(!heads.is_next(run, owner, Seq(2)) && !heads.is_next(run, other, Seq(1)));
        heads.moved_on([(run, false)].into_iter());
        assert!(heads.is_next(run, owner, Seq(2)));
        heads.forget_all_of(other);
        assert!(heads.is_next(run, owner, Seq(2)));
        heads.forget_all_of(owner);
        assert!(!heads.is_next(run, owner, Seq(2)));
    }
}
