//! Many clients start runs, and none waits for another's id.

mod common;

use std::collections::BTreeSet;

use common::{Hold, until_blocked};
use saga_postgres::PostgresStore;
use saga_store::conformance::lab::{Lab, executions, run_id};
use saga_store::{Claim, ErrorKind, Hint, NewRun, Query, RunState, Started, Store};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_starts_of_a_thousand_ids_by_eight_clients_are_a_thousand_runs() {
    let schema = common::fresh_name();
    let mut clients = Vec::new();
    for client in 0..8 {
        let store = common::open(&schema).await;
        clients.push(tokio::spawn(async move {
            let lab = Lab::new(store);
            let mut new = 0;
            for batch in 0..25 {
                // A different order for each client, so that their locks cross.
                let id = |at: usize| format!("ORD-{}", (at * (2 * client + 1) + batch * 50) % 1000);
                let runs: Vec<NewRun> = (0..50)
                    .map(|at| {
                        let mut run = lab.new_run(&id(at));
                        let mut bytes = *run.execution.as_bytes();
                        bytes[15] ^= u8::try_from(client + 1).unwrap();
                        bytes[14] ^= 0x80;
                        run.execution = saga_store::ExecutionId::from_bytes(bytes);
                        run
                    })
                    .collect();
                let executions: Vec<_> = runs.iter().map(|run| run.execution).collect();
                // On a slow machine an id may be held for longer than a start waits: then the same
                // starts are sent again, as the contract says.
                let answers = loop {
                    match lab.store.start(runs.clone()).await {
                        Ok(answers) => break answers,
                        Err(error) => assert!(error.is_retryable(), "{error}"),
                    }
                };
                for (answer, own) in answers.iter().zip(executions) {
                    match answer {
                        Started::New => new += 1,
                        Started::Existing { execution, .. } => new += usize::from(*execution == own),
                        other => panic!("{other:?}"),
                    }
                }
            }
            new
        }));
    }
    let mut new = 0;
    for client in clients {
        new += client.await.unwrap();
    }
    assert_eq!(new, 1000);
    let store = common::open(&schema).await;
    let page = store.list(&Query { limit: 2000, ..Query::default() }).await.unwrap();
    let ids: BTreeSet<_> = page.runs.iter().map(|run| run.id.clone()).collect();
    assert_eq!((page.runs.len(), ids.len()), (1000, 1000));
}

#[tokio::test]
async fn an_id_that_an_open_transaction_holds_stalls_no_other_start() {
    let (schema, lab) = common::lab().await;
    let held = lab.new_run("held");
    let insert = format!(
        "INSERT INTO {schema}.runs (execution, id, newest, workflow, version, lane, priority, state, created_at, \
         updated_at, input_digest, attributes) VALUES (gen_random_uuid(), 'held', true, 'order', 1, '', 0, 0, 0, 0, \
         0, '{{}}')"
    );
    let lock = Hold::sql(&insert).await;
    let store = lab.store.clone();
    let waiting = tokio::spawn(async move { store.start(vec![held]).await });
    until_blocked(&lock).await;
    // Other calls go on, and so do the others of a batch with that id.
    lab.pending("free").await;
    let batch = vec![lab.new_run("a"), lab.new_run("held"), lab.new_run("z")];
    let error = lab.store.start(batch.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("\"held\""), "{error}");
    for other in [&batch[0], &batch[2]] {
        assert!(lab.store.get(&other.id).await.unwrap().is_some());
    }
    lock.release().await;
    // It started its run, or gave up waiting: then it is to be sent again.
    let first = waiting.await.unwrap();
    assert!(
        first.is_ok_and(|answers| answers == [Started::New]) || lab.store.get(&batch[1].id).await.unwrap().is_none()
    );
    let answers = lab.store.start(batch).await.unwrap();
    assert!(answers.iter().all(|answer| matches!(answer, Started::New | Started::Existing { .. })), "{answers:?}");
}

#[tokio::test]
async fn a_start_that_the_server_refuses_fails_no_neighbour() {
    let (_, lab) = common::lab().await;
    let runs: Vec<NewRun> = (0..9)
        .map(|number| {
            let attributes = if number == 4 { vec![("a".to_owned(), "b\0c".to_owned())] } else { Vec::new() };
            NewRun { attributes, ..lab.new_run(&format!("ORD-{number}")) }
        })
        .collect();
    for (number, answer) in lab.store.start(runs).await.unwrap().into_iter().enumerate() {
        match answer {
            Started::Rejected(why) => assert!(number == 4 && why.contains("0x00"), "{number}: {why}"),
            other => assert!(number != 4 && other == Started::New, "{number}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn two_workers_share_what_is_due_and_no_run_goes_to_both() {
    let (schema, lab) = common::lab().await;
    let other = Lab::new(common::open(&schema).await);
    let (one, two) = (lab.worker().await, lab.worker().await);
    let runs = (0..400).map(|number| lab.new_run(&format!("ORD-{number}"))).collect();
    lab.store.start(runs).await.unwrap();
    let mut taken = Vec::new();
    while taken.len() < 400 {
        let requests: [Claim; 2] = [one, two].map(|worker| Lab::<saga_postgres::PostgresStore>::request(worker, 7));
        let (a, b) = futures_util::future::join(lab.claim_by(&requests[0]), other.claim_by(&requests[1])).await;
        taken.extend(a.into_iter().chain(b).map(|run| run.execution));
    }
    let distinct: BTreeSet<_> = taken.iter().collect();
    assert_eq!((taken.len(), distinct.len()), (400, 400));
}

#[tokio::test]
async fn what_another_process_writes_gives_a_hint() {
    let (schema, lab) = common::lab().await;
    let mut hints = lab.store.hints();
    let other = Lab::new(common::open(&schema).await);
    // The session that listens may not be there yet: each start gives one more hint.
    let mut number = 0;
    loop {
        number += 1;
        other.pending(&format!("ORD-{number}")).await;
        tokio::select! {
            biased;
            hint = hints.next() => {
                assert!(matches!(hint, Some(Hint::Ready | Hint::Anything)), "{hint:?}");
                break;
            }
            () = tokio::task::yield_now() => {}
        }
    }
}

/// A run whose id is its execution's.
fn unnamed(lab: &Lab<PostgresStore>) -> NewRun {
    let run = lab.new_run("x");
    NewRun { id: run_id(&run.execution.to_string()), ..run }
}

#[tokio::test]
async fn of_starts_in_one_call_those_whose_worker_has_gone_wait_for_another() {
    let (_, lab) = common::lab().await;
    let (here, gone) = (lab.worker().await, lab.worker().await);
    lab.store.leave(gone).await.unwrap();
    let of = |worker| NewRun { claim_for: Some(worker), ..unnamed(&lab) };
    let runs = [of(here), of(gone), of(here), of(gone)];
    assert_eq!(lab.store.start(runs.to_vec()).await.unwrap(), [const { Started::New }; 4]);
    for (run, state) in runs.iter().zip([RunState::Running, RunState::Pending].into_iter().cycle()) {
        // By itself, and not since a claim finds out later that their owner is nobody.
        assert_eq!(lab.view(run.execution).await.state, state);
    }
    let claimed: BTreeSet<_> = executions(&lab.claim(here).await).into_iter().collect();
    assert_eq!(claimed, [runs[1].execution, runs[3].execution].into());
    for run in &runs {
        lab.apply(lab.append(run.execution, here, 1)).await;
        assert_eq!(lab.view(run.execution).await.state, RunState::Running);
    }
    // The answer was lost: all are there once.
    let again = lab.store.start(runs.to_vec()).await.unwrap();
    let is_there = |(run, answer): (&NewRun, &Started)| matches!(answer, Started::Existing { execution, same_input: true, .. } if *execution == run.execution);
    assert!(runs.iter().zip(&again).all(is_there), "{again:?}");
}

#[tokio::test]
async fn a_start_that_nobody_named_is_new_once_and_fails_no_neighbour_when_it_is_sent_again() {
    let (_, lab) = common::lab().await;
    let (first, second) = (unnamed(&lab), unnamed(&lab));
    assert_eq!(lab.store.start(vec![first.clone()]).await.unwrap(), [Started::New]);
    let again = lab.store.start(vec![first.clone(), second]).await.unwrap();
    assert!(matches!(again[0], Started::Existing { execution, .. } if execution == first.execution), "{again:?}");
    assert_eq!(again[1], Started::New);
}
