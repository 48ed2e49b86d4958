//! Spans of time on the command line.

use std::time::Duration;

/// Reads a number of seconds, from 1 to an hour's.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("expected a number of seconds: {error}"))?;
    if (1.0..=3600.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("expected from 1 to 3600 seconds".to_owned())
    }
}
