//! Settings, rights and sessions that an operator takes away and gives back.

use saga_tests::Act;

use crate::shop::{Shop, session, two_steps};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_whose_sessions_are_ended_waits_until_it_is_let_in_again() {
    let shop = Shop::open().await;
    let damage = "ALTER ROLE app CONNECTION LIMIT 0;
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'";
    shop.outlasts(damage, ("too many connections for role", 3), "ALTER ROLE app CONNECTION LIMIT -1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_lacks_a_right_waits_until_it_is_granted() {
    let shop = Shop::open().await;
    let (damage, repair) = ("REVOKE INSERT ON saga.journal FROM app", "GRANT INSERT ON saga.journal TO app");
    shop.outlasts(damage, ("permission denied for table journal", 2), repair).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_whose_database_takes_no_writes_waits_until_it_does() {
    let shop = Shop::open().await;
    // Its new sessions are seen, which it gives up when it finds that they take no writes.
    shop.operate("ALTER SYSTEM SET log_connections = on").await;
    shop.operate("SELECT pg_reload_conf()").await;
    let set = |value: &str| format!("ALTER DATABASE postgres SET default_transaction_read_only = {value}");
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'";
    shop.world.plan("one", [Act::Wait]);
    let engine = shop.engine().await;
    let run = engine.client().start(two_steps()).id("ORD-1").await.unwrap();
    shop.world.began("one").await;
    let before = shop.server.log().matches("connection authorized: user=app").count();
    shop.operate(&set("on")).await;
    shop.operate(end).await;
    shop.world.open("one");
    shop.logs("connection authorized: user=app", before + 3).await;
    shop.operate(&set("off")).await;
    assert_eq!(run.result().await.unwrap(), "two!");
    assert_eq!(shop.world.log(), ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_whose_statements_take_too_long_sends_them_again() {
    let shop = Shop::open().await;
    shop.operate("ALTER ROLE app SET statement_timeout = '300ms'").await;
    shop.world.plan("one", [Act::Wait]);
    let engine = shop.engine().await;
    let run = engine.client().start(two_steps()).id("ORD-1").await.unwrap();
    shop.world.began("one").await;
    let other = session(&shop.server.url()).await;
    other.batch_execute("BEGIN; LOCK TABLE saga.journal IN ACCESS EXCLUSIVE MODE").await.unwrap();
    shop.world.open("one");
    shop.logs("canceling statement due to statement timeout", 3).await;
    other.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "two!");
    assert_eq!(shop.world.log(), ["one", "two"]);
}
