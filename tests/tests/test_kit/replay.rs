//! Histories that are kept, and replayed through code that has changed.

use saga_runtime::prelude::*;
use saga_runtime::test::{Script, TestEngine, replay, replay_of};

#[activity(compensate = undo_a())]
async fn a() -> saga_runtime::Result<u32> {
    Ok(1)
}

#[activity]
async fn undo_a() -> saga_runtime::Result<()> {
    Ok(())
}

#[activity]
async fn b() -> saga_runtime::Result<u32> {
    Ok(2)
}

/// The code as it was when the histories were written.
#[workflow(name = "totals")]
async fn as_it_was(limit: u32) -> saga_runtime::Result<u32> {
    let sum = a().await? + b().await?;
    if sum > limit {
        return Err(saga_runtime::Error::msg("too much").permanent());
    }
    Ok(sum)
}

mod changed {
    use super::{a, b};
    use saga_runtime::prelude::*;

    #[workflow(name = "totals", version = 2)]
    pub(super) async fn newer(limit: u32) -> saga_runtime::Result<u32> {
        Ok(a().await? + limit)
    }

    #[workflow(name = "swapped")]
    pub(super) async fn swapped(limit: u32) -> saga_runtime::Result<u32> {
        Ok(b().await? + a().await? + limit)
    }

    #[workflow(name = "longer")]
    pub(super) async fn longer(limit: u32) -> saga_runtime::Result<u32> {
        let sum = a().await? + b().await?;
        Ok(sum + a().await? + limit)
    }

    #[workflow(name = "shorter")]
    pub(super) async fn shorter(limit: u32) -> saga_runtime::Result<u32> {
        Ok(a().await? + limit)
    }

    #[workflow(name = "never_fails")]
    pub(super) async fn never_fails(limit: u32) -> saga_runtime::Result<u32> {
        Ok((a().await? + b().await?).min(limit.max(3)))
    }
}

async fn history(limit: u32) -> String {
    let env = TestEngine::new().start().await;
    env.run(as_it_was(limit)).await;
    env.histories().remove(0).export()
}

/// What it would be, had it been written by the workflow of this name.
fn of(name: &str, history: &str) -> String {
    let mut changed = saga_runtime::History::import(history).unwrap();
    name.clone_into(&mut changed.workflow);
    for record in &mut changed.records {
        for entry in &mut record.entries {
            if let saga_runtime::store::wire::Entry::Started(started) = entry {
                name.clone_into(&mut started.workflow);
            }
        }
    }
    changed.export()
}

#[tokio::test]
async fn a_history_replays_through_the_code_that_wrote_it() {
    for limit in [1, 5] {
        let json = history(limit).await;
        assert!(replay(as_it_was::NAME, &json).unwrap().ended);
        assert!(replay_of::<as_it_was>(&json).unwrap().ended);
    }
}

#[tokio::test]
async fn a_history_of_a_run_that_is_under_way_replays_as_far_as_it_goes() {
    let env = TestEngine::new().start().await;
    let _run = env.start_run(as_it_was(9)).await;
    env.until_called::<b>(1).await;
    let replayed = replay(as_it_was::NAME, &env.histories()[0].export()).unwrap();
    assert!(!replayed.ended);
}

#[tokio::test]
async fn a_change_is_found_where_it_is_with_what_was_recorded_and_what_the_code_does_now() {
    let json = history(5).await;
    let swapped = replay(changed::swapped::NAME, &of("swapped", &json)).unwrap_err();
    assert_eq!(swapped.position(), Some(1));
    let line = include_str!("replay.rs").lines().position(|line| line.contains("Ok(b().await?")).map_or(0, |at| at + 1);
    let wanted = format!(
        "recorded activity `a` at 0, the code now does activity `b` at 0 (tests/tests/test_kit/replay.rs:{line})"
    );
    assert!(swapped.to_string().contains(&wanted), "{swapped}");
    let shorter = replay_of::<changed::shorter>(&of("shorter", &json)).unwrap_err();
    assert!(shorter.to_string().contains("recorded activity `b` at 1, the code now does nothing"), "{shorter}");
    let longer = replay_of::<changed::longer>(&of("longer", &json)).unwrap_err();
    assert_eq!(longer.position(), Some(3));
    assert!(longer.to_string().contains("recorded \"completed with 3\", now \"step 2 `a` scheduled"), "{longer}");
}

#[tokio::test]
async fn a_run_that_failed_is_replayed_up_to_its_failure() {
    let json = history(1).await;
    let fixed = replay_of::<changed::never_fails>(&of("never_fails", &json)).unwrap_err();
    assert!(
        fixed.to_string().contains("recorded \"failed: too much; undoing begins\", now \"completed with 3\""),
        "{fixed}"
    );
}

#[tokio::test]
async fn a_history_of_another_workflow_or_version_is_refused() {
    let json = history(5).await;
    assert!(replay_of::<changed::newer>(&json).unwrap_err().to_string().contains("is of version 1"));
    assert!(replay(changed::swapped::NAME, &json).unwrap_err().to_string().contains("is of workflow `totals`"));
    assert!(replay("unheard_of", &json).unwrap_err().to_string().contains("no workflow `unheard_of`"));
    assert!(replay("totals", "{}").unwrap_err().to_string().contains("not an exported history"));
}

#[activity(pivot)]
async fn seal() -> saga_runtime::Result<()> {
    Ok(())
}

#[workflow]
async fn seals() -> saga_runtime::Result<u32> {
    let sum = a().await?;
    seal().await?;
    Ok(sum + b().await?)
}

#[tokio::test]
async fn a_cancel_that_a_pivot_has_undone_does_not_end_the_replay() {
    let slow = Script::new().wait(std::time::Duration::from_secs(5)).then(|_| Ok(()));
    let env = TestEngine::new().script::<seal>(slow).start().await;
    let run = env.start_run(seals()).await;
    env.until_called::<seal>(1).await;
    run.cancel().await.unwrap();
    assert_eq!(env.outcome(&run).await, Outcome::Completed(3));
    let history = env.histories()[0].export();
    assert!(history.contains("cancel requested"), "{history}");
    assert!(replay_of::<seals>(&history).unwrap().ended);
}
