//! Starts of runs: the write of record 0.

use rusqlite::params;
use rusqlite::types::Null;
use saga_store::{ExecutionId, Hint, NewRun, RunState, Seq, Started};

use super::Cx;
use crate::core::Head;
use crate::error::Abort;
use crate::sql;

/// Starts each run on its own.
pub(crate) fn start(cx: &mut Cx<'_, '_>, runs: &[NewRun]) -> Result<Vec<Started>, Abort> {
    runs.iter().map(|run| Ok(cx.isolated(|cx| start_one(cx, run))?.unwrap_or_else(Started::Rejected))).collect()
}

struct Newest {
    run: i64,
    execution: ExecutionId,
    workflow: String,
    state: RunState,
    input_digest: u64,
}

fn start_one(cx: &mut Cx<'_, '_>, new: &NewRun) -> Result<Started, Abort> {
    let newest = cx.session.first(&sql::NEWEST, [new.id.as_str()], |row| {
        Ok(Newest {
            run: row.get(0)?,
            execution: ExecutionId::from_bytes(row.get(1)?),
            workflow: row.get(2)?,
            state: crate::read::state(row.get(3)?),
            input_digest: row.get::<_, i64>(4)?.cast_unsigned(),
        })
    })?;
    if let Some(newest) = newest {
        if let Some(answer) = existing(cx, new, &newest)? {
            return Ok(answer);
        }
        cx.session.run(&sql::SUPERSEDE, [newest.run])?;
    }
    insert(cx, new)?;
    Ok(Started::New)
}

/// The answer to a start that starts nothing, because a run is there.
fn existing(cx: &Cx<'_, '_>, new: &NewRun, newest: &Newest) -> Result<Option<Started>, Abort> {
    if newest.workflow != new.workflow {
        return Ok(Some(Started::Conflict { workflow: newest.workflow.clone() }));
    }
    let replace = new.on_existing.replaces(newest.execution, newest.state)
        // A start that is sent again must not start once more after its own run has ended.
        && cx
            .session
            .first(&sql::IS_OF_RUN, params![new.execution.as_bytes(), new.id.as_str()], |_| Ok(()))?
            .is_none();
    Ok((!replace).then_some(Started::Existing {
        execution: newest.execution,
        state: newest.state,
        same_input: newest.input_digest == new.input_digest,
    }))
}

fn insert(cx: &mut Cx<'_, '_>, new: &NewRun) -> Result<(), Abort> {
    let (session, now) = (cx.session, cx.now.as_micros());
    let owner = new.claim_for.filter(|owner| cx.core.members().is_alive(*owner));
    let state = if owner.is_some() { RunState::Running } else { RunState::Pending };
    session.run(
        &sql::ADD_RUN,
        params![
            new.execution.as_bytes(),
            new.id.as_str(),
            new.workflow,
            new.version,
            state.code(),
            now,
            new.input_digest.cast_signed(),
            new.memo.as_deref(),
        ],
    )?;
    let run = session.conn().last_insert_rowid();
    let due = owner.is_none().then(|| new.not_before.map_or(now, |at| at.as_micros().max(now)));
    let values = params![run, owner.as_ref().map(saga_store::Incarnation::as_bytes), new.lane, new.priority, due];
    session.run(&sql::ADD_LIVE, values)?;
    session.run(&sql::APPEND, params![run, 0, new.nonce.0.cast_signed(), false, Null, &new.first[..]])?;
    let row = session.conn().last_insert_rowid();
    session.run(&sql::ADD_HEAD, params![run, row])?;
    for (ordinal, (name, value)) in (0_i64..).zip(&new.attributes) {
        session.run(&sql::ADD_ATTRIBUTE, params![run, ordinal, name, value])?;
    }
    for blob in &new.blobs {
        session.run(&sql::ADD_BLOB, params![run, blob.id.as_bytes(), &blob.bytes[..]])?;
    }
    for (id, body) in &new.messages {
        let known = session.first(&sql::DELIVERED_TO, [id.as_bytes()], |_| Ok(()))?.is_some();
        if !known {
            super::deliver::put(cx, run, *id, body, owner.is_none())?;
        }
    }
    if owner.is_some() {
        let head = Head { run, seq: Seq::FIRST, row, owner, deaths: 0, claim_due: false, unreleased: false };
        cx.memory.remember(new.execution, head);
    } else {
        cx.hints.push(Hint::Ready);
    }
    Ok(())
}
