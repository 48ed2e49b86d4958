//! The runs that this worker drives now.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use saga_store::ExecutionId;
use tokio::sync::Notify;

use super::mailbox::Mailbox;
use super::membership::Tenure;
use super::queues::{Full, Place};
use crate::by_execution::ByExecution;

#[derive(Default)]
struct Runs {
    live: ByExecution<Arc<Mailbox>>,
    /// Runs that this worker was given again before their driver had left.
    again: ByExecution<Tenure>,
    /// Runs that this worker was given and whose journals are being read.
    coming: ByExecution<Expected>,
    /// Runs that are being started for this worker.
    seats: ByExecution<Seat>,
    /// Places that are kept for what a call of the store may give.
    reserved: usize,
    /// Runs that have ended, and whose attempts have their time to stop.
    winding_down: HashMap<u64, Arc<Mailbox>>,
    wound_down: u64,
}

/// A run that will have a driver soon.
#[derive(Default)]
struct Expected {
    /// By how many who read its journal.
    by: usize,
    /// It has a message that may have come after its inbox was read.
    woken: bool,
}

/// The place of a run that is being started.
struct Seat {
    /// Its place among those of its queue, if that is limited.
    place: Option<Place>,
    woken: bool,
}

impl Runs {
    fn taken(&self) -> usize {
        self.live.len() + self.seats.len() + self.reserved + self.winding_down.len()
    }

    fn is_empty(&self) -> bool {
        self.live.is_empty() && self.winding_down.is_empty()
    }
}

/// The mailboxes of all live runs, with a limit to their number.
pub(crate) struct LiveRuns {
    limit: usize,
    runs: Mutex<Runs>,
    room: Notify,
    look: Notify,
    emptied: Notify,
}

impl LiveRuns {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, runs: Mutex::default(), room: Notify::new(), look: Notify::new(), emptied: Notify::new() }
    }

    /// Whether there are as many as may be.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.limit
    }

    /// Keeps room for up to so many runs that a call of the store may give, until the answer is
    /// dropped; nothing, if there is none. What is started here meanwhile cannot take it.
    pub(crate) fn reserve(&self, most: usize) -> Option<Reserved<'_>> {
        let mut runs = self.lock();
        let places = self.limit.saturating_sub(runs.taken()).min(most);
        if places == 0 {
            return None;
        }
        runs.reserved += places;
        Some(Reserved { live: self, places, tells: false })
    }

    /// Keeps a place for a run that is being started, and what `queue` gives for it; whether there are
    /// both. A start that is sent again has the place that it has.
    pub(crate) fn keep_place(
        &self,
        execution: ExecutionId,
        queue: impl FnOnce() -> Result<Option<Place>, Full>,
    ) -> bool {
        let mut runs = self.lock();
        if runs.seats.contains_key(&execution) {
            return true;
        }
        if runs.taken() >= self.limit {
            return false;
        }
        let Ok(place) = queue() else { return false };
        runs.seats.insert(execution, Seat { place, woken: false });
        true
    }

    /// The same, whether there is room or not.
    pub(crate) fn take_place(&self, execution: ExecutionId, queue: impl FnOnce() -> Option<Place>) {
        self.lock().seats.entry(execution).or_insert_with(|| Seat { place: queue(), woken: false });
    }

    /// A run that was being started does not come, or has come.
    pub(crate) fn let_go(&self, execution: ExecutionId) {
        let made_room = {
            let mut runs = self.lock();
            let was_full = runs.taken() >= self.limit;
            runs.seats.remove(&execution).is_some_and(|seat| was_full || seat.place.is_some())
        };
        if made_room {
            self.made_room();
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().live.len()
    }

    pub(crate) fn contains(&self, execution: ExecutionId) -> bool {
        self.lock().live.contains_key(&execution)
    }

    /// Adds a run; gives the place of its queue too that was kept for it. If its last driver has not
    /// left yet, it is told to, and [`Self::remove`] will say that there is more to do.
    pub(crate) fn insert(&self, execution: ExecutionId, tenure: &Tenure) -> Option<(Arc<Mailbox>, Option<Place>)> {
        let mut runs = self.lock();
        let seat = runs.seats.remove(&execution);
        if let Some(leaving) = runs.live.get(&execution) {
            // The store has given the run away meanwhile: what the driver goes on with is refused.
            leaving.lost();
            runs.again.insert(execution, tenure.clone());
            return None;
        }
        let mailbox = Arc::new(Mailbox::default());
        let woken = runs.coming.get(&execution).is_some_and(|coming| coming.woken);
        if woken || seat.as_ref().is_some_and(|seat| seat.woken) {
            mailbox.inbox();
        }
        runs.live.insert(execution, Arc::clone(&mailbox));
        Some((mailbox, seat.and_then(|seat| seat.place)))
    }

    /// The driver of a run leaves. If this worker was given the run again meanwhile, says by what
    /// right.
    pub(crate) fn remove(&self, execution: ExecutionId) -> Option<Tenure> {
        let (was_full, is_empty, again) = {
            let mut runs = self.lock();
            let was_full = runs.taken() >= self.limit;
            runs.live.remove(&execution);
            (was_full, runs.is_empty(), runs.again.remove(&execution))
        };
        if was_full {
            self.made_room();
        }
        if is_empty {
            self.emptied.notify_one();
        }
        again
    }

    pub(crate) fn get(&self, execution: ExecutionId) -> Option<Arc<Mailbox>> {
        self.lock().live.get(&execution).cloned()
    }

    /// Tells a run's driver that it may have a message; one that is about to come hears it when it is
    /// there, since its inbox may have been read before. Whether there is one.
    pub(crate) fn nudge(&self, execution: ExecutionId) -> bool {
        let mut runs = self.lock();
        let live = runs.live.get(&execution).map(|mailbox| mailbox.inbox());
        let coming = runs.coming.get_mut(&execution).map(|coming| coming.woken = true);
        let seat = runs.seats.get_mut(&execution).map(|seat| seat.woken = true);
        live.or(coming).or(seat).is_some()
    }

    /// A run has ended, and its attempts have their time to stop: they keep its place, and hear if the
    /// engine does not wait for them any more. Gives what to call [`Self::wound_down`] with.
    pub(crate) fn winds_down(&self, mailbox: Arc<Mailbox>) -> u64 {
        let mut runs = self.lock();
        runs.wound_down += 1;
        let number = runs.wound_down;
        runs.winding_down.insert(number, mailbox);
        number
    }

    /// Its attempts have stopped.
    pub(crate) fn wound_down(&self, number: u64) {
        let (was_full, is_empty) = {
            let mut runs = self.lock();
            let was_full = runs.taken() >= self.limit;
            runs.winding_down.remove(&number);
            (was_full, runs.is_empty())
        };
        if was_full {
            self.made_room();
        }
        if is_empty {
            self.emptied.notify_one();
        }
    }

    /// The engine is over: all drivers drop their runs, and nobody waits for attempts.
    pub(crate) fn abandon(&self) {
        let ended: Vec<_> = self.lock().winding_down.values().cloned().collect();
        for mailbox in ended {
            mailbox.lost();
        }
        self.for_each(Mailbox::lost);
    }

    /// Tells all that have a driver.
    pub(crate) fn for_each(&self, mut tell: impl FnMut(&Mailbox)) {
        self.all().into_values().for_each(|mailbox| tell(&mailbox));
    }

    /// All that have a driver. In one order, so that a test that repeats itself sees the same again.
    pub(crate) fn all(&self) -> BTreeMap<ExecutionId, Arc<Mailbox>> {
        self.lock().live.iter().map(|(execution, mailbox)| (*execution, Arc::clone(mailbox))).collect()
    }

    /// These will have a driver soon, or not, if the answer is dropped.
    pub(crate) fn expect(&self, executions: &[ExecutionId]) -> Coming<'_> {
        let mut runs = self.lock();
        for execution in executions {
            runs.coming.entry(*execution).or_default().by += 1;
        }
        Coming { live: self, executions: executions.to_vec() }
    }

    /// Whether a run has a driver, or will have one soon.
    pub(crate) fn has(&self, execution: ExecutionId) -> bool {
        let runs = self.lock();
        runs.live.contains_key(&execution) || runs.coming.contains_key(&execution)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Lets the claim loop look.
    pub(crate) fn look_again(&self) {
        self.look.notify_one();
    }

    /// There may be room again.
    pub(crate) fn made_room(&self) {
        self.room.notify_one();
    }

    /// Waits until the claim loop shall look; also once there may be room again, if that is what it is
    /// short of. One task waits for it.
    pub(crate) async fn to_look(&self, short_of_room: bool) {
        tokio::select! {
            biased;
            () = self.look.notified() => {}
            () = self.room.notified(), if short_of_room => {}
        }
    }

    /// Waits until no run is left, nor an attempt of one. One task waits for it.
    pub(crate) async fn emptied(&self) {
        while !self.is_empty() {
            self.emptied.notified().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room for runs that a call of the store may give.
pub(crate) struct Reserved<'a> {
    live: &'a LiveRuns,
    places: usize,
    tells: bool,
}

impl Reserved<'_> {
    /// Says that there is room when these places are free again: for all but the claim loop.
    pub(crate) fn told(mut self) -> Self {
        self.tells = true;
        self
    }

    pub(crate) fn places(&self) -> usize {
        self.places
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        let was_full = {
            let mut runs = self.live.lock();
            let was_full = runs.taken() >= self.live.limit;
            runs.reserved -= self.places;
            was_full
        };
        if self.tells && was_full {
            self.live.made_room();
        }
    }
}

/// Runs that are about to have drivers.
pub(crate) struct Coming<'a> {
    live: &'a LiveRuns,
    executions: Vec<ExecutionId>,
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        let mut runs = self.live.lock();
        for execution in &self.executions {
            if let Entry::Occupied(mut expected) = runs.coming.entry(*execution) {
                expected.get_mut().by -= 1;
                if expected.get().by == 0 {
                    expected.remove();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use saga_store::Incarnation;

    use super::super::membership::Membership;
    use super::*;

    #[test]
    fn a_run_that_is_given_back_before_its_driver_has_left_is_not_forgotten() {
        let live = LiveRuns::new(2);
        let execution = ExecutionId::from_bytes([1; 16]);
        let member = |number| Arc::new(Membership::new(Incarnation::from_bytes([number; 16]), Duration::ZERO));
        let (first, second) = (Tenure::own(member(1)), Tenure { taken_over: true, ..Tenure::own(member(2)) });
        let (leaving, _) = live.insert(execution, &first).unwrap();
        assert!(live.insert(execution, &second).is_none());
        live.get(execution).unwrap().inbox();
        let again = live.remove(execution).unwrap();
        assert!(again.taken_over && Arc::ptr_eq(&again.membership, &second.membership));
        let mail = leaving.take();
        assert!(mail.inbox && mail.lost && !mail.stop, "the old driver is told to leave");
        assert!(live.insert(execution, &second).is_some());
        assert!(live.remove(execution).is_none());
    }

    #[test]
    fn no_two_take_the_same_place() {
        let live = LiveRuns::new(3);
        let [first, second, third] = [1, 2, 3].map(|number| ExecutionId::from_bytes([number; 16]));
        let tenure = Tenure::own(Arc::new(Membership::new(Incarnation::from_bytes([9; 16]), Duration::ZERO)));
        let keep_place = |execution| live.keep_place(execution, || Ok(None));
        assert!(keep_place(first));
        let reserved = live.reserve(10).unwrap();
        assert_eq!(reserved.places(), 2);
        assert!(!keep_place(second) && live.reserve(1).is_none());
        drop(reserved);
        assert!(keep_place(second) && keep_place(third) && !live.is_full());
        assert!(live.insert(first, &tenure).is_some());
        live.let_go(first);
        assert!(live.reserve(1).is_none(), "its place is its own by now");
        live.let_go(second);
        assert_eq!(live.reserve(10).map(|reserved| reserved.places()), Some(1));
    }

    #[tokio::test]
    async fn room_wakes_the_claim_loop_only_if_it_is_short_of_it() {
        let live = LiveRuns::new(1);
        let execution = ExecutionId::from_bytes([1; 16]);
        let tenure = Tenure::own(Arc::new(Membership::new(Incarnation::from_bytes([9; 16]), Duration::ZERO)));
        assert!(live.insert(execution, &tenure).is_some());
        live.remove(execution);
        assert!(live.to_look(false).now_or_never().is_none());
        assert!(live.to_look(true).now_or_never().is_some(), "the room that there was is not forgotten");
        assert!(live.to_look(true).now_or_never().is_none());
        live.look_again();
        assert!(live.to_look(false).now_or_never().is_some());
    }

    #[test]
    fn a_message_for_a_run_that_is_about_to_come_is_not_forgotten() {
        let live = LiveRuns::new(9);
        let [coming, started, stranger] = [1, 2, 3].map(|number| ExecutionId::from_bytes([number; 16]));
        let tenure = Tenure::own(Arc::new(Membership::new(Incarnation::from_bytes([9; 16]), Duration::ZERO)));
        let expected = live.expect(&[coming]);
        assert!(live.keep_place(started, || Ok(None)));
        assert_eq!([coming, started, stranger].map(|run| live.nudge(run)), [true, true, false]);
        for run in [coming, started] {
            assert!(live.insert(run, &tenure).unwrap().0.take().inbox);
        }
        drop(expected);
        assert!(!live.insert(stranger, &tenure).unwrap().0.take().inbox);
        live.remove(coming);
        let _again = live.expect(&[coming]);
        assert!(!live.insert(coming, &tenure).unwrap().0.take().inbox, "a word is heard once");
    }

    #[test]
    fn a_run_that_winds_down_keeps_its_place_and_is_waited_for() {
        let live = LiveRuns::new(1);
        let mailbox = Arc::new(Mailbox::default());
        let number = live.winds_down(Arc::clone(&mailbox));
        assert!(live.reserve(1).is_none() && !live.is_empty());
        live.for_each(Mailbox::lost);
        assert!(!mailbox.peek().lost, "it has ended, whoever has the runs now");
        live.abandon();
        assert!(mailbox.peek().lost);
        live.wound_down(number);
        assert!(live.reserve(1).is_some() && live.is_empty());
    }

    #[test]
    fn a_run_that_is_expected_twice_is_until_both_have_come() {
        let live = LiveRuns::new(2);
        let executions = [1, 2].map(|number| ExecutionId::from_bytes([number; 16]));
        let [both, second] = [live.expect(&executions), live.expect(&executions[1..])];
        assert!(executions.iter().all(|execution| live.has(*execution)));
        drop(both);
        assert_eq!(executions.map(|execution| live.has(execution)), [false, true]);
        drop(second);
        assert!(!live.has(executions[1]));
    }
}
