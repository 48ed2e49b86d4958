//! What is recorded of a run outside of its own turns: a claim, a trial, a release of what this
//! build cannot drive, a run's death.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use saga_store::wire::{Care, Claimed, Conclusion, Entry, Parent, Payload, Record, encode, join_rows, split_rows};
use saga_store::{BuildId, CommitOutcome, LoadedRun, Message, RunCommit, RunState, Seq, StateChange, Then, Timestamp};

use super::driver::{Parting, Probation};
use super::mailbox::Mailbox;
use super::membership::{Membership, Tenure};
use super::pace::OUTAGE_POLL;
use super::shared::Shared;
use super::suspicion::{self, Verdict};
use super::ward::Trial;
use crate::machine::{end_message, farewells};
use crate::session;

/// Records that this worker has taken the run over; if its workers keep dying, it waits for its
/// turn first. Gives the place of the next record.
pub(super) async fn take_over(
    shared: &Arc<Shared>,
    run: &LoadedRun,
    tenure: &Tenure,
    mailbox: &Mailbox,
) -> Result<(Seq, Option<Probation>), Parting> {
    let next = Seq(run.journal.len() as u64);
    // Who cannot read the journal cannot drive the run either, and finds out later.
    let records = || join_rows(&run.journal).unwrap_or_default();
    let died_alone = if tenure.deaths == 0 { 0 } else { suspicion::died_alone(&records()) };
    let trial = match suspicion::judge(tenure.deaths, died_alone, shared.max_deaths, shared.beat) {
        Verdict::Trusted => None,
        Verdict::Suspected { wait, alone } => Some(turn(shared, run, tenure, mailbox, wait, alone).await?),
        Verdict::Guilty => {
            let reason = format!(
                "{} workers in a row died while they drove it, the last {died_alone} while they tried it alone: \
                 it seems to kill its process",
                tenure.deaths
            );
            return Err(die(shared, run, &tenure.membership, next, reason).await);
        }
    };
    let mut claimed = Claimed::by(tenure.membership.incarnation().to_string());
    claimed.care = trial.as_ref().filter(|trial| trial.is_alone()).map(|_| Care::Alone);
    let rows = append(shared, run, &tenure.membership, next, Entry::Claimed(claimed), Then::Keep).await?;
    let until = shared.clock.now().after(shared.lease);
    Ok((next.plus(rows), trial.map(|trial| Probation { trial, until })))
}

/// Waits for a suspected run's turn.
async fn turn(
    shared: &Shared,
    run: &LoadedRun,
    tenure: &Tenure,
    mailbox: &Mailbox,
    wait: Duration,
    alone: bool,
) -> Result<Trial, Parting> {
    tracing::warn!(
        run = %run.view.id,
        deaths = tenure.deaths,
        ?wait,
        "workers died while they drove this run; it is tried apart from others of its kind"
    );
    let turn = async {
        shared.clock.sleep_until(shared.clock.now().after(wait)).await;
        shared.ward.admit(alone).await
    };
    tokio::pin!(turn);
    let mut told = false;
    let trial = loop {
        tokio::select! {
            biased;
            () = mailbox.raised() => {
                told = true;
                let mail = mailbox.peek();
                if mail.lost {
                    return Err(Parting::Lost);
                }
                if mail.stop {
                    return Err(Parting::Stopped);
                }
            }
            trial = &mut turn => break trial,
        }
    };
    if told {
        mailbox.wake();
    }
    Ok(trial)
}

/// The run of a worker that is gone was given to this one, which does not serve it: whoever does
/// shall have it.
pub(super) async fn leave_to_others(shared: &Arc<Shared>, run: &LoadedRun, membership: &Membership) -> Parting {
    let next = Seq(run.journal.len() as u64);
    if session::is_session(&run.view.workflow) && has_begun(run) {
        // It was its worker's, and is nobody's now. One that waits for its first worker has awaited nothing yet.
        let message = "the session's worker has gone".to_owned();
        let lost = Conclusion::Failed { error: Payload::json("null"), message };
        return end(shared, run, membership, next, lost).await;
    }
    let claimed = Entry::Claimed(Claimed::by(membership.incarnation().to_string()));
    // With a build that nobody is, the run is let go whatever messages wait for it.
    let build = BuildId("of a worker that does not serve it".into());
    let release = Then::Release { wake_at: Some(shared.clock.now()), not_build: Some(build) };
    match append(shared, run, membership, next, claimed, release).await {
        Ok(_) => Parting::Released,
        Err(parting) => parting,
    }
}

/// Whether a worker has driven a session: the first that it does is to await its end.
fn has_begun(run: &LoadedRun) -> bool {
    let records = join_rows(&run.journal).unwrap_or_default();
    records.iter().flat_map(|record| &record.entries).any(|entry| matches!(entry, Entry::EventAwaited(..)))
}

/// This build cannot drive the run: another one may, if there is one; else the run is dead.
pub(super) async fn give_up(
    shared: &Arc<Shared>,
    run: &LoadedRun,
    membership: &Membership,
    next: Seq,
    reason: String,
) -> Parting {
    match others_may_try(shared, run, membership).await {
        Err(parting) => parting,
        Ok(true) => {
            tracing::warn!(run = %run.view.id, %reason, "this build cannot drive the run; it is left to others");
            let mut claimed = Claimed::by(membership.incarnation().to_string());
            claimed.not_build = Some(shared.build.0.to_string());
            // Due at once for those; for this build again when no other is left, to be told so.
            let release = Then::Release { wake_at: Some(shared.clock.now()), not_build: Some(shared.build.clone()) };
            match append(shared, run, membership, next, Entry::Claimed(claimed), release).await {
                Ok(_) => Parting::Released,
                Err(parting) => parting,
            }
        }
        Ok(false) => {
            let reason = format!("{reason} (workflow `{}`, run {})", run.view.workflow, run.view.id);
            die(shared, run, membership, next, reason).await
        }
    }
}

/// Whether a worker of another build lives that has not given the run up before.
async fn others_may_try(shared: &Shared, run: &LoadedRun, membership: &Membership) -> Result<bool, Parting> {
    let mut refused: BTreeSet<BuildId> = refused_by(&join_rows(&run.journal).unwrap_or_default());
    refused.insert(shared.build.clone());
    loop {
        if membership.is_over() {
            return Err(Parting::Lost);
        }
        if shared.is_stopping() {
            return Err(Parting::Stopped);
        }
        match shared.store.beat(membership.incarnation()).await {
            Ok(beat) if beat.member => {
                return Ok(beat.peers.iter().any(|peer| !peer.dead && !refused.contains(&peer.build)));
            }
            Ok(_) => {
                shared.doubt.notify_one();
                return Err(Parting::Lost);
            }
            Err(error) => {
                tracing::warn!(%error, run = %run.view.id, "who else may drive the run cannot be found out now");
                shared.clock.sleep_until(shared.clock.now().after(OUTAGE_POLL)).await;
            }
        }
    }
}

/// The builds that have given a run up.
fn refused_by(journal: &[Record]) -> BTreeSet<BuildId> {
    let entries = journal.iter().flat_map(|record| &record.entries);
    let refusals = entries.filter_map(|entry| match entry {
        Entry::Claimed(claimed) => claimed.not_build.as_ref(),
        _ => None,
    });
    refusals.map(|build| BuildId(build.as_str().into())).collect()
}

/// Ends a run that waits for an operator.
async fn die(shared: &Arc<Shared>, run: &LoadedRun, membership: &Membership, next: Seq, reason: String) -> Parting {
    end(shared, run, membership, next, Conclusion::Dead { reason }).await
}

/// Records how the run has ended.
async fn end(
    shared: &Arc<Shared>,
    run: &LoadedRun,
    membership: &Membership,
    next: Seq,
    conclusion: Conclusion,
) -> Parting {
    match append(shared, run, membership, next, Entry::Concluded(conclusion.clone()), Then::End).await {
        Ok(_) => Parting::Ended(Arc::new(conclusion)),
        Err(parting) => parting,
    }
}

/// Appends one entry; gives the number of its rows.
async fn append(
    shared: &Arc<Shared>,
    run: &LoadedRun,
    membership: &Membership,
    seq: Seq,
    entry: Entry,
    then: Then,
) -> Result<u64, Parting> {
    let now = shared.clock.now();
    let (change, outbox) = match &entry {
        Entry::Concluded(conclusion) => {
            let change = StateChange { state: RunState::of(conclusion), conclusion: Some(encode(conclusion)) };
            (Some(change), last_words(run, conclusion, now))
        }
        _ => (None, Vec::new()),
    };
    let rows = split_rows(Record::new(now, vec![entry]).to_bytes());
    let count = rows.len() as u64;
    let commit = RunCommit {
        rows,
        outbox: outbox.clone(),
        change,
        then,
        ..RunCommit::empty(run.view.execution, membership.incarnation(), seq, shared.entropy.nonce())
    };
    match shared.committer.submit(commit).await {
        Ok(CommitOutcome::Applied(_)) => {
            shared.post.send(outbox);
            Ok(count)
        }
        Ok(CommitOutcome::Refused { .. }) => {
            shared.doubt.notify_one();
            Err(Parting::Lost)
        }
        Ok(CommitOutcome::Rejected(why)) => {
            tracing::error!(run = %run.view.id, %why, "the store cannot take the run's record");
            Err(Parting::Lost)
        }
        Err(_) => Err(Parting::Stopped),
    }
}

/// What a run that has ended says to others.
fn last_words(run: &LoadedRun, conclusion: &Conclusion, now: Timestamp) -> Vec<Message> {
    let execution = run.view.execution;
    match join_rows(&run.journal) {
        Ok(records) => farewells(execution, &records, conclusion, now),
        // Its first record may be readable all the same.
        Err(_) => {
            let parent = parent_of(run);
            parent.and_then(|parent| end_message(&parent, execution, conclusion, now)).into_iter().collect()
        }
    }
}

/// Whose child a run is, as its first record says, if it can be read.
fn parent_of(run: &LoadedRun) -> Option<Parent> {
    let records = join_rows(run.journal.get(..1)?).ok()?;
    match records.into_iter().next()?.entries.into_iter().next()? {
        Entry::Started(started) => started.parent,
        _ => None,
    }
}
