//! What must become of orders, read from their file without the program.

use std::path::{Path, PathBuf};

use serde_json::Value;

const FILE: &str = include_str!("../../examples/data/cdnow-7000.txt");

/// `order-saga` sells no more than this at once, and takes no card for more than that, unless it
/// is told otherwise.
const MOST_CDS: u64 = 10;
const MOST_CENTS: u64 = 10_000;

/// The first orders of a file.
#[derive(Debug, Clone)]
pub struct Orders {
    file: Option<PathBuf>,
    count: usize,
    figures: Figures,
}

impl Orders {
    /// So many of those that come with `order-saga`.
    ///
    /// # Panics
    ///
    /// If a line is no order.
    pub fn bundled(count: usize) -> Self {
        Self { file: None, count, figures: Figures::of(FILE.lines().skip(1).take(count)) }
    }

    /// All of a file.
    ///
    /// # Panics
    ///
    /// If it cannot be read, or a line is no order.
    pub fn of_file(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let path = std::path::absolute(path).expect("a path has a folder");
        Self { file: Some(path), count: text.lines().skip(1).count(), figures: Figures::of(text.lines().skip(1)) }
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.count
    }

    /// What must become of them.
    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// How `order-saga` is told of the first so many of them.
    pub fn arguments(&self, first: usize) -> Vec<String> {
        let mut arguments = vec!["--limit".to_owned(), first.to_string()];
        if let Some(file) = &self.file {
            arguments.extend(["--orders".to_owned(), file.display().to_string()]);
        }
        arguments
    }
}

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
    /// Those of a file's lines, but for its head.
    fn of<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut figures = Self::default();
        for line in lines {
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
