//! Who is there, and who is known to be gone.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use saga_postgres::PostgresStore;
use saga_store::conformance::lab::{Lab, executions};
use saga_store::{ClaimedRun, ErrorKind, NodeInfo, Store, StoreError};
use saga_test_server::{Proxy, TestServer};

#[tokio::test]
async fn a_worker_that_joins_is_told_who_is_dead_and_need_not_wait_for_a_lease() {
    let (_, lab) = common::lab().await;
    let (dead, watcher, alive) = (lab.worker().await, lab.worker().await, lab.worker().await);
    let runs = [lab.owned("ORD-1", dead).await, lab.owned("ORD-2", dead).await];
    // The watcher found it silent, and went after the first of its runs.
    let adopted = executions(&lab.store.adopt(dead, watcher, 1).await.unwrap());
    let incarnation = lab.incarnation();
    let node = NodeInfo { lease: Duration::from_secs(60), ..Lab::<PostgresStore>::node(incarnation) };
    for _ in 0..2 {
        let joined = lab.store.join(&node).await.unwrap();
        assert_eq!(joined.proven_dead, [dead]);
    }
    let rest = executions(&lab.store.adopt(dead, incarnation, 10).await.unwrap());
    assert_eq!(adopted.into_iter().chain(rest).collect::<BTreeSet<_>>(), runs.into());
    assert_eq!(lab.store.beat(alive).await.unwrap().peers.len(), 2);
}

/// Calls until the call gives nothing more; how often it failed, and all that it gave.
async fn until_nothing_is_left(
    call: impl AsyncFn() -> Result<Vec<ClaimedRun>, StoreError>,
) -> (usize, Vec<ClaimedRun>) {
    let (mut failed, mut given) = (0, Vec::new());
    loop {
        match call().await {
            Ok(some) if some.is_empty() => return (failed, given),
            Ok(some) => given.extend(some),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                failed += 1;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_claim_or_a_takeover_gives_is_not_lost_with_its_answer() {
    let server = TestServer::start_private("");
    let schema = common::fresh_name();
    let direct = PostgresStore::builder(&server.url()).schema(&schema).connect().await.unwrap();
    let proxy = Proxy::before(server.folder().unwrap(), &["-- claim", "-- adopt"], 2);
    let cut = PostgresStore::builder(&proxy.url_of("postgres")).schema(&schema).connect().await.unwrap();
    let (direct, cut) = (Lab::new(direct), Lab::new(cut));

    let worker = direct.worker().await;
    let runs = (0..20).map(|number| direct.new_run(&format!("ORD-{number}"))).collect();
    direct.store.start(runs).await.unwrap();
    let claim = Lab::<PostgresStore>::request(worker, 3);
    let (failed, claimed) = until_nothing_is_left(async || cut.store.claim(&claim).await).await;
    assert!(failed >= 3, "{failed} answers were lost");
    let distinct: BTreeSet<_> = claimed.iter().map(|run| run.execution).collect();
    assert_eq!((claimed.len(), distinct.len()), (20, 20));

    let next = direct.worker().await;
    let (failed, adopted) = until_nothing_is_left(async || cut.store.adopt(worker, next, 3).await).await;
    assert!(failed >= 3, "{failed} answers were lost");
    assert_eq!(adopted.len(), 20);
    assert_eq!(adopted.iter().map(|run| run.execution).collect::<BTreeSet<_>>(), distinct);
    assert!(adopted.iter().all(|run| run.taken_over && run.deaths == 1));
}

#[tokio::test]
async fn a_beat_waits_for_no_commit_that_is_held_up() {
    let schema = common::fresh_name();
    let url = saga_test_server::shared().url();
    // One session is the engine's.
    let store = PostgresStore::builder(&url).schema(&schema).pool_size(2).connect().await.unwrap();
    let lab = Lab::new(store);
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let locker = common::session().await;
    locker.batch_execute(&format!("BEGIN; LOCK TABLE {schema}.journal")).await.unwrap();
    let mut commit = Box::pin(lab.apply(lab.append(execution, worker, 1)));
    let mut waiting = Box::pin(async {
        let watcher = common::session().await;
        let held =
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%' || $1 || '%'";
        while watcher.query_one(held, &[&schema]).await.unwrap().get::<_, i64>(0) == 0 {}
    });
    tokio::select! {
        biased;
        _ = &mut commit => panic!("the commit cannot pass the lock"),
        () = &mut waiting => {}
    }
    tokio::select! {
        biased;
        _ = &mut commit => panic!("the beat came after the commit"),
        beat = lab.store.beat(worker) => assert!(beat.unwrap().member),
    }
    locker.batch_execute("ROLLBACK").await.unwrap();
    commit.await;
}

#[tokio::test]
async fn a_claim_waits_for_no_flush_and_the_next_append_flushes_it() {
    // The server's own processes stay out of the log.
    let quiet = "wal_writer_delay = 10s\nwal_writer_flush_after = 1GB\nautovacuum = off";
    let server = TestServer::start_private(quiet);
    let schema = common::fresh_name();
    let lab = Lab::new(PostgresStore::builder(&server.url()).schema(&schema).connect().await.unwrap());
    let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let end_of_log =
        async || -> String { client.query_one("SELECT pg_current_wal_insert_lsn()::text", &[]).await.unwrap().get(0) };
    let is_flushed_behind = async |place: String| -> bool {
        let sql = "SELECT pg_current_wal_flush_lsn() > $1::text::pg_lsn";
        client.query_one(sql, &[&place]).await.unwrap().get(0)
    };
    let worker = lab.worker().await;
    let before = end_of_log().await;
    lab.pending("ORD-1").await;
    assert!(is_flushed_behind(before).await, "a start is flushed before it is answered");

    let before = end_of_log().await;
    let claimed = lab.claim(worker).await;
    assert!(end_of_log().await != before, "a claim is written");
    assert!(!is_flushed_behind(before.clone()).await, "nothing is lost with a claim");
    lab.apply(lab.append(claimed[0].execution, worker, 1)).await;
    assert!(is_flushed_behind(before).await, "what a worker appends is flushed, and with it its claim");
}
