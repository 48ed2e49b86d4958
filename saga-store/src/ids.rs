//! Names, positions and moments, each a type of its own so that none can stand for another.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

/// The name of a run, chosen by the user: `ORD-1`. It names a chain of executions.
///
/// 1 to 512 bytes of text without control characters, so that every store can index it and
/// every terminal can print it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(Arc<str>);

impl RunId {
    /// The longest id, in bytes.
    pub const MAX_BYTES: usize = 512;

    /// Checks and takes a name.
    pub fn new(id: impl AsRef<str>) -> Result<Self, RunIdError> {
        let id = id.as_ref();
        if id.is_empty() {
            return Err(RunIdError { why: "it is empty", id: String::new() });
        }
        if id.len() > Self::MAX_BYTES {
            return Err(RunIdError { why: "it is longer than 512 bytes", id: id.chars().take(40).collect() });
        }
        if id.chars().any(char::is_control) {
            return Err(RunIdError { why: "it contains a control character", id: id.escape_debug().to_string() });
        }
        Ok(Self(id.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the execution's own id as text, as runs are named whose caller chose no name.
    /// No other run has such a name, but the same one that is sent again.
    pub fn is_of(&self, execution: ExecutionId) -> bool {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        self.0.as_bytes() == execution.as_uuid().hyphenated().encode_lower(&mut text).as_bytes()
    }
}

impl AsRef<str> for RunId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A text that cannot name a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunIdError {
    why: &'static str,
    id: String,
}

impl fmt::Display for RunIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" cannot be a run id: {}; use 1 to 512 bytes without control characters", self.id, self.why)
    }
}

impl std::error::Error for RunIdError {}

macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID that came from a store or from the engine's generator.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// A version-7 UUID from the milliseconds of `now` and 10 random bytes.
            pub fn generate(now: Timestamp, random: &[u8; 10]) -> Self {
                let millis = u64::try_from(now.as_micros() / 1000).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(millis, random).into_uuid())
            }

            /// The UUID itself.
            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }

            /// The 16 bytes, as stores keep them.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The id that these bytes are.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

uuid_newtype! {
    /// One execution of a run: a journal of its own. Version 7, so that journals are stored in
    /// the order of their start and old ones can be dropped together.
    ExecutionId
}
uuid_newtype! {
    /// One life of a worker. Never reused, whatever the worker's configured name.
    Incarnation
}
uuid_newtype! {
    /// One message; made before the first send, so that a repeated send is recognised.
    MessageId
}
uuid_newtype! {
    /// One payload that is stored beside the journal because it is large.
    BlobId
}

/// A position in one execution's journal. The first record has 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Seq(pub u64);

impl Seq {
    /// The position of the first record.
    pub const FIRST: Self = Self(0);

    /// The position after `count` more records.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0 + count)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A random number that marks a record's writer: finding it again at its place after a lost
/// answer means that the commit was applied.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Nonce(pub u64);

/// What was built: the digest of an executable, or what the user named it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BuildId(pub Arc<str>);

/// A moment of the store's clock: microseconds since 1970 (UTC).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The moment `duration` later; the end of time if there is none.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The machine's own clock. Only stores read it: the engine's time is the store's.
    pub fn from_system_clock() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// A moment of the machine's own calendar, to the microsecond.
impl From<std::time::SystemTime> for Timestamp {
    fn from(moment: std::time::SystemTime) -> Self {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(match moment.duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => micros(since),
            Err(before) => micros(before.duration()).saturating_neg(),
        })
    }
}

/// The same moment of the calendar; the epoch if the machine's time does not reach so far.
impl From<Timestamp> for std::time::SystemTime {
    fn from(moment: Timestamp) -> Self {
        let distance = Duration::from_micros(moment.0.unsigned_abs());
        let found =
            if moment.0 >= 0 { Self::UNIX_EPOCH.checked_add(distance) } else { Self::UNIX_EPOCH.checked_sub(distance) };
        found.unwrap_or(Self::UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds: `2026-11-21T07:06:05.123Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.div_euclid(1000);
        let (days, of_day) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
        let (year, month, day) = civil_from_days(days);
        let (h, m, s, ms) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60, of_day % 1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z")
    }
}

/// The proleptic Gregorian date of a day counted from 1970-01-01.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_nobody_named_has_the_name_of_its_execution() {
        let execution = ExecutionId::from_bytes([0xab; 16]);
        assert!(RunId::new(execution.to_string()).unwrap().is_of(execution));
        assert!(!RunId::new("ORD-1").unwrap().is_of(execution));
    }

    #[test]
    fn a_timestamp_prints_as_rfc_3339() {
        assert_eq!(Timestamp::from_micros(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_micros(1_709_164_800_123_456).to_string(), "2024-02-29T00:00:00.123Z");
        assert_eq!(Timestamp::from_micros(-1000).to_string(), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn a_timestamp_is_a_moment_of_the_calendar_and_back() {
        for micros in [0, 1, -1, 1_709_164_800_123_456, -62_135_596_800_000_000] {
            let moment = Timestamp::from_micros(micros);
            assert_eq!(Timestamp::from(std::time::SystemTime::from(moment)), moment);
        }
    }

    #[test]
    fn a_run_id_refuses_what_a_store_or_a_terminal_cannot_take() {
        assert!(RunId::new("ORD-1").is_ok());
        assert!(RunId::new("").is_err());
        assert!(RunId::new("a\0b").unwrap_err().to_string().contains("control character"));
        assert!(RunId::new("x".repeat(513)).is_err());
    }
}
