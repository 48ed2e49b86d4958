//! Starts of runs: the write of record 0.

use std::collections::{BTreeMap, BTreeSet};

use saga_store::{ExecutionId, Hint, NewRun, RunState, Seq, Started};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::{Applied, Slices, index, place};
use crate::db::{Db, For, Values};
use crate::error::{Abort, unavailable};
use crate::heads::Heads;
use crate::sql::{self, Sql};

/// A batch gives up waiting for an id that an open transaction holds after so long, and its
/// starts go on alone.
const BATCH_PATIENCE: &str = "20ms";

/// A start alone waits so long for its id.
const PATIENCE: &str = "2s";

/// How often a start is tried whose id is taken and free again each time it is looked at.
const ROUNDS: usize = 8;

/// Runs to start, by their index; some in place of a finished execution.
type Group = Vec<(usize, Option<Uuid>)>;

/// What became of a group: the answers, by index, and what is to be tried again.
#[derive(Default)]
struct Done {
    answers: Vec<(usize, Started)>,
    again: Group,
    /// Starts whose id an open transaction holds.
    held: Vec<usize>,
    ready: bool,
    /// New runs that a worker of this process has at once.
    owned: Vec<usize>,
}

/// Starts each run on its own, in as few statements as can be.
pub(crate) async fn start(db: &Db, heads: &Heads, runs: &[NewRun]) -> Result<(Vec<Started>, Vec<Hint>), Abort> {
    let mut answers: Vec<Option<Started>> = vec![None; runs.len()];
    let mut ready = false;
    let mut group = sorted(runs);
    for _ in 0..ROUNDS {
        let mut done = Done::default();
        let (replacing, adding): (Group, Group) = group.into_iter().partition(|(_, replaces)| replaces.is_some());
        send_all(db, runs, adding, &mut done).await?;
        for one in replacing {
            send_all(db, runs, vec![one], &mut done).await?;
        }
        ready |= done.ready;
        for (run, owner) in done.owned.iter().filter_map(|at| Some((&runs[*at], runs[*at].claim_for?))) {
            heads.settled(run.execution, owner, Seq(0));
        }
        done.answers.into_iter().for_each(|(at, answer)| answers[at] = Some(answer));
        if let Some(held) = done.held.first() {
            let id = &runs[*held].id;
            return Err(unavailable(format!("the id \"{id}\" is held by a transaction that is open for long")).into());
        }
        group = done.again;
        if group.is_empty() {
            break;
        }
    }
    let hints = if ready { vec![Hint::Ready] } else { Vec::new() };
    match answers.into_iter().collect() {
        Some(answers) => Ok((answers, hints)),
        None => Err(unavailable("runs of these ids come and go; start them again").into()),
    }
}

/// By id, so that two statements wait for each other in one order; of two starts of one id the
/// first comes first.
fn sorted(runs: &[NewRun]) -> Group {
    let mut group: Group = (0..runs.len()).map(|at| (at, None)).collect();
    group.sort_by(|(a, _), (b, _)| runs[*a].id.cmp(&runs[*b].id).then(a.cmp(b)));
    group
}

/// Sends a group; halves it as long as a row spoils it, and takes it apart if an id is held.
async fn send_all(db: &Db, runs: &[NewRun], group: Group, done: &mut Done) -> Result<(), Abort> {
    // Ids that were made for their runs are new, unless the same is sent again.
    let mut fresh = group.iter().all(|(at, replaces)| replaces.is_none() && runs[*at].id.is_of(runs[*at].execution));
    let mut parts = vec![group];
    if fresh && parts[0].iter().all(|(at, _)| is_lean(&runs[*at])) {
        match send_lean(db, runs, &parts[0]).await {
            Ok(missed) => {
                let started: Vec<usize> =
                    parts[0].iter().map(|(at, _)| *at).filter(|at| !missed.contains(at)).collect();
                done.owned.extend(&started);
                done.answers.extend(started.into_iter().map(|at| (at, Started::New)));
                parts = vec![missed.into_iter().map(|at| (at, None)).collect()];
            }
            // Which of them it is, and what it is, is found below.
            Err(abort) if abort.is_taken_id() || abort.is_of_the_row() || abort.is_lock_timeout() => {}
            Err(abort) => return Err(abort),
        }
    }
    while let Some(mut part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        let alone = part.len() == 1;
        match send(db, runs, &part, fresh).await {
            Ok(added) => {
                let missed: Vec<usize> = part.iter().map(|(at, _)| *at).filter(|at| !added.contains_key(at)).collect();
                done.ready |= added.values().any(|free| *free);
                done.owned.extend(added.iter().filter_map(|(at, free)| (!free).then_some(*at)));
                done.answers.extend(added.into_keys().map(|at| (at, Started::New)));
                look_at(db, runs, missed, done).await?;
            }
            Err(abort) if fresh && abort.is_taken_id() => {
                fresh = false;
                parts.push(part);
            }
            // A replacing start whose execution exists, or that another has come before.
            Err(abort) if alone && part[0].1.is_some() && abort.is_of_the_row() => {
                look_at(db, runs, vec![part[0].0], done).await?;
            }
            Err(abort) if alone && abort.is_of_the_row() => {
                done.answers.push((part[0].0, Started::Rejected(abort.text())));
            }
            Err(abort) if alone && abort.is_lock_timeout() => done.held.push(part[0].0),
            Err(abort) if !alone && abort.is_lock_timeout() => parts.extend(part.drain(..).rev().map(|one| vec![one])),
            Err(abort) if !alone && abort.is_of_the_row() => {
                let rest = part.split_off(part.len() / 2);
                parts.extend([rest, part]);
            }
            Err(abort) => return Err(abort),
        }
    }
    Ok(())
}

/// Whether a start brings nothing but its first record, and asks for a worker.
fn is_lean(run: &NewRun) -> bool {
    run.claim_for.is_some()
        && run.attributes.is_empty()
        && run.memo.is_none()
        && run.blobs.is_empty()
        && run.messages.is_empty()
}

/// Starts lean runs that are surely new; gives those whose worker is not there.
async fn send_lean(db: &Db, runs: &[NewRun], group: &[(usize, Option<Uuid>)]) -> Result<BTreeSet<usize>, Abort> {
    let of = || group.iter().map(|(at, _)| &runs[*at]);
    let executions: Vec<Uuid> = of().map(|run| *run.execution.as_uuid()).collect();
    let ids: Vec<&str> = of().map(|run| run.id.as_str()).collect();
    let workflows: Vec<&str> = of().map(|run| run.workflow.as_str()).collect();
    let versions: Vec<i64> = of().map(|run| run.version.into()).collect();
    let lanes: Vec<&str> = of().map(|run| run.lane.as_str()).collect();
    let priorities: Vec<i16> = of().map(|run| run.priority).collect();
    let digests: Vec<i64> = of().map(|run| run.input_digest.cast_signed()).collect();
    let bodies: Vec<&[u8]> = of().map(|run| &run.first[..]).collect();
    let nonces: Vec<i64> = of().map(|run| run.nonce.0.cast_signed()).collect();
    let owners: Vec<Option<Uuid>> = of().map(|run| run.claim_for.map(|owner| *owner.as_uuid())).collect();
    let values: Values<'_> = &[
        &executions,
        &ids,
        &workflows,
        &versions,
        &lanes,
        &priorities,
        &digests,
        &bodies,
        &nonces,
        &owners,
        &BATCH_PATIENCE,
    ];
    let rows = db.query(For::Clients, sql::START_LEAN, values).await?;
    let applied = Applied::of(&rows);
    Ok(group.iter().map(|(at, _)| *at).filter(|at| !applied.has(runs[*at].execution)).collect())
}

/// The runs that are new, by index, and whether nobody owns them.
async fn send(
    db: &Db,
    runs: &[NewRun],
    group: &[(usize, Option<Uuid>)],
    fresh: bool,
) -> Result<BTreeMap<usize, bool>, Abort> {
    // A call for one run alone waits; one for several tells its caller, who sends each by itself.
    let patience = if runs.len() == 1 { PATIENCE } else { BATCH_PATIENCE };
    let values = values(runs, group, Some(patience));
    let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as _).collect();
    let must_be_new = fresh || group.iter().any(|(_, replaces)| replaces.is_some());
    let sql: Sql = if must_be_new { sql::START_NEW } else { sql::START };
    let rows = db.query(For::Clients, sql, &values).await?;
    Ok(rows.iter().map(|row| (group[index(row.get(0))].0, row.get(1))).collect())
}

/// The values of `START` and `START_NEW`. Without a limit of their own they wait for a held id as
/// long as the session waits for locks.
fn values<'r>(
    runs: &'r [NewRun],
    group: &[(usize, Option<Uuid>)],
    patience: Option<&'static str>,
) -> Vec<Box<dyn ToSql + Sync + Send + 'r>> {
    let of = || group.iter().map(|(at, _)| &runs[*at]);
    let order: Vec<i32> = (0..group.len()).map(place).collect();
    let ids: Vec<&str> = of().map(|run| run.id.as_str()).collect();
    let executions: Vec<Uuid> = of().map(|run| *run.execution.as_uuid()).collect();
    let workflows: Vec<&str> = of().map(|run| run.workflow.as_str()).collect();
    let versions: Vec<i64> = of().map(|run| run.version.into()).collect();
    let lanes: Vec<&str> = of().map(|run| run.lane.as_str()).collect();
    let priorities: Vec<i16> = of().map(|run| run.priority).collect();
    let not_before: Vec<Option<i64>> = of().map(|run| run.not_before.map(saga_store::Timestamp::as_micros)).collect();
    let digests: Vec<i64> = of().map(|run| run.input_digest.cast_signed()).collect();
    let bodies: Vec<&[u8]> = of().map(|run| &run.first[..]).collect();
    let nonces: Vec<i64> = of().map(|run| run.nonce.0.cast_signed()).collect();
    let owners: Vec<Option<Uuid>> = of().map(|run| run.claim_for.map(|owner| *owner.as_uuid())).collect();
    let memos: Vec<Option<&[u8]>> = of().map(|run| run.memo.as_deref()).collect();
    let replaces: Vec<Option<Uuid>> = group.iter().map(|(_, replaces)| *replaces).collect();

    let (mut of_attributes, mut of_blobs, mut of_messages) = (Slices::default(), Slices::default(), Slices::default());
    let mut attributes = Vec::new();
    let (mut blobs, mut blob_bytes) = (Vec::new(), Vec::new());
    let (mut messages, mut message_bodies) = (Vec::new(), Vec::new());
    for run in of() {
        let before = attributes.len();
        attributes.extend(run.attributes.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]));
        of_attributes.push(before, attributes.len());
        let before = blobs.len();
        blobs.extend(run.blobs.iter().map(|blob| *blob.id.as_uuid()));
        blob_bytes.extend(run.blobs.iter().map(|blob| &blob.bytes[..]));
        of_blobs.push(before, blobs.len());
        let before = messages.len();
        messages.extend(run.messages.iter().map(|(id, _)| *id.as_uuid()));
        message_bodies.extend(run.messages.iter().map(|(_, body)| &body[..]));
        of_messages.push(before, messages.len());
    }
    // Those that replace go one at a time.
    let gives_way = |state: &RunState| {
        group.iter().any(|(at, replaces)| {
            replaces.is_some_and(|of| runs[*at].on_existing.replaces(ExecutionId::from_uuid(of), *state))
        })
    };
    let finished: Vec<i16> = RunState::ALL.into_iter().filter(gives_way).map(|state| state.code().into()).collect();
    vec![
        Box::new(order),
        Box::new(ids),
        Box::new(executions),
        Box::new(workflows),
        Box::new(versions),
        Box::new(lanes),
        Box::new(priorities),
        Box::new(not_before),
        Box::new(digests),
        Box::new(bodies),
        Box::new(nonces),
        Box::new(owners),
        Box::new(replaces),
        Box::new(of_attributes.from),
        Box::new(of_attributes.to),
        Box::new(of_blobs.from),
        Box::new(of_blobs.to),
        Box::new(of_messages.from),
        Box::new(of_messages.to),
        Box::new(attributes),
        Box::new(blobs),
        Box::new(blob_bytes),
        Box::new(messages),
        Box::new(message_bodies),
        Box::new(patience),
        Box::new(finished),
        Box::new(memos),
    ]
}

/// Starts a run within a transaction of somebody else, in the tables of this schema.
pub(crate) async fn start_within(
    client: &Client,
    schema: &str,
    run: &NewRun,
) -> Result<Result<Started, Abort>, tokio_postgres::Error> {
    let runs = std::slice::from_ref(run);
    let mut replaces = None;
    for _ in 0..ROUNDS {
        let sql = if replaces.is_some() { sql::START_NEW } else { sql::START };
        let values = values(runs, &[(0, replaces)], None);
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as _).collect();
        if !client.query(&sql::text(sql, schema), &values).await?.is_empty() {
            return Ok(Ok(Started::New));
        }
        let (id, execution) = ([run.id.as_str()], [*run.execution.as_uuid()]);
        let values: [&(dyn ToSql + Sync); 3] = [&[0_i32].as_slice(), &id.as_slice(), &execution.as_slice()];
        let rows = client.query(&sql::text(sql::EXISTING, schema), &values).await?;
        let mut done = Done::default();
        answer(runs, &rows, &mut done);
        if let Some((_, answer)) = done.answers.pop() {
            return Ok(Ok(answer));
        }
        replaces = done.again.pop().and_then(|(_, replaces)| replaces);
    }
    Ok(Err(unavailable(format!("runs of the id \"{}\" come and go; start it again", run.id)).into()))
}

/// Answers starts that added nothing, with what is there.
async fn look_at(db: &Db, runs: &[NewRun], missed: Vec<usize>, done: &mut Done) -> Result<(), Abort> {
    if missed.is_empty() {
        return Ok(());
    }
    let ords: Vec<i32> = missed.iter().map(|at| place(*at)).collect();
    let ids: Vec<&str> = missed.iter().map(|at| runs[*at].id.as_str()).collect();
    let executions: Vec<Uuid> = missed.iter().map(|at| *runs[*at].execution.as_uuid()).collect();
    let rows = db.query(For::Clients, sql::EXISTING, &[&ords, &ids, &executions]).await?;
    answer(runs, &rows, done);
    Ok(())
}

fn answer(runs: &[NewRun], rows: &[Row], done: &mut Done) {
    for row in rows {
        let at = index(row.get(0));
        let new = &runs[at];
        let own: Option<&str> = row.get(5);
        let Some(execution) = row.get::<_, Option<Uuid>>(1) else {
            match own {
                Some(id) => done.answers.push((at, Started::Rejected(taken(new, id)))),
                // The run that was in the way is gone.
                None => done.again.push((at, None)),
            }
            continue;
        };
        let state = super::read::state(row.get(3));
        let workflow: String = row.get(2);
        if workflow != new.workflow {
            done.answers.push((at, Started::Conflict { workflow }));
        } else if new.on_existing.replaces(ExecutionId::from_uuid(execution), state) && own.is_none() {
            done.again.push((at, Some(execution)));
        } else {
            let same_input = row.get::<_, i64>(4) == new.input_digest.cast_signed();
            let execution = ExecutionId::from_uuid(execution);
            done.answers.push((at, Started::Existing { execution, state, same_input }));
        }
    }
}

fn taken(new: &NewRun, id: &str) -> String {
    format!("the execution {} exists already, as one of the run \"{id}\"", new.execution)
}
