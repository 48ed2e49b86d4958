//! What the program prints: tables for people, one JSON object for programs.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::audit::Audit;
use crate::runs::{OrderState, Runs};
use crate::saga::Refusal;

/// Good news.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// A failure that is dealt with.
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default();
/// A failure.
pub(crate) const BAD: Style = AnsiColor::Red.on_default();
/// What matters less.
pub(crate) const DIM: Style = Style::new().dimmed();
/// A heading.
pub(crate) const BOLD: Style = Style::new().bold();

/// What a call of `run` came to. All but the last two count all orders of the file, over all
/// calls.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// Orders in the file.
    pub(crate) orders: u64,
    /// Those that completed.
    pub(crate) completed: u64,
    /// Those that were not valid.
    pub(crate) invalid: u64,
    /// Those that the shop had too few for.
    pub(crate) out_of_stock: u64,
    /// Those whose card was declined.
    pub(crate) declined: u64,
    /// Completed forward activities, notices included.
    pub(crate) steps: u64,
    /// Completed compensations.
    pub(crate) undone: u64,
    /// Attempts that were not the first ones of their steps.
    pub(crate) retries: u64,
    /// How long this call took.
    pub(crate) seconds: f64,
    /// How many orders ended during this call, in a second.
    pub(crate) orders_per_s: f64,
}

impl Summary {
    /// Counts how the orders ended.
    pub(crate) fn count<'a>(runs: &Runs, ids: impl Iterator<Item = &'a str>) -> Self {
        let mut summary = Self::default();
        for id in ids {
            summary.orders += 1;
            match runs.state(id) {
                OrderState::Completed => summary.completed += 1,
                OrderState::Refused(Refusal::Invalid) => summary.invalid += 1,
                OrderState::Refused(Refusal::OutOfStock) => summary.out_of_stock += 1,
                OrderState::Refused(Refusal::Declined) => summary.declined += 1,
                _ => {}
            }
        }
        summary
    }

    /// Adds how fast this call was.
    pub(crate) fn set_speed(&mut self, ended: usize, took: Duration) {
        let seconds = took.as_secs_f64();
        self.seconds = (seconds * 1000.0).round() / 1000.0;
        let ended = f64::from(u32::try_from(ended).unwrap_or(u32::MAX));
        self.orders_per_s = (ended / seconds.max(1e-6) * 10.0).round() / 10.0;
    }

    /// Orders that did not end in the course of business: cancelled, dead, out of attempts, or
    /// not at an end yet.
    pub(crate) fn others(&self) -> u64 {
        self.orders - self.completed - self.invalid - self.out_of_stock - self.declined
    }

    /// Prints a table.
    pub(crate) fn print(&self) {
        heading("orders", self.orders);
        row("completed", self.completed, GOOD);
        row("invalid", self.invalid, WARNING);
        row("out of stock", self.out_of_stock, WARNING);
        row("declined", self.declined, WARNING);
        if self.others() > 0 {
            row("other, or open", self.others(), BAD);
        }
        row("steps", self.steps, Style::new());
        row("undone", self.undone, Style::new());
        row("retries", self.retries, Style::new());
        anstream::println!("{DIM}{:.3} s, {:.1} orders/s{DIM:#}", self.seconds, self.orders_per_s);
    }
}

impl Audit {
    /// Prints a table.
    pub(crate) fn print(&self) {
        heading("orders", self.orders);
        row("completed", self.completed, GOOD);
        row("failed", self.failed, WARNING);
        for (name, count) in [
            ("missing", self.missing),
            ("duplicate charges", self.duplicate_charges),
            ("unrefunded charges", self.unrefunded_charges),
            ("leaked reservations", self.leaked_reservations),
            ("stock mismatch", self.stock_mismatch),
            ("duplicate confirmations", self.duplicate_confirmations),
            ("missing notices", self.missing_notices),
        ] {
            row(name, count, if count > 0 { BAD } else { GOOD });
        }
        row("revenue in cents", self.revenue_cents, Style::new());
        row("units", self.units, Style::new());
        let violations = self.violations();
        if violations.is_empty() {
            anstream::println!("{GOOD}clean{GOOD:#}");
        } else {
            let names: Vec<_> = violations.iter().map(|(name, count)| format!("{count} {name}")).collect();
            anstream::println!("{BAD}violated: {}{BAD:#}", names.join(", "));
        }
    }
}

/// Prints a value as one line of JSON.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    anstream::println!("{}", serde_json::to_string(value)?);
    Ok(())
}

fn heading(name: &str, count: u64) {
    anstream::println!("{BOLD}{name:<24}{:>13}{BOLD:#}", grouped(count));
}

fn row(name: &str, count: u64, style: Style) {
    anstream::println!("  {name:<22}{style}{:>13}{style:#}", grouped(count));
}

/// A number with its thousands set apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(value: &impl Serialize) -> String {
        let text = serde_json::to_string(value).unwrap();
        text.split('"').skip(1).step_by(2).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_json_keys_are_those_that_were_promised_in_their_order() {
        assert_eq!(
            keys(&Summary::default()),
            "orders completed invalid out_of_stock declined steps undone retries seconds orders_per_s"
        );
        assert_eq!(
            keys(&Audit::default()),
            "orders completed failed missing duplicate_charges unrefunded_charges leaked_reservations stock_mismatch \
             duplicate_confirmations missing_notices revenue_cents units"
        );
    }

    #[test]
    fn speed_is_orders_that_ended_over_seconds() {
        let mut summary = Summary::default();
        summary.set_speed(7000, Duration::from_millis(3500));
        assert_eq!((summary.seconds.to_string(), summary.orders_per_s.to_string()), ("3.5".into(), "2000".into()));
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1000, 201_467_830].map(grouped), ["0", "999", "1,000", "201,467,830"]);
    }
}
