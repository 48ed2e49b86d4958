//! A workflow with a crash, an error or a cancel at each place in turn: what holds, and what is
//! found when it does not.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use saga_runtime::prelude::*;
use saga_runtime::test::explore;

use crate::order::{Order, PaymentError, Stock, charge_payment, order_saga};

/// Seats, which a second booking of the same one does not change; and a bell, which counts.
#[derive(Debug, Default)]
struct House {
    seats: Mutex<BTreeSet<String>>,
    rings: AtomicU32,
}

#[activity(compensate = free(seat))]
async fn book(#[state] house: &House, seat: String) -> saga_runtime::Result<String> {
    house.seats.lock().unwrap().insert(seat.clone());
    Ok(seat)
}

#[activity]
async fn free(#[state] house: &House, seat: String) -> saga_runtime::Result<()> {
    house.seats.lock().unwrap().remove(&seat);
    Ok(())
}

#[activity]
async fn ring(#[state] house: &House) -> saga_runtime::Result<()> {
    house.rings.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

#[workflow]
async fn evening(fails: bool) -> saga_runtime::Result<Vec<String>> {
    let first = book("1A".to_owned()).await?;
    sleep(Duration::from_secs(3600)).await;
    let (second, third) = join!(book("2A".to_owned()), book("3A".to_owned())).await;
    let seats = vec![first, second?, third?];
    if fails {
        return Err(saga_runtime::Error::msg("nobody comes").permanent());
    }
    Ok(seats)
}

#[tokio::test]
#[allow(clippy::redundant_closure, reason = "as it is written there")]
async fn the_example_of_the_documentation_explores_as_written() {
    let order = Order::example();
    explore(order_saga(order)).with(|| Stock::fixture()).crash_everywhere().await.assert_same_outcome();
}

#[tokio::test]
async fn a_sound_saga_survives_everything_whether_it_completes_or_fails() {
    for fails in [false, true] {
        let explored = explore(evening(fails))
            .with(House::default)
            .observe(|house: &House| house.seats.lock().unwrap().clone())
            .everything()
            .await;
        explored.assert_same_outcome();
        assert!(explored.is_complete() && explored.cases() > 100, "{explored}");
        assert!(explored.disturbances() >= explored.cases() - 1, "{explored}");
    }
}

#[tokio::test]
async fn a_saga_that_is_undone_halfway_survives_everything() {
    explore(order_saga(Order::example()))
        .with(Stock::fixture)
        .setup(|setup| setup.mock::<charge_payment>(|_| Err(PaymentError::Unavailable)))
        .everything()
        .await
        .assert_same_outcome();
}

#[tokio::test]
async fn code_whose_effect_is_not_tied_to_its_key_is_found() {
    #[workflow]
    async fn rings() -> saga_runtime::Result<()> {
        Ok(ring().await?)
    }
    let look = |house: &House| house.rings.load(Ordering::Relaxed);
    let explored = explore(rings()).with(House::default).observe(look).run_twice().await;
    let found = explored.findings();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("what the test observes changed: undisturbed 1, now 2"), "{}", found[0]);
    assert!(found[0].contains("disturbed by: attempt 0 made twice\n  seed: 0"), "{}", found[0]);
    let crashed = explore(rings()).with(House::default).observe(look).crash_everywhere().await.findings();
    assert!(crashed.iter().any(|found| found.contains("crash after attempt 0")), "{crashed:?}");
}

#[tokio::test]
async fn a_workflow_that_is_not_the_same_twice_is_found_where_it_shows() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    #[workflow]
    async fn fickle() -> saga_runtime::Result<String> {
        let seat = if RUNS.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            book("1A".to_owned()).await?
        } else {
            String::new()
        };
        ring().await?;
        Ok(seat)
    }
    let house = || {
        RUNS.store(0, Ordering::Relaxed);
        House::default()
    };
    let found = explore(fickle()).with(house).crash_everywhere().await.findings();
    assert!(!found.is_empty());
    assert!(found[0].contains("disturbed by: crash"), "{}", found[0]);
    assert!(!found[0].contains(", then "), "a case of one crash is the smallest: {}", found[0]);
}

#[tokio::test]
async fn a_run_that_waits_for_what_never_comes_is_found() {
    #[derive(serde::Serialize, serde::Deserialize, Event)]
    struct Never;
    #[workflow]
    async fn waits() -> saga_runtime::Result<()> {
        event::<Never>().await;
        Ok(())
    }
    let found = explore(waits()).crash_everywhere().await.findings();
    assert!(found[0].starts_with("the run never ends"), "{found:?}");
}

#[tokio::test]
async fn steps_side_by_side_end_in_each_order() {
    #[workflow]
    async fn three() -> saga_runtime::Result<usize> {
        let all = join_all(["1A", "2A", "3A"].map(|seat| book(seat.to_owned()))).await;
        Ok(all.into_iter().flatten().count())
    }
    let explored = explore(three()).with(House::default).each_order().await;
    explored.assert_same_outcome();
    assert_eq!(explored.cases(), 1 + 6, "3! orders");
}

#[tokio::test]
async fn the_budget_ends_an_exploration() {
    let explored = explore(evening(false)).with(House::default).everything().budget(20).await;
    assert_eq!(explored.cases(), 20);
    assert!(!explored.is_complete());
}
