//! What the calls of the contract do: one idea a file.

pub(crate) mod commit;
pub(crate) mod deliver;
pub(crate) mod list;
pub(crate) mod own;
pub(crate) mod plain;
pub(crate) mod purge;
pub(crate) mod read;
pub(crate) mod start;

use saga_store::ExecutionId;
use tokio_postgres::Row;
use uuid::Uuid;

/// A position, a count or a length as the server keeps it. None is ever near the limit.
pub(crate) fn number(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// A place in an array of one statement.
pub(crate) fn place(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

/// Which of the requests a row of an answer is about.
pub(crate) fn index(place: i32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// Which executions a statement of lean rows has applied.
pub(crate) struct Applied(Option<Vec<Uuid>>);

impl Applied {
    /// Reads the answer, which names them only if they are not all.
    pub(crate) fn of(rows: &[Row]) -> Self {
        let none = rows.first().is_none_or(|row| row.get::<_, i64>(1) == 0);
        let mut named: Option<Vec<Uuid>> =
            if none { Some(Vec::new()) } else { rows.first().and_then(|row| row.get(0)) };
        if let Some(named) = &mut named {
            named.sort_unstable();
        }
        Self(named)
    }

    /// Takes out of a group what was not applied.
    pub(crate) fn take_missed<T>(&self, group: &mut Vec<T>, execution: impl Fn(&T) -> ExecutionId) -> Vec<T> {
        match self.0 {
            None => Vec::new(),
            Some(_) => group.extract_if(.., |one| !self.has(execution(one))).collect(),
        }
    }

    pub(crate) fn has(&self, execution: ExecutionId) -> bool {
        self.0.as_ref().is_none_or(|named| named.binary_search(execution.as_uuid()).is_ok())
    }
}

/// The parts of an array that belong to each request: from the first to the last, counted from
/// one, as the server slices arrays.
#[derive(Debug, Default)]
pub(crate) struct Slices {
    pub(crate) from: Vec<i32>,
    pub(crate) to: Vec<i32>,
}

impl Slices {
    /// The next request has what is in the array from `before` to its end, `after`.
    pub(crate) fn push(&mut self, before: usize, after: usize) {
        self.from.push(place(before + 1));
        self.to.push(place(after));
    }
}
