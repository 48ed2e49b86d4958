//! What goes wrong while a store is open: it is told with what to do, waited for, and never the
//! fault of a neighbour.

mod common;

use common::{Hold, session, until_blocked};
use saga_postgres::{Migrate, PostgresStore};
use saga_store::conformance::lab::Lab;
use saga_store::{Applied, CommitOutcome, ErrorKind, Hint, Store};

const APPLIED: CommitOutcome = CommitOutcome::Applied(Applied { stay: false });

#[tokio::test]
async fn a_full_disk_is_waited_for() {
    let (schema, lab) = common::lab().await;
    let owner = lab.worker().await;
    let run = lab.owned("ORD-1", owner).await;
    let full = format!(
        "CREATE FUNCTION {schema}.full() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
         CREATE TRIGGER disk BEFORE INSERT ON {schema}.journal EXECUTE FUNCTION {schema}.full()"
    );
    session().await.batch_execute(&full).await.unwrap();
    let error = lab.store.commit(vec![lab.append(run, owner, 1)]).await.unwrap_err();
    assert_eq!(error.error.kind(), ErrorKind::Unavailable);
    for part in ["disk", "is full", "No space left", "goes on when there is room"] {
        assert!(error.error.to_string().contains(part), "{}", error.error);
    }
    session().await.batch_execute(&format!("DROP TRIGGER disk ON {schema}.journal")).await.unwrap();
    assert_eq!(lab.store.commit(error.commits).await.unwrap(), [APPLIED]);
}

#[tokio::test]
async fn a_right_that_is_missing_for_work_is_named_and_waited_for() {
    let (schema, lab) = common::lab().await;
    let (role, url) = common::role("").await;
    let grant = |rights: &str| format!("GRANT {rights} ON ALL TABLES IN SCHEMA {schema} TO {role}");
    let create = format!("GRANT USAGE ON SCHEMA {schema} TO {role}; {}", grant("SELECT"));
    session().await.batch_execute(&create).await.unwrap();
    let store = PostgresStore::builder(&url).schema(&schema).migrate(Migrate::Verify).connect().await.unwrap();
    let run = lab.new_run("ORD-1");
    let error = store.start(vec![run.clone()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "an operator can mend it");
    let told = error.to_string();
    for part in ["permission denied", "to be granted are INSERT, UPDATE, DELETE on attributes, blobs, "] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!told.contains("SELECT") && !told.contains("USAGE") && !told.contains("meta"), "{told}");
    session().await.batch_execute(&grant("SELECT, INSERT, UPDATE, DELETE")).await.unwrap();
    store.start(vec![run]).await.unwrap();
}

#[tokio::test]
async fn a_commit_that_is_chosen_to_give_way_in_a_deadlock_is_sent_again_and_applied() {
    let (schema, lab) = common::lab().await;
    let owner = lab.worker().await;
    let mut runs = [lab.owned("ORD-1", owner).await, lab.owned("ORD-2", owner).await];
    runs.sort();
    let batch = runs.map(|run| lab.append(run, owner, 1));
    // Somebody who takes the same places in the other order, and does not look for deadlocks itself.
    let lock = |run| {
        format!("INSERT INTO {schema}.journal (execution, seq, nonce, more, body) VALUES ('{run}', 1, 0, false, '')")
    };
    let patient = format!("SET LOCAL deadlock_timeout = '10min'; SET LOCAL lock_timeout = '1min'; {}", lock(runs[1]));
    let other = Hold::sql(&patient).await;
    let store = lab.store.clone();
    let late = tokio::spawn(async move { store.commit(batch.into()).await });
    until_blocked(&other).await;
    let first = lock(runs[0]);
    let (late, other) = futures_util::future::join(late, other.and(&first)).await;
    let error = late.unwrap().unwrap_err();
    assert_eq!(error.error.kind(), ErrorKind::Unavailable);
    assert!(error.error.to_string().contains("deadlock"), "{}", error.error);
    other.release().await;
    assert_eq!(lab.store.commit(error.commits).await.unwrap(), [APPLIED, APPLIED]);
}

#[tokio::test]
async fn a_session_for_hints_that_is_terminated_comes_back_and_tells_to_look_at_everything() {
    let (schema, lab) = common::lab().await;
    let mut hints = lab.store.hints();
    let watch = session().await;
    let terminate = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query = 'LISTEN \"saga_hints_{schema}\"'"
    );
    while watch.query_one(&terminate, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(hints.next().await, Some(Hint::Anything));
    // And it hears again.
    let other = Lab::new(common::open(&schema).await);
    other.pending("ORD-1").await;
    assert_eq!(hints.next().await, Some(Hint::Ready));
}

/// Turns each session that starts a run read-only for the time after, as a proxy does that has
/// gone over to a replica, or an operator who takes the primary out of service.
async fn sessions_turn_read_only(schema: &str, client: &tokio_postgres::Client) {
    let turn = format!(
        "CREATE FUNCTION {schema}.turn() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN PERFORM set_config('default_transaction_read_only', 'on', false); RETURN NULL; END $$;
         CREATE TRIGGER turn AFTER INSERT ON {schema}.runs EXECUTE FUNCTION {schema}.turn()"
    );
    client.batch_execute(&turn).await.unwrap();
}

#[tokio::test]
async fn a_session_that_has_turned_read_only_is_given_up_for_a_new_one() {
    let (schema, lab) = common::lab().await;
    let client = session().await;
    sessions_turn_read_only(&schema, &client).await;
    lab.pending("ORD-1").await;
    client.batch_execute(&format!("DROP TRIGGER turn ON {schema}.runs")).await.unwrap();
    // One session has turned; the other for clients has perhaps not been opened yet.
    let mut failed = 0;
    for number in 0..10 {
        if let Err(error) = lab.store.start(vec![lab.new_run(&format!("NEXT-{number}"))]).await {
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(error.to_string().contains("read-only"), "{error}");
            failed += 1;
        }
    }
    assert_eq!(failed, 1, "the session was used again");
}

#[tokio::test]
async fn a_session_of_a_transaction_that_has_turned_read_only_is_given_up_for_a_new_one() {
    let (_, lab) = common::lab().await;
    let now = "SELECT pg_backend_pid(), current_setting('transaction_read_only')";
    let tx = lab.store.begin().await.unwrap();
    let before: i32 = tx.query_one(now, &[]).await.unwrap().get(0);
    tx.execute("SET TRANSACTION READ ONLY", &[]).await.unwrap();
    let error = tx.execute("CREATE TABLE public.never (one int)", &[]).await.unwrap_err();
    assert_eq!(error.code(), Some(&tokio_postgres::error::SqlState::READ_ONLY_SQL_TRANSACTION));
    tx.roll_back().await;
    let tx = lab.store.begin().await.unwrap();
    let row = tx.query_one(now, &[]).await.unwrap();
    assert_ne!(row.get::<_, i32>(0), before);
    assert_eq!(row.get::<_, &str>(1), "off");
}

#[tokio::test]
async fn what_a_program_reads_in_a_transaction_of_its_own_may_be_read_only() {
    let (schema, lab) = common::lab().await;
    lab.pending("ORD-1").await;
    let tx = lab.store.begin().await.unwrap();
    tx.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY", &[]).await.unwrap();
    let runs = tx.query_one(&format!("SELECT count(*) FROM {schema}.runs"), &[]).await.unwrap();
    assert_eq!(runs.get::<_, i64>(0), 1);
    tx.commit().await.unwrap();
    // The session takes to what the one before has left.
    let tx = lab.store.begin().await.unwrap();
    tx.execute(&format!("CREATE TABLE {schema}.own (one int)"), &[]).await.unwrap();
    tx.commit().await.unwrap();
}
