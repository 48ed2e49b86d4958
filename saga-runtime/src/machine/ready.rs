//! The attempts that may start once all that was taken is durable, first come, first served.

use std::collections::VecDeque;

use super::TaskKey;
use crate::few::FewMap;

/// See the module's docs. A task stands here once. Most runs have one at a time, which needs no room
/// of its own.
#[derive(Debug, Default)]
pub(super) struct Ready {
    one: Option<TaskKey>,
    /// All of them, once there are several; then there is no `one`.
    many: Option<Box<Many>>,
}

impl Ready {
    pub(super) fn is_empty(&self) -> bool {
        self.one.is_none() && self.many.as_ref().is_none_or(|many| many.is_empty())
    }

    pub(super) fn push(&mut self, key: TaskKey) {
        if self.is_empty() {
            self.one = Some(key);
        } else if self.one.as_ref() != Some(&key) {
            self.many().push(key);
        }
    }

    pub(super) fn remove(&mut self, key: &TaskKey) {
        self.one.take_if(|one| one == key);
        if let Some(many) = &mut self.many {
            many.remove(key);
        }
    }

    /// The next one that was not set aside.
    pub(super) fn pop(&mut self) -> Option<TaskKey> {
        self.one.take().or_else(|| self.many.as_mut()?.pop())
    }

    /// It starts when all others have: one at a time.
    pub(super) fn set_aside(&mut self, key: TaskKey) {
        self.many().set_aside(key);
    }

    /// The next one that was set aside.
    pub(super) fn pop_aside(&mut self) -> Option<TaskKey> {
        self.many.as_mut()?.pop_aside()
    }

    /// If there is one only: which.
    pub(super) fn only(&self) -> Option<&TaskKey> {
        self.one.as_ref().or_else(|| self.many.as_ref()?.only())
    }

    /// The run only waits: room that it may need later is given back.
    pub(super) fn rest(&mut self) {
        if self.is_empty() {
            self.clear();
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Undoing begins: steps do not start any more.
    pub(super) fn keep_undos(&mut self) {
        self.one.take_if(|one| !one.undo);
        if let Some(many) = &mut self.many {
            many.keep_undos();
        }
    }

    fn many(&mut self) -> &mut Many {
        let one = self.one.take();
        let many = self.many.get_or_insert_default();
        if let Some(one) = one {
            many.push(one);
        }
        many
    }
}

/// Several ready tasks.
#[derive(Debug, Default)]
struct Many {
    /// In their order. What was taken out from between stays until it is met.
    queue: VecDeque<(u64, TaskKey)>,
    /// Those that are inside the journal's transaction, which start one at a time.
    one_by_one: VecDeque<(u64, TaskKey)>,
    /// The turn of each.
    turns: FewMap<TaskKey, u64>,
    next: u64,
}

impl Many {
    fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    fn push(&mut self, key: TaskKey) {
        if self.turns.contains_key(&key) {
            return;
        }
        let turn = self.next;
        self.next += 1;
        self.turns.insert(key.clone(), turn);
        self.queue.push_back((turn, key));
    }

    fn remove(&mut self, key: &TaskKey) {
        if !self.turns.is_empty() {
            self.turns.remove(key);
            self.let_go();
        }
    }

    /// The next one that was not set aside.
    fn pop(&mut self) -> Option<TaskKey> {
        pop(&mut self.queue, &mut self.turns)
    }

    /// It starts when all others have: one at a time.
    fn set_aside(&mut self, key: TaskKey) {
        let turn = self.next;
        self.next += 1;
        self.turns.insert(key.clone(), turn);
        self.one_by_one.push_back((turn, key));
    }

    /// The next one that was set aside.
    fn pop_aside(&mut self) -> Option<TaskKey> {
        pop(&mut self.one_by_one, &mut self.turns)
    }

    /// If there is one only: which.
    fn only(&self) -> Option<&TaskKey> {
        let mut keys = self.turns.keys();
        let first = keys.next()?;
        keys.next().is_none().then_some(first)
    }

    /// Undoing begins: steps do not start any more.
    fn keep_undos(&mut self) {
        self.turns.retain(|key, _| key.undo);
        self.let_go();
    }

    fn let_go(&mut self) {
        if self.turns.is_empty() {
            self.queue.clear();
            self.one_by_one.clear();
        }
    }
}

/// The first whose turn is still this one.
fn pop(queue: &mut VecDeque<(u64, TaskKey)>, turns: &mut FewMap<TaskKey, u64>) -> Option<TaskKey> {
    while let Some((turn, key)) = queue.pop_front() {
        match turns.remove(&key) {
            Some(current) if current == turn => return Some(key),
            Some(later) => drop(turns.insert(key, later)),
            None => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use saga_store::wire::OpId;

    use super::*;

    #[test]
    fn one_and_many_ready_tasks_stand_in_one_order() {
        let (mut ready, mut model) = (Ready::default(), VecDeque::new());
        let mut word = 1_u64;
        for _ in 0..20_000 {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = u32::try_from((word >> 40) % 5).unwrap();
            let key = TaskKey { op: OpId::root().child(number), undo: number == 0 };
            match (word >> 58) % 16 {
                0..8 => {
                    if !model.contains(&key) {
                        model.push_back(key.clone());
                    }
                    ready.push(key);
                }
                8..14 => assert_eq!(ready.pop(), model.pop_front()),
                14 => {
                    model.retain(|other| *other != key);
                    ready.remove(&key);
                }
                _ => {
                    model.retain(|key: &TaskKey| key.undo);
                    ready.keep_undos();
                }
            }
            assert_eq!(ready.is_empty(), model.is_empty());
            assert_eq!(ready.only(), model.front().filter(|_| model.len() == 1));
        }
    }

    #[test]
    fn what_is_set_aside_comes_when_all_others_have() {
        let key = |number| TaskKey { op: OpId::root().child(number), undo: false };
        let mut ready = Ready::default();
        ready.push(key(1));
        ready.push(key(2));
        let first = ready.pop().unwrap();
        ready.set_aside(first);
        ready.push(key(3));
        assert_eq!((ready.pop(), ready.pop(), ready.pop()), (Some(key(2)), Some(key(3)), None));
        assert_eq!(ready.only(), Some(&key(1)));
        assert_eq!((ready.pop_aside(), ready.pop_aside()), (Some(key(1)), None));
        assert!(ready.is_empty());
    }
}
