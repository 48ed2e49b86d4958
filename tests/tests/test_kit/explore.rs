//! A workflow with a crash, an error or a cancel at each place in turn: what holds, and what is
//! found when it does not.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use saga_runtime::WorkerSession;
use saga_runtime::prelude::*;
use saga_runtime::test::explore;
use serde::{Deserialize, Serialize};

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

/// An activity tells its own run what it did.
#[derive(Debug, Serialize, Deserialize, Event)]
struct Rang {
    times: u32,
}

#[activity]
async fn rings_and_tells(#[context] cx: &ActivityContext) -> saga_runtime::Result<()> {
    for times in 1..=2 {
        cx.send(cx.run_id(), Rang { times }).await?;
    }
    Ok(())
}

#[workflow]
async fn hears_the_bell() -> saga_runtime::Result<Vec<u32>> {
    let mut heard = Vec::new();
    for _ in 0..2 {
        rings_and_tells().await?;
        for _ in 0..2 {
            heard.push(event::<Rang>().await.times);
        }
    }
    Ok(heard)
}

#[tokio::test]
async fn what_an_activity_sends_arrives_once_whatever_happens() {
    let explored = explore(hears_the_bell()).everything().await;
    explored.assert_same_outcome();
    assert!(explored.is_complete() && explored.disturbances() >= explored.cases() - 1, "{explored}");
}

/// In a session, and in another one when that is lost.
#[activity(queue = "box office")]
async fn book_in_a_session(
    #[state] house: &House,
    #[context] cx: &ActivityContext,
    seat: String,
) -> saga_runtime::Result<String> {
    let session = cx.session().ok_or_else(|| saga_runtime::Error::msg("no session").permanent())?;
    session.insert(seat.clone());
    house.seats.lock().unwrap().insert(seat.clone());
    Ok(seat)
}

#[activity(queue = "box office")]
async fn the_seat(#[context] cx: &ActivityContext) -> saga_runtime::Result<String> {
    let seat = cx.session().and_then(WorkerSession::get::<String>);
    Ok(seat.ok_or_else(|| saga_runtime::Error::msg("nothing was kept").permanent())?.to_string())
}

#[workflow]
async fn books_in_sessions() -> saga_runtime::Result<Vec<String>> {
    loop {
        let office = session("box office");
        let tried = attempt(async {
            let seat = book_in_a_session("1A".to_owned()).session(&office).key("1A").await?;
            Ok::<_, ActivityError<saga_runtime::Error>>(vec![seat, the_seat().session(&office).key("the seat").await?])
        });
        match tried.await {
            Err(error) if error.is_session_lost() => {}
            seats => return Ok(seats?),
        }
    }
}

#[tokio::test]
async fn a_saga_that_begins_lost_sessions_anew_survives_everything() {
    let explored = explore(books_in_sessions())
        .with(House::default)
        .observe(|house: &House| house.seats.lock().unwrap().clone())
        .everything()
        .await;
    explored.assert_same_outcome();
    assert!(explored.is_complete() && explored.cases() > 30, "{explored}");
}

/// How fast it is: `cargo test --release -p saga-tests --test test_kit how_fast -- --nocapture`.
#[tokio::test]
async fn how_fast_it_is_is_printed() {
    let (began, mut cases) = (std::time::Instant::now(), 0);
    for seed in 0..5 {
        let explored = explore(order_saga(Order::example())).seed(seed).with(Stock::fixture).everything().await;
        explored.assert_same_outcome();
        cases += explored.cases();
    }
    let took = began.elapsed();
    let rate = u128::try_from(cases).unwrap_or(0) * 1_000_000 / took.as_micros().max(1);
    println!("explore: {cases} cases in {:.2} s, {rate} a second", took.as_secs_f64());
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
    async fn rings_once() -> saga_runtime::Result<()> {
        Ok(ring().await?)
    }
    let explored = explore(rings_once()).with(House::default).observe(rings).run_twice().await;
    let found = explored.findings();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("what the test observes changed: undisturbed 1, now 2"), "{}", found[0]);
    assert!(found[0].contains("disturbed by: attempt 0 made twice\n  seed: 0"), "{}", found[0]);
    let crashed = explore(rings_once()).with(House::default).observe(rings).crash_everywhere().await.findings();
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

/// Seats that are given back again each time their undo is called.
#[activity(compensate = give_back(seat))]
async fn take(#[state] house: &House, #[context] cx: &ActivityContext, seat: String) -> saga_runtime::Result<()> {
    if house.seats.lock().unwrap().insert(format!("{seat} {}", cx.idempotency_key())) {
        house.rings.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

#[activity]
async fn give_back(#[state] house: &House, seat: String) -> saga_runtime::Result<()> {
    assert!(!seat.is_empty());
    house.rings.fetch_sub(1, Ordering::Relaxed);
    Ok(())
}

#[workflow]
async fn takes_two() -> saga_runtime::Result<()> {
    take("1A".to_owned()).await?;
    take("2A".to_owned()).await?;
    Ok(())
}

fn rings(house: &House) -> u32 {
    house.rings.load(Ordering::Relaxed)
}

#[tokio::test]
async fn an_undo_that_takes_back_twice_is_found_though_the_saga_completes() {
    let found = explore(takes_two()).with(House::default).observe(rings).everything().await.findings();
    assert!(!found.is_empty());
    let twice = found.iter().find(|found| found.contains("made twice")).unwrap_or_else(|| panic!("{found:#?}"));
    assert!(twice.contains("disturbed by: cancel after commit 0, then attempt 1 made twice"), "{twice}");
    assert!(twice.contains("\n  at: attempt 1 of `give_back` at step 0"), "{twice}");
    assert!(found.iter().all(|found| found.starts_with("what the test observes changed")), "{found:?}");
    let forward = explore(takes_two()).with(House::default).observe(rings).run_twice().crash_everywhere().await;
    forward.assert_same_outcome();
}

#[tokio::test]
async fn a_finding_is_seen_again_alone_by_its_name() {
    let again = |only: &str| explore(takes_two()).with(House::default).observe(rings).everything().only(only);
    let name = "step 1 `take` fails for good, untried, then attempt 2 made twice";
    let explored = again(name).await;
    assert_eq!((explored.cases(), explored.findings().len()), (2, 1));
    assert!(explored.findings()[0].contains(&format!(".seed(0).only({name:?})")), "{:?}", explored.findings());
    assert!(again("crash after commit 99").await.findings()[0].starts_with("there is no case"));
}

#[tokio::test]
async fn a_step_that_needs_an_undo_and_has_none_is_found() {
    #[workflow]
    async fn rings_and_books() -> saga_runtime::Result<()> {
        ring().await?;
        book("1A".to_owned()).await?;
        Ok(())
    }
    let explored = |call| explore(call).with(House::default).observe(rings).cancel_everywhere().undo_restores();
    let found = explored(rings_and_books()).await.findings();
    assert!(found[0].contains("and is undone, and the test observed 0 before it, and 1 now"), "{found:?}");
    assert!(found[0].contains("disturbed by: cancel after commit"), "{found:?}");
    explore(evening(false))
        .with(House::default)
        .observe(|house: &House| house.seats.lock().unwrap().clone())
        .fail_everywhere()
        .cancel_everywhere()
        .undo_restores()
        .await
        .assert_same_outcome();
}

#[tokio::test]
async fn a_step_fails_with_each_class_of_error_and_another_end_can_be_right() {
    static SEEN: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    #[activity(timeout = "5s", retry(max_attempts = 1))]
    async fn fragile() -> saga_runtime::Result<u32> {
        Ok(1)
    }
    #[workflow]
    async fn falls_back() -> saga_runtime::Result<u32> {
        let error = match fragile().await {
            Ok(number) => return Ok(number),
            Err(error) => error,
        };
        SEEN.lock().unwrap().insert(match error {
            ActivityError::TimedOut(_) => "timed out",
            ActivityError::Panicked(_) => "panicked",
            ref other if other.to_string().contains("refused") => "permanent",
            ref other if other.to_string().contains("not tried") => "transient, without effect",
            _ => "transient",
        });
        Ok(0)
    }
    let strict = explore(falls_back()).fail_everywhere().await;
    assert!(strict.findings()[0].contains("now it completed with 0, and is not undone"), "{:?}", strict.findings());
    explore(falls_back())
        .fail_everywhere()
        .accept(|outcome| matches!(outcome, Outcome::Completed(0)))
        .await
        .assert_same_outcome();
    let classes = ["panicked", "permanent", "timed out", "transient", "transient, without effect"];
    assert!(SEEN.lock().unwrap().iter().eq(classes.iter()), "{:?}", SEEN.lock().unwrap());
}

#[tokio::test]
async fn a_disturbance_that_comes_in_another_place_is_told() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    #[workflow]
    async fn swaps() -> saga_runtime::Result<()> {
        if RUNS.fetch_add(1, Ordering::Relaxed) == 0 {
            ring().await?;
        } else {
            book("1A".to_owned()).await?;
        }
        Ok(())
    }
    let found = explore(swaps()).with(House::default).run_twice().await.findings();
    let said =
        "came in another place: it was to be at \"attempt 1 of `ring` at step 0\", and was at \"attempt 1 of `book`";
    assert!(found[0].contains(said), "{found:?}");
}

#[tokio::test]
async fn the_journals_of_child_runs_are_explored_too() {
    #[workflow]
    async fn with_a_child() -> saga_runtime::Result<u32> {
        let seats = evening(false).await?;
        book("9A".to_owned()).await?;
        Ok(u32::try_from(seats.len())?)
    }
    let explored = explore(with_a_child())
        .with(House::default)
        .observe(|house: &House| house.seats.lock().unwrap().clone())
        .crash_everywhere()
        .run_twice()
        .cancel_everywhere()
        .await;
    explored.assert_same_outcome();
    assert!(explored.cases() > 80, "{explored}");
}
