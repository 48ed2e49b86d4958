//! Steps that somebody else completes, by their tokens.

use std::time::Duration;

use saga_runtime::prelude::*;
use saga_runtime::store::RunState;
use saga_runtime::store::wire::Entry;
use saga_runtime::{Client, Later};
use saga_tests::steps::{SagaError, pay, step, undo_output, undo_step};
use saga_tests::{Act, Place, StepError, World, engine, engine_with, on_each_store};

use crate::journal::{attempted, entries};
use crate::planted::Whole;

async fn asks(world: &World, cx: &ActivityContext, name: &str) -> Result<Later<String>, StepError> {
    world.note(name, cx.token().to_string());
    world.attempt(cx, name).await?;
    Ok(Later::new())
}

/// Asks somebody, who answers later.
#[activity(later, retry(initial = "1ms", max = "2ms"), compensate = undo_step(name))]
async fn ask(
    #[state] world: &World,
    #[context] cx: &ActivityContext,
    name: String,
) -> Result<Later<String>, StepError> {
    asks(world, cx, &name).await
}

/// The same, and the undo needs the answer.
#[activity(later, compensate = undo_output(output))]
async fn order(
    #[state] world: &World,
    #[context] cx: &ActivityContext,
    name: String,
) -> Result<Later<String>, StepError> {
    asks(world, cx, &name).await
}

/// The same as a plain function.
#[activity(later)]
fn ask_blocking(
    #[state] world: &World,
    #[context] cx: &ActivityContext,
    name: String,
) -> Result<Later<String>, StepError> {
    world.note(&name, cx.token().to_string());
    world.signal(&format!("began {name}"));
    Ok(Later::new())
}

#[workflow]
async fn asks_once(queue: Option<String>) -> Result<String, SagaError> {
    pay("fee".to_owned()).await?;
    let call = ask("ask".to_owned());
    let answer = match queue {
        Some(queue) => call.queue(queue).await?,
        None => call.await?,
    };
    step(format!("then {answer}")).await?;
    Ok(answer)
}

#[workflow]
async fn orders_once() -> Result<String, SagaError> {
    Ok(order("order".to_owned()).await?)
}

#[workflow]
async fn asks_a_plain_function() -> Result<String, SagaError> {
    Ok(ask_blocking("plain".to_owned()).await?)
}

/// Twice at most, and the second time not soon.
#[activity(later, retry(max_attempts = 2, initial = "1h", max = "1h"))]
async fn ask_twice(
    #[state] world: &World,
    #[context] cx: &ActivityContext,
    name: String,
) -> Result<Later<String>, StepError> {
    asks(world, cx, &name).await
}

#[workflow]
async fn asks_twice() -> Result<String, SagaError> {
    Ok(ask_twice("ask".to_owned()).await?)
}

#[workflow]
async fn asks_impatiently() -> Result<String, SagaError> {
    Ok(ask("ask".to_owned()).deadline(Duration::from_millis(20)).await?)
}

#[workflow]
async fn orders_impatiently() -> Result<String, SagaError> {
    Ok(order("order".to_owned()).deadline(Duration::from_millis(20)).await?)
}

/// Waits for the first answer, and lets go of who has not answered.
#[workflow]
async fn asks_or_orders(asks: bool) -> Result<String, SagaError> {
    pay("fee".to_owned()).await?;
    let first = if asks {
        select! {
            answer = ask("ask".to_owned()) => answer?,
            done = step("quick".to_owned()) => done?,
        }
    } else {
        select! {
            answer = order("order".to_owned()) => answer?,
            done = step("quick".to_owned()) => done?,
        }
    };
    step(format!("then {first}")).await?;
    Ok(first)
}

on_each_store!(
    a_step_waits_out_of_memory_and_goes_on_with_the_answer,
    the_first_answer_counts,
    an_answer_may_come_before_the_function_has_returned,
    a_plain_function_can_leave_its_answer_to_others,
    a_transient_failure_lets_the_activity_ask_again_and_either_token_serves,
    a_failure_of_an_attempt_before_does_not_end_the_one_that_runs,
    a_failure_that_is_said_twice_counts_once,
    a_permanent_failure_ends_the_step,
    a_step_on_a_queue_is_completed_by_its_token,
    a_crash_does_not_ask_again,
    a_cancel_does_not_wait_for_the_answer,
    a_cancel_waits_for_the_answer_that_the_undo_needs,
    a_deadline_ends_the_wait,
    after_a_deadline_it_is_asked_again_what_the_undo_needs,
    a_branch_that_waits_for_an_answer_is_let_go_and_undone,
    a_branch_whose_undo_needs_the_answer_is_let_go_and_waits_for_it,
    a_cancel_of_a_step_that_waits_survives_a_crash,
    what_names_no_open_step_is_refused,
    a_fork_asks_anew,
    a_run_cut_after_any_record_goes_on_with_the_answer,
);

async fn until_deferred(client: &Client, id: &str) {
    while !entries(client, id).await.iter().any(|entry| matches!(entry, Entry::Deferred(..))) {
        tokio::task::yield_now().await;
    }
}

async fn a_step_waits_out_of_memory_and_goes_on_with_the_answer(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(asks_once(None)).id("A").await.unwrap();
    while run.view().await.unwrap().state != RunState::Waiting {
        tokio::task::yield_now().await;
    }
    engine.client().complete::<ask>(world.noted("ask"), &"yes".to_owned()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "yes");
    assert_eq!(world.log(), ["fee", "ask", "then yes"]);
}

async fn a_failure_that_is_said_twice_counts_once(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(asks_twice()).id("A").await.unwrap();
    until_deferred(engine.client(), "A").await;
    let token = world.noted("ask");
    for _ in 0..3 {
        engine.client().fail::<ask_twice>(&token, &StepError::Lost).await.unwrap();
    }
    // An answer counts also while the next attempt is an hour away.
    engine.client().complete::<ask_twice>(&token, &"yes".to_owned()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "yes", "a word that was repeated used up an attempt");
    assert_eq!(world.log(), ["ask"]);
    assert_eq!(attempted(engine.client(), "A").await.len(), 1);
}

async fn the_first_answer_counts(place: impl Place) {
    let world = World::default();
    world.plan("then yes", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(asks_once(None)).id("A").await.unwrap();
    until_deferred(engine.client(), "A").await;
    let token = world.noted("ask");
    engine.client().complete::<ask>(&token, &"yes".to_owned()).await.unwrap();
    world.began("then yes").await;
    engine.client().complete::<ask>(&token, &"no".to_owned()).await.unwrap();
    engine.client().fail::<ask>(&token, &StepError::Declined).await.unwrap();
    world.open("then yes");
    assert_eq!(run.result().await.unwrap(), "yes");
}

async fn an_answer_may_come_before_the_function_has_returned(place: impl Place) {
    let world = World::default();
    world.plan("ask", [Act::Hang]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(asks_once(None)).id("A").await.unwrap();
    world.began("ask").await;
    engine.client().complete::<ask>(world.noted("ask"), &"yes".to_owned()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "yes");
    world.heard("dropped ask").await;
    let deferred = |entry: &Entry| matches!(entry, Entry::Deferred(..));
    assert!(!entries(engine.client(), "A").await.iter().any(deferred));
}

async fn a_plain_function_can_leave_its_answer_to_others(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(asks_a_plain_function()).id("A").await.unwrap();
    world.began("plain").await;
    engine.client().complete::<ask_blocking>(world.noted("plain"), &"yes".to_owned()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "yes");
}

async fn a_transient_failure_lets_the_activity_ask_again_and_either_token_serves(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(asks_once(None)).id("A").await.unwrap();
    until_deferred(engine.client(), "A").await;
    world.began("ask").await;
    let token = world.noted("ask");
    engine.client().fail::<ask>(&token, &StepError::Lost).await.unwrap();
    world.began("ask").await;
    assert_ne!(world.noted("ask"), token);
    engine.client().complete::<ask>(&token, &"yes".to_owned()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "yes");
    let numbers: Vec<u32> = world.attempts("ask").iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [1, 2]);
    assert_eq!(attempted(engine.client(), "A").await.len(), 1);
}

async fn a_failure_of_an_attempt_before_does_not_end_the_one_that_runs(place: impl Place) {
    let world = World::default();
    world.plan("ask", [Act::Lose, Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(asks_once(None)).id("A").await.unwrap();
    world.began("ask").await;
    world.began("ask").await;
    let second = world.noted("ask");
    let first = second.replace(":2/", ":1/");
    assert_ne!(first, second);
    engine.client().fail::<ask>(&first, &StepError::Lost).await.unwrap();
    world.open("ask");
    until_deferred(engine.client(), "A").await;
    engine.client().complete::<ask>(&second, &"yes".to_owned()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "yes");
    assert_eq!(world.attempts("ask").len(), 2, "the second attempt was not repeated");
}

async fn a_permanent_failure_ends_the_step(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(asks_once(None)).id("A").await.unwrap();
    until_deferred(engine.client(), "A").await;
    engine.client().fail::<ask>(world.noted("ask"), &StepError::Declined).await.unwrap();
    let declined = SagaError::Step(ActivityError::Failed(StepError::Declined));
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(declined));
    assert_eq!(world.log(), ["fee", "ask", "undo fee"], "surely nothing happened");
}

async fn a_step_on_a_queue_is_completed_by_its_token(place: impl Place) {
    let world = World::default();
    let engine = engine_with(&place, &world, |builder| builder.queues(["far"])).await;
    let run = engine.client().start(asks_once(Some("far".to_owned()))).id("A").await.unwrap();
    world.began("ask").await;
    engine.client().complete::<ask>(world.noted("ask"), &"yes".to_owned()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "yes");
}

async fn a_crash_does_not_ask_again(place: impl Place) {
    let world = World::default();
    let first = engine(&place, &world).await;
    first.client().start(asks_once(None)).id("A").await.unwrap();
    until_deferred(first.client(), "A").await;
    drop(first);
    let second = engine(&place, &world).await;
    second.client().complete::<ask>(world.noted("ask"), &"yes".to_owned()).await.unwrap();
    assert_eq!(second.client().attach::<asks_once>("A").await.unwrap().result().await.unwrap(), "yes");
    assert_eq!(world.log(), ["fee", "ask", "then yes"]);
}

async fn a_cancel_does_not_wait_for_the_answer(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(asks_once(None)).id("A").await.unwrap();
    until_deferred(engine.client(), "A").await;
    run.cancel().await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    assert_eq!(world.log(), ["fee", "ask", "undo ask", "undo fee"]);
}

async fn a_cancel_waits_for_the_answer_that_the_undo_needs(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(orders_once()).id("A").await.unwrap();
    until_deferred(engine.client(), "A").await;
    run.cancel().await.unwrap();
    while run.view().await.unwrap().state != RunState::Undoing {
        tokio::task::yield_now().await;
    }
    engine.client().complete::<order>(world.noted("order"), &"seven".to_owned()).await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    assert_eq!(world.log(), ["order", "undo seven"]);
}

async fn a_deadline_ends_the_wait(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(asks_impatiently()).id("A").await.unwrap();
    let Outcome::Failed(SagaError::Step(error)) = run.outcome().await.unwrap() else { panic!("it waits") };
    assert!(error.is_timeout(), "{error}");
    assert_eq!(world.log(), ["ask", "undo ask"], "it may have been done by then");
}

async fn after_a_deadline_it_is_asked_again_what_the_undo_needs(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(orders_impatiently()).id("A").await.unwrap();
    world.began("order").await;
    world.began("order").await;
    engine.client().complete::<order>(world.noted("order"), &"seven".to_owned()).await.unwrap();
    let Outcome::Failed(SagaError::Step(error)) = run.outcome().await.unwrap() else { panic!("it waits") };
    assert!(error.is_timeout(), "{error}");
    assert_eq!(world.log(), ["order", "order", "undo seven"]);
}

async fn a_branch_that_waits_for_an_answer_is_let_go_and_undone(place: impl Place) {
    let world = World::default();
    world.plan("quick", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(asks_or_orders(true)).id("A").await.unwrap();
    until_deferred(engine.client(), "A").await;
    world.open("quick");
    assert_eq!(run.result().await.unwrap(), "quick!");
    let error = engine.client().complete::<ask>(world.noted("ask"), &"yes".to_owned()).await.unwrap_err();
    assert_eq!(error.to_string(), "run A has ended");
    let mut log = world.log();
    log.sort();
    assert_eq!(log, ["ask", "fee", "quick", "then quick!", "undo ask"], "nobody knows whether it was done");
}

async fn a_branch_whose_undo_needs_the_answer_is_let_go_and_waits_for_it(place: impl Place) {
    let world = World::default();
    world.plan("quick", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(asks_or_orders(false)).id("A").await.unwrap();
    until_deferred(engine.client(), "A").await;
    world.open("quick");
    // The workflow goes on meanwhile; the run does not end before.
    world.began("then quick!").await;
    engine.client().complete::<order>(world.noted("order"), &"seven".to_owned()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "quick!");
    let mut log = world.log();
    log.sort();
    assert_eq!(log, ["fee", "order", "quick", "then quick!", "undo seven"]);
}

async fn a_cancel_of_a_step_that_waits_survives_a_crash(place: impl Place) {
    let world = World::default();
    world.plan("undo ask", [Act::Hang]);
    let first = engine(&place, &world).await;
    let run = first.client().start(asks_once(None)).id("A").await.unwrap();
    until_deferred(first.client(), "A").await;
    run.cancel().await.unwrap();
    world.began("undo ask").await;
    drop(run);
    drop(first);
    let second = engine(&place, &world).await;
    let token = world.noted("ask");
    // It comes too late, and is no error while the run is live.
    let said = second.client().complete::<ask>(&token, &"yes".to_owned()).await;
    assert!(said.is_ok() || said.unwrap_err().to_string() == "run A has ended");
    let run = second.client().attach::<asks_once>("A").await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    assert_eq!(world.log(), ["fee", "ask", "undo ask", "undo ask", "undo fee"]);
}

async fn what_names_no_open_step_is_refused(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let client = engine.client();
    let run = client.start(asks_once(None)).id("A").await.unwrap();
    until_deferred(client, "A").await;
    let token = world.noted("ask");
    let no = "no".to_owned();
    for text in ["", "A", "1/2/ask", &token.replace("/ask", "")] {
        let error = client.complete::<ask>(text, &no).await.unwrap_err().to_string();
        assert!(error.ends_with("names no step that can be completed: it is not what `cx.token()` gives"), "{error}");
    }
    let error = client.complete::<order>(&token, &no).await.unwrap_err().to_string();
    assert!(error.ends_with("it is that of a step of `ask`, not of `order`"), "{error}");
    let other = format!("00000000-0000-7000-8000-000000000000{}", &token[36..]);
    let error = client.complete::<ask>(other, &no).await.unwrap_err().to_string();
    assert!(error.ends_with("its run is not there (any more)"), "{error}");
    // Another place of the same run: it is ignored there.
    let (execution, _) = token.split_once('/').unwrap();
    client.complete::<ask>(format!("{execution}/77/ask"), &no).await.unwrap();
    client.complete::<ask>(&token, &"yes".to_owned()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "yes");
    let error = client.complete::<ask>(&token, &no).await.unwrap_err().to_string();
    assert_eq!(error, "run A has ended");
}

async fn a_fork_asks_anew(place: impl Place) {
    let world = World::default();
    world.plan("then yes", [Act::Decline]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(asks_once(None)).id("A").await.unwrap();
    until_deferred(engine.client(), "A").await;
    run.terminate(None).await.unwrap();
    let first = world.noted("ask");
    world.began("ask").await;
    engine.client().fork("A", "1").id("B").await.unwrap();
    world.began("ask").await;
    let second = world.noted("ask");
    assert_ne!(first, second);
    engine.client().complete::<ask>(second, &"no".to_owned()).await.unwrap();
    assert_eq!(engine.client().attach::<asks_once>("B").await.unwrap().result().await.unwrap(), "no");
}

async fn a_run_cut_after_any_record_goes_on_with_the_answer(place: impl Place) {
    let world = World::default();
    let whole = {
        let engine = engine(&place, &world).await;
        let run = engine.client().start(asks_once(None)).id("A").await.unwrap();
        until_deferred(engine.client(), "A").await;
        engine.client().complete::<ask>(world.noted("ask"), &"yes".to_owned()).await.unwrap();
        run.result().await.unwrap();
        engine.shutdown().await;
        drop(run);
        Whole::read(&place.open().await, "A").await
    };
    let token = world.noted("ask");
    for cut in 1..whole.journal.len() {
        let before = whole.entries(cut);
        let deferred = before.iter().any(|entry| matches!(entry, Entry::Deferred(..)));
        let asked = before.iter().any(|entry| matches!(entry, Entry::StepScheduled(step) if step.activity == "ask"));
        let answered = before.iter().filter(|entry| matches!(entry, Entry::StepEnded(_))).count() > 1;
        let (place, world) = (place.another(), World::default());
        let store = place.open().await;
        whole.plant(&store, cut).await;
        let engine = saga_runtime::Engine::builder(store).state(world.clone()).start().await.unwrap();
        if !asked {
            // The token is not given out before.
            world.began("ask").await;
        }
        if !answered {
            engine.client().complete::<ask>(&token, &"yes".to_owned()).await.unwrap();
        }
        let run = engine.client().attach::<asks_once>("A").await.unwrap();
        assert_eq!(run.result().await.unwrap(), "yes", "cut after {cut}");
        assert!(!deferred || !world.log().contains(&"ask".to_owned()), "asked again, cut after {cut}");
        engine.shutdown().await;
    }
}
