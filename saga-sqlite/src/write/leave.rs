//! The end of a membership.

use rusqlite::params;
use saga_store::{Hint, Incarnation};

use super::Cx;
use crate::error::Abort;
use crate::sql;

/// Makes the runs that a worker still owns ready for others.
pub(crate) fn leave(cx: &mut Cx<'_, '_>, incarnation: Incarnation) -> Result<(), Abort> {
    let left = cx.session.run(&sql::HAND_OVER, params![incarnation.as_bytes(), cx.now.as_micros()])?;
    if left > 0 {
        cx.memory.forget_all();
        cx.hints.push(Hint::Ready);
    }
    Ok(())
}
