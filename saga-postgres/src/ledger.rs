//! Numbers of claims, so that a claim whose answer was lost is answered again.
//!
//! A claim gives runs away. If its answer is lost, nobody drives what it gave: the worker does not
//! know of it, and to all others the worker lives. So each claim, and each takeover, has a number,
//! the server keeps what the last one of each worker gave, and after an error the next one goes out
//! with the same number.

use std::collections::BTreeMap;

use saga_store::Incarnation;

/// The number of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) number: i64,
    /// Whether a call of this number went out before, and nobody knows what became of it. The
    /// server then keeps the number even if it gives nothing, so that the one before, if it comes
    /// late, gives nothing either.
    pub(crate) again: bool,
}

/// The numbers of this process's workers.
#[derive(Debug, Default)]
pub(crate) struct Ledger(BTreeMap<Incarnation, Ticket>);

impl Ledger {
    /// The number for a call that is about to go out. One call of a worker is under way at a time.
    pub(crate) fn begin(&mut self, worker: Incarnation) -> Ticket {
        let next = self.0.entry(worker).or_insert(Ticket { number: 1, again: false });
        let ticket = *next;
        next.again = true;
        ticket
    }

    /// The call was answered.
    pub(crate) fn settle(&mut self, worker: Incarnation) {
        if let Some(ticket) = self.0.get_mut(&worker) {
            *ticket = Ticket { number: ticket.number + 1, again: false };
        }
    }

    /// The worker claims nothing more.
    pub(crate) fn forget(&mut self, worker: Incarnation) {
        self.0.remove(&worker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_without_an_answer_goes_out_with_the_same_number() {
        let mut ledger = Ledger::default();
        let [one, two] = [1, 2].map(|number| Incarnation::from_bytes([number; 16]));
        assert_eq!(ledger.begin(one), Ticket { number: 1, again: false });
        assert_eq!(ledger.begin(one), Ticket { number: 1, again: true });
        ledger.settle(one);
        assert_eq!(ledger.begin(one), Ticket { number: 2, again: false });
        assert_eq!(ledger.begin(two), Ticket { number: 1, again: false });
    }
}
