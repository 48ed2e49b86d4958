//! Durations as users write them: `"5s"`, `"100ms"`, `"1h30m"`.

use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// The duration that `text` says, or what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    const FORM: &str = "a duration is a number and a unit, `ns`, `us`, `ms`, `s`, `m`, `h` or `d`: for example \"5s\", \"100ms\", \"1h30m\"";
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(FORM.to_owned());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (digits, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let unit = unit.trim();
        if digits.is_empty() {
            return Err(FORM.to_owned());
        }
        if unit.is_empty() {
            return Err(format!("\"{text}\" lacks a unit: write \"{text}s\" or \"{text}ms\""));
        }
        let Some((_, nanos)) = UNITS.iter().find(|(known, _)| *known == unit) else {
            return Err(format!("unknown unit `{unit}`: {FORM}"));
        };
        total = digits
            .parse::<u64>()
            .ok()
            .and_then(|count| count.checked_mul(*nanos))
            .and_then(|part| total.checked_add(part))
            .ok_or_else(|| format!("\"{text}\" is longer than 584 years"))?;
        rest = after.trim_start();
    }
    if total == 0 {
        return Err("a duration of nothing: leave the option out, or give it a time".to_owned());
    }
    Ok(Duration::from_nanos(total))
}

/// The duration as code.
pub(crate) fn tokens(duration: Duration, span: Span) -> TokenStream {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    quote_spanned!(span=> ::core::time::Duration::new(#seconds, #nanos))
}

/// The duration as text, in its largest whole units.
pub(crate) fn text(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, nanos) in UNITS.iter().rev().filter(|(unit, _)| *unit != "µs") {
        let count = rest / nanos;
        if count > 0 {
            text += &count.to_string();
            text += unit;
            rest %= nanos;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{parse, text};
    use std::time::Duration;

    #[test]
    fn each_unit_is_read() {
        for (text, nanos) in [
            ("7ns", 7),
            ("7us", 7_000),
            ("7µs", 7_000),
            ("100ms", 100_000_000),
            ("5s", 5_000_000_000),
            ("2m", 120_000_000_000),
            ("1h", 3_600_000_000_000),
            ("1d", 86_400_000_000_000),
            ("1h30m", 5_400_000_000_000),
            (" 1h 30m ", 5_400_000_000_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for text in ["", " ", "5", "s", "5x", "-5s", "1.5s", "5s3", "0s", "99999999999999d", "5 s x", "٣s"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_duration_is_shown_as_it_is_written() {
        for shown in ["5s", "100ms", "1h30m", "1d", "1s500ms", "3us"] {
            assert_eq!(parse(shown).map(text).as_deref(), Ok(shown));
        }
    }
}
