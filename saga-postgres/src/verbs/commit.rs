//! Appends to journals, with all that belongs to the appends.

use futures_util::future::join3;
use saga_store::{Applied, CommitOutcome, ExecutionId, Hint, Incarnation, Seq, Target, Then};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::plain::{Plain, Shape};
use super::{Slices, index, number, place};
use crate::KIND;
use crate::db::{Db, For, Values};
use crate::error::{Abort, unavailable};
use crate::heads::Heads;
use crate::sql;

/// The most that one statement carries, unless one commit alone is larger.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// A commit larger than this cannot be one message to the server.
const LARGEST: usize = 256 * 1024 * 1024;

/// So many commits of a row each are two statements, in two sessions: the server has more cores
/// than one, and both share the flush of its log.
const SPLIT_FROM: usize = 256;

/// How often a group is looked at again whose runs moved on meanwhile.
const ROUNDS: usize = 8;

/// Some commits of a call, by their index.
type Group = Vec<usize>;

/// What a call works on.
pub(crate) struct Batch<'a> {
    db: &'a Db,
    heads: &'a Heads,
    commits: &'a [Plain],
}

/// A commit that was applied with all that it brought.
struct FullyApplied {
    at: usize,
    /// The worker keeps the run: there is more in its inbox.
    stay: bool,
    /// It was let go, and can be claimed at once.
    due: bool,
    /// The next row of its owner needs nothing but its place.
    settled: bool,
}

/// What a statement did: the outcomes so far, by index, and what to tell.
#[derive(Default)]
struct Done {
    outcomes: Vec<(usize, CommitOutcome)>,
    hints: Vec<Hint>,
}

/// Commits each run's commit on its own, in as few statements as can be.
///
/// On an error what was applied is applied: the caller sends the same again, and the marks of
/// the rows tell.
pub(crate) async fn commit(
    db: &Db,
    heads: &Heads,
    commits: &[Plain],
) -> Result<(Vec<CommitOutcome>, Vec<Hint>), (Abort, Vec<Hint>)> {
    let mut outcomes: Vec<Option<CommitOutcome>> =
        commits.iter().map(|commit| unacceptable(commit).map(CommitOutcome::Rejected)).collect();
    let batch = Batch { db, heads, commits };
    let mut hints = Vec::new();
    for group in groups(commits, &outcomes) {
        let mut first = group;
        let full = heads.take_unsettled(&mut first, |at| batch.settled_row(*at));
        let mut failed = None;
        let half = if first.len() >= SPLIT_FROM { first.len() / 2 } else { first.len() };
        let second = first.split_off(half);
        let (first, second, full) = join3(batch.settled(first), batch.settled(second), batch.full(full)).await;
        for done in [first, second, full] {
            match done {
                Ok(done) => {
                    hints.extend(done.hints);
                    done.outcomes.into_iter().for_each(|(at, outcome)| outcomes[at] = Some(outcome));
                }
                Err(abort) => failed = Some(abort),
            }
        }
        if let Some(abort) = failed {
            return Err((abort, hints));
        }
    }
    let lost = || unavailable("the runs moved on while their commits were looked at; send them again");
    match outcomes.into_iter().collect() {
        Some(outcomes) => Ok((outcomes, hints)),
        None => Err((lost().into(), hints)),
    }
}

pub(crate) fn unacceptable(commit: &Plain) -> Option<String> {
    if let Some(kind) = commit.step_kind {
        return Some(if kind == KIND {
            "a step on this store runs in a session of its own, and not in a commit".to_owned()
        } else {
            format!("the step is written for a store of the kind \"{kind}\", and this one is \"{KIND}\"")
        });
    }
    if commit.rows.is_empty() {
        return Some("a commit appends at least one row".to_owned());
    }
    let size = commit.size();
    (size > LARGEST).then(|| format!("a commit of {size} bytes is more than the server takes"))
}

/// The commits that are to be sent, in groups, each sorted by execution so that two statements
/// take their locks in one order. A run's second commit goes into a later group than its first.
fn groups(commits: &[Plain], answered: &[Option<CommitOutcome>]) -> Vec<Group> {
    let unanswered = commits.iter().enumerate().filter(|(at, _)| answered[*at].is_none());
    // As numbers they are compared faster, and their order is the same.
    let mut order: Vec<(u128, usize)> =
        unanswered.map(|(at, commit)| (commit.execution.as_uuid().as_u128(), at)).collect();
    order.sort_unstable();
    let mut groups = Vec::new();
    while !order.is_empty() {
        let (mut group, mut later) = (Group::with_capacity(order.len()), Vec::new());
        let (mut bytes, mut last) = (0, None);
        for (execution, at) in order {
            if last.replace(execution) == Some(execution) {
                later.push((execution, at));
                continue;
            }
            let more = commits[at].size();
            if bytes + more > MOST_BYTES && !group.is_empty() {
                groups.push(std::mem::take(&mut group));
                bytes = 0;
            }
            bytes += more;
            group.push(at);
        }
        groups.push(group);
        order = later;
    }
    groups
}

impl Batch<'_> {
    /// The row of a commit of one, as the next one of a run of which nothing is to be settled.
    fn settled_row(&self, at: usize) -> Option<(ExecutionId, Incarnation, Seq)> {
        let commit = &self.commits[at];
        (commit.shape() != Shape::Full).then_some((commit.execution, commit.owner, commit.seq))
    }

    /// Sends commits of settled runs. Those that come out of place are answered, or sent in full.
    async fn settled(&self, group: Group) -> Result<Done, Abort> {
        let mut done = Done::default();
        let mut left = Group::new();
        let mut parts = vec![group];
        while let Some(part) = parts.pop().filter(|part| !part.is_empty()) {
            match self.send_settled(&part).await {
                Ok((applied, missed)) => {
                    left.extend(missed);
                    for at in &applied {
                        self.tell(*at, false, &mut done.hints);
                    }
                    done.outcomes.extend(applied.into_iter().map(|at| (at, applied_with(false))));
                }
                Err(abort) if abort.is_taken_place() => left.extend(part),
                Err(abort) => self.isolate(abort, part, &mut parts, &mut done)?,
            }
        }
        if !left.is_empty() {
            self.heads.forget(self.executions(&left));
            let rest = self.look_at(left, &mut done).await?;
            let full = self.full(rest).await?;
            done.outcomes.extend(full.outcomes);
            done.hints.extend(full.hints);
        }
        Ok(done)
    }

    /// Sends commits with all that they bring.
    async fn full(&self, mut group: Group) -> Result<Done, Abort> {
        let mut done = Done::default();
        for _ in 0..ROUNDS {
            let mut left = Group::new();
            let mut parts = vec![std::mem::take(&mut group)];
            while let Some(part) = parts.pop().filter(|part| !part.is_empty()) {
                match self.send_full(&part).await {
                    Ok(applied) => {
                        left.extend(part.iter().filter(|at| !applied.iter().any(|one| one.at == **at)));
                        for FullyApplied { at, stay, due, settled } in applied {
                            self.note(at, settled);
                            self.tell(at, due, &mut done.hints);
                            done.outcomes.push((at, applied_with(stay)));
                        }
                    }
                    Err(abort) => self.isolate(abort, part, &mut parts, &mut done)?,
                }
            }
            if left.is_empty() {
                break;
            }
            group = self.look_at(left, &mut done).await?;
        }
        Ok(done)
    }

    fn tell(&self, at: usize, due: bool, hints: &mut Vec<Hint>) {
        let commit = &self.commits[at];
        if commit.then == Then::End {
            hints.push(Hint::Ended(commit.execution));
        } else if commit.change.is_some() || commit.status.is_some() {
            hints.push(Hint::Changed(commit.execution));
        }
        if due {
            hints.push(Hint::Ready);
        }
    }

    /// After a statement was refused because of a row: halves its commits, until the culprit is
    /// alone.
    fn isolate(&self, abort: Abort, mut part: Group, parts: &mut Vec<Group>, done: &mut Done) -> Result<(), Abort> {
        if !abort.is_of_the_row() {
            return Err(abort);
        }
        if let [culprit] = part[..] {
            tracing::warn!(execution = %self.commits[culprit].execution, error = abort.text(), "a commit is refused for good");
            done.outcomes.push((culprit, CommitOutcome::Rejected(abort.text())));
            return Ok(());
        }
        let rest = part.split_off(part.len() / 2);
        parts.extend([rest, part]);
        Ok(())
    }

    /// Remembers where a run stands after a commit with all that it can bring.
    fn note(&self, at: usize, settled: bool) {
        let commit = &self.commits[at];
        if settled {
            let last = commit.seq.plus(commit.rows.len() as u64 - 1);
            self.heads.settled(commit.execution, commit.owner, last);
        } else {
            self.heads.forget([commit.execution].into_iter());
        }
    }

    fn executions(&self, group: &[usize]) -> impl Iterator<Item = ExecutionId> {
        group.iter().map(|at| self.commits[*at].execution)
    }

    /// Gives what was applied and what was not.
    async fn send_settled(&self, group: &[usize]) -> Result<(Group, Group), Abort> {
        let of = || group.iter().map(|at| &self.commits[*at]);
        let executions: Vec<Uuid> = of().map(|commit| *commit.execution.as_uuid()).collect();
        let seqs: Vec<i64> = of().map(|commit| number(commit.seq.0)).collect();
        let nonces: Vec<i64> = of().map(|commit| commit.nonce.0.cast_signed()).collect();
        let bodies: Vec<&[u8]> = of().map(|commit| &commit.rows[0].body[..]).collect();
        let rows = if of().any(|commit| commit.change.is_some()) {
            let change = || of().map(|commit| commit.change.as_ref());
            let states: Vec<Option<i16>> = change().map(|change| Some(change?.state.code().into())).collect();
            let conclusions: Vec<Option<&[u8]>> = change().map(|change| change?.conclusion.as_deref()).collect();
            let values: Values<'_> = &[&executions, &seqs, &nonces, &bodies, &states, &conclusions];
            self.db.query(For::Engine, sql::LEAN_CLOSE, values).await?
        } else {
            let values: Values<'_> = &[&executions, &seqs, &nonces, &bodies];
            self.db.query(For::Engine, sql::LEAN, values).await?
        };
        let answer = super::Applied::of(&rows);
        let mut applied = group.to_vec();
        let missed = answer.take_missed(&mut applied, |at| self.commits[*at].execution);
        self.heads.moved_on(applied.iter().map(|at| {
            let commit = &self.commits[*at];
            (commit.execution, commit.then == Then::End)
        }));
        Ok((applied, missed))
    }

    async fn send_full(&self, group: &[usize]) -> Result<Vec<FullyApplied>, Abort> {
        let group: Vec<(usize, &Plain)> = group.iter().map(|at| (*at, &self.commits[*at])).collect();
        let values = full_values(&group);
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as _).collect();
        let rows = self.db.query(For::Engine, sql::FULL, &values).await?;
        let applied =
            |row: &Row| FullyApplied { at: index(row.get(0)), stay: row.get(1), due: row.get(2), settled: row.get(3) };
        Ok(rows.iter().map(applied).collect())
    }

    /// Answers commits that were not applied, but for those that can be: they are given back.
    async fn look_at(&self, group: Group, done: &mut Done) -> Result<Group, Abort> {
        let ords: Vec<i32> = group.iter().map(|at| place(*at)).collect();
        let executions: Vec<Uuid> = group.iter().map(|at| *self.commits[*at].execution.as_uuid()).collect();
        let seqs: Vec<i64> = group.iter().map(|at| number(self.commits[*at].seq.0)).collect();
        let rows = self.db.query(For::Engine, sql::PLACES, &[&ords, &executions, &seqs]).await?;
        let mut rest = Group::new();
        for row in rows {
            let at = index(row.get(0));
            let commit = &self.commits[at];
            let head = row.get::<_, Option<i64>>(1).map(|seq| Seq(seq.cast_unsigned()));
            let nonce: Option<i64> = row.get(2);
            if nonce == Some(commit.nonce.0.cast_signed()) {
                let owned = row.get::<_, Option<Uuid>>(3) == Some(*commit.owner.as_uuid());
                done.outcomes.push((at, applied_with(owned && matches!(commit.then, Then::Release { .. }))));
            } else if head.is_some_and(|head| head.plus(1) == commit.seq) {
                rest.push(at);
            } else {
                done.outcomes.push((at, CommitOutcome::Refused { head }));
            }
        }
        Ok(rest)
    }
}

/// The values of `FULL`, and of its like, for these commits with their places.
pub(crate) fn full_values<'c>(group: &[(usize, &'c Plain)]) -> Vec<Box<dyn ToSql + Sync + Send + 'c>> {
    let of = || group.iter().map(|(_, commit)| *commit);
    let ords: Vec<i32> = group.iter().map(|(at, _)| place(*at)).collect();
    let executions: Vec<Uuid> = of().map(|c| *c.execution.as_uuid()).collect();
    let owners: Vec<Uuid> = of().map(|c| *c.owner.as_uuid()).collect();
    let seqs: Vec<i64> = of().map(|c| number(c.seq.0)).collect();
    let nonces: Vec<i64> = of().map(|c| c.nonce.0.cast_signed()).collect();
    let seen: Vec<Option<i64>> = of().map(|c| c.inbox_seen.map(number)).collect();
    let states: Vec<Option<i16>> = of().map(|c| c.change.as_ref().map(|change| change.state.code().into())).collect();
    let conclusions: Vec<Option<&[u8]>> =
        of().map(|c| c.change.as_ref().and_then(|change| change.conclusion.as_deref())).collect();
    let statuses: Vec<Option<&[u8]>> = of().map(|c| c.status.as_deref()).collect();
    let kinds: Vec<i16> = of().map(|c| kind_of(&c.then)).collect();
    let wakes: Vec<Option<i64>> = of().map(|c| wake_of(&c.then)).collect();
    let builds: Vec<Option<&str>> = of().map(|c| build_of(&c.then)).collect();

    let (mut rows, mut blobs, mut out, mut sent) =
        (Slices::default(), Slices::default(), Slices::default(), Slices::default());
    let (mut more, mut bodies) = (Vec::new(), Vec::new());
    let (mut blob_ids, mut blob_bytes) = (Vec::new(), Vec::new());
    let (mut out_ids, mut to_runs, mut to_executions, mut out_bodies) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut sent_ids = Vec::new();
    for commit in of() {
        let before = bodies.len();
        more.extend(commit.rows.iter().map(|row| row.more));
        bodies.extend(commit.rows.iter().map(|row| &row.body[..]));
        rows.push(before, bodies.len());
        let before = blob_ids.len();
        blob_ids.extend(commit.blobs.iter().map(|blob| *blob.id.as_uuid()));
        blob_bytes.extend(commit.blobs.iter().map(|blob| &blob.bytes[..]));
        blobs.push(before, blob_ids.len());
        let before = out_ids.len();
        for message in &commit.outbox {
            let (to_run, to_execution) = match &message.to {
                Target::Run(id) => (Some(id.as_str()), None),
                Target::Execution(execution) => (None, Some(*execution.as_uuid())),
            };
            out_ids.push(*message.id.as_uuid());
            to_runs.push(to_run);
            to_executions.push(to_execution);
            out_bodies.push(&message.body[..]);
        }
        out.push(before, out_ids.len());
        let before = sent_ids.len();
        sent_ids.extend(commit.sent.iter().map(|id| *id.as_uuid()));
        sent.push(before, sent_ids.len());
    }
    vec![
        Box::new(ords),
        Box::new(executions),
        Box::new(owners),
        Box::new(seqs),
        Box::new(nonces),
        Box::new(rows.from),
        Box::new(rows.to),
        Box::new(seen),
        Box::new(states),
        Box::new(conclusions),
        Box::new(statuses),
        Box::new(kinds),
        Box::new(wakes),
        Box::new(builds),
        Box::new(blobs.from),
        Box::new(blobs.to),
        Box::new(out.from),
        Box::new(out.to),
        Box::new(sent.from),
        Box::new(sent.to),
        Box::new(more),
        Box::new(bodies),
        Box::new(blob_ids),
        Box::new(blob_bytes),
        Box::new(out_ids),
        Box::new(to_runs),
        Box::new(to_executions),
        Box::new(out_bodies),
        Box::new(sent_ids),
    ]
}

fn applied_with(stay: bool) -> CommitOutcome {
    CommitOutcome::Applied(Applied { stay })
}

fn kind_of(then: &Then) -> i16 {
    match then {
        Then::Keep => 0,
        Then::Release { .. } => 1,
        Then::End => 2,
    }
}

fn wake_of(then: &Then) -> Option<i64> {
    match then {
        Then::Release { wake_at, .. } => wake_at.map(saga_store::Timestamp::as_micros),
        _ => None,
    }
}

fn build_of(then: &Then) -> Option<&str> {
    match then {
        Then::Release { not_build, .. } => not_build.as_ref().map(|build| &*build.0),
        _ => None,
    }
}
