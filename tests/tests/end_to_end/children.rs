//! Child runs: awaited, spawned, cancelled and undone with their parent, let go.

use saga_runtime::prelude::*;
use saga_runtime::store::{Query, RunState};
use saga_runtime::{ChildHandle, Client};
use saga_tests::steps::{SagaError, pay, step, undo_step};
use saga_tests::{Act, Place, World, engine, engine_with, on_each_store};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
enum ParentError {
    #[error(transparent)]
    Child(#[from] ChildError<SagaError>),
    #[error(transparent)]
    Step(#[from] ActivityError<saga_tests::StepError>),
    #[error("the parent gives up")]
    GivesUp,
}

/// Packs and ships; a completed shipment is recalled by its own undo.
#[workflow(compensate = undo_step(output))]
async fn ship(name: String) -> Result<String, SagaError> {
    pay(format!("pack {name}")).await?;
    Ok(step(format!("ship {name}")).await?)
}

/// Like [`ship`], with nothing to undo once it has completed.
#[workflow]
async fn walk(name: String) -> Result<String, SagaError> {
    pay(format!("leave {name}")).await?;
    Ok(step(format!("walk {name}")).await?)
}

#[workflow]
async fn orders(then: String) -> Result<String, ParentError> {
    pay("order".to_owned()).await?;
    let shipped = ship("a".to_owned()).await?;
    step(then).await?;
    Ok(shipped)
}

on_each_store!(
    a_child_is_awaited_and_its_value_given_to_the_parent,
    a_child_that_fails_is_an_error_of_its_own_type,
    a_completed_child_is_undone_by_its_own_declared_undo,
    a_cancel_of_the_parent_cancels_and_undoes_the_child_first,
    a_child_is_started_once_and_survives_any_crash,
    a_spawned_child_runs_beside_its_parent,
    a_failing_parent_cancels_what_it_has_spawned,
    a_child_whose_handle_is_dropped_goes_on_by_itself,
    a_child_can_be_cancelled_by_its_parent,
    a_dropped_branch_cancels_its_child,
    a_failed_nested_saga_cancels_the_child_that_it_spawned,
    policies_say_what_becomes_of_a_child,
    an_id_that_is_taken_is_an_error_at_the_await,
    a_parent_gives_its_place_to_its_child,
    many_children_run_at_once,
    children_have_children,
    a_large_input_and_output_cross_whole,
    a_detached_child_that_fails_does_not_disturb_its_parent,
    a_dead_child_is_an_error_of_the_parent,
);

async fn a_child_is_awaited_and_its_value_given_to_the_parent(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(orders("then".to_owned())).id("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "ship a!");
    assert_eq!(world.log(), ["order", "pack a", "ship a", "then"]);
    engine.shutdown().await;
    assert_eq!(left_in_outbox(&place).await, 0);
}

/// How many messages nobody has delivered, or forgotten.
async fn left_in_outbox(place: &impl Place) -> usize {
    use saga_runtime::store::{Incarnation, Store, Timestamp};
    let stranger = Incarnation::generate(Timestamp::from_system_clock(), &[9; 10]);
    place.open().await.outbox(stranger, 1000).await.unwrap().len()
}

async fn a_child_that_fails_is_an_error_of_its_own_type(place: impl Place) {
    let world = World::default();
    world.plan("ship a", [Act::Decline]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(orders("then".to_owned())).await.unwrap();
    let declined = SagaError::Step(ActivityError::Failed(saga_tests::StepError::Declined));
    let expected = Outcome::Failed(ParentError::Child(ChildError::Failed(declined)));
    assert_eq!(run.outcome().await.unwrap(), expected);
    assert_eq!(world.log(), ["order", "pack a", "ship a", "undo pack a", "undo order"]);
}

async fn a_completed_child_is_undone_by_its_own_declared_undo(place: impl Place) {
    let world = World::default();
    world.plan("then", [Act::Decline]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(orders("then".to_owned())).await.unwrap();
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Failed(ParentError::Step(_))));
    assert_eq!(world.log(), ["order", "pack a", "ship a", "then", "undo ship a!", "undo order"]);
}

async fn a_cancel_of_the_parent_cancels_and_undoes_the_child_first(place: impl Place) {
    let world = World::default();
    world.plan("ship a", [Act::Hang]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(orders("then".to_owned())).await.unwrap();
    world.began("ship a").await;
    run.cancel().await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    assert_eq!(world.log(), ["order", "pack a", "ship a", "undo pack a", "undo order"]);
    let child = only_child(engine.client()).await;
    assert_eq!(child, RunState::Cancelled);
}

/// The state of the only run of [`ship`].
async fn only_child(client: &Client) -> RunState {
    let query = Query { workflow: Some("ship".to_owned()), limit: 10, ..Query::default() };
    let runs = client.list(&query).await.unwrap().runs;
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs[0].state
}

async fn a_child_is_started_once_and_survives_any_crash(place: impl Place) {
    let world = World::default();
    for name in ["order", "pack a", "ship a", "then", "undo ship a!", "undo order"] {
        world.plan(name, [Act::Hang]);
    }
    world.plan("then", [Act::Decline]);
    let mut current = engine(&place, &world).await;
    current.client().start(orders("then".to_owned())).id("A").await.unwrap();
    for name in ["order", "pack a", "ship a", "then", "undo ship a!", "undo order"] {
        world.began(name).await;
        drop(current);
        current = engine(&place, &world).await;
        world.began(name).await;
    }
    let run = current.client().attach::<orders>("A").await.unwrap();
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Failed(ParentError::Step(_))));
    assert_eq!(only_child(current.client()).await, RunState::Completed);
}

#[workflow]
async fn spawns(then: String) -> Result<String, ParentError> {
    let child = spawn(ship("a".to_owned())).await?;
    step(then).await?;
    Ok(child.await?)
}

async fn a_spawned_child_runs_beside_its_parent(place: impl Place) {
    let world = World::default();
    world.plan("ship a", [Act::Wait]);
    world.plan("then", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(spawns("then".to_owned())).await.unwrap();
    world.began("ship a").await;
    world.began("then").await;
    world.open("ship a");
    world.open("then");
    assert_eq!(run.result().await.unwrap(), "ship a!");
}

async fn a_failing_parent_cancels_what_it_has_spawned(place: impl Place) {
    let world = World::default();
    world.plan("ship a", [Act::Hang]);
    world.plan("then", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(spawns_and_fails()).await.unwrap();
    world.began("ship a").await;
    world.open("then");
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(ParentError::GivesUp));
    assert_eq!(only_child(engine.client()).await, RunState::Cancelled);
    assert!(world.log().contains(&"undo pack a".to_owned()));
}

#[workflow]
async fn spawns_and_fails() -> Result<(), ParentError> {
    let _child = spawn(ship("a".to_owned())).await?;
    step("then".to_owned()).await?;
    Err(ParentError::GivesUp)
}

#[workflow]
async fn lets_its_child_go(fails: bool) -> Result<String, ParentError> {
    let child = spawn(ship("a".to_owned())).await?;
    let id = child.id().to_string();
    drop(child);
    step("then".to_owned()).await?;
    if fails { Err(ParentError::GivesUp) } else { Ok(id) }
}

async fn a_child_whose_handle_is_dropped_goes_on_by_itself(place: impl Place) {
    for fails in [false, true] {
        let place = place.another();
        let world = World::default();
        world.plan("ship a", [Act::Wait]);
        let engine = engine(&place, &world).await;
        let run = engine.client().start(lets_its_child_go(fails)).await.unwrap();
        let outcome = run.outcome().await.unwrap();
        assert_eq!(matches!(outcome, Outcome::Failed(ParentError::GivesUp)), fails, "{outcome:?}");
        world.began("ship a").await;
        assert_eq!(only_child(engine.client()).await, RunState::Running);
        world.open("ship a");
        let query = Query { workflow: Some("ship".to_owned()), limit: 1, ..Query::default() };
        let child = engine.client().list(&query).await.unwrap().runs.remove(0).id;
        let child = engine.client().attach::<ship>(child.as_str()).await.unwrap();
        assert_eq!(child.result().await.unwrap(), "ship a!");
    }
}

#[workflow]
async fn cancels_its_child() -> Result<bool, ParentError> {
    let mut child: ChildHandle<ship> = spawn(ship("a".to_owned())).await?;
    step("then".to_owned()).await?;
    child.cancel();
    child.cancel();
    let ended = (&mut child).await;
    Ok(ended == Err(ChildError::Cancelled))
}

async fn a_child_can_be_cancelled_by_its_parent(place: impl Place) {
    let world = World::default();
    world.plan("ship a", [Act::Hang]);
    world.plan("then", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(cancels_its_child()).await.unwrap();
    world.began("ship a").await;
    world.open("then");
    assert!(run.result().await.unwrap());
    assert_eq!(world.attempts("undo pack a").len(), 1);
}

#[workflow]
async fn races_a_child() -> Result<String, ParentError> {
    let winner = select! {
        shipped = ship("a".to_owned()) => shipped?,
        quick = step("quick".to_owned()) => quick?,
    };
    step("after".to_owned()).await?;
    Ok(winner)
}

async fn a_dropped_branch_cancels_its_child(place: impl Place) {
    let world = World::default();
    world.plan("ship a", [Act::Hang]);
    world.plan("quick", [Act::Wait]);
    world.plan("undo pack a", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(races_a_child()).await.unwrap();
    world.began("ship a").await;
    world.open("quick");
    world.began("after").await;
    world.began("undo pack a").await;
    assert_eq!(run.view().await.unwrap().state, RunState::Running, "it waits until the child is undone");
    world.open("undo pack a");
    assert_eq!(run.result().await.unwrap(), "quick!");
    assert_eq!(only_child(engine.client()).await, RunState::Cancelled);
}

#[workflow]
async fn tries() -> Result<String, ParentError> {
    let tried = attempt(async {
        let _child = spawn(ship("a".to_owned())).await?;
        step("then".to_owned()).await?;
        Err::<(), _>(ParentError::GivesUp)
    })
    .await;
    Ok(if tried.is_ok() { "shipped" } else { "not shipped" }.to_owned())
}

async fn a_failed_nested_saga_cancels_the_child_that_it_spawned(place: impl Place) {
    let world = World::default();
    world.plan("ship a", [Act::Hang]);
    world.plan("then", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(tries()).await.unwrap();
    world.began("ship a").await;
    world.open("then");
    assert_eq!(run.result().await.unwrap(), "not shipped");
    assert_eq!(only_child(engine.client()).await, RunState::Cancelled);
    assert!(!world.attempts("undo pack a").is_empty());
}

#[workflow]
async fn spawns_with_policies() -> Result<(), ParentError> {
    let calls = [ParentEnd::Cancel, ParentEnd::Abandon, ParentEnd::Terminate].map(|end| {
        let name = format!("{end:?}");
        walk(name.clone()).id(name).on_parent_end(end)
    });
    for call in calls {
        spawn(call).await?.detach();
    }
    step("then".to_owned()).await?;
    Ok(())
}

async fn policies_say_what_becomes_of_a_child(place: impl Place) {
    let world = World::default();
    let names = ["Cancel", "Abandon", "Terminate"];
    for name in names {
        world.plan(&format!("walk {name}"), [Act::Wait]);
    }
    world.plan("then", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(spawns_with_policies()).await.unwrap();
    for name in names {
        world.began(&format!("walk {name}")).await;
    }
    world.open("then");
    run.result().await.unwrap();
    let states = [RunState::Cancelled, RunState::Running, RunState::Terminated];
    for (name, state) in names.into_iter().zip(states) {
        assert_eq!(engine.client().get(name).await.unwrap().state, state, "{name}");
    }
    assert_eq!(world.attempts("undo leave Cancel").len(), 1);
    assert_eq!(world.attempts("undo leave Terminate").len(), 0);
    world.open("walk Abandon");
    assert_eq!(engine.client().attach::<walk>("Abandon").await.unwrap().result().await.unwrap(), "walk Abandon!");
}

#[workflow]
async fn takes_an_id(id: String) -> Result<String, ParentError> {
    match ship("a".to_owned()).id(id).await {
        Err(ChildError::NotStarted(why)) => Ok(why),
        other => Ok(other?),
    }
}

async fn an_id_that_is_taken_is_an_error_at_the_await(place: impl Place) {
    let world = World::default();
    world.plan("walk x", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let client = engine.client();
    let taken = client.start(walk("x".to_owned())).id("taken").await.unwrap();
    let told = client.start(takes_an_id("taken".to_owned())).await.unwrap().result().await.unwrap();
    assert!(told.contains("the id taken belongs to a run of workflow `walk`"), "{told}");
    client.start(ship("b".to_owned())).id("other").await.unwrap().result().await.unwrap();
    let told = client.start(takes_an_id("other".to_owned())).await.unwrap().result().await.unwrap();
    assert!(told.contains("a run of the id other exists already"), "{told}");
    let told = client.start(takes_an_id("\0".to_owned())).await.unwrap().result().await.unwrap();
    assert!(told.contains("cannot be a run id"), "{told}");
    world.open("walk x");
    assert_eq!(taken.result().await.unwrap(), "walk x!", "a stranger is not disturbed");
}

async fn a_parent_gives_its_place_to_its_child(place: impl Place) {
    let world = World::default();
    let engine = engine_with(&place, &world, |builder| builder.max_runs(1)).await;
    let client = engine.client();
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(client.start(orders("then".to_owned())).await.unwrap());
    }
    for run in runs {
        assert_eq!(run.result().await.unwrap(), "ship a!");
    }
    assert_eq!(world.attempts("order").len(), 3);
}

#[workflow]
async fn fans_out(count: u32) -> Result<usize, ParentError> {
    let all = join_all((0..count).map(|number| ship(number.to_string()))).await;
    let mut total = 0;
    for shipped in all {
        total += shipped?.len();
    }
    Ok(total)
}

async fn many_children_run_at_once(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(fans_out(100)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), (0..100_u32).map(|n| format!("ship {n}!").len()).sum::<usize>());
}

#[workflow]
async fn nests(depth: u32) -> Result<u32, saga_runtime::Error> {
    if depth == 0 {
        pay("bottom".to_owned()).await?;
        return Ok(0);
    }
    Ok(1 + nests(depth - 1).await?)
}

async fn children_have_children(place: impl Place) {
    let world = World::default();
    world.plan("bottom", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(nests(4)).await.unwrap();
    world.began("bottom").await;
    world.open("bottom");
    assert_eq!(run.result().await.unwrap(), 4);
    world.plan("bottom", [Act::Hang]);
    let run = engine.client().start(nests(4)).await.unwrap();
    world.began("bottom").await;
    run.cancel().await.unwrap();
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Cancelled));
    let query = Query { states: vec![RunState::Cancelled], limit: 10, ..Query::default() };
    assert_eq!(engine.client().list(&query).await.unwrap().runs.len(), 5);
}

#[workflow]
async fn echoes(text: String) -> Result<String, SagaError> {
    sleep(std::time::Duration::ZERO).await;
    Ok(text)
}

#[workflow]
async fn asks_for_an_echo(text: String) -> Result<bool, ParentError> {
    Ok(echoes(text.clone()).await? == text)
}

async fn a_large_input_and_output_cross_whole(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(asks_for_an_echo("x".repeat(500_000))).await.unwrap();
    assert!(run.result().await.unwrap());
}

#[workflow]
async fn lets_go_of_one_that_fails() -> Result<(), ParentError> {
    spawn(ship("a".to_owned())).await?.detach();
    step("then".to_owned()).await?;
    step("later".to_owned()).await?;
    Ok(())
}

async fn a_detached_child_that_fails_does_not_disturb_its_parent(place: impl Place) {
    let world = World::default();
    world.plan("ship a", [Act::Decline]);
    world.plan("then", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(lets_go_of_one_that_fails()).await.unwrap();
    world.began("undo pack a").await;
    world.open("then");
    run.result().await.unwrap();
}

#[workflow]
async fn falls_over() -> Result<(), SagaError> {
    step("before".to_owned()).await?;
    panic!("falls over")
}

#[workflow]
async fn has_one_that_panics() -> Result<String, SagaError> {
    match falls_over().await {
        Err(ChildError::Dead(reason)) => Ok(reason),
        other => Ok(format!("{other:?}")),
    }
}

async fn a_dead_child_is_an_error_of_the_parent(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let told = engine.client().start(has_one_that_panics()).await.unwrap().result().await.unwrap();
    assert!(told.contains("falls over"), "{told}");
}
