//! What must become of the bundled orders, read from their file without the program.

use serde_json::Value;

const FILE: &str = include_str!("../../examples/data/cdnow-7000.txt");

/// `order-saga` sells no more than this at once, and takes no card for more than that, unless it
/// is told otherwise.
const MOST_CDS: u64 = 10;
const MOST_CENTS: u64 = 10_000;

/// How many orders of a file end how, and what they come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Orders.
    pub orders: u64,
    /// Those that can be fulfilled.
    pub completed: u64,
    /// Those that cannot.
    pub failed: u64,
    /// What the former cost.
    pub revenue_cents: u64,
    /// How much they are.
    pub units: u64,
}

impl Figures {
    /// Those of the first orders of the bundled file.
    ///
    /// # Panics
    ///
    /// If a line is no order.
    pub fn of_first(orders: usize) -> Self {
        let mut figures = Self::default();
        for line in FILE.lines().skip(1).take(orders) {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let units: u64 = fields[2].parse().expect("a number of CDs");
            let cents: u64 = fields[3].replace('.', "").parse().expect("a price");
            figures.orders += 1;
            if cents == 0 || cents > MOST_CENTS || units > MOST_CDS {
                figures.failed += 1;
            } else {
                figures.completed += 1;
                figures.revenue_cents += cents;
                figures.units += units;
            }
        }
        figures
    }

    /// Those that an audit found.
    ///
    /// # Panics
    ///
    /// If the audit has no such figures.
    pub fn of_audit(audit: &Value) -> Self {
        let figure = |name: &str| audit[name].as_u64().unwrap_or_else(|| panic!("no {name} in {audit}"));
        Self {
            orders: figure("orders"),
            completed: figure("completed"),
            failed: figure("failed"),
            revenue_cents: figure("revenue_cents"),
            units: figure("units"),
        }
    }
}
