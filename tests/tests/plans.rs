//! What plans look like, a drawing for each construct.
//!
//! `SAGA_ACCEPT=1 cargo test -p saga-tests --test plans` writes the drawings anew.

use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};

use saga_runtime::Plan;
use saga_runtime::prelude::*;

#[derive(serde::Serialize, serde::Deserialize, Event)]
struct Approval {
    by: String,
}

#[activity]
async fn check(item: u32) -> saga_runtime::Result<bool> {
    Ok(item > 0)
}

#[activity(compensate = release(output))]
async fn reserve(item: u32) -> saga_runtime::Result<u32> {
    Ok(item)
}

#[activity]
async fn release(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[activity(pivot)]
async fn charge(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[derive(Debug, thiserror::Error, serde::Serialize, serde::Deserialize, Classify)]
#[error("the post is slow")]
struct Slow;

#[activity(retriable)]
async fn ship(item: u32) -> Result<(), Slow> {
    let _ = item;
    Ok(())
}

#[workflow]
async fn steps(item: u32) -> saga_runtime::Result<()> {
    let reserved = reserve(item).await?;
    charge(reserved).await?;
    ship(reserved).await?;
    Ok(())
}

#[workflow]
async fn branches(item: u32) -> saga_runtime::Result<()> {
    if !check(item).await? {
        return Err(saga_runtime::Error::msg("out of stock"));
    }
    let Some(item) = item.checked_sub(1) else { return Ok(()) };
    match item {
        0 => ship(item).await?,
        1 | 2 => charge(item).await?,
        _ => panic!("too many"),
    }
    Ok(())
}

#[workflow]
async fn loops(items: Vec<u32>) -> saga_runtime::Result<()> {
    'items: for item in items {
        while check(item).await? {
            if item == 7 {
                continue 'items;
            }
            reserve(item).await?;
        }
        loop {
            if ship(item).await.is_ok() {
                break;
            }
        }
    }
    Ok(())
}

#[workflow]
async fn at_once(items: Vec<u32>) -> saga_runtime::Result<()> {
    let (first, second) = join!(check(1), async { reserve(2).await }).await;
    first?;
    second?;
    try_join!(ship(1), ship(2)).await?;
    for checked in join_all(items.iter().map(|item| check(*item))).await {
        checked?;
    }
    Ok(())
}

#[workflow]
async fn waits(item: u32) -> saga_runtime::Result<()> {
    let by = select! {
        approval = event::<Approval>() => approval.by,
        () = sleep(Duration::from_secs(60)) => return Ok(()),
    };
    let host = side_effect(|| 7u32).await;
    ship(item + host + u32::try_from(by.len()).unwrap_or(0)).await?;
    Ok(())
}

#[workflow]
async fn nested(item: u32) -> saga_runtime::Result<()> {
    undo(release(item));
    let tried = attempt(async {
        reserve(item).await?;
        check(item).await
    })
    .await;
    if tried.is_err() {
        reserve(item + 1).await?;
    }
    Ok(())
}

#[durable]
async fn pay_twice(item: u32) -> saga_runtime::Result<()> {
    charge(item).await?;
    pay_late(item).await
}

#[durable]
async fn pay_late(item: u32) -> saga_runtime::Result<()> {
    sleep(Duration::from_secs(5)).await;
    charge(item).await?;
    Ok(())
}

#[workflow]
async fn helpers(item: u32) -> saga_runtime::Result<()> {
    pay_twice(item).await?;
    pay_late(item).await
}

#[workflow(compensate = release(output))]
async fn parcel(item: u32) -> saga_runtime::Result<u32> {
    Ok(item)
}

#[workflow]
async fn children(item: u32) -> saga_runtime::Result<()> {
    let first = parcel(item).await?;
    let second = spawn(parcel(first)).await?;
    second.await?;
    if item > 7 {
        return continue_as_new(children(item - 1)).await;
    }
    Ok(())
}

#[workflow]
async fn concurrently(items: Vec<u32>) -> saga_runtime::Result<()> {
    for shipped in for_each_concurrent(2, items.clone(), ship).await {
        shipped?;
    }
    let looked = for_each_concurrent(3, items.clone(), |item| async move {
        check(item).await?;
        check(item + 1).await
    });
    for checked in looked.await {
        checked?;
    }
    try_join_all(items.into_iter().map(reserve)).await?;
    Ok(())
}

#[workflow]
async fn talks(item: u32) -> saga_runtime::Result<()> {
    let approval = match event::<Approval>().timeout(Duration::from_secs(60)).await {
        Ok(approval) if check(item).await? => approval,
        _ => return Ok(()),
    };
    if patched("tell-the-shop") {
        send("SHOP", approval).await?;
    }
    pivot().await;
    Ok(())
}

#[durable(strict)]
async fn holds(item: u32) -> saga_runtime::Result<u32> {
    Ok(reserve(item).await?)
}

#[activity(read_only)]
async fn look(item: u32) -> saga_runtime::Result<bool> {
    Ok(item > 0)
}

#[workflow(strict)]
async fn strictly(item: u32) -> saga_runtime::Result<()> {
    if !look(item).await? {
        return Ok(());
    }
    let held = holds(item).await?;
    let (first, second) = join!(reserve(held), reserve(held + 1)).await;
    let first = first?;
    attempt(async { parcel(first).await }).await?;
    charge(second?).await?;
    while ship(item).await.is_err() {}
    Ok(())
}

fn golden(plan: &Plan) {
    for (drawing, extension) in [(plan.to_mermaid(), "mmd"), (plan.to_dot(), "dot")] {
        let path = PathBuf::from("golden/plans").join(format!("{}.{extension}", plan.name));
        if env::var_os("SAGA_ACCEPT").is_some_and(|value| value == "1") {
            fs::write(&path, drawing).expect("a drawing can be written");
            continue;
        }
        let recorded = fs::read_to_string(&path).expect("the drawing is recorded");
        assert_eq!(drawing, recorded, "{}: `SAGA_ACCEPT=1 cargo test -p saga-tests --test plans`", path.display());
    }
}

#[test]
fn steps_and_their_undo_steps_are_drawn() {
    golden(steps::PLAN);
}

#[test]
fn branches_are_drawn() {
    golden(branches::PLAN);
}

#[test]
fn loops_are_drawn() {
    golden(loops::PLAN);
}

#[test]
fn joins_are_drawn() {
    golden(at_once::PLAN);
}

#[test]
fn a_select_with_an_event_and_a_timer_is_drawn() {
    golden(waits::PLAN);
}

#[test]
fn an_attempt_and_an_undo_by_hand_are_drawn() {
    golden(nested::PLAN);
}

#[test]
fn helpers_are_drawn_once_each() {
    golden(helpers::PLAN);
}

#[test]
fn children_and_the_next_execution_are_drawn() {
    golden(children::PLAN);
}

#[test]
fn what_is_done_for_each_item_is_drawn() {
    golden(concurrently::PLAN);
}

#[test]
fn events_with_a_timeout_guards_patches_sends_and_a_pivot_by_hand_are_drawn() {
    golden(talks::PLAN);
}

#[test]
fn a_strict_saga_is_drawn_with_the_undo_of_each_step() {
    golden(strictly::PLAN);
    let drawn = strictly::PLAN.to_mermaid();
    assert_eq!(drawn.matches("release(output)").count(), 4, "of three steps and a child: {drawn}");
}

#[test]
fn a_plan_has_the_lines_of_the_source() {
    let source = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/plans.rs")).expect("this file");
    let line = |text: &str| source.lines().position(|line| line.contains(text)).map(|at| at + 1);
    assert!(steps::PLAN.file.ends_with("plans.rs"));
    assert_eq!(Some(steps::PLAN.line as usize), line("async fn steps("));
    let lines: Vec<_> = steps::PLAN.steps().iter().map(|step| Some(step.line as usize)).collect();
    assert_eq!(lines, [line("= reserve(item)"), line("charge(reserved)"), line("ship(reserved)")]);
}
