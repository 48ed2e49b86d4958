//! Virtual time, events on cue, crashes, and determinism.

use std::time::Duration;

use saga_runtime::WorkerSession;
use saga_runtime::prelude::*;
use saga_runtime::test::TestEngine;
use serde::{Deserialize, Serialize};

const YEAR: Duration = Duration::from_secs(365 * 86_400);

#[derive(Debug, Clone, Serialize, Deserialize, Event)]
struct Approval {
    by: String,
}

#[activity(compensate = put_back())]
async fn take() -> saga_runtime::Result<u32> {
    Ok(random_of_the_activity())
}

fn random_of_the_activity() -> u32 {
    4
}

#[activity]
async fn put_back() -> saga_runtime::Result<()> {
    Ok(())
}

#[workflow]
async fn sleeps_a_year() -> saga_runtime::Result<u32> {
    sleep(YEAR).await;
    Ok(take().await?)
}

#[workflow]
async fn waits_for_approval() -> saga_runtime::Result<String> {
    take().await?;
    match event::<Approval>().timeout(Duration::from_secs(3600)).await {
        Ok(approval) => Ok(approval.by),
        Err(elapsed) => Err(saga_runtime::Error::msg(elapsed).permanent()),
    }
}

#[workflow]
async fn waits_for_ever() -> saga_runtime::Result<String> {
    Ok(event::<Approval>().await.by)
}

#[workflow]
async fn draws() -> saga_runtime::Result<(u64, String)> {
    take().await?;
    Ok((random(), new_uuid().to_string()))
}

#[tokio::test]
async fn a_year_passes_at_once_and_to_the_microsecond() {
    let env = TestEngine::new().start().await;
    let began = env.now();
    assert_eq!(env.run(sleeps_a_year()).await, Outcome::Completed(4));
    assert_eq!(env.now(), began.after(YEAR));
    assert_eq!(env.calls::<take>()[0].at, began.after(YEAR));
}

/// Their records are one call of the store: whoever gathers them lets the others go first.
#[tokio::test]
async fn runs_that_commit_together_keep_time_from_moving_too_early() {
    #[workflow]
    async fn many() -> saga_runtime::Result<u32> {
        let mut sum = 0;
        for number in join_all((0..5).map(|_| sleeps_a_year())).await {
            sum += number?;
        }
        Ok(sum)
    }
    let env = TestEngine::new().start().await;
    let began = env.now();
    assert_eq!(env.run(many()).await, Outcome::Completed(20));
    assert_eq!(env.now(), began.after(YEAR));
}

#[tokio::test]
async fn an_event_comes_on_cue_before_its_timeout_or_too_late() {
    let env = TestEngine::new().start().await;
    let run = env.start_run(waits_for_approval()).await;
    env.until_called::<take>(1).await;
    env.advance(Duration::from_secs(3599)).await;
    run.send(Approval { by: "Ada".to_owned() }).await.unwrap();
    assert_eq!(env.outcome(&run).await, Outcome::Completed("Ada".to_owned()));

    let late = env.start_run(waits_for_approval()).await;
    assert!(matches!(env.outcome(&late).await, Outcome::Failed(_)));
    env.assert_undone_times::<take>(1);
}

#[tokio::test]
async fn the_client_of_a_test_waits_in_virtual_time_as_well() {
    let env = TestEngine::new().start().await;
    let run = env.client().start(sleeps_a_year()).id("ORD-1").await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Completed(4));
    assert_eq!(env.history("ORD-1").lines().len(), 6);
}

#[tokio::test]
async fn a_wait_that_can_never_end_fails_the_test_and_says_for_what() {
    let env = TestEngine::new().start().await;
    let run = std::panic::AssertUnwindSafe(env.run(waits_for_ever()));
    let panic = futures_util::FutureExt::catch_unwind(run).await.unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("nothing more can happen"), "{message}");
    assert!(message.contains("event `Approval` awaited at 0"), "{message}");
}

#[tokio::test]
async fn a_run_that_outlives_its_engine_ends_in_the_next_one() {
    let mut env = TestEngine::new().start().await;
    let run = env.start_run(waits_for_approval()).await;
    env.until_called::<take>(1).await;
    env.crash();
    env.recover().await;
    env.settle().await;
    assert_eq!(env.calls::<take>().len(), 2, "its end was not recorded before the crash");
    env.client()
        .attach::<waits_for_approval>(run.id())
        .await
        .unwrap()
        .send(Approval { by: "Bo".to_owned() })
        .await
        .unwrap();
    assert_eq!(env.outcome(&run).await, Outcome::Completed("Bo".to_owned()));
}

#[tokio::test]
async fn the_same_seed_gives_the_same_ids_values_and_journal() {
    let mut seen = Vec::new();
    for seed in [1, 1, 2] {
        let env = TestEngine::new().seed(seed).start().await;
        let Outcome::Completed(drawn) = env.run(draws()).await else { panic!("it does not complete") };
        seen.push((drawn, env.histories()[0].export()));
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[0].0, seen[2].0);
}

#[tokio::test]
async fn time_stands_while_an_activity_waits_for_something_real() {
    #[activity(timeout = "1s")]
    async fn asks_another_thread() -> saga_runtime::Result<u32> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let worked = (0..200_000_u32).fold(0_u32, u32::wrapping_add);
            answer.send(u32::from(worked == 0)).ok();
        });
        let answered = answered.await;
        thread.join().ok();
        Ok(answered?)
    }
    #[workflow]
    async fn asks() -> saga_runtime::Result<u32> {
        Ok(asks_another_thread().await?)
    }
    let env = TestEngine::new().start().await;
    let began = env.now();
    assert_eq!(env.run(asks()).await, Outcome::Completed(0));
    assert_eq!(env.now(), began);
}

#[activity(queue = "lathe")]
async fn clamp(#[context] cx: &ActivityContext) -> saga_runtime::Result<()> {
    let session = cx.session().ok_or_else(|| saga_runtime::Error::msg("no session").permanent())?;
    session.insert(0_u32);
    Ok(())
}

/// Fails for the first time, and is to come again in two hours.
#[derive(Debug, thiserror::Error, serde::Serialize, serde::Deserialize, Classify)]
enum CutError {
    #[error("the oil is cold")]
    #[transient(no_effect, retry_after = wait)]
    Cold { wait: Duration },
    #[error("nothing is clamped")]
    #[permanent]
    Nothing,
}

#[activity(queue = "lathe")]
async fn cut(#[context] cx: &ActivityContext) -> Result<u32, CutError> {
    let clamped = cx.session().and_then(WorkerSession::get::<u32>).ok_or(CutError::Nothing)?;
    if cx.attempt() == 1 {
        return Err(CutError::Cold { wait: Duration::from_secs(7200) });
    }
    Ok(*clamped + cx.attempt())
}

#[workflow]
async fn turns() -> saga_runtime::Result<u32> {
    let lathe = session("lathe");
    clamp().session(&lathe).await?;
    sleep(Duration::from_secs(86_400)).await;
    Ok(cut().session(&lathe).await?)
}

#[tokio::test]
async fn a_session_keeps_what_it_has_for_days_and_between_attempts_that_are_hours_apart() {
    let env = TestEngine::new().start().await;
    assert_eq!(env.run(turns()).await, Outcome::Completed(2));
}
