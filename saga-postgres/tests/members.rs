//! Who is there, and who is known to be gone.

mod common;

use std::time::Duration;

use saga_postgres::PostgresStore;
use saga_store::conformance::lab::{Lab, executions};
use saga_store::{NodeInfo, Store};

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
    assert_eq!(adopted.into_iter().chain(rest).collect::<std::collections::BTreeSet<_>>(), runs.into());
    assert_eq!(lab.store.beat(alive).await.unwrap().peers.len(), 2);
}
