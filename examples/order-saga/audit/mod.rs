//! The audit: the shop's own tables against the runs. Whatever was lost, doubled or left behind
//! is a violation.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::orders::Order;
use crate::runs::{OrderState, Runs};
use crate::shop::{Books, MailKind};

/// What an audit found.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Audit {
    /// Orders in the file.
    pub(crate) orders: u64,
    /// Those that completed.
    pub(crate) completed: u64,
    /// Those that failed or were cancelled; all that they did must be taken back.
    pub(crate) failed: u64,
    /// Those without an end, and those that completed without exactly what they asked for: stock
    /// held, cents charged, a confirmation.
    pub(crate) missing: u64,
    /// Charges beyond the first one of an order.
    pub(crate) duplicate_charges: u64,
    /// Charges that were not paid back although their order did not complete.
    pub(crate) unrefunded_charges: u64,
    /// Reservations that were not released although their order did not complete.
    pub(crate) leaked_reservations: u64,
    /// Articles whose stock is not what it was in the beginning less what is held.
    pub(crate) stock_mismatch: u64,
    /// Confirmations beyond the first one of an order, and those of orders that failed.
    pub(crate) duplicate_confirmations: u64,
    /// Failed orders whose customer was not told.
    pub(crate) missing_notices: u64,
    /// Cents that were charged and not paid back.
    pub(crate) revenue_cents: u64,
    /// Articles that are held and not given back.
    pub(crate) units: u64,
}

impl Audit {
    /// The violations: their names and counts.
    pub(crate) fn violations(&self) -> Vec<(&'static str, u64)> {
        let mut found = vec![
            ("missing", self.missing),
            ("duplicate_charges", self.duplicate_charges),
            ("unrefunded_charges", self.unrefunded_charges),
            ("leaked_reservations", self.leaked_reservations),
            ("stock_mismatch", self.stock_mismatch),
            ("duplicate_confirmations", self.duplicate_confirmations),
            ("missing_notices", self.missing_notices),
        ];
        found.retain(|(_, count)| *count > 0);
        found
    }
}

/// What the shop has of one order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Effects {
    charges: u64,
    kept_charges: u64,
    kept_cents: i64,
    kept_holdings: u64,
    kept_units: i64,
    confirmations: u64,
    notices: u64,
}

/// Holds the shop's tables against the runs.
pub(crate) fn audit(orders: &[Order], runs: &Runs, books: &Books) -> Audit {
    let effects = effects(books);
    let mut audit = Audit { orders: count(orders.len()), ..Audit::default() };
    for order in orders {
        let none = Effects::default();
        let has = effects.get(order.id.as_str()).unwrap_or(&none);
        match runs.state(order.id.as_str()) {
            OrderState::Completed => {
                audit.completed += 1;
                audit.missing += u64::from(!is_fulfilled(order, has));
            }
            OrderState::Refused(_) | OrderState::Failed => {
                audit.failed += 1;
                audit.missing_notices += u64::from(has.notices == 0);
            }
            OrderState::Cancelled => audit.failed += 1,
            OrderState::Absent | OrderState::Open | OrderState::Stuck => audit.missing += 1,
        }
    }
    for (order, has) in &effects {
        audit.duplicate_charges += has.charges.saturating_sub(1);
        let state = runs.state(order);
        // What an open order has may still be completed or taken back.
        if !matches!(state, OrderState::Completed | OrderState::Open) {
            audit.unrefunded_charges += has.kept_charges;
            audit.leaked_reservations += has.kept_holdings;
        }
        // An order can be cancelled while its confirmation is on its way.
        let allowed = u64::from(!matches!(state, OrderState::Refused(_) | OrderState::Failed | OrderState::Absent));
        audit.duplicate_confirmations += has.confirmations.saturating_sub(allowed);
        audit.revenue_cents += unsigned(has.kept_cents);
        audit.units += unsigned(has.kept_units);
    }
    audit.stock_mismatch = stock_mismatch(books);
    audit
}

fn is_fulfilled(order: &Order, has: &Effects) -> bool {
    unsigned(has.kept_cents) >= order.cents
        && has.kept_charges >= 1
        && unsigned(has.kept_units) == u64::from(order.quantity)
        && has.confirmations >= 1
}

fn effects(books: &Books) -> BTreeMap<&str, Effects> {
    let mut effects: BTreeMap<&str, Effects> = BTreeMap::new();
    for charge in &books.charges {
        let has = effects.entry(&charge.order).or_default();
        has.charges += 1;
        if !charge.refunded {
            has.kept_charges += 1;
            has.kept_cents += charge.cents;
        }
    }
    for holding in books.holdings.iter().filter(|holding| !holding.released) {
        let has = effects.entry(&holding.order).or_default();
        has.kept_holdings += 1;
        has.kept_units += holding.quantity;
    }
    for mail in &books.mails {
        let has = effects.entry(&mail.order).or_default();
        match mail.kind {
            MailKind::Confirmation => has.confirmations += 1,
            MailKind::FailureNotice => has.notices += 1,
        }
    }
    effects
}

fn stock_mismatch(books: &Books) -> u64 {
    let mut held: BTreeMap<&str, i64> = BTreeMap::new();
    for holding in books.holdings.iter().filter(|holding| !holding.released) {
        *held.entry(&holding.sku).or_default() += holding.quantity;
    }
    let wrong = books.stock.iter().filter(|line| {
        let held = held.get(line.sku.as_str()).copied().unwrap_or(0);
        line.initial - line.available != held
    });
    let known: BTreeSet<&str> = books.stock.iter().map(|line| line.sku.as_str()).collect();
    let unknown = held.keys().filter(|sku| !known.contains(*sku));
    count(wrong.count() + unknown.count())
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
