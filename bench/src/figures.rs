//! What is printed: figures with a name and a unit, as a table or as JSON.

use std::time::Duration;

use serde_json::{Map, Value};

/// One measurement's figures, in the order in which they are read.
#[derive(Debug, Clone)]
pub struct Figures {
    title: String,
    rows: Vec<Row>,
}

#[derive(Debug, Clone)]
struct Row {
    name: &'static str,
    value: Option<f64>,
    unit: &'static str,
}

impl Figures {
    /// Without figures yet.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), rows: Vec::new() }
    }

    /// Adds a figure; `None` if this machine or this server cannot tell it.
    pub fn add(&mut self, name: &'static str, value: impl Into<Option<f64>>, unit: &'static str) -> &mut Self {
        self.rows.push(Row { name, value: value.into(), unit });
        self
    }

    /// The figure of this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.rows.iter().find(|row| row.name == name).and_then(|row| row.value)
    }

    /// For programs: an object with a member for each figure.
    pub fn to_json(&self) -> Value {
        let figure = |row: &Row| {
            let value = row.value.and_then(serde_json::Number::from_f64).map_or(Value::Null, Value::Number);
            (row.name.to_owned(), value)
        };
        let mut members = Map::from_iter([("title".to_owned(), Value::String(self.title.clone()))]);
        members.extend(self.rows.iter().map(figure));
        Value::Object(members)
    }

    /// Prints them.
    pub fn print(&self, json: bool) {
        if json {
            println!("{}", self.to_json());
            return;
        }
        println!("{}", self.title);
        for Row { name, value, unit } in &self.rows {
            let shown = value.map_or_else(|| "-".to_owned(), readable);
            println!("  {:<28} {shown:>14} {unit}", name.replace('_', " "));
        }
    }
}

/// Three digits that matter, with separators between thousands.
fn readable(value: f64) -> String {
    let size = value.abs();
    if size >= 1_000.0 {
        let whole = format!("{value:.0}");
        let (sign, digits) = whole.strip_prefix('-').map_or(("", &whole[..]), |digits| ("-", digits));
        let mut out = String::from(sign);
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                out.push(',');
            }
            out.push(digit);
        }
        out
    } else if size >= 100.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    }
}

/// A count as a figure.
#[expect(clippy::cast_precision_loss, reason = "a figure to read")]
pub fn count(number: impl TryInto<u64>) -> f64 {
    number.try_into().unwrap_or(u64::MAX) as f64
}

/// Milliseconds.
pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The value below which that share of them lies. Sorts them.
pub fn percentile(times: &mut [Duration], share: f64) -> Duration {
    times.sort_unstable();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index within the slice")]
    let at = (count(times.len().saturating_sub(1)) * share).round() as usize;
    times.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_with_three_digits_and_separators() {
        let shown: Vec<_> = [0.12345, 1.5, 12.34, 123.4, 1_234.0, 123_456.7, -1_234.0].map(readable).into();
        assert_eq!(shown, ["0.123", "1.500", "12.3", "123", "1,234", "123,457", "-1,234"]);
    }

    #[test]
    fn percentiles_are_taken_from_the_sorted_times() {
        let mut times: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&mut times, 0.0), Duration::from_millis(1));
        assert_eq!(percentile(&mut times, 1.0), Duration::from_millis(100));
        assert_eq!(percentile(&mut [], 0.5), Duration::ZERO);
    }
}
