//! Gives out runs that are due.

use std::collections::{HashSet, VecDeque};

use rusqlite::{Row, params};
use saga_store::{BuildId, Claim, ClaimedRun, ExecutionId, Incarnation, RunState};

use super::Cx;
use crate::error::Abort;
use crate::sql;

/// Takes due runs: round-robin by lane, then priority, then time.
pub(crate) fn claim(cx: &mut Cx<'_, '_>, claim: &Claim) -> Result<Vec<ClaimedRun>, Abort> {
    cx.core.require_member(claim.incarnation).map_err(Abort::Refused)?;
    take_from_strangers(cx)?;
    cx.session.run(&sql::WAKE_DUE, [cx.now.as_micros()])?;
    let mut lanes = due_by_lane(cx, claim)?;
    let mut claimed = Vec::new();
    // The lane that was served last is at the end.
    while let Some((lane, mut queue)) = lanes.pop_front().filter(|_| claimed.len() < claim.slots) {
        if let Some(run) = queue.pop_front() {
            claimed.extend(take(cx, run, claim.incarnation)?);
        }
        cx.memory.last_lane = Some(lane.clone());
        if !queue.is_empty() {
            lanes.push_back((lane, queue));
        }
    }
    Ok(claimed)
}

/// Lets go runs that someone owns who is no member: a worker that was taken for dead and lived
/// on, or an operator's program that appended and went.
fn take_from_strangers(cx: &mut Cx<'_, '_>) -> Result<(), Abort> {
    for owner in owners(cx)? {
        if !cx.core.members().known.contains_key(&owner) {
            cx.session.run(&sql::HAND_OVER, params![owner.as_bytes(), cx.now.as_micros()])?;
            cx.memory.forget_all();
        }
    }
    Ok(())
}

/// Who owns runs. A seek an owner, not a look at each run.
fn owners(cx: &Cx<'_, '_>) -> Result<Vec<Incarnation>, Abort> {
    let mut owners = Vec::new();
    let mut next: Option<[u8; 16]> = cx.session.first(&sql::FIRST_OWNER, [], |row| row.get(0))?.flatten();
    while let Some(owner) = next {
        owners.push(Incarnation::from_bytes(owner));
        next = cx.session.first(&sql::NEXT_OWNER, [owner], |row| row.get(0))?.flatten();
    }
    Ok(owners)
}

/// What this worker could take of each lane, the lane to be served next first.
fn due_by_lane(cx: &Cx<'_, '_>, claim: &Claim) -> Result<VecDeque<(String, VecDeque<i64>)>, Abort> {
    let served: HashSet<(&str, u32)> =
        claim.filter.workflows.iter().map(|(name, version)| (name.as_str(), *version)).collect();
    let living = cx.core.members().living_builds();
    let mut lanes = VecDeque::new();
    let mut before = 0;
    let mut next: Option<String> = cx.session.first(&sql::FIRST_LANE, [], |row| row.get(0))?;
    while let Some(lane) = next {
        next = cx.session.first(&sql::NEXT_LANE, [&lane], |row| row.get(0))?;
        let runs = due_in_lane(cx, claim, &served, &living, &lane)?;
        if cx.memory.last_lane.as_ref().is_some_and(|last| lane <= *last) && !runs.is_empty() {
            before += 1;
        }
        if !runs.is_empty() {
            lanes.push_back((lane, runs));
        }
    }
    lanes.rotate_left(before);
    Ok(lanes)
}

fn due_in_lane(
    cx: &Cx<'_, '_>,
    claim: &Claim,
    served: &HashSet<(&str, u32)>,
    living: &[BuildId],
    lane: &str,
) -> Result<VecDeque<i64>, Abort> {
    let mut runs = VecDeque::new();
    cx.session.with(&sql::READY_IN_LANE, |statement| {
        let mut rows = statement.query(params![lane, &claim.build.0[..]])?;
        while let Some(row) = rows.next()? {
            let workflow = row.get_ref(1)?.as_str()?;
            let fits = served.contains(&(workflow, row.get(2)?));
            if fits && !(row.get(3)? && left_to_others(cx, row.get(0)?, living)?) {
                runs.push_back(row.get(0)?);
            }
            if runs.len() >= claim.slots {
                break;
            }
        }
        Ok(())
    })?;
    Ok(runs)
}

/// Makes a worker the owner of a run that has been woken, if it serves it and it is not left to others.
pub(super) fn take_woken(cx: &mut Cx<'_, '_>, run: i64, claim: &Claim) -> Result<Option<ClaimedRun>, Abort> {
    if !cx.core.members().is_alive(claim.incarnation) {
        return Ok(None);
    }
    let (marked, living) = (params![run, &claim.build.0[..]], cx.core.members().living_builds());
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let Some((workflow, version, marked)) = cx.session.first(&sql::SERVED, marked, read)? else { return Ok(None) };
    let served: (String, u32) = (workflow, version);
    if !claim.filter.workflows.contains(&served) || (marked && left_to_others(cx, run, &living)?) {
        return Ok(None);
    }
    take(cx, run, claim.incarnation)
}

/// Whether a living worker's build is there that a run is not marked with.
fn left_to_others(cx: &Cx<'_, '_>, run: i64, living: &[BuildId]) -> rusqlite::Result<bool> {
    let marks: HashSet<String> = cx.session.all(&sql::MARKS, [run], |row| row.get(0))?.into_iter().collect();
    Ok(living.iter().any(|build| !marks.contains(&*build.0)))
}

/// Makes a worker the owner of a run.
pub(super) fn take(cx: &mut Cx<'_, '_>, run: i64, by: Incarnation) -> Result<Option<ClaimedRun>, Abort> {
    let session = cx.session;
    session.run(&sql::TAKE, params![run, by.as_bytes()])?;
    let (running, pending) = (RunState::Running.code(), RunState::Pending.code());
    session.run(&sql::BEGIN_RUNNING, params![run, running, cx.now.as_micros(), pending])?;
    let claimed = session.first(&sql::CLAIMED, [run], |row| {
        Ok(ClaimedRun {
            id: crate::read::run_id(row, 0)?,
            execution: ExecutionId::from_bytes(row.get(1)?),
            workflow: row.get(2)?,
            version: row.get(3)?,
            taken_over: row.get(4)?,
            deaths: row.get(5)?,
        })
    })?;
    if let Some(claimed) = &claimed {
        cx.memory.forget(claimed.execution);
    }
    Ok(claimed)
}
