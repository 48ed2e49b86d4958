//! Statements that take the same rows from both ends do not stop each other.

mod common;

use common::{Hold, session, until_blocked};
use futures_util::FutureExt as _;
use saga_postgres::PostgresStore;
use saga_store::conformance::lab::{Lab, executions};
use saga_store::{
    Applied, CommitOutcome, Delivery, ExecutionId, Incarnation, Message, MessageId, NewRun, Nonce, RunCommit, Store,
};

const APPLIED: CommitOutcome = CommitOutcome::Applied(Applied { stay: false });

type Of = Lab<PostgresStore>;

/// Two stores, each with sessions of its own, and runs that belong to a worker of the first.
async fn two() -> (String, [Of; 2], Vec<ExecutionId>, Incarnation) {
    let (schema, one) = common::lab().await;
    let two = Lab::new(common::open(&schema).await);
    let owner = one.worker().await;
    let mut runs = Vec::new();
    for number in 0..21 {
        runs.push(one.owned(&format!("ORD-{number}"), owner).await);
    }
    runs.sort();
    (schema, [one, two], runs, owner)
}

/// Sends two calls that take the same rows from both ends, each as far as the row in the middle,
/// which the test holds until both wait.
async fn meet<A>(schema: &str, runs: &[ExecutionId], calls: [impl Future<Output = A> + Send + 'static; 2]) -> [A; 2]
where
    A: Send + 'static,
{
    let middle = Hold::run(schema, runs[runs.len() / 2]).await;
    let [one, two] = calls.map(tokio::spawn);
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND strpos(query, $1) > 0";
    let client = session().await;
    while client.query_one(sql, &[&schema]).await.unwrap().get::<_, i64>(0) < 2 {
        tokio::task::yield_now().await;
    }
    middle.release().await;
    [one.await.unwrap(), two.await.unwrap()]
}

/// Commits of all runs by two who both think that they own them, as a worker does that was
/// stopped for long. One of them has each run.
async fn commit_from_both_ends(more: impl Fn(RunCommit) -> RunCommit) {
    let (schema, [one, two], runs, owner) = two().await;
    let commits = |lab: &Of| -> Vec<RunCommit> { runs.iter().map(|run| more(lab.append(*run, owner, 1))).collect() };
    let (forth, mut back) = (commits(&one), commits(&two));
    // The marks of two labs are alike, those of two workers are not.
    for commit in &mut back {
        commit.nonce = Nonce(commit.nonce.0 ^ (1 << 60));
    }
    back.reverse();
    let [one, two] = [(one, forth), (two, back)].map(|(lab, commits)| async move { lab.store.commit(commits).await });
    let [forth, back] = meet(&schema, &runs, [one.boxed(), two.boxed()]).await;
    let (forth, mut back) = (forth.unwrap(), back.unwrap());
    back.reverse();
    for (one, two) in forth.iter().zip(&back) {
        assert!((*one == APPLIED) != (*two == APPLIED), "{one:?} and {two:?}");
    }
}

#[tokio::test]
async fn two_stores_that_append_to_the_same_runs_in_opposite_order_both_get_an_answer() {
    commit_from_both_ends(|commit| commit).await;
}

#[tokio::test]
async fn two_stores_that_commit_more_than_a_row_in_opposite_order_both_get_an_answer() {
    commit_from_both_ends(|commit| RunCommit { status: Some(bytes::Bytes::from_static(b"status")), ..commit }).await;
}

#[tokio::test]
async fn two_stores_that_deliver_to_the_same_runs_in_opposite_order_deliver_each_message_once() {
    let (schema, [one, two], runs, _) = two().await;
    let forth: Vec<Message> = runs.iter().map(|run| one.message(*run)).collect();
    // Half of the messages are delivered by both, as after an answer that was lost.
    let own = |(number, message): (usize, &Message)| {
        let mut id = *message.id.as_uuid().as_bytes();
        id[0] ^= if number % 2 == 0 { 0x80 } else { 0 };
        Message { id: MessageId::from_bytes(id), ..message.clone() }
    };
    let mut back: Vec<Message> = forth.iter().enumerate().map(own).collect();
    back.reverse();
    let [one, two] = [(one, forth), (two, back)].map(|(lab, mail)| async move { lab.store.deliver(mail).await });
    let [forth, back] = meet(&schema, &runs, [one.boxed(), two.boxed()]).await;
    let (forth, mut back) = (forth.unwrap(), back.unwrap());
    back.reverse();
    for (number, run) in runs.iter().enumerate() {
        let new = [forth[number], back[number]].map(|answer| answer == Delivery::New(*run));
        assert_eq!(new.iter().filter(|new| **new).count(), if number % 2 == 0 { 2 } else { 1 }, "{number}");
    }
}

#[tokio::test]
async fn a_delivery_that_is_chosen_to_give_way_in_a_deadlock_is_sent_again_by_itself() {
    let (schema, lab) = common::lab().await;
    let owner = lab.worker().await;
    let mut runs = [lab.owned("ORD-1", owner).await, lab.owned("ORD-2", owner).await];
    runs.sort();
    let messages: Vec<Message> = runs.iter().map(|run| lab.message(*run)).collect();
    // Somebody who takes the same rows in the other order, and does not look for deadlocks itself.
    let lock = |run| format!("SELECT FROM {schema}.live WHERE execution = '{run}' FOR UPDATE");
    let patient = format!("SET LOCAL deadlock_timeout = '10min'; SET LOCAL lock_timeout = '1min'; {}", lock(runs[1]));
    let other = Hold::sql(&patient).await;
    let store = lab.store.clone();
    let mut delivering = tokio::spawn(async move { store.deliver(messages).await });
    until_blocked(&other).await;
    // The lock is had only if the delivery gives way, which then waits again.
    let other = other.and(&lock(runs[0])).await;
    tokio::select! {
        () = until_blocked(&other) => {}
        answer = &mut delivering => panic!("{answer:?} while the runs are locked"),
    }
    other.release().await;
    assert_eq!(delivering.await.unwrap().unwrap(), runs.map(Delivery::New));
}

#[tokio::test]
async fn a_claim_does_not_wait_for_runs_that_somebody_has_locked() {
    let (schema, lab) = common::lab().await;
    let worker = lab.worker().await;
    let (locked, free) = (lab.pending("locked").await, lab.pending("free").await);
    let lock = format!("SELECT FROM {schema}.live WHERE execution = '{locked}' FOR UPDATE");
    let other = Hold::sql(&lock).await;
    assert_eq!(executions(&lab.claim(worker).await), [free]);
    other.release().await;
    assert_eq!(executions(&lab.claim(worker).await), [locked]);
}

#[tokio::test]
async fn a_claim_from_many_lanes_locks_little_more_than_it_takes() {
    let (schema, lab) = common::lab().await;
    let worker = lab.worker().await;
    let mut first = None;
    for lane in 0..20 {
        for number in 0..10 {
            let new = NewRun { lane: format!("lane {lane:02}"), ..lab.new_run(&format!("{lane}-{number}")) };
            let execution = lab.started(new).await;
            first.get_or_insert(execution);
        }
    }
    // It takes a run of each lane, and waits with all its locks for the one that somebody writes to.
    let write = format!("SELECT FROM {schema}.runs WHERE execution = '{}' FOR UPDATE", first.unwrap());
    let other = Hold::sql(&write).await;
    let store = lab.store.clone();
    let request = Of::request(worker, 10);
    let claiming = tokio::spawn(async move { store.claim(&request).await });
    until_blocked(&other).await;
    let unlocked = format!("SELECT count(*) FROM (SELECT FROM {schema}.ready FOR UPDATE SKIP LOCKED) AS r");
    let left: i64 = session().await.query_one(&unlocked, &[]).await.unwrap().get(0);
    assert!(left >= 180, "{} runs of 200 are locked to take 10", 200 - left);
    other.release().await;
    assert_eq!(claiming.await.unwrap().unwrap().len(), 10);
}
