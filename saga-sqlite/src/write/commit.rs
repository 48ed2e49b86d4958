//! Appends to journals, with all that belongs to the appends.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::params;
use saga_store::{
    Applied, CommitError, CommitOutcome, Gathering, Hint, Message, Nonce, Row, RunCommit, Seq, StoreError, Target, Then,
};
use tokio::sync::oneshot;

use super::Cx;
use crate::core::{Core, Head};
use crate::error::Abort;
use crate::session::Session;
use crate::sql;
use crate::tx::{SqliteTransactions, StepEnd, run_step};
use crate::writer::{Job, Mode};

/// The outcomes, and what was committed: whoever has asked drops it, since the writer is what all wait for.
type Answer = Result<(Vec<CommitOutcome>, Vec<RunCommit>), CommitError>;

/// A call of [`saga_store::Store::commit`].
pub(crate) struct CommitJob {
    core: Arc<Core>,
    commits: Vec<RunCommit>,
    /// What gathers until the job has its turn.
    gathering: Option<Arc<dyn Gathering>>,
    /// How steps ended that must not run again, by the index of their commit.
    ended: Vec<(usize, StepEnd)>,
    outcomes: Vec<CommitOutcome>,
    hints: Vec<Hint>,
    rows: u64,
    reply: oneshot::Sender<Answer>,
}

impl CommitJob {
    pub(crate) fn new(
        core: &Arc<Core>,
        commits: Vec<RunCommit>,
        gathering: Option<Arc<dyn Gathering>>,
        reply: oneshot::Sender<Answer>,
    ) -> Self {
        let (core, ended, outcomes, hints) = (Arc::clone(core), Vec::new(), Vec::new(), Vec::new());
        Self { core, commits, gathering, ended, outcomes, hints, rows: 0, reply }
    }
}

impl Job for CommitJob {
    fn weight(&self) -> usize {
        self.commits.len()
    }

    fn run(&mut self, session: &Session<'_>, mode: Mode) -> Result<(), Abort> {
        if let Some(gathering) = self.gathering.take() {
            gathering.take_into(&mut self.commits);
        }
        self.outcomes.clear();
        self.outcomes.reserve(self.commits.len());
        self.hints.clear();
        self.rows = 0;
        let now = self.core.clock.now();
        let mut memory = self.core.memory(session);
        let mut cx = Cx { session, core: &self.core, memory: &mut memory, hints: &mut self.hints, mode, now };
        for (index, commit) in self.commits.iter_mut().enumerate() {
            let ended = &mut self.ended;
            let rows = &mut self.rows;
            let outcome = cx.isolated(|cx| apply(cx, commit, index, ended, rows))?;
            self.outcomes.push(outcome.unwrap_or_else(CommitOutcome::Rejected));
        }
        Ok(())
    }

    fn finish(self: Box<Self>, end: Result<(), StoreError>) {
        let answer = match end {
            Ok(()) => {
                self.core.counters.rows.fetch_add(self.rows, Ordering::Relaxed);
                self.core.send_hints(self.hints);
                Ok((self.outcomes, self.commits))
            }
            Err(error) => Err(CommitError { error, commits: self.commits }),
        };
        // The caller may have gone; a worker that comes back finds its rows by their nonce.
        drop(self.reply.send(answer));
    }
}

fn apply(
    cx: &mut Cx<'_, '_>,
    commit: &mut RunCommit,
    index: usize,
    ended: &mut Vec<(usize, StepEnd)>,
    rows: &mut u64,
) -> Result<CommitOutcome, Abort> {
    if let Some(why) = unacceptable(commit) {
        return Ok(CommitOutcome::Rejected(why));
    }
    let Some(mut head) = cx.memory.head(cx.session, commit.execution)?.cloned() else {
        return Ok(CommitOutcome::Refused { head: None });
    };
    if head.seq.plus(1) != commit.seq {
        return answer_out_of_place(cx.session, commit, &head);
    }
    let mut body = None;
    if commit.tx.is_some() {
        match step(cx, commit, index, ended)? {
            StepEnd::Keep(record) => body = Some(record),
            StepEnd::Reject(why) => return Ok(CommitOutcome::Rejected(why)),
            // The step left nothing and asks for no record: nothing of the commit is applied.
            StepEnd::RollBack if commit.rows.is_empty() => {
                return Ok(CommitOutcome::Applied(Applied::default()));
            }
            StepEnd::RollBack => {}
        }
    }
    append(cx.session, commit, body, &mut head)?;
    *rows += head.seq.0 + 1 - commit.seq.0;
    write_the_rest(cx, commit, head.run)?;
    settle(cx, commit, head)
}

fn unacceptable(commit: &mut RunCommit) -> Option<String> {
    let Some(step) = commit.tx.as_mut() else {
        return commit.rows.is_empty().then(|| "a commit appends at least one row".to_owned());
    };
    let kind = step.store_kind();
    let ours = step.blocking::<SqliteTransactions>().is_some();
    (!ours).then(|| format!("the step is written for a store of the kind \"{kind}\", and this one is \"sqlite\""))
}

/// A place that is not the next one: the commit was applied already, or comes too late or too
/// early.
fn answer_out_of_place(session: &Session<'_>, commit: &RunCommit, head: &Head) -> Result<CommitOutcome, Abort> {
    if nonce_at(session, commit.seq, head)? != Some(commit.nonce) {
        return Ok(CommitOutcome::Refused { head: Some(head.seq) });
    }
    let stay = matches!(commit.then, Then::Release { .. }) && head.owner == Some(commit.owner);
    Ok(CommitOutcome::Applied(Applied { stay }))
}

/// The mark of a row, found by going back from the last one: whoever asks is seldom far behind.
fn nonce_at(session: &Session<'_>, seq: Seq, head: &Head) -> Result<Option<Nonce>, Abort> {
    let mut next = (seq <= head.seq).then_some(head.row);
    while let Some(row) = next {
        let found = session.first(&sql::ROW, [row], |row| {
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned(), row.get(2)?))
        })?;
        match found {
            Some((at, nonce, _)) if at == seq.0 => return Ok(Some(Nonce(nonce))),
            Some((_, _, before)) => next = before,
            None => break,
        }
    }
    Ok(None)
}

fn step(
    cx: &Cx<'_, '_>,
    commit: &mut RunCommit,
    index: usize,
    ended: &mut Vec<(usize, StepEnd)>,
) -> Result<StepEnd, Abort> {
    if let Some((_, end)) = ended.iter().find(|(of, _)| *of == index) {
        return Ok(end.clone());
    }
    let Some(code) = commit.tx.as_mut().and_then(|step| step.blocking::<SqliteTransactions>()) else {
        return Ok(StepEnd::RollBack);
    };
    let (end, lost) = run_step(cx.session, cx.mode, cx.core.tx_time_limit, code)?;
    if lost {
        ended.push((index, end));
        return Err(Abort::Again);
    }
    Ok(end)
}

fn append(session: &Session<'_>, commit: &RunCommit, body: Option<bytes::Bytes>, head: &mut Head) -> Result<(), Abort> {
    let nonce = commit.nonce.0.cast_signed();
    let known = head.row;
    let mut insert = |row: &Row| {
        let seq = head.seq.plus(1);
        let values = params![head.run, number(seq.0), nonce, row.more, head.row, &row.body[..]];
        session.run(&sql::APPEND, values)?;
        (head.seq, head.row) = (seq, session.conn().last_insert_rowid());
        Ok::<_, Abort>(())
    };
    let own = if body.is_some() { commit.rows.len().saturating_sub(1) } else { commit.rows.len() };
    commit.rows[..own].iter().try_for_each(&mut insert)?;
    if let (Some(body), Some(step)) = (body, &commit.tx) {
        step.rows(commit.seq.plus(own as u64), body).iter().try_for_each(&mut insert)?;
    }
    if session.run(&sql::ADVANCE, params![head.run, number(head.seq.0), head.row, known])? == 0 {
        // What is remembered is wrong. It is read again, alone.
        session.forget();
        return Err(Abort::Again);
    }
    Ok(())
}

fn write_the_rest(cx: &mut Cx<'_, '_>, commit: &RunCommit, run: i64) -> Result<(), Abort> {
    let session = cx.session;
    for blob in &commit.blobs {
        session.run(&sql::ADD_BLOB, params![run, blob.id.as_bytes(), &blob.bytes[..]])?;
    }
    if let Some(seen) = commit.inbox_seen {
        session.run(&sql::CONSUME, params![run, number(seen)])?;
        session.run(&sql::SEE_INBOX, params![run, number(seen)])?;
    }
    for sent in &commit.sent {
        session.run(&sql::REMOVE_OUTBOX, [sent.as_bytes()])?;
    }
    for message in &commit.outbox {
        send(session, commit, message, run)?;
    }
    if let Some(change) = &commit.change {
        let conclusion = change.conclusion.as_deref();
        session.run(&sql::CHANGE_STATE, params![run, change.state.code(), conclusion, cx.now.as_micros()])?;
    }
    if let Some(status) = &commit.status {
        session.run(&sql::SET_STATUS, params![run, &status[..]])?;
    }
    if (commit.change.is_some() || commit.status.is_some()) && commit.then != Then::End {
        cx.hints.push(Hint::Changed(commit.execution));
    }
    Ok(())
}

fn send(session: &Session<'_>, commit: &RunCommit, message: &Message, run: i64) -> Result<(), Abort> {
    let (to_run, to_execution) = match &message.to {
        Target::Run(id) => (Some(id.as_str()), None),
        Target::Execution(execution) => (None, Some(execution.as_bytes())),
    };
    let owner = commit.owner.as_bytes();
    let values = params![message.id.as_bytes(), run, owner, to_run, to_execution, &message.body[..]];
    session.run(&sql::ADD_OUTBOX, values)?;
    Ok(())
}

/// Progress, and who owns the run from now on.
fn settle(cx: &mut Cx<'_, '_>, commit: &RunCommit, mut head: Head) -> Result<CommitOutcome, Abort> {
    let session = cx.session;
    if head.deaths > 0 || head.claim_due || head.unreleased {
        // The claim record of a takeover is no progress.
        head.deaths = if head.claim_due { head.deaths } else { 0 };
        (head.claim_due, head.unreleased) = (false, false);
        session.run(&sql::SETTLE, params![head.run, head.deaths])?;
    }
    let mut stay = false;
    match &commit.then {
        Then::Keep => own(session, commit, &mut head)?,
        Then::Release { wake_at, not_build } => {
            // A build that cannot drive the run cannot read its messages either.
            let messages = session.first(&sql::HAS_MESSAGES, [head.run], |row| row.get(0))?.unwrap_or(false);
            stay = messages && not_build.is_none();
            if let Some(build) = not_build {
                session.run(&sql::MARK_BUILD, params![head.run, &build.0[..]])?;
            }
            if stay {
                own(session, commit, &mut head)?;
            } else {
                let due = if messages { Some(cx.now) } else { *wake_at };
                session.run(&sql::LET_GO, params![head.run, due.map(saga_store::Timestamp::as_micros), messages])?;
                head.owner = None;
                if due.is_some_and(|due| due <= cx.now) {
                    cx.hints.push(Hint::Ready);
                }
            }
        }
        Then::End => {
            session.run(&sql::END, params![head.run, cx.now.as_micros()])?;
            head.owner = None;
            cx.hints.push(Hint::Ended(commit.execution));
        }
    }
    if commit.then == Then::Keep || stay {
        cx.memory.remember(commit.execution, head);
    } else {
        cx.memory.forget(commit.execution);
    }
    Ok(CommitOutcome::Applied(Applied { stay }))
}

fn own(session: &Session<'_>, commit: &RunCommit, head: &mut Head) -> Result<(), Abort> {
    if head.owner != Some(commit.owner) {
        session.run(&sql::OWN, params![head.run, commit.owner.as_bytes()])?;
        head.owner = Some(commit.owner);
    }
    Ok(())
}

/// A position as `SQLite` keeps it. None is ever near the limit.
fn number(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}
