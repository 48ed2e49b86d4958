//! The line of the source at which a workflow's code stands, for messages: that of the await which it
//! reached last.

use std::cell::Cell;
use std::panic::Location;

/// A line of the source.
pub(crate) type Line = &'static Location<'static>;

thread_local! {
    static REACHED: Cell<Option<Line>> = const { Cell::new(None) };
}

/// The code that is polled has reached this line.
pub(crate) fn reached(line: Line) {
    REACHED.set(Some(line));
}

/// The line that the code has reached in this poll, if it came to any.
pub(crate) fn current() -> Option<Line> {
    REACHED.get()
}

/// Polls, and says which line the code reached last meanwhile.
pub(crate) fn last_of<R>(poll: impl FnOnce() -> R) -> (R, Option<Line>) {
    let outer = REACHED.take();
    let polled = poll();
    (polled, REACHED.replace(outer))
}

/// A line as messages say it.
pub(crate) fn shown(line: Line) -> String {
    format!("{}:{}", line.file(), line.line())
}
